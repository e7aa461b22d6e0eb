"""The checkouts of a repository and what each is on, read from the files git keeps of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.git import refs
from orchestrator.git.command import Git
from orchestrator.git.repository import HEADS, Repository, branch, busy
from orchestrator.git.worktree import MARK, elsewhere


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Checkout(Value):
    """A working tree of the repository. `branch` is the one it is on, or the one it will be on after the rebase or bisect
    that `busy` tells of; git itself shows such a checkout as detached."""

    path: Path
    git_dir: Path
    branch: str | None
    busy: str | None

    @property
    def git(self) -> Git:
        return Git(self.path, self.git_dir)


def checkouts(repo: Repository) -> tuple[Checkout, ...]:
    """Every checkout that still exists: the main one first, then the linked ones."""
    found = [_main(repo), *(_linked(repo, admin) for admin in refs.entries(repo.common / "worktrees"))]
    return tuple(checkout for checkout in found if checkout)


def holding(repo: Repository, name: str) -> tuple[Checkout, ...]:
    """The checkouts that are on the branch `name`, be it by another name: one of the two may be a symbolic ref to the other."""
    return _on(repo, name, checkouts(repo))


def astray(repo: Repository, name: str) -> tuple[Checkout, ...]:
    """The linked checkouts on the branch `name` whose folder isn't where git notes it: moved, not mounted, or deleted. Ours among
    them are gone for good, and nobody will go on there."""
    found = ((admin, _place(admin)) for admin in refs.entries(repo.common / "worktrees"))
    lost = (_checkout(repo, path, admin) for admin, path in found if path and not path.is_dir() and not (admin / MARK).exists())
    return _on(repo, name, lost)


def unplaced(repo: Repository, name: str) -> bool:
    """Whether the main checkout is on the branch `name` and can't be found from this linked one: `git init --separate-git-dir`
    notes nowhere where it is."""
    if repo.git_dir == repo.common or not (repo.common / "index").exists() or _main(repo) or _bare(repo):
        return False
    return bool(_on(repo, name, (_checkout(repo, repo.common, repo.common),)))


def _on(repo: Repository, name: str, found: Iterable[Checkout]) -> tuple[Checkout, ...]:
    real = refs.real(repo.common, HEADS + name)
    return tuple(
        checkout
        for checkout in found
        if checkout.branch and (checkout.branch == name or refs.real(repo.common, HEADS + checkout.branch) == real)
    )


def _main(repo: Repository) -> Checkout | None:
    """A bare one has none, be it called `.git` too, as people do who work in linked checkouts only; a submodule says where its
    own is."""
    if repo.git_dir == repo.common:
        return _checkout(repo, repo.top, repo.common)
    told = _told(repo, "--get", "core.worktree")
    if _bare(repo) or not (told or repo.common.name == ".git"):
        return None
    top = (repo.common / (told or "..")).resolve()
    return _checkout(repo, top, repo.common) if top.is_dir() else None


def _bare(repo: Repository) -> bool:
    return _told(repo, "--type=bool", "core.bare") == "true"


def _told(repo: Repository, *asked: str) -> str:
    """What git's configuration says of the repository itself."""
    return os.fsdecode(Git(repo.common, repo.common).run("config", *asked, ok=(0, 1)).stdout).strip()


def _linked(repo: Repository, admin: Path) -> Checkout | None:
    path = _place(admin)
    return _checkout(repo, path, admin) if path and path.is_dir() and not elsewhere(admin, path) else None


def _place(admin: Path) -> Path | None:
    pointer = refs.content(f"{admin}/gitdir")
    return (admin / pointer).parent if pointer else None


def _checkout(repo: Repository, path: Path, git_dir: Path) -> Checkout:
    return Checkout(path, git_dir, branch(git_dir, repo.common) or _interrupted(git_dir), busy(git_dir))


def _interrupted(git_dir: Path) -> str | None:
    """The branch that a rebase or bisect took the checkout away from."""
    for name in ("rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"):
        if text := refs.content(f"{git_dir}/{name}"):
            return text.removeprefix(HEADS)
    return None
