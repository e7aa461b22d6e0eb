"""How a program of the task's ended, be it its benchmark or a gate, what it printed, and that in words."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.agents.log import readable
from orchestrator.core.gates import Mode
from orchestrator.core.outcome import ProcessEnd
from orchestrator.core.record import Channel
from orchestrator.core.value import Value
from orchestrator.proc.command import Finished, Limits, Pump

OUTPUT = 16 * 1024 * 1024  # a benchmark that prints more is defective
FULL = 1024 * 1024  # kept of the output, its end
TAIL = 4000  # characters shown to people and to the next prompt
LAST_WORD = 200  # characters of a failed benchmark's last line that are shown with its end
SHELL = {126: "a command that can't be executed", 127: "a command was not found"}
VERSION = re.compile(r"Node\.js v\d")
DIED = 128  # and from here on: a command that was ended by a signal, whose number is added


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Conditions(Value):
    """What a program of the task's runs under: its folder, its whole environment, its limits. While it runs `pump` is asked
    whether it is to be stopped; below `scratch` lies what it must not find in its folder."""

    worktree: Path
    env: Mapping[str, str]
    limits: Limits
    pump: Pump
    scratch: Path


class Execution(Value):
    """How a program of the task's ended: what a sample and a gate's verdict have in common."""

    __slots__ = ()
    end: ProcessEnd
    code: int | None

    @property
    def died(self) -> bool:
        """Whether a signal ended it, and none of ours: want of memory, mostly, which says nothing of the work. Or a shell says so
        of the command it ran and was killed under it."""
        return self.end is ProcessEnd.SIGNALLED or (self.end is ProcessEnd.EXITED and self.code == DIED + signal.SIGKILL)

    @property
    def cut(self) -> bool:
        """Whether it came to no end of its own: the same may go well the next time."""
        return self.died or self.end is ProcessEnd.TIMED_OUT


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Sample(Execution):
    """One execution of the benchmark. `defect` None: it ended well and said all that was asked; only then `values` count."""

    values: Mapping[str, float]
    end: ProcessEnd
    code: int | None
    seconds: float
    defect: str | None = None
    output: str = ""
    full: bytes = b""
    private: Channel | None = None  # how the numbers came, where they weren't printed


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Verdict(Execution):
    """A gate's answer. `reason` says in a sentence why it is no, `places` where to look (`file:line: …`, names of tests), `mode`
    what a no means. `full` is what its command printed, for whoever reads more out of it."""

    name: str
    ok: bool
    reason: str
    output: str = ""
    end: ProcessEnd = ProcessEnd.EXITED
    mode: Mode = Mode.BLOCK
    places: tuple[str, ...] = ()
    code: int | None = None
    full: bytes = b""

    @property
    def blocks(self) -> bool:
        """Whether the work can't land because of it."""
        return not self.ok and self.mode is Mode.BLOCK


@dataclass(slots=True)
class Output:
    """The end of what a process printed, both streams in the order they came; the beginning is dropped, bounded by `most`."""

    data: bytearray = field(default_factory=bytearray)
    most: int = FULL

    def add(self, data: bytes) -> None:
        self.data += data
        if len(self.data) > 2 * self.most:
            del self.data[: -self.most]

    def full(self) -> bytes:
        return bytes(self.data[-self.most :])

    def tail(self) -> str:
        """Its last part as text, beginning at a line's start."""
        text = readable(bytes(self.data[-4 * TAIL :]).decode(errors="replace")).rstrip()
        if len(text) <= TAIL and len(self.data) <= 4 * TAIL:
            return text
        cut = text[-TAIL:]
        return f"[…]\n{cut.partition(chr(10))[2] or cut}"


def capped(limits: Limits) -> Limits:
    """With an end of what may be printed, where none is asked for."""
    return limits if limits.output is not None else replace(limits, output=OUTPUT)


def failure(who: str, finished: Finished, limits: Limits, allowed: str) -> str | None:
    """Why an execution counts as failed, None where it ended by itself with exit code 0. `allowed`: the key of its time."""
    match finished.end:
        case ProcessEnd.EXITED:
            return f"{who} ended with exit code {finished.code}{_in_shell(finished.code)}." if finished.code else None
        case ProcessEnd.SIGNALLED:
            return f"{who} was ended by {_signal(finished.signal)}."
        case ProcessEnd.TIMED_OUT:
            return f"{who} did not end within {limits.seconds:g} s (`{allowed}`)."
        case ProcessEnd.STALLED:
            return f"{who} printed nothing for {limits.idle:g} s."
        case ProcessEnd.OUTPUT_LIMIT:
            return f"{who} printed more than {(capped(limits).output or OUTPUT) // 1024 // 1024} MiB and was ended."
        case ProcessEnd.NOT_STARTED:
            return f"{who} could not be started: {finished.detail}"
    return f"{who} was stopped."


def last_word(tail: str) -> str:
    """What it printed last: most programs say there why they fail, Node above its stack and its version."""
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    if lines and VERSION.match(lines[-1]):
        lines = [line for line in lines if "Error" in line and not line.startswith("at ")] or lines[:-1]
    line = lines[-1] if lines else ""
    return f" It printed last: {line[:LAST_WORD]}" if line else ""


def _in_shell(code: int) -> str:
    """What a shell means by this exit code, where it means anything."""
    words = f"ended by {_signal(code - DIED)}" if code - DIED in signal.valid_signals() else SHELL.get(code)
    return f" ({words})" if words else ""


def _signal(number: int | None) -> str:
    try:
        return signal.Signals(number or 0).name + (" (out of memory?)" if number == signal.SIGKILL else "")
    except ValueError:
        return f"signal {number}"
