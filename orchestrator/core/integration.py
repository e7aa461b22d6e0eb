"""A base that was looked at after landings: the fact that one of its commits is red, and which one made it so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote

from orchestrator.core.value import Value

GATE = "integration"  # what its command is called in words and events


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Red(Value):
    """The command said no at `commit` of `base`, in the checkout `repo` whose git folder is `common`. `green`: where it had said
    yes last, None for never. `culprit` is the first commit since then at which it says no, and `tasks` what that landed; without
    one `doubt` says why nobody can be named. `at`: epoch seconds."""

    repo: str
    common: str
    base: str
    commit: str
    green: str | None
    reason: str
    output: str = ""
    culprit: str | None = None
    tasks: tuple[str, ...] = ()
    doubt: str = ""
    at: float = 0.0

    @property
    def told(self) -> str:
        """In a line: what is wrong, and since when."""
        whom = f"task {', '.join(self.tasks)}, " if self.tasks else ""
        since = f"since {whom}commit {self.culprit[:10]}" if self.culprit else self.doubt
        return f"{self.base} is red at {self.commit[:10]}, {since}: {self.reason.rstrip('.')}"

    @property
    def next(self) -> str:
        """What a person can do about it."""
        if self.tasks:
            one = f"`orchestrator undo {quote(self.tasks[-1])}` takes it back"
            return f"{one}." if len(self.tasks) == 1 else f"{one}, if it was that one: they landed together."
        if self.culprit:
            return f"See `git show {self.culprit[:10]}`; mend or revert it."
        return "Run the command by hand in a checkout of it."


def first_red(count: int, red: Callable[[int], bool]) -> int:
    """Which of `count` commits in a row is the first red one, where the last one is and what came before all of them isn't. It is
    asked about as few as can be."""
    green, last = -1, count - 1
    while last - green > 1:
        middle = (green + last) // 2
        green, last = (green, middle) if red(middle) else (middle, last)
    return last
