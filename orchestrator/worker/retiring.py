"""What becomes of a task's worktrees that nobody works in any more: into the pool of idle ones, or away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.core.task import RIVAL, VERIFY, State
from orchestrator.git import included, pool, refs, worktree
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.worker import setup
from orchestrator.worker.work import Work


def retire(work: Work, repo: Repository, place: Path) -> None:
    """The agent's worktree at `place`, what stands beside it, and the pool where nobody is left to use it."""
    most = pool.POOLED if others(work) else 0
    if tree := worktree.find(repo, place):
        _give_back(work, tree, most)
    give_back_beside(work, repo, place, most=most)
    refs.sweep(repo.common)
    if not most:
        pool.empty_pool(repo, place.parent, pump=work.pulse.nap)


def give_back_beside(work: Work, repo: Repository, place: Path, *, most: int = pool.POOLED) -> None:
    """What stands beside the agent's worktree by now; it holds nobody's work."""
    for tree in _beside(work, repo, place):
        worktree.clean_unfilled(tree)
        _give_back(work, tree, most)


def keep_copies(work: Work, tree: Worktree) -> None:
    """Copied-in files that the agent edited are kept beside the record: they tend to be secrets, so never as git objects."""
    for path in included.edited(tree.repo, tree):
        work.claim.keep_copy(path, (tree.path / path).read_bytes())


def renew_copies(work: Work, tree: Worktree) -> None:
    """A worktree that is taken up again gets the copied-in files as they are by now; what a person put right is newer there. What
    is replaced is kept, as an agent may have edited it. Cut off in the middle, all of the worktree is made anew."""
    if not (paths := included.outdated(tree.repo, tree)):
        return
    worktree.begin(tree)
    for path in paths:
        if (tree.path / path).is_file():
            work.claim.keep_copy(path, (tree.path / path).read_bytes())
            (tree.path / path).unlink()
            work.event("notice", detail=f"{path} is the checkout's again; what the worktree had is kept in .orch/saved")
    included.copy(tree.repo, tree, paths)
    worktree.finish(tree)


def others(work: Work) -> bool:
    """Whether other tasks of this queue may still want an idle worktree."""
    places = work.claim.queue.places((State.PENDING, State.RUNNING))
    return any(place.name != work.name for place in places)


def _beside(work: Work, repo: Repository, place: Path) -> Iterator[Worktree]:
    suffixes = (VERIFY, RIVAL) if work.optimizing else (VERIFY,)
    yield from filter(None, (worktree.find(repo, place.with_name(f"{place.name}{suffix}")) for suffix in suffixes))


def _give_back(work: Work, tree: Worktree, most: int) -> None:
    """All that is in it is saved: into the pool with it, as one of at most so many, or away."""
    keep_copies(work, tree)
    if problem := setup.hook(work, "before_remove", tree.path):
        work.event("hook_failed", hook="before_remove", detail=problem)
    if why := pool.retire(tree, most=most, pump=work.pulse.nap):
        work.event("worktree_kept", path=str(tree.path), detail=why)
