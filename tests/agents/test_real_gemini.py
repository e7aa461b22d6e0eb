"""The real Gemini CLI against a scripted model."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
KEY = {"GEMINI_API_KEY": "dummy", "GOOGLE_GEMINI_BASE_URL": "@URL"}
CHOSEN = '{"security": {"auth": {"selectedType": "gemini-api-key"}}}'


@pytest.fixture
def gemini(tmp_path: Path) -> Bench:
    return bench("gemini", tmp_path, KEY, model="gemini-2.5-pro")


def test_it_edits_a_file_reports_what_it_used_and_leaves_the_users_own_folder_alone(gemini: Bench) -> None:
    outcome = gemini.edits()
    assert outcome.said == "All done."
    assert outcome.session
    assert outcome.model == "gemini-2.5-pro"
    assert (outcome.spend.input_tokens, outcome.spend.cached_tokens, outcome.spend.output_tokens) == (3600, 600, 150)
    assert outcome.spend.usd is None
    assert {"session", "text", "tool", "result", "usage", "end"} <= gemini.kinds()
    assert not (gemini.stage.root / "home" / ".gemini").exists()
    assert sorted(path.name for path in gemini.stage.worktree.iterdir()) == [".git", "README.md", "hello.txt", "ran.txt"]


def test_a_login_that_the_user_chose_is_left_as_it_is(gemini: Bench) -> None:
    settings = gemini.stage.root / "home" / ".gemini" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(CHOSEN)
    gemini.edits()
    assert settings.read_text() == CHOSEN
    assert not (gemini.stage.root / "home" / ".local").exists()


def test_a_session_goes_on_in_its_worktree(gemini: Bench) -> None:
    first = gemini.edits()
    with serve(script(turns=[{"finish": "And on."}])) as server:
        again = gemini.run(gemini.request(server, resume=first.session))
        sent = str(server.requests[-1].body)
    assert (again.end, again.session, again.said) == (AgentEnd.FINISHED, first.session, "And on.")
    assert "I write the file." in sent
    assert again.spend.input_tokens == 1200  # of this session alone


def test_a_rate_limit_that_lasts_tells_when_it_is_over(gemini: Bench) -> None:
    outcome = gemini.meets({"kind": "rate-limit", "retry_after": 3600})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.reset_at == pytest.approx(time.time() + 3600, abs=60)


def test_a_used_up_quota_is_a_limit(gemini: Bench) -> None:
    assert gemini.meets({"kind": "usage-limit", "resets_in": 3600}).end is AgentEnd.RATE_LIMITED


def test_retries_that_go_on_for_minutes_are_a_limit_too(gemini: Bench) -> None:
    outcome = gemini.meets({"kind": "rate-limit", "retry_after": 1})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.spend.seconds < 60


def test_one_refused_request_is_overcome(gemini: Bench) -> None:
    with serve(script({"kind": "rate-limit", "retry_after": 1, "count": 1})) as server:
        outcome = gemini.run(gemini.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_refused_key_ends_it_within_seconds(gemini: Bench) -> None:
    outcome = gemini.meets({"kind": "auth"})
    assert outcome.end is AgentEnd.AUTH
    assert outcome.spend.seconds < 30


def test_without_any_login_it_asks_for_none(gemini: Bench) -> None:
    outcome = gemini.meets({"kind": "auth"}, env={"GEMINI_API_KEY": "", "GOOGLE_GEMINI_BASE_URL": ""})
    assert outcome.end is AgentEnd.AUTH


def test_a_full_context_is_told(gemini: Bench) -> None:
    assert gemini.meets({"kind": "context"}).end is AgentEnd.CONTEXT


def test_an_unknown_model_and_a_cut_stream_fail(gemini: Bench) -> None:
    assert gemini.meets({"kind": "no-model"}, model="gemini-none").end is AgentEnd.FAILED
    assert gemini.meets({"kind": "cut"}).end is AgentEnd.FAILED


def test_a_model_that_never_answers_is_a_stall(gemini: Bench) -> None:
    outcome = gemini.meets({"kind": "hang"}, agent=gemini.impatient(), limits=Limits(seconds=60, idle=8.0, grace=1.0))
    assert outcome.end is AgentEnd.STALLED


def test_what_a_tool_left_running_is_gone_when_the_session_is_stopped(gemini: Bench) -> None:
    turns = [{"run": "setsid sleep 600 & sleep 600"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        outcome = gemini.run(gemini.request(server), limits=Limits(seconds=12, grace=1.0))
    assert outcome.end is AgentEnd.TIMED_OUT


def test_a_prompt_that_looks_like_an_option_reaches_the_model(gemini: Bench) -> None:
    with serve(script()) as server:
        outcome = gemini.run(gemini.request(server, prompt="--help the end"))
        sent = str(server.requests[0].body)
    assert outcome.end is AgentEnd.FINISHED, outcome
    assert "--help the end" in sent
