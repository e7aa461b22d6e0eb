"""The real Codex against a scripted model."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
KEY = {"OPENAI_BASE_URL": "@URL/v1", "OPENAI_API_KEY": "dummy"}


@pytest.fixture
def codex(tmp_path: Path) -> Bench:
    return bench("codex", tmp_path, KEY, model="gpt-5.5")


def test_it_edits_a_file_and_reports_what_it_used(codex: Bench) -> None:
    outcome = codex.edits(effort="high")
    assert outcome.said == "All done."
    assert outcome.session
    assert (outcome.spend.input_tokens, outcome.spend.cached_tokens, outcome.spend.output_tokens) == (3600, 600, 150)
    assert outcome.spend.usd is None
    assert {"session", "text", "tool", "result", "usage", "end"} <= set(codex.kinds())


def test_a_provider_of_the_users_own_configuration_is_left_to_them(codex: Bench) -> None:
    with serve(script()) as server:
        provider = f'{{name="own",base_url="{server.url.rstrip("/")}/v1",env_key="OWN_KEY",wire_api="responses"}}'
        args = ("-c", 'model_provider="own"', "-c", f"model_providers.own={provider}")
        outcome = codex.run(codex.request(server, env={"OWN_KEY": "dummy"}, args=args))
    assert outcome.end is AgentEnd.FINISHED, outcome
    assert (codex.stage.worktree / "hello.txt").exists()


def test_a_session_goes_on_in_its_worktree(codex: Bench) -> None:
    first = codex.edits()
    with serve(script(turns=[{"finish": "And on."}])) as server:
        again = codex.run(codex.request(server, resume=first.session, spent=first.spend))
        sent = str(server.requests[-1].body)
    assert (again.end, again.session, again.said) == (AgentEnd.FINISHED, first.session, "And on.")
    assert "I write the file." in sent
    assert (again.spend.input_tokens, again.spend.output_tokens) == (1200, 50)  # of this session alone


def test_a_usage_limit_tells_when_it_is_over(codex: Bench) -> None:
    reset = int(time.time()) + 7200
    outcome = codex.meets({"kind": "usage-limit", "resets_at": reset})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.reset_at == pytest.approx(reset, abs=60)  # it tells the minute


def test_a_rate_limit_that_lasts_is_a_limit(codex: Bench) -> None:
    outcome = codex.meets({"kind": "rate-limit", "retry_after": 3600})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.spend.seconds < 60


def test_one_refused_request_is_overcome(codex: Bench) -> None:
    with serve(script({"kind": "rate-limit", "retry_after": 1, "count": 1})) as server:
        outcome = codex.run(codex.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_refused_key_ends_it_within_seconds(codex: Bench) -> None:
    outcome = codex.meets({"kind": "auth"})
    assert outcome.end is AgentEnd.AUTH
    assert outcome.spend.seconds < 30


def test_a_full_context_is_told(codex: Bench) -> None:
    assert codex.meets({"kind": "context"}).end is AgentEnd.CONTEXT


def test_an_unknown_model_fails(codex: Bench) -> None:
    assert codex.meets({"kind": "no-model"}, model="gpt-none").end is AgentEnd.FAILED


def test_servers_that_stay_broken_do_not_hold_it_for_minutes(codex: Bench) -> None:
    outcome = codex.meets({"kind": "server-error"})
    assert outcome.end in {AgentEnd.FAILED, AgentEnd.RATE_LIMITED}  # it calls that a high demand
    assert outcome.spend.seconds < 60


def test_a_model_that_never_answers_is_a_stall(codex: Bench) -> None:
    limits = Limits(seconds=60, idle=3.0, grace=1.0)
    outcome = codex.meets({"kind": "hang"}, agent=codex.impatient(), limits=limits)
    assert outcome.end is AgentEnd.STALLED


def test_a_tool_at_work_is_no_silence_and_is_gone_when_the_session_is_stopped(codex: Bench) -> None:
    turns = [{"run": "sleep 7; echo slept > slept.txt"}, {"run": "setsid sleep 600 & sleep 600"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        request = codex.request(server)
        outcome = codex.run(request, agent=codex.impatient(), limits=Limits(seconds=15, idle=5.0, grace=1.0))
    assert outcome.end is AgentEnd.TIMED_OUT
    assert (codex.stage.worktree / "slept.txt").exists()


def test_a_prompt_that_looks_like_an_option_or_is_long_reaches_the_model_whole(codex: Bench) -> None:
    prompt = "--help " + "x" * 200_000 + " the end"
    with serve(script()) as server:
        outcome = codex.run(codex.request(server, prompt=prompt))
        sent = str(server.requests[0].body)
    assert outcome.end is AgentEnd.FINISHED, outcome
    assert prompt in sent
