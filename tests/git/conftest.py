"""Real repositories in a temporary folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.git import pool, repository
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree

Run = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path) -> Run:
    """Run git as a person would: `git(folder, "commit", "-m", "x")` is what it printed."""

    def run(folder: Path, *args: str, ok: bool = True) -> str:
        ended = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True, errors="surrogateescape", check=False)
        assert not ok or ended.returncode == 0, ended.stderr
        return ended.stdout.strip()

    return run


@pytest.fixture
def top(tmp_path: Path, git: Run) -> Path:
    """A repository on main with a few files and one commit."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    for name in ("one", "two", "three"):
        (folder / name).write_text(f"{name}\n" * 3)
    (folder / ".gitignore").write_text("*.ignored\n/.worktrees/\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Begin")
    return folder


@pytest.fixture
def repo(top: Path) -> Repository:
    return repository.discover(top)


@pytest.fixture
def base(repo: Repository) -> str:
    return repository.tip(repo, "main")


@pytest.fixture
def tree(repo: Repository, base: str) -> Worktree:
    """The worktree an agent works in, on the task's branch."""
    return pool.prepare(repo, repo.top / ".worktrees" / "fix", owner="id-1", branch="orchestrator/fix", commit=base)


@pytest.fixture
def commit(git: Run) -> Callable[[Path, str, str], str]:
    """Write a file, commit it, and return the commit."""

    def make(folder: Path, name: str, text: str) -> str:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        git(folder, "add", "-f", "--", name)
        git(folder, "commit", "-qm", f"Write {name}")
        return git(folder, "rev-parse", "HEAD")

    return make
