"""Commits that nothing names any more, found by when they were written: an agent's, whose worktree went with its log of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from orchestrator.git import refs
from orchestrator.git.kept import heads
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree

FOLDER = re.compile(r"[0-9a-f]{2}")


def clock(tree: Worktree) -> float:
    """A moment before whatever happens in the worktree from now on, by the clock of its file system."""
    return max((path.stat().st_mtime for path in refs.entries(tree.admin) if path.is_file()), default=0.0)


def lost(repo: Repository, since: float) -> tuple[str, ...]:
    """The last of each line of commits that were written since then and that no ref, and no checkout, has. What was packed
    meanwhile is not found, which git does to nothing that is lost."""
    written = "".join(f"{name}\n" for name in _written(repo, since))
    rows = repo.git.run("cat-file", "--batch-check=%(objecttype) %(objectname)", input=written.encode()).stdout.decode()
    commits = {row.removeprefix("commit ") for row in rows.splitlines() if row.startswith("commit ")}
    return heads(repo, sorted(commits - _noted(repo)), ("--all",))


def _written(repo: Repository, since: float) -> Iterator[str]:
    """The loose objects as new as that. A folder is as new as the last of them."""
    for folder in refs.entries(repo.common / "objects"):
        if FOLDER.fullmatch(folder.name) and folder.stat().st_mtime >= since:
            with os.scandir(folder) as objects:
                yield from (f"{folder.name}{each.name}" for each in objects if _new(each, since))


def _new(entry: os.DirEntry[str], since: float) -> bool:
    try:
        return not entry.name.startswith("tmp_") and entry.stat().st_mtime >= since
    except FileNotFoundError:  # packed, or collected, at this moment
        return False


def _noted(repo: Repository) -> set[str]:
    """What others' checkouts have been at: a person who amends a commit there has lost nothing."""
    logs = (repo.common / "logs/HEAD", *(admin / "logs/HEAD" for admin in refs.entries(repo.common / "worktrees")))
    lines = (line.split(" ", 2) for log in logs for line in (refs.content(log) or "").splitlines())
    return {commit for line in lines for commit in line[:2]}
