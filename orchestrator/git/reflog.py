"""Git's own logs: each commit that a worktree's HEAD has been at, and the stash."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from orchestrator.git import refs
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree

AFAR = r"(?!.*Fast-forward|.* \((?:start|finish|abort)\): )"  # of a pull: with --rebase it begins by going to what it fetched
MADE = re.compile(rf"(commit|cherry-pick|revert|am)\b|(merge|pull)\b{AFAR}|rebase.*\((?!start|finish|abort)")
ONWARD = re.compile(r"commit(?! \((amend|initial)\))")


class Entry(NamedTuple):
    """A commit HEAD went to, and git's words for what brought it there."""

    commit: str
    action: str

    @property
    def made(self) -> bool:
        """Whether the commit was made there, and not just gone to."""
        return bool(MADE.match(self.action))

    @property
    def onward(self) -> bool:
        """Whether it was made on top of where HEAD was."""
        return bool(ONWARD.match(self.action))


def read(tree: Worktree) -> list[Entry]:
    """Where HEAD has been since the worktree was this task's, oldest first."""
    return list(_entries(tree.admin / "logs" / "HEAD"))


def since(tree: Worktree, known: Iterable[Entry]) -> tuple[list[Entry], bool]:
    """What was added to the log, and whether what stood there before is gone (`git reflog expire`), and maybe more with it."""
    log, before = read(tree), list(known)
    cut = log[: len(before)] != before
    return log if cut else log[len(before) :], cut


def been(tree: Worktree) -> list[str]:
    """Every commit that a worktree has been at since it was this task's."""
    return [entry.commit for entry in read(tree)]


def made(log: Iterable[Entry]) -> list[str]:
    """The commits of `log` that were made there: to one of the others, HEAD may have gone since the base had it."""
    return [entry.commit for entry in log if entry.made]


def stashes(repo: Repository) -> list[str]:
    """The entries of the stash: one stack, the user's and every worktree's together."""
    return [entry.commit for entry in _entries(_stash(repo))]


def stashed_on(repo: Repository, stashes: list[str], commits: Collection[str]) -> list[str]:
    """Those of the `stashes` that were made on one of the `commits`."""
    if not stashes:
        return []
    rows = repo.git.text("rev-list", "--no-walk=unsorted", "--parents", "--ignore-missing", *stashes).split("\n")
    return [fields[0] for fields in map(str.split, rows) if len(fields) > 1 and fields[1] in commits]


def stashed_at(repo: Repository, stashes: Collection[str], branch: str) -> Iterator[str]:
    """Those that say that they were made on the branch: a person may have stashed something at the same commit."""
    named = (f"WIP on {branch}:", f"On {branch}:")
    told = {entry.commit: entry.action for entry in _entries(_stash(repo))} if stashes else {}
    return (commit for commit in stashes if told.get(commit, "").startswith(named))


def _stash(repo: Repository) -> Path:
    return repo.common / "logs" / "refs" / "stash"


def _entries(path: Path) -> Iterator[Entry]:
    for line in (refs.content(path) or "").split("\n"):
        facts, _, action = line.partition("\t")
        fields = facts.split(" ")
        if len(fields) > 2 and refs.OBJECT.fullmatch(fields[1]) and fields[1].strip("0"):
            yield Entry(fields[1], action)
