"""What is remembered of the converged tasks that retention removed: `converged.jsonl`, a line each, which only grows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.core import retention
from orchestrator.core.record import Record
from orchestrator.store import durable, events


class Removed:
    """Read on from where the last look ended: after some years it is long, and a loop asks after each landing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = self._read = 0
        self._names: set[str] = set()
        self._ids: set[str] = set()

    def add(self, name: str, record: Record | None = None) -> None:
        """Note that this task had converged. Safe from a power cut."""
        line = json.dumps({"schema": 1, "name": name, **(retention.remains(record) if record else {})}).encode()
        durable.append(self._path, line, point="remember", durable=True)

    def names(self) -> frozenset[str]:
        self._look()
        return frozenset(self._names)

    def knows(self, name: str, record: Record | None) -> bool:
        """Whether all that there is to say of this task is written down."""
        self._look()
        return name in self._names and (record is None or record.id in self._ids)

    def records(self) -> tuple[Record, ...]:
        """What is still known of them, where anything is; each once, however often it was noted."""
        found = (retention.remembered(said) for said in _parsed(self._after(0)))
        return tuple({record.id: record for record in found if record}.values())

    def _look(self) -> None:
        data = self._after(self._read)
        self._read += data.rfind(b"\n") + 1  # what has no end yet is read again
        for said in _parsed(data):
            self._names.add(said["name"])
            if isinstance(said.get("id"), str):
                self._ids.add(said["id"])

    def _after(self, offset: int) -> bytes:
        try:
            with open(self._path, "rb") as file:  # noqa: PTH123 - asked after each landing
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._read:  # another file, or cut by a person
                    offset = self._forget(status.st_ino)
                file.seek(offset)
                return file.read()
        except FileNotFoundError:
            self._forget(0)
            return b""
        except OSError as error:
            raise durable.explain(error, "read", self._path) from error

    def _forget(self, inode: int) -> int:
        """Begin anew, with this file."""
        self._inode, self._read = inode, 0
        self._names.clear()
        self._ids.clear()
        return 0


def _parsed(data: bytes) -> Iterator[dict[str, Any]]:
    return (said for said in events.parsed(data.splitlines()) if isinstance(said.get("name"), str))
