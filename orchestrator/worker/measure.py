"""Measuring: one execution of the sealed evaluator, and what it said.

Each execution gets a private copy of the sealed files, as they were sealed, and runs in the worktree; whatever goes wrong with it
is a defect in words, never an exception and never a number (`measuring` §1).
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.agents.log import readable
from orchestrator.core import metrics
from orchestrator.core.gates import Mode
from orchestrator.core.metrics import MetricReader, Reading
from orchestrator.core.outcome import ProcessEnd
from orchestrator.core.record import Channel
from orchestrator.core.spec import Kind, Spec
from orchestrator.core.value import Value
from orchestrator.errors import OrchestratorError, StoreError
from orchestrator.proc import supervise
from orchestrator.proc.command import Command, Finished, Limits, Pump
from orchestrator.store import clearing, layouts
from orchestrator.store import seal as seals
from orchestrator.store.layouts import Evaluator
from orchestrator.store.seal import Sealed
from orchestrator.worker import alone, scripts
from orchestrator.worker.channel import VARIABLES, Private

LEFT = "sealed"  # what a copy is called between two samples
OUTPUT = 16 * 1024 * 1024  # a benchmark that prints more is defective
FULL = 1024 * 1024  # kept of the output, its end
TAIL = 4000  # characters shown to people and to the next prompt
LAST_WORD = 200  # characters of a failed benchmark's last line that are shown with its end
SILENT = "The benchmark wrote nothing to ${}, as it did on the base; what is printed doesn't count."
TWICE = "The benchmark wrote numbers to $ORCH_METRICS_FILE and to $ORCH_METRICS_FD; say them by one of the two."
TOO_MUCH = f"The benchmark wrote more than {OUTPUT // 1024 // 1024} MiB to $ORCH_METRICS_FILE."  # cut, it may say another number
# A shell reads its script line by line: what a product adds to it meanwhile is run, too.
WRITTEN = "{} was changed while the {} ran, so what it says is nobody's word. What runs there may write to any other file."
SHELL = {126: "a command that can't be executed", 127: "a command was not found"}
# An ignored cache that one sample leaves hides an edit of the same second and size from the next. The spec's `env` goes before.
UNCACHED = {"PYTHONDONTWRITEBYTECODE": "1"}
VERSION = re.compile(r"Node\.js v\d")
DIED = 128  # and from here on: a command that was ended by a signal, whose number is added
NOISY = 5  # samples all at target that put the one-sided 95 % bound of the median past it: 1 - 0.5^5 = 96.9 %


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
    reading: Reading | None
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
        text = bytes(self.data[-4 * TAIL :]).decode(errors="replace")
        text = "\n".join(readable(line) for line in text.split("\n")).rstrip()
        if len(text) <= TAIL and len(self.data) <= 4 * TAIL:
            return text
        cut = text[-TAIL:]
        return f"[…]\n{cut.partition(chr(10))[2] or cut}"


def sample(
    sealed: Sealed,
    evaluator: Evaluator,
    spec: Spec,
    *,
    worktree: Path,
    env: Mapping[str, str],
    limits: Limits,
    pump: Pump,
    scratch: Path,
    channels: Sequence[Channel] = (),
    again: bool = False,
    known: Collection[str] = (),
) -> Sample:
    """Run the sealed benchmark once in `worktree`. `end` STOPPED: `pump` asked for it, and the sample says nothing.

    `env` is the child's whole environment but for `ORCH_TASK_DIR` (the private copy made below `scratch`) and `ORCH_MEASURING`.
    Without `limits.output` 16 MiB apply. `channels` are the private ones that it is offered: numbers that it writes to one of
    them count instead of printed ones. A single one it has to use; of several none is as good, and two are a defect. `again`: the
    private copy is left for the next sample, until `put_away`. `known`: the metrics that it gave before, where none is declared.
    """
    reader, output = MetricReader(), Output()
    private = Private(channels, scratch, OUTPUT)
    env = {**env, **private.env}
    own: dict[str, float] = {}

    def ended() -> None:
        own.update(reader.so_far())
        private.ended()

    def sink(data: bytes) -> None:
        reader.feed(data)
        output.add(data)

    try:
        with (
            alone.measuring(spec, pump),
            private_copy(sealed, scratch, stays=again) as copy,
            scripts.in_place(sealed, worktree) as problem,
        ):
            command = problem or _command(sealed, evaluator.path, evaluator.command, copy=copy, worktree=worktree, env=env)
            if isinstance(command, str):
                return Sample({}, None, ProcessEnd.NOT_STARTED, None, 0.0, defect=command, output=command)
            before = seals.written(copy / evaluator.path) if evaluator.path else None
            placed = scripts.lying(sealed, worktree)
            finished = supervise.run(
                command, _capped(limits), sink=sink, err=output.add, pump=pump, aside=private.aside, on_exit=ended
            )
            left = scripts.lying(sealed, worktree)
            changed = next((path for path in placed if left[path] != placed[path]), None)
            if evaluator.path and seals.written(copy / evaluator.path) != before:
                changed = evaluator.path
    except alone.Asked:
        return Sample({}, None, ProcessEnd.STOPPED, None, 0.0)
    finally:
        told = private.told()
    reading = _reading(told, private.own, metrics.since(own, reader.finish()), channels)
    judged = _judged(spec, finished, limits, reading, output, changed, known)
    return _by_channel(judged, told, channels)


def _reading(
    told: Mapping[Channel, bytes], own: Mapping[Channel, bytes], printed: Reading, channels: Sequence[Channel]
) -> Reading:
    """What counts of what was written and what was printed. `own`: what was written when the benchmark ended."""
    if told:
        channel, data = next(iter(told.items()))
        return metrics.since(metrics.written(own.get(channel, b"")).values, metrics.written(data))
    return Reading() if len(channels) == 1 else printed


def _by_channel(judged: Sample, told: Mapping[Channel, bytes], channels: Sequence[Channel]) -> Sample:
    """`judged`, with the channel its numbers came by. One that went well and was silent where it has to write is a defect, one
    that was read in part too, and so are two answers: whose the second one is, nobody knows."""
    wrong = TWICE if len(told) > 1 else SILENT.format(VARIABLES[channels[0]]) if not told and len(channels) == 1 else ""
    wrong = TOO_MUCH if len(told.get(Channel.FILE, b"")) > OUTPUT else wrong
    if not wrong or judged.end is not ProcessEnd.EXITED or judged.code:
        return replace(judged, private=next(iter(told), None))
    return replace(judged, values={}, defect=wrong, output=f"{judged.output}\n{wrong}".strip())


def _judged(
    spec: Spec,
    finished: Finished,
    limits: Limits,
    reading: Reading,
    output: Output,
    changed: str | None = None,
    known: Collection[str] = (),
) -> Sample:
    broken = _defect("The benchmark", finished, limits)
    if broken and finished.end is not ProcessEnd.OUTPUT_LIMIT:
        broken += _last_word(output.tail())
    edited = WRITTEN.format(changed, "benchmark") if changed else None
    defect = broken or edited or metrics.defect(spec.metrics, reading, known)
    stopped = finished.end is ProcessEnd.STOPPED
    return Sample(
        values={} if defect else reading.values,
        reading=reading,
        end=finished.end,
        code=finished.code,
        seconds=finished.seconds,
        defect=None if stopped else defect,
        output=output.tail() if stopped else _explained(defect, output.tail()),
        full=output.full(),
    )


def at_target(spec: Spec, result: Sample) -> bool:
    """Whether `result` is clean and every metric that decides is at its target."""
    clean = result.defect is None and result.end is not ProcessEnd.STOPPED
    return clean and metrics.at_target(spec.metrics, result.values)


def needed(spec: Spec, converge: int, seen: Sequence[Mapping[str, float]]) -> int:
    """How many samples in a row converge: `converge`, and for a noisy metric enough that its median's 95 % bound passes.

    `seen` are the values so far: a metric of kind `auto` is noisy once it has shown two different ones.
    """
    values = seen[-1] if seen else {}
    for metric in metrics.deciding(spec.metrics, values):
        varied = len({sampled.get(metric.name) for sampled in seen}) > 1
        if metric.kind is Kind.NOISY or (metric.kind is Kind.AUTO and varied):
            return max(converge, NOISY)
    return converge


def check(
    name: str,
    command: str,
    sealed: Sealed | None = None,
    *,
    worktree: Path,
    env: Mapping[str, str],
    limits: Limits,
    pump: Pump,
    scratch: Path,
    keep: int = FULL,
) -> Verdict:
    """Run one gate in `worktree`: with `sealed` the file of that path in a private copy, else a shell command. Exit 0 is yes.

    The end of its output, at most `keep` bytes, is in the verdict.
    """
    output = Output(most=keep)
    with private_copy(sealed, scratch) as copy:
        path, line = (command, None) if sealed else (None, command)
        argv = _command(sealed, path, line, copy=copy, worktree=worktree, env=env)
        if isinstance(argv, str):
            return Verdict(name, False, argv, argv, ProcessEnd.NOT_STARTED)
        before = seals.written(copy / command) if sealed else None
        finished = supervise.run(argv, _capped(limits), sink=output.add, err=None, pump=pump)
        changed = sealed and seals.written(copy / command) != before
    reason = _defect(f"The {name} command" if not sealed else f"{command}", finished, limits)
    reason = reason or (WRITTEN.format(command, f"gate {name}") if changed else None)
    tail, full = output.tail(), output.full()
    return Verdict(name, reason is None, reason or "passed", tail, finished.end, code=finished.code, full=full)


@contextmanager
def private_copy(sealed: Sealed | None, scratch: Path, *, stays: bool = False) -> Iterator[Path]:
    """A private copy of the sealed files below `scratch`, gone afterwards whatever was done to it. One that `stays` serves the
    next that may stay too, under another name, as long as nothing in it was changed: what a product left for files of that name
    finds none."""
    copy = scratch / f"sealed-{os.urandom(4).hex()}"
    try:
        if sealed and not (stays and _moved(scratch / LEFT, copy) and sealed.renew(copy)):
            clearing.remove(copy)
            _write(sealed, copy)
        yield copy
    finally:
        if not stays or not _moved(copy, scratch / LEFT):
            clearing.remove(copy)


def _moved(path: Path, to: Path) -> bool:
    try:
        path.rename(to)
    except OSError:
        return False
    return True


def put_away(scratch: Path) -> None:
    """Leave no copy for an agent to find."""
    clearing.remove(scratch / LEFT)


def _write(sealed: Sealed, copy: Path) -> None:
    try:
        sealed.write(copy)
    except OSError as error:
        message = f"The benchmark's private copy can't be written to {copy}: {error.strerror}."
        raise StoreError(message, hint="Make room there, and see that this user may write.") from error


def _command(
    sealed: Sealed | None, path: str | None, line: str | None, *, copy: Path, worktree: Path, env: Mapping[str, str]
) -> Command | str:
    """What to run, or why it can't be run."""
    env = {**UNCACHED, **env, "ORCH_MEASURING": "1", **({"ORCH_TASK_DIR": str(copy)} if sealed else {})}
    if line is not None:
        return Command(argv=("sh", "-c", line), cwd=worktree, env=env)
    if path is None or sealed is None or _leads_out(sealed, path, copy):
        return f"{path} is a link that leads out of the task folder, so it can't be sealed; put the file itself there."
    try:
        argv = tuple(layouts.command_for(copy / path))
    except OrchestratorError as error:
        return f"{error.message} {error.hint}".strip().replace(f"{copy}/", "")
    return Command(argv=argv, cwd=worktree, env=env)


