"""Samples, streaks and gates on one commit. What counts as converged is decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.core import metrics
from orchestrator.core.outcome import ProcessEnd, StopRequest
from orchestrator.core.record import Channel
from orchestrator.core.spec import Kind
from orchestrator.core.task import Stage
from orchestrator.core.value import Value
from orchestrator.worker import findings, measure
from orchestrator.worker.execution import Conditions, Sample, Verdict
from orchestrator.worker.gates.asked import asked
from orchestrator.worker.pulse import Stopped
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work

HIDDEN = "Every number that you can see holds, and a hidden check of the same goal failed. What it looks at is not told."
MISSED = "the hidden check failed"
Take = Callable[[Conditions], Sample]
UNSHOWN: Mapping[str, Any] = {"streak": 0, "streak_commit": None, "misses": 0}  # of a record: no samples that show anything


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Streak(Value):
    """`passed`: every sample was clean and at target, or of a noisy metric as many as show it. Else `missed` is the last sample
    that was not, `detail` says how, and `chance` that no more is wrong than what a noisy number does by itself. `hits` and
    `misses`: how many of a noisy one's samples were there, and how many not."""

    passed: bool
    missed: Sample | None = None
    detail: str = ""
    chance: bool = False
    hits: int = 0
    misses: int = 0


def sample(
    work: Work, place: Path, *, first: bool = False, like: Sample | None = None, clean: Callable[[], Path] | None = None
) -> Sample:
    """One execution of the sealed benchmark in `place`; one that a signal ended is taken once more, in a `clean` checkout where
    there is one. Raises Stopped where it was ended because we are asked to stop.

    After the `first`, on the base, it has to say its numbers the way it did there: by a private channel, or in print. `like` is
    that first one, where the record doesn't tell of it yet.
    """
    way = like.private if like else work.record.private
    since = (way,) if way else ()
    known = tuple(work.record.baseline) if work.record.seal == work.sealed.digest and not first else ()
    channels = tuple(Channel) if first else since
    take = partial(measure.sample, work.shown, work.evaluator, work.judged, channels=channels, again=True, known=known)
    return _execute(work, take, place, clean)


def _execute(work: Work, take: Take, place: Path, clean: Callable[[], Path] | None = None) -> Sample:
    """One execution that counts: what a signal ended says nothing, and is done once more. Where that is cut, too, the commit is
    as good as not measured."""
    result = _once(work, take, place)
    if result.died:
        tell(work, "died", result, detail="taken once more")
        result = _once(work, take, clean() if clean else place)
    if result.cut:
        work.measured = work.refused = ""
    return result


def _once(work: Work, take: Take, place: Path) -> Sample:
    with findings.guarded(work):
        result = take(work.conditions(place, work.spec.benchmark_timeout or work.settings.benchmark_timeout))
    if result.end is ProcessEnd.STOPPED:
        raise Stopped(work.pulse.beat() or StopRequest.RELEASE)
    return result


def tell(work: Work, where: str, result: Sample, **facts: object) -> None:
    """A sample for whoever follows, and as evidence beside the attempt it belongs to. `sealed`: nothing that a product prints
    could have made its numbers. `output`: the end of what one printed that failed on the base, where no attempt keeps it."""
    values = dict(result.values)
    facts = {"sealed": result.private is not None, **facts}
    if result.defect and where == "baseline":
        facts["output"] = result.output
    work.event("measured", where=where, values=values, defect=result.defect, **facts)
    work.evidence("benchmark.jsonl", where=where, values=values, defect=result.defect, seconds=round(result.seconds, 4), **facts)


def hidden(work: Work, space: Space, commit: str) -> bool:
    """Whether the hidden benchmark, if any, holds at `commit`. Of a miss the agent learns that it was one, no more."""
    if work.hidden is None:
        return True
    measured = partial(measure.sample, work.sealed, work.hidden, work.judged, channels=tuple(Channel))

    def take() -> Sample:
        return _execute(work, measured, space.checkout(work, commit))

    def told(result: Sample, _streak: int) -> None:
        tell(work, "holdout", result, commit=commit)

    if noisy_target(work):
        held = _shown(work, take, told).passed
    else:
        told(result := take(), 0)
        held = (result.defect is None) if work.holding else at_target(work, result)  # an optimum's own check decides
    work.feedback = work.feedback if held else HIDDEN
    return held


def at_target(work: Work, result: Sample, before: Mapping[str, float] | None = None) -> bool:
    """Whether this sample is a clean one with every deciding metric at its target and no guard worse than `before` (by default
    the baseline), or as good as it was when it was kept."""
    if work.holding:
        return not (result.defect or metrics.lost(work.judged.metrics, result.values, work.record.best))
    return measure.at_target(work.spec, result) and not _worsened(work, result, before)


def shortfall(work: Work, result: Sample, before: Mapping[str, float] | None = None) -> str:
    """What keeps this sample from its target, in words."""
    if work.holding:
        return result.defect or metrics.lost(work.judged.metrics, result.values, work.record.best)
    short = metrics.shortfall(work.spec.metrics, result.values), _worsened(work, result, before)
    return result.defect or "; ".join(filter(None, short))


def _worsened(work: Work, result: Sample, before: Mapping[str, float] | None) -> str:
    return metrics.worsened(work.judged.metrics, result.values, work.record.baseline if before is None else before)


