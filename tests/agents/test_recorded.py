"""Sessions of real programs, recorded by `--record` and played by the scripted agent: no program, no model, no network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.sessions import Stage

from orchestrator.agents import registry, replay
from orchestrator.core.outcome import AgentEnd, AgentOutcome

SAMPLES = Path(__file__).parent / "samples"
REAL = [name for name in registry.OURS if name not in {"exec", "scripted"}]
TELL_RESETS = ("claude", "codex", "pi", "qwen")  # of a limit that lasts for hours


def play(stage: Stage, name: str) -> AgentOutcome:
    tape = stage.root / "tape.jsonl"
    shutil.copy(SAMPLES / f"{name}.cassette.jsonl", tape)
    request = stage.request(ORCH_SCENARIO=str(tape), ORCH_REPLAY_SPEED="0")
    return stage.run(replay.played(registry.get("scripted"), request, registry.get), request)


@pytest.mark.parametrize("name", REAL)
def test_a_good_session_ends_well_with_its_words_its_work_and_what_it_used(stage: Stage, name: str) -> None:
    outcome = play(stage, name)
    assert outcome.end is AgentEnd.FINISHED, outcome
    assert outcome.said
    assert bool(outcome.session) == registry.get(name).traits.resume
    assert outcome.spend.output_tokens
    assert (stage.worktree / "hello.txt").read_text() == "hello\n"


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_what_was_said_and_used_is_told_exactly(stage: Stage, name: str) -> None:
    outcome = play(stage, name)
    assert outcome.said == "All done."
    assert (outcome.spend.input_tokens, outcome.spend.cached_tokens, outcome.spend.output_tokens) == (3600, 600, 150)


@pytest.mark.parametrize("name", REAL)
def test_a_limit_ends_it_with_its_reset_where_that_is_told(stage: Stage, name: str) -> None:
    outcome = play(stage, f"{name}-limit")
    assert outcome.end is AgentEnd.RATE_LIMITED, outcome
    assert outcome.reset_at is not None or name not in TELL_RESETS
    assert list(stage.worktree.iterdir()) == []


def test_the_recorded_reset_is_an_instant_where_the_program_tells_one(stage: Stage) -> None:
    assert play(stage, "claude-limit").reset_at == 1_795_200_000
