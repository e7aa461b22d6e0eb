"""Tests: none fails that did not fail before (`test`); those there were, and those that came, really run (`test-validator`)."""

from __future__ import annotations

from collections.abc import Collection
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
    silent = _silent(trial, now, before)
    if not failing and not silent:
        return now.incomparable(before, "test")
    return _as_before(now, failing, silent) if before and before.ended else now.verdict


def _silent(trial: Comparable, now: Ran, before: Ran | None) -> tuple[str, ...]:
    allow = next((gate.allow for gate in trial.asked if gate.name == gates.VALIDATOR), ())
    return testresults.silent(before.tests, now.tests, allow) if before else ()


def _as_before(now: Ran, failing: Collection[str], silent: tuple[str, ...]) -> Verdict:
    """The verdict where all that fail did so on the base: good, unless the command may have failed before it came to the rest."""
    told = f"{_tests(len(failing))}, as before" if failing else now.verdict.reason.removesuffix(".")
    if silent:
        reason = f"{told}, and of {len(silent)} that ran before nothing is said: the command may have ended before them"
        return replace(now.verdict, ok=False, reason=reason, places=silent)
    return replace(now.verdict, ok=True, reason=told)


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
        f"{len(gone)} that ran before no longer run{'s' if len(gone) == 1 else ''} (deleted, renamed or skipped)" if gone else "",
        f"{len(idle)} new {'is' if len(idle) == 1 else 'are'} not run" if idle else "",
        f"{len(empty)} lost all {'its' if len(empty) == 1 else 'their'} assertions" if empty else "",
    ]
    told = " and ".join(filter(None, reasons))
    reason = f"of the tests, {told}; `allow` in the spec names those that may" if told else f"{len(now.tests)} tests told of"
    return Verdict(gate.name, not told, reason, now.verdict.output, places=(*gone, *idle, *empty))
