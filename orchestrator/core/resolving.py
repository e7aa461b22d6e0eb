"""A conflict between verified work and newer commits on its base, while agents resolve it; and git's marks of one in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from orchestrator.core.value import Value

TRIES = 2  # attempts to resolve one conflict; then a person decides
SHOWN = 10  # files named in a line
MARKER = re.compile(rb"^(?:<{7,}|\|{7,}|>{7,})(?: .*)?$|^={7}$", re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Resolving(Value):
    """Verified work, `tip`, conflicts with `base` in `files`. Attempts after number `after` work on `commit`: both of them
    merged, with git's markers. `began` is where the work began before that, for whoever gives the resolution up."""

    commit: str
    base: str
    tip: str
    began: str
    files: tuple[str, ...]
    after: int

    def tries(self, numbers: Iterable[int]) -> int:
        """How many of the attempts with these numbers were made at it."""
        return sum(number > self.after for number in numbers)

    @property
    def named(self) -> str:
        """Its files in words."""
        more = len(self.files) - SHOWN
        return ", ".join(self.files[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def marks_left(text: bytes, *sides: bytes) -> bool:
    """Whether a marker's line is in `text` that neither side of the conflict has: some files hold such lines for good reasons."""
    return bool(_marks(text).difference(*map(_marks, sides)))


def _marks(text: bytes) -> set[bytes]:
    return set(MARKER.findall(text.replace(b"\r\n", b"\n")))
