"""From what a spec and the settings say to agents, models and efforts."""

from __future__ import annotations

import pytest

from orchestrator.agents.protocol import Agent, Traits
from orchestrator.agents.routing import Route, Router
from orchestrator.core.settings import Settings
from orchestrator.core.spec import Spec
from orchestrator.errors import AgentError

TRAITS = {
    "exec": Traits(),
    "claude": Traits(models=("claude-*", "opus"), efforts=("low", "high"), program="claude"),
    "codex": Traits(models=("gpt-*",), efforts=("high",), program="codex"),
    "gemini": Traits(models=("gemini-*",), program="gemini"),
    "opencode": Traits(models=("*/*",), efforts=("high", "max"), program="opencode"),
}


class Known:
    def __init__(self, traits: Traits) -> None:
        self.traits = traits


def find(name: str, _tables: object = None) -> Agent:
    if name not in TRAITS:
        raise AgentError(f"There is no agent called {name!r}.")
    return Known(TRAITS[name])  # type: ignore[return-value]


def router(**settings: object) -> Router:
    return Router(Settings(**settings), find=find, names=lambda _tables: tuple(TRAITS))  # type: ignore[arg-type]


def first(spec: Spec, **settings: object) -> tuple[str, str | None] | None:
    chain = router(**settings).chain(spec)
    return (chain[0].agent, chain[0].model) if chain else None


@pytest.mark.parametrize(
    ("model", "agent"),
    [("claude-opus-5", "claude"), ("opus", "claude"), ("gpt-6", "codex"), ("openai/gpt-6", "opencode"), ("gemini-3", "gemini")],
)
def test_a_model_alone_chooses_the_agent_that_has_it(model: str, agent: str) -> None:
    assert first(Spec(model=model)) == (agent, model)
    assert first(Spec(), model=model) == (agent, model)
    assert first(Spec(model=model), agent="exec") == (agent, model)


def test_what_a_spec_names_goes_before_what_a_model_implies_and_before_settings() -> None:
    assert first(Spec(agent="codex", model="claude-x"), agent="claude", model="opus") == ("codex", "claude-x")
    assert first(Spec(), agent="claude", model="opus") == ("claude", "opus")
    assert first(Spec(), agent="exec", model="claude-x") == ("exec", "claude-x")
    assert first(Spec()) is None
    assert first(Spec(), agent_cmd="true") == ("exec", None)


def test_the_settings_model_is_not_given_to_an_agent_that_it_was_not_meant_for() -> None:
    assert first(Spec(agent="codex"), agent="claude", model="opus") == ("codex", None)
    assert first(Spec(agent="claude"), agent="claude", model="any-name") == ("claude", "any-name")
    assert first(Spec(agent="codex"), model="gpt-6") == ("codex", "gpt-6")
    assert first(Spec(agent="codex"), model="claude-x") == ("codex", None)


def test_an_agent_that_takes_any_model_keeps_one_that_nobody_claims() -> None:
    assert first(Spec(model="big"), agent="exec") == ("exec", "big")
    assert router(agent="claude").problem(Spec(model="big")) is not None


@pytest.mark.parametrize(
    ("spec", "key", "told"),
    [
        (Spec(agent="nemo"), "agent", "exec, claude, codex, gemini, opencode"),
        (Spec(model="nemo-7"), "model", "claude: claude-*, opus"),
        (Spec(agent="codex", fallback=("claude", "nemo")), "fallback", "exec, claude"),
    ],
)
def test_what_nobody_knows_is_told_with_its_key_and_what_there_is(spec: Spec, key: str, told: str) -> None:
    problem = router(agent="claude").problem(spec)
    assert problem is not None
    assert problem.key == key
    assert told in str(problem)
    with pytest.raises(AgentError, match=problem.value):
        router(agent="claude").chain(spec)
    assert router(agent="claude").accounts(spec) == problem


def test_a_setting_that_nobody_knows_is_told_as_such() -> None:
    assert router(agent="nemo").setting_problem() is not None
    assert router(model="nemo-7").setting_problem() is not None
    assert router(agent="claude", fallback=("nemo",)).setting_problem() is not None
    assert router(agent="claude", model="any-name", fallback=("codex", "openai/gpt-6")).setting_problem() is None


def test_those_that_stand_in_get_the_model_only_where_it_is_theirs() -> None:
    chain = router(fallback=("gemini",), effort="high").chain(
        Spec(model="claude-x", fallback=("codex", "openai/gpt-6", "claude"))
    )
    assert [(route.agent, route.model) for route in chain] == [
        ("claude", "claude-x"),
        ("codex", None),
        ("opencode", "openai/gpt-6"),
    ]
    assert [route.account for route in chain] == ["claude", "codex", "opencode/openai"]
    assert [route.agent for route in router(agent="claude", fallback=("codex",)).chain(Spec())] == ["claude", "codex"]


def test_a_variant_behind_a_model_is_its_effort_and_any_other_ending_is_part_of_its_name() -> None:
    fitted = router().fitted
    assert fitted(Route("opencode", "openai/gpt-6:max", "low")) == Route("opencode", "openai/gpt-6", "max")
    assert fitted(Route("opencode", "ollama/llama3:8b")) == Route("opencode", "ollama/llama3:8b")


def test_an_effort_that_a_program_does_not_have_is_left_out_and_told() -> None:
    fitted = router().fitted
    assert fitted(Route("claude", None, "high")) == Route("claude", None, "high")
    assert fitted(Route("exec", None, "any")).effort == "any"
    left_out = fitted(Route("codex", None, "low"))
    assert (left_out.effort, left_out.notices) == (None, ("effort low is left out: codex has only high",))
    assert fitted(Route("gemini", None, "low")).notices == ("effort low is left out: gemini has no such setting",)
