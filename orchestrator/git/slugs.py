"""Names kept for tasks: of two tasks with the same name one gets it, for its branch, its worktree and its refs."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.errors import RepositoryError
from orchestrator.git import refs
from orchestrator.git.repository import HEADS, Repository
from orchestrator.store import durable
from orchestrator.store.failpoints import hit


def reserve(repo: Repository, slug: str, task_id: str) -> str:
    """`slug`, or `slug-2` and so on: the first that names no branch, nor a folder of them, worktree or refs of another task,
    kept for this one.

    Raises RepositoryError where a branch called `orchestrator` makes every branch of ours impossible."""
    if refs.read(repo.common, f"{HEADS}orchestrator"):
        raise RepositoryError(
            f"A branch called 'orchestrator' in {repo.top} is in the way of orchestrator/{slug}.",
            hint="Rename it: git branch -m orchestrator NEW-NAME.",
        )
    reservation(repo, slug).parent.mkdir(exist_ok=True)
    name, number = slug, 1
    while not _reserved(repo, name, task_id):
        number += 1
        name = f"{slug}-{number}"
    return name


def holder(repo: Repository, slug: str) -> str | None:
    """The id of the task that `slug` is kept for."""
    return refs.content(reservation(repo, slug))


def reservation(repo: Repository, slug: str) -> Path:
    """The file that says for which task `slug` is kept."""
    return repo.control / "slugs" / slug


def _reserved(repo: Repository, name: str, task_id: str) -> bool:
    """Whether `name` is ours now: the file that says so is made in one step, so of two tasks one wins."""
    path = reservation(repo, name)
    temporary = path.with_name(f"{name}.{task_id}.tmp")
    if (owner := refs.content(path)) is not None:
        temporary.unlink(missing_ok=True)  # we were killed right after the link
        return owner == task_id
    if any(refs.below(repo.common, f"{namespace}orchestrator/{name}") for namespace in (HEADS, "refs/")):
        return False
    try:
        temporary.write_text(task_id)
        hit("git.reserve:before")
        _named_so(temporary, path)
        hit("git.reserve:after")
    except (FileExistsError, durable.Taken):
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _named_so(temporary: Path, path: Path) -> None:
    """Give the file its name, replacing nothing: by a link, which network file systems know, too; by a rename where there are no
    links (exFAT)."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        durable.rename(temporary, path, point="git.reserve")
