"""SIGKILL at every change that the queue makes on disk, and again while it recovers: starting it again is all it takes."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.core.task import State
from orchestrator.store import events, records
from orchestrator.store.queue import Queue
from tests.support import queue_life
from tests.support.queues import names, where

CHECKOUT = Path(__file__).parents[2]
PARTS = 6


Lives = Callable[..., int]


@pytest.fixture
def live() -> Iterator[Lives]:
    """One process that brings the queue to its goal, or dies on the way; how it ended."""
    command = [sys.executable, "-m", "tests.support.queue_life"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as lives:
        assert lives.stdin is not None
        assert lives.stdout is not None
        lines, codes = lives.stdin, lives.stdout

        def one(root: Path, **environment: str) -> int:
            lines.write(json.dumps([str(root), environment]) + "\n")
            lines.flush()
            return int(codes.readline())

        yield one
        lines.close()


def points(live: Lives, tmp_path: Path) -> list[str]:
    """Every failpoint that a whole life passes, as `label#number`."""
    trace = tmp_path / "trace"
    assert live(tmp_path / "traced", ORCH_FAILPOINT_TRACE=str(trace)) == 0
    counts: Counter[str] = Counter()
    found = []
    for label in trace.read_text().split():
        counts[label] += 1
        found.append(f"{label}#{counts[label]}")
    return found


def check(root: Path) -> None:
    """The goal is reached, exactly once, and nothing of the crash is in anybody's way."""
    queue = Queue(root)
    assert where(queue) == queue_life.GOAL
    assert queue.removed.names() == {"old"}
    for name in ("one", "copy"):
        folder = queue.folder(State.CONVERGED) / name
        record = records.read(folder)
        assert record is not None
        assert (record.name, record.attempts, record.inode) == (name, 1, folder.stat().st_ino)
        assert (folder / ".orch/attempts/0001/report.md").read_bytes() == b"done"
        assert (folder / "autoresearch.md").read_text() == "# one\n"
        assert sum(event["event"] == "moved" for event in events.tail(folder, 99)) <= 1
    ids = [record.id for name in ("one", "copy") if (record := records.read(queue.folder(State.CONVERGED) / name))]
    assert len(set(ids)) == 2
    queue.sweep()
    assert names(queue.control / "owners") == []


def test_a_life_without_a_crash_passes_every_kind_of_change(live: Lives, tmp_path: Path) -> None:
    labels = {point.partition(":")[0] for point in points(live, tmp_path)}
    check(tmp_path / "traced")
    assert labels >= {
        *("ensure", "owner.make", "owner.adopt", "owner.drop", "claim", "reclaim", "lease", "ready", "record", "attempts"),
        *("attempt", "file", "inbox.folder", "inbox.put", "inbox.take", "inbox.done", "event", "release", "publish", "scratch"),
        *("move", "discard", "discard.tree", "remember", "copied", "copied.entry", "loop", "stop", "log"),
    }


@pytest.mark.parametrize("part", range(PARTS))
def test_a_kill_at_any_point_loses_nothing_and_a_second_one_while_recovering_neither(
    live: Lives, tmp_path: Path, part: int
) -> None:
    every = points(live, tmp_path)
    chance = random.Random(part)
    for number, point in enumerate(every[part::PARTS]):
        root = tmp_path / str(number)
        assert live(root, ORCH_FAILPOINT=point) == -signal.SIGKILL, point
        second = chance.choice(every)
        live(root, ORCH_FAILPOINT=second)
        assert live(root) == 0, f"{point}, then {second}"
        check(root)
