"""Index entries that git was told to take on trust ("assume unchanged", "skip worktree"): their changes are invisible to it.

An agent that set one would hide its edit from every commit, and from the next user of its worktree. Git itself would
have to be asked with a process of its own each time, so the flags are read from the file.
"""

from __future__ import annotations

from pathlib import Path

HEADER = 12
STAT = 40
ASSUME_VALID = 0x8000
EXTENDED = 0x4000
SKIP_WORKTREE = 0x4000


def hides_changes(index: Path, hash_size: int) -> bool:
    """Whether an entry of the index carries such a flag. Version 4, whose entries are compressed, counts as if it did not."""
    try:
        data = index.read_bytes()
    except FileNotFoundError:
        return False
    version = int.from_bytes(data[4:8], "big")
    if data[:4] != b"DIRC" or version not in (2, 3):
        return False
    fixed = STAT + hash_size
    position = HEADER
    for _ in range(int.from_bytes(data[8:12], "big")):
        flags = int.from_bytes(data[position + fixed : position + fixed + 2], "big")
        name = position + fixed + 2
        if flags & EXTENDED:
            if int.from_bytes(data[name : name + 2], "big") & SKIP_WORKTREE:
                return True
            name += 2
        if flags & ASSUME_VALID:
            return True
        end = data.find(b"\0", name)
        if end < 0:
            return False
        position += (end - position + 8) & ~7
    return False
