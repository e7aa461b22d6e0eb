"""Files that git ignores and a checkout needs all the same (`.env`): `.worktreeinclude` names them, and they are copied."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from orchestrator.core.task import WORKTREES
from orchestrator.errors import GitError
from orchestrator.git.command import Git, join, split
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree

NAMES = ".worktreeinclude"
OURS = {".orch", WORKTREES}  # what is kept of other tasks' copies is called as the files are


def copy_included(repo: Repository, tree: Worktree) -> bool:
    """Copy every file of the repository's checkout that `.worktreeinclude` matches and git ignores into our worktree.
    What is there already stays. Whether there was anything to copy."""
    paths = _chosen(repo)
    copy(repo, tree, paths)
    return bool(paths)


def copy(repo: Repository, tree: Worktree, paths: Iterable[str]) -> None:
    """The same with just these. Where a folder stands in a file's way, or a file in its folder's, it is left out."""
    for path in paths:
        with suppress(FileExistsError, NotADirectoryError):
            _copy(repo.top / path, tree.path, path)


def edited(repo: Repository, tree: Worktree) -> tuple[str, ...]:
    """Those copies that no longer hold what the repository's checkout has: to be saved before the worktree goes, and never
    as git objects, since they tend to be secrets."""
    return tuple(path for path in _chosen(repo) if _differs(repo.top / path, tree.path / path))


def outdated(repo: Repository, tree: Worktree) -> tuple[str, ...]:
    """Those that are missing in a worktree in which somebody worked, or that a person has changed since they were copied there.
    Only what git ignores there as well: its branch may have other rules or track one of them by now, the next commit would take
    that up, and they tend to be secrets."""
    due = [path for path in _chosen(repo) if _due(repo.top / path, tree.path / path) and _plain(tree.path, path)]
    with suppress(GitError):  # the folder is a submodule's by now: nobody can tell
        return tuple(_ignored(tree.git, due))
    return ()


def _plain(top: Path, path: str) -> bool:
    """No link is on the way there, beyond which git answers nothing, and no other repository, which has its own rules."""
    above = [top / folder for folder in Path(path).parents][:-1]
    return not any(folder.is_symlink() or os.path.lexists(folder / ".git") for folder in above)


def _chosen(repo: Repository) -> list[str]:
    if not (repo.top / NAMES).is_file():
        return []
    matched = repo.git.split("ls-files", "-z", "--others", "--ignored", f"--exclude-from={repo.top / NAMES}")
    return _ignored(repo.git, [path for path in matched if not path.endswith("/") and OURS.isdisjoint(path.split("/"))])


def _ignored(git: Git, paths: list[str]) -> list[str]:
    return split(git.run("check-ignore", "-z", "--stdin", input=join(paths), ok=(0, 1)).stdout) if paths else []


def _copy(source: Path, top: Path, path: str) -> None:
    """Copy one file, never through a link that leads out of the worktree."""
    target = top / path
    if os.path.lexists(target) or not target.parent.resolve().is_relative_to(top.resolve()):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_file():
        target.write_bytes(source.read_bytes())
        target.chmod(source.stat().st_mode & 0o777)


def _due(source: Path, copy: Path) -> bool:
    if not os.path.lexists(copy):
        return True
    return source.is_file() and _differs(source, copy) and source.stat().st_mtime_ns > copy.stat().st_mtime_ns


def _differs(source: Path, copy: Path) -> bool:
    if copy.is_symlink() or not copy.is_file():
        return False
    return not source.is_file() or source.read_bytes() != copy.read_bytes()
