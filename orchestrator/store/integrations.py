"""Red bases, as the landings of this queue have found them: one small file for each in `tasks/.orch/integration/`.

A fact that is superseded once the base was seen green (`git.integrated`), so nobody need remove it; the next one replaces it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict

from orchestrator.core.integration import Red
from orchestrator.store import durable
from orchestrator.store.queue import Queue

FOLDER = "integration"


def put(queue: Queue, red: Red) -> None:
    """Write it down in one step. A kill before that leaves what was known before, and the commit is looked at again."""
    folder = queue.control / FOLDER
    durable.mkdir(folder, point="integration")
    data = json.dumps({"schema": 1, **asdict(red)}).encode()
    durable.write(folder / f"{_key(red.common, red.base)}.json", data, point="integration.put", shared=True)


def get(queue: Queue, common: str, base: str) -> Red | None:
    """What was found out about one base, whether it still holds or not."""
    return _read(f"{queue.control}/{FOLDER}/{_key(common, base)}.json")


def every(queue: Queue) -> tuple[Red, ...]:
    """The same of all bases."""
    try:
        names = sorted(os.listdir(f"{queue.control}/{FOLDER}"))  # noqa: PTH208 - once a tick
    except OSError:
        return ()
    found = (_read(f"{queue.control}/{FOLDER}/{name}") for name in names if name.endswith(".json") and name[0] != ".")
    return tuple(red for red in found if red)


def _read(path: str) -> Red | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            data = json.load(file)
        return Red(**{**{key: value for key, value in data.items() if key != "schema"}, "tasks": tuple(data["tasks"])})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # it decides nothing: the next look writes it anew


def _key(common: str, base: str) -> str:
    return hashlib.sha256(os.fsencode(f"{common}\0{base}")).hexdigest()[:16]
