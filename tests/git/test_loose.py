"""What an agent committed is found again where its worktree went with git's log of it."""

from __future__ import annotations

from orchestrator.git import loose, pool
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from tests.git.conftest import Run


def made(git: Run, tree: Worktree, *, on: str) -> str:
    tree_ = git(tree.path, "rev-parse", "HEAD^{tree}")
    return git(tree.path, "commit-tree", tree_, "-p", on, "-m", "no ref has it")


def test_the_last_of_each_line_that_no_ref_has_is_lost(repo: Repository, tree: Worktree, base: str, git: Run) -> None:
    since = loose.clock(tree)
    last = made(git, tree, on=made(git, tree, on=base))
    assert loose.lost(repo, since) == (last,)
    git(repo.top, "update-ref", "refs/heads/named", last)
    assert loose.lost(repo, since) == ()


def test_what_is_older_or_was_amended_in_a_checkout_is_not(repo: Repository, tree: Worktree, base: str, git: Run) -> None:
    since = loose.clock(tree)
    lost = made(git, tree, on=base)
    git(repo.top, "commit", "-q", "--allow-empty", "-m", "a person's")
    git(repo.top, "commit", "-q", "--allow-empty", "--amend", "-m", "amended")
    pool.discard(tree)
    assert loose.lost(repo, since) == (lost,)
    newest = max(path.stat().st_mtime for path in (repo.common / "objects").glob("??/*"))
    assert loose.lost(repo, newest + 1) == ()
