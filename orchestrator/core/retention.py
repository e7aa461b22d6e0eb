"""Which tasks' old evidence may go: those that are through and whose work is where it was to go, after a time."""

from __future__ import annotations

from orchestrator.core.pull import PullState
from orchestrator.core.record import Record
from orchestrator.core.task import State

MONTH = 30 * 86400.0


def why_kept(state: State, record: Record | None, now: float, age: float) -> str | None:
    """Why refs and logs of this task stay, in words; None where they may go. Whatever is unknown stays."""
    if record is None:
        return "its record can't be read"
    if state is not State.CONVERGED:
        return f"it is {state}"
    landed = record.landed
    if landed is None or record.intent is not None:
        return "nothing says that its work has landed"
    if landed.undone:
        return "it was undone"
    if landed.how == "pr" and landed.state != PullState.MERGED:
        return "its work waits in a pull request"
    if now - record.updated < age:
        return "it ended too short a time ago"
    return None
