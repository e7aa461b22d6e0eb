"""Workers that wait to land, each a process of its own, in an order that the test decides: it holds the landing lock until `go`."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.core.task import State
from orchestrator.git import landingqueue
from orchestrator.git.landingqueue import LandingQueue
from support import forks
from support.desk import Desk
from support.processes import PATIENCE, until

OWN = '#!/bin/sh\n{first}[ -e "$ORCH_TASK" ] && echo METRIC left=0 || echo METRIC left=1\n'  # is the task's own file there?
MAKE = 'touch "$ORCH_TASK"'  # and the agent that makes it


class Landers(Desk):
    """Every task of `send` is to make a file of its own name, if it is not dropped before."""

    def __init__(self, top: Path) -> None:
        super().__init__(top)
        self.workers: dict[str, subprocess.Popen[str]] = {}
        self._lock: int | None = None
        self.set(converge=1)
        self.agent(MAKE)

    @property
    def landing(self) -> LandingQueue:
        return LandingQueue(self.repo / ".git/orchestrator/landing")

    def hold(self) -> None:
        """Nobody lands until `go`."""
        (self.repo / ".git/orchestrator").mkdir(exist_ok=True)
        self._lock = os.open(self.repo / ".git/orchestrator/landing.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def go(self) -> None:
        assert self._lock is not None
        os.close(self._lock)
        self._lock = None

    def send(self, *names: str, front: str = "", first: str = "", **env: str) -> None:
        """Tasks that come to wait to land, one after the other. `first`: what their benchmark does before it counts."""
        for name in names:
            if not any(place.name == name for place in self.queue.places()):
                self.drop(name, front=front, benchmark=OWN.format(first=first))
            self.start_worker(name, **env)
            until(lambda name=name: name in self.waiting() or self.over(name), f"{name} waits to land")  # type: ignore[misc]

    def start_worker(self, name: str, **env: str) -> None:
        """A worker for the task, as a loop starts it; from a dead one it is taken over."""
        if name in self.workers:
            self.ends(name)
        claim = self.claim(name)
        assert claim.lock is not None
        descriptor = claim.lock.fileno()
        with (self.top / f"{name}.txt").open("ab") as out:
            self.workers[name] = forks.start(
                ["work", str(self.queue.root), name, claim.token],
                env={**os.environ, "ORCH_OWNER_FD": str(descriptor), **env},
                pass_fds=(descriptor,), stdout=out, stderr=out, cwd=self.top,
            )  # fmt: skip
        claim.lock.close()

    def over(self, name: str) -> bool:
        return self.workers[name].poll() is not None

    def ends(self, *names: str) -> list[int]:
        """The exit codes of these workers (or all), waited for."""
        codes = []
        for name in names or tuple(self.workers):
            try:
                codes.append(self.workers[name].wait(PATIENCE))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{name} goes on\n{self.story()}") from None
        return codes

    def waiting(self) -> list[str]:
        """The tasks that wait to land, in their order."""
        return [wish.task for name in self.landing.waiting() if (wish := self.landing.wish(name))]

    def promised(self, name: str) -> bool:
        """Whether the task has said yes to a batch."""
        tickets = [ticket for ticket in self.landing.waiting() if (wish := self.landing.wish(ticket)) and wish.task == name]
        return any((self.landing.folder / f"{ticket}{landingqueue.ANSWER}").exists() for ticket in tickets)

    def states(self) -> dict[str, State]:
        return {place.name: place.state for place in self.queue.places()}

    def brought(self) -> list[list[str]]:
        """What landed, the oldest first: of each commit of main's own history the tasks that it names."""
        log = self.git("log", "--first-parent", "--reverse", "--format=%(trailers:key=Task,valueonly,separator=%x2C)", "main")
        return [line.split(",") for line in log.splitlines() if line]

    def story(self) -> str:
        lines = [str(self.states()), self.git("log", "--graph", "--oneline", "main")]
        for name in self.workers:
            lines += [f"--- {name}", (self.top / f"{name}.txt").read_text(), *map(json.dumps, self.events(name))]
        return "\n".join(lines)

    def wrongs(self, names: Sequence[str]) -> list[str]:
        """What is not as it should be once all of these have landed."""
        found = [] if self.states() == dict.fromkeys(names, State.CONVERGED) else [f"states: {self.states()}"]
        for name in names:
            record = self.record(name)
            landed: Any = record.landed
            if record.intent or landed is None or landed.how != "merge" or not self.has("main", landed.commit):
                found.append(f"{name}: intent {record.intent}, landed {landed}")
            if not self.has("main", f"orchestrator/{name}") or self.git("ls-tree", "main", name) == "":
                found.append(f"main lacks {name}")
        if sorted(name for commit in self.brought() for name in commit) != sorted(names):
            found.append(f"landed once each? {self.brought()}")
        if dirty := self.git("status", "--porcelain"):
            found.append(f"the checkout: {dirty}")
        if waits := self.waiting():
            found.append(f"tickets: {waits}")
        self.landing.call_off()  # as the next to land does
        if left := list(self.landing.folder.glob("*")) + list(self.landing.folder.glob(".*")):
            found.append(f"left in the queue: {left}")
        return [*found, self.story()] if found else []

    def has(self, branch: str, commit: str) -> bool:
        return subprocess.run(["git", "merge-base", "--is-ancestor", commit, branch], cwd=self.repo, check=False).returncode == 0

    def end(self) -> None:
        for worker in self.workers.values():
            if worker.poll() is None:
                worker.kill()
                worker.wait()
