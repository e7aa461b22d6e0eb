"""Workers as processes of this host."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.core.lease import Identity
from orchestrator.errors import LACKING, OrchestratorError
from orchestrator.executors.nursery import Nursery
from orchestrator.executors.protocol import OWNER_FD
from orchestrator.proc import identity
from orchestrator.proc.capture import detach

LACKS_PROCESSES = "Free memory or process slots (`ulimit -u`), or lower --parallel."


class Local:
    """The default executor. A handle names the process for good: a pid alone is reused."""

    name = "local"
    passes_lock = True

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._nursery = Nursery()

    def expect(self, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        """Be ready for workers `argv`, each with its root, name and token added, in this environment."""
        self._nursery.expect(argv, env)

    def start(self, argv: tuple[str, ...], *, lock_fd: int | None, log: Path | None, env: Mapping[str, str]) -> str:
        passed = () if lock_fd is None else (lock_fd,)
        told = {} if lock_fd is None else {OWNER_FD: str(lock_fd)}
        try:
            pid = None if lock_fd is None else self._nursery.bear(argv, lock_fd=lock_fd, log=log, env=env)
            pid = pid or detach(argv, env={**env, **told}, pass_fds=passed, log=log)
        except OSError as error:
            place = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
            raise OrchestratorError(
                f"A worker could not be started: {error.strerror or error}{place}.",
                hint=LACKING.get(error.errno or 0, "Give this user write permission there.") if place else LACKS_PROCESSES,
            ) from error
        return to_handle(identity.of(pid) or Identity(host=identity.here().host, pid=pid, start=0.0, boot=""))

    def alive(self, handle: str) -> bool:
        if handle in self._codes:
            return False
        worker = from_handle(handle)
        try:
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
        except ChildProcessError:  # not a child of ours: from the nursery, adopted, or collected before
            if identity.alive(worker):
                return True
            if (code := self._nursery.code(worker.pid)) is not None:
                self._codes[handle] = code
            return False
        if pid:
            self._codes[handle] = os.waitstatus_to_exitcode(status)
        return not pid

    def exit_code(self, handle: str) -> int | None:
        return self._codes.pop(handle, None)

    def stop(self, handle: str, *, kill: bool) -> None:
        worker = from_handle(handle)
        if self.alive(handle):
            with suppress(ProcessLookupError):  # ended since the look
                os.kill(worker.pid, signal.SIGKILL if kill else signal.SIGTERM)

    def handle_of(self, owner: Identity) -> str | None:
        return to_handle(owner) if owner.host == identity.here().host and identity.may_signal(owner.pid) else None


def to_handle(worker: Identity) -> str:
    """`worker` as text that fits into a lease."""
    return f"{worker.pid}/{worker.start!r}/{worker.boot}/{worker.host}"


def from_handle(handle: str) -> Identity:
    """The process that `handle` names."""
    pid, start, boot, host = handle.split("/", 3)
    return Identity(host=host, pid=int(pid), start=float(start), boot=boot)
