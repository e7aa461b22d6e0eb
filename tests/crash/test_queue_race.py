"""Many processes, one queue: every task has exactly one winner."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from orchestrator.core.task import State
from orchestrator.store import events
from orchestrator.store.queue import Queue
from tests.support.queues import claimed, die, drop, new_queue, only, where

PROCESSES = 16
TASKS = 300
CHECKOUT = Path(__file__).parents[2]


def race(queue: Queue, start: Path, what: str, processes: int = PROCESSES) -> list[list[str]]:
    """Let them loose together; what each of them won."""
    command = [sys.executable, "-m", "tests.support.racer", str(queue.root), str(start), what]
    with ExitStack() as stack:
        racers = [
            stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT))
            for _ in range(processes)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        start.touch()
        outputs = [racer.communicate(timeout=120)[0].split("\n") for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * processes
    return [[name for name in output if name] for output in outputs]


def test_sixteen_processes_racing_for_300_tasks_claim_each_once(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    tasks = [f"task {number:03d}" for number in range(TASKS)]
    for name in tasks:
        drop(queue, name)
    won = race(queue, tmp_path / "start", "take")
    assert Counter(name for names in won for name in names) == Counter(tasks)
    assert where(queue) == only(State.CONVERGED, *tasks)
    assert all(len(events.tail(queue.folder(State.CONVERGED) / name, 9)) == 1 for name in tasks)
    assert queue.owners.tokens() == []


def test_eight_processes_racing_to_reclaim_take_each_dead_owners_task_once(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    tasks = [f"task {number:03d}" for number in range(40)]
    for name in tasks:
        drop(queue, name)
        die(claimed(queue, name))
    won = race(queue, tmp_path / "start", "reclaim", 8)
    # A racer that is done has died: the others may take its tasks over in turn, and nobody takes a living one's.
    assert {name for names in won for name in names} == set(tasks)
    assert all(len(names) == len(set(names)) for names in won)
    assert sorted(place.name for place in queue.places((State.RUNNING,))) == tasks
