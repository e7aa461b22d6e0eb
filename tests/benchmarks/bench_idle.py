"""What the loop takes while nothing happens, and how large it is with a hundred agents at work."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from support.project import Project

from tests.benchmarks.harness import Row, drop, project, show

IDLE, CROWD = 60.0, 100


def used(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """Megabytes of memory that a process has."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def idle() -> Row:
    with project(10, 3) as made:
        drop(made, 5, prefix="draft", front="draft: true")
        loop = made.start("--loop")
        made.wait(lambda: len(list((made.tasks / "converged").iterdir())) == 3, why="the tasks converge")
        time.sleep(3)
        before = used(loop.pid)
        time.sleep(IDLE)
        share = (used(loop.pid) - before) / IDLE
        made.run("--stop", code=0)
    return Row(f"idle CPU of a loop over {IDLE:.0f} s", f"{share:.3%}", "0 %", "-", "<= 0.1 %", share <= 0.001)


def crowd() -> Row:
    with project(10, CROWD, agent='mkdir -p "$TOP/agents"; : > "$TOP/agents/$$"; sleep 600') as made:
        made.env |= {"TOP": str(made.top), "ORCH_ENV_PASS": "TOP"}
        loop = made.start("--loop", ORCH_PARALLEL=str(CROWD))
        made.wait(lambda: len(list((made.top / "agents").iterdir())) == CROWD, timeout=180, why="all agents run")
        time.sleep(3)
        size = resident(loop.pid)
        workers = [made.worker_pid(f"task-{number:04d}") for number in range(CROWD)]
        shared = sum(proportional(pid) for pid in workers) / CROWD
        bare = proportional_of_nothing(made)
        made.run("--stop", code=0, timeout=120)
    return Row(
        f"the loop's memory with {CROWD} tasks running",
        f"{size:.1f} MB (a worker: {shared:.1f} MB)",
        f"{bare:.1f} MB: a bare Python",
        f"{size / bare:.1f}",
        "<= 40 MB",
        size <= 40,
    )


def proportional(pid: int) -> float:
    """Megabytes of a process, what it shares divided by how many share it."""
    line = next(line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def proportional_of_nothing(made: Project) -> float:
    import subprocess

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=made.env) as bare:
        time.sleep(0.3)
        size = resident(bare.pid)
        bare.communicate(b"\n")
    return size


def rows() -> Iterator[Row]:
    yield idle()
    yield crowd()


if __name__ == "__main__":
    sys.exit(not show(rows()))
