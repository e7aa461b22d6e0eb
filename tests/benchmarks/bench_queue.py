"""What a long queue costs: seconds a task with 100 and with 5,000 pending, and `--status` of 1,000 and 5,000."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from support.forks import PROGRAM
from support.project import Project

from tests.benchmarks.harness import Row, drop, milliseconds, project, show

SHORT, LONG, WORKED = 100, 5000, 60
STATUS = ((1000, 0.15), (5000, 0.5))


def a_task(queued: int) -> float:
    """Seconds a task takes while `queued` are pending: the first is waited for, the others are timed."""
    with project(100) as made:
        drop(made, queued - WORKED)
        drop(made, WORKED, prefix="first", front="priority: 9")
        made.start("--loop")
        converged = made.tasks / "converged"
        wait(made, converged, 1)
        began = time.perf_counter()
        wait(made, converged, WORKED)
        each = (time.perf_counter() - began) / (WORKED - 1)
        made.run("--stop", code=0)
        return each


def wait(made: Project, folder: object, many: int) -> None:
    made.wait(lambda: len(list(folder.iterdir())) >= many, timeout=300, why=f"{many} tasks converge")  # type: ignore[attr-defined]


def status(queued: int, most: float) -> Row:
    with project(1) as made:
        drop(made, queued)
        made.run("init", code=0)
        made.run("--status", code=0)  # the first look parses every spec; the cache has them afterwards

        def look(*argv: str) -> float:
            began = time.perf_counter()
            subprocess.run(argv, cwd=made.top, env=made.env, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - began

        ours = statistics.median(look(*PROGRAM, "--status") for _ in range(9))
        bare = statistics.median(
            look(sys.executable, "-c", f"import click, os; os.listdir({str(made.tasks)!r})") for _ in range(9)
        )
    what = f"`--status` of {queued:,} tasks"
    return Row(
        what,
        milliseconds(ours),
        f"{milliseconds(bare)}: Python, click, a listing",
        f"{ours / bare:.1f}",
        f"<= {most} s",
        ours <= most,
    )


def rows() -> Iterator[Row]:
    short, long = a_task(SHORT), a_task(LONG)
    yield Row(
        f"a task with {LONG:,} queued",
        milliseconds(long),
        f"{milliseconds(short)} with {SHORT} queued",
        f"{long / short:.2f}",
        "<= 1.3",
        long / short <= 1.3,
    )
    for queued, most in STATUS:
        yield status(queued, most)


if __name__ == "__main__":
    sys.exit(not show(rows()))
