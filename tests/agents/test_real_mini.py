"""The real mini-swe-agent against a scripted model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
KEY = {"OPENAI_API_KEY": "dummy", "OPENAI_API_BASE": "@URL/v1"}


@pytest.fixture
def mini(tmp_path: Path) -> Bench:
    return bench("mini", tmp_path, KEY, model="openai/fake-model")


def test_it_edits_a_file_and_reports_what_it_used(mini: Bench) -> None:
    outcome = mini.edits(effort="high")
    assert outcome.said == "All done."
    assert outcome.model == "fake-model"
    assert (outcome.spend.input_tokens, outcome.spend.cached_tokens) == (3600, 600)
    assert outcome.spend.usd is None  # a price of 0 is none
    assert {"text", "tool", "result", "usage", "end"} <= mini.kinds()
    assert sorted(path.name for path in mini.stage.worktree.iterdir()) == [".git", "README.md", "hello.txt", "ran.txt"]


def test_a_limit_is_not_retried_for_minutes(mini: Bench) -> None:
    outcome = mini.meets({"kind": "usage-limit", "resets_in": 3600})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.spend.seconds < 60


def test_one_refused_request_is_overcome(mini: Bench) -> None:
    with serve(script({"kind": "rate-limit", "retry_after": 1, "count": 1})) as server:
        outcome = mini.run(mini.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_refused_key_ends_it_within_seconds(mini: Bench) -> None:
    outcome = mini.meets({"kind": "auth"})
    assert outcome.end is AgentEnd.AUTH
    assert outcome.spend.seconds < 30


def test_without_a_model_it_is_not_set_up(mini: Bench) -> None:
    assert mini.meets({"kind": "auth"}, model=None).end is AgentEnd.AUTH


def test_a_full_context_is_told(mini: Bench) -> None:
    assert mini.meets({"kind": "context"}).end is AgentEnd.CONTEXT


def test_an_unknown_model_fails(mini: Bench) -> None:
    assert mini.meets({"kind": "no-model"}).end is AgentEnd.FAILED


def test_a_budget_of_minutes_is_its_own_to_keep(mini: Bench) -> None:
    turns = [{"run": "sleep 5"}, {"run": "true"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        outcome = mini.run(mini.request(server, minutes=0.05))
    assert outcome.end is AgentEnd.FAILED
    assert "limit on time" in outcome.detail


def test_a_model_that_never_answers_is_a_stall_and_a_program_that_is_not_there_is_told(mini: Bench) -> None:
    outcome = mini.meets({"kind": "hang"}, agent=mini.impatient(), limits=Limits(seconds=60, idle=12.0, grace=1.0))
    assert outcome.end is AgentEnd.STALLED
    assert mini.meets({"kind": "hang"}, env={"PATH": "/nowhere"}).end is AgentEnd.NOT_STARTED


def test_what_a_tool_left_running_is_gone_when_the_session_is_stopped(mini: Bench) -> None:
    turns = [{"run": "setsid sleep 600 & sleep 600"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        outcome = mini.run(mini.request(server), limits=Limits(seconds=15, grace=1.0))
    assert outcome.end is AgentEnd.TIMED_OUT
