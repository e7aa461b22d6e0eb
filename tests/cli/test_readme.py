"""The README names what there is, and nothing else: commands, modes, settings, reasons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.cli.commands import COMMANDS, MODES
from orchestrator.core.outcome import Reason
from orchestrator.store.options import OPTIONS

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
GIVEN = {
    "ORCH_TASK",
    "ORCH_TASK_DIR",
    "ORCH_WORKTREE",
    "ORCH_GOAL",
    "ORCH_ATTEMPT",
    "ORCH_PROMPT_FILE",
    "ORCH_METRICS_FILE",
    "ORCH_METRICS_FD",
}  # to agent and benchmark


@pytest.mark.parametrize("word", [*COMMANDS, *(f"--{mode}" for mode in MODES)])
def test_every_command_and_mode_is_in_the_readme(word: str) -> None:
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    assert re.search(rf"(?<![\w-]){word}(?![\w-])", table)


def test_the_readme_names_every_setting_and_no_other() -> None:
    named = set(re.findall(r"\bORCH_[A-Z_]+[A-Z]", README))
    assert named - GIVEN == {option.env for option in OPTIONS} | {"ORCH_CONFIG_DIR"}  # where the user's own settings lie


def test_every_reason_that_blocks_a_task_is_in_the_readme() -> None:
    sentence = README.partition("A blocked task says why:")[2].partition("\n")[0]
    blocking = {reason.value for reason in Reason if reason.terminal and reason is not Reason.CONVERGED}
    assert set(re.findall(r"`([a-z-]+)`", sentence)) == blocking


@pytest.mark.parametrize("word", sorted(set(re.findall(r"`orchestrator ([a-z]+)", README))))
def test_every_command_the_readme_calls_is_one(word: str) -> None:
    assert word in COMMANDS
