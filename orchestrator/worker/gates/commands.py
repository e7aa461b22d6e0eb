"""The gates that only ask whether a command succeeds: the task's checks, the verify command, the user's own, and the doctor."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core.gates import Gate
from orchestrator.worker.execution import Verdict
from orchestrator.worker.gates.trial import NO_PROGRAM, Comparable, Trial


def command(trial: Comparable, gate: Gate) -> Verdict:
    """Exit code 0 is yes."""
    assert gate.command is not None
    return trial.check(gate.name, gate.command)


def checks(trial: Trial, gate: Gate) -> Verdict:
    """The sealed script of checks in the task folder, then the command that the spec names beside it."""
    script = trial.work.evaluator.checks
    verdict = trial.check(gate.name, script, trial.work.shown) if script else None
    if gate.command is None or (verdict and not verdict.ok):
        return verdict or Verdict(gate.name, True, "there are no checks")
    return command(trial, gate)


def doctor(trial: Comparable, gate: Gate) -> Verdict:
    """The doctor must be well, and must notice the canary: one that never says no proves nothing."""
    verdict = command(trial, gate)
    if not verdict.ok:
        return verdict
    assert gate.command is not None
    canary = trial.check(gate.name, gate.command, ORCH_CANARY="1")
    if canary.ok:
        return replace(canary, ok=False, reason="it proves nothing: with ORCH_CANARY=1, where it must fail, it passes too")
    if canary.code is None or canary.code in NO_PROGRAM:
        return replace(canary, ok=False, reason=f"it proves nothing: with ORCH_CANARY=1 it doesn't run. {canary.reason}")
    return replace(verdict, reason="passed, and fails with ORCH_CANARY=1 as it must")
