"""What an agent made becomes commits on the task's branch, whatever it did to the history, to the branch or to its worktree."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.git import conflicts, kept, lasting, loose, merge, repository, save, worktree
from orchestrator.git.identity import with_trailers
from orchestrator.git.repository import Repository
from orchestrator.git.save import Collected
from orchestrator.git.worktree import Worktree
from orchestrator.worker.findings import Watch
from orchestrator.worker.work import Work


def gather(work: Work, tree: Worktree, number: int, subject: str, start: str, watch: Watch | None = None) -> Collected:
    """Everything that was made in `tree` since `start`, committed. Without a `watch` the agent was cut short."""
    branch, saved = str(work.record.branch), watch.saved if watch else None
    trailers = {"Task": work.name, "Attempt": str(number), "Agent": work.agent_name}
    subject = work.mask.text(subject)
    staged = save.staged(tree, saved)
    made = save.commit_all(tree, subject, trailers=trailers)
    collected = replace(save.collect(tree, branch, start, saved), made=made)
    if staged or collected.seen - {made.commit} or collected.extra:  # of the agent's own making
        lasting.secure(tree.repo, (collected.tip, *collected.extra), (start,), (repository.HEADS + branch,))
    message = with_trailers(subject, trailers)
    if collected.rewritten and not merge.contains(tree.repo, collected.tip, work.record.base_commit or start):
        # The agent went back behind where the task began, or made a history of its own: what it has is put on top of ours.
        collected = _graft(tree, branch, collected, (start,), message)
    if (found := work.record.resolving) and _resolved(work, tree.repo, collected.tip, ended=watch is not None):
        collected = _graft(tree, branch, collected, (found.base, found.tip), message)
    return collected


def _resolved(work: Work, repo: Repository, commit: str, *, ended: bool) -> bool:
    """Whether `commit` is to become the merge of the two sides of the conflict, since no marker is left. What nobody has
    touched is one only where the agent has `ended`: to leave it so was its decision."""
    found = work.record.resolving
    assert found is not None
    untouched = commit == found.commit and not ended
    return not untouched and merge.contains(repo, commit, found.commit) and not marked(work, repo, commit)


def marked(work: Work, repo: Repository, commit: str) -> tuple[str, ...]:
    """The files of `commit` in which markers of the conflict that is resolved are left."""
    found = work.record.resolving
    return conflicts.marked(repo, commit, found.base, found.tip) if found else ()


def _graft(tree: Worktree, branch: str, collected: Collected, parents: tuple[str, ...], message: str) -> Collected:
    """The tree of what was collected as one commit with these parents; the commits themselves are kept beside it."""
    tip = merge.commit(tree.repo, f"{collected.tip}^{{tree}}", parents, message)
    worktree.checkout(tree, branch=branch, commit=tip)
    return replace(collected, tip=tip, extra=(*collected.extra, collected.tip))


def keep_unnamed(work: Work, repo: Repository, began: float) -> None:
    """Give refs to what was committed since then in a worktree that is gone: git's log of it went with it, so it may have no
    name left."""
    if not (found := loose.lost(repo, began)):
        return
    number = f"{work.number or work.record.attempts:04d}"
    extra = {f"extra/{number}-lost{f'-{index}' if index else ''}": commit for index, commit in enumerate(found)}
    lasting.secure(repo, found, filter(None, (work.record.base_commit,)))
    labels = kept.keep_all(repo, work.record.slug, extra)
    told = f"the agent removed its worktree, with commits that nothing else named any more: kept as {', '.join(labels)}"
    work.event("finding", detail=told)
