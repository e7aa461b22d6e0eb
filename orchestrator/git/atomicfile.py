"""Small files of ours inside the git directory: whole, or as they were before, whenever a reader looks."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import LACKING, OrchestratorError, RepositoryError
from orchestrator.git import refs
from orchestrator.store.failpoints import hit

ROOM = 256  # bytes of a file of one changing line, where that is not longer


def write(path: Path, text: str) -> None:
    """Replace a small file of ours inside the git directory in one step. What a kill leaves, a file that ends in `.tmp`, goes
    with the next write of the same file."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb", buffering=0) as file:  # noqa: PTH123 - ten of these make a task
            file.write(os.fsencode(text))
        hit("git.file:before")
        os.rename(temporary, path)  # noqa: PTH104
    except OSError as error:
        raise unwritable(path, error) from error
    hit("git.file:after")
    _sweep(path)


def overwrite(path: Path, text: str) -> None:
    """The same for a line that changes often, of which readers strip the end: where there is room its bytes are replaced as they
    lie, by one write that a kill can't cut in two. A fifth of what a file in its place costs.

    A power cut may bring the old line back though what was written to disk later is there: not for what has to come first.
    """
    data = os.fsencode(text)
    try:
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # none yet; or an agent made of it what it liked
        write(path, text.ljust(ROOM, "\n"))
        return
    try:
        facts = os.fstat(file)
        fits = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and len(data) <= facts.st_size <= ROOM
        if fits:
            hit("git.file:before")
            os.pwrite(file, data.ljust(facts.st_size, b"\n"), 0)
            hit("git.file:after")
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        os.close(file)
    if not fits:
        write(path, text.ljust(ROOM, "\n"))


def scratch(path: Path) -> Path:
    """A file beside `path` that is this process's own. What those left that were killed, and git's lock of it, goes."""
    _sweep(path)
    return Path(f"{path}.{os.getpid()}.tmp")


def _sweep(path: Path) -> None:
    """Remove what writers of this file left that are dead."""
    for name in refs.names(path.parent):
        made = name.removesuffix(".lock")
        writer = made[len(path.name) + 1 : -len(".tmp")]
        if made.startswith(f"{path.name}.") and made.endswith(".tmp") and not (writer.isdigit() and _lives(int(writer))):
            with suppress(OSError):
                (path.parent / name).unlink()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def unwritable(path: Path, error: OSError) -> OrchestratorError:
    problem = f"{path} can't be written: {error.strerror}."
    if error.errno in LACKING:
        return OrchestratorError(problem, hint=LACKING[error.errno])
    return RepositoryError(problem, hint="Make the repository writable for this user.")
