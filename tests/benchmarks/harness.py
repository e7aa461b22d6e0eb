"""What the benchmarks share: a row of the table, a project to work on, and a clock."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.project import Project

MARKER = '#!/bin/sh\n[ -f "done-$ORCH_TASK" ] && echo "METRIC left=0" || echo "METRIC left=1"\n'
AGENT = ': > "done-$ORCH_TASK"'


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: `measured` beside the `limit` that the machine set in the same run."""

    what: str
    measured: str
    limit: str
    ratio: str
    target: str
    met: bool


def show(rows: Iterable[Row]) -> bool:
    """Print each row as it comes, as a table that reads the same in a terminal and in the documentation; whether all were met."""
    good = True
    print("| what | measured | limit beside it | ratio | target | met |\n|---|---|---|---|---|---|", flush=True)
    for row in rows:
        good = good and row.met
        cells = (row.what, row.measured, row.limit, row.ratio, row.target, "yes" if row.met else "NO")
        print(f"| {' | '.join(cells)} |", flush=True)
    return good


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of its own, deleted when this program ends and no earlier: for minutes after a large deletion ext4 looks at every
    inode of it again for each new file, and what is measured next creates files ten times slower."""
    top = Path(tempfile.mkdtemp(prefix="bench-"))
    atexit.register(shutil.rmtree, top, ignore_errors=True)
    yield top


@contextmanager
def project(files: int = 100, tasks: int = 0, *, benchmark: str = MARKER, agent: str = AGENT) -> Iterator[Project]:
    """A repository of `files` files, a queue with `tasks` trivial tasks, and nothing left of either afterwards.

    Byte code is cached as it is for everybody, but in a place of its own, and warm before the clock starts.
    """
    with _folder() as top:
        made = Project(top)
        made.fresh = True
        made.env.pop("PYTHONDONTWRITEBYTECODE", None)
        made.env["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir(), f"bench-bytecode-{os.getuid()}"))
        (made.tasks / "pending").mkdir(parents=True)
        quiet = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "gc.auto", "GIT_CONFIG_VALUE_0": "0"}
        made.env |= quiet
        made.make_repo({f"src/{number % 50:02d}/file-{number:05d}.txt": f"file {number}\n" * 20 for number in range(files)})
        made.git("gc", "-q")
        made.git("config", "gc.auto", "0")
        for name in quiet:
            del made.env[name]
        made.agent(agent)
        drop(made, tasks, benchmark=benchmark)
        made.run("--version", code=0)
        subprocess.run([sys.executable, "-c", "import orchestrator.worker.main, orchestrator.loop.run"], env=made.env, check=True)
        try:
            yield made
        finally:
            made.end()


def drop(made: Project, tasks: int, *, first: int = 0, prefix: str = "task", front: str = "", benchmark: str = MARKER) -> None:
    """Put `tasks` trivial tasks into pending."""
    for number in range(first, first + tasks):
        made.drop(f"{prefix}-{number:04d}", benchmark=benchmark, front=front)


def drain(made: Project, *args: str, timeout: float = 1800, **env: str) -> float:
    """Seconds that one drain takes, the start of the command included."""
    began = time.perf_counter()
    made.run(*args, timeout=timeout, code=0, **env)
    return time.perf_counter() - began


def spent(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    """Run one program as cheaply as it can be run."""
    void = subprocess.DEVNULL
    subprocess.run(argv, cwd=cwd, env=env, check=True, stdin=void, stdout=void, stderr=void)


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
