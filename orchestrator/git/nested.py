"""Untracked things that `git add -A` must not be left alone with: repositories inside the worktree, of which git records
at most a pointer (and with one that has no commit it adds nothing at all), and folders that belong in no commit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import GitError
from orchestrator.git.command import Git, join, split
from orchestrator.store import durable

UNWANTED = frozenset(
    {
        "node_modules", ".venv", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox",
        ".gradle", ".parcel-cache", ".turbo", ".DS_Store",
    }
)  # fmt: skip
VIRTUAL_ENVIRONMENT = "pyvenv.cfg"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Survey(Value):
    """Paths below the worktree: `repositories` to save as plain files, `unwanted` ones to leave out of every commit."""

    repositories: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """Everything but these, for a command line."""
        return [".", *(f":(top,exclude,literal){path}" for path in (*self.repositories, *self.unwanted))]

    @property
    def pathspecs(self) -> bytes:
        """The same as `--pathspec-from-file` reads it."""
        return join(self.paths)

    def without(self, paths: Iterable[str]) -> Survey:
        """The same with more that stays out of every commit."""
        return replace(self, unwanted=(*self.unwanted, *paths))


def survey(git: Git, untracked: Iterable[str], links: Iterable[str]) -> Survey:
    """Look through the untracked entries of a status, and the entries of the index that are repositories."""
    repositories, unwanted = set[str](), set[str]()
    for entry in untracked:
        for path, is_repository in _special(git.cwd, entry.rstrip("/")):
            (repositories if is_repository else unwanted).add(path)
    repositories -= _ignored(git, repositories)
    repositories |= {path for path in links if (git.cwd / path / ".git").is_dir() and not _declared(git.cwd, path)}
    return Survey(tuple(sorted(repositories)), tuple(sorted(unwanted)))


def files(git: Git, repository: str) -> list[str]:
    """The files of a repository inside the worktree, as paths of the worktree: what it doesn't ignore itself."""
    top = git.cwd / repository
    try:
        listed = Git(top, top / ".git" if (top / ".git").is_dir() else None).split("ls-files", "-z", "-co", "--exclude-standard")
    except GitError:
        listed = list(walk(top, ""))
    names = (name for name in listed if not name.endswith("/") and os.path.lexists(top / name))
    return [f"{repository}/{name}" for name in names if not (top / name).is_dir() or (top / name).is_symlink()]


def folded(top: Path, untracked: Iterable[str], files: frozenset[str]) -> Iterator[str]:
    """Those of the `files` that lie at or below the `untracked` entries, as few paths: a folder in which there is nothing else
    stands for all of it."""
    for entry in untracked:
        inside = {name for name in files if name == entry or (entry.endswith("/") and name.startswith(entry))}
        whole = inside and entry.endswith("/") and inside.issuperset(walk(top, entry))
        yield from (entry.rstrip("/"),) if whole else sorted(inside)


def unwanted(name: str) -> bool:
    """Whether a file or folder of this name belongs in no commit, or its folder doesn't."""
    return name in UNWANTED or name == VIRTUAL_ENVIRONMENT or name.endswith(".pyc")


def _special(top: Path, entry: str) -> Iterator[tuple[str, bool]]:
    """What is a repository (True) or unwanted (False) at or below an untracked entry, however deep."""
    waiting = [entry]
    for below in waiting:  # grows while it is walked
        path = f"{top}/{below}"
        environment = os.path.isfile(f"{path}/{VIRTUAL_ENVIRONMENT}")  # noqa: PTH113 - which fails where a path is too long
        if environment or UNWANTED.intersection(below.split("/")) or below.endswith(".pyc"):
            yield below, False
        elif durable.is_folder(path):
            if os.path.lexists(f"{path}/.git"):
                yield below, not _is_worktree(Path(path))
            else:
                waiting += [f"{below}/{name}" for name in _names(path)]


def _is_worktree(path: Path) -> bool:
    """Whether it is another checkout, of whatever repository: its commits are in that one."""
    pointer = path / ".git"
    return pointer.is_file() and "/worktrees/" in pointer.read_text(errors="surrogateescape")


def _names(folder: str) -> list[str]:
    """What to look at in a folder: its folders, and files that are unwanted by name."""
    try:
        with os.scandir(folder) as entries:
            return [
                item.name for item in entries if item.is_dir(follow_symlinks=False) or item.name.endswith((".pyc", ".DS_Store"))
            ]
    except OSError:  # not ours to open, or too deep for any path
        return []


def walk(top: Path, below: str) -> Iterator[str]:
    """The files and links below a folder, whose name ends with a slash: of a repository there, its own files are left out."""
    waiting = [below]
    for folder in waiting:  # grows while it is walked
        with os.scandir(top / folder) as entries:
            for item in list(entries):
                name = f"{folder}{item.name}"
                if item.is_dir(follow_symlinks=False):
                    if item.name != ".git" and item.name not in UNWANTED:
                        waiting.append(f"{name}/")
                elif item.is_file(follow_symlinks=False) or item.is_symlink():
                    yield name


def _ignored(git: Git, paths: set[str]) -> set[str]:
    if not paths:
        return set()
    output = git.run("check-ignore", "-z", "--stdin", "--no-index", input=join(sorted(paths)), ok=(0, 1))
    return set(split(output.stdout))


def _declared(top: Path, path: str) -> bool:
    """Whether `.gitmodules` knows it: a true submodule stays the pointer that it is."""
    modules = top / ".gitmodules"
    return modules.is_file() and f"path = {path}" in modules.read_text(errors="surrogateescape")
