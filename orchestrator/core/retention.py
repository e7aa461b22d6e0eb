"""Which tasks' old evidence may go: those that are through and whose work is where it was to go, after a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.core.pull import PullState
from orchestrator.core.record import Landed, Record
from orchestrator.core.task import State


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


def remains(record: Record) -> dict[str, Any]:
    """What stays known of a converged task whose folder goes: by it alone its refs can be told from another's, and let go."""
    facts = {name: getattr(record, name) for name in ("id", "slug", "repo", "base", "branch", "updated")}
    return {**facts, "landed": asdict(record.landed) if record.landed else None}


def remembered(data: Mapping[str, Any]) -> Record | None:
    """The record in `remains`, as much of it as there is; None where there is none."""
    try:
        facts = {name: data[name] for name in ("id", "name", "slug", "repo", "base", "branch", "updated")}
        return Record(**facts, inode=0, landed=Landed(**data["landed"]) if data["landed"] else None)
    except (KeyError, TypeError):
        return None
