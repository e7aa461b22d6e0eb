"""Whether a disk has room. On one that is full nothing can be written down, so whoever looks asks the disk itself."""

from __future__ import annotations

import os
from contextlib import suppress

ROOM = 1 << 20  # bytes: a disk with less of them free is full


def is_full(place: str) -> bool:
    """Whether there is no room at `place`, as far as that can be told: some file systems tell no size at all."""
    with suppress(OSError):
        facts = os.statvfs(place)
        return bool(facts.f_blocks) and facts.f_bavail * facts.f_frsize < ROOM
    return False
