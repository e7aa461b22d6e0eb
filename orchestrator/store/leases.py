"""A claim's time to live in its folder: `.orch/lease.json`. Its mtime is the heartbeat."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from orchestrator.core.lease import Identity, Lease
from orchestrator.core.task import State, split_token
from orchestrator.core.value import plain
from orchestrator.store import durable

FILE = ".orch/lease.json"
STARTING = 30.0  # seconds an executor that can't pass the owner's lock has until its worker holds it
LARGEST = 1 << 20


def read(folder: Path) -> Lease | None:
    """The lease in `folder`. In running/, one of another token counts as missing: it is the last holder's."""
    lease = last(folder)
    if lease and folder.parent.name == State.RUNNING and split_token(folder.name)[1] != lease.token:
        return None
    return lease


def last(folder: Path | str) -> Lease | None:
    """The newest lease in `folder`, whoever's; None where there is none that can be read."""
    path = f"{folder}/{FILE}"
    if not os.access(path, os.F_OK):  # a third of the price of an exception, and most pending tasks have none
        return None
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - the claim's hot path
            data = json.loads(file.read(LARGEST))
        return from_dict(data)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(folder: Path, lease: Lease) -> None:
    """Put `lease` into `folder`; not made durable, since losing a lease is only a reclaim."""
    data = json.dumps({"schema": 1, **plain(lease)}).encode()
    durable.write(folder / FILE, data, point="lease", durable=False)


def age(folder: Path, now: float) -> float | None:
    """Seconds since the last heartbeat; `now` by the file system's clock (`Queue.now`). None without a lease."""
    try:
        return max(0.0, now - (folder / FILE).stat().st_mtime)
    except OSError:
        return None


def from_dict(data: dict[str, Any]) -> Lease:
    """The lease in `data`. Raises KeyError, TypeError or ValueError where it is none; unknown keys are left out."""
    known = {key: data[key] for key in Lease.__dataclass_fields__ if key in data}
    known["owner"] = Identity(**data["owner"])
    known["agent"] = Identity(**data["agent"]) if data.get("agent") else None
    if not isinstance(known["token"], str) or not isinstance(known.get("settings", {}), dict):
        raise TypeError("a lease without a token")
    known["ttl"] = float(known.get("ttl", 300.0))
    return Lease(**known)
