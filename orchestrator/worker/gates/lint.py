"""Lint as a delta: a finding counts if the base has none like it, wherever its line stands by now."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import lintdelta
from orchestrator.core.gates import Gate
from orchestrator.worker.gates.trial import Comparable
from orchestrator.worker.measure import Verdict


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
    return replace(now.verdict, ok=True, reason=f"no finding but {len(now.findings)} that the base has, too")
