"""Two and four loops at once on 24 tasks of one repository, again and again: every file on main, nothing left, no agent twice."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from tests.benchmarks.harness import AGENT, Row, project, show

TASKS, ROUNDS = 24, 20
COUNTED = f'{AGENT}; echo "$ORCH_TASK" >> "$TOP/agents.txt"'


def wrong(loops: int) -> tuple[str, float]:
    """What was not as it must be after one round, empty where all was; and the seconds it took."""
    with project(50, TASKS, agent=COUNTED) as made:
        made.env |= {"TOP": str(made.top), "ORCH_ENV_PASS": "TOP"}
        began = time.perf_counter()
        running = [made.start(ORCH_PARALLEL="2") for _ in range(loops)]
        codes = [process.wait(180) for process in running]
        took = time.perf_counter() - began
        landed = made.git("ls-tree", "--name-only", "main").split()
        agents = (made.top / "agents.txt").read_text().split()
        common = made.repo / ".git"
        found = {
            "exit codes": any(codes),
            "files on main": len([name for name in landed if name.startswith("done-")]) != TASKS,
            "agents": sorted(agents) != sorted(set(agents)) or len(agents) != TASKS,
            "stash": bool(made.git("stash", "list")),
            "checkout": bool(made.git("status", "--porcelain")),
            "git locks": [path for path in common.rglob("*.lock") if not path.is_relative_to(common / "orchestrator")],
            "converged": len(list((made.tasks / "converged").iterdir())) != TASKS,
        }
        return ", ".join(name for name, bad in found.items() if bad), took


def rows() -> Iterator[Row]:
    for loops in (2, 4):
        results = [wrong(loops) for _ in range(ROUNDS)]
        good = sum(not problem for problem, _ in results)
        seconds = sum(took for _, took in results) / ROUNDS
        said = "; ".join(sorted({problem for problem, _ in results if problem}))
        yield Row(
            f"{loops} loops on {TASKS} tasks of one repository",
            f"{good} of {ROUNDS} right{f' ({said})' if said else ''}",
            f"{seconds:.1f} s a round",
            "-",
            f"{ROUNDS} of {ROUNDS}",
            good == ROUNDS,
        )


if __name__ == "__main__":
    sys.exit(not show(rows()))
