"""Which repository a task belongs to: the one that its record names, for as long as nothing speaks against it.

A project may be moved or copied with everything in it, and a task folder may be taken anywhere. Then the path in the record leads
nowhere, or to the original, which is nobody's to touch any more from there.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.core.record import Record
from orchestrator.core.spec import Spec
from orchestrator.errors import RepositoryError
from orchestrator.git import following, refs, repository, slugs, worktree
from orchestrator.git.repository import HEADS, NotARepository, Repository
from orchestrator.store import specfile

HINT = "Name the one that is meant as `repo` in the spec, or remove the task's .orch/state.json to have it begun anew"


def named(spec: Spec, setting: str | None, project: Path) -> Path | None:
    """The folder that the spec names, else the setting: the repository need not be the project's own."""
    if spec.repo:
        return project / os.path.expanduser(spec.repo)  # noqa: PTH111 - Path's raises where there is no such user
    return Path(setting) if setting else None


def of_task(folder: Path, record: Record, setting: str | None, project: Path) -> Repository:
    """The same as `of` for whoever only has the task's folder; a spec that can't be read names nothing."""
    return of(record, named(specfile.read_if_any(folder), setting, project), project)


def of(record: Record, wanted: Path | None, project: Path) -> Repository:
    """The repository of a task that has begun. `wanted` is what spec or settings name, if anything; else it is the one that holds
    `project`. Where there is none it is the recorded one, and only if that is gone as well that of the current directory.

    One that was moved or copied since is told by what is kept there for this very task; our worktrees in it are brought along.
    Raises RepositoryError where the one found knows nothing of the task: neither it nor the recorded one is touched then.
    """
    began = Path(record.repo or "")
    place = wanted or project
    if record.branch is None:  # no git: it is wherever it is said to be
        return repository.discover(began if began.is_dir() else place)
    if began.is_dir() and _same(_checkout(place), began):
        return _brought(repository.discover(began), began)
    found = _discover(place)
    if found is None and began.is_dir():
        return _brought(repository.discover(began), began)
    if found is None and wanted is None:
        found = _discover(Path.cwd())
    if found and _shared(found, began):
        return repository.discover(began)
    if found and knows(found, record):
        return _brought(found, began)
    raise _astray(began, found)


def seen(record: Record, wanted: Path | None, project: Path) -> Path:
    """The checkout that `of` would find, for whoever only tells of it: nothing is written, and nothing is an error."""
    began, place = Path(record.repo or ""), _checkout(wanted or project)
    if record.branch is None or place is None or _same(place, began) or not (place / ".git").is_dir():
        return began
    here = Repository(place, place / ".git", place / ".git", shallow=False)
    return place if not _shared(here, began) and knows(here, record) else began


def knows(repo: Repository, record: Record) -> bool:
    """Whether this is where the task was worked on: its name is kept for it there, or its branch or commits are and the name is
    kept for nobody."""
    if (owner := slugs.holder(repo, record.slug)) is not None:
        return owner == record.id
    return bool(refs.read(repo.common, f"{HEADS}{record.branch}")) or refs.below(repo.common, f"refs/orchestrator/{record.slug}")


def _brought(repo: Repository, began: Path) -> Repository:
    if repo.top != began:
        following.follow(repo, began)
    return repo


def _discover(path: Path) -> Repository | None:
    try:
        return repository.discover(path)
    except NotARepository:
        return None


def _checkout(path: Path) -> Path | None:
    """The folder at or above `path` that git would take for the checkout, as far as that can be seen without git."""
    folders = (path.absolute(), *path.absolute().parents)
    return next((folder for folder in folders if os.path.lexists(folder / ".git")), None)


def _same(path: Path | None, other: Path) -> bool:
    return path is not None and (path == other or path.resolve() == other.resolve())


def _shared(repo: Repository, top: Path) -> bool:
    """Whether the checkout at `top` is another one of the same repository; git isn't asked, so nothing is touched there."""
    admin = top / (worktree.admin_of(top) or ".git")
    common = admin / (refs.content(admin / "commondir") or ".")
    return common.is_dir() and common.samefile(repo.common)


def _astray(began: Path, found: Repository | None) -> RepositoryError:
    missing = "" if began.is_dir() else ", which does not exist"
    told = f"{',' if missing else ''} and {found.top} knows nothing of it" if found else ""
    anew = f" in {found.top}" if found else ""
    return RepositoryError(f"The task was begun in the repository {began}{missing}{told}.", hint=f"{HINT}{anew}.")
