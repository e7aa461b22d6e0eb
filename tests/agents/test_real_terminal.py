"""Real agents at a terminal, in a home and a folder that they have not seen: every question on the way is answered by its data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.bench import Bench, bench, script

from orchestrator.agents import registry
from orchestrator.core.outcome import AgentEnd
from orchestrator.modelserver import serve
from orchestrator.proc.command import Limits

pytestmark = [pytest.mark.agents, pytest.mark.timeout(200)]
CLAUDE = {
    "ANTHROPIC_BASE_URL": "@URL",
    "ANTHROPIC_API_KEY": "dummy-key-of-more-than-twenty-characters",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
CODEX = {"OPENAI_BASE_URL": "@URL/v1", "OPENAI_API_KEY": "dummy", "CODEX_API_KEY": "dummy"}
PATIENT = Limits(seconds=120, idle=40, grace=2.0)


def at_terminal(name: str, root: Path) -> Bench:
    made = bench(name, root, CLAUDE if name == "claude" else CODEX, tty=True, **({"model": "gpt-5.5"} if name == "codex" else {}))
    home = root / "home"
    home.mkdir()
    (home / ".claude.json").write_text(json.dumps({"hasCompletedOnboarding": True}))  # else it calls its vendor first
    return made


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_it_gets_through_its_questions_does_its_work_and_leaves(name: str, tmp_path: Path) -> None:
    made = at_terminal(name, tmp_path)
    with serve(script()) as server:
        outcome = made.run(made.request(server), limits=PATIENT)
    assert outcome.end is AgentEnd.FINISHED, (outcome, made.stage.log())
    assert made.wrote("hello.txt") == "hello\n"
    assert "-- answered" in made.stage.log()


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_without_an_answer_it_is_a_question_to_a_person_and_nothing_is_typed(name: str, tmp_path: Path) -> None:
    made = at_terminal(name, tmp_path)
    agent = registry.get(name)
    mute = type("Mute", (type(agent),), {"traits": replace(agent.traits, answers=())})()
    with serve(script()) as server:
        outcome = made.run(made.request(server), agent=mute, limits=PATIENT)
    assert outcome.end is AgentEnd.NEEDS_INPUT
    assert "rust this folder" in (outcome.prompt or "")
    assert made.wrote("hello.txt") is None
    assert "-- answered" not in made.stage.log()


def test_a_limit_on_the_screen_is_a_limit_and_no_question(tmp_path: Path) -> None:
    made = at_terminal("claude", tmp_path)
    with serve(script({"kind": "rate-limit", "retry_after": 3600})) as server:
        outcome = made.run(made.request(server), limits=PATIENT)
    assert outcome.end is AgentEnd.RATE_LIMITED, (outcome, made.stage.log())
