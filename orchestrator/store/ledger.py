"""What the records of all tasks tell together: which accounts refuse work, and what was used within a day. Read when asked,
kept nowhere; whoever asks often keeps the object, which reads again only what may have changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from orchestrator.core import accounts, attention, budget
from orchestrator.core.budget import Budget
from orchestrator.core.record import Pause, Record
from orchestrator.core.task import Place, State
from orchestrator.store import records
from orchestrator.store.queue import Queue

Key = tuple[int, int] | None
Told = Iterable[tuple[State, Record]]


class Ledger:
    """Records of tasks by where they lie, read again when the file has changed; in blocked and converged nothing changes but
    whether an account still refuses work, what became of a pull request, and whether it was undone, for which one has to ask
    `again`."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._known: dict[Place, tuple[Key, Record | None]] = {}

    def records(self, places: Iterable[Place], *, again: bool = False) -> Iterator[tuple[State, Record]]:
        """The record of each of these tasks that has one. `again`: look at each file, wherever it lies."""
        for place in places:
            if (record := self._record(place, again)) is not None:
                yield place.state, record

    def forget(self, places: Iterable[Place]) -> None:
        """These are not there any more."""
        for place in places:
            self._known.pop(place, None)

    def _record(self, place: Place, again: bool) -> Record | None:
        known = self._known.get(place)
        if known is not None and not again and _settled(place, known[1]):
            return known[1]
        folder = self._queue.path(place)
        key = _key(f"{folder}/{records.FILE}")
        if known is None or known[0] != key:
            known = self._known[place] = (key, records.peek(folder) if key else None)
        return known[1]


def _settled(place: Place, record: Record | None) -> bool:
    """Whether the record of a task that lies there changes no more, unless a person does something about it."""
    ended = place.state in {State.BLOCKED, State.CONVERGED}
    return ended and not (record and record.pauses) and not attention.attended(record, place)


def paused(told: Told, now: float) -> dict[str, Pause]:
    """The accounts that refuse work now, as these records know."""
    return accounts.paused(pause for state, record in told for pause in accounts.pauses(record, state, now))


def used_today(told: Told, now: float) -> Budget:
    """What these tasks used in the last 24 hours."""
    return budget.in_a_day((record for _, record in told), now)


def _key(path: str) -> Key:
    try:
        status = os.stat(path)  # noqa: PTH116 - of many tasks, at each look
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns)
