"""Files that git ignores and a checkout needs all the same (`.env`): `.worktreeinclude` names them, and they are copied."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.git.command import join, split
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree

NAMES = ".worktreeinclude"


def copy_included(repo: Repository, tree: Worktree) -> tuple[str, ...]:
    """Copy every file of the repository's checkout that `.worktreeinclude` matches and git ignores into our worktree.
    What is there already stays. Returns the paths."""
    copied = [path for path in _chosen(repo) if _copy(repo.top / path, tree.path, path)]
    return tuple(copied)


def edited(repo: Repository, tree: Worktree) -> tuple[str, ...]:
    """Those copies that no longer hold what the repository's checkout has: to be saved before the worktree goes, and never
    as git objects, since they tend to be secrets."""
    return tuple(path for path in _chosen(repo) if _differs(repo.top / path, tree.path / path))


def outdated(repo: Repository, tree: Worktree) -> tuple[str, ...]:
    """Those copies whose original a person has changed since they were made, or edited."""
    pairs = ((path, repo.top / path, tree.path / path) for path in _chosen(repo))
    return tuple(
        path for path, source, copy in pairs if _within(copy, tree.path) and _newer(source, copy) and _differs(source, copy)
    )


def _chosen(repo: Repository) -> list[str]:
    """What is ours is no file of the checkout's: copies that were saved of a task's are called as the files are."""
    if not (repo.top / NAMES).is_file():
        return []
    matched = repo.git.split("ls-files", "-z", "--others", "--ignored", f"--exclude-from={repo.top / NAMES}")
    files = [path for path in matched if not path.endswith("/") and ".orch" not in path.split("/")]
    ignored = repo.git.run("check-ignore", "-z", "--stdin", input=join(files), ok=(0, 1)).stdout if files else b""
    return split(ignored)


def _copy(source: Path, top: Path, path: str) -> bool:
    """Copy one file, never through a link that leads out of the worktree."""
    target = top / path
    if os.path.lexists(target) or not _within(target, top):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.is_file():
        target.write_bytes(source.read_bytes())
        target.chmod(source.stat().st_mode & 0o777)
    else:
        return False
    return True


def _within(target: Path, top: Path) -> bool:
    return target.parent.resolve().is_relative_to(top.resolve())


def _newer(source: Path, copy: Path) -> bool:
    return source.is_file() and copy.is_file() and source.stat().st_mtime_ns > copy.stat().st_mtime_ns


def _differs(source: Path, copy: Path) -> bool:
    if copy.is_symlink() or not copy.is_file():
        return False
    return not source.is_file() or source.read_bytes() != copy.read_bytes()
