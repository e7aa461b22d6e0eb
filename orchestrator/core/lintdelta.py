"""Which of a linter's findings are new: by what they say and the line they say it of, never by where that line stands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.core.value import Value

# `file:line[:col]: message` (ruff, mypy, gcc, eslint's unix format), eslint's compact format, tsc, ruff's default.
LINES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?P<path>[^\s:][^:]*):(?P<line>\d+)(?::\d+)?:?\s+(?P<message>\S.*)",
        r"(?P<path>\S.*?): line (?P<line>\d+), col \d+, (?P<message>\S.*)",
        r"(?P<path>\S[^(]*)\((?P<line>\d+)(?:,\d+)?\): (?P<message>\S.*)",
    )
)
BELOW = re.compile(r"\s+--> (?P<path>[^\s:][^:]*):(?P<line>\d+)(?::\d+)?")  # its message is on the line before
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Finding(Value):
    """`text` is the line of source it is about, where that could be read."""

    path: str
    line: int
    message: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"

    @property
    def says(self) -> tuple[str, str]:
        """What makes two findings the same wherever they stand: numbers in a message (`defined in line 12`) move along."""
        return NUMBER.sub("#", self.message), self.text.strip()


def read(output: str, top: str) -> tuple[Finding, ...]:
    """The findings in what a linter printed in the folder `top`, each once."""
    return tuple(dict.fromkeys(_findings(output.splitlines(), f"{top.rstrip('/')}/")))


def _findings(lines: Sequence[str], top: str) -> Iterator[Finding]:
    before = ""
    for line in lines:
        if match := BELOW.fullmatch(line.rstrip()):
            yield _finding(match, before.strip(), top)
        elif match := next((found for pattern in LINES if (found := pattern.fullmatch(line.rstrip()))), None):
            yield _finding(match, match["message"], top)
        before = line


def _finding(match: re.Match[str], message: str, top: str) -> Finding:
    return Finding(match["path"].removeprefix(top).removeprefix("./"), int(match["line"]), message)


def new(before: Iterable[Finding], now: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those of `now` that `before` doesn't account for, one for one: first in the same file, then wherever the line came from."""
    here = Counter((each.path, each.says) for each in before)
    left = []
    for finding in now:
        if not _taken(here, (finding.path, finding.says)):
            left.append(finding)
    anywhere: Counter[object] = Counter(says for (_, says), number in here.items() for _ in range(number))
    return tuple(finding for finding in left if not _taken(anywhere, finding.says))


def _taken(known: Counter[Any], key: object) -> bool:
    """Whether one of that kind is left; it is used up by this."""
    if known[key] < 1:
        return False
    known[key] -= 1
    return True
