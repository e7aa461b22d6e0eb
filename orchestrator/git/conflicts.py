"""Where a conflict's markers are left, and what the base has brought meanwhile into the files it is about."""

from __future__ import annotations

from orchestrator.core.resolving import marks_left
from orchestrator.git import changes
from orchestrator.git.changes import Change
from orchestrator.git.command import join
from orchestrator.git.files import REGULAR
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree

BINARY = 8000  # git looks for a NUL in so many bytes


def marked(repo: Repository, commit: str, base: str, tip: str) -> tuple[str, ...]:
    """The files of `commit`, made of `base` and `tip`, that hold a conflict's markers. One that is as either side has it holds
    none, and neither does a binary one: there git leaves one side's content."""
    ours = {change.path: change for change in changes.changed(repo, base, commit)}
    both = [(ours[change.path], change) for change in changes.changed(repo, tip, commit) if change.path in ours]
    return tuple(here.path for here, there in both if here.mode in REGULAR and _marked(repo, here, there))


def brought(repo: Repository, base: str, tip: str, files: tuple[str, ...], most: int) -> tuple[str, ...]:
    """The commits that `base` has, `tip` has not, and that touch `files`: a short name and the subject each, the newest first."""
    paths = (f":(top,literal){path}" for path in files)
    return tuple(repo.git.split("log", "-z", f"--max-count={most}", "--format=%h %s", base, f"^{tip}", "--", *paths))


def fillable(tree: Worktree, merged: str, tip: str, files: tuple[str, ...]) -> bool:
    """Whether git can put these files, as they are `merged`, into the worktree. Of one that is kept encrypted, or as a pointer,
    the markers stand in what only its filter reads: one that must succeed says no to it, and so git would to the checkout, each
    time. One that says no to what is at the `tip` as well lacks its key, server or program: another try may go better."""
    return _read(tree, merged, files) or not _read(tree, tip, files)


def _read(tree: Worktree, where: str, files: tuple[str, ...]) -> bool:
    there = [each for each in changes.entries(tree.repo, where, files) if each.mode in REGULAR]
    asked = join([f"{each.new} {each.path}" for each in there])
    return tree.git.run("cat-file", "--filters", "--batch", "-z", input=asked, ok=(0, 128)).code == 0


def _marked(repo: Repository, here: Change, there: Change) -> bool:
    text = _blob(repo, here.mode, here.new)
    return marks_left(text) and marks_left(text, *(_blob(repo, change.old_mode, change.old) for change in (here, there)))


def _blob(repo: Repository, mode: str, name: str) -> bytes:
    data = repo.git.run("cat-file", "blob", name).stdout if mode in REGULAR else b""
    return b"" if b"\0" in data[:BINARY] else data
