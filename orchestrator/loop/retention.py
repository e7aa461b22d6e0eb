"""Converged tasks don't pile up: beyond `keep_converged` the oldest are removed, their names remembered."""

from __future__ import annotations

import os

from orchestrator.core import attention, budget
from orchestrator.core.budget import Budget
from orchestrator.core.settings import Settings
from orchestrator.core.task import Place, State
from orchestrator.loop.index import Index
from orchestrator.store import durable, records
from orchestrator.store.queue import Queue


def prune(queue: Queue, index: Index, settings: Settings, now: float) -> tuple[str, ...]:
    """Of the converged tasks that may go, remove the oldest beyond `keep_converged` (0 keeps all); their names. One that another
    task depends on may not, nor for a day what a day's budget counts: what must stay pushes nothing else out.

    The name is remembered before the folder goes: a crash in between leaves a converged task, never a forgotten one.
    """
    converged = index.names.places(State.CONVERGED)
    if settings.keep_converged <= 0 or len(converged) <= settings.keep_converged:
        return ()
    needed = index.parents()
    counted = now - budget.DAY if budget.of_a_day(settings) != Budget() else float("inf")
    oldest = sorted(converged.values(), key=lambda place: _arrival(queue, place))
    removable = [place for place in oldest if place.name not in needed and not _kept(queue, place, counted)]
    removed = removable[: -settings.keep_converged]
    return tuple(place.name for place in removed if _remove(queue, place))


def _remove(queue: Queue, place: Place) -> bool:
    """Whether it was removed here: another loop does the same."""
    record = records.peek(queue.path(place))
    if not os.path.lexists(queue.path(place)):
        return False
    if not queue.removed.knows(place.name, record):
        queue.removed.add(place.name, record)
    try:
        queue.discard(place)
    except durable.Gone:
        return False
    return True


def _kept(queue: Queue, place: Place, counted: float) -> bool:
    """Whether its work isn't on its base, which a remembered name would not tell its children, only it tells how to finish an
    undo that was cut short, or what it used since `counted` (epoch) is to be known still."""
    record = records.peek(queue.path(place))
    if record is None:
        return False
    return attention.off_base(record, place) is not None or record.intent is not None or record.updated > counted


def _arrival(queue: Queue, place: Place) -> float:
    """When the folder came to where it is: a rename sets its ctime."""
    try:
        return queue.path(place).stat().st_ctime
    except OSError:
        return 0.0
