"""Claims per second: the owner's lock, then one rename, beside nothing but that rename. A loop has the next lock ready before it
is needed (`Owners.prepare`), so its making is measured by itself."""

from __future__ import annotations

import fcntl
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.store.queue import Queue
from tests.benchmarks.harness import Row, show

TASKS, ROUNDS = 400, 15


def bare(root: Path, names: list[str]) -> tuple[float, float]:
    """Seconds that the renames take, and the making of as many files with a lock on each."""
    return timed(lambda name: os.rename(f"{root}/pending/{name}", f"{root}/running/{name}.0a1b2c"), names), timed(  # noqa: PTH104
        lambda name: lock(f"{root}/.orch/{name}"), names
    )


def lock(path: str) -> None:
    fcntl.flock(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC), fcntl.LOCK_EX)


def claims(root: Path, names: list[str]) -> tuple[float, float]:
    """Seconds that the claims take with a lock made ahead for each, and the making of the locks."""
    queue = Queue(root)
    taken = []

    def take(name: str) -> None:
        claim = queue.take(name)
        assert claim is not None
        taken.append(claim)

    began = time.perf_counter()
    for made in [queue.owners.acquire() for _ in names]:
        queue.owners.give_back(made)
    ahead = time.perf_counter() - began
    claiming = timed(take, names)
    for claim in taken:
        claim.abandon()
    return claiming, ahead


def timed(way: Callable[[str], None], names: list[str]) -> float:
    began = time.perf_counter()
    for name in names:
        way(name)
    return time.perf_counter() - began


def one_round(way: Callable[[Path, list[str]], tuple[float, float]]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as top:
        root = Path(top, "tasks")
        Queue(root).ensure()
        names = [f"task-{number}" for number in range(TASKS)]
        for name in names:
            (root / "pending" / name).mkdir()
        return way(root, names)


def rows() -> Iterator[Row]:
    pairs = [(one_round(bare), one_round(claims)) for _ in range(ROUNDS)]
    yield row(
        "claims, each lock's file made while the last worker started", "bare `os.rename`", 0.5, [(a[0], b[0]) for a, b in pairs]
    )
    yield row(
        "claims with the making of the lock's file", "rename, file made, `flock`", 0.0, [(sum(a), sum(b)) for a, b in pairs]
    )


def row(what: str, beside: str, least: float, pairs: list[tuple[float, float]]) -> Row:
    limit, ours = (TASKS / statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    ratio = statistics.median(bare / claimed for bare, claimed in pairs)
    return Row(
        what, f"{ours:,.0f}/s", f"{limit:,.0f}/s: {beside}", f"{ratio:.2f}", f">= {least}" if least else "-", ratio >= least
    )


if __name__ == "__main__":
    sys.exit(not show(rows()))
