"""Whether anything lies in a worktree that git doesn't track, counted here, since asking git costs a process each time."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.git import indexfile

FEW = 1000  # files; from some thousand on git itself is quicker
OWN = ".git"


def none(top: Path, index: Path, hash_size: int) -> bool:
    """True where it is certain, right after a forced checkout, that there is nothing to clean away in the worktree `top`.

    Every file that its `index` names has just been put there: where there are as many as it names, there are no others. False
    says nothing: there may be many, or another repository, or a folder with nothing in it.
    """
    found = indexfile.read(index, hash_size, most=FEW)
    if found.hidden or found.links or not 0 < found.entries <= FEW:
        return False
    try:
        return (top / OWN).is_file() and _count(top, found.entries + 1) == found.entries + 1
    except OSError:
        return False


def _count(top: Path, most: int) -> int | None:
    """How many entries below are no folders. None where they are more than `most`, or a folder is empty."""
    folders = [os.fspath(top)]
    seen = 0
    while folders:
        with os.scandir(folders.pop()) as listing:
            entries = list(listing)
        inside = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        seen += len(entries) - len(inside)
        if not entries or seen > most:
            return None
        folders += inside
    return seen
