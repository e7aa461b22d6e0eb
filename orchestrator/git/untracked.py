"""What lies in a worktree of few files that git doesn't track, looked for here, since asking git costs a process each time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.git import indexfile, nested
from orchestrator.git.command import Git
from orchestrator.git.indexfile import Findings

FEW = 1000  # files; from some thousand on git itself is quicker
OWN = ".git"


def none(top: Path, index: Path, hash_size: int) -> bool:
    """True where it is certain, right after a forced checkout, that there is nothing to clean away in the worktree `top`.

    Every file that its `index` names has just been put there: where there are as many as it names, there are no others. False
    says nothing: there may be many, or another repository, or a folder with nothing in it.
    """
    found = _found(index, hash_size)
    if found is None:
        return False
    try:
        return (top / OWN).is_file() and _count(top, found.entries + 1) == found.entries + 1
    except OSError:
        return False


def harmless(top: Path, index: Path, hash_size: int) -> bool:
    """True where it is certain that `git add -A` may be left alone with the worktree `top`, whatever it finds: no repository lies
    in there, nothing that belongs in no commit, and no merge that isn't decided. False says nothing.
    """
    found = _found(index, hash_size)
    if found is None or found.unmerged:
        return False
    seen = 0
    try:
        for folder, entries in _folders(top):
            seen += len(entries)
            names = (entry.name for entry in entries if entry.name != OWN or folder != os.fspath(top))
            if seen > 2 * FEW or any(name == OWN or nested.unwanted(name) for name in names):
                return False
    except OSError:
        return False
    return True


def hollow(git: Git) -> tuple[str, ...]:
    """The folders in which no file lies, the topmost of each, named as in a status, which tells of none of them. Those that git
    ignores may be among them; what lies in another repository, or belongs in no commit, is not looked at."""
    found = _hollow(git.cwd)
    if found is None:
        listed = git.split("ls-files", "-z", "-o", "--directory", "--exclude-standard")
        found = [name for name in listed if name.endswith("/") and _without_files(git.cwd / name)]
    return tuple(found)


def _hollow(top: Path) -> list[str] | None:
    """None where there is so much that git is quicker."""
    names, filled, seen = [""], {""}, 0
    for name in names:  # which grows meanwhile
        try:
            with os.scandir(top / name) as listing:
                entries = list(listing)
        except OSError:  # not to be read, so nobody knows that there is nothing
            filled.add(name)
            continue
        seen += len(entries)
        if seen > 2 * FEW:
            return None
        inner = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not nested.unwanted(entry.name)]
        if len(inner) < len(entries) or OWN in inner:
            filled.add(name)
        if not name or all(entry.name != OWN for entry in entries):
            names += [f"{name}{each}/" for each in inner if each != OWN]
    for name in reversed(names):
        if name in filled:
            filled.add(_above(name))
    return [name for name in names if name not in filled and _above(name) in filled]


def _above(name: str) -> str:
    return name[: name.rfind("/", 0, -1) + 1]


def _without_files(folder: Path) -> bool:
    try:
        return all(entry.is_dir(follow_symlinks=False) for _, entries in _folders(folder) for entry in entries)
    except OSError:
        return False


def _found(index: Path, hash_size: int) -> Findings | None:
    """What stands in the index, where that is all there is to know of it."""
    found = indexfile.read(index, hash_size, most=FEW)
    return None if found.hidden or found.links or not 0 < found.entries <= FEW else found


def _count(top: Path, most: int) -> int | None:
    """How many entries below are no folders. None where they are more than `most`, or a folder is empty."""
    seen = 0
    for _, entries in _folders(top):
        seen += sum(not entry.is_dir(follow_symlinks=False) for entry in entries)
        if not entries or seen > most:
            return None
    return seen


def _folders(top: Path) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Every folder, with what lies in it."""
    folders = [os.fspath(top)]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as listing:
            entries = list(listing)
        yield folder, entries
        folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
