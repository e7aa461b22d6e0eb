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
        _open(folder)
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path if len(entry.path) < FAR else _raised(entry.path, top))
                else:
                    _unlink(entry.path)
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106


def let_in(folder: Path | str) -> None:
    """Let this user into a folder of his that a program has closed; one that is read-only can't even be moved."""
    with contextlib.suppress(OSError):
        mode = os.lstat(folder).st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(folder, stat.S_IMODE(mode) | stat.S_IRWXU)  # noqa: PTH101


def let_in_all(top: Path) -> None:
    """The same for every folder of a tree: nothing can be removed from a read-only one, as Go's modules are."""
    folders = [os.fspath(top)]
    for folder in folders:
        let_in(folder)
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def _raised(folder: str, top: str) -> str:
    """Where `folder` is by now: right below `top` where it can be moved there."""
    raised = f"{top}/{os.urandom(8).hex()}"
    _open(folder)
    try:
        os.rename(folder, raised)  # noqa: PTH104
    except OSError:  # another file system's
        return folder
    return raised


def _open(folder: str) -> None:
    """Let this user in; one of another user, in a queue that a group shares, may be open as it is."""
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)  # noqa: PTH101 - strings throughout: this runs after every sample


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108
