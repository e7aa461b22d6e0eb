"""The only module by which tasks are moved and facts written. Every such step has a failpoint before and after it; what is cheap
to lose (a heartbeat, a log that is set aside) has none.

The order that survives a crash and a power cut: write a temporary file, fsync, rename, fsync the folder. No folder is ever
made together with its parents: a worker whose claim was taken away would bring its folder back to life.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import LACKING, StoreError
from orchestrator.store.failpoints import hit

AnyPath = str | os.PathLike[str]
NOBODY_ELSES = 0  # the `inode` of a rename whose destination's name only we can have made
BY_UMASK = 0o666  # the mode of every file: less what the umask takes, by which people share a queue in a group, or don't
AT_FDCWD = -100
RENAME_NOREPLACE = 1
GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP})
HINTS = {
    **LACKING,
    errno.EACCES: "Give this user write permission there (and to the folder it is in).",
    errno.EPERM: "Give this user write permission there; look at its owner, its attributes (lsattr) and the sticky bit.",
    errno.EROFS: "The file system is mounted read-only: mount it writable or choose another folder with --tasks.",
    errno.EXDEV: "The tasks folder must be one file system: no state folder may be a mount point or a link to another disk. "
    "In a container a folder of its image can't be moved either: put a copy (cp -r) in its place.",
    errno.EBUSY: "Something holds that folder (a mount point?): release it; this is tried again.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "A symbolic link is where a plain file should be: remove it.",
}


class Taken(StoreError):
    """The destination of a rename exists already. Nothing was moved and nothing replaced."""


class Gone(StoreError):
    """What was to be changed is not there: the folder moved on, or never was."""


def explain(error: OSError, doing: str, path: AnyPath) -> StoreError:
    """`error` as a sentence with the path and what to do about it."""
    message = f"Can't {doing} {os.fspath(path)}: {error.strerror or error}."
    if error.errno in GONE:
        return Gone(message, hint="It isn't there: moved or removed meanwhile, or never made.")
    if error.errno == errno.EEXIST:
        return Taken(message, hint="Move or rename what is there.")
    return StoreError(message, hint=HINTS.get(error.errno or 0, "Look at the path and its permissions."))


def write(path: AnyPath, data: bytes, *, point: str, durable: bool = True, shared: bool = False) -> None:
    """Replace the content of `path` in one step. `shared`: other processes may write the same file at the same time."""
    target = os.fspath(path)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex() if shared else 'new'}.tmp")  # noqa: PTH118
    hit(f"{point}:before")
    try:
        _fill(temporary, data, durable=durable)
        hit(f"{point}:written")
        os.replace(temporary, target)  # noqa: PTH105
        if durable:
            sync(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise explain(error, "write", target) from error
    hit(f"{point}:after")


def append(path: AnyPath, data: bytes, *, point: str, durable: bool = False) -> None:
    """Add the line `data` to `path`, which may not exist yet. A line torn by a crash stays a line of its own."""
    hit(f"{point}:before")
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, BY_UMASK)
        try:
            size = os.fstat(file).st_size
            torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
            _write_all(file, (b"\n" if torn else b"") + data + b"\n")
            if durable:
                os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise explain(error, "write to", path) from error
    hit(f"{point}:after")


def rename(source: AnyPath, target: AnyPath, *, point: str, durable: bool = False, inode: int | None = None) -> None:
    """Rename without ever replacing anything: raises Taken where `target` exists, Gone where `source` does not.

    A network file system may rename and lose the reply; the repeated request then finds no source. With `inode` (the
    source's, or NOBODY_ELSES) such a rename counts as done if that is what lies at `target`.
    """
    source, target = os.fspath(source), os.fspath(target)
    hit(f"{point}:before")
    try:
        _rename_new(source, target)
    except OSError as error:
        if inode is None or error.errno not in (errno.ENOENT, errno.EEXIST) or not _arrived(source, target, inode):
            raise _explain_rename(error, source, target) from error
    if durable:
        try:
            sync(os.path.dirname(target))  # noqa: PTH120
        except OSError as error:
            raise explain(error, "make sure of", target) from error
    hit(f"{point}:after")


def mkdir(path: AnyPath, *, point: str) -> None:
    """Make one folder, never its parents; one that is there already is fine."""
    hit(f"{point}:before")
    try:
        os.mkdir(path)  # noqa: PTH102
    except FileExistsError:
        return
    except OSError as error:
        raise explain(error, "make the folder", path) from error
    hit(f"{point}:after")


def unlink(path: AnyPath, *, point: str) -> bool:
    """Remove one file; False where there was none."""
    hit(f"{point}:before")
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError as error:
        if error.errno in GONE:
            return False
        raise explain(error, "remove", path) from error
    hit(f"{point}:after")
    return True


def remove_tree(path: AnyPath, *, point: str) -> None:
    """Remove a folder and all in it, which is no single step: rename it into `.orch/tmp` first."""
    import shutil

    hit(f"{point}:before")
    try:
        shutil.rmtree(path)
    except OSError as error:
        if error.errno not in GONE:
            raise explain(error, "remove", path) from error
    hit(f"{point}:after")


def remove(path: Path, *, point: str) -> None:
    """Remove whatever lies at `path`; a link is removed, not followed."""
    if is_folder(path):
        remove_tree(path, point=point)
    else:
        unlink(path, point=point)


def rotate(path: Path, older: Path, largest: int) -> None:
    """Move a log that has grown beyond `largest` bytes to `older`, replacing that."""
    try:
        if path.stat().st_size > largest:
            path.replace(older)
    except FileNotFoundError:
        return  # never written, or rotated by another process just now
    except OSError as error:
        raise explain(error, "rotate", path) from error


def make_root(root: Path) -> None:
    """Make the tasks folder itself, with its parents; what lies below is never made so."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, "make the tasks folder", root) from error


def now(clock: Path) -> float:
    """The clock of the file system that `clock` lies on, by touching that file."""
    try:
        try:
            os.utime(clock)
        except FileNotFoundError:
            clock.touch()
        return clock.stat().st_mtime
    except OSError:
        return time.time()  # nothing can be written here, so nothing will be decided on it


def touch(path: AnyPath) -> None:
    """Set the times of an existing file to the file system's now: a heartbeat, two microseconds."""
    try:
        os.utime(path)
    except OSError as error:
        raise explain(error, "renew", path) from error


def open_lock(path: AnyPath, *, point: str, new: bool) -> int:
    """A descriptor of a lock file, not inherited by children. `new`: raises Taken where it exists already."""
    hit(f"{point}:before")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_EXCL if new else 0), BY_UMASK)
    except OSError as error:
        raise explain(error, "open the lock", path) from error
    hit(f"{point}:after")
    return descriptor


