"""No test here leaves a process behind, be it alive or a zombie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.processes import Run

from orchestrator.proc import tree


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = tree.children()
    yield
    for pid in tree.children() - before:  # a dead orphan is handed to us, where an earlier test made this process a subreaper
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    assert not tree.children() - before


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)