def _leads_out(sealed: Sealed, path: str, copy: Path) -> bool:
    """Whether a link takes `path` out of the copy; hardly any evaluator has a link."""
    linked = any(file.link is not None for file in sealed.files)
    return linked and not (copy / path).resolve().is_relative_to(copy.resolve())


def _capped(limits: Limits) -> Limits:
    return limits if limits.output is not None else replace(limits, output=OUTPUT)


def _defect(who: str, finished: Finished, limits: Limits) -> str | None:
    """Why an execution counts as failed, None where it ended by itself with exit code 0."""
    match finished.end:
        case ProcessEnd.EXITED:
            return f"{who} ended with exit code {finished.code}{_in_shell(finished.code)}." if finished.code else None
        case ProcessEnd.SIGNALLED:
            return f"{who} was ended by {_signal(finished.signal)}."
        case ProcessEnd.TIMED_OUT:
            return f"{who} did not end within {limits.seconds:g} s."
        case ProcessEnd.STALLED:
            return f"{who} printed nothing for {limits.idle:g} s."
        case ProcessEnd.OUTPUT_LIMIT:
            return f"{who} printed more than {(_capped(limits).output or OUTPUT) // 1024 // 1024} MiB and was ended."
        case ProcessEnd.NOT_STARTED:
            return f"{who} could not be started: {finished.detail}"
    return f"{who} was stopped."


def _last_word(tail: str) -> str:
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


def _explained(defect: str | None, tail: str) -> str:
    return f"{tail}\n{defect}".strip() if defect else tail
