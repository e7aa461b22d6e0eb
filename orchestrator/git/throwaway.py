"""A checkout nobody takes anything from: a repository of its own that borrows ours for reading."""

from __future__ import annotations

from pathlib import Path

from orchestrator.git.command import Git
from orchestrator.git.repository import Repository


def checkout(repo: Repository, folder: Path, commit: str) -> None:
    """Make `folder`, a repository at `commit`. No branch, ref or configuration of ours can be reached from it by name: what is
    committed there is gone with the folder. A kill leaves at most the folder, in a scratch place that goes with its owner."""
    Git(folder.parent).run("clone", "--quiet", "--shared", "--no-checkout", "--no-tags", str(repo.common), str(folder))
    git = Git(folder)
    git.run("remote", "remove", "origin")
    git.run("checkout", "--quiet", "--detach", commit)
