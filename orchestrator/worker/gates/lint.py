"""Lint as a delta: a finding counts if the base has none like it, wherever its line stands by now."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import lintdelta
from orchestrator.core.gates import Gate
from orchestrator.worker.execution import Verdict
from orchestrator.worker.gates.trial import Comparable, Ran

TELLS_MORE = "If its exit code tells what it found, let its command end with 0 wherever it came to its end."


def lint(trial: Comparable, gate: Gate) -> Verdict:
    """No finding that is new. A linter that names no lines has to succeed."""
    assert gate.command is not None
    now = trial.here(gate.name, gate.command)
    if not now.ended or (now.verdict.ok and not now.findings):
        return now.verdict
    before = trial.before(gate.name, gate.command)
    if before is None:
        return now.verdict
    if new := lintdelta.new(before.findings, now.findings):
        found = f"{len(new)} new finding{'' if len(new) == 1 else 's'}"
        return replace(now.verdict, ok=False, reason=found, places=tuple(map(str, new)))
    if not now.findings:
        return now.incomparable(before, "line")
    if why := _cut_short(now, before):
        return replace(now.verdict, ok=False, reason=why)
    return replace(now.verdict, ok=True, reason=f"no finding but {len(now.findings)} that the base has, too")


def _cut_short(now: Ran, before: Ran) -> str:
    """Why the findings may not be all of them: one that fails in another way than on the base may have ended before it came to
    what is new. One that found less succeeds, or ends as it did there."""
    if now.verdict.ok or now.verdict.code == before.verdict.code:
        return ""
    there = f"and with {before.verdict.code} on the base" if before.ended else "and came to no end on the base"
    return f"{now.verdict.reason.rstrip('.')}, {there}, so it may have died before it found what is new. {TELLS_MORE}"
