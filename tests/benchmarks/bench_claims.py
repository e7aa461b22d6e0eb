"""Claims per second beside what limits them: a bare loop of os.rename on the same file system, in the same run.

    python -m tests.benchmarks.bench_claims [--tasks 2000] [--rounds 5] [--folder DIR]

Ends with 1 if a claim is slower than half a bare rename.

A loop makes the next owner's lock file while its last worker starts (`Owners.prepare`), so a claim finds it ready. What
a claim and the making of its lock cost together is shown too, beside its own limit: on ext4 a new file alone costs as
much as the rename.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.store.owners import OwnerLock
from orchestrator.store.queue import Queue
from tests.benchmarks.harness import Row

NEEDED = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where to measure (default: the temporary folder)")
    options = parser.parse_args()
    more_descriptors(options.tasks + 200)
    return report(rates(options.tasks, options.rounds, options.folder))


def rows() -> Iterator[Row]:
    """The same as rows of the table of all benchmarks."""
    more_descriptors(1200)
    found = rates(1000, 5, None)
    limit = 1 / (1 / found["bare"] + 1 / found["file"])
    yield row("claims, the lock ready as a loop has it", found["ready"], found["bare"], "bare `os.rename`", NEEDED)
    yield row("claims and the making of the lock", found["whole"], limit, "`os.rename` and a new file", NEEDED)


def row(what: str, rate: float, limit: float, beside: str, needed: float) -> Row:
    ratio = rate / limit
    return Row(what, f"{rate:,.0f}/s", f"{limit:,.0f}/s: {beside}", f"{ratio:.2f}", f">= {needed}", ratio >= needed)


def rates(tasks: int, rounds: int, where: Path | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=where) as folder:
        # Nothing is removed between the rounds: ext4 is slow to make files for seconds after many were removed.
        found = [one_round(Path(folder, str(number)), tasks) for number in range(rounds)]
    return {name: statistics.median(rate[name] for rate in found) for name in found[0]}


def one_round(folder: Path, tasks: int) -> dict[str, float]:
    """The rate of each kind. They take turns, with the bare rename first and last, so that a noisy moment hits all."""
    queue = Queue(folder / "tasks")
    queue.ensure()
    queue.me()

    def rename(name: str) -> None:
        os.rename(f"{queue.pending}/{name}", f"{queue.running}/{name}.000000")  # noqa: PTH104 - bare

    def create(name: str) -> None:
        os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_EXCL | os.O_RDWR))

    def claim(name: str) -> None:
        taken = queue.take(name)
        assert taken is not None
        assert taken.lock is not None
        held.append(taken.lock)

    held: list[OwnerLock] = []
    before = rate(rename, tasks_of(queue, "before", tasks))
    file = rate(create, [f"file-{number}" for number in range(tasks)])
    whole = rate(claim, tasks_of(queue, "whole", tasks))
    let_go(held)
    for lock in [queue.owners.acquire() for _ in range(tasks)]:
        queue.owners.give_back(lock)
    ready = rate(claim, tasks_of(queue, "ready", tasks))
    let_go(held)
    after = rate(rename, tasks_of(queue, "after", tasks))
    return {"bare": (before + after) / 2, "file": file, "whole": whole, "ready": ready}


def tasks_of(queue: Queue, label: str, count: int) -> list[str]:
    names = [f"{label}-{number}" for number in range(count)]
    for name in names:
        folder = Path(queue.pending, name)
        folder.mkdir()
        (folder / "autoresearch.md").touch()
    return names


def rate(act: Callable[[str], None], names: list[str]) -> float:
    start = time.perf_counter()
    for name in names:
        act(name)
    return len(names) / (time.perf_counter() - start)


def let_go(held: list[OwnerLock]) -> None:
    for lock in held:
        lock.close()
    held.clear()


def more_descriptors(wanted: int) -> None:
    """Every claim of a round stays held, as in life."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard) if hard > 0 else wanted, hard))


def report(rates: dict[str, float]) -> int:
    bare = rates["bare"]
    limit = 1 / (1 / bare + 1 / rates["file"])
    print(f"{'bare os.rename':42} {bare:9,.0f} /s")
    for label, value in {
        "claim, its lock ready (what a loop does)": rates["ready"],
        "claim and making its lock": rates["whole"],
        "bare os.rename and one new file": limit,
    }.items():
        print(f"{label:42} {value:9,.0f} /s  {value / bare:.2f} of the bare rename")
    print(f"METRIC claim_ratio={rates['ready'] / bare:.3f}")
    print(f"METRIC claim_and_lock_ratio={rates['whole'] / bare:.3f}")
    return 0 if rates["ready"] >= NEEDED * bare else 1


if __name__ == "__main__":
    sys.exit(main())
