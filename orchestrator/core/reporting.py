"""A task's evidence in words: the whole page, the short form for a merge commit, and plain data for programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.core import budget, confidence, digits, metrics, plot
from orchestrator.core.evidence import Evidence, points, spread
from orchestrator.core.gates import Mode
from orchestrator.core.record import Record, whereabouts
from orchestrator.core.spec import Kind, Metric
from orchestrator.core.terminal import ESCAPE, obeyed

GOAL = 2000  # characters of the goal that are quoted
DIGEST = 16  # digits of a digest that are shown
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
CONTROL = re.compile(f"{ESCAPE}|{obeyed()}")
ROWS = 200  # of a table; a task may have been measured for weeks


def worth(record: Record, declared: Sequence[Metric]) -> str:
    """What the last samples, on a clean checkout where there is git, say about the next one (`core.confidence.pass_bound`)."""
    samples, held = record.streak, _held(record, declared)
    place = "on a clean checkout" if record.branch or not record.repo else "in the folder itself, which has no git,"
    if not samples:
        return f"Evidence: the work as it is by now was not shown to be {held} {place.rstrip(',')}."
    bound = confidence.pass_bound(samples, record.misses)
    return (
        f"Evidence: {samples} of {samples + record.misses} samples {place} were {held}; "
        f"that bounds the share of samples that are not, at 95 %, only to {bound:.0%}."
    )


def _held(record: Record, declared: Sequence[Metric]) -> str:
    """What each of them was. An optimum has no target; of a noisy one no sample says more than that it was taken."""
    if not declared or metrics.deciding(declared, ()):
        return "at target"
    noisy = any(metric.kind is Kind.NOISY or metric.name in record.noisy for metric in metrics.decisive(declared))
    return "without a defect (what a noisy number is worth is shown by its pairs)" if noisy else "as good as when it was kept"


def page(evidence: Evidence) -> str:
    """The whole report as markdown."""
    record = evidence.record
    reason = f"{record.reason}{f' ({record.detail})' if record.detail else ''}" if record.reason else "not ended"
    lines = [
        f"# {evidence.title}",
        "",
        *([closed(evidence.goal.strip()[:GOAL]), ""] if evidence.goal.strip() else []),
        point(f"Result: {reason}{_landed(evidence)}"),
        *map(point, _ways(evidence)),
        point(worth(record, evidence.metrics)),
        *map(point, (*_gate_lines(evidence), *_review(evidence))),
        *(point(f"Look at this: {finding}") for finding in evidence.findings),
        point(f"Attempts: {_attempts(evidence)}"),
        point(f"Spend: {budget.told(record.spend)}"),
        point(f"Evaluator: {record.seal or 'not sealed'}"),
        point(f"Environment: {_environment(evidence)}"),
        point(f"Begun at {record.base_commit or 'no commit'} of {record.base or 'no branch'}"),
        *_section("Measurements", _measurements(evidence)),
        *_section("Attempts", _fates(evidence)),
        *_section("Changed files", _changes(evidence)),
        *_plots(evidence),
    ]
    return "\n".join(lines) + "\n"


def point(text: str) -> str:
    """One point of a list."""
    return f"- {line(text)}"


def line(text: str) -> str:
    """`text` on one line, without anything that a terminal obeys: a file's or a test's name may hold whole points of a report."""
    return " ".join(CONTROL.sub(" ", text).split())


def cell(text: str) -> str:
    """The same in a table, of which it opens no further column."""
    return line(text).replace("|", "\\|")


def closed(text: str) -> str:
    """Markdown with the code block ended that it was cut in, or that nobody ended: else all that follows would be code."""
    fence = ""
    for line in text.splitlines():
        if (mark := FENCE.match(line)) and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and line.strip() == mark[1]:
            fence = ""
    return f"{text}\n{fence}" if fence else text


def short(evidence: Evidence) -> str:
    """The few lines that a merge commit carries."""
    digest = f"Evaluator {evidence.record.seal[:DIGEST]}." if evidence.record.seal else ""
    spend = budget.told(evidence.record.spend)
    lines = [
        *_ways(evidence),
        worth(evidence.record, evidence.metrics),
        *_gate_lines(evidence),
        *_review(evidence),
        f"Attempts: {_attempts(evidence)}. Spend: {spend}. {digest}".strip(),
    ]
    return "\n".join(map(line, lines))


def document(evidence: Evidence) -> dict[str, Any]:
    """The same for `--json`."""
    record = evidence.record
    return {
        "schema": 1,
        "name": record.name,
        "title": evidence.title,
        "goal": evidence.goal,
        "reason": record.reason,
        "detail": record.detail,
        "landed": asdict(record.landed) if record.landed else None,
        "metrics": [
            {
                "name": metric.name,
                "direction": metric.direction.value,
                "target": metric.target,
                "baseline": record.baseline.get(metric.name),
                "best": record.best.get(metric.name),
                "value": record.values.get(metric.name),
                "points": [{"attempt": n, "value": value, "kept": kept} for n, value, kept in points(evidence, metric.name)],
            }
            for metric in evidence.shown
        ],
        "measurements": [
            {**asdict(series), "spread": {name: asdict(found) for name, v in series.values.items() if (found := spread(v))}}
            for series in evidence.series
        ],
        "gates": [asdict(answer) for answer in evidence.answers],
        "standing": [asdict(answer) for answer in evidence.standing],
        "findings": list(evidence.findings),
        "attempts": [asdict(fate) for fate in evidence.fates],
        "changes": [asdict(change) for change in evidence.changes],
        "spend": asdict(record.spend),
        "evidence": {
            "samples": record.streak,
            "misses": record.misses,
            "miss_rate_bound_95": confidence.pass_bound(record.streak, record.misses),
        },
        "review": asdict(record.review) if record.review else None,
        "evaluator": record.seal,
        "environment": {key: value for key, value in evidence.environment.items() if key not in ("event", "schema", "task")},
        "base": record.base,
        "base_commit": record.base_commit,
    }


def _landed(evidence: Evidence) -> str:
    landed = evidence.record.landed
    if landed is None:
        return ""
    if landed.commit is None or landed.how == "none":
        return f", {whereabouts(evidence.record)}"
    facts = (
        f"{landed.how}: {landed.commit}",
        f"{landed.url} ({landed.state})" if landed.url else "",
        f"undone by {landed.undone}" if landed.undone else "",
    )
    return "".join(f", {fact}" for fact in facts if fact)


def _ways(evidence: Evidence) -> Iterator[str]:
    record = evidence.record
    way = metrics.way(evidence.metrics, record.baseline, record.values)  # empty where there is no target
    if way := way or (metrics.way_of(evidence.metrics, record.baseline, record.best) if record.best else ""):
        yield way
    optimum = () if metrics.deciding(evidence.metrics, ()) else record.noisy  # of which the last sample is no result
    last = {**record.values, **{name: record.best[name] for name in optimum if name in record.best}}
    for guard in (metric for metric in evidence.metrics if metric.guard):
        if guard.name in record.baseline and guard.name in last:
            yield f"{metrics.changes((guard,), record.baseline, last)}, which {metrics.bound(guard)}"


def _gate_lines(evidence: Evidence) -> Iterator[str]:
    for answer in evidence.standing:
        warned = " (a warning)" if not answer.ok and answer.mode == Mode.WARN.value else ""
        yield f"Gate {answer.gate}: {'passed' if answer.ok else answer.reason}{warned}"


def _review(evidence: Evidence) -> Iterator[str]:
    review = evidence.record.review
    if review is not None and review.answer is not None:
        note = " ".join(review.note.split())
        yield f"A person {review.answer} commit {review.commit[:10]}{f': {note}' if note else '.'}"


def _attempts(evidence: Evidence) -> str:
    kept = sum(evidence.stays.values())
    gone = len(evidence.stays) - kept
    return f"{evidence.record.attempts}, {kept} kept, {gone} discarded" if evidence.stays else str(evidence.record.attempts)


def _environment(evidence: Evidence) -> str:
    told = evidence.environment
    if not told:
        return "not recorded"
    return f"{told.get('system', '')}, {told.get('cores', '?')} cores, digest {str(told.get('digest', ''))[:DIGEST]}"


def _section(heading: str, rows: list[str]) -> list[str]:
    return ["", f"## {heading}", "", *rows] if rows else []


def _measurements(evidence: Evidence) -> list[str]:
    rows = []
    for series in evidence.series[-ROWS:]:
        head = f"| {series.attempt or 'baseline'} | {series.where} | {(series.commit or '')[:10]} |"
        for name, values in series.values.items():
            if found := spread(values):
                ends = found.low, found.middle, found.high
                low, middle, high = (digits.text(value, digits.enough(ends)) for value in ends)
                rows.append(f"{head} {cell(name)} | {found.count} | {low} | {middle} | {high} |")
        rows += [f"{head} {cell(defect)} | | | | |" for defect in series.defects]
    header = ["| attempt | where | commit | metric | samples | least | median | greatest |", "|---|---|---|---|---|---|---|---|"]
    return [*header, *rows] if rows else []


def _fates(evidence: Evidence) -> list[str]:
    rows = [
        f"| {fate.attempt} | {'kept' if fate.kept else 'discarded'} | {fate.result} | {(fate.commit or '')[:10]} "
        f"| {cell(fate.detail)} |"
        for fate in evidence.fates
    ]
    earlier = len(evidence.stays) - len(evidence.fates)
    more = ["", f"{earlier:,} earlier {'ones are' if earlier > 1 else 'one is'} not listed."] if earlier else []
    return ["| attempt | commits | result | commit | why |", "|---|---|---|---|---|", *rows, *more] if rows else []


def _changes(evidence: Evidence) -> list[str]:
    rows = [f"| {cell(each.path)} | {_count(each.added)} | {_count(each.removed)} |" for each in evidence.changes[:ROWS]]
    return ["| file | added | removed |", "|---|---|---|", *rows] if rows else []


def _plots(evidence: Evidence) -> Iterator[str]:
    for metric in evidence.shown:
        if drawn := plot.letters(points(evidence, metric.name), metric.target):
            yield from ("", f"## {metric.name} over the attempts", "", "```", *drawn, "```", _legend(metric))


def _legend(metric: Metric) -> str:
    aim = f"; {plot.AIM} the target" if metric.target is not None else ""
    return f"From the baseline to the last attempt: {plot.STAYED} kept, {plot.WENT} discarded{aim}."


def _count(lines: int | None) -> str:
    return "binary" if lines is None else str(lines)
