"""A worktree of ours beside the agent's, detached and clean, at the commit that is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git import given, pool, save, worktree
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.worker import setup
from orchestrator.worker.work import Work


@dataclass(slots=True)
class Stand:
    """`path` is the worktree's place; it is made when it is first asked for. `furnished`: the commit it was made ready at."""

    repo: Repository
    path: Path
    tree: Worktree | None = None
    furnished: str = ""
    head: str = ""  # where its HEAD was then: a setup may commit

    def at(self, work: Work, commit: str) -> Path:
        """A clean checkout of `commit`, furnished like the agent's. The same commit is not checked out twice in a row."""
        if self.tree is None or self.furnished != commit or not worktree.usable(self.tree) or not _cleaned(self.tree, commit):
            setup.furnish_or_raise(work, self.repo, self.bare(work, commit))
            self.furnished = commit
        self.head = (self.tree.head if self.tree else None) or ""
        return self.path

    @property
    def moved(self) -> bool:
        """Whether what was measured there has gone to another commit."""
        return self.tree is not None and bool(self.head) and self.tree.head not in (self.head, None)

    def bare(self, work: Work, commit: str) -> Worktree:
        """The worktree at `commit`, as git makes it."""
        self.furnished = self.head = ""
        self.tree = pool.prepare(self.repo, self.path, owner=work.record.id, branch=None, commit=commit, pump=work.pulse.wait)
        return self.tree


def _cleaned(tree: Worktree, commit: str) -> bool:
    """Whether what a benchmark left is gone; what setup made stays. What can't be removed goes with the whole worktree."""
    try:
        worktree.checkout(tree, branch=None, commit=commit)
        made = given.entries(tree)
        if made:
            save.tidy(tree, made)
        else:
            worktree.clean(tree, keep_ignored=True)
            worktree.clean_unfilled(tree)
    except GitError as error:
        if not error.denied:
            raise
        return False
    return True
