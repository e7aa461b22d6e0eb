"""Tests: none fails that did not fail before (`test`); those there were, and those that came, really run (`test-validator`)."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import gates, testresults
from orchestrator.core.gates import Gate
from orchestrator.worker.execution import Verdict
from orchestrator.worker.gates.trial import Comparable, Ran, Trial

UNTOLD = (
    "its command doesn't say which tests it ran; `pytest -rA`, `--junitxml=$ORCH_JUNIT_FILE`, "
    "`unittest -v`, `go test -v`, `cargo test` and TAP do"
)


def test(trial: Comparable, gate: Gate) -> Verdict:
    """No failure but those that the base has; a command that tells of no single test has to succeed."""
    assert gate.command is not None
    now = trial.here(gate.name, gate.command)
    failing = testresults.failures(now.tests)
    if not now.ended or (now.verdict.ok and not failing):
        return now.verdict
    before = trial.before(gate.name, gate.command)
    introduced = sorted(failing - testresults.failures(before.tests)) if before else sorted(failing)
    if introduced:
        return replace(
            now.verdict, ok=False, reason=f"{_tests(len(introduced))} that did not fail before", places=tuple(introduced)
        )
    if not failing:
        return _without_a_failure(trial, now, before)
    return _as_before(trial, now, before, len(failing)) if before and before.ended else now.verdict


def _without_a_failure(trial: Comparable, now: Ran, before: Ran | None) -> Verdict:
    """The no of a command that fails though no test does: as some do where they find none any more, or all are skipped."""
    gone = testresults.gone(before.tests, now.tests, _allowed(trial)) if before else ()
    if not gone:
        return now.incomparable(before, "test")
    return replace(now.verdict, reason=f"{now.verdict.reason.removesuffix('.')}: {_gone(len(gone))}", places=gone)


def _as_before(trial: Comparable, now: Ran, before: Ran, failing: int) -> Verdict:
    """The verdict where all that fail did so on the base: good, unless the command may have failed before it came to the rest."""
    told = f"{_tests(failing)}, as before"
    if silent := testresults.silent(before.tests, now.tests, _allowed(trial)):
        reason = f"{told}, and of {len(silent)} that ran before nothing is said: the command may have ended before them"
        return replace(now.verdict, ok=False, reason=reason, places=silent)
    return replace(now.verdict, ok=True, reason=told)


def _allowed(trial: Comparable) -> tuple[str, ...]:
    return next((gate.allow for gate in trial.asked if gate.name == gates.VALIDATOR), ())


def _gone(count: int) -> str:
    return f"{count} that ran before no longer run{'s' if count == 1 else ''}"


def _tests(count: int) -> str:
    return f"{count} test{'' if count == 1 else 's'} fail{'s' if count == 1 else ''}"


def validator(trial: Trial, gate: Gate) -> Verdict:
    """Every test that ran on the base still runs and asserts something, and every one that the change adds is run; `allow` names
    exceptions."""
    from orchestrator.core import emptied  # with Python's grammar, which few tasks need

    command = gate.command or next((each.command for each in trial.asked if each.name == "test"), None)
    assert command is not None, f"{gates.VALIDATOR} without a command is refused when the task is taken up"
    before, now = trial.before(gate.name, command), trial.here(gate.name, command)
    if not testresults.ran(now.tests) and not (before and testresults.ran(before.tests)):
        return replace(now.verdict, ok=False, reason=UNTOLD)
    gone = testresults.gone(before.tests, now.tests, gate.allow) if before else ()
    idle = testresults.never_run(testresults.added(trial.patch()), now.tests, gate.allow)
    empty = emptied.emptied(trial.revised(emptied.holds_tests), gate.allow)
    reasons = [
        f"{_gone(len(gone))} (deleted, renamed or skipped)" if gone else "",
        f"{len(idle)} new {'is' if len(idle) == 1 else 'are'} not run" if idle else "",
        f"{len(empty)} lost all {'its' if len(empty) == 1 else 'their'} assertions" if empty else "",
    ]
    told = " and ".join(filter(None, reasons))
    reason = f"of the tests, {told}; `allow` in the spec names those that may" if told else f"{len(now.tests)} tests told of"
    return Verdict(gate.name, not told, reason, now.verdict.output, places=(*gone, *idle, *empty))
