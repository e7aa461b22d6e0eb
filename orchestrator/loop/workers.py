"""The workers this loop answers for: those it started, and those it adopted from a loop that died."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orchestrator
from orchestrator.errors import StoreError
from orchestrator.executors.protocol import Executor
from orchestrator.store import durable
from orchestrator.store.queue import Queue

LOGS = "log"  # tasks/.orch/log/TOKEN.log: what a worker printed itself, kept only if it printed anything
KEPT = 50
TAIL = 2000
PROGRAM = (sys.executable, "-P", "-m", "orchestrator", "work")  # -P: a folder called `orchestrator` in the cwd is not us


@dataclass(slots=True)
class Worker:
    """One worker. `left`: when its folder was first seen gone from running (monotonic)."""

    name: str
    token: str
    executor: Executor
    handle: str
    log: Path
    left: float | None = None
    asked: bool = False  # to stop, because its folder is gone
    told: bool = False  # where its task went was said
    done: bool = False  # its task has converged: it only has to end

    @property
    def folder(self) -> str:
        return f"{self.name}.{self.token}"


class Workers:
    """Starts, adopts, asks to stop. `program` is what an executor starts, before ROOT NAME TOKEN."""

    def __init__(self, queue: Queue, program: tuple[str, ...] = PROGRAM) -> None:
        self._queue = queue
        self._program = program
        self._environment = environment()
        self._workers: dict[str, Worker] = {}

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def busy(self) -> int:
        """How many of them hold a slot: not those that have nothing left to do but to end."""
        return sum(not worker.done for worker in self._workers.values())

    def __iter__(self) -> Iterator[Worker]:
        return iter(tuple(self._workers.values()))

    def __contains__(self, token: object) -> bool:
        return token in self._workers

    def start(self, executor: Executor, name: str, token: str, lock_fd: int) -> None:
        """Start a worker on a claim whose lease is written. Raises OrchestratorError where that fails."""
        durable.mkdir(self._queue.control / LOGS, point="logs")  # somebody may have cleaned up there
        log = self._log(token)
        argv = (*self._program, str(self._queue.root), name, token)
        handle = executor.start(argv, lock_fd=lock_fd if executor.passes_lock else None, log=log, env=self._environment)
        self.adopt(executor, name, token, handle)

    def adopt(self, executor: Executor, name: str, token: str, handle: str) -> None:
        """Answer for a worker that runs already."""
        self._workers[token] = Worker(name, token, executor, handle, self._log(token))

    def reap(self) -> list[tuple[Worker, int | None]]:
        """The workers that have ended since the last call, each with its exit code where that is known."""
        ended = [worker for worker in self if not worker.executor.alive(worker.handle)]
        for worker in ended:
            del self._workers[worker.token]
        return [(worker, worker.executor.exit_code(worker.handle)) for worker in ended]

    def stop(self, *, kill: bool = False) -> None:
        """Ask every one of them to put its task back, or kill it."""
        for worker in self:
            worker.executor.stop(worker.handle, kill=kill)

    def prepare(self) -> None:
        """Make the folder of logs, and forget all but the newest."""
        folder = self._queue.control / LOGS
        durable.mkdir(folder, point="logs")
        with suppress(OSError):
            logs = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime, reverse=True)
            for path in logs[KEPT:]:
                durable.unlink(path, point="logs.old")

    def last_words(self, worker: Worker) -> str:
        """The end of what an ended worker printed; an empty log is removed."""
        try:
            text = worker.log.read_bytes()[-TAIL:].decode(errors="replace").strip()
            if not text:
                durable.unlink(worker.log, point="logs.empty")
        except (OSError, StoreError):
            return ""
        return text

    def _log(self, token: str) -> Path:
        return self._queue.control / LOGS / f"{token}.log"


def environment() -> dict[str, str]:
    """Our own environment, able to import this package even where it was found through the working directory."""
    home = str(Path(orchestrator.__file__).parents[1])
    inherited = dict(os.environ)
    if home in sys.path[1:]:
        return inherited
    search = inherited.get("PYTHONPATH")
    return {**inherited, "PYTHONPATH": f"{home}{os.pathsep}{search}" if search else home}
