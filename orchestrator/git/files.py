"""Files as they are at a commit, without a checkout."""

from __future__ import annotations

import os
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


def on_a_branch(git: Git, paths: Sequence[str]) -> bool:
    """Whether one of `paths` is there on any local branch. Raises GitError outside of a repository."""
    branches = git.run("for-each-ref", "--format=%(refname)", "refs/heads").stdout.splitlines()
    asked = b"".join(b"%s:%s\n" % (branch, os.fsencode(path)) for branch in branches for path in paths)
    told = git.run("cat-file", "--batch-check", input=asked).stdout.splitlines()
    return any(not line.endswith(b" missing") for line in told)
