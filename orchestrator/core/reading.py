"""What a benchmark said: METRIC lines, or a private file of numbers. Reading never guesses: a doubtful line is a defect."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from orchestrator.core.value import Value

LINE_LIMIT = 64 * 1024
NAMES_LIMIT = 10_000
SAMPLES_LIMIT = 10_000
BAD_LINES_SHOWN = 20
BAD_LINE_SHOWN = 200
# Bytes on purpose: `\d` and `\s` are ASCII there, so neither Arabic digits nor `1_000`, `infinity` or hex become a number.
CANDIDATE = re.compile(rb"^METRIC[ \t].*", re.MULTILINE)
LINE = re.compile(rb"METRIC[ \t]+([^\s=]+)=([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)[ \t]*\r?")
NOT_ZERO = re.compile(r"[^eE]*[1-9]")
REFUSED_NAMES = frozenset({"__proto__", "constructor", "prototype"})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reading(Value):
    """What one benchmark printed: the last value of each name, every value (the last 10,000), and the lines that begin like
    a METRIC line and are none. `again`: names that got another value after the benchmark had ended."""

    values: Mapping[str, float] = field(default_factory=dict)
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    bad_lines: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


class MetricReader:
    """Reads METRIC lines from a whole output stream, fed in chunks of any size, in bounded memory."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[float]] = {}
        self._bad: list[str] = []
        self._tail = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of output; it may end anywhere, also inside a line."""
        searched = len(self._tail)
        self._tail += chunk
        end = self._tail.rfind(b"\n", searched)
        if end >= 0:
            self._lines(bytes(self._tail[:end]))
            del self._tail[: end + 1]
        # Longer than the limit is all that must be remembered of a line that will be refused anyway.
        del self._tail[LINE_LIMIT + 1 :]

    def so_far(self) -> Mapping[str, float]:
        """The values as they would count if the stream ended here."""
        last = _parse(bytes(self._tail))
        return {**{name: values[-1] for name, values in self._samples.items()}, **dict([last] if last else [])}

    def finish(self) -> Reading:
        """The reading, after the stream's end; a last line needs no newline."""
        self._lines(bytes(self._tail))
        self._tail.clear()
        return Reading(
            values={name: values[-1] for name, values in self._samples.items()},
            samples={name: tuple(values) for name, values in self._samples.items()},
            bad_lines=tuple(self._bad),
        )

    def _lines(self, complete: bytes) -> None:
        for match in CANDIDATE.finditer(complete):
            line = match.group()
            parsed = _parse(line)
            if parsed is None or not self._keep(*parsed):
                self._refuse(line)

    def _keep(self, name: str, value: float) -> bool:
        if name not in self._samples:
            if len(self._samples) >= NAMES_LIMIT:
                return False
            self._samples[name] = deque(maxlen=SAMPLES_LIMIT)
        self._samples[name].append(value)
        return True

    def _refuse(self, line: bytes) -> None:
        if len(self._bad) < BAD_LINES_SHOWN:
            shown = line[:BAD_LINE_SHOWN].decode(errors="replace")
            self._bad.append(shown + ("…" if len(line) > BAD_LINE_SHOWN else ""))


@lru_cache(maxsize=64)  # what prints without end prints the same a million times
def _parse(line: bytes) -> tuple[str, float] | None:
    match = LINE.fullmatch(line) if len(line) <= LINE_LIMIT else None
    if match is None:
        return None
    try:
        name = match[1].decode()
    except UnicodeDecodeError:
        return None
    value = number(match[2].decode())
    return None if name in REFUSED_NAMES or not math.isfinite(value) else (name, value)


def number(text: str) -> float:
    """The value of a decimal number; NaN where it is too small to be told from the 0 that it isn't."""
    value = float(text)
    return math.nan if value == 0 and NOT_ZERO.match(text) else value


def written(data: bytes) -> Reading:
    """The reading of a private file: METRIC lines, or one JSON object of numbers by name (also below `metrics`). Where it holds
    neither, its first line is one that should have been."""
    if not data.lstrip().startswith(b"{"):
        reader = MetricReader()
        reader.feed(data)
        found = reader.finish()
        head = data.strip().partition(b"\n")[0][:BAD_LINE_SHOWN].decode(errors="replace")
        return found if found.values or found.bad_lines or not head else replace(found, bad_lines=(head,))
    try:
        said = json.loads(data, parse_float=number)
    except (ValueError, RecursionError):
        return Reading(bad_lines=(data[:BAD_LINE_SHOWN].decode(errors="replace"),))
    said = said["metrics"] if isinstance(said.get("metrics"), dict) else said
    bad = tuple(f"{name}: {value!r}"[:BAD_LINE_SHOWN] for name, value in said.items() if not _usable(name, value))
    return Reading({name: float(value) for name, value in said.items()} if not bad else {}, bad_lines=bad[:BAD_LINES_SHOWN])


def since(own: Mapping[str, float], last: Reading) -> Reading:
    """The `last` reading of what a benchmark said, where its `own` values are those it had said when it ended. What it started
    may say more after that (a `tee` its last lines), but not something else."""
    again = tuple(name for name, value in own.items() if last.values.get(name, value) != value)
    return replace(last, values={**last.values, **own}, again=again)


def _usable(name: str, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or name in REFUSED_NAMES or not name.strip():
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
