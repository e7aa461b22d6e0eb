"""Taking a half-done landing back, path by path, from what the disk and the index say: whoever began it was killed.

A path goes back only if what lies there is what OLD or NEW has, or the beginning of it that a killed git had written.
Everything else is somebody's work and stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.git import changes, listing, refs, stale
from orchestrator.git.changes import ABSENT, SUBMODULE, SYMLINK, Change
from orchestrator.git.command import Git, Locked
from orchestrator.git.listing import Checkout
from orchestrator.git.repository import HEADS, Repository
from orchestrator.store.failpoints import hit


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Entry(Value):
    """What a tree or index has at a path: a mode and an object, `ABSENT` for nothing."""

    mode: str
    object: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Step(Value):
    """One path to put back: what it should hold, and whether the file and the index entry need it."""

    path: str
    entry: Entry
    file: bool
    index: bool
    sparse: bool = False


NOTHING = Entry(ABSENT, "")
SCRATCH = "orchestrator-undo"


def restore(repo: Repository, base: str, old: str, new: str) -> None:
    """Make every checkout of `base` agree with it again in all that OLD..NEW concerns."""
    changed = changes.changed(repo, old, new)
    tip = refs.read(repo.common, HEADS + base) or old
    wanted = _wanted(repo, changed, old, tip)
    for place in listing.holding(repo, base):
        lock = place.git_dir / "index.lock"
        if not stale.clear(lock, near=place.path):
            raise Locked(lock)
        for _ in range(2):  # a folder that has to be a file again can be one when its files are gone
            if not (steps := [step for step in _steps(place, changed, wanted) if step.file or step.index]):
                break
            _put_back(place, steps, "0" * (2 * repo.hash_size))


def _wanted(repo: Repository, changed: tuple[Change, ...], old: str, tip: str) -> dict[str, Entry]:
    """What each path should hold: what the base has there now, as long as that is OLD's or NEW's."""
    if tip == old:
        return {change.path: _old(change) for change in changed}
    there = _entries(repo.git.split("ls-tree", "-r", "-z", tip))
    now = {change.path: there.get(change.path, NOTHING) for change in changed}
    return {change.path: now[change.path] for change in changed if now[change.path] in (_old(change), _new(change))}


def _steps(place: Checkout, changed: tuple[Change, ...], wanted: Mapping[str, Entry]) -> Iterator[Step]:
    index, sparse = _index(place.git)
    is_old = _matching(place, {change.path: _old(change) for change in changed})
    is_new = _matching(place, {change.path: _new(change) for change in changed})
    for change in changed:
        if (entry := wanted.get(change.path)) is None:
            continue
        mine = is_old | is_new
        good = is_old if entry == _old(change) else is_new
        writable = change.path in mine or _half_written(place, change)
        current = index.get(change.path, NOTHING)
        yield Step(
            change.path,
            entry,
            file=change.path not in good and writable and change.path not in sparse and change.mode != SUBMODULE,
            index=current != entry and current in (_old(change), _new(change)),
            sparse=change.path in sparse,
        )


def _put_back(place: Checkout, steps: list[Step], none: str) -> None:
    """Files first, removals before additions (a file may have become a folder); the index last, since it tells `git status`.
    `none` is how this repository's git calls no object."""
    for step in steps:
        if step.file and step.entry == NOTHING:
            hit("undo.file:before")
            _unlink(place.path, step.path)
    write = {step.path: step.entry for step in steps if step.file and step.entry != NOTHING}
    if write:
        for path in write:
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
                (place.path / path).unlink()
        with _scratch(place, write) as env:
            hit("undo.file:before")
            place.git.run(
                "checkout-index", "-f", "-q", "-z", "--stdin", input=b"\0".join(map(os.fsencode, write)) + b"\0", env=env
            )
    entries = {step.path: step.entry for step in steps if step.index}
    if entries:
        hit("undo.index:before")
        place.git.run("update-index", "-z", "--index-info", input=_info(entries, none))
        if hidden := [step.path for step in steps if step.sparse and step.entry != NOTHING]:
            place.git.run("update-index", "--skip-worktree", "-z", "--stdin", input=b"\0".join(map(os.fsencode, hidden)) + b"\0")
    if steps:
        place.git.run("update-index", "-q", "--refresh", ok=(0, 1))


