"""`.orch/events.jsonl`: the audit and the live feed of one task. It may lag and it never decides anything."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from orchestrator.store import durable

FILE = ".orch/events.jsonl"
SCHEMA = 1
CHUNK = 1 << 16


def append(folder: Path, event: str, *, task: str, now: float | None = None, **fields: Any) -> None:
    """Add one event. The task's `.orch` must exist."""
    durable.append(folder / FILE, line(event, task=task, now=now, **fields), point="event")


def line(event: str, *, now: float | None = None, **fields: Any) -> bytes:
    """One event as JSON, without the newline."""
    return json.dumps({"schema": SCHEMA, "at": stamp(now), "event": event, **fields}, default=str).encode()


def stamp(now: float | None = None) -> str:
    """`2026-11-20T10:00:00.123Z` for epoch seconds; the present without."""
    moment = time.time() if now is None else now
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment))}.{int(moment % 1 * 1000):03d}Z"


def tail(folder: Path, count: int) -> tuple[dict[str, Any], ...]:
    """The last `count` events, oldest first; torn or foreign lines are left out."""
    try:
        with (folder / FILE).open("rb") as file:
            data = _end_of(file.fileno(), count)
    except OSError:
        return ()
    return tuple(parsed(data.splitlines()))[-count:] if count > 0 else ()


def _end_of(file: int, count: int) -> bytes:
    """Enough of the end of the file to hold `count` lines, without reading the rest."""
    size = os.fstat(file).st_size
    length = CHUNK
    while True:
        data = os.pread(file, length, max(0, size - length))
        if length >= size:
            return data
        if data.count(b"\n") > count:
            return data[data.index(b"\n") + 1 :]
        length *= 2


def parsed(lines: Iterable[bytes | str]) -> Iterator[dict[str, Any]]:
    """What the lines of JSON say that can be read; torn and foreign ones are left out."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event
