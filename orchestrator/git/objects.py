"""A commit written without git, whose process takes several times as long: the file that `git commit-tree` would leave.

The format is git's ("Git Objects" in Pro Git): `commit SIZE`, a zero byte, the headers, the message, all of it compressed, under
the SHA-1 of what was compressed. Whatever is not the plain case is git's to do.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress

from orchestrator.git import refs
from orchestrator.git.repository import Repository

LARGEST = 1 << 20  # bytes: a commit of ours has a few thousand
PLAIN = re.compile(
    rb"commit \d+\0tree ([0-9a-f]{40})\n(?:parent [0-9a-f]{40}\n)*"
    rb"(author [^\n]*>) \d+ [+-]\d{4}\n(committer [^\n]*>) \d+ [+-]\d{4}\n\n"
)


def commit(repo: Repository, tree: str, parents: Sequence[str], message: str, like: str) -> str | None:
    """A commit of `tree`, which may be `<like>^{tree}`, by whom git named in `like`: a commit that it has just made for us, so
    that configuration and environment say the same now. On the disk once this returns. None where git has to be asked.

    A kill leaves a `tmp_obj_` file, as git's own does, which git collects; or a commit that nothing names.
    """
    data = message.encode(errors="replace")
    if repo.hash_size != 20 or b"\0" in data:
        return None
    with suppress(OSError, zlib.error):
        folder = f"{repo.common}/objects"
        found = PLAIN.match(_content(folder, like))
        named = found[1].decode() if found and tree == f"{like}^{{tree}}" else tree
        if found and refs.OBJECT.fullmatch(named):
            return _write(folder, _rendered(named, parents, found[2], found[3], data), like)
    return None


def _rendered(tree: str, parents: Sequence[str], author: bytes, committer: bytes, message: bytes) -> bytes:
    now = int(time.time())
    minutes = time.localtime(now).tm_gmtoff // 60
    when = f"{now} {'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}".encode()
    headers = b"".join(f"{name} {value}\n".encode() for name, value in [("tree", tree), *(("parent", each) for each in parents)])
    body = b"%s%s %s\n%s %s\n\n%s" % (headers, author, when, committer, when, message)
    return b"commit %d\0%s" % (len(body), body)


def _write(folder: str, data: bytes, like: str) -> str:
    """Into a file that nobody sees before it is whole, with the permissions that git gave to the one it is like."""
    name = _name(data)
    path, example = _place(folder, name), _place(folder, like)
    if os.path.lexists(path):
        return name
    home, mode = os.path.dirname(path), os.stat(example).st_mode  # noqa: PTH116, PTH120
    if not os.path.isdir(home):  # noqa: PTH112
        _make_folder(home, os.stat(os.path.dirname(example)).st_mode)  # noqa: PTH116, PTH120
    made = f"{home}/tmp_obj_{os.urandom(6).hex()}"  # noqa: S108 - nobody else's: in git's own folder
    try:
        _fill(made, zlib.compress(data, 1), mode & 0o777)
        os.rename(made, path)  # noqa: PTH104 - who made the same meanwhile made the same
    except OSError:  # a full disk
        with suppress(OSError):
            os.unlink(made)  # noqa: PTH108
        raise
    return name


def _fill(path: str, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        if file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def _make_folder(path: str, mode: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(path)  # noqa: PTH102
        os.chmod(path, mode & 0o7777)  # noqa: PTH101


def _place(folder: str, name: str) -> str:
    return f"{folder}/{name[:2]}/{name[2:]}"


def _content(folder: str, name: str) -> bytes:
    """What was compressed; nothing where that is not what it is called by."""
    with open(_place(folder, name), "rb", buffering=0) as file:  # noqa: PTH123
        data = zlib.decompressobj().decompress(file.read(LARGEST), LARGEST)
    return data if _name(data) == name else b""


def _name(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
