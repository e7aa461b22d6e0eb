"""Whether a converged task's pull request still needs to be looked at, and whether its work is on the base. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.outcome import Reason
from orchestrator.core.pull import PullState, Turn
from orchestrator.core.record import Record, foreign
from orchestrator.core.task import Place
from orchestrator.core.value import Value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class OffBase(Value):
    """Why a converged task's work isn't on its base, as the end of a sentence. `undone`: it doesn't come back by itself."""

    why: str
    undone: bool = False


def attended(record: Record | None, place: Place) -> bool:
    """Whether the converged task at `place` has anything to look at. A copy's record tells of another task."""
    if record is None or record.pull is None or foreign(record, place):
        return False
    return unfinished(record) is not None or (record.landed is not None and record.landed.state == PullState.OPEN)


def off_base(record: Record | None, place: Place) -> OffBase | None:
    """Why the work of the converged task at `place` isn't on its base; None where it is, or was never meant to be. A copy's
    record tells of another task."""
    if record is None or foreign(record, place):
        return None
    if record.pull is not None and attended(record, place):
        return OffBase(f"is not on its base yet: its pull request {record.pull.url} has to be merged")
    undone = record.landed.undone if record.landed else None
    return OffBase(f"is not on its base any more: it was undone by {undone[:10]}", undone=True) if undone else None


def unfinished(record: Record) -> Turn | None:
    """What the record of a task that still lies in converged says was to be done next: whoever wrote it was killed."""
    if record.demand is not None:
        return Turn.ANSWER
    return Turn.CLOSED if record.reason is Reason.CLOSED else None
