"""The project's own rules, run like any other test: style, types, import contracts, what a wheel holds."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent


def tool(*args: str, cwd: Path = TOP) -> str:
    """Run one program to its end; its output where it failed, empty where it passed."""
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    done = subprocess.run([sys.executable, "-m", *args], cwd=cwd, capture_output=True, text=True, check=False, env=environment)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    assert tool("ruff", "check", ".") == ""


def test_every_file_is_formatted() -> None:
    assert tool("ruff", "format", "--check", ".") == ""


def test_mypy_finds_nothing_in_strict_mode() -> None:
    assert tool("mypy") == ""


def test_the_import_contracts_hold() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(program)], cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_worker_imports_nothing_heavy() -> None:
    heavy = (
        "click",
        "rich",
        "pydantic",
        "yaml",
        "frontmatter",
        "psutil",
        "filelock",
        "pexpect",
        "watchdog",
        "asyncio",
        "logging",
        "importlib.metadata",
    )
    program = f"import sys, orchestrator.worker.main; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_piped_status_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "tasks/pending").mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "orchestrator", "--status"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert not imported & {"rich", "pydantic", "watchdog", "psutil", "pexpect", "filelock", "asyncio"}


def test_no_machine_path_and_no_registry_host_stands_in_the_project() -> None:
    named = subprocess.run(["git", "ls-files"], cwd=TOP, capture_output=True, text=True, check=True).stdout.splitlines()
    hosts = ("pypi" + ".org", "registry.npmjs" + ".org", "files.python" + "hosted.org")
    found = [
        path
        for path in named
        if (TOP / path).is_file() and any(host in (TOP / path).read_text(errors="replace") for host in hosts)
    ]
    assert found == []


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it would be published."""
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(target), str(TOP)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    return next(target.glob("*.whl"))


def test_the_wheel_alone_in_an_empty_environment_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "orchestrator/py.typed" in names
    assert {"orchestrator/templates/prompt.md", "orchestrator/templates/skills/do-task/SKILL.md"} <= set(names)
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin/python")]
    subprocess.run([*pip, "install", "-q", "--no-compile", str(wheel)], check=True, timeout=110, capture_output=True)
    env = os.environ | {"TMPDIR": str(tmp_path)}  # where it puts its scratch folder
    command = [str(venv / "bin/orchestrator"), "demo"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def shown_command() -> list[str]:
    return (TOP / "README.md").read_text().split("<!-- test-command -->\n```\n")[1].split("\n```")[0].splitlines()


def told_by_ci(*shadowed: str) -> str:
    """What CI prints where its last step is taken by `shadowed` lines instead of bash."""
    told = "\n".join(["bash() { :", *shadowed, "}", '. "$0"'])
    return subprocess.run(["bash", "-c", told, str(TOP / ".ci/run")], capture_output=True, text=True, check=True, cwd=TOP).stdout


def test_ci_fails_below_nine_tenths_of_all_branches_and_whoever_runs_the_tests_does_not_wait_for_their_count() -> None:
    settings = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]
    assert "--cov" in told_by_ci('echo "$PYTEST_ADDOPTS"').split()
    assert "coverage report --rcfile=tests/every-branch.ini" in told_by_ci('echo "$2"')
    assert "--cov" not in shown_command()[0]
    assert settings["coverage"]["run"]["branch"]
    assert settings["coverage"]["report"]["fail_under"] >= 90
    assert "--cov" not in settings["pytest"]["ini_options"]["addopts"]


def test_ci_runs_the_command_that_the_readme_shows() -> None:
    lines = shown_command()
    assert len(lines) == 1
    assert told_by_ci() == f"+ {lines[0]}\n"
    assert told_by_ci('echo "$2"').splitlines()[1].startswith(f"{lines[0]} && ")
