"""A worker's life inside the test's own process: a real repository, a real queue, real claims, agents that are shell scripts."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.core.lease import Lease
from orchestrator.core.record import Record
from orchestrator.core.settings import Settings
from orchestrator.core.task import Place, State
from orchestrator.proc import identity
from orchestrator.store import config, events, leases, records
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue
from orchestrator.worker import main, opening
from orchestrator.worker.pulse import Pulse
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work
from orchestrator.worker.workspace import Workspace

COUNT = '#!/bin/sh\necho "METRIC left=$(grep -c . todo.txt)"\n'
DONE = ": > todo.txt"
LESS = "sed -i 1d todo.txt"
FILES = {"todo.txt": "one\ntwo\nthree\n", "README": "a repository\n", ".gitignore": "*.ignored\n"}


class Desk:
    """`repo` is the user's checkout on main, `queue` the tasks; `settings` are what every claim of `serve` is given."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.repo = top / "repo"
        self.queue = Queue(top / "tasks")
        self.queue.ensure()
        self.settings = Settings(
            tasks=str(self.queue.root),
            repo=str(self.repo),
            converge=2,
            backoff=0.01,
            backoff_max=0.05,
            stop_grace=0.2,
            timeout=60,
        )

    # What a person does

    def git(self, *args: str, cwd: Path | None = None, ok: bool = True) -> str:
        done = subprocess.run(
            ["git", *args], cwd=cwd or self.repo, capture_output=True, text=True, errors="surrogateescape", check=False
        )
        assert not ok or done.returncode == 0, f"git {args}: {done.stderr}"
        return done.stdout.rstrip("\n")

    def make_repo(self, files: Mapping[str, str] = FILES) -> None:
        self.repo.mkdir()
        self.git("init", "-q", "-b", "main")
        self.commit(files, "start")

    def commit(self, files: Mapping[str, str], message: str = "a person's change") -> str:
        for name, text in files.items():
            (self.repo / name).parent.mkdir(parents=True, exist_ok=True)
            (self.repo / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.main

    def drop(self, name: str = "x", *, front: str = "", benchmark: str = COUNT, files: Mapping[str, str] | None = None) -> Path:
        folder = self.queue.folder(State.PENDING) / name
        folder.mkdir()
        (folder / "autoresearch.md").write_text(f"---\n{front}\n---\n# {name}\n\n## Goal\n\nMake it so.\n")
        (folder / "benchmark.sh").write_text(benchmark)
        for path, text in (files or {}).items():
            (folder / path).write_text(text)
        return folder

    def agent(self, script: str) -> None:
        """From the next claim on the agent is this shell script, run in the worktree."""
        self.settings = replace(self.settings, agent_cmd=script)

    def set(self, **settings: Any) -> None:
        self.settings = replace(self.settings, **settings)

    def move(self, name: str, state: State) -> None:
        self.queue.move(self.place(name), state)

    # What a loop does

    def claim(self, name: str = "x", *, once: bool = False) -> Claim:
        """The task claimed and given to this process. A running one is taken over from its dead owner."""
        place = self.place(name)
        dead = place.token if place.state is State.RUNNING else None
        claim = self.queue.reclaim(place) if dead else self.queue.take(name)
        assert claim is not None, f"{place} can't be claimed: {self.queue.owners.tokens()}, {self.queue.places()}"
        claim.begin(Lease(claim.token, identity.here(), settings=config.to_json(self.settings), once=once, previous=dead))
        return claim

    def serve(self, name: str = "x", *, once: bool = False) -> int:
        """One claim worked to its end; the worker's exit code."""
        return main.serve(self.claim(name, once=once))

    def hold_up(self) -> None:
        """The task's work is done and couldn't land: a person's edit was in the way, and is gone by now."""
        self.agent(DONE)
        (self.repo / "todo.txt").write_text("mine\n")
        self.serve()
        self.git("checkout", "-q", "todo.txt")

    def die(self, claim: Claim) -> None:
        """What the kernel does for a worker that is killed."""
        assert claim.lock is not None
        claim.lock.close()
        claim.lock = None

    def start(self, name: str = "x", *, once: bool = False) -> tuple[Work, Space]:
        """A claim, its work and its space, not opened yet."""
        claim = self.claim(name, once=once)
        assert claim.lease is not None
        record, pulse = claim.record(), Pulse(claim, claim.lease.ttl)
        work = opening.take_up(claim, pulse, self.settings, claim.lease, record, self.queue.scratch())
        return work, opening.find_space(work)

    def opened(self, name: str = "x") -> tuple[Work, Workspace]:
        work, space = self.start(name)
        assert isinstance(space, Workspace)
        assert space.open(work) is None
        return work, space

    # What a person sees

    @property
    def main(self) -> str:
        return self.tip("main")

    def tip(self, ref: str) -> str:
        return self.git("rev-parse", ref)

    def place(self, name: str = "x") -> Place:
        return next(place for place in self.queue.places() if place.name == name)

    def state(self, name: str = "x") -> State:
        return self.place(name).state

    def folder(self, name: str = "x") -> Path:
        return self.queue.path(self.place(name))

    def record(self, name: str = "x") -> Record:
        record = records.peek(self.folder(name))
        assert record is not None
        return record

    def lease(self, name: str = "x") -> Lease:
        lease = leases.last(self.folder(name))
        assert lease is not None
        return lease

    def events(self, name: str = "x", event: str | None = None) -> list[dict[str, Any]]:
        return [item for item in events.tail(self.folder(name), 1000) if event in (None, item["event"])]

    def worktree(self, name: str = "x") -> Path:
        return self.repo / ".worktrees" / name

    def refs(self, below: str = "refs/orchestrator/x") -> dict[str, str]:
        rows = self.git("for-each-ref", "--format=%(refname) %(objectname)", below).splitlines()
        return {row.split(" ")[0].removeprefix(f"{below}/"): row.split(" ")[1] for row in rows}

    def show(self, path: str, commit: str = "main") -> str:
        return self.git("show", f"{commit}:{path}")

    def merges(self) -> int:
        return int(self.git("rev-list", "--merges", "--count", "main"))

    def calls(self) -> int:
        """How often the agent was started, where its script says `{CALL}`."""
        file = self.top / "calls"
        return len(file.read_text().splitlines()) if file.exists() else 0

    @property
    def call(self) -> str:
        """For the beginning of an agent's script: notes the call; `$n` is its number."""
        return f"echo >> {self.top}/calls; n=$(grep -c '' {self.top}/calls); "


def me() -> int:
    """The pid that an agent signals to stop its worker."""
    return os.getpid()


def later(seconds: float = 60) -> float:
    return time.time() + seconds
