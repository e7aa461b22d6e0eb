"""Up to where a base was seen green: a ref of ours for each base, so that what nobody has looked at is computed, never stored."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from orchestrator.core.integration import Red
from orchestrator.git import merge, refs
from orchestrator.git.repository import Repository

UNDOING = "%H%x09%(trailers:key=Undoes,valueonly,separator=%x2c)%x09%(trailers:key=Task,valueonly,separator=%x2c)"
GREEN = "refs/orchestrator-meta/integrated/"  # beside the refs of tasks, so that none of these is taken for a task's


def green(common: Path, base: str) -> str | None:
    """The commit of `base` that was seen green last."""
    return refs.read(common, GREEN + base)


def seen_green(repo: Repository, base: str, commit: str) -> None:
    """One step: a kill before it, and the commit is looked at again."""
    repo.git.run("update-ref", GREEN + base, commit)


def since(repo: Repository, green: str | None, tip: str) -> tuple[str, ...]:
    """What came onto the base since then, a commit for each landing, the oldest first. Nothing where that can't be told: it was
    never green, or was rewritten."""
    if green is None or not merge.contains(repo, tip, green):
        return ()
    return tuple(repo.git.text("rev-list", "--first-parent", "--reverse", f"{green}..{tip}").split())


def tasks_of(repo: Repository, commit: str) -> tuple[str, ...]:
    """The tasks that a landing's trailers name."""
    told = repo.git.text("log", "-1", "--format=%(trailers:key=Task,valueonly)", commit)
    return tuple(filter(None, told.split("\n")))


def taken_back(repo: Repository, commit: str, tip: str) -> str | None:
    """The commit between the two with which the landing `commit` is undone, by its trailers: of a batch, every task of it."""
    lines = repo.git.text("log", "--first-parent", "--reverse", f"--format={UNDOING}", f"{commit}..{tip}").split("\n")
    undoing = [(by, task) for by, undone, task in (line.split("\t") for line in lines if line) if undone == commit]
    left = set(tasks_of(repo, commit)) - {task for _, task in undoing}
    return undoing[-1][0] if undoing and not left else None


def standing(found: Iterable[Red]) -> tuple[Red, ...]:
    """Those that still hold: the base was not seen green since."""
    return tuple(red for red in found if Path(red.common).is_dir() and green(Path(red.common), red.base) == red.green)
