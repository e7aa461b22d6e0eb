"""Every process below one of ours, however it tried to get away: found, ended, reaped.

Agents start their tools in sessions of their own, which a kill of the group never reaches. As a child subreaper
(Linux) this process is handed every orphan of its children, so what it must end is always found below it. The
environment mark is for where there is no such thing: other systems, and the orphans of an owner that is dead.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.core.lease import Identity
from orchestrator.core.value import Value
from orchestrator.proc import identity as identities
from orchestrator.proc.table import Process, carries, descendants, table

if TYPE_CHECKING:
    import ctypes

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37
FIRST_PAUSE, LAST_PAUSE = 0.001, 0.02  # between two looks at processes that are about to be gone


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Swept(Value):
    """What a sweep found: pids it ended, and pids that did not die in time (stuck in the kernel)."""

    ended: tuple[int, ...] = ()
    left: tuple[int, ...] = ()


def become_subreaper() -> bool:
    """Have orphans below this process handed to it instead of to init. False where the system can't (not Linux)."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


@contextlib.contextmanager
def subreaper() -> Iterator[bool]:
    """Be a subreaper for this while, and afterwards what this process was before. Whether the system can."""
    import ctypes

    before = ctypes.c_int(0)
    can = _prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(before)) and become_subreaper()
    try:
        yield can
    finally:
        if can and not before.value:
            _prctl(PR_SET_CHILD_SUBREAPER, 0)


def children() -> frozenset[int]:
    """The pids of this process's children, zombies among them. Costs nothing where there are none."""
    if _childless():
        return frozenset()
    me = os.getpid()
    return frozenset(process.pid for process in table().values() if process.parent == me)


def reap(spared: Collection[int]) -> None:
    """Reap the dead orphans that this process was handed while it waits for a child: nobody else will, and they count against
    the limit of processes. Costs one call where nobody is dead. Those `spared` others wait for, be they dead already."""
    with contextlib.suppress(ChildProcessError):
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
    for pid in children().difference(spared):
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def sweep(mark: str | None = None, exclude: Collection[int] = (), *, seconds: float = 5.0) -> Swept:
    """Kill and reap everything below this process but the `exclude`d children and what is below them.

    Takes microseconds where nothing is left. `mark` is looked for only if given: needed where this process is no subreaper.
    """
    deadline = time.monotonic() + seconds
    ended: dict[int, None] = {}
    living: list[Process] = []
    empty = 0  # one scan can miss a process that was born while its parent died; two in a row did not
    for pause in _pauses():
        living = [] if _childless() else _reap(descendants(os.getpid(), exclude=exclude), ended)
        empty = 0 if living else empty + 1
        if empty == 2 or _childless() or time.monotonic() > deadline:
            break
        _kill(reversed(living))
        fresh = not ended.keys() >= {process.pid for process in living}
        ended.update(dict.fromkeys(process.pid for process in living))
        time.sleep(0.0 if fresh or not living else pause)  # the dying need a moment; those that fork on get none
    if mark is not None:
        ended.update(dict.fromkeys(end_marked(mark, seconds=max(0.0, deadline - time.monotonic()))))
    return Swept(tuple(ended), tuple(process.pid for process in living))


def marked(mark: str) -> tuple[Process, ...]:
    """The living processes of this user that carry `mark` in their environment, what is below them, and the sessions they
    lead. Never this process nor one above it."""
    known = {pid: process for pid, process in table().items() if not process.zombie}
    spared = _lineage(known)
    carriers = [process for process in known.values() if process.pid not in spared and carries(process.pid, mark)]
    led = {process.pid for process in carriers if process.session == process.pid}
    found = {process.pid: process for process in carriers}
    found.update((process.pid, process) for process in known.values() if process.session in led)
    for carrier in carriers:
        found.update((process.pid, process) for process in descendants(carrier.pid, known))
    return tuple(process for pid, process in found.items() if pid not in spared)