def sync(folder: AnyPath) -> None:
    """Make the names in `folder` survive a power cut. File systems that can't sync a folder are let off."""
    descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Make everything below `folder` survive a power cut, before a rename makes it known."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    sync_tree(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    sync_file(entry.path)
        sync(folder)
    except OSError as error:
        raise explain(error, "make sure of", error.filename or folder) from error


def sync_file(path: str | Path) -> None:
    """Make the content of a file survive a power cut, whoever wrote it. Raises OSError where it can't be read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(path: str, data: bytes, *, durable: bool) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, BY_UMASK)
    try:
        _write_all(file, data)
        if durable:
            os.fsync(file)
    finally:
        os.close(file)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def _arrived(source: str, target: str, inode: int) -> bool:
    """Whether the rename happened after all, though its reply says no."""
    if os.path.lexists(source):
        return False
    try:
        return inode in (NOBODY_ELSES, os.lstat(target).st_ino) and os.path.lexists(target)
    except OSError:
        return False


def _explain_rename(error: OSError, source: str, target: str) -> StoreError:
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
        return Taken(
            f"Can't move {source} to {target}: there is something of that name already.", hint="Move or rename one of the two."
        )
    return explain(error, f"move to {target}:", source)


def _rename_new(source: str, target: str) -> None:
    """renameat2(RENAME_NOREPLACE): a plain rename silently replaces an empty folder. Plain, after a look, where unsupported."""
    renameat2 = _renameat2()
    if renameat2 is not None:
        code = renameat2(source, target)
        if not code:
            return
        if code not in UNSUPPORTED:
            raise OSError(code, os.strerror(code), source)
    if os.path.lexists(target):
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    os.rename(source, target)  # noqa: PTH104


@functools.cache
def _renameat2() -> Callable[[str, str], int] | None:
    """The C library's renameat2 as a function that returns an errno, 0 for success; None where there is none."""
    import ctypes

    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)

    def call(source: str, target: str) -> int:
        failed = function(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), RENAME_NOREPLACE)
        return ctypes.get_errno() if failed else 0

    return call


def is_folder(path: AnyPath) -> bool:
    """Whether a real folder, no link, is at `path`."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False
