"""Queue-wide notes in `tasks/.orch`: the loops that live, the request to stop them, the loops' own log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from orchestrator.errors import StoreError
from orchestrator.store import durable, events
from orchestrator.store.owners import Kind, OwnerLock
from orchestrator.store.queue import Queue

STOP = "stop"
LOOP = "loop.json"
LOG = "daemon.jsonl"
LOG_LARGEST = 1 << 20


def register_loop(queue: Queue, kind: Kind = Kind.LOOP) -> OwnerLock:
    """Register this process as a loop, alive for as long as it holds the lock returned. Its `started` goes with it."""
    lock = queue.owners.acquire(kind)
    _tell_of(queue, lock)
    return lock


def register_again(queue: Queue, lock: OwnerLock) -> None:
    """The same for a loop whose registration somebody removed (`rm -rf tasks/.orch`): no status showed it, no stop reached it."""
    if not lock.named():
        queue.owners.renew(lock)
        _tell_of(queue, lock)


def request_stop(queue: Queue, who: str = "") -> tuple[str, ...]:
    """Ask every loop that lives now to stop: their tokens, to be waited for (`queue.owner_alive`). Empty: none ran."""
    tokens = tuple(owner.token for owner in queue.owners.loops())
    if tokens:
        data = json.dumps({"schema": 1, "who": who, "at": events.stamp(), "loops": tokens}).encode()
        durable.write(queue.control / STOP, data, point="stop", shared=True)
    return tokens


def forget_stop(queue: Queue, tokens: Sequence[str]) -> None:
    """All of these loops have ended: while the file names them, one that is made by hand would seem to mean them again."""
    path = queue.control / STOP
    with suppress(OSError, StoreError):
        if tokens and set(_loops(path.read_bytes())) <= set(tokens):
            durable.unlink(path, point="stop.done")


def stop_requested(queue: Queue, lock: OwnerLock) -> bool:
    """Whether the loop registered by `lock` was asked to stop; also where its queue was moved to, since who asks there waits for
    it.

    A request names the loops it means, so a jump of the clock neither loses it nor stops a later loop. One made by hand
    (`touch tasks/.orch/stop`) counts where it is not older than the registration.
    """
    places = [queue.control]
    with suppress(OSError):
        places += [] if lock.named() else [lock.control()]
    return any(_requested(place / STOP, lock) for place in places)


def log(queue: Queue, event: str, **fields: Any) -> None:
    """Add to the loops' log, which is kept small: what is older than about a megabyte is in `daemon.jsonl.1`, then gone."""
    path = queue.control / LOG
    durable.rotate(path, path.with_name(f"{LOG}.1"), LOG_LARGEST)
    durable.append(path, events.line(event, **fields), point="log")


def _tell_of(queue: Queue, lock: OwnerLock) -> None:
    data = {"schema": 1, "token": lock.token, "started": lock.started, **asdict(queue.me())}
    durable.write(queue.control / LOOP, json.dumps(data).encode(), point="loop", durable=False, shared=True)


def _requested(path: Path, lock: OwnerLock) -> bool:
    try:
        asked, written = path.read_bytes(), path.stat().st_mtime
    except OSError:
        return False
    named = _loops(asked)
    return lock.token in named if named else written >= lock.started


def _loops(asked: bytes) -> tuple[str, ...]:
    try:
        named = json.loads(asked)["loops"]
    except (ValueError, KeyError, TypeError):
        return ()
    return tuple(named) if isinstance(named, list) else ()
