"""Whether the task's numbers repeat, found out on the baseline: five samples of one commit, for a task that asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.core import digits
from orchestrator.core.confidence import median
from orchestrator.core.spec import Kind, Metric, Mode, Spec
from orchestrator.worker import verify
from orchestrator.worker.execution import Sample
from orchestrator.worker.work import Work

Samples = Mapping[str, tuple[float, ...]]


def asked(spec: Spec) -> bool:
    """A noisy metric, or one that may be noisy and is to be optimized or must not get worse. All others are measured once."""
    kinds = {metric.kind for metric in spec.metrics if metric.kind is Kind.NOISY or metric.guard or spec.mode is Mode.OPTIMIZE}
    return not kinds.isdisjoint((Kind.NOISY, Kind.AUTO))


def find_out(work: Work, place: Path, first: Sample) -> tuple[Sample, Samples, tuple[str, ...]]:
    """The baseline, of which `first` is the first sample: one that stands for all (the one with a defect, where there is one),
    what was sampled of each metric, and those that are noisy."""
    if not asked(work.spec) or first.defect:
        return first, {}, ()
    from orchestrator.core import noise

    taken = [first]
    while len(taken) < noise.SAMPLES:
        taken.append(verify.sample(work, place, like=first))
        verify.tell(work, "baseline", taken[-1], commit=work.record.base_commit)
        if taken[-1].defect:
            return taken[-1], {}, ()
    samples = {metric.name: tuple(sample.values[metric.name] for sample in taken) for metric in work.spec.metrics}
    noisy = tuple(metric.name for metric in work.spec.metrics if _noisy(work, metric, samples[metric.name]))
    values = {**first.values, **{name: median(samples[name]) for name in noisy}}
    return replace(first, values=values), samples, noisy


def _noisy(work: Work, metric: Metric, samples: tuple[float, ...]) -> bool:
    may_be = metric.kind is Kind.AUTO and (work.optimizing or metric.guard)
    return metric.kind is Kind.NOISY or (may_be and len(set(samples)) > 1)


def tell(work: Work) -> None:
    """What was found out, before an agent is paid for."""
    if work.record.samples:
        from orchestrator.core import trial

        detail = trial.detectable(work.record.samples, work.record.noisy, work.alpha)
        work.event("noise", noisy=list(work.record.noisy), detail=detail or "every metric gave the same value each time")


def reclassify(work: Work, seen: Samples) -> None:
    """Metrics that gave two values at one commit, those `seen`, are noisy from here on, whatever five samples of the baseline
    looked like."""
    work.save(noisy=tuple(dict.fromkeys((*work.record.noisy, *seen))))
    shown = "; ".join(
        f"{name} {' and '.join(digits.beside(value, *values) for value in values)}" for name, values in seen.items()
    )
    work.event("noise", noisy=list(work.record.noisy), detail=f"two values at one commit: {shown}")
