"""What differs between two commits: for the scope check, for people, for the patch that is kept with an attempt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.value import Value
from orchestrator.git.repository import Repository

ABSENT = "000000"
SYMLINK = "120000"
SUBMODULE = "160000"
PATCH_LIMIT = 4 * 1024 * 1024
RAW = (
    "diff-tree",
    "-r",
    "-z",
    "--raw",
    "--no-renames",
    "--no-abbrev",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=none",
)


class Status(StrEnum):
    ADDED = "A"
    DELETED = "D"
    MODIFIED = "M"
    TYPE = "T"  # a file became a link, or the other way round


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Change(Value):
    """One path that differs. Modes are git's (`100644`, `100755`, `120000` a link, `160000` a submodule, `000000` absent)."""

    path: str
    status: Status
    old_mode: str
    mode: str
    old: str
    new: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Review(Value):
    """The changed paths together with their patch, which is cut at a limit."""

    changes: tuple[Change, ...]
    patch: bytes


def changed(repo: Repository, old: str, new: str) -> tuple[Change, ...]:
    """The paths that differ between two commits or trees; a rename is a deletion and an addition."""
    return _parse(repo.git.run(*RAW, old, new).stdout)[0]


def entries(repo: Repository, commit: str, paths: Sequence[str]) -> tuple[Change, ...]:
    """What lies at these paths in a commit, as additions; whatever isn't there is left out."""
    rows = repo.git.split("ls-tree", "-r", "-z", commit, "--", *(f":(top,literal){path}" for path in paths))
    found = []
    for row in rows:
        facts, _, path = row.partition("\t")
        mode, _, blob = facts.split(" ")[:3]
        found.append(Change(path, Status.ADDED, ABSENT, mode, "", blob))
    return tuple(found)


def review(repo: Repository, old: str, new: str) -> Review:
    """The same with the patch, by one process."""
    changes, patch = _parse(repo.git.run(*RAW, "-p", "--binary", old, new).stdout)
    return Review(changes, _cut(patch, PATCH_LIMIT))


def patch(repo: Repository, old: str, new: str, *, limit: int = PATCH_LIMIT) -> bytes:
    """The patch from `old` to `new`, at most `limit` bytes of it."""
    return _cut(
        repo.git.run("diff-tree", "-r", "-p", "--binary", "--no-renames", "--no-ext-diff", "--no-textconv", old, new).stdout,
        limit,
    )


def stat(repo: Repository, old: str, new: str) -> str:
    """The summary that `git diff --stat` prints."""
    return os.fsdecode(repo.git.run("diff-tree", "-r", "--stat=100", "--no-renames", "--no-ext-diff", old, new).stdout)


def counts(repo: Repository, old: str, new: str) -> tuple[tuple[str, int | None, int | None], ...]:
    """Path, lines added and lines removed of each changed file; None for what has no lines."""
    rows = (row.split("\t", 2) for row in repo.git.split("diff-tree", "-r", "-z", "--numstat", "--no-renames", old, new))
    return tuple((path, _lines(added), _lines(removed)) for added, removed, path in rows)


def _lines(count: str) -> int | None:
    return int(count) if count.isdecimal() else None


def text(repo: Repository, blob: str) -> str:
    """The text of a file as `Change` names it; empty where there is none."""
    return repo.git.run("cat-file", "blob", blob).stdout.decode(errors="replace") if blob.strip("0") else ""


def leads_to(repo: Repository, link: Change) -> str | None:
    """The path in the repository that a symbolic link points to, None where that is outside of it, or inside its `.git`."""
    target = os.fsdecode(repo.git.run("cat-file", "blob", link.new).stdout)
    reached = os.path.normpath(os.path.join(os.path.dirname(link.path), target))  # noqa: PTH118, PTH120 - as text: nothing is there
    out = os.path.isabs(target) or reached.split("/")[0].lower() in {"..", ".git"}  # noqa: PTH117
    return None if out else reached


def _parse(data: bytes) -> tuple[tuple[Change, ...], bytes]:
    """Raw entries come first, one `:modes objects status NUL path NUL` each; an empty item parts them from the patch."""
    found = []
    position = 0
    while data[position : position + 1] == b":":
        middle = data.index(b"\0", position)
        end = data.index(b"\0", middle + 1)
        found.append(_change(data[position + 1 : middle].decode().split(" "), os.fsdecode(data[middle + 1 : end])))
        position = end + 1
    return tuple(found), data[position:].lstrip(b"\0")


def _change(fields: Sequence[str], path: str) -> Change:
    old_mode, mode, old, new, status = fields
    return Change(path, Status(status[0]), old_mode, mode, old, new)


def _cut(data: bytes, limit: int) -> bytes:
    return data if len(data) <= limit else data[:limit] + b"\n[cut: the whole is in the commit]\n"
