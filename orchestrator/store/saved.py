"""Copies of a person's ignored files (`.env`) that an agent edited in its worktree: kept beside the record, below `.orch/saved`.

They tend to be secrets, so they never become git objects. One that differs from an earlier one gets a number: nothing kept is
replaced. A kill leaves a file that is whole or not there; whoever saves again finds it there and adds nothing.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.store import durable

FOLDER = "saved"


def keep(folder: Path, path: str, data: bytes) -> Path:
    """Keep `data`, found at `path` of a worktree, with the task in `folder`. Raises Gone where that has moved on."""
    place = folder / ".orch" / FOLDER
    durable.mkdir(place, point="saved")
    plain = path.replace("/", "__")
    target, number = place / plain, 1
    while (there := _content(target)) is not None and there != data:
        number += 1
        target = place / f"{plain}.{number}"
    if there is None:
        durable.write(target, data, point="saved.file")
    return target


def listed(folder: Path) -> tuple[Path, ...]:
    """What is kept so with the task in `folder`."""
    try:
        return tuple(sorted(path for path in (folder / ".orch" / FOLDER).iterdir() if not path.name.endswith(".tmp")))
    except OSError:
        return ()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
