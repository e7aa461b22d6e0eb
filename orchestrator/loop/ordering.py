"""The pending tasks in the order in which they are tried."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.core.candidate import Candidate

MANY = 100  # changes at once, from which on sorting anew is quicker than inserting


@dataclass(slots=True, eq=False)
class Entry:
    """A pending task as last read, `at` that monotonic time, and what its files looked like then. `parent`: one it was last seen
    waiting for."""

    candidate: Candidate
    key: object
    order: tuple[int, float, str]
    at: float
    parent: str | None = None


class Ordering:
    """What is added and dropped takes effect at the next `arrange`, all at once."""

    def __init__(self) -> None:
        self._sorted: list[Entry] = []
        self._added: dict[Entry, None] = {}
        self._dropped: dict[Entry, None] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._sorted)

    def add(self, entry: Entry) -> None:
        self._added[entry] = None

    def drop(self, entry: Entry) -> None:
        if entry in self._added:
            del self._added[entry]
        else:
            self._dropped[entry] = None

    def arrange(self) -> bool:
        """Bring the order up to date; whether anything has changed."""
        changes = len(self._added) + len(self._dropped)
        if changes > MANY:
            left = (entry for entry in self._sorted if entry not in self._dropped)
            self._sorted = sorted((*left, *self._added), key=_order)
        else:
            for entry in self._dropped:
                self._take_out(entry)
            for entry in self._added:
                insort(self._sorted, entry, key=_order)
        self._added.clear()
        self._dropped.clear()
        return changes > 0

    def _take_out(self, entry: Entry) -> None:
        at = bisect_left(self._sorted, entry.order, key=_order)
        del self._sorted[self._sorted.index(entry, at)]


def _order(entry: Entry) -> tuple[int, float, str]:
    return entry.order
