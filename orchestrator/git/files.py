"""Files as they are at a commit, without a checkout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.value import Value
from orchestrator.git.command import Git

EXECUTABLE = "100755"
REGULAR = frozenset({"100644", EXECUTABLE})


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
