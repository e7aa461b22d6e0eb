"""Deleting what programs of others' were let loose in: however deep it is, whatever may not be opened there."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from orchestrator.store import durable

FAR = 500  # characters of a path, far below what the system takes; folders beyond are moved up before they are looked into


def remove(path: Path) -> None:
    """Remove a file, link or tree, whatever was made of it. What can't be removed stays; nothing is raised."""
    top = os.fspath(path)
    if not durable.is_folder(path):  # of a link what is behind it is not ours
        _unlink(top)
        return
    folders = [top]
    for folder in folders:  # grows while it is walked, so that no depth is too deep
        let_in(folder)
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path if len(entry.path) < FAR else _raised(entry.path, top))
                else:
                    _unlink(entry.path)
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106


def let_in(path: Path | str) -> bool:
    """Let this user into a folder of his that a program has closed, and at such a file; a folder that is read-only can't even be
    moved. A file with more than one name may be somebody else's elsewhere. Returns whether that was needed, and done."""
    with contextlib.suppress(OSError, NotImplementedError):
        facts = os.lstat(path)
        wanted = _needed(facts)
        if facts.st_mode & wanted != wanted:
            # as root through no link that an agent has put there meanwhile: root is let in anyway
            os.chmod(path, stat.S_IMODE(facts.st_mode) | wanted, follow_symlinks=os.geteuid() != 0)  # noqa: PTH101
            return True
    return False


def _needed(facts: os.stat_result) -> int:
    if stat.S_ISDIR(facts.st_mode):
        return stat.S_IRWXU
    return stat.S_IRUSR if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 else 0


def let_in_all(top: Path) -> bool:
    """The same for everything in a tree: nothing can be removed from a read-only folder, as Go's modules are."""
    opened, folders = let_in(top), [os.fspath(top)] if durable.is_folder(top) else []
    for folder in folders:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                opened |= let_in(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return opened


def _raised(folder: str, top: str) -> str:
    """Where `folder` is by now: right below `top` where it can be moved there."""
    raised = f"{top}/{os.urandom(8).hex()}"
    let_in(folder)
    try:
        os.rename(folder, raised)  # noqa: PTH104
    except OSError:  # another file system's
        return folder
    return raised


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108
