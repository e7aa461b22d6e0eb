"""The real Claude Code against a scripted model."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
KEY = {"ANTHROPIC_BASE_URL": "@URL", "ANTHROPIC_API_KEY": "dummy", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
LOGIN = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "dummy"}


@pytest.fixture
def claude(tmp_path: Path) -> Bench:
    return bench("claude", tmp_path, KEY)


def test_it_edits_a_file_and_reports_what_it_used(claude: Bench) -> None:
    outcome = claude.edits(effort="low", usd=5.0)
    assert outcome.said == "All done."
    assert outcome.session
    assert outcome.model
    assert outcome.spend.input_tokens == 3600
    assert outcome.spend.cached_tokens == 600
    assert outcome.spend.output_tokens == 150
    assert (outcome.spend.usd or 0) > 0
    assert {"session", "model", "text", "tool", "result", "usage", "end"} <= set(claude.kinds())


def test_a_session_goes_on_in_its_worktree(claude: Bench) -> None:
    first = claude.edits()
    with serve(script(turns=[{"finish": "And on."}])) as server:
        again = claude.run(claude.request(server, resume=first.session))
        sent = str(server.requests[-1].body)
    assert (again.end, again.session, again.said) == (AgentEnd.FINISHED, first.session, "And on.")
    assert "I write the file." in sent
    assert again.spend.input_tokens == 1200  # of this session alone
    assert (again.spend.usd or 0) < (first.spend.usd or 0)


def test_a_usage_limit_tells_when_it_is_over(claude: Bench) -> None:
    reset = int(time.time()) + 7200
    outcome = claude.meets({"kind": "usage-limit", "resets_at": reset}, env=LOGIN)
    assert (outcome.end, outcome.reset_at) == (AgentEnd.RATE_LIMITED, reset)


def test_a_rate_limit_that_lasts_is_a_limit(claude: Bench) -> None:
    outcome = claude.meets({"kind": "rate-limit", "retry_after": 3600})
    assert outcome.end is AgentEnd.RATE_LIMITED


def test_one_refused_request_is_overcome(claude: Bench) -> None:
    with serve(script({"kind": "rate-limit", "retry_after": 1, "count": 1})) as server:
        outcome = claude.run(claude.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_refused_key_ends_it_within_seconds(claude: Bench) -> None:
    outcome = claude.meets({"kind": "auth"})
    assert outcome.end is AgentEnd.AUTH
    assert outcome.spend.seconds < 15


def test_no_login_at_all_is_no_login(claude: Bench) -> None:
    outcome = claude.meets({"kind": "auth"}, env={"ANTHROPIC_API_KEY": ""})
    assert outcome.end is AgentEnd.AUTH


def test_a_full_context_is_told(claude: Bench) -> None:
    assert claude.meets({"kind": "context"}).end is AgentEnd.CONTEXT


def test_an_unknown_model_fails(claude: Bench) -> None:
    assert claude.meets({"kind": "no-model"}, model="claude-none").end is AgentEnd.FAILED


def test_servers_that_stay_broken_do_not_hold_it_for_minutes(claude: Bench) -> None:
    outcome = claude.meets({"kind": "server-error"})
    assert outcome.end is AgentEnd.FAILED
    assert outcome.spend.seconds < 60


def test_a_server_that_nobody_reaches_is_waited_for(claude: Bench) -> None:
    with serve(script()) as server:
        request = claude.request(server)
    outcome = claude.run(request)  # it has closed
    assert outcome.end is AgentEnd.RATE_LIMITED, outcome
    assert outcome.spend.seconds < 60


def test_a_model_that_never_answers_is_a_stall(claude: Bench) -> None:
    outcome = claude.meets({"kind": "hang"}, agent=claude.impatient(), limits=Limits(seconds=60, idle=3.0, grace=1.0))
    assert outcome.end is AgentEnd.STALLED


def test_a_tool_at_work_is_no_silence_and_is_gone_when_the_session_is_stopped(claude: Bench) -> None:
    turns = [{"run": "sleep 7; echo slept > slept.txt"}, {"run": "setsid sleep 600 & sleep 600"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        outcome = claude.run(claude.request(server), agent=claude.impatient(), limits=Limits(seconds=15, idle=5.0, grace=1.0))
    assert outcome.end is AgentEnd.TIMED_OUT
    assert (claude.stage.worktree / "slept.txt").exists()


def test_a_budget_of_its_own_ends_it(claude: Bench) -> None:
    with serve(script()) as server:
        outcome = claude.run(claude.request(server, usd=0.01))
    assert outcome.end is AgentEnd.FAILED
    assert "budget" in outcome.detail
    assert (outcome.spend.usd or 0) > 0


def test_it_leaves_nothing_in_the_worktree_but_its_edit(claude: Bench) -> None:
    claude.edits()
    assert sorted(path.name for path in claude.stage.worktree.iterdir()) == [".git", "README.md", "hello.txt", "ran.txt"]
