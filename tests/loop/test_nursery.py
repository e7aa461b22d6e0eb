"""Workers from the nursery: real processes, the real program, a claim that each of them takes up and loses at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import until

from orchestrator.executors.nursery import Nursery
from orchestrator.loop.workers import PROGRAM
from orchestrator.proc import identity


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def bear(nursery: Nursery, top: Path, lock: int, **env: str) -> int | None:
    """A worker on a task that is not there: it ends at once with 0."""
    argv = (*PROGRAM, str(top), "gone", "abc123")
    return nursery.bear(argv, lock_fd=lock, log=top / "log", env={**os.environ, **env})


def ended(pid: int) -> bool:
    return identity.of(pid) is None


def test_a_worker_is_born_in_a_session_of_its_own_and_its_end_is_told(nursery: Nursery, tmp_path: Path, lock: int) -> None:
    pid = bear(nursery, tmp_path, lock)

    assert pid
    until(lambda: ended(pid), "the worker has ended")
    assert nursery.code(pid) == 0
    assert (tmp_path / "log").read_text() == ""


def test_every_worker_comes_from_the_same_nursery_and_is_asked_for_once(nursery: Nursery, tmp_path: Path, lock: int) -> None:
    pids = [bear(nursery, tmp_path, lock) for _ in range(5)]

    assert len(set(pids)) == 5
    for pid in pids:
        assert pid
        until(lambda pid=pid: ended(pid), "the worker has ended")
        assert nursery.code(pid) == 0
        assert nursery.code(pid) is None


def test_another_environment_gets_another_nursery(nursery: Nursery, tmp_path: Path, lock: int) -> None:
    bear(nursery, tmp_path, lock)
    first = nursery._pid

    assert bear(nursery, tmp_path, lock, ORCH_ENV_PASS="X")
    assert nursery._pid != first
    until(lambda: ended(first), "the first nursery has ended")


def test_after_the_nursery_was_killed_the_next_worker_gets_a_new_one(nursery: Nursery, tmp_path: Path, lock: int) -> None:
    assert bear(nursery, tmp_path, lock)
    os.kill(nursery._pid, signal.SIGKILL)
    until(lambda: ended(nursery._pid), "the nursery is dead")

    assert bear(nursery, tmp_path, lock) is None  # the caller starts it as a fresh interpreter
    assert bear(nursery, tmp_path, lock)


def test_what_is_no_worker_of_ours_is_not_the_nursery_s(nursery: Nursery, tmp_path: Path, lock: int) -> None:
    argv = (sys.executable, "standin.py", str(tmp_path), "name", "abc123")

    assert nursery.bear(argv, lock_fd=lock, log=None, env=os.environ) is None
    assert nursery._pid == 0


def test_a_program_that_is_no_nursery_bears_nothing(nursery: Nursery, tmp_path: Path, lock: int) -> None:
    argv = ("false", "orchestrator", "work", str(tmp_path), "name", "abc123")

    assert nursery.bear(argv, lock_fd=lock, log=None, env=os.environ) is None
