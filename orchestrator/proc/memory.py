"""Memory that a fork shares until somebody writes to it."""

from __future__ import annotations

import ctypes
from pathlib import Path

POPULATE_WRITE = 23  # madvise(2), Linux 5.14 and newer; older ones refuse it, and pages are copied one by one as they always were
MAPS = Path("/proc/self/maps")


def make_own() -> None:
    """Have what this process shares with its parent copied now and at once. A page that is copied when it is first written to
    costs an exception of the processor each, several times the copy."""
    try:
        maps = MAPS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it costs time, and nothing else
        return
    advise = ctypes.CDLL(None).madvise
    for line in maps.splitlines():
        place, rights, *_ = line.split(maxsplit=2)
        if rights == "rw-p":
            begin, end = (int(number, 16) for number in place.split("-"))
            advise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), POPULATE_WRITE)