def guards_at(work: Work, space: Space, commit: str) -> Mapping[str, float]:
    """What the guards are held against on a base that has moved on to `commit`: what others did there is not the task's doing.
    Raises SetupFailed."""
    if not any(metric.guard for metric in work.spec.metrics):
        return work.record.baseline
    result = sample(work, space.checkout(work, commit))
    tell(work, "base", result, commit=commit)
    return work.record.baseline if result.defect else result.values


def streak(work: Work, space: Space, commit: str) -> Streak:
    """As many fresh samples in a row as convergence needs, at one commit in a clean checkout.

    A streak that an earlier claim had begun at this commit with this evaluator is continued; not one that has shown two values,
    of which the record keeps the last one.
    """
    work.enter(Stage.VERIFY)
    with space.checkouts(work, commit) as clean:
        return _noted(work, shown(work, clean, commit, "verify")) if noisy_target(work) else _in_a_row(work, clean, commit)


def _in_a_row(work: Work, clean: Callable[[], Path], commit: str) -> Streak:
    key = f"{commit}:{work.sealed.digest}"
    count = work.record.streak if work.record.streak_commit == key else 0
    seen = [work.record.values] * count
    while count < measure.needed(work.judged, work.converge, seen):
        result = sample(work, clean(), clean=clean)
        count = count + 1 if at_target(work, result) else 0
        seen.append(result.values)
        tell(work, "verify", result, commit=commit, streak=count)
        if not count:
            work.note(**UNSHOWN)
            return Streak(False, result, shortfall(work, result))
        steady = measure.needed(work.judged, work.converge, seen[-1:]) == measure.needed(work.judged, work.converge, seen)
        work.note(streak=count, streak_commit=key if steady else None, misses=0, values=result.values)
    return Streak(True)


def noisy_target(work: Work) -> bool:
    """Whether a target has to be shown in spite of noise: a metric was said or found to vary by itself."""
    return not work.holding and any(metric.kind is Kind.NOISY for metric in metrics.deciding(work.judged.metrics, ()))


def shown(work: Work, clean: Callable[[], Path], commit: str, where: str, before: Mapping[str, float] | None = None) -> Streak:
    """The medians of the noisy metrics are shown to be at their targets. A kill begins it anew."""

    def told(result: Sample, streak: int) -> None:
        work.merged = result.values if where == "merged" else work.merged
        tell(work, where, result, commit=commit, streak=streak)

    return _shown(work, lambda: sample(work, clean(), clean=clean), told, before)


def _noted(work: Work, streak: Streak) -> Streak:
    """What was shown of the task's own commit is its evidence. What is shown of a merge isn't: a batch may not land."""
    if streak.passed:
        work.note(streak=streak.hits, streak_commit=None, misses=streak.misses)
    elif streak.chance:
        work.note(**UNSHOWN)
    return streak


def _shown(
    work: Work, take: Callable[[], Sample], told: Callable[[Sample, int], None], before: Mapping[str, float] | None = None
) -> Streak:
    """As many samples as it takes (`core.noise.standing`). A defect, or a metric that repeats and is not there, is a miss like
    any other."""
    from orchestrator.core import noise
    from orchestrator.core.noise import Standing

    exact = [metric for metric in metrics.deciding(work.judged.metrics, ()) if metric.kind is not Kind.NOISY]
    hits: list[bool] = []
    missed = None
    while (standing := noise.standing(hits, work.converge)) is Standing.OPEN:
        result = take()
        hits.append(at_target(work, result, before))
        missed = missed if hits[-1] else result
        told(result, sum(hits))
        if result.defect or (exact and not metrics.at_target(exact, result.values)) or _worsened(work, result, before):
            return Streak(False, result, shortfall(work, result, before))
    if standing is Standing.SHOWN:
        return Streak(True, hits=sum(hits), misses=len(hits) - sum(hits))
    assert missed is not None
    return Streak(False, missed, f"{sum(hits)} of {len(hits)} samples, the last miss: {shortfall(work, missed)}", chance=True)


def merged(work: Work, space: Space, commit: str, before: Mapping[str, float]) -> Streak:
    """The merged commit once more: one sample, or as many as a noisy target takes. `before`: the guards' values on the base."""
    if noisy_target(work):
        with space.checkouts(work, commit) as clean:
            return shown(work, clean, commit, "merged", before)
    clean = partial(space.checkout, work, commit)
    result = sample(work, clean(), clean=clean)
    work.merged = result.values
    tell(work, "merged", result, commit=commit)
    return Streak(True) if at_target(work, result, before) else Streak(False, result, shortfall(work, result, before))


def gates(work: Work, space: Space, commit: str, base: str | None = None) -> tuple[Verdict, ...]:
    """Every gate's verdict on this commit, each in a clean checkout. `base` is what it is compared with: where the task began."""
    work.verdicts = ()
    if not asked(work):  # and what reads tests and findings, 6 ms of it, is not even loaded
        return ()
    from orchestrator.worker.gates import table

    work.verdicts = table.verdicts(work, space, commit, base or work.record.base_commit or commit)
    return work.verdicts


def refusal(work: Work, space: Space, commit: str, base: str | None = None) -> Verdict | None:
    """The first of them that keeps this commit from landing. What all that do say goes into the next prompt: one attempt may
    mend it all."""
    refused = [verdict for verdict in gates(work, space, commit, base) if verdict.blocks]
    if not refused:
        return None
    from orchestrator.worker.gates import table

    work.feedback = table.told(refused)
    return refused[0]
