"""Measuring: one execution of the sealed evaluator, and what it said.

Each execution gets a private copy of the sealed files, as they were sealed, and runs in the worktree; whatever goes wrong with it
is a defect in words, never an exception and never a number (`measuring` §1).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from orchestrator.core import metrics
from orchestrator.core.confidence import FEWEST
from orchestrator.core.outcome import ProcessEnd
from orchestrator.core.reading import MetricReader, Reading, since, written
from orchestrator.core.record import Channel
from orchestrator.core.spec import Kind, Spec
from orchestrator.errors import OrchestratorError, StoreError
from orchestrator.proc import supervise
from orchestrator.proc.command import Command, Finished, Limits
from orchestrator.store import clearing, layouts
from orchestrator.store import seal as seals
from orchestrator.store.layouts import Evaluator
from orchestrator.store.seal import Sealed
from orchestrator.worker import alone, scripts
from orchestrator.worker.channel import VARIABLES, Private
from orchestrator.worker.execution import FULL, OUTPUT, Conditions, Output, Sample, Verdict, capped, failure, last_word

LEFT = "sealed"  # what a copy is called between two samples
SILENT = "The benchmark wrote nothing to ${}, as it did on the base; what is printed doesn't count."
SHOWN = 200  # bytes of a line that is no METRIC line
TWICE = "The benchmark wrote numbers to $ORCH_METRICS_FILE and to $ORCH_METRICS_FD; say them by one of the two."
TOO_MUCH = f"The benchmark wrote more than {OUTPUT // 1024 // 1024} MiB to $ORCH_METRICS_FILE."  # cut, it may say another number
# A shell reads its script line by line: what a product adds to it meanwhile is run, too.
WRITTEN = "{} was changed while the {} ran, so what it says is nobody's word. What runs there may write to any other file."
# An ignored cache that one sample leaves hides an edit of the same second and size from the next. The spec's `env` goes before.
UNCACHED = {"PYTHONDONTWRITEBYTECODE": "1"}


def sample(
    sealed: Sealed,
    evaluator: Evaluator,
    spec: Spec,
    under: Conditions,
    *,
    channels: Sequence[Channel] = (),
    again: bool = False,
    known: Collection[str] = (),
) -> Sample:
    """Run the sealed benchmark once. `end` STOPPED: the pump asked for it, and the sample says nothing.

    To its environment come `ORCH_TASK_DIR` (a private copy below the scratch folder) and `ORCH_MEASURING`. Without a limit of
    output 16 MiB apply. `channels` are the private ones that it is offered: numbers that it writes to one of them count instead
    of printed ones. A single one it has to use; of several none is as good, and two are a defect. `again`: the private copy is
    left for the next sample, until `put_away`. `known`: the metrics that it gave before, where none is declared.
    """
    private = Private(channels, under.scratch, OUTPUT)
    heard = _Heard(private)
    under = replace(under, env={**under.env, **private.env})
    try:
        with (
            alone.measuring(spec, under.pump),
            private_copy(sealed, under.scratch, stays=again) as copy,
            scripts.in_place(sealed, under.worktree) as problem,
        ):
            command = problem or _command(sealed, evaluator, copy, under)
            if isinstance(command, str):
                return Sample({}, ProcessEnd.NOT_STARTED, None, 0.0, defect=command, output=command)
            before = _lying(sealed, evaluator, copy, under.worktree)
            finished = heard.run(command, under)
            after = _lying(sealed, evaluator, copy, under.worktree)
            changed = next((path for (path, was), (_, now) in zip(before, after, strict=True) if was != now), None)
    except alone.Asked:
        return Sample({}, ProcessEnd.STOPPED, None, 0.0)
    finally:
        told = private.told()
    reading = _reading(told, private.own, heard.printed(), channels)
    judged = _judged(spec, finished, under.limits, reading, heard.output, changed, known)
    return _by_channel(_by_line_ends(judged, sealed, evaluator), told, channels)


class _Heard:
    """What one execution of the benchmark says, as it comes."""

    def __init__(self, private: Private) -> None:
        self.output = Output()
        self._private = private
        self._reader = MetricReader()
        self._own: Mapping[str, float] = {}  # what it had printed when it ended, and nothing that it started

    def run(self, command: Command, under: Conditions) -> Finished:
        return supervise.run(
            command, capped(under.limits), sink=self._take, err=self.output.add, pump=under.pump,
            aside=self._private.aside, on_exit=self._ended,
        )  # fmt: skip

    def printed(self) -> Reading:
        return since(self._own, self._reader.finish())

    def _take(self, data: bytes) -> None:
        self._reader.feed(data)
        self.output.add(data)

    def _ended(self) -> None:
        self._own = self._reader.so_far()
        self._private.ended()


def _lying(sealed: Sealed, evaluator: Evaluator, copy: Path, worktree: Path) -> list[tuple[str, object]]:
    """What it is run from: its file in the private copy, and the scripts of the repository that its command finds there."""
    own = [(evaluator.path, seals.written(copy / evaluator.path))] if evaluator.path else []
    return [*own, *scripts.lying(sealed, worktree).items()]


def _reading(
    told: Mapping[Channel, bytes], own: Mapping[Channel, bytes], printed: Reading, channels: Sequence[Channel]
) -> Reading:
    """What counts of what was written and what was printed. `own`: what was written when the benchmark ended."""
    if told:
        channel, data = next(iter(told.items()))
        return since(written(own.get(channel, b"")).values, written(data))
    return Reading() if len(channels) == 1 else printed


def _by_line_ends(judged: Sample, sealed: Sealed, evaluator: Evaluator) -> Sample:
    """`judged`, with what makes most shell scripts from Windows fail and can't be seen in what they print."""
    path = evaluator.path or ""
    if not judged.defect or not path.endswith("sh"):
        return judged
    if not any(file.path == path and b"\r\n" in (file.data or b"") for file in sealed.files):
        return judged
    told = f" {path} has Windows line ends, which a shell takes for parts of its words."
    return replace(judged, defect=judged.defect + told, output=judged.output + told)


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
    changed: str | None,
    known: Collection[str],
) -> Sample:
    broken = failure("The benchmark", finished, limits, "benchmark_timeout")
    if broken and finished.end is not ProcessEnd.OUTPUT_LIMIT:
        broken += last_word(output.tail())
    edited = WRITTEN.format(changed, "benchmark") if changed else None
    defect = broken or edited or metrics.defect(spec.metrics, reading, known)
    if defect == metrics.NOTHING:  # `tool | filter` ends well without its tool, and says here which one isn't there
        defect += _almost(output.full()) or last_word(output.tail())
    stopped = finished.end is ProcessEnd.STOPPED
    return Sample(
        values={} if defect else reading.values,
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
            return max(converge, FEWEST)
    return converge


def check(
    name: str,
    command: str,
    under: Conditions,
    sealed: Sealed | None = None,
    *,
    keep: int = FULL,
    allowed: str = "timeout",
) -> Verdict:
    """Run one gate: with `sealed` the file of that path in a private copy, else a shell command. Exit 0 is yes.

    The end of its output, at most `keep` bytes, is in the verdict. `allowed`: the setting that limits its time.
    """
    output = Output(most=keep)
    with private_copy(sealed, under.scratch) as copy:
        program = Evaluator(path=command) if sealed else Evaluator(command=command)
        argv = _command(sealed, program, copy, under)
        if isinstance(argv, str):
            return Verdict(name, False, argv, argv, ProcessEnd.NOT_STARTED)
        before = seals.written(copy / command) if sealed else None
        finished = supervise.run(argv, capped(under.limits), sink=output.add, err=None, pump=under.pump)
        changed = sealed and seals.written(copy / command) != before
    reason = failure(f"The {name} command" if not sealed else f"{command}", finished, under.limits, allowed)
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


def _command(sealed: Sealed | None, program: Evaluator, copy: Path, under: Conditions) -> Command | str:
    """What to run, or why it can't be run."""
    env = {**UNCACHED, **under.env, "ORCH_MEASURING": "1", **({"ORCH_TASK_DIR": str(copy)} if sealed else {})}
    if program.command is not None:
        return Command(argv=("sh", "-c", program.command), cwd=under.worktree, env=env)
    path = program.path
    if path is None or sealed is None or _leads_out(sealed, path, copy):
        return f"{path} is a link that leads out of the task folder, so it can't be sealed; put the file itself there."
    try:
        argv = tuple(layouts.command_for(copy / path))
    except OrchestratorError as error:
        return f"{error.message}.".replace(f"{copy}/", "")  # without its hint: what was sealed is not read again by itself
    return Command(argv=argv, cwd=under.worktree, env=env)


def _leads_out(sealed: Sealed, path: str, copy: Path) -> bool:
    """Whether a link takes `path` out of the copy; hardly any evaluator has a link."""
    linked = any(file.link is not None for file in sealed.files)
    return linked and not (copy / path).resolve().is_relative_to(copy.resolve())


def _almost(full: bytes) -> str:
    """The first line that was meant as one of METRIC and is none: shown without its blanks and colours, it looks like one."""
    line = next((line for line in full.splitlines() if b"METRIC" in line.upper() and b"=" in line), b"")[:SHOWN]
    if line.startswith((b"METRIC ", b"METRIC\t")):
        return f" It printed {line.decode(errors='replace')!r} on standard error."
    return f" It printed {line.decode(errors='replace')!r}, which doesn't begin with METRIC and a blank." if line else ""


def _explained(defect: str | None, tail: str) -> str:
    return f"{tail}\n{defect}".strip() if defect else tail
