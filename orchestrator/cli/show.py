"""`orchestrator show NAME`: one task, whole."""

from __future__ import annotations

from collections.abc import Iterator

import click

from orchestrator.cli import output, verdicts, view, words
from orchestrator.cli.app import App
from orchestrator.cli.options import common, looked_at, name_argument, pass_app
from orchestrator.cli.output import clean
from orchestrator.cli.view import Look
from orchestrator.cli.why import reasons, same
from orchestrator.core import budget, durations, metrics, trial
from orchestrator.core.candidate import Candidate
from orchestrator.core.record import Attempt
from orchestrator.core.spec import Mode, Spec
from orchestrator.errors import SpecError

ATTEMPT = ("ATTEMPT", "AGENT", "MODEL", "ENDED", "RESULT", "TIME", "COST", "TOKENS", "COMMIT", "DETAIL")
SELDOM = frozenset({"MODEL", "COST", "TOKENS"})  # left out where no attempt has anything to say there
METRICS = 50  # that are shown; a benchmark may print thousands
NOTHING = frozenset({"", "unknown"})


@click.command(epilog="\b\nExample: orchestrator show fix-auth")
@name_argument()
@common(json=True)
@pass_app
def show(app: App, name: str) -> int:
    """Show a task: its goal, its numbers, what was tried and how it ended."""
    place = looked_at(app, name)
    seen = view.look(app.queue, app.settings)
    candidate = same(seen, place)
    spec = _whole_spec(seen, candidate)
    if app.json:
        output.document({"schema": 1, **view.task(seen, candidate), **_details(seen, candidate, spec)})
        return 0
    for line in lines(seen, candidate, spec):
        output.out(line)
    return 0


def lines(seen: Look, candidate: Candidate, spec: Spec | None) -> Iterator[str]:
    """The task in words, from what it is to what was tried."""
    title = f": {clean(spec.title)}" if spec and spec.title and spec.title != candidate.name else ""
    yield f"{output.name_text(candidate.name)}{title}"
    for label, value in _facts(seen, candidate, spec):
        if value:
            yield f"  {label:<10} {clean(value)}"
    for reason in reasons(seen, candidate):
        yield f"  {reason.kind + ':':<10} {clean(reason.detail)}"
        if reason.next:
            yield f"  {'':<10} -> {clean(reason.next)}"
    for warning in spec.warnings if spec else ():
        yield f"  warning:   {clean(warning)}"
    for heading, text in (("Goal", spec.goal), ("Acceptance criteria", spec.acceptance)) if spec else ():
        if text.strip():
            yield ""
            yield f"{heading}:"
            yield from (f"  {line}" for line in clean(text.strip(), lines=True).splitlines())
    yield from _metric_lines(candidate)
    yield from _attempt_lines(candidate)
    yield from verdicts.lines(*verdicts.latest(seen.queue.path(candidate.place), candidate.record))


def _facts(seen: Look, candidate: Candidate, spec: Spec | None) -> Iterator[tuple[str, str]]:
    record, settings = candidate.record, seen.settings
    yield "state", candidate.place.state.value
    yield "folder", str(seen.queue.path(candidate.place))
    if spec:
        yield "labels", ", ".join(spec.labels)
        yield "priority", str(spec.priority) if spec.priority else ""
        yield "depends on", ", ".join(spec.depends_on)
        yield "scope", ", ".join(spec.scope)
        yield "off limits", ", ".join(spec.off_limits)
    yield "repository", _repo(seen, candidate, spec) or ""
    yield "base", (record.base if record else None) or (spec.base if spec else None) or settings.base or ""
    yield "branch", (record.branch if record else None) or ""
    agent = view.agent_of(candidate, settings) or ""
    model = (spec.model if spec else None) or settings.model
    yield "agent", f"{agent} ({model})" if agent and model else agent
    yield "mode", spec.mode.value if spec and spec.mode is Mode.OPTIMIZE else ""
    yield "noise", trial.detectable(record.samples, record.noisy, (spec and spec.alpha) or settings.alpha) if record else ""
    if record and record.attempts:
        failed = words.failed_text(seen, candidate)
        yield "attempts", words.tries_text(candidate) + (f", {failed} failed in a row" if failed else "")
        yield "spent", _spent(candidate)