def _matching(place: Checkout, entries: Mapping[str, Entry]) -> set[str]:
    """The paths whose file on disk is exactly the entry, by git's own rules (filters, line ends, links, the x bit)."""
    absent = {path for path, entry in entries.items() if entry == NOTHING and not _exists(place.path, path)}
    present = {path: entry for path, entry in entries.items() if entry != NOTHING and _exists(place.path, path)}
    present = {path: entry for path, entry in present.items() if entry.mode != SUBMODULE or _folder(place.path / path)}
    if not present:
        return absent
    with _scratch(place, present) as env:
        place.git.run("update-index", "-q", "--refresh", env=env, ok=(0, 1))
        different = place.git.run("diff-files", "-z", "--name-only", "--ignore-submodules=all", env=env).stdout
    return absent | (present.keys() - {os.fsdecode(path) for path in different.split(b"\0")})


@contextmanager
def _scratch(place: Checkout, entries: Mapping[str, Entry]) -> Iterator[Mapping[str, str]]:
    """The environment of an index that holds just these entries."""
    path = place.git_dir / SCRATCH
    env = {"GIT_INDEX_FILE": str(path)}
    for left in place.git_dir.glob(f"{SCRATCH}*"):  # by one who was killed; the landing lock keeps others out
        left.unlink(missing_ok=True)
    try:
        place.git.run("update-index", "-z", "--index-info", input=_info(entries), env=env)
        yield env
    finally:
        path.unlink(missing_ok=True)


def _half_written(place: Checkout, change: Change) -> bool:
    """Whether nothing lies at the path, or only the beginning of NEW's content: git was killed while it wrote the file."""
    path = place.path / change.path
    if not _exists(place.path, change.path):
        return True
    if path.is_symlink() or not path.is_file() or change.mode in (ABSENT, SYMLINK, SUBMODULE):
        return False
    whole = place.git.run("cat-file", "--filters", f"--path={change.path}", change.new, ok=(0, 128)).stdout
    return path.stat().st_size < len(whole) and whole.startswith(path.read_bytes())


def _folder(path: Path) -> bool:
    """Whether a submodule may be there: git compares none, and would take what has come in its place for one."""
    return path.is_dir() and not path.is_symlink()


def _exists(top: Path, path: str) -> bool:
    """Whether `path` itself is there: not through a link that stands for one of its folders."""
    above = top
    for part in path.split("/")[:-1]:
        above = above / part
        if above.is_symlink():
            return False
    return os.path.lexists(top / path)


def _index(git: Git) -> tuple[dict[str, Entry], set[str]]:
    """The entries of the real index, without unmerged ones, and which of them a sparse checkout leaves out."""
    rows = git.split("ls-files", "-s", "-t", "-z")
    merged = [row for row in rows if row.partition("\t")[0].endswith(" 0")]
    return _entries([row[2:] for row in merged]), {row.partition("\t")[2] for row in merged if row.startswith("S ")}


def _entries(rows: list[str]) -> dict[str, Entry]:
    """From `<mode> [<type>] <object> [<stage>]<TAB><path>`."""
    found = {}
    for row in rows:
        facts, _, path = row.partition("\t")
        mode, *rest = facts.split(" ")
        found[path] = Entry(mode, next(item for item in rest if len(item) >= 40))
    return found


def _info(entries: Mapping[str, Entry], none: str = "") -> bytes:
    rows = (
        f"{entry.mode} {entry.object}\t{path}" if entry != NOTHING else f"0 {none}\t{path}" for path, entry in entries.items()
    )
    return b"".join(os.fsencode(row) + b"\0" for row in rows)


def _unlink(top: Path, path: str) -> None:
    """Remove a file and the folders that it leaves empty."""
    (top / path).unlink(missing_ok=True)
    for parent in (top / path).parents:
        if parent == top:
            break
        with suppress(OSError):
            parent.rmdir()


def _old(change: Change) -> Entry:
    return NOTHING if change.old_mode == ABSENT else Entry(change.old_mode, change.old)


def _new(change: Change) -> Entry:
    return NOTHING if change.mode == ABSENT else Entry(change.mode, change.new)
