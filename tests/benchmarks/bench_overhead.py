"""A trivial task's overhead: everything from pending to merged, beside the processes that no tool could do without.

The floor replays, for each task, one after the other and with nothing in between: a bare interpreter start, the agent, the
five runs of the benchmark (base, attempt, three for the streak), and eleven git commands: two worktrees put on a commit and
cleaned, the change staged, committed, kept under a ref of its own and listed for the scope check, the merge commit, the
user's checkout moved forward, the base moved. They sync what they write, as the queue's must: by git's defaults a power cut
leaves a base that names empty objects.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.harness import AGENT, MARKER, Row, drain, milliseconds, project, show, spent

DURABLE = ("-c", "core.fsync=committed,reference")
SIZES = ((100, 100, 0.12), (10_000, 100, 0.25))


def floor(files: int, tasks: int) -> float:
    """Seconds a task's unavoidable processes take."""
    with project(files) as made:
        agent, verify = made.top / "agent", made.top / "verify"
        script = made.top / "benchmark.sh"
        script.write_text(MARKER)
        for path in (agent, verify):
            made.git("worktree", "add", "-q", "--detach", str(path))
        base = made.git("rev-parse", "HEAD")
        began = time.perf_counter()
        for number in range(tasks):
            base = _one(made.env | {"ORCH_TASK": f"task-{number}"}, made.repo, agent, verify, script, number, base)
        return (time.perf_counter() - began) / tasks


def _one(env: dict[str, str], repo: Path, agent: Path, verify: Path, script: Path, number: int, base: str) -> str:
    def git(cwd: Path, *args: str) -> None:
        spent(("git", *DURABLE, *args), cwd, env)

    def measure(cwd: Path) -> None:
        spent(("/bin/sh", str(script)), cwd, env)

    spent((sys.executable, "-c", "pass"), repo, env)
    git(agent, "checkout", "-q", "-f", "-B", f"task-{number}", base)
    git(agent, "clean", "-ffdxq")
    measure(agent)
    spent(("/bin/sh", "-c", AGENT), agent, env)
    git(agent, "add", "-A")
    git(agent, "commit", "-q", "--no-verify", "-m", "the agent's work")
    tip = (repo / f".git/refs/heads/task-{number}").read_text().strip()
    git(repo, "update-ref", f"refs/kept/{number}", tip)
    git(repo, "diff-tree", "-r", base, tip)
    measure(agent)
    git(verify, "checkout", "-q", "-f", "--detach", tip)
    git(verify, "clean", "-ffdxq")
    for _ in range(3):
        measure(verify)
    git(repo, "commit-tree", f"{tip}^{{tree}}", "-p", base, "-p", tip, "-m", "merge")
    git(repo, "read-tree", "-m", "-u", base, tip)
    git(repo, "update-ref", "refs/heads/main", tip, base)
    return tip


def rows() -> Iterator[Row]:
    for files, tasks, most in SIZES:
        before = floor(files, max(10, tasks // 4))
        with project(files, tasks) as made:
            each = drain(made) / tasks
        least = (before + floor(files, max(10, tasks // 4))) / 2
        ratio = each / least
        yield Row(
            f"a trivial task, {files:,} files ({tasks} tasks)",
            milliseconds(each),
            f"{milliseconds(least)}: its 11 git, 6 shell and one bare Python process",
            f"{ratio:.2f}",
            f"<= {milliseconds(most)}" + (", <= 1.5" if files == 100 else ""),
            each <= most and (ratio <= 1.5 or files != 100),
        )


if __name__ == "__main__":
    sys.exit(not show(rows()))
