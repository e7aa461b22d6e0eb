"""Our worktrees in a repository that was moved, or is a copy: git notes by absolute paths where they are, and in each where its
repository is. In a copy both lead to the original, where another worker may be at work.

Done a second time it changes nothing, so a SIGKILL anywhere leaves what the next one puts right. In between no git of ours is
misled: it is told git's folder of a worktree, and `worktree.find` takes none that another repository's notes claim.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.git import refs
from orchestrator.git.atomicfile import write
from orchestrator.git.repository import Repository, head
from orchestrator.git.worktree import POINTER, Worktree, admin_of, correct, elsewhere, owned, place_of
from orchestrator.store import locks


def follow(repo: Repository, former: Path) -> None:
    """Put right what git notes of our worktrees, now that the checkout that was at `former` is at `repo.top`."""
    with locks.acquire(repo.worktree_lock):
        for admin in refs.entries(repo.common / "worktrees"):
            place = place_of(admin)
            if place and owned(repo, admin) and admin_of(place) != admin:
                _follow(Worktree(repo, moved(place, former, repo.top), admin))


def moved(path: Path, former: Path, top: Path) -> Path:
    """Where `path` is, now that the folder `former` is at `top`."""
    within = path.is_relative_to(former) and not (path.is_relative_to(top) and top.is_relative_to(former))
    return top / path.relative_to(former) if within else path


def _follow(tree: Worktree) -> None:
    """The `.git` file first: whoever works in there must not reach another repository. What lies there stays as it is."""
    pointer = admin_of(tree.path)
    if elsewhere(tree.admin, tree.path):  # not below the checkout, so it was not copied: it is the original's
        _let_go(tree)
    elif pointer is None or pointer.name == tree.admin.name:
        if pointer is not None and pointer != tree.admin:
            write(tree.path / ".git", f"{POINTER}{tree.admin}\n")
        correct(tree)


def _let_go(tree: Worktree) -> None:
    """A copied note of the original's worktree keeps no branch here."""
    if commit := head(tree.admin, tree.repo.common):
        write(tree.admin / "HEAD", f"{commit}\n")
