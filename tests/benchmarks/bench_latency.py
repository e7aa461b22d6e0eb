"""How quickly things are noticed: a folder renamed in, a worker that was killed, a request to stop."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from support.project import Project

from tests.benchmarks.harness import Row, drop, milliseconds, project, show

DROPS, KILLS, STOPS = 100, 5, 5


def claimed_in(made: Project, number: int) -> float:
    """From the rename into pending to the folder's absence from there."""
    name = f"drop-{number:04d}"
    built = made.top / name
    (built / ".orch").mkdir(parents=True)
    (built / ".orch/ready").touch()  # what `add` and every tool of ours writes: the folder is complete
    (built / "autoresearch.md").write_text(f"# {name}\n\n## Goal\n\nMake it so.\n")
    (built / "benchmark.sh").write_text("#!/bin/sh\necho METRIC left=0\n")
    target = made.tasks / "pending" / name
    began = time.perf_counter()
    built.rename(target)
    while os.path.exists(target):  # noqa: PTH110 - polled without a pause
        time.sleep(0.0002)
    return time.perf_counter() - began


def drops() -> Row:
    with project(10) as made:
        made.start("--loop", ORCH_PARALLEL="4")
        made.wait(lambda: made.status()["loop"], why="the loop runs")
        times = []
        for number in range(DROPS):
            times.append(claimed_in(made, number))
            made.wait(lambda: not list((made.tasks / "running").iterdir()), why="it converges")
        made.run("--stop", code=0)
    middle, worst = statistics.median(times), sorted(times)[int(len(times) * 0.99) - 1]
    return Row(
        f"renamed in until claimed, p99 of {DROPS}",
        milliseconds(worst),
        f"{milliseconds(middle)}: p50",
        f"{worst / middle:.1f}",
        "<= 100 ms",
        worst <= 0.1,
    )


def started(made: Project) -> Path:
    """Wait until the agent runs."""
    return made.wait(lambda: next((made.top / "agents").iterdir()), why="the agent runs")


def killed() -> float:
    with project(10, agent='mkdir -p "$TOP/agents"; : > "$TOP/agents/$$"; sleep 600') as made:
        made.env |= {"TOP": str(made.top), "ORCH_ENV_PASS": "TOP"}
        drop(made, 1)
        made.start("--loop")
        first = started(made)
        worker = made.worker_pid("task-0000")
        began = time.perf_counter()
        os.kill(worker, signal.SIGKILL)
        made.wait(lambda: [path for path in (made.top / "agents").iterdir() if path != first], why="the agent runs again")
        took = time.perf_counter() - began
        made.run("--stop", code=0)
        assert made.record("task-0000")["failures"] == 0
        return took


def stopped() -> float:
    with project(10, agent='mkdir -p "$TOP/agents"; : > "$TOP/agents/$$"; sleep 600') as made:
        made.env |= {"TOP": str(made.top), "ORCH_ENV_PASS": "TOP"}
        drop(made, 1)
        made.start("--loop")
        started(made)
        began = time.perf_counter()
        made.run("--stop", code=0)
        took = time.perf_counter() - began
        assert made.where("task-0000") == "pending"
        assert made.record("task-0000")["failures"] == 0
        return took


def rows() -> Iterator[Row]:
    yield drops()
    for what, way, many in (
        ("a killed worker's task runs again", killed, KILLS),
        ("`--stop` while an agent runs", stopped, STOPS),
    ):
        worst = max(way() for _ in range(many))
        yield Row(f"{what}, worst of {many}", f"{worst:.2f} s", "-", "-", "< 2 s", worst < 2)


if __name__ == "__main__":
    sys.exit(not show(rows()))
