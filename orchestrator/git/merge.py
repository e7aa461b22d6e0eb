"""A merge that touches no checkout: the merged tree, or the files in conflict; then the commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import OrchestratorError, RepositoryError
from orchestrator.git import objects
from orchestrator.git.command import Git, split
from orchestrator.git.identity import commit_as
from orchestrator.git.repository import HEADS, Repository
from orchestrator.git.worktree import Worktree


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Merged(Value):
    """The tree of base and tip together, and the `side` that is merged into the base: the second parent."""

    tree: str
    side: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Conflict(Value):
    """The paths that need a decision, and the `tree` of both sides with git's markers; None where one that can be worked on
    would take another merge."""

    files: tuple[str, ...]
    tree: str | None = None


def contains(repo: Repository, tip: str, base: str) -> bool:
    """Whether `base` is part of `tip`'s history: then the merged tree is the tip's own."""
    return repo.git.run("merge-base", "--is-ancestor", base, tip, ok=(0, 1)).code == 0


def taken_off(top: Path, branch: str, commit: str) -> bool:
    """Whether a branch that had this commit has it no more. For whoever only tells of it: nothing is written. Where either is
    gone nobody can tell."""
    try:
        return Git(top).run("merge-base", "--is-ancestor", commit, HEADS + branch, ok=(0, 1)).code == 1
    except (OrchestratorError, OSError):
        return False


def contained(repo: Repository, tip: str, commits: Iterable[str]) -> frozenset[str]:
    """Those of the `commits` that are part of `tip`'s history; what this repository doesn't have is none of it."""
    asked = "".join(f"{commit}\n" for commit in commits)
    rows = repo.git.run("cat-file", "--batch-check=%(objecttype) %(objectname)", input=asked.encode()).stdout.decode()
    here = [row.removeprefix("commit ") for row in rows.splitlines() if row.startswith("commit ")]
    span = "".join(f"{commit}\n" for commit in (*here, f"^{tip}"))
    return frozenset(here).difference(repo.git.run("rev-list", "--stdin", input=span.encode()).stdout.decode().split())


def met(repo: Repository, base: str, tip: str) -> str | None:
    """The last commit that both have; None where their histories have nothing in common."""
    return repo.git.run("merge-base", base, tip, ok=(0, 1)).stdout.decode().strip() or None


def bases(repo: Repository, base: str, tip: str) -> tuple[str, ...]:
    """The last commits that both have, none of which has another: mostly one, none where they have nothing in common."""
    return tuple(repo.git.run("merge-base", "--all", base, tip, ok=(0, 1)).stdout.decode().split())


def plain(repo: Repository, base: str, tip: str) -> Merged | None:
    """Merge two commits that have one base and no file to be merged: no attribute decides there, so it takes no checkout. None
    where there is such a file, or a conflict, or git has something to say.

    Raises GitError where it can't be tried at all (unrelated histories)."""
    command = ("-c", "merge.renormalize=false", "merge-tree", "--write-tree", "-z", "--name-only", "--messages")
    output = repo.git.run(*command, base, tip, ok=(0, 1))
    tree, _, told = output.stdout.partition(b"\0")
    return None if output.code or told.strip(b"\0") else Merged(tree.decode(), tip)


def merge(verify: Worktree, base: str, tip: str) -> Merged | Conflict:
    """Merge two commits. Our verify worktree stands at `base`, since merging reads the `.gitattributes` of where it runs.

    Raises GitError where it can't be tried at all (unrelated histories)."""
    output = verify.git.run("merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", base, tip, ok=(0, 1))
    tree, *files = split(output.stdout)
    return Merged(tree, tip) if output.code == 0 else Conflict(tuple(dict.fromkeys(files)), tree)


def replay(verify: Worktree, began: str, base: str, tip: str) -> Merged | Conflict:
    """The same for a base that was rewritten and has `began`, where the work began, no more: only what the work changed since
    then is brought along, and not the commits that were taken off the base."""
    ours, theirs = (commit(verify.repo, f"{end}^{{tree}}", (began,), "To be merged\n") for end in (base, tip))
    merged = merge(verify, ours, theirs)
    if isinstance(merged, Conflict):
        return Conflict(merged.files)
    return Merged(merged.tree, commit(verify.repo, merged.tree, (base,), f"Work of {tip}, moved to a rewritten base\n"))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Joined(Value):
    """The tree of a base and the `sides` that go together on it; `files` keep the others out."""

    tree: str
    sides: tuple[str, ...]
    files: tuple[str, ...] = ()


def join(verify: Worktree, base: str, sides: Iterable[str]) -> Joined:
    """Merge the sides into `base` one after the other; one that conflicts with what came before it is left out, and so is one
    that brings nothing to it."""
    found = Joined(verify.git.text("rev-parse", f"{base}^{{tree}}"), ())
    top = base
    for side in dict.fromkeys(sides):
        merged = merge(verify, top, side)
        if isinstance(merged, Conflict):
            found = replace(found, files=(*found.files, *merged.files))
        if isinstance(merged, Conflict) or merged.tree == found.tree:
            continue
        found = replace(found, tree=merged.tree, sides=(*found.sides, side))
        top = commit(verify.repo, merged.tree, (top, side), "To be part of a batch\n")
    return found


def without(verify: Worktree, batch: str, side: str | None) -> Merged | Conflict:
    """A landed merge without this side of it, made anew from its other parents; without any where that is None. Raises
    RepositoryError where a fetch has made the repository shallow since, and its parents aren't here."""
    if not (parents := verify.git.text("rev-parse", f"{batch}^@").split()):
        told = f"What {batch[:10]} was merged into is not in {verify.repo.top}: the history there is cut off."
        raise RepositoryError(told, hint="git fetch --unshallow brings it.")
    base, *sides = parents
    joined = join(verify, base, [each for each in sides if side is not None and each != side])
    return Conflict(joined.files) if joined.files else Merged(joined.tree, base)


def revert(verify: Worktree, merged: str, base: str, side: str | None = None) -> Merged | Conflict:
    """The tree of `base` without what the merge `merged` brought into its first parent, or of a batch only this side."""
    before = without(verify, merged, side)
    if isinstance(before, Conflict):
        return before
    ours, theirs = (commit(verify.repo, tree, (merged,), "To be reverted\n") for tree in (f"{base}^{{tree}}", before.tree))
    return merge(verify, ours, theirs)


def commit(repo: Repository, tree: str, parents: Sequence[str], message: str, *, like: str | None = None) -> str:
    """A commit of `tree` that no ref points to yet. `tree` may be `<commit>^{tree}`. `like`: a commit that git has made so just
    now, which saves asking it."""
    if like and (made := objects.commit(repo, tree, parents, message, like)):
        return made
    arguments = [argument for parent in parents for argument in ("-p", parent)]
    return commit_as(repo.git, "commit-tree", tree, *arguments, message=message).stdout.decode().strip()
