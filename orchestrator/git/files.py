"""Files as they are at a commit, without a checkout."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from orchestrator.core.value import Value
from orchestrator.git.changes import SYMLINK
from orchestrator.git.command import Git

EXECUTABLE = "100755"
REGULAR = frozenset({"100644", EXECUTABLE})
LINKS = 8  # one behind the other are followed


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class File(Value):
    """One regular file of a commit."""

    path: str
    executable: bool
    data: bytes


def at(git: Git, commit: str, paths: Sequence[str]) -> tuple[File, ...]:
    """Those of `paths` that are regular files at `commit`; folders, links and submodules are left out."""
    if not paths:
        return ()
    found = []
    for row in git.split("ls-tree", "-z", commit, "--", *paths):
        facts, _, path = row.partition("\t")
        mode, _, blob = facts.split(" ")[:3]
        if mode in REGULAR and path in paths:
            found.append(File(path, mode == EXECUTABLE, git.run("cat-file", "blob", blob).stdout))
    return tuple(found)


def led_to(git: Git, commit: str, paths: Sequence[str]) -> tuple[tuple[File, ...], tuple[str, ...]]:
    """The regular files that `paths` lead to at `commit`, and the links on the way there, of files and of folders."""
    found, links = list(at(git, commit, paths)), dict[str, str]()
    left = {*paths} - {file.path for file in found}
    for _ in range(LINKS if left else 0):
        links |= (more := _links(git, commit, left))
        left = {to for path in left if (to := _beyond(path, more))}
        found += (reached := at(git, commit, tuple(left)))
        left -= {file.path for file in reached}
        if not left:
            break
    return tuple({file.path: file for file in found}.values()), tuple(links)


def _links(git: Git, commit: str, paths: Iterable[str]) -> Mapping[str, str]:
    """Those of `paths`, and of the folders above them, that are links, with what they say."""
    steps = {str(step) for path in paths for step in (PurePosixPath(path), *PurePosixPath(path).parents[:-1])}
    rows = (row.partition("\t") for row in git.split("ls-tree", "-z", commit, "--", *steps))
    blobs = {path: facts.split(" ")[2] for facts, _, path in rows if facts.startswith(SYMLINK)}
    return {path: os.fsdecode(git.run("cat-file", "blob", blob).stdout) for path, blob in blobs.items()}


def _beyond(path: str, links: Mapping[str, str]) -> str | None:
    """Where the first of the links on its way leads `path`; None without one, or where that is out of the repository."""
    for link in sorted(links):
        if path == link or path.startswith(f"{link}/"):
            to = os.path.normpath(os.path.join(os.path.dirname(link), links[link], path[len(link) + 1 :]))  # noqa: PTH118, PTH120
            return None if to.startswith("/") or to.split("/")[0] == ".." else to
    return None


def on_a_branch(git: Git, paths: Sequence[str]) -> bool:
    """Whether one of `paths` is there on any local branch. Raises GitError outside of a repository."""
    branches = git.run("for-each-ref", "--format=%(refname)", "refs/heads").stdout.splitlines()
    asked = b"".join(b"%s:%s\n" % (branch, os.fsencode(path)) for branch in branches for path in paths)
    told = git.run("cat-file", "--batch-check", input=asked).stdout.splitlines()
    return any(not line.endswith(b" missing") for line in told)
