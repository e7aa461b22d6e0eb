"""Lock files that a killed git left behind: removed where it is certain that nobody holds them (`rulings` 29)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

OLD_ENOUGH = 10.0
FUTURE = 60.0  # a lock stamped later than this from now tells of a clock that was set back, not of a git at work
PROC = Path("/proc")


def clear(lock: Path, *, near: Path | None = None, now: float | None = None) -> bool:
    """Remove `lock` if it is stale, and say whether it is gone. Stale: older than ten seconds and open in no process; a git
    at work in `near` counts as well, since `git commit` closes its lock while the editor is open."""
    try:
        age = (time.time() if now is None else now) - lock.stat().st_mtime
    except FileNotFoundError:
        return True
    if -FUTURE < age < OLD_ENOUGH or _open_somewhere(lock) or (near and _git_at_work(near)):
        return False
    lock.unlink(missing_ok=True)
    return True


def _open_somewhere(path: Path) -> bool:
    """Whether a process that we may look into has the file open. Where there is no /proc, assume so."""
    if not PROC.is_dir():
        return True
    wanted = str(path.resolve())
    return any(_target(descriptor) == wanted for process in _processes() for descriptor in _list(process / "fd"))


def _git_at_work(folder: Path) -> bool:
    """Whether a git process of a user stands in `folder`."""
    inside = folder.resolve()
    for process in _processes():
        cwd = _target(process / "cwd")
        if cwd and _name(process).startswith(b"git") and Path(cwd).is_relative_to(inside):
            return True
    return False


def _processes() -> Iterator[Path]:
    return (PROC / name for name in os.listdir(PROC) if name.isdigit() and int(name) != os.getpid())  # noqa: PTH208


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # ended meanwhile, or another user's
        return []


def _target(link: Path) -> str | None:
    try:
        return os.readlink(link)  # noqa: PTH115 - a deleted file's link is no path
    except OSError:
        return None


def _name(process: Path) -> bytes:
    """What the program calls itself: any bytes, and cut after 15 of them, in the middle of a letter too."""
    try:
        return (process / "comm").read_bytes()
    except OSError:
        return b""
