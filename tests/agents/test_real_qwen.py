"""The real Qwen Code against a scripted model."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
KEY = {"OPENAI_API_KEY": "dummy", "OPENAI_BASE_URL": "@URL/v1"}


@pytest.fixture
def qwen(tmp_path: Path) -> Bench:
    return bench("qwen", tmp_path, KEY, model="fake-model")


def test_it_edits_a_file_and_reports_what_it_used(qwen: Bench) -> None:
    outcome = qwen.edits()
    assert outcome.said == "All done."
    assert outcome.session
    assert outcome.model == "fake-model"
    assert (outcome.spend.input_tokens, outcome.spend.cached_tokens) == (3600, 600)
    assert outcome.spend.usd is None
    assert {"session", "text", "tool", "result", "usage", "end"} <= qwen.kinds()
    assert sorted(path.name for path in qwen.stage.worktree.iterdir()) == [".git", "README.md", "hello.txt", "ran.txt"]


def test_a_session_goes_on_in_its_worktree(qwen: Bench) -> None:
    first = qwen.edits()
    with serve(script(turns=[{"finish": "And on."}])) as server:
        again = qwen.run(qwen.request(server, resume=first.session, spent=first.spend))
        sent, asked = str(server.requests[-1].body), len(server.requests)
    assert (again.end, again.session, again.said) == (AgentEnd.FINISHED, first.session, "And on.")
    assert "I write the file." in sent
    assert again.spend.input_tokens == 1200 * asked  # of this session alone


def test_a_rate_limit_that_it_sits_out_tells_when_it_is_over(qwen: Bench) -> None:
    outcome = qwen.meets({"kind": "rate-limit", "retry_after": 3600})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.reset_at == pytest.approx(time.time() + 3570, abs=60)  # it says so half a minute later
    assert outcome.spend.seconds < 75


def test_one_refused_request_is_overcome(qwen: Bench) -> None:
    with serve(script({"kind": "rate-limit", "retry_after": 1, "count": 1})) as server:
        outcome = qwen.run(qwen.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_refused_key_ends_it_within_seconds(qwen: Bench) -> None:
    outcome = qwen.meets({"kind": "auth"})
    assert outcome.end is AgentEnd.AUTH
    assert outcome.spend.seconds < 30


def test_without_any_login_it_asks_for_none(qwen: Bench) -> None:
    assert qwen.meets({"kind": "auth"}, env={"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}).end is AgentEnd.AUTH


def test_a_full_context_is_told(qwen: Bench) -> None:
    assert qwen.meets({"kind": "context"}).end is AgentEnd.CONTEXT


def test_an_unknown_model_fails(qwen: Bench) -> None:
    assert qwen.meets({"kind": "no-model"}, model="none").end is AgentEnd.FAILED


def test_a_budget_of_minutes_is_its_own_to_keep(qwen: Bench) -> None:
    outcome = qwen.meets({"kind": "hang"}, minutes=0.1)
    assert outcome.end is AgentEnd.TIMED_OUT
    assert "6s" in outcome.detail


def test_a_model_that_never_answers_is_a_stall(qwen: Bench) -> None:
    outcome = qwen.meets({"kind": "hang"}, agent=qwen.impatient(), limits=Limits(seconds=60, idle=8.0, grace=2.0))
    assert outcome.end is AgentEnd.STALLED


def test_what_a_tool_left_running_is_gone_when_the_session_is_stopped(qwen: Bench) -> None:
    turns = [{"run": "setsid sleep 600 & sleep 600"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        outcome = qwen.run(qwen.request(server), limits=Limits(seconds=15, grace=1.0))
    assert outcome.end is AgentEnd.TIMED_OUT
