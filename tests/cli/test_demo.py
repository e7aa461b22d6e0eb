"""The demo by a real agent's program: what its model says, what it sees, and what is told where it isn't here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli import demomodel
from orchestrator.errors import Misuse
from orchestrator.modelserver import clients
from orchestrator.store import templates

DEMO = templates.path("demo")


def demo(*args: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "demo", *args],
        cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_an_agent_that_is_not_installed_is_told_with_the_command_that_installs_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = demo("--agent", "codex", str(tmp_path / "made"), folder=tmp_path, PATH=str(tmp_path / "bin"))
    assert done.returncode == 1
    assert "codex is not installed here" in done.stderr
    assert "npm install -g @openai/codex" in done.stderr
    assert not (tmp_path / "made").exists()


def test_an_agent_that_no_model_can_be_scripted_for_is_misuse(tmp_path: Path) -> None:
    done = demo("--agent", "exec", folder=tmp_path)
    assert done.returncode == 2
    assert "claude, codex" in done.stderr


def test_the_scenarios_become_scenes_known_by_title_and_attempt() -> None:
    scenes = list(demomodel.scenes_of(DEMO / "tasks/describe-it", DEMO / "project"))
    assert scenes[0]["turns"] == [{"finish": "Done! The README is complete."}]
    second = scenes[1]["turns"][0]["write"]
    assert second["path"] == "README.md"
    assert second["content"].startswith((DEMO / "project/README.md").read_text())
    assert "greet.sh Ada Bob" in second["content"]
    prompt = "# The README tells how to greet\n\nYou work alone on branch `x`. This is\nattempt {}. Nobody answers.\n"
    assert [bool(re.search(scene["when"], prompt.format(1))) for scene in scenes] == [True, True]
    assert [bool(re.search(scene["when"], prompt.format(2))) for scene in scenes] == [False, True]


def test_a_step_that_a_model_cannot_say_is_misuse(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.md").write_text("# T\n")
    (tmp_path / "scenario.toml").write_text("steps = [{hang = true}]")
    with pytest.raises(Misuse, match="hang"):
        list(demomodel.scenes_of(tmp_path, tmp_path))


def test_the_agent_sees_no_key_and_no_home_of_the_user_and_both_are_back_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "the-users-own")
    monkeypatch.setenv("CLAUDE_CODE_USE_BEDROCK", "1")
    before = dict(os.environ)
    with demomodel.model("claude", tmp_path, DEMO / "tasks", DEMO / "project") as client:
        seen = dict(os.environ)
        assert seen["HOME"] == str(tmp_path)
        assert seen["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
        assert not {"ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK"} & set(seen)
        assert client.model.startswith("claude")
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", clients.names())
def test_every_client_is_pointed_at_loopback_and_nowhere_else(name: str) -> None:
    client = clients.client(name, "http://127.0.0.1:1")
    assert client is not None
    told = " ".join((*client.env.values(), *client.files.values()))
    assert "http://127.0.0.1:1" in told
    assert set(re.findall(r"https?://[^/\" ]+", told)) == {"http://127.0.0.1:1"}


def test_of_an_unknown_agent_no_client_is_known() -> None:
    assert clients.client("exec", "http://127.0.0.1:1") is None
