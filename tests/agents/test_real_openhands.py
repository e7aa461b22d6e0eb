"""The real OpenHands against a scripted model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
KEY = {"LLM_API_KEY": "dummy", "LLM_BASE_URL": "@URL/v1"}


@pytest.fixture
def openhands(tmp_path: Path) -> Bench:
    return bench("openhands", tmp_path, KEY, model="openai/fake-model")


def test_it_edits_a_file_and_goes_on_in_its_worktree(openhands: Bench) -> None:
    outcome = openhands.edits()
    assert outcome.said == "All done."
    assert outcome.session
    assert outcome.model == "openai/fake-model"
    assert (outcome.spend.input_tokens, outcome.spend.cached_tokens) == (3600, 600)
    assert outcome.spend.usd is None
    assert {"session", "text", "tool", "result", "usage", "end"} <= openhands.kinds()
    assert sorted(path.name for path in openhands.stage.worktree.iterdir()) == [".git", "README.md", "hello.txt", "ran.txt"]
    assert not (openhands.stage.root / "home" / ".bash_history").exists()
    with serve(script(turns=[{"finish": "And on."}])) as server:
        again = openhands.run(openhands.request(server, resume=outcome.session, spent=outcome.spend))
        sent, asked = str(server.requests[-1].body), len(server.requests)
    assert (again.end, again.session, again.said) == (AgentEnd.FINISHED, outcome.session, "And on.")
    assert "I write the file." in sent
    assert again.spend.input_tokens == 1200 * asked  # of this session alone


def test_a_limit_that_it_retries_is_a_limit(openhands: Bench) -> None:
    outcome = openhands.meets({"kind": "usage-limit", "resets_in": 3600})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.spend.seconds < 90


def test_a_refused_key_is_told_though_it_exits_with_0(openhands: Bench) -> None:
    assert openhands.meets({"kind": "auth"}).end is AgentEnd.AUTH


def test_without_any_login_it_asks_for_none(openhands: Bench) -> None:
    assert openhands.meets({"kind": "auth"}, env={"LLM_API_KEY": ""}, model=None).end is AgentEnd.AUTH


def test_a_context_that_it_shortens_for_ever_is_full(openhands: Bench) -> None:
    assert openhands.meets({"kind": "context"}).end is AgentEnd.CONTEXT


def test_an_unknown_model_fails(openhands: Bench) -> None:
    assert openhands.meets({"kind": "no-model"}).end is AgentEnd.FAILED


def test_a_model_that_never_answers_is_a_stall(openhands: Bench) -> None:
    outcome = openhands.meets({"kind": "hang"}, agent=openhands.impatient(), limits=Limits(seconds=90, idle=30.0, grace=1.0))
    assert outcome.end is AgentEnd.STALLED


def test_no_tmux_and_nothing_of_a_tool_is_left_when_the_session_is_stopped(openhands: Bench) -> None:
    turns = [{"run": "setsid sleep 600 & sleep 600"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        outcome = openhands.run(openhands.request(server), limits=Limits(seconds=40, grace=1.0))
    assert outcome.end is AgentEnd.TIMED_OUT
