"""Every agent's real program, ended while a tool of its runs a child in a session of its own: nothing is left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import clis
from support.project import PATIENCE, Project

from orchestrator.modelserver import serve

pytestmark = [pytest.mark.agents, pytest.mark.timeout(240)]
EDITS_ONLY = {"aider"}  # it runs no commands: it is ended while the model is asked


@dataclass
class Busy:
    """A project whose agent is in the middle of a tool; `up` exists once the tool's own child runs."""

    project: Project
    name: str
    up: Path
    home: Path

    def drop(self, front: str = "") -> None:
        self.project.drop("busy", front=f"agent: exec\n{front}".strip())
        self.project.start("--loop", ORCH_PROGRESS_TIMEOUT="120s")
        self.project.wait(self.up.exists, timeout=90, why=f"{self.name} runs its tool")

    def own(self) -> list[int]:
        """Processes of this test's agents, by what only they have in their environment; not the loop and its workers."""
        home = f"HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and home in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def nothing_left(self) -> None:
        deadline = time.monotonic() + PATIENCE / 2
        while (left := self.own()) and time.monotonic() < deadline:
            time.sleep(0.02)
        told = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")[:200] for pid in left]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"{self.name} left {told}"


@pytest.fixture(params=clis.NAMES)
def busy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Busy]:
    name = request.param
    clis.needed(name)
    project = Project(tmp_path)
    (project.tasks / "pending").mkdir(parents=True)
    project.make_repo({"todo.txt": "one\n"})
    up, home = tmp_path / "up", tmp_path / "home"
    tool = f"setsid sh -c 'echo > {up}; exec sleep 311' & sleep 312"
    hangs = {"faults": [{"kind": "hang"}], "turns": [{"finish": "Done."}]}
    works = {"turns": [{"run": tool}, *[{"run": "sleep 313"}] * 9]}  # codex goes on after ten seconds of a tool
    with serve(hangs if name in EDITS_ONLY else works) as server:
        script = clis.script(name, server.url, home)
        project.agent(f"{'echo > ' + str(up) if name in EDITS_ONLY else ''}\n{script}")
        made = Busy(project, name, up, home)
        yield made
        project.end()
    made.nothing_left()
    assert not project.survivors()


def test_stopping_its_task_leaves_nothing(busy: Busy) -> None:
    busy.drop()
    busy.project.wait(busy.own, why="it runs")

    busy.project.run("stop", "busy", code=0)

    busy.project.wait(lambda: busy.project.where("busy") == "blocked", why="it is stopped")
    busy.nothing_left()


def test_its_deadline_leaves_nothing(busy: Busy) -> None:
    seconds = 40 if busy.name in clis.SLOW else 12
    busy.drop(f"timeout: {seconds}s\nmax_failures: 1")

    busy.project.wait(lambda: busy.project.where("busy") == "blocked", timeout=seconds + PATIENCE, why="its time is over")

    assert busy.project.record("busy")["history"][0]["end"] == "timed-out"
    busy.nothing_left()


def test_a_killed_worker_leaves_nothing_once_its_task_is_reclaimed(busy: Busy) -> None:
    busy.drop()
    before = set(busy.own())

    os.kill(busy.project.worker_pid("busy"), signal.SIGKILL)

    busy.project.wait(lambda: any(event["event"] == "reclaimed" for event in busy.project.events("busy")), why="it is reclaimed")
    assert not before & set(busy.own())
    busy.project.end()
    busy.nothing_left()
