"""Gates on real commits: what they let through, what they hold back, and what they say."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from support.desk import DONE, Desk

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import State

UNITTEST = f"{sys.executable} -B -m unittest -v"
TESTS = """import unittest
class T(unittest.TestCase):
    def test_good(self): self.assertTrue(open("todo.txt"))
    def test_broken(self): self.fail("since ever")
"""
LINT = "grep -n BAD *.txt | sed 's/$/ is bad/'; true"  # `file:2:BAD is bad`
LINT = 'for f in *.txt; do grep -n BAD $f | sed "s/:/:1: /;s/^/$f:/"; done; true'
ONCE = "max_failures: 1\n"


def verdicts(desk: Desk, number: int = 1) -> dict[str, dict[str, Any]]:
    data = json.loads((desk.folder() / f".orch/attempts/{number:04d}/verdicts.json").read_text())
    return {each["gate"]: each for each in data["verdicts"]}


def served(desk: Desk, front: str, script: str = DONE) -> dict[str, dict[str, Any]]:
    """One attempt by this script under these gates, and what they said."""
    desk.drop(front=ONCE + front)
    desk.agent(script)
    desk.serve()
    return verdicts(desk)


@pytest.mark.parametrize(
    ("script", "ok", "places"),
    [
        (DONE, True, []),  # what failed before may go on failing
        (f"{DONE}; sed -i s/assertTrue/assertFalse/ test_it.py", False, ["test_good (test_it.T.test_good)"]),
        (f"{DONE}; printf '    def test_new(self): self.fail()\\n' >> test_it.py", False, ["test_new (test_it.T.test_new)"]),
        (f"{DONE}; echo nonsense >> test_it.py", False, None),
    ],
    ids=["as-before", "broken", "new-and-failing", "cannot-be-read"],
)
def test_only_a_failure_that_the_change_brings_counts(desk: Desk, script: str, ok: bool, places: list[str] | None) -> None:
    desk.commit({"test_it.py": TESTS})
    said = served(desk, f"gates: {{test: '{UNITTEST}'}}", script)["test"]
    assert (said["ok"], said["mode"]) == (ok, "block")
    assert places is None or said["places"] == places
    assert desk.state() is (State.CONVERGED if ok else State.BLOCKED)
    assert ok or (desk.record().reason, desk.record().history[0].result) == (Reason.GATE, Result.GATE)


DIES = DONE + """; sed -i 's/open("todo.txt")/__import__("os")._exit(1)/' test_it.py"""  # after the one that fails anyway


@pytest.mark.parametrize(
    ("script", "more", "ok"),
    [
        (DIES, "", False),
        (f"{DONE}; sed -i /test_good/d test_it.py", "", False),
        (f"{DONE}; sed -i /test_good/d test_it.py", ", test-validator: {allow: ['test_good*'], mode: warn}", True),
        (f"{DONE}; sed -i 's/    def test_good/    @unittest.skip(\"no\")\\n&/' test_it.py", "", True),
    ],
    ids=["died-half-way", "deleted", "may-be-deleted", "skipped"],
)
def test_a_failure_known_before_excuses_no_command_that_says_nothing_of_the_other_tests(
    desk: Desk, script: str, more: str, ok: bool
) -> None:
    desk.commit({"test_it.py": TESTS})
    said = served(desk, f"gates: {{test: '{UNITTEST}'{more}}}", script)["test"]
    assert (said["ok"], said["places"]) == (ok, [] if ok else ["test_good (test_it.T.test_good)"]), said


@pytest.mark.parametrize("does", ["rm test_it.py", "sed -i 's/^ *def test_/    @unittest.skip(\"no\")\\n&/' test_it.py"])
def test_a_command_that_finds_no_test_to_run_any_more_is_told_with_those_that_are_gone(desk: Desk, does: str) -> None:
    """As pytest does, and unittest since Python 3.12. The base fails as well: that is what the task is about."""
    desk.commit({"test_it.py": TESTS})
    command = f"grep -q unittest.skip test_it.py && {UNITTEST} && exit 5; test -e test_it.py || exit 5; {UNITTEST}"
    said = served(desk, f"gates: {{test: '{command}'}}", f"{DONE}; {does}")["test"]
    told = "The test command ended with exit code 5: 2 that ran before no longer run"
    assert (said["ok"], said["reason"], len(said["places"])) == (False, told, 2), said


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (
            "exit 3",
            "The test command ended with exit code 3. It fails on the base, too, and names no test: nothing can be compared.",
        ),
        ("test -s todo.txt", "The test command ended with exit code 1."),
        ("nowhere-to-be-found", "exit code 127"),
        ("kill -9 $$", "SIGKILL"),
    ],
)
def test_a_command_that_fails_and_names_no_test_says_no_whatever_the_base_does(desk: Desk, command: str, why: str) -> None:
    verdict = served(desk, f"gates: {{test: '{command}'}}")["test"]
    assert not verdict["ok"]
    assert why in verdict["reason"]


def test_a_linter_that_never_worked_lets_nothing_pass(desk: Desk) -> None:
    verdict = served(desk, "gates: {lint: 'python3 -m no_such_linter'}")["lint"]
    assert not verdict["ok"]
    assert "names no line" in verdict["reason"]


def test_tests_that_fail_on_the_new_base_too_are_not_the_task_s(desk: Desk) -> None:
    """The merged commit is compared with the base as it is by then."""
    desk.commit({"test_it.py": TESTS})
    desk.drop(front=f"gates: {{test: '{UNITTEST}'}}")
    breaks = "sed -i s/assertTrue/assertFalse/ test_it.py; git commit -qam broken"
    desk.agent(f"{DONE}; cd {desk.repo} && {breaks}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    said = [event["commit"] for event in desk.events(event="verdict")]
    assert said[-1] == desk.main
    assert len(set(said)) == 2


def test_only_a_line_that_is_new_counts_for_lint_and_lines_that_moved_are_not(desk: Desk) -> None:
    desk.commit({"notes.txt": "BAD\nfine\n"})
    script = f"{DONE}; printf 'first\\nBAD\\n' > notes.txt; printf 'BAD\\n' > more.txt"
    said = served(desk, f"gates: {{lint: {{command: {json.dumps(LINT)}, mode: warn}}}}", script)["lint"]
    assert (said["ok"], said["mode"], said["reason"]) == (False, "warn", "1 new finding")
    assert said["places"] == ["more.txt:1: BAD"] or said["places"] == ["notes.txt:2: BAD"]
    assert desk.state() is State.CONVERGED  # a warning doesn't block
    report = (desk.folder() / ".orch/attempts/0001/report.md").read_text()
    assert "- Gate lint: 1 new finding (a warning)" in report


def second_prompt(desk: Desk) -> str:
    """What an agent is told that left a file which gates refuse, and takes it out then."""
    desk.agent(f'{desk.call} {DONE}; [ "$n" = 2 ] && rm new.txt && exit; echo BAD > new.txt')
    desk.serve()
    return (desk.folder() / ".orch/attempts/0002/prompt.md").read_text()


def test_a_line_that_is_new_blocks_and_the_next_prompt_names_it(desk: Desk) -> None:
    desk.drop(front=f"gates: {{lint: {json.dumps(LINT)}}}")
    prompt = second_prompt(desk)
    assert [attempt.result for attempt in desk.record().history] == [Result.GATE, Result.CONVERGED]
    assert "lint: 1 new finding\nnew.txt:1: BAD" in prompt


def test_the_next_prompt_has_what_every_gate_says_that_blocks(desk: Desk) -> None:
    types = "test ! -e new.txt || { echo 1 error; exit 3; }"
    desk.drop(front=f"gates: {{lint: {json.dumps(LINT)}, types: {json.dumps(types)}}}")
    prompt = second_prompt(desk)
    assert "lint: 1 new finding\nnew.txt:1: BAD" in prompt
    assert "types: The types command ended with exit code 3.\n1 error" in prompt


def test_each_of_them_has_its_reason_there_however_much_they_print(desk: Desk) -> None:
    """The prompt has room for the end of 6000 characters: of three that print more the first ones were cut off."""
    prints = "[ ! -e new.txt ] || { yes 'a line of it' | head -500; echo last of %s; exit 3; }"
    desk.drop(front=f"gates: {json.dumps({name: prints % name for name in ('one', 'two', 'three')})}")
    prompt = second_prompt(desk)
    for name in ("one", "two", "three"):
        assert f"{name}: The {name} command ended with exit code 3.\n" in prompt
        assert f"a line of it\nlast of {name}\n" in prompt


BADS = f"{LINT}; grep -q BAD *.txt || exit 0; "  # a linter that fails where it finds anything


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("[ -e more.txt ] && kill -SEGV $$; exit 1", "The lint command was ended by SIGSEGV."),
        ("[ -e more.txt ] && sh -c 'kill -SEGV $$'; [ $? = 139 ] && exit 139; exit 1", "exit code 139 (ended by SIGSEGV)."),
        ("[ -e more.txt ] && exit 2; exit 1", "ended with exit code 2, and with 1 on the base, so it may have died"),
        ("[ -e more.txt ] && exit 1; kill -SEGV $$", "ended with exit code 1, and came to no end on the base"),
        ("[ -e more.txt ] && exit 0; exit 1", ""),
        ("exit 1", ""),
        ("exit 0", ""),
    ],
    ids=["signal", "signal-below-a-shell", "other-code", "base-died", "succeeds", "as-on-the-base", "never-fails"],
)
def test_a_linter_that_ended_otherwise_than_on_the_base_may_not_have_come_to_what_is_new(
    desk: Desk, end: str, reason: str
) -> None:
    desk.commit({"notes.txt": "BAD\nfine\nBAD too\n"})
    said = served(desk, f"gates: {{lint: {json.dumps(BADS + end)}}}", f"{DONE}; sed -i 1d notes.txt; touch more.txt")["lint"]
    assert said["ok"] is not bool(reason), said
    assert reason in said["reason"]
    assert desk.state() is (State.BLOCKED if reason else State.CONVERGED)


def test_a_linter_that_has_nothing_left_to_find_has_to_succeed_as_well(desk: Desk) -> None:
    desk.commit({"notes.txt": "BAD\n"})
    said = served(desk, f"gates: {{lint: {json.dumps(LINT + '; exit 1')}}}", f"{DONE}; echo fine > notes.txt")["lint"]
    assert not said["ok"]


@pytest.mark.parametrize(
    ("doctor", "ok", "reason"),
    [
        ('test -z "$ORCH_CANARY"', True, "fails with ORCH_CANARY=1"),
        ("true", False, "it proves nothing"),
        ("false", False, "exit code 1"),
        ('test -z "$ORCH_CANARY" || exit 127', False, "it proves nothing"),
    ],
)
def test_a_doctor_that_misses_its_canary_proves_nothing(desk: Desk, doctor: str, ok: bool, reason: str) -> None:
    said = served(desk, f"gates: {{doctor: '{doctor}'}}")["doctor"]
    assert said["ok"] is ok
    assert reason in said["reason"]


VALID = f"gates: {{test: '{UNITTEST}', test-validator: block}}"


@pytest.mark.parametrize(
    ("script", "places"),
    [
        (DONE, []),
        (f"{DONE}; sed -i /test_good/d test_it.py", ["test_good (test_it.T.test_good)"]),
        (f"{DONE}; sed -i 's/    def test_good/    @unittest.skip(\"\")\\n&/' test_it.py", ["test_good (test_it.T.test_good)"]),
        (f"{DONE}; echo 'def test_never(): pass' > test_more.py", ["test_more.py::test_never"]),
        (f"{DONE}; printf '    def test_new(self): pass\\n' >> test_it.py", []),
        (f"{DONE}; sed -i 's/\\(def test_good(self):\\).*/\\1 pass/' test_it.py", ["test_it.py::T::test_good"]),
    ],
    ids=["untouched", "deleted", "skipped", "never-run", "new", "emptied"],
)
def test_tests_are_really_run_and_none_is_lost(desk: Desk, script: str, places: list[str]) -> None:
    desk.commit({"test_it.py": TESTS})
    said = served(desk, VALID, script)["test-validator"]
    assert (said["places"], said["ok"]) == (places, not places)


def test_the_spec_may_say_which_test_goes(desk: Desk) -> None:
    desk.commit({"test_it.py": TESTS})
    front = f"gates: {{test: '{UNITTEST}', test-validator: {{allow: 'test_good *'}}}}"
    assert served(desk, front, f"{DONE}; sed -i /test_good/d test_it.py")["test-validator"]["ok"]


def test_a_command_that_does_not_say_what_it_ran_validates_nothing(desk: Desk) -> None:
    said = served(desk, "gates: {test-validator: {command: 'true'}}")["test-validator"]
    assert not said["ok"]
    assert "doesn't say which tests it ran" in said["reason"]


def test_checks_can_be_switched_off_and_other_names_are_commands(desk: Desk) -> None:
    desk.drop(front="gates: {checks: off, size: 'test ! -s todo.txt', shown: {command: 'false', mode: warn}, not: {command: 'x', mode: off}}",
              files={"checks.sh": "exit 1\n"})  # fmt: skip
    desk.agent(DONE)
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert {name: each["ok"] for name, each in verdicts(desk).items()} == {"size": True, "shown": False}


def test_gates_of_the_configuration_hold_for_every_task_and_a_spec_may_turn_one_off(desk: Desk) -> None:
    desk.set(gates={"size": {"name": "size", "command": "false"}, "other": {"name": "other", "command": "true"}})
    desk.drop("x", front="max_failures: 1")
    desk.drop("y", front="gates: {size: off}")
    desk.agent(DONE)
    desk.serve("x")
    desk.serve("y")
    assert (desk.state("x"), desk.state("y")) == (State.BLOCKED, State.CONVERGED)
    assert (
        desk.record("x").detail
        == "1 attempt in a row brought no improvement; the last one: size: The size command ended with exit code 1."
    )


def test_each_gate_runs_on_a_clean_checkout_of_exactly_the_commit(desk: Desk) -> None:
    front = "gates: {one: 'test ! -e litter && touch litter', two: 'test ! -e litter && test -e new.txt && test ! -e a.ignored'}"
    said = served(desk, front, f"{DONE}; touch new.txt a.ignored")
    assert [each["ok"] for each in said.values()] == [True, True]
    document = json.loads((desk.folder() / ".orch/attempts/0001/verdicts.json").read_text())
    assert document["commit"] == desk.refs()["0001"]


def test_a_gate_without_a_command_is_refused_before_anybody_is_paid(desk: Desk) -> None:
    desk.drop(front="gates:\n  lint: block")
    desk.agent(f"{desk.call}")
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.calls()) == (State.BLOCKED, Reason.BENCHMARK_DEFECT, 0)
    said = desk.record().detail or ""
    assert said.startswith("autoresearch.md:3:1: found the gate `lint` without a command, expected one for it")
    assert "`orchestrator edit x --gate lint=COMMAND`" in said


@pytest.mark.parametrize(
    "gates", ["doctor: 'sh doctor.sh'", "judge: {command: 'timeout 60 sh doctor.sh'}", "own: bash -e doctor.sh"]
)
def test_the_script_that_a_gate_runs_may_not_be_changed(desk: Desk, gates: str) -> None:
    desk.commit({"doctor.sh": 'test -z "$ORCH_CANARY"\n'})
    desk.drop(front=f"{ONCE}gates: {{{gates}}}")
    desk.agent(f"{DONE}; echo 'exit 0' > doctor.sh")
    desk.serve()
    assert desk.record().reason is Reason.SCOPE_VIOLATION
    assert "doctor.sh (the benchmark or a gate runs it: no task may change it)" in (desk.record().detail or "")


def test_gates_are_sealed_with_the_spec(desk: Desk) -> None:
    desk.drop(front=f"{ONCE}gates: {{size: 'false'}}")
    spec = f"{desk.queue.root}/running/x.*/autoresearch.md"
    desk.agent(f"{DONE}; sed -i '/^gates/d' {spec}")
    desk.serve()
    assert desk.record().reason is Reason.GATE
    assert "gates in the spec changed while an agent ran" in (desk.record().doubt or "")
