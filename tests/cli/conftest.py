"""Projects for tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import Project


@pytest.fixture
def empty(tmp_path: Path, bare_environment: Path) -> Iterator[Project]:
    """A repository, and nothing of ours yet."""
    top = tmp_path / "project"
    top.mkdir()
    made = Project(top, bare_environment)
    made.git("init", "-q", "-b", "main")
    (top / "todo.txt").write_text("one\ntwo\nthree\n")
    made.git("add", "-A")
    made.git("commit", "-q", "-m", "start")
    yield made
    made.end()


@pytest.fixture
def project(empty: Project) -> Project:
    """The same with the folders of a queue."""
    for state in ("pending", "running", "converged", "blocked"):
        (empty.tasks / state).mkdir(parents=True)
    for name in ("owners", "locks", "tmp", "cache"):
        (empty.tasks / ".orch" / name).mkdir(parents=True)
    return empty
