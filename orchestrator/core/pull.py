"""A pull request as a task's record knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.core.value import Value


class PullState(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


class Turn(StrEnum):
    """What a look at a pull request asks for."""

    WAIT = "wait"
    MERGED = "merged"
    CLOSED = "closed"  # without having been merged: a person must say what now
    ANSWER = "answer"  # an attempt has to answer the remarks
    ENOUGH = "enough"  # too many rounds: a person must


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pull(Value):
    """A task's pull request. `head` is the commit that was pushed last, `answered` what of its remarks an attempt was given."""

    tracker: str
    remote: str
    number: int
    url: str
    head: str
    answered: tuple[str, ...] = ()
    rounds: int = 0


def from_dict(data: Mapping[str, Any]) -> Pull:
    """The pull request that a record holds. Raises TypeError where it is none."""
    return Pull(**{**data, "answered": tuple(data.get("answered") or ())})
