"""What an attempt came to, on one page beside its logs. People read it; nothing decides by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.core import budget, metrics
from orchestrator.core.record import Attempt, Record
from orchestrator.core.spec import Metric, Spec
from orchestrator.worker.measure import Verdict

PLACES = 20  # of one gate's findings


def build(spec: Spec, record: Record, attempt: Attempt, verdicts: tuple[Verdict, ...], doubts: tuple[str, ...] = ()) -> str:
    """The page as markdown. `record` is the one that counts the attempt already."""
    lines = [
        f"# {spec.title or record.name}: attempt {attempt.number}",
        "",
        f"- Result: {attempt.result.value}{f' ({attempt.detail})' if attempt.detail else ''}",
        f"- Agent: {attempt.agent}{f' ({attempt.model})' if attempt.model else ''}, {attempt.end.value}, {attempt.seconds:.1f} s",
        f"- Spend: {budget.told(attempt.spend)}; of the whole task: {budget.told(record.spend)}",
        f"- Commit: {attempt.commit or 'none'}, begun at {record.base_commit or 'no commit'} of {record.base or 'no branch'}",
        f"- Evaluator: {record.seal or 'not sealed'}",
        "",
        *_numbers(metrics.deciding(spec.metrics, attempt.values), record, attempt.values),
        *(line for verdict in verdicts for line in _gate(verdict)),
        *(f"- Look at this: {doubt}" for doubt in doubts),
        f"- {worth(record.streak)}",
    ]
    return "\n".join(lines) + "\n"


def worth(samples: int) -> str:
    """What so many samples in a row at target say about the next one (`core.metrics.pass_bound`)."""
    if not samples:
        return "Evidence: no sample on a clean checkout was at target."
    bound = metrics.pass_bound(samples)
    return (
        f"Evidence: {samples} of {samples} samples on a clean checkout were at target; "
        f"that bounds the share of samples that miss it, at 95 %, only to {bound:.0%}."
    )


def _gate(verdict: Verdict) -> Iterator[str]:
    warned = "" if verdict.ok or verdict.blocks else " (a warning)"
    yield f"- Gate {verdict.name}: {verdict.reason}{warned}"
    yield from (f"  - {place}" for place in verdict.places[:PLACES])


def _numbers(known: tuple[Metric, ...], record: Record, values: Mapping[str, float]) -> list[str]:
    if not known:
        return []
    rows = []
    for metric in known:
        cells = (metric.name, *map(_number, (record.baseline.get(metric.name), values.get(metric.name), metric.target)))
        rows.append(f"| {' | '.join(cells)} |")
    return ["| metric | baseline | this attempt | target |", "|---|---|---|---|", *rows, ""]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.10g}"
