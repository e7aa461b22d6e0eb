"""What the index of a worktree says beside its paths, read from the file, since asking git costs a process each time.

Entries that git was told to take on trust ("assume unchanged", "skip worktree"): an agent that set such a flag would hide
its edit from every commit, and from the next user of its worktree. And entries that are repositories of their own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HEADER = 12
MODE = 24
STAT = 40
GITLINK = 0o160000
ASSUME_VALID = 0x8000
EXTENDED = 0x4000
SKIP_WORKTREE = 0x4000


@dataclass(frozen=True, slots=True)
class Findings:
    """`hidden`: some entry's changes are invisible to git. `links`: the paths recorded as repositories of their own."""

    hidden: bool = False
    links: tuple[str, ...] = ()


def read(index: Path, hash_size: int) -> Findings:
    """What stands in `index`. A version 4 file, whose paths are compressed, counts as one without findings."""
    try:
        data = index.read_bytes()
    except FileNotFoundError:
        return Findings()
    if data[:4] != b"DIRC" or int.from_bytes(data[4:8], "big") not in (2, 3):
        return Findings()
    fixed = STAT + hash_size
    position, hidden, links = HEADER, False, []
    for _ in range(int.from_bytes(data[8:12], "big")):
        flags = int.from_bytes(data[position + fixed : position + fixed + 2], "big")
        name = position + fixed + 2
        hidden = hidden or bool(flags & ASSUME_VALID)
        if flags & EXTENDED:
            hidden = hidden or bool(int.from_bytes(data[name : name + 2], "big") & SKIP_WORKTREE)
            name += 2
        end = data.find(b"\0", name)
        if end < 0:
            break
        if data[position + MODE : position + MODE + 4] == GITLINK.to_bytes(4, "big"):
            links.append(os.fsdecode(data[name:end]))
        position += (end - position + 8) & ~7
    return Findings(hidden, tuple(links))
