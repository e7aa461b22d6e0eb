from __future__ import annotations

import pytest

from orchestrator.core import gates
from orchestrator.core.gates import Gate, Mode


@pytest.mark.parametrize(
    ("name", "said", "gate"),
    [
        ("lint", "ruff check", Gate("lint", command="ruff check")),
        ("lint", "warn", Gate("lint", Mode.WARN)),
        ("lint", False, Gate("lint", Mode.OFF)),  # what YAML makes of a bare off
        ("lint", {"command": " x ", "mode": False}, Gate("lint", Mode.OFF, "x")),
        ("judge", "claude", Gate("judge", agent="claude")),
        ("judge", {"agent": "exec", "command": "j", "ask": "why?"}, Gate("judge", command="j", agent="exec", ask="why?")),
        ("test-validator", {"allow": "a::*"}, Gate("test-validator", allow=("a::*",))),
        ("my_own-1", "x", Gate("my_own-1", command="x")),
    ],
)
def test_a_gate_is_read_as_it_is_written_and_survives_the_way_to_the_worker(name: str, said: object, gate: Gate) -> None:
    assert gates.parse(name, said) == gate
    assert gates.from_plain(gates.to_plain(gate)) == gate


def test_one_of_which_only_the_mode_is_said_keeps_the_command_of_the_defaults() -> None:
    found = gates.merged(
        [Gate("lint", command="ruff"), Gate("test", command="t")], [Gate("lint", Mode.OFF), Gate("x", command="x")]
    )
    assert found == {
        "lint": Gate("lint", Mode.OFF, "ruff"),
        "test": Gate("test", command="t"),
        "x": Gate("x", command="x"),
    }


def test_the_judge_is_asked_last_and_those_of_the_user_s_own_in_their_order() -> None:
    names = ("judge", "z", "checks", "test-validator", "a", "lint", "test")
    assert [gate.name for gate in gates.ordered(map(Gate, names))] == [
        "test",
        "lint",
        "checks",
        "z",
        "a",
        "test-validator",
        "judge",
    ]


def test_what_needs_a_command_and_has_none_is_named() -> None:
    asked = [Gate("lint"), Gate("checks"), Gate("own"), Gate("test", Mode.OFF), Gate("test-validator"), Gate("judge")]
    assert gates.without_command(asked) == ("lint", "own", "test-validator")
    assert gates.without_command([Gate("test", command="t"), Gate("test-validator")]) == ()
