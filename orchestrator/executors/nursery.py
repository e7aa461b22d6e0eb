"""Our end of the nursery: a process that has imported all that a worker needs and becomes one by `fork`, in milliseconds.

A fresh interpreter spends many times that on its imports, for every task, and shares no memory with its fellows. Where no
nursery can be had, workers are started as fresh interpreters: nothing depends on it.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orchestrator
from orchestrator.errors import OrchestratorError
from orchestrator.proc.capture import detach

COMMAND, WORK = "nursery", "work"
LARGEST = 65536
PATIENCE = 30.0  # a nursery that hasn't answered by then (a stopped process, a dead disk) is ended
PROMPT = 0.5  # a worker that is seen to have ended has been reported, or is being reported right now
Edition = tuple[int, int]


class Nursery:
    """Made without cost: the process is started by `expect` or the first `bear`, and ends when this object does. Workers outlive
    both."""

    def __init__(self) -> None:
        self._link: socket.socket | None = None
        self._pid = 0
        self._made_for: tuple[tuple[str, ...], Mapping[str, str], Edition] | None = None
        self._born: set[int] = set()
        self._codes: dict[int, int] = {}

    def expect(self, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        """Workers `argv` (without root, name and token) will be asked for soon: have imported by then what they need."""
        if argv[-2:] == ("orchestrator", WORK) and sys.platform == "linux":
            self._open(argv[:-1], env)

    def bear(self, argv: tuple[str, ...], *, lock_fd: int, log: Path | None, env: Mapping[str, str]) -> int | None:
        """Start the worker `argv`; its pid. None, and nothing started, where it is no worker of ours or no nursery can be had."""
        program = argv[:-4]
        if sys.platform != "linux" or program[-1:] != ("orchestrator",) or argv[-4] != WORK or not self._open(program, env):
            return None
        assert self._link is not None
        order = json.dumps({"claim": argv[-3:], "log": None if log is None else str(log)}).encode()
        try:
            self._link.sendmsg([order], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [lock_fd]))])
            pid = self._newborn()
        except OSError:
            pid = None
        if pid is None:
            self.close()
            return None
        self._born.add(pid)
        self._codes.pop(pid, None)
        return pid

    def code(self, pid: int) -> int | None:
        """How the worker `pid`, which has ended, ended; None where that can't be known."""
        if pid not in self._born:
            return None
        self._born.discard(pid)
        while pid not in self._codes and self._hear(PROMPT):
            pass
        return self._codes.pop(pid, None)

    def close(self) -> None:
        """Let the nursery end."""
        if self._link is None:
            return
        self._link.close()
        self._link = None
        with suppress(ChildProcessError):
            os.waitpid(self._pid, os.WNOHANG)

    def __del__(self) -> None:
        self.close()

    def _open(self, program: tuple[str, ...], env: Mapping[str, str]) -> bool:
        """Have a nursery of just this program, as it is installed now, and environment."""
        wanted = program, env, _edition()
        if self._link is not None and self._made_for == wanted:
            return True
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._pid = detach((*program, COMMAND, str(theirs.fileno())), env=env, pass_fds=(theirs.fileno(),))
            except (OSError, OrchestratorError):
                ours.close()
                return False
        self._link, self._made_for = ours, wanted
        return True

    def _newborn(self) -> int | None:
        """The worker just asked for. None only once none can begin any more: two workers would share a claim."""
        while message := self._hear(PATIENCE):
            if "pid" in message:
                return int(message["pid"]) or None
            if message["ended"] not in self._born:  # it may be the one, dead before it could tell its pid
                break
        return self._last_words()

    def _last_words(self) -> int | None:
        """Listen no more. From then on a worker can't tell its pid, and who can't does not begin; who has told it, has begun."""
        assert self._link is not None
        self._link.shutdown(socket.SHUT_RDWR)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        pid = None
        while message := self._hear(0):
            pid = message.get("pid", pid)
        return pid or None

    def _hear(self, seconds: float) -> dict[str, Any] | None:
        """The next message, ends of workers noted; None where there is no nursery any more or it keeps silent for so long."""
        if self._link is None:
            return None
        self._link.settimeout(seconds)
        try:
            message: dict[str, Any] = json.loads(self._link.recv(LARGEST) or b"{}")
        except OSError:
            return None
        if "ended" in message:
            self._codes[message["ended"]] = message["code"]
        return message or None


def _edition() -> Edition:
    """What tells the package that is installed now from the one that an upgrade puts in its place: a worker that imports one half
    of it from a nursery made before, and the rest afterwards, fails."""
    with suppress(OSError):
        file = Path(orchestrator.__file__).stat()
        return file.st_ino, file.st_mtime_ns
    return 0, 0
