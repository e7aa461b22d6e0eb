"""Folders that are still to be read. A queue that nobody has read yet (5,000 specs take seconds) is read in slices, so that the
first tasks start while the rest is read.

What is claimed meanwhile must be what would be claimed with everything read, or a low task could hold a slot for hours. So the
folders are put into the order of claiming by a glance at each file, a hundredth of the cost of parsing it, and parsed in that
order. A glance can be wrong (a priority written in a way that it doesn't see): such a task is overtaken, and only for as long as
the reading takes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

SLICE = 0.01  # seconds of reading in one tick: a slot that has become free waits for the rest of it
Clock = Callable[[], float]
Glance = Callable[[str], tuple[float, float, str]]


class Backlog:
    """`glance` says where a folder will probably come, as `selection.order_key` does."""

    def __init__(self, glance: Glance, clock: Clock = time.monotonic) -> None:
        self._glance = glance
        self._clock = clock
        self._new: set[str] = set()
        self._line: list[tuple[tuple[float, float, str], str]] = []  # what glances told of folders, the next one last
        self._known: set[str] = set()  # what is in either

    def __len__(self) -> int:
        return len(self._known)

    def add(self, folders: Iterable[str]) -> None:
        """These are to be read, again where they are waiting for that already."""
        fresh = set(folders) - self._known
        self._new |= fresh
        self._known |= fresh

    def drop(self, folder: str) -> None:
        """It was read, or went away."""
        self._known.discard(folder)

    def take(self) -> Iterator[str]:
        """What to read now: those that are next, for a slice of time; one at least."""
        if len(self._new) == 1 and not self._line:  # as it mostly is
            yield from self._still(self._new.pop())
        if self._new:
            self._line = sorted([*self._line, *((self._glance(folder), folder) for folder in self._new)], reverse=True)
            self._new.clear()
        until = self._clock() + SLICE
        while self._line:
            yield from self._still(self._line.pop()[1])
            if self._clock() >= until:
                break

    def _still(self, folder: str) -> Iterator[str]:
        if folder in self._known:
            self._known.discard(folder)
            yield folder
