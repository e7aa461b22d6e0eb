"""The real aider against a scripted model."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.agents.aider import Aider
from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = pytest.mark.agents
KEY = {"OPENAI_API_KEY": "dummy", "OPENAI_API_BASE": "@URL/v1"}
DIFF = ("--edit-format", "diff")  # it doesn't know the model


@pytest.fixture
def aider(tmp_path: Path) -> Bench:
    return bench("aider", tmp_path, KEY, model="openai/fake-model", args=DIFF)


def litter(aider: Bench) -> list[str]:
    """What lies in the worktree beside its work."""
    left = [path.name for path in aider.stage.worktree.iterdir() if path.name not in {".git", "README.md", "hello.txt"}]
    return [name for name in left if not any(Path(name).match(pattern) for pattern in Aider.traits.leaves)]


def test_it_edits_a_file_commits_nothing_and_keeps_its_histories_elsewhere(aider: Bench) -> None:
    with serve(script()) as server:
        outcome = aider.run(aider.request(server))
    assert outcome.end is AgentEnd.FINISHED, (outcome, aider.stage.log())
    assert aider.wrote("hello.txt") == "hello\n"
    assert "All done." in outcome.said
    assert (outcome.spend.input_tokens or 0) > 500
    assert outcome.spend.usd is None
    assert {"text", "tool", "result", "usage", "end"} <= aider.kinds()
    assert litter(aider) == []
    assert not list(aider.stage.worktree.glob(".aider*history*"))
    commits = subprocess.run(["git", "rev-list", "--all"], cwd=aider.stage.worktree, capture_output=True, check=True)
    assert commits.stdout == b""


def test_the_files_that_the_scope_names_are_given_to_it(aider: Bench) -> None:
    with serve(script()) as server:
        outcome = aider.run(aider.request(server, files=("README.md",)))
        sent = str(server.requests[0].body)
    assert outcome.end is AgentEnd.FINISHED, outcome
    assert "README.md\\n```\\nfirst" in sent


def test_a_limit_that_it_retries_for_a_minute_is_a_limit(aider: Bench) -> None:
    outcome = aider.meets({"kind": "usage-limit", "resets_in": 3600})
    assert outcome.end is AgentEnd.RATE_LIMITED
    assert outcome.spend.seconds < 60


def test_one_refused_request_is_overcome(aider: Bench) -> None:
    with serve(script({"kind": "rate-limit", "retry_after": 1, "count": 1})) as server:
        outcome = aider.run(aider.request(server))
    assert outcome.end is AgentEnd.FINISHED, outcome


def test_a_refused_key_is_told_though_it_exits_with_0(aider: Bench) -> None:
    assert aider.meets({"kind": "auth"}).end is AgentEnd.AUTH


def test_without_a_model_and_a_key_it_waits_for_no_browser(aider: Bench) -> None:
    outcome = aider.meets({"kind": "auth"}, env={"OPENAI_API_KEY": "", "OPENAI_API_BASE": ""}, model=None)
    assert outcome.end is AgentEnd.AUTH
    assert outcome.spend.seconds < 40


def test_a_full_context_is_told(aider: Bench) -> None:
    assert aider.meets({"kind": "context"}).end is AgentEnd.CONTEXT


def test_an_answer_that_was_cut_off_fails(aider: Bench) -> None:
    assert aider.meets({"kind": "max-tokens"}).end is AgentEnd.FAILED


def test_a_model_that_never_answers_is_a_stall(aider: Bench) -> None:
    outcome = aider.meets({"kind": "hang"}, agent=aider.impatient(), limits=Limits(seconds=60, idle=12.0, grace=1.0))
    assert outcome.end is AgentEnd.STALLED
