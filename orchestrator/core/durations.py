"""Lengths of time as people write them: `90s`, `15m`, `2h`, `250ms`, `1h30m`, or a bare number."""

from __future__ import annotations

import math
import re
from typing import Literal

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
NUMBER = r"(?:\d+(?:\.\d+)?|\.\d+)"
BARE = re.compile(NUMBER, re.ASCII)
PART = re.compile(rf"({NUMBER})[ \t]*(ms|s|m|h|d)[ \t]*", re.ASCII)
WHOLE = re.compile(rf"(?:{PART.pattern})+", re.ASCII)
# The same for whoever can only be told a pattern; anything but zeros is above 0.
PATTERN = rf"^\s*(?=.*[1-9])(?:{NUMBER}|(?:{NUMBER}[ \t]*(?:[mM]?[sS]|[mMhHdD])[ \t]*)+)\s*$"
CLOCK = re.compile(r"(\d+):([0-5]\d)", re.ASCII)
LONGEST = 64
FORMS = '"90s", "15m", "2h" or "250ms"'  # as they are proposed to people


def seconds(text: str | int | float, *, bare: Literal["s", "ms"] = "s") -> float:
    """`text` in seconds; a number without a unit is in `bare`. Raises ValueError that says how to write it."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return _finite(text, UNITS[bare], text)
    plain = text.strip().lower() if isinstance(text, str) else ""
    if len(plain) <= LONGEST and BARE.fullmatch(plain):
        return _finite(float(plain), UNITS[bare], text)
    if len(plain) <= LONGEST and WHOLE.fullmatch(plain):
        return math.fsum(float(number) * UNITS[unit] for number, unit in PART.findall(plain))
    raise ValueError(_refusal(text))


def text(length: float) -> str:
    """`length` seconds for people, with at most two units: `250 ms`, `4 s`, `1 min 30 s`, `2 h 5 min`, `3 d 4 h`."""
    if length < 0.9995:
        return f"{max(0, round(length * 1000))} ms"
    whole = round(length)
    for name, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{length:.1f}".removesuffix(".0") + " s"


def _finite(number: float, unit: float, shown: object) -> float:
    try:
        length = number * unit
    except OverflowError:
        length = math.inf
    if not 0 <= length < math.inf:
        raise ValueError(_refusal(shown))
    return length


def _refusal(found: object) -> str:
    """YAML 1.1 reads an unquoted `1:30` as a number in base 60, so the minutes and seconds meant are written out."""
    if isinstance(found, str) and (match := CLOCK.fullmatch(found.strip())):
        minutes, rest = int(match[1][:9]), int(match[2])
        return f'{found!r} is no duration; for {minutes} min {rest} s write "{minutes}m{rest}s"'
    shown = repr(found) if len(repr(found)) <= LONGEST else repr(found)[:LONGEST] + "…"
    return f"{shown} is no duration; write it like {FORMS}"
