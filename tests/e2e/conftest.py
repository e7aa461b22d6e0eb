"""The project that end-to-end tests drive, and the proof that nothing is left running after each."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.project import Project

FRESH = ("test_command_line.py", "test_first_hour.py")  # each command there is an interpreter of its own, as everybody's is


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """A project with one repository whose todo.txt holds three lines; the goal of most tests is to empty it."""
    made = Project(tmp_path)
    made.fresh |= request.path.name in FRESH
    (made.tasks / "pending").mkdir(parents=True)
    made.make_repo({"todo.txt": "one\ntwo\nthree\n", "README": "a repository\n"})
    yield made
    made.end()
    left = made.survivors()
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left, f"processes were left running: {left}"
