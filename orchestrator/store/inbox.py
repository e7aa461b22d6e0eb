"""Requests to whoever holds a task: small files in `.orch/inbox/`, each consumed by one rename."""

from __future__ import annotations

import json
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

from orchestrator.store import durable

FOLDER = ".orch/inbox"
LARGEST = 1 << 20


class Kind(StrEnum):
    STOP = "stop"
    CANCEL = "cancel"
    BLOCK = "block"
    ANSWER = "answer"


def put(folder: Path, kind: str, **data: Any) -> None:
    """Ask the holder of the task in `folder` for something. Raises Gone where the folder has moved on."""
    request = json.dumps({"kind": Kind(kind).value, **data}).encode()
    durable.mkdir(folder / ".orch", point="inbox.folder")
    durable.mkdir(folder / FOLDER, point="inbox.folder")
    name = f"{time.time_ns():020d}-{os.urandom(3).hex()}.json"
    durable.write(folder / FOLDER / name, request, point="inbox.put", shared=True)


def take_all(folder: Path) -> tuple[dict[str, Any], ...]:
    """The requests so far, oldest first, each handed out once. What is no request is removed."""
    inbox = folder / FOLDER
    try:
        names = sorted(os.listdir(inbox))  # noqa: PTH208 - looked at once a second
    except OSError:
        return ()
    for left in (name for name in names if name.endswith(".taken")):
        durable.unlink(inbox / left, point="inbox.left")  # its taker died
    waiting = (name for name in names if name.endswith(".json") and not name.startswith("."))
    return tuple(request for name in waiting if (request := _take(inbox, name)) is not None)


def _take(inbox: Path, name: str) -> dict[str, Any] | None:
    taken = inbox / f".{name}.taken"
    try:
        durable.rename(inbox / name, taken, point="inbox.take")
        with taken.open("rb") as file:
            request = json.loads(file.read(LARGEST))
    except durable.Gone:
        return None  # another has it
    except (OSError, ValueError):
        request = None
    durable.unlink(taken, point="inbox.done")
    return request if isinstance(request, dict) and isinstance(request.get("kind"), str) else None
