"""How long a loop goes on. Apart from what a loop is made of, so that the command line knows it without all of that."""

from __future__ import annotations

from enum import StrEnum


class Mode(StrEnum):
    """When a loop is over."""

    DRAIN = "drain"  # once nothing more can be done
    LOOP = "loop"  # when it is told to stop
    ONCE = "once"  # after one task, one attempt
    TASK = "task"  # after one named task, now


ERRANDS = frozenset({Mode.ONCE, Mode.TASK})
