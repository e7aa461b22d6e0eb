"""A merge that touches no checkout: the merged tree, or the files in conflict; then the commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.git.command import split
from orchestrator.git.identity import commit_as
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree


@dataclass(frozen=True, slots=True)
class Merged:
    """The tree of base and tip together."""

    tree: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """The paths that need a decision."""

    files: tuple[str, ...]


def contains(repo: Repository, tip: str, base: str) -> bool:
    """Whether `base` is part of `tip`'s history: then the merged tree is the tip's own."""
    return repo.git.run("merge-base", "--is-ancestor", base, tip, ok=(0, 1)).code == 0


def merge(verify: Worktree, base: str, tip: str) -> Merged | Conflict:
    """Merge two commits. Our verify worktree stands at `base`, since merging reads the `.gitattributes` of where it runs.

    Raises GitError where it can't be tried at all (unrelated histories)."""
    output = verify.git.run("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, tip, ok=(0, 1))
    tree, *files = split(output.stdout)
    return Merged(tree) if output.code == 0 else Conflict(tuple(dict.fromkeys(files)))


def commit(repo: Repository, tree: str, parents: Sequence[str], message: str, identity: Mapping[str, str] | None = None) -> str:
    """A commit of `tree` that no ref points to yet. `tree` may be `<commit>^{tree}`. Without `identity` the repository's own
    is used, else ours."""
    arguments = [argument for parent in parents for argument in ("-p", parent)]
    return commit_as(repo.git, "commit-tree", tree, *arguments, message=message, identity=identity).stdout.decode().strip()
