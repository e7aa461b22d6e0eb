"""The real pi against a scripted model."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
FAKE = {"baseUrl": "@URL/v1", "api": "openai-completions", "apiKey": "dummy", "models": [{"id": "fake-model"}]}
MODELS = {".pi/agent/models.json": json.dumps({"providers": {"fake": FAKE}})}


@pytest.fixture
def pi(tmp_path: Path) -> Bench:
    return bench("pi", tmp_path, {}, MODELS, model="fake/fake-model")


def test_it_edits_a_file_and_reports_what_it_used(pi: Bench) -> None:
    outcome = pi.edits(effort="low")
    assert (outcome.said, outcome.model) == ("All done.", "fake-model")
    assert outcome.session
    assert (outcome.spend.input_tokens, outcome.spend.cached_tokens, outcome.spend.output_tokens) == (3600, 600, 150)
    assert outcome.spend.usd is None  # nobody knows the price of this model
    assert {"session", "text", "tool", "result", "usage", "end"} <= pi.kinds()


def test_a_session_goes_on_in_its_worktree(pi: Bench) -> None:
    first = pi.edits()
    with serve(script(turns=[{"finish": "And on."}])) as server:
        again = pi.run(pi.request(server, resume=first.session))
        sent = str(server.requests[-1].body)
    assert (again.end, again.session, again.said) == (AgentEnd.FINISHED, first.session, "And on.")
    assert "I write the file." in sent
    assert again.spend.input_tokens == 1200


def test_a_usage_limit_tells_when_it_is_over(pi: Bench) -> None:
    reset = int(time.time()) + 7200
    outcome = pi.meets({"kind": "usage-limit", "resets_at": reset})
    assert (outcome.end, outcome.reset_at) == (AgentEnd.RATE_LIMITED, reset)


def test_a_rate_limit_that_lasts_is_a_limit(pi: Bench) -> None:
    assert pi.meets({"kind": "rate-limit", "retry_after": 3600}).end is AgentEnd.RATE_LIMITED


def test_one_refused_request_is_overcome(pi: Bench) -> None:
    with serve(script({"kind": "rate-limit", "retry_after": 1, "count": 1})) as server:
        outcome = pi.run(pi.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_refused_key_is_no_login(pi: Bench) -> None:
    assert pi.meets({"kind": "auth"}).end is AgentEnd.AUTH


def test_no_key_at_all_is_no_login(pi: Bench) -> None:
    assert pi.meets({"kind": "auth"}, model="anthropic/claude-sonnet-4-5").end is AgentEnd.AUTH


def test_a_full_context_is_told(pi: Bench) -> None:
    assert pi.meets({"kind": "context"}).end is AgentEnd.CONTEXT


def test_servers_that_stay_broken_are_a_failure_though_it_exits_with_0(pi: Bench) -> None:
    outcome = pi.meets({"kind": "server-error"})
    assert (outcome.end, outcome.exit_code) == (AgentEnd.FAILED, 0)
    assert outcome.spend.seconds < 60


def test_an_answer_that_is_cut_off_is_a_failure_though_it_exits_with_0(pi: Bench) -> None:
    assert pi.meets({"kind": "max-tokens"}).end is AgentEnd.FAILED


def test_a_model_that_never_answers_is_a_stall(pi: Bench) -> None:
    limits = Limits(seconds=60, idle=3.0, grace=1.0)
    assert pi.meets({"kind": "hang"}, agent=pi.impatient(), limits=limits).end is AgentEnd.STALLED


def test_a_tool_at_work_is_no_silence_and_is_gone_when_the_session_is_stopped(pi: Bench) -> None:
    turns = [{"run": "sleep 4; echo slept > slept.txt"}, {"run": "setsid sleep 600 & sleep 600"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        outcome = pi.run(pi.request(server), agent=pi.impatient(), limits=Limits(seconds=12, idle=2.5, grace=1.0))
    assert outcome.end is AgentEnd.TIMED_OUT
    assert pi.wrote("slept.txt")


def test_a_skill_of_the_worktree_is_told_to_the_model(pi: Bench) -> None:
    folder = pi.stage.worktree / ".agents/skills/do-task"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\nname: do-task\ndescription: How a task is done here, marked 4711.\n---\nDo it.\n")
    with serve(script()) as server:
        pi.run(pi.request(server))
        assert "4711" in str(server.requests[0].body)