def end_marked(mark: str, *, seconds: float = 5.0) -> tuple[int, ...]:
    """Kill what a dead owner left running under `mark`: the pids. Returns when they are gone, at the latest after `seconds`."""
    deadline = time.monotonic() + seconds
    ended: dict[int, Process] = {}
    for pause in _pauses():
        living = marked(mark)
        # one that is dying has no environment any more, and nothing shows that it belonged to one that is dead
        if not living and not any(identities.started(process.pid) == process.start for process in ended.values()):
            break
        _kill(living)
        ended.update((process.pid, process) for process in living)
        if time.monotonic() > deadline:
            break
        time.sleep(pause)
    return tuple(ended)


def end_process(identity: Identity, grace: float = 2.0) -> bool:
    """TERM, `grace` seconds, then KILL, for exactly this process, its group and everything below it; another process that has
    its pid by now is not touched. Whether it is gone from here (False also: it lives on another host)."""
    if not identities.alive(identity):
        return identity.host == identities.host()
    with _handle(identity.pid) as handle:
        if not identities.alive(identity):  # the handle, taken first, may already mean another process
            return True
        family = _family(identity.pid)
        _signal_all(family, signal.SIGTERM)
        _wait_gone(identity, handle, grace)
        _kill([*family, *(_family(identity.pid) if identities.alive(identity) else ())])
        _wait_gone(identity, handle, 2.0)
    return not identities.alive(identity)


def _family(pid: int) -> list[Process]:
    """`pid`, the session it leads if it does, and what is below it."""
    known = {key: process for key, process in table().items() if not process.zombie}
    spared = _lineage(known) - {pid}
    below = (*(p for p in known.values() if pid in {p.pid, p.session}), *descendants(pid, known))
    return list({process.pid: process for process in below if process.pid not in spared}.values())


def _lineage(known: Mapping[int, Process]) -> set[int]:
    """This process and those above it, which nothing here ever ends."""
    pid, found = os.getpid(), {os.getpid()}
    while (process := known.get(pid)) is not None and process.parent > 0 and process.parent not in found:
        pid = process.parent
        found.add(pid)
    return found


def _reap(processes: Iterable[Process], ended: dict[int, None]) -> list[Process]:
    """The living ones of `processes`; those that are dead children of ours are reaped, and noted where a KILL ended them."""
    living = []
    for process in processes:
        if not process.zombie:
            living.append(process)
        elif process.parent == os.getpid():
            with contextlib.suppress(ChildProcessError):
                _, status = os.waitpid(process.pid, os.WNOHANG)
                if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                    ended[process.pid] = None
    return living


def _kill(processes: Iterable[Process]) -> None:
    """KILL to each, and to each one's group at once, so that a group can't outrun this by forking."""
    processes = tuple(processes)
    mine = os.getsid(0)
    for group in {process.group for process in processes if process.session != mine}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    _signal_all(processes, signal.SIGKILL)


def _signal_all(processes: Iterable[Process], number: signal.Signals) -> None:
    for process in processes:
        with _handle(process.pid) as handle, contextlib.suppress(ProcessLookupError, PermissionError):
            if identities.started(process.pid) != process.start:
                continue
            if handle is None:
                os.kill(process.pid, number)
            else:
                signal.pidfd_send_signal(handle, number)


@contextlib.contextmanager
def _handle(pid: int) -> Iterator[int | None]:
    """A descriptor that means this process even when its pid is given to another; None where there is no such thing."""
    try:
        handle = os.pidfd_open(pid)
    except (AttributeError, OSError):
        yield None
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _wait_gone(identity: Identity, handle: int | None, seconds: float) -> None:
    if handle is not None:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(max(0.0, seconds) * 1000)
        return
    deadline = time.monotonic() + seconds
    for pause in _pauses():
        if not identities.alive(identity) or time.monotonic() >= deadline:
            return
        time.sleep(pause)


def _prctl(option: int, argument: object) -> bool:
    try:
        return bool(_libc().prctl(option, argument, 0, 0, 0) == 0)
    except (AttributeError, OSError):
        return False


@functools.cache
def _libc() -> ctypes.CDLL:
    import ctypes

    return ctypes.CDLL(None)


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(LAST_PAUSE, pause * 2)


def _childless() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False
