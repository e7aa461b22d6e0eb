"""The real Copilot CLI against a scripted model."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import clis
from support.bench import Bench, bench, script

from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
OWN = {
    "COPILOT_PROVIDER_BASE_URL": "@URL/v1",
    "COPILOT_PROVIDER_API_KEY": "dummy",
    "COPILOT_OFFLINE": "true",
    **({"XDG_CACHE_HOME": str(clis.FOLDER / "copilot-cache")} if clis.FOLDER else {}),  # it unpacks 235 MB there
}


@pytest.fixture
def copilot(tmp_path: Path) -> Bench:
    return bench("copilot", tmp_path, OWN, model="gpt-4.1")


def test_it_edits_a_file_and_reports_what_it_used(copilot: Bench) -> None:
    outcome = copilot.edits()
    assert (outcome.said, outcome.model) == ("All done.", "gpt-4.1")
    assert outcome.session
    assert (outcome.spend.input_tokens, outcome.spend.cached_tokens, outcome.spend.output_tokens) == (3600, 600, 150)
    assert {"session", "model", "text", "tool", "result", "usage", "end"} <= copilot.kinds()
    assert sorted(path.name for path in copilot.stage.worktree.iterdir()) == [".git", "README.md", "hello.txt", "ran.txt"]


def test_a_session_goes_on_in_its_worktree(copilot: Bench) -> None:
    first = copilot.edits()
    with serve(script(turns=[{"finish": "And on."}])) as server:
        again = copilot.run(copilot.request(server, resume=first.session, spent=first.spend))
        sent = str(server.requests[-1].body)
    assert (again.end, again.session, again.said) == (AgentEnd.FINISHED, first.session, "And on.")
    assert "I write the file." in sent
    assert again.spend.input_tokens == 1200


def test_a_usage_limit_is_a_limit(copilot: Bench) -> None:
    assert copilot.meets({"kind": "usage-limit"}).end is AgentEnd.RATE_LIMITED


def test_a_rate_limit_that_lasts_is_a_limit(copilot: Bench) -> None:
    assert copilot.meets({"kind": "rate-limit", "retry_after": 3600}).end is AgentEnd.RATE_LIMITED


def test_a_quota_that_is_used_up_does_not_hold_it_for_minutes(copilot: Bench) -> None:
    outcome = copilot.meets({"kind": "quota"})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.spend.seconds < 60


def test_one_refused_request_is_overcome(copilot: Bench) -> None:
    with serve(script({"kind": "rate-limit", "retry_after": 1, "count": 1})) as server:
        outcome = copilot.run(copilot.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_refused_key_is_no_login(copilot: Bench) -> None:
    assert copilot.meets({"kind": "auth"}).end is AgentEnd.AUTH


def test_no_login_at_all_is_no_login(copilot: Bench) -> None:
    nothing = {"COPILOT_PROVIDER_BASE_URL": "", "COPILOT_PROVIDER_API_KEY": ""}
    assert copilot.meets({"kind": "auth"}, env=nothing).end is AgentEnd.AUTH


def test_a_full_context_is_told(copilot: Bench) -> None:
    assert copilot.meets({"kind": "context"}).end is AgentEnd.CONTEXT


def test_servers_that_stay_broken_do_not_hold_it_for_minutes(copilot: Bench) -> None:
    outcome = copilot.meets({"kind": "server-error"})
    assert outcome.end is AgentEnd.FAILED
    assert outcome.spend.seconds < 60


def test_a_model_that_never_answers_is_a_stall(copilot: Bench) -> None:
    limits = Limits(seconds=60, idle=4.0, grace=1.0)
    assert copilot.meets({"kind": "hang"}, agent=copilot.impatient(), limits=limits).end is AgentEnd.STALLED


def test_a_tool_at_work_is_no_silence_and_is_gone_when_the_session_is_stopped(copilot: Bench) -> None:
    turns = [{"run": "sleep 5; echo slept > slept.txt"}, {"run": "setsid sleep 600 & sleep 600"}, {"finish": True}]
    with serve(script(turns=turns)) as server:
        outcome = copilot.run(copilot.request(server), agent=copilot.impatient(), limits=Limits(seconds=15, idle=4.0, grace=1.0))
    assert outcome.end is AgentEnd.TIMED_OUT
    assert copilot.wrote("slept.txt")
