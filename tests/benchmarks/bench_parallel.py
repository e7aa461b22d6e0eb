"""Two workers at a time beside one, on tasks whose agent thinks for 0.3 s and on tasks that are overhead only."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.benchmarks.harness import AGENT, Row, drain, milliseconds, project, show

TASKS = 24
THINKING = f"sleep 0.3; {AGENT}"


def took(agent: str, parallel: int) -> float:
    with project(100, TASKS, agent=agent) as made:
        return drain(made, "--parallel", str(parallel))


def rows() -> Iterator[Row]:
    for what, agent in (("an agent of 0.3 s", THINKING), ("trivial tasks, on two cores", AGENT)):
        one, two = took(agent, 1), took(agent, 2)
        yield Row(
            f"`--parallel 2`, {what} ({TASKS} tasks)",
            f"{milliseconds(two / TASKS)} a task",
            f"{milliseconds(one / TASKS)} a task with `--parallel 1`",
            f"{two / one:.2f}",
            "<= 0.65",
            two / one <= 0.65,
        )


if __name__ == "__main__":
    sys.exit(not show(rows()))
