"""Only an agent's session moves the task's branch. What a benchmark, or a gate, commits in a worktree of ours is no work: it is
kept, told, and taken back.

Kept first: a kill after that, or before, leaves the branch where it was moved to. The next claim takes that for what the branch
holds, and it is measured before it counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from orchestrator.core.value import Value
from orchestrator.git import reflog, refs, repository, save, worktree
from orchestrator.git.worktree import Worktree
from orchestrator.worker.stand import Stand
from orchestrator.worker.work import Work


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Standing(Value):
    """Where the agent's worktree and the task's branch are: three small files, and no process."""

    on: str | None
    head: str | None
    branch: str | None


class Guard:
    """Remembers where the task's branch was when measuring began."""

    def __init__(self) -> None:
        self._stood: _Standing | None = None

    def hold(self, work: Work, tree: Worktree, stands: Iterable[Stand]) -> None:
        """Begin to measure, or go on: what was moved since the first time is taken back."""
        now = _standing(tree, str(work.record.branch))
        self._stood = self._stood or now
        moved = [stand for stand in stands if stand.moved]
        if moved or now != self._stood:
            _put_back(work, tree, moved, self._stood, now)

    def release(self) -> None:
        """Whatever happens now is an agent's doing, or our own."""
        self._stood = None


def _standing(tree: Worktree, branch: str) -> _Standing:
    common = tree.repo.common
    return _Standing(repository.branch(tree.admin, common), tree.head, refs.read(common, repository.HEADS + branch))


def _put_back(work: Work, tree: Worktree, stands: Collection[Stand], before: _Standing, now: _Standing) -> None:
    """Everything back to where it was `before`, what was committed since under a ref. `stands` are those that were moved."""
    trees = [tree, *(stand.tree for stand in stands if stand.tree)]
    been = [commit for each in trees for commit in reflog.been(each)]
    heads = dict.fromkeys((now.branch, *(each.head for each in trees), *been))
    new = [commit for commit in heads if commit and commit not in (before.head, before.branch)]
    label = f"extra/{work.number or work.record.attempts:04d}-measured"
    labels = save.keep_new(tree.repo, work.record.slug, label, new, work.record.base_commit)
    for stand in stands:
        if stand.tree:
            worktree.checkout(stand.tree, branch=None, commit=stand.head)
    if now != before and before.branch:
        worktree.checkout(tree, branch=str(work.record.branch), commit=before.branch)
    kept = f"what was committed is kept as {', '.join(labels)}" if labels else "there was no new commit"
    how = "the task's branch or a worktree was moved to another commit while the task's work was measured, and is back"
    work.event("finding", detail=f"{how}; {kept}")
