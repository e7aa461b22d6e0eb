"""What the index of a worktree says beside its paths, read from the file, since asking git costs a process each time.

Entries that git was told to take on trust ("assume unchanged", "skip worktree"): an agent that set such a flag would hide
its edit from every commit, and from the next user of its worktree. And entries that are repositories of their own.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value

HEADER = 12
MODE = 24
STAT = 40
GITLINK = 0o160000
ASSUME_VALID = 0x8000
EXTENDED = 0x4000
SKIP_WORKTREE = 0x4000
STAGE = 0x3000  # which side of a merge that isn't decided an entry is; 0: there is nothing to be decided
COMPRESSED = 4  # the version in which a path is told by how it differs from the one before
SPLIT = b"link"  # the extension that names the other file
LENGTH = 0x0FFF  # of the path; a longer one ends where its NUL is


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Findings(Value):
    """`hidden`: some entry's changes are invisible to git. `links`: the paths recorded as repositories of their own. `entries`:
    how many there are. `unmerged`: of some path several sides are recorded."""

    hidden: bool = False
    links: tuple[str, ...] = ()
    entries: int = 0
    unmerged: bool = False


def read(index: Path, hash_size: int, most: int | None = None) -> Findings:
    """What stands in `index`; of one with more than `most` entries only how many. One that is split over two files counts as
    hiding something: git has to be asked."""
    try:
        data = index.read_bytes()
    except FileNotFoundError:
        return Findings()
    version = int.from_bytes(data[4:8], "big")
    if data[:4] != b"DIRC" or version not in (2, 3, COMPRESSED):
        return Findings()
    entries = int.from_bytes(data[8:12], "big")
    if most is not None and entries > most:
        return Findings(entries=entries)
    layout = struct.Struct(f">{MODE}xI{STAT - MODE - 4 + hash_size}xH")  # one call per entry: there may be a hundred thousand
    position, hidden, unmerged, links, path = HEADER, False, False, [], b""
    try:
        for _ in range(entries):
            mode, flags = layout.unpack_from(data, position)
            name = position + layout.size
            if flags & (ASSUME_VALID | EXTENDED | STAGE):
                hidden = hidden or bool(flags & ASSUME_VALID)
                unmerged = unmerged or bool(flags & STAGE)
                if flags & EXTENDED:
                    hidden = hidden or bool(int.from_bytes(data[name : name + 2], "big") & SKIP_WORKTREE)
                    name += 2
            if version == COMPRESSED:
                dropped, name = _number(data, name)
                end = data.index(b"\0", name)
                path = path[: len(path) - dropped] + data[name:end]
                position = end + 1
            else:
                length = flags & LENGTH
                end = name + length if length < LENGTH else data.index(b"\0", name)
                path = data[name:end] if mode == GITLINK else b""
                position += (end - position + 8) & ~7
            if mode == GITLINK:
                links.append(os.fsdecode(path))
    except (struct.error, ValueError, IndexError):  # cut off: git itself will say so
        pass
    return Findings(hidden or data[position : position + len(SPLIT)] == SPLIT, tuple(links), entries, unmerged)


def links(index: Path, hash_size: int) -> tuple[str, ...]:
    """The paths recorded as repositories of their own. Mostly there is none, which the bytes say at one look."""
    try:
        some = struct.pack(">I", GITLINK) in index.read_bytes()
    except FileNotFoundError:
        return ()
    return read(index, hash_size).links if some else ()


def _number(data: bytes, position: int) -> tuple[int, int]:
    """A number of git's, seven bits in a byte, and where it ends: how much of the path before this one is dropped."""
    byte = data[position]
    value = byte & 0x7F
    while byte & 0x80:
        position += 1
        byte = data[position]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, position + 1
