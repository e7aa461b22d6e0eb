"""Submodules of a worktree keep their own repositories inside git's folder for it: removing it would remove their commits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import GitError
from orchestrator.git.command import Git


def unsaved(admin: Path) -> str | None:
    """Why the worktree with this git folder must stay: a submodule with commits that are nowhere else. None where it need not."""
    for module in _modules(admin / "modules"):
        try:
            only_here = Git(module, module).text("rev-list", "-n1", "--all", "HEAD", "--not", "--remotes")
        except GitError as error:
            return f"its submodule {module.name} can't be read ({error.stderr.strip()})"
        if only_here:
            return f"its submodule {module.name} has commits that are nowhere else ({only_here[:12]})"
    return None


def _modules(folder: Path) -> Iterator[Path]:
    """The repositories below `folder`: a submodule's name may contain slashes."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (path / "HEAD").is_file():
            yield path
            yield from _modules(path / "modules")
        elif path.is_dir():
            yield from _modules(path)
