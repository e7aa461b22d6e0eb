"""The real opencode against a scripted model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
MODEL = {"name": "fake", "limit": {"context": 200_000, "output": 8000}, "cost": {"input": 2.0, "output": 10.0}}
OPTIONS = {"baseURL": "@URL/v1", "apiKey": "dummy"}
FAKE = {"npm": "@ai-sdk/openai-compatible", "options": OPTIONS, "models": {"fake-model": MODEL, "odd:free": MODEL}}
OWN = {"OPENCODE_CONFIG_CONTENT": json.dumps({"provider": {"fake": FAKE}}), "OPENCODE_DISABLE_MODELS_FETCH": "1"}


@pytest.fixture
def opencode(tmp_path: Path) -> Bench:
    return bench("opencode", tmp_path, OWN, model="fake/fake-model")


def test_it_edits_a_file_and_reports_what_it_used(opencode: Bench) -> None:
    outcome = opencode.edits()
    assert outcome.said == "All done."
    assert outcome.session
    assert (outcome.spend.input_tokens, outcome.spend.cached_tokens, outcome.spend.output_tokens) == (3600, 600, 150)
    assert (outcome.spend.usd or 0) > 0
    assert {"session", "text", "tool", "result", "usage", "end"} <= opencode.kinds()
    assert sorted(path.name for path in opencode.stage.worktree.iterdir()) == [".git", "README.md", "hello.txt", "ran.txt"]


def test_a_session_goes_on_in_its_worktree(opencode: Bench) -> None:
    first = opencode.edits()
    with serve(script(turns=[{"finish": "And on."}])) as server:
        again = opencode.run(opencode.request(server, resume=first.session))
        sent = str(server.requests[-1].body)
    assert (again.end, again.session, again.said) == (AgentEnd.FINISHED, first.session, "And on.")
    assert "I write the file." in sent
    assert again.spend.input_tokens == 1200


def test_a_variant_is_taken_off_the_models_name_and_another_colon_is_not(opencode: Bench) -> None:
    opencode.edits(model="fake/odd:free:high")


def test_a_usage_limit_is_a_limit_though_it_waits_in_silence(opencode: Bench) -> None:
    outcome = opencode.meets({"kind": "usage-limit"})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.spend.seconds < 90


def test_one_refused_request_is_overcome(opencode: Bench) -> None:
    with serve(script({"kind": "rate-limit", "retry_after": 1, "count": 1})) as server:
        outcome = opencode.run(opencode.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_refused_key_is_no_login(opencode: Bench) -> None:
    assert opencode.meets({"kind": "auth"}).end is AgentEnd.AUTH


def test_a_full_context_is_made_smaller_by_itself(opencode: Bench) -> None:
    with serve(script({"kind": "context", "count": 1})) as server:
        outcome = opencode.run(opencode.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_model_that_never_answers_is_a_stall(opencode: Bench) -> None:
    limits = Limits(seconds=100, idle=12.0, grace=1.0)
    assert opencode.meets({"kind": "hang"}, agent=opencode.impatient(), limits=limits).end is AgentEnd.STALLED


def test_a_tool_at_work_is_no_silence_and_is_gone_when_the_session_is_stopped(opencode: Bench) -> None:
    turns = [{"run": "sleep 14; echo slept > slept.txt"}, {"run": "setsid sleep 600 & sleep 600"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        request = opencode.request(server)
        outcome = opencode.run(request, agent=opencode.impatient(), limits=Limits(seconds=50, idle=12.0, grace=1.0))
    assert outcome.end is AgentEnd.TIMED_OUT
    assert opencode.wrote("slept.txt")
