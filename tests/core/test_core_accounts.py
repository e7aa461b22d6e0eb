"""What records tell of accounts that refuse work."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.accounts import account, agent_of, holding, paused, pauses
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Pause, Record
from orchestrator.core.task import State

NOW = 1_000.0
FRESH = Record("1", "a", 1, "a", updated=NOW - 10)
LIMITED = replace(FRESH, pauses={"claude": Pause(NOW - 10, NOW + 60)})
LOCKED_OUT = replace(FRESH, pauses={"codex": Pause(NOW - 10, None)}, reason=Reason.AUTH)


@pytest.mark.parametrize(
    ("agent", "model", "name"),
    [("claude", None, "claude"), ("claude", "opus", "claude"), ("pi", "openai/gpt-6", "pi/openai"), ("x", "/y", "x")],
)
def test_an_account_is_an_agent_with_the_provider_that_its_model_names(agent: str, model: str | None, name: str) -> None:
    assert account(agent, model) == name
    assert agent_of(name) == agent


def test_a_limit_counts_until_it_is_over_wherever_the_task_lies_but_in_converged() -> None:
    for state in (State.PENDING, State.RUNNING, State.BLOCKED):
        assert dict(pauses(LIMITED, state, NOW)) == LIMITED.pauses
    assert dict(pauses(LIMITED, State.CONVERGED, NOW)) == {}
    assert dict(pauses(LIMITED, State.PENDING, NOW + 60)) == {}


def test_a_login_counts_while_a_task_is_blocked_for_it() -> None:
    assert dict(pauses(LOCKED_OUT, State.BLOCKED, NOW)) == LOCKED_OUT.pauses
    for state in (State.PENDING, State.RUNNING):
        assert dict(pauses(LOCKED_OUT, state, NOW)) == {}
    assert dict(pauses(replace(LOCKED_OUT, reason=Reason.STOPPED), State.BLOCKED, NOW)) == {}


def test_nothing_is_believed_after_a_clock_was_set_back() -> None:
    assert dict(pauses(LIMITED, State.PENDING, NOW - 5_000)) == {}


def test_of_two_pauses_the_longer_one_counts() -> None:
    found = paused(
        [("a", Pause(1.0, 50.0, "x")), ("a", Pause(5.0, 40.0, "y")), ("b", Pause(1.0, 9.0)), ("b", Pause(2.0, None, "z"))]
    )
    assert found == {"a": Pause(5.0, 50.0, "x"), "b": Pause(2.0, None, "z")}


def test_a_chain_waits_for_the_first_of_its_accounts_and_only_when_all_refuse() -> None:
    refused = {"a": Pause(0.0, NOW + 50), "b": Pause(0.0, NOW + 20), "c": Pause(0.0, None), "d": Pause(0.0, NOW - 1)}
    assert holding(("a", "b"), refused, None, NOW) == ("b", refused["b"])
    assert holding(("a", "free"), refused, None, NOW) is None
    assert holding(("a", "d"), refused, None, NOW) is None
    assert holding(("a", "c"), refused, None, NOW) == ("a", refused["a"])
    assert holding(("c",), refused, None, NOW) == ("c", refused["c"])
    assert holding((), refused, None, NOW) is None
