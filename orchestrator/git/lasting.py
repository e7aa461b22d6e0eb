"""What a power cut must not take: commits and refs that a record is about to name.

What our own git writes is synced as it is written (`core.fsync` in `command.OPTIONS`). Git's default leaves loose objects and
refs to the kernel: after a cut they may be empty files, on which every command fails. An agent's git does as its user wants.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from orchestrator.git import refs
from orchestrator.git.repository import Repository
from orchestrator.store import durable


def secure(repo: Repository, commits: Iterable[str], known: Iterable[str], names: Iterable[str] = ()) -> None:
    """Make sure of whatever these commits have and the `known` ones don't, and of the refs called `names`."""
    asked = ("rev-list", "--objects", "--no-object-names", "--missing=allow-any", *commits, "--not", *known)
    objects = repo.git.run(*asked).stdout.decode().split()
    for path in (*(repo.common / "objects" / name[:2] / name[2:] for name in objects), *(repo.common / name for name in names)):
        with suppress(FileNotFoundError):  # packed, which git syncs by default
            durable.sync_file(path)


def settle(repo: Repository, name: str) -> None:
    """Make sure that the ref `name` is where git has just moved it: git syncs the file, and not its name."""
    if refs.files(repo.common):
        durable.sync((repo.common / refs.real(repo.common, name)).parent)
