"""Workers from the nursery: real processes, the real program, a claim that each of them takes up and loses at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import until

import orchestrator
from orchestrator.executors.nursery import PATIENCE, Nursery
from orchestrator.loop.workers import PROGRAM
from orchestrator.proc import identity, table
from orchestrator.worker import nursery as bearer
from orchestrator.worker import spares


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


def waiting(nursery: int) -> list[int]:
    """The children of this nursery that live."""
    return [process.pid for process in table.table().values() if process.parent == nursery and not process.zombie]


def expected(nursery: Nursery) -> int:
    """The one that waits in a nursery that has just been started."""
    nursery.expect(PROGRAM, os.environ)
    until(lambda: waiting(nursery._pid), "one waits")
    return waiting(nursery._pid)[0]


def test_one_waits_ahead_and_is_the_next_worker(nursery: Nursery, tmp_path: Path, lock: int) -> None:
    first = expected(nursery)
    assert bear(nursery, tmp_path, lock) == first
    until(lambda: ended(first) and waiting(nursery._pid), "the next one waits")
    second = waiting(nursery._pid)
    assert bear(nursery, tmp_path, lock) == second[0]


def test_one_that_is_killed_while_it_waits_is_no_worker_and_another_one_is_born(
    nursery: Nursery, tmp_path: Path, lock: int
) -> None:
    spare = expected(nursery)
    os.kill(spare, signal.SIGKILL)
    until(lambda: ended(spare), "it is gone")
    assert waiting(nursery._pid) == []

    pid = bear(nursery, tmp_path, lock)
    assert pid not in (None, spare)
    assert nursery.code(spare) is None


def test_the_one_that_waits_ends_with_its_nursery(nursery: Nursery) -> None:
    spare = expected(nursery)
    os.kill(nursery._pid, signal.SIGKILL)
    until(lambda: ended(spare), "it has noticed")


def test_one_that_waits_in_vain_is_let_go_of_and_the_next_order_is_done_all_the_same(tmp_path: Path, lock: int) -> None:
    script = "import sys; from orchestrator.worker import nursery, spares; spares.IDLE = 2; nursery.main(int(sys.argv[1]))"
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(30)
    with (
        ours,
        theirs,
        subprocess.Popen([sys.executable, "-c", script, str(theirs.fileno())], pass_fds=[theirs.fileno()]) as child,
    ):
        theirs.close()
        until(lambda: waiting(child.pid), "one waits")
        until(lambda: not waiting(child.pid), "it waits no more")
        order = f'{{"claim": ["{tmp_path}", "gone", "abc123"], "log": null}}'
        socket.send_fds(ours, [order.encode()], [lock])
        assert b'"pid"' in ours.recv(spares.LARGEST)
        assert b'"code": 0' in ours.recv(spares.LARGEST)
        ours.close()
        assert child.wait(30) == 0


def test_one_that_stands_still_with_its_order_does_not_begin_once_it_is_not_waited_for_any_more(
    nursery: Nursery, tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked for it has the claim worked on by a fresh interpreter: two would share it."""
    monkeypatch.setattr("orchestrator.executors.nursery.PATIENCE", 0.5)
    owners = tmp_path / ".orch" / "owners"
    owners.mkdir(parents=True)
    (owners / "abc123").hardlink_to(tmp_path / "lock")  # a worker that begins writes there who it is
    spare = expected(nursery)
    os.kill(spare, signal.SIGSTOP)
    assert bear(nursery, tmp_path, lock) is None

    os.kill(spare, signal.SIGCONT)
    until(lambda: ended(spare), "it has seen that nobody hears it")
    assert (tmp_path / "lock").read_text() == ""


@pytest.mark.parametrize("how", ["killed", "its log can't be opened"])
def test_one_that_ends_with_its_order_before_it_begins_is_not_waited_for(
    nursery: Nursery, tmp_path: Path, lock: int, how: str
) -> None:
    spare = expected(nursery)
    if how == "killed":
        os.kill(spare, signal.SIGSTOP)
        killing = threading.Timer(0.5, os.kill, (spare, signal.SIGKILL))
        killing.start()
    else:
        (tmp_path / "log").mkdir()
    began = time.monotonic()
    assert bear(nursery, tmp_path, lock) is None
    assert time.monotonic() - began < PATIENCE / 2
    until(lambda: ended(spare), "its end: its files are closed a moment before")


def test_the_next_one_is_born_once_the_moment_of_an_order_is_over(tmp_path: Path, lock: int) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    family = spares.Family()
    with ours, theirs:
        if bearer.give(theirs, family, b'{"claim": ["", "", ""], "log": null}', os.dup(lock)):
            os._exit(0)  # this is the worker
    assert family.spare is None
    assert family.patience == spares.SOON

    assert family.rest() is None
    assert family.spare
    assert family.patience == spares.IDLE

    assert family.rest() is None
    assert family.spare is None
    assert family.patience is None


def test_one_born_for_an_order_holds_the_owner_s_lock_by_one_descriptor(tmp_path: Path) -> None:
    """Else the task would stay held after its worker has let go of it."""
    path = tmp_path / "lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    family = spares.Family()
    with ours, theirs:
        order = bearer.give(theirs, family, b'{"claim": ["", "", ""], "log": null}', lock)
        if order:  # this is the worker
            held = sum(_means(entry, path) for entry in Path("/proc/self/fd").iterdir())
            (tmp_path / "told").write_text(str(held))
            (tmp_path / "told").rename(tmp_path / "held")
            os._exit(0)
    until((tmp_path / "held").exists, "the worker has told")
    assert (tmp_path / "held").read_text() == "1"


def _means(descriptor: Path, path: Path) -> bool:
    try:
        return descriptor.readlink() == path
    except OSError:
        return False


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


def test_after_an_upgrade_workers_come_from_a_nursery_that_has_imported_what_is_installed_now(
    nursery: Nursery, tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "__init__.py"
    installed.touch()
    monkeypatch.setattr(orchestrator, "__file__", str(installed))
    bear(nursery, tmp_path, lock)
    first = nursery._pid
    bear(nursery, tmp_path, lock)
    assert nursery._pid == first

    (tmp_path / "new").touch()
    (tmp_path / "new").replace(installed)
    assert bear(nursery, tmp_path, lock)
    assert nursery._pid != first


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
