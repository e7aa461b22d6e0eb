"""What a supervised program is: what to start, what it may use up, how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.outcome import ProcessEnd, StopRequest
from orchestrator.core.value import Value

Sink = Callable[[bytes], None]
Pump = Callable[[], StopRequest | None]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Command(Value):
    """What to start, where, with exactly which environment. `stdin` None is /dev/null. `tty` gives it a terminal, where
    None types nothing."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    stdin: bytes | None = None
    tty: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Aside(Value):
    """One more pipe that a program may write to, beside its output: its number stands in the variable `variable`."""

    variable: str
    sink: Sink


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Limits(Value):
    """When to end it: `seconds` in all, `idle` seconds without output, `output` bytes. None is no limit. `grace` lies
    between TERM and KILL."""

    seconds: float | None = None
    idle: float | None = None
    output: int | None = None
    grace: float = 2.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Finished(Value):
    """How it ended. `code` or `signal` is how the program itself did, where that is known; `detail` is for people;
    `request` is the stop request that was followed; `strays` counts what the program left behind, ended by us."""

    end: ProcessEnd
    code: int | None
    signal: int | None
    seconds: float
    detail: str
    request: StopRequest | None = None
    strays: int = 0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Keyboard(Value):
    """The other side of a program's terminal: `type` sends keys, `awaited` says whether something is blocked reading them."""

    type: Callable[[bytes], None]
    awaited: Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Child(Value):
    """A started program: who reads what of it, what goes to its stdin, and how to reap it once it has ended."""

    pid: int
    reads: Mapping[int, Sink]
    feed: tuple[int, bytes] | None
    reap: Callable[[], None]
    keyboard: Keyboard | None = None
