"""Whether a converged task's pull request still needs to be looked at. Pure."""

from __future__ import annotations

from orchestrator.core.outcome import Reason
from orchestrator.core.pull import PullState, Turn
from orchestrator.core.record import Record


def attended(record: Record | None, name: str) -> bool:
    """Whether the converged task called `name` has anything to look at. A copy's record tells of another task."""
    if record is None or record.pull is None or record.name != name:
        return False
    return unfinished(record) is not None or (record.landed is not None and record.landed.state == PullState.OPEN)


def open_pull(record: Record | None, name: str) -> str:
    """The address of the pull request that a converged task's work waits in; empty where it waits in none."""
    return record.pull.url if record is not None and record.pull is not None and attended(record, name) else ""


def unfinished(record: Record) -> Turn | None:
    """What the record of a task that still lies in converged says was to be done next: whoever wrote it was killed."""
    if record.demand is not None:
        return Turn.ANSWER
    return Turn.CLOSED if record.reason is Reason.CLOSED else None
