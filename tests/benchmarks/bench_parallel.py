"""Two workers at a time beside one: on tasks whose agent thinks for 0.3 or 0.1 s, and on tasks that are overhead only.

Beside it stands what two cores can't do in less: the time that both were at work for one task, halved. Two at a time are not
twice as fast as one where one keeps more than one core busy, or where two need more processes than one: a base that another
task has moved is merged, and the merged commit is measured.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.harness import AGENT, Row, drain, milliseconds, project, show

TASKS = 24
AGENTS = {"an agent of 0.3 s": f"sleep 0.3; {AGENT}", "an agent of 0.1 s": f"sleep 0.1; {AGENT}", "overhead only": AGENT}


def took(agent: str, parallel: int) -> tuple[float, float]:
    """Seconds a task, and how many of those no number of workers could save: this machine's cores were at work."""
    with project(100, TASKS, agent=agent) as made:
        before = _worked()
        return drain(made, "--parallel", str(parallel)) / TASKS, (_worked() - before) / TASKS


def _worked() -> float:
    """Seconds for which this machine's cores were at work since it began, all of them together, divided by their number."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)


def rows() -> Iterator[Row]:
    for what, agent in AGENTS.items():
        (one, _), (two, least) = took(agent, 1), took(agent, 2)
        yield Row(
            f"`--parallel 2`, {what} ({TASKS} tasks)",
            f"{milliseconds(two)} a task",
            f"{milliseconds(one)} with `--parallel 1`; {milliseconds(least)} of all cores",
            f"{two / one:.2f}",
            "<= 0.65",
            two / one <= 0.65,
        )


if __name__ == "__main__":
    sys.exit(not show(rows()))
