"""What `--check` says of agents: here or not, in what version, logged in or not, and the one command that mends it."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.project import Project

from orchestrator.agents.protocol import Traits
from orchestrator.cli import check, installed
from orchestrator.cli.app import App
from orchestrator.proc import identity


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("2.1.329 (Claude Code)", "2.1.329"),
        ("codex-cli 0.169.0", "0.169.0"),
        ("Copilot CLI 1.0.102.", "1.0.102"),
        ("v1.2-rc.1", "1.2-rc.1"),
    ],
)
def test_a_version_is_found_in_what_the_program_says(bin_folder: Path, said: str, version: str) -> None:
    program(bin_folder / "one", f"[ $1 = --version ] && echo '{said}'")
    assert installed.versions(["one", "not-there", ""]) == {"one": version}


def test_a_version_is_asked_once_and_again_when_the_program_has_changed(bin_folder: Path, tmp_path: Path) -> None:
    cache, real = tmp_path / "cache" / "v.json", tmp_path / "real"
    program(real, f"echo >> {tmp_path}/asked; echo 1.0.0")
    (bin_folder / "one").symlink_to(real)
    for _ in range(2):
        assert installed.versions(["one"], cache) == {"one": "1.0.0"}
    assert (tmp_path / "asked").read_text() == "\n"
    program(real, "echo 1.0.1")
    assert installed.versions(["one"], cache) == {"one": "1.0.1"}


def test_one_that_fails_over_its_version_is_asked_again_since_what_it_lacks_may_have_come(
    bin_folder: Path, tmp_path: Path
) -> None:
    program(bin_folder / "one", f"[ -e {tmp_path}/node ] || {{ echo needs a newer node >&2; exit 1; }}; echo 1.0.0")
    assert installed.versions(["one"], tmp_path / "v.json") == {"one": ""}
    (tmp_path / "node").touch()
    assert installed.versions(["one"], tmp_path / "v.json") == {"one": "1.0.0"}


def test_they_are_asked_at_the_same_time_and_none_is_waited_for_longer_than_the_deadline(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "DEADLINE", 5.0)
    for name in ("one", "two", "three"):
        program(bin_folder / name, "sleep 60; echo 1.0.0")
    program(bin_folder / "quick", "echo 1.0.0")
    began = time.monotonic()
    assert installed.versions(["one", "two", "quick", "three"], tmp_path / "v.json") == {"quick": "1.0.0"}
    assert time.monotonic() - began < 14.9  # one after the other they would take three times the deadline


def test_a_python_programs_version_stands_beside_it_and_nothing_is_started(bin_folder: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (bin_folder / "tool").symlink_to(program(venv / "bin/tool", f"echo >> {tmp_path}/asked; echo 9.9.9"))
    info = venv / "lib/python3.11/site-packages/tool_package-2.4.6.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text("[console_scripts]\nother = a:b\ntool = tool_package:main\n")
    assert installed.versions(["tool"]) == {"tool": "2.4.6"}
    assert not (tmp_path / "asked").exists()


def test_a_broken_or_unwritable_cache_is_no_obstacle(bin_folder: Path, tmp_path: Path) -> None:
    program(bin_folder / "one", "echo 1.0.0")
    (tmp_path / "v.json").write_text("[broken")
    assert installed.versions(["one"], tmp_path / "v.json") == {"one": "1.0.0"}
    (tmp_path / "file").write_text("")
    assert installed.versions(["one"], tmp_path / "file" / "v.json") == {"one": "1.0.0"}


def test_logged_in_is_who_has_one_of_the_variables_or_files(bare_environment: Path) -> None:
    traits = Traits(credentials=("ONE_KEY", "~/.one/auth.json"))
    assert installed.login(traits, {}).missing
    assert installed.login(traits, {"ONE_KEY": ""}).missing
    assert installed.login(traits, {"ONE_KEY": "x"}).by == "ONE_KEY"
    (bare_environment / ".one").mkdir()
    (bare_environment / ".one/auth.json").write_text("{}")
    assert installed.login(traits, {}).by == "~/.one/auth.json"
    assert not installed.login(Traits(), {}).missing


def agent(project: Project, name: str, **env: str) -> dict[str, Any]:
    found = json.loads(project.run("--check", "--json", **env).stdout)
    return next(each for each in found["agents"] if each["name"] == name)


@pytest.fixture
def fake_claude(project: Project, bin_folder: Path) -> Project:
    program(bin_folder / "claude", "echo '2.1.329 (Claude Code)'")
    project.env["PATH"] = os.environ["PATH"]
    return project


def test_check_tells_of_each_agent_whether_it_is_here_and_logged_in(fake_claude: Project) -> None:
    told = agent(fake_claude, "claude")
    assert (told["installed"], told["version"], told["logged_in"]) == (True, "2.1.329", False)
    assert told["fix"] == "claude /login"
    told = agent(fake_claude, "claude", ANTHROPIC_API_KEY="secret-value")
    assert (told["logged_in"], told["login"], told["fix"]) == (True, "ANTHROPIC_API_KEY", None)


def test_check_never_shows_what_a_key_holds(fake_claude: Project) -> None:
    done = fake_claude.run("--check", "-v", ANTHROPIC_API_KEY="secret-value", ORCH_AGENT="claude")
    assert "ANTHROPIC_API_KEY" in done.stdout
    assert "secret-value" not in done.stdout + done.stderr


def test_an_agent_that_is_installed_and_does_not_start_is_told_with_what_it_needs(project: Project, bin_folder: Path) -> None:
    program(bin_folder / "pi", "echo SyntaxError >&2; exit 1")
    program(bin_folder / "codex", "exit 1")
    project.env |= {"PATH": os.environ["PATH"], "OPENAI_API_KEY": "x", "CODEX_API_KEY": "x"}
    told = agent(project, "pi")
    assert (told["installed"], told["version"]) == (True, None)
    assert told["fix"].startswith("`pi --version` fails. It needs node 22.19 or newer; else: npm install -g @earendil")
    assert agent(project, "codex")["fix"].startswith("`codex --version` fails. npm install -g @openai/codex")
    found = json.loads(project.run("--check", "--json", ORCH_AGENT="pi").stdout)
    check = next(each for each in found["checks"] if each["name"] == "agent pi")
    assert (check["status"], check["detail"].partition(",")[0]) == ("warning", "does not start")
    assert "pi (chosen)  fails" in project.run("--check", ORCH_AGENT="pi").stdout


def test_a_chosen_agent_without_login_is_a_warning_and_one_that_is_not_installed_is_missing(fake_claude: Project) -> None:
    found = json.loads(fake_claude.run("--check", "--json", code=0, ORCH_AGENT="claude").stdout)
    assert next(each for each in found["checks"] if each["name"] == "agent claude")["status"] == "warning"
    fake_claude.env["PATH"] = os.pathsep.join(
        folder for folder in fake_claude.env["PATH"].split(os.pathsep) if not (Path(folder) / "claude").exists()
    )
    told = fake_claude.run("--check", code=1, ORCH_AGENT="claude").stdout
    assert "npm install -g @anthropic-ai/claude-code" in told


def test_the_table_names_every_agent_with_the_command_that_is_needed(fake_claude: Project) -> None:
    lines = fake_claude.run("--check", code=0, ORCH_AGENT="scripted").stdout.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("AGENT"))
    rows = {line.split()[0]: line for line in lines[head + 1 :] if line and not line[0].isspace()}
    assert rows["claude"].split()[1:] == ["2.1.329", "none", "found", "claude", "/login"]
    assert "(chosen)" in rows["scripted"]


def test_an_agent_that_a_pending_task_names_and_is_not_here_is_a_warning(project: Project, tmp_path: Path) -> None:
    project.drop("x", front="agent: codex")
    (tmp_path / "none").mkdir()
    for name in ("git", "python3", "sh"):
        found = next(Path(folder) / name for folder in os.environ["PATH"].split(":") if (Path(folder) / name).exists())
        (tmp_path / "none" / name).symlink_to(found)
    found = json.loads(project.run("--check", "--json", ORCH_AGENT="scripted", PATH=str(tmp_path / "none")).stdout)
    states = {each["name"]: each["status"] for each in found["checks"]}
    assert (states["agent codex"], states["agent claude"]) == ("warning", "absent")


@pytest.mark.parametrize(
    ("number", "helps"),
    [(errno.EROFS, "mount it writable"), (errno.ENOSPC, "free some space"), (errno.EACCES, "write permission")],
)
def test_what_helps_where_a_folder_cannot_be_written_depends_on_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, helps: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "touch", refused)
    found = check._unwritable(tmp_path)
    assert found is not None
    assert helps in found[1]


@pytest.mark.parametrize(("name", "needed"), [("log", True), ("cache", False)])
def test_the_queue_s_own_folders_have_to_be_writable_too_where_it_does_not_work_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, needed: bool
) -> None:
    theirs = tmp_path / "tasks/.orch" / name  # made by `sudo orchestrator`
    theirs.mkdir(parents=True)
    touch = Path.touch

    def refuse(path: Path, *, exist_ok: bool = True) -> None:
        if path.parent == theirs:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        touch(path, exist_ok=exist_ok)

    monkeypatch.setattr(Path, "touch", refuse)
    check.check(App(flags={"tasks": str(tmp_path / "tasks")}))
    assert (f"{theirs} can't be written: permission denied" in capsys.readouterr().out) == needed


def test_check_says_that_without_proc_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(identity, "PROC", tmp_path)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    assert check.check(App(flags={"tasks": str(tmp_path / "tasks")})) == 1
    assert "missing  processes    Processes can't be told apart: /proc is not mounted here." in capsys.readouterr().out
