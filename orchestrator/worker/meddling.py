"""What is the user's and no attempt's: the base branch, held against how it was."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from shlex import quote

from orchestrator.errors import GitError
from orchestrator.git import merge, reflog, refs, repository, worktree
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.worker.work import Work

MANY = 1000  # commits that the base may have moved by, and are looked through


def taken(repo: Repository, base: str, old: str, own: Collection[str], when: str) -> str:
    """Whether `base`, once at `old`, has come to hold commits of the task's `own` that were not landed, in words; else empty.
    Nothing is reset (`rulings` 22), since others may have built on it: what would put it back is told. Who did it nobody knows:
    it may be a person, who liked the work before it was verified."""
    new = repository.find_branch(repo, base)
    if new in (None, old) or not (found := _brought(repo, old, str(new), own)):
        return ""
    before, top, alone = _around(repo, old, str(new), found)
    back = f"`git update-ref {quote(repository.HEADS + base)} {before} {new}` puts it back"
    if not alone:
        back = f"others' commits came on top, up to {str(new)[:10]}: take back with `git revert` what is not to stay"
    return f"{base} was moved to commit {top[:10]} {when}, with work that has passed nothing; it was at {before[:10]}: {back}"


def _brought(repo: Repository, old: str, new: str, own: Collection[str]) -> set[str]:
    """Those of `own` that a branch came to hold when it went from `old` to `new`: none, where it only went back."""
    try:
        return set(repo.git.text("rev-list", f"--max-count={MANY}", f"{old}..{new}").split()).intersection(own)
    except GitError:  # what it was at is gone altogether
        return {new}.intersection(own)


def _around(repo: Repository, old: str, new: str, own: Collection[str]) -> tuple[str, str, bool]:
    """The last commit on the base's line that has nothing of the task's `own`, the last one that brought it some, and whether
    each that came after the first did: others may have landed before, between and after."""
    try:
        if not merge.contains(repo, new, old):
            return old, new, True
    except GitError:
        return old, new, True
    line = [*repo.git.text("rev-list", "--first-parent", f"--max-count={MANY}", f"{old}..{new}").split(), old]
    held = [len(_brought(repo, old, commit, own)) for commit in line]
    brings = [mine != before for mine, before in pairwise(held)]
    first = held.index(0)
    return line[first], line[brings.index(True)], all(brings[:first])


def base_now(work: Work) -> str | None:
    """Where the base is; None where there is none to be moved."""
    return repository.find_branch(work.repo, work.record.base) if work.repo and work.record.base else None


def taken_meanwhile(work: Work, old: str | None) -> str:
    """`taken`, of what ran where the task's work is measured: nothing that was made or measured for it has landed yet."""
    if work.repo is None or old is None or base_now(work) == old:
        return ""
    branch = refs.read(work.repo.common, f"{repository.HEADS}{work.record.branch}")
    mine = [tree for tree in worktree.ours(work.repo) if tree.owner == work.record.id]
    own = {commit for tree in mine for commit in _own(tree, work.record.slug)} | {branch or ""}
    own -= {old, work.record.base_commit, *_passed(work, work.repo, old)}
    return taken(work.repo, str(work.record.base), old, own, "while the task's work was measured")


def _passed(work: Work, repo: Repository, old: str) -> list[str]:
    """What was verified already and shown to people, who may have merged it themselves."""
    record = work.record
    shown = [each for each in (record.pull and record.pull.head, record.review and record.review.commit) if each]
    return repo.git.text("rev-list", "--ignore-missing", *shown, "--not", old).split() if shown else []


def _own(tree: Worktree, slug: str) -> list[str]:
    """What was made in the agent's worktree, where it may have looked at anything else; and all that a stand was put at."""
    return reflog.made(reflog.read(tree)) if tree.path.name == slug else reflog.been(tree)
