"""A pull request as a task's record knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class PullState(StrEnum):
    OPEN = "open"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Pull:
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
