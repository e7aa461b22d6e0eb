"""A worker that is born ahead of its order, and waits for it with its memory already its own.

The fork, and the copying of what it shares with the nursery, take a tenth of a small task's time: they are done while the worker
before it is at work. One that waits holds nothing, so it may die, or be let go of, at any moment.

Not at once, though: in the moment of an order the one that begins, the one that ends and the loop all want a core, and a fork
would make the first of them wait (4 ms of 65 between two small tasks).

Where a worker is at work for every core, nothing is copied ahead: no core is idle then, and it is more than a worker needs.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.core.value import Value
from orchestrator.proc import memory

LARGEST = 65536
SOON = 0.015  # seconds after an order in which nobody is born for the next one
IDLE = 60.0  # seconds without an order after which the one that waits for it is let go of: it is memory to no use


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Order(Value):
    """The claim (root, name, token) that a worker is for, the file for what it prints, and the descriptor of its owner's lock."""

    claim: tuple[str, str, str]
    log: str | None
    lock: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Spare(Value):
    """The one that waits, a child of ours, and the link to it."""

    pid: int
    link: socket.socket

    def take(self, data: bytes, lock: int) -> bool:
        """Give it an order, as the loop wrote it: it is a worker now. False where it is dead."""
        with self.link, suppress(OSError):
            socket.send_fds(self.link, [data], [lock])
            return True
        return False

    def dismiss(self) -> None:
        """End it, and reap it."""
        self.link.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Family:
    """The one that waits, and the workers that live."""

    def __init__(self) -> None:
        self.spare: Spare | None = None
        self._living: set[int] = set()
        self._wanted = False
        self._cores = len(os.sched_getaffinity(0))

    @property
    def patience(self) -> float | None:
        """Seconds of silence after which `rest` is due; None where it never is."""
        if self.spare:
            return IDLE
        return SOON if self._wanted else None

    def rest(self) -> Order | None:
        """Nothing has happened for that long: let go of one that waits in vain, or have one wait. Returns in that one, too."""
        if self.spare:
            self.dismiss()
            return None
        self._wanted = False
        return self.ahead()

    def ahead(self) -> Order | None:
        """Have one wait, if that can be. Returns in that one, too, with its order, once there is one."""
        born = fork(own=len(self._living) < self._cores)
        if isinstance(born, Order):
            return born
        self.spare = born
        return None

    def take(self, data: bytes, lock: int) -> bool:
        """Give the one that waits an order: it is a worker then. False where none waits any more."""
        if self.spare is None:
            return False
        if not self.spare.take(data, lock):
            self.dismiss()
            return False
        self._living.add(self.spare.pid)
        self.spare, self._wanted = None, True
        return True

    def bury(self, pid: int) -> bool:
        """This child has ended; whether it was a worker, which is still to be reaped then."""
        if self.spare and self.spare.pid == pid:
            self.dismiss()
            return False
        self._living.discard(pid)
        return True

    def dismiss(self) -> None:
        """Let go of the one that waits."""
        if self.spare:
            self.spare.dismiss()
        self.spare = None


def fork(*, own: bool) -> Spare | Order | None:
    """The one that waits; None where none can be had now. In itself this returns once there is an order, with that; where the
    nursery ends or lets go of it, it never does. `own`: with its memory copied."""
    try:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:
        return None
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        return None
    if pid:
        theirs.close()
        return Spare(pid, ours)
    ours.close()
    if own:
        memory.make_own()
    return _wait(theirs)


def _wait(link: socket.socket) -> Order:
    with link:
        data, rights, _, _ = socket.recv_fds(link, LARGEST, 1)
    if not data:
        os._exit(0)
    told = json.loads(data)
    root, name, token = told["claim"]
    return Order((root, name, token), told["log"], rights[0])
