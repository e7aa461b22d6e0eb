"""Submodules of a worktree keep their own repositories inside git's folder for it: removing it would remove their commits, and
what lies uncommitted in their files, which no commit of the worktree takes up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestrator.errors import GitError, OrchestratorError
from orchestrator.git import given, nested, repository, worktree
from orchestrator.git.command import Git
from orchestrator.git.worktree import Worktree, admin_of

SHOWN = 3  # paths that are named


def unsaved(tree: Worktree) -> str | None:
    """Why the worktree must stay: a submodule with commits that are nowhere else, or with uncommitted edits. None where it need
    not."""
    for module in _modules(tree.admin / "modules"):
        try:
            only_here = Git(module, module).text("rev-list", "-n1", "--all", "HEAD", "--not", "--remotes")
        except GitError as error:
            return f"its submodule {module.name} can't be read ({error.stderr.strip()})"
        if only_here:
            return f"its submodule {module.name} has commits that are nowhere else ({only_here[:12]})"
    return edited(tree)


def kept(top: Path, owner: str) -> Iterator[tuple[Path, str]]:
    """The worktrees of this task that must stay, and why, for whoever only tells of it: where nobody can tell there are none."""
    with suppress(OrchestratorError, OSError):
        for tree in worktree.ours(repository.look(top)):
            if tree.owner == owner and (why := unsaved(tree)):
                yield tree.path, why


def edited(tree: Worktree) -> str | None:
    """Which submodule of the worktree has uncommitted edits, in words; None where none has, or there are none."""
    for module in _modules(tree.admin / "modules"):
        try:
            paths = _uncommitted(module)
        except GitError as error:
            return f"its submodule {module.name} can't be read ({error.stderr.strip()})"
        if paths:
            return f"its submodule {module.name} has uncommitted edits ({_some(paths)})"
    if paths := sorted(given.beyond(tree)):
        return f"files lie where a submodule would be that was not initialised ({_some(paths)})"
    return None


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return f"{', '.join(paths[:SHOWN])}{more}"


def _uncommitted(module: Path) -> list[str]:
    """What is changed or new in the files of a submodule, but for what belongs in no commit. One without files has nothing."""
    found = Git(module, module).run("config", "core.worktree", ok=(0, 1)).stdout.decode(errors="surrogateescape").strip()
    place = (module / found).resolve()
    pointed = admin_of(place) if found else None
    if pointed is None or (place / pointed).resolve() != module.resolve():
        return []
    rows = Git(place, module).split("status", "--porcelain", "-z", "--no-renames", "-uall", "--ignore-submodules=dirty")
    return [row[3:] for row in rows if not any(nested.unwanted(name) for name in row[3:].split("/"))]


def _modules(folder: Path) -> Iterator[Path]:
    """The repositories below `folder`: a submodule's name may contain slashes."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (path / "HEAD").is_file():
            yield path
            yield from _modules(path / "modules")
        elif path.is_dir():
            yield from _modules(path)