def _repo(seen: Look, candidate: Candidate, spec: Spec | None) -> str | None:
    """Where it is worked on; of a project that was moved or copied since it began, where that is by now."""
    record, settings = candidate.record, seen.settings
    if record is None or record.repo is None:
        return (spec.repo if spec else None) or settings.repo
    from orchestrator.git import belonging

    project = seen.queue.root.parent
    return str(belonging.seen(record, belonging.named(spec or Spec(), settings.repo, project), project))


def _spent(candidate: Candidate) -> str:
    assert candidate.record is not None
    return budget.told(candidate.record.spend)


def _metric_lines(candidate: Candidate) -> Iterator[str]:
    record, known = view.facts(candidate), view.metrics(candidate)
    rows = [
        (
            clean(metric.name) + (" (guard)" if metric.guard else ""),
            metric.direction.value,
            *words.numbers(
                metric.target,
                *(
                    values.get(metric.name)
                    for values in ((record.baseline, record.best, record.values) if record else ({}, {}, {}))
                ),
            ),
        )
        for metric in metrics.foremost(known, record.values if record else {}, METRICS)[:METRICS]
    ]
    if rows:
        yield ""
        yield from output.table(("METRIC", "BETTER", "TARGET", "BASELINE", "BEST", "LAST"), rows)
    if len(known) > len(rows):
        yield f"… and {len(known) - len(rows):,} more; `--json` has them all"


def _attempt_lines(candidate: Candidate) -> Iterator[str]:
    history = candidate.record.history if candidate.record else ()
    if history:
        yield ""
        rows = [_attempt_row(attempt) for attempt in history]
        told = [
            place for place, head in enumerate(ATTEMPT) if head not in SELDOM or any(row[place] not in NOTHING for row in rows)
        ]
        yield from output.table(
            [ATTEMPT[place] for place in told],
            [[row[place] for place in told] for row in rows],
            most=(None,) * (len(told) - 1) + (200,),
        )


def _attempt_row(attempt: Attempt) -> tuple[str, ...]:
    commit = attempt.commit or ""
    commit = "" if "-" in commit else commit[:10]  # a plain folder has none: what stands there is a name for our own use
    return (
        str(attempt.number),
        clean(attempt.agent),
        clean(attempt.model or ""),
        str(attempt.end),
        str(attempt.result),
        durations.text(attempt.seconds),
        budget.cost(attempt.spend).removeprefix("cost "),
        f"{attempt.spend.tokens:,}" if attempt.spend.tokens is not None else "",
        commit,
        clean(attempt.detail),
    )


def _whole_spec(seen: Look, candidate: Candidate) -> Spec | None:
    """The spec with its prose, which the cache leaves out; the cached one where the file can't be read now."""
    from orchestrator.store import specfile

    try:
        return specfile.read(seen.queue.path(candidate.place))
    except (SpecError, OSError):
        return candidate.spec


def _details(seen: Look, candidate: Candidate, spec: Spec | None) -> dict[str, object]:
    from dataclasses import asdict

    history = [asdict(attempt) for attempt in candidate.record.history] if candidate.record else []
    return {
        "repo": _repo(seen, candidate, spec),
        "goal": spec.goal if spec else None,
        "acceptance": spec.acceptance if spec else None,
        "scope": list(spec.scope) if spec else [],
        "off_limits": list(spec.off_limits) if spec else [],
        "base_commit": candidate.record.base_commit if candidate.record else None,
        "best_commit": candidate.record.best_commit if candidate.record else None,
        "history": history,
        "verdicts": list(verdicts.latest(seen.queue.path(candidate.place), candidate.record)[1]),
    }
