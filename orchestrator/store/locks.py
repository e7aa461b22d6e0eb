"""Exclusive locks between processes: the kernel's flock, which ends with its holder, however that dies.

A function that may only run under a lock takes the proof of it as an argument.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import StoreError
from orchestrator.store import durable

FIRST_WAIT = 0.005
LONGEST_WAIT = 0.05


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LockProof(Value):
    """Held while its `with` block runs; `path` is the lock file."""

    path: Path


Take = Callable[[], LockProof | None]


@contextlib.contextmanager
def acquire(path: Path, pump: Callable[[float], None] = time.sleep) -> Iterator[LockProof]:
    """Hold the lock at `path` for the block; its folder must exist. The file stays: removing it would split the lock.

    While someone else holds it, `pump(seconds)` is called in place of sleeping, so that a worker's heartbeat and stop
    requests go on; whatever it raises ends the waiting.
    """
    with asking(path) as take:
        waits = growing()
        while (proof := take()) is None:
            pump(next(waits))
        yield proof


@contextlib.contextmanager
def asking(path: Path) -> Iterator[Take]:
    """For whoever does more than wait: a function that takes the lock at `path` if nobody has it. Let go after the block."""
    descriptor = durable.open_lock(path, point="lock", new=False)
    try:
        yield lambda: LockProof(path) if try_exclusive(descriptor) else None
    finally:
        os.close(descriptor)


def growing() -> Iterator[float]:
    """How long to wait before each next look at what somebody else has."""
    wait = FIRST_WAIT
    while True:
        yield wait
        wait = min(wait * 1.5, LONGEST_WAIT)


@contextlib.contextmanager
def attempt(path: Path) -> Iterator[LockProof | None]:
    """The same without waiting: None where someone else holds it."""
    with asking(path) as take:
        yield take()


def held(path: Path) -> bool:
    """Whether anybody holds the lock at `path` now."""
    descriptor = durable.open_lock(path, point="lock", new=False)
    try:
        return not try_shared(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def short(path: Path, *, timeout: float = 10.0) -> Iterator[LockProof]:
    """The same for rare edits by hand on the command line: waits at most `timeout` seconds. Raises StoreError."""
    import filelock

    try:
        with filelock.FileLock(path, timeout=timeout):
            yield LockProof(path)
    except filelock.Timeout as error:
        raise StoreError(f"{path} is held by another process.", hint="Try again when it has finished.") from error


def try_exclusive(descriptor: int) -> bool:
    """Take the lock of an open file if nobody has it."""
    return _try(descriptor, fcntl.LOCK_EX)


def try_shared(descriptor: int) -> bool:
    """Take it together with other lookers: a probe that disturbs no other probe."""
    return _try(descriptor, fcntl.LOCK_SH)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
