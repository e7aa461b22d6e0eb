"""Real loops on a real queue, each a process of its own; the workers are stand-ins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from orchestrator.core.record import Record
from orchestrator.core.task import Place, State, mark
from orchestrator.proc import identity, tree
from orchestrator.store import control, leases, records
from orchestrator.store.queue import Queue
from support import forks
from support.processes import SOON, until

STANDIN = (sys.executable, str(Path(__file__).with_name("standin.py")))
ENDS = 28.0  # seconds for a loop's last task: less than those after which it looks at everything, whatever it has heard
SPEC = "---\n{front}\n---\n# {name}\n\n## Goal\n\nMake it so.\n"


class Stage:
    def __init__(self, top: Path) -> None:
        self.top = top
        self.queue = Queue(top / "tasks")
        self.queue.ensure()
        self.loops: list[subprocess.Popen[str]] = []

    # What a person does

    def task(self, name: str, act: str = "converge", *, front: str = "", state: State = State.PENDING) -> Path:
        """A task folder, renamed in when it is complete, as our own tools do."""
        scratch = self.queue.scratch()
        self.fill(scratch, name, act, front)
        (scratch / ".orch").mkdir()
        (scratch / ".orch/ready").touch()
        return self.queue.path(self.queue.publish(scratch, name, state))

    def fill(self, folder: Path, name: str, act: str = "converge", front: str = "") -> None:
        (folder / "act").write_text(act)
        (folder / "benchmark.sh").write_text("#!/bin/sh\necho METRIC left=0\n")
        (folder / "autoresearch.md").write_text(SPEC.format(front=front, name=name))

    def loop(
        self,
        mode: str = "loop",
        name: str | None = None,
        program: tuple[str, ...] = STANDIN,
        *,
        fresh: bool = forks.FRESH,
        **settings: object,
    ) -> subprocess.Popen[str]:
        """A loop in the background. `fresh`: with what a new process has from this one, its signals and its limits."""
        chosen = {"tasks": str(self.queue.root), "settle": 0.2, "backoff": 0.2, **settings}
        told = json.dumps([chosen, mode, name, program])
        with (self.top / f"loop-{len(self.loops)}.txt").open("w") as out:
            process = forks.start(
                [told],
                env=os.environ,
                fresh=fresh,
                module="support.stageloop",
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.top,
            )
        self.loops.append(process)
        return process

    def code(self, process: subprocess.Popen[str]) -> int:
        """The exit code of a loop, waited for."""
        try:
            return process.wait(timeout=ENDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the loop goes on:\n{self.said()}") from None

    def registered(self) -> tuple[str, ...]:
        return tuple(owner.token for owner in self.queue.owners.loops())

    def stop(self) -> None:
        control.request_stop(self.queue, "a test")

    # What a person sees

    def said(self, number: int | None = None) -> str:
        """What the loops printed, or one of them."""
        files = sorted(self.top.glob("loop-*.txt")) if number is None else [self.top / f"loop-{number}.txt"]
        return "\n".join(path.read_text() for path in files)

    def place(self, name: str) -> Place | None:
        return next((place for place in self.queue.places() if place.name == name), None)

    def state(self, name: str) -> State | None:
        place = self.place(name)
        return place.state if place else None

    def record(self, name: str) -> Record | None:
        place = self.place(name)
        return records.peek(self.queue.path(place)) if place else None

    def worker(self, name: str) -> int | None:
        """The pid of the stand-in that holds the task, once it has said so in its lease."""
        place = self.place(name)
        lease = leases.read(self.queue.path(place)) if place and place.state is State.RUNNING else None
        return lease.owner.pid if lease and lease.owner.pid not in {loop.pid for loop in self.loops} else None

    def started(self, name: str | None = None) -> list[str]:
        """The tokens of all workers that ever started (for `name`)."""
        return [token for task, token, _ in self._started() if name in (None, task)]

    def pids(self, name: str) -> list[int]:
        """The pids of all workers that ever started for `name`."""
        return [int(pid) for task, _, pid in self._started() if name == task]

    def _started(self) -> list[list[str]]:
        file = self.top / "started"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def until(self, condition: Callable[[], object], what: str) -> None:
        try:
            until(condition, what, SOON)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}\n{[str(p) for p in self.queue.places()]}") from None

    def runs(self, name: str) -> int:
        """Wait until a worker holds the task; its pid."""
        pids: list[int] = []

        def runs() -> bool:
            pid = self.worker(name)
            pids[:] = [pid] if pid in self.pids(name) else []  # its lease comes first, and then it reads what it is to do
            return bool(pids)

        self.until(runs, f"a worker of {name}")
        return pids[0]

    # The end

    def end(self) -> None:
        for loop in self.loops:
            if loop.poll() is None:
                loop.kill()
                loop.wait()
        for _, token, pid in self._started():
            tree.end_marked(mark(self.queue.root, token))
            if token.encode() in _argv(int(pid)):  # a pid of a minute ago may be another test's stand-in
                os.kill(int(pid), signal.SIGKILL)
                until(lambda pid=int(pid): identity.started(pid) is None, "the end of a stand-in")


def _argv(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
