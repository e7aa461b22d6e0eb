"""What an attempt came to, on one page beside its logs, and what the task came to. People read it; nothing decides by it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.core import budget, digits, metrics, reporting
from orchestrator.core.evidence import Changed, Evidence
from orchestrator.core.masking import Masker
from orchestrator.core.record import Attempt, Record
from orchestrator.core.reporting import cell, point
from orchestrator.core.resolving import Resolving
from orchestrator.core.spec import Metric, Spec
from orchestrator.core.task import State
from orchestrator.errors import OrchestratorError, SpecError, StoreError
from orchestrator.git import changes, ranges, repository
from orchestrator.store import dossier, durable, sessionlog, specfile
from orchestrator.worker.execution import Verdict
from orchestrator.worker.work import Ending, Work

TELLING = frozenset({"PATH", "LANG", "LC_ALL", "TZ"})  # variables that change what a benchmark says, and are no secrets

PLACES = 20  # of one gate's findings


def build(
    spec: Spec,
    record: Record,
    attempt: Attempt,
    verdicts: tuple[Verdict, ...],
    doubts: tuple[str, ...] = (),
    resolving: Resolving | None = None,
) -> str:
    """The page as markdown. `record` is the one that counts the attempt already. `resolving`: the conflict it was made for."""
    lines = [
        f"# {spec.title or record.name}: attempt {attempt.number}",
        "",
        point(f"Result: {attempt.result.value}{f' ({attempt.detail})' if attempt.detail else ''}"),
        f"- Agent: {attempt.agent}{f' ({attempt.model})' if attempt.model else ''}, {attempt.end.value}, {attempt.seconds:.1f} s",
        f"- Spend: {budget.told(attempt.spend)}; of the whole task: {budget.told(record.spend)}",
        f"- Commit: {attempt.commit or 'none'}, begun at {record.base_commit or 'no commit'} of {record.base or 'no branch'}",
        *([point(f"It was to resolve the conflict with {resolving.base} in {resolving.named}")] if resolving else []),
        f"- Evaluator: {record.seal or 'not sealed'}",
        "",
        *_numbers(metrics.deciding(spec.metrics, attempt.values), record, attempt.values),
        *(line for verdict in verdicts for line in _gate(verdict)),
        *(point(f"Look at this: {doubt}") for doubt in doubts),
        f"- {reporting.worth(record, spec.metrics)}",
    ]
    return "\n".join(lines) + "\n"


def evidence(work: Work) -> Evidence:
    """All that is known of the task by now, for its page and for the commit that lands."""
    spec = work.spec
    return dossier.read(work.claim.folder, work.record, title=spec.title, goal=spec.goal, metrics=spec.metrics)


def leave(work: Work, ending: Ending) -> None:
    """The task's own page, once it is through, and a session log that a tool of the autoresearch family began in its folder.
    Both can be made again at any time (`orchestrator report`, `export`), so a kill, or a disk that is full, costs nothing."""
    log = sessionlog.continued(work.claim.folder)
    through = ending.state in (State.CONVERGED, State.BLOCKED)
    if not through and log is None:
        return
    found = evidence(work)
    with suppress(StoreError, OSError):
        if log is not None:
            sessionlog.bring_up(log, found, work.mask.text)
        if through:
            _page(work, ending, found)


def _page(work: Work, ending: Ending, found: Evidence) -> None:
    ended = replace(work.record, reason=ending.reason, detail=ending.detail or None, landed=ending.landed or work.record.landed)
    found = replace(found, record=ended)
    found = replace(found, changes=changed(work.claim.folder, found))
    work.claim.write(dossier.REPORT, reporting.page(found).encode(errors="replace"))


def renew(folder: Path, record: Record, mask: Masker) -> None:
    """The page of a task that was through already, of whose work something became since. One that can't be written, or whose
    writer is killed, stays as it was."""
    with suppress(StoreError, SpecError, OSError):
        spec = specfile.read(folder)
        found = dossier.read(folder, record, title=spec.title, goal=spec.goal, metrics=spec.metrics)
        page = reporting.page(replace(found, changes=changed(folder, found)))
        durable.write(folder / ".orch" / dossier.REPORT, mask.data(page.encode(errors="replace")), point="report", durable=False)


def changed(folder: Path, found: Evidence) -> tuple[Changed, ...]:
    """The files that the work changes, as git counts them: one attempt may take back what another did. The patch of an only one
    tells the same without asking."""
    record = found.record
    if record.attempts == 1 and (alone := dossier.changed(folder, found)):
        return alone
    try:
        span = ranges.of(repository.discover(Path(record.repo or "")), record)
        return tuple(Changed(*each) for each in changes.counts(span.repo, span.old, span.new)) if span else ()
    except OrchestratorError:  # a repository that has gone, or a plain folder
        return dossier.changed(folder, found)


def environment(work: Work) -> dict[str, object]:
    """Where this worker measures, and a digest by which two such places can be told apart. Of variables that may be secrets
    only the names count."""
    system = os.uname()
    seen = work.environment(Path())
    told = {name: seen[name] if name in TELLING else "" for name in sorted(seen) if not name.startswith("ORCH_")}
    facts = {"system": f"{system.sysname} {system.release} {system.machine}", "cores": os.cpu_count()}
    digest = hashlib.sha256(json.dumps([facts, told], sort_keys=True).encode(errors="replace")).hexdigest()
    return {**facts, "digest": digest}


def _gate(verdict: Verdict) -> Iterator[str]:
    warned = "" if verdict.ok or verdict.blocks else " (a warning)"
    yield point(f"Gate {verdict.name}: {verdict.reason}{warned}")
    yield from (f"  {point(place)}" for place in verdict.places[:PLACES])


def _numbers(known: tuple[Metric, ...], record: Record, values: Mapping[str, float]) -> list[str]:
    if not known:
        return []
    rows = []
    for metric in known:
        numbers = record.baseline.get(metric.name), values.get(metric.name), metric.target
        cells = ("-" if value is None else digits.beside(value, *numbers) for value in numbers)
        rows.append(f"| {' | '.join((cell(metric.name), *cells))} |")
    return ["| metric | baseline | this attempt | target |", "|---|---|---|---|", *rows, ""]
