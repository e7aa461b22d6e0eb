"""Run one program under watch, and leave nothing of it behind.

Single-threaded: for a worker, never for the loop. Whatever happens, also an exception out of a callback, the program and
everything it started is ended and reaped before `run` returns.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial

from orchestrator.core.outcome import ProcessEnd
from orchestrator.proc import tree
from orchestrator.proc.awake import AwakeClock
from orchestrator.proc.command import Aside, Child, Command, Finished, Keyboard, Limits, Pump, Sink
from orchestrator.proc.pipes import Pipes, ended, gone
from orchestrator.proc.spawn import NotStarted, Shortage, piped
from orchestrator.proc.table import MARK
from orchestrator.proc.watch import Meter, Watch


def run(
    command: Command,
    limits: Limits,
    *,
    sink: Sink,
    pump: Pump,
    on_start: Callable[[int], None] | None = None,
    err: Sink | None = None,
    on_terminal: Callable[[Keyboard], None] | None = None,
    aside: Aside | None = None,
    on_exit: Callable[[], None] | None = None,
) -> Finished:
    """Run `command` to its end. `sink` gets stdout, and stderr with it unless `err` does; `pump` is called before the
    start and at least every 0.25 s, and stops the program by returning a request. `on_terminal` gets the keyboard of one that
    has a terminal; one that has none may be given another pipe, `aside`, which counts as output. `on_exit` is called once the
    program itself has ended and the sinks have what it wrote: what they get later, something that it started says. Raises
    what a callback raises, and Shortage: whoever runs a program must not take that for an answer of it.
    """
    with tree.subreaper() as handed:
        others = tree.children()
        if (request := pump()) is not None:
            return Finished(ProcessEnd.STOPPED, None, None, 0.0, f"not started: asked to stop ({request})", request)
        meter = Meter(limits.output)
        clock = AwakeClock()
        began = clock()
        try:
            other = aside and replace(aside, sink=meter.into(aside.sink))
            child = _start(command, meter.into(sink), None if err is None else meter.into(err), other)
        except Shortage:
            raise
        except NotStarted as error:
            return Finished(ProcessEnd.NOT_STARTED, None, None, clock() - began, error.message)
        leave_nothing = partial(_clear, child, None if handed else command.env.get(MARK), others)
        with contextlib.ExitStack() as stack:
            stack.callback(leave_nothing)
            pipes = Pipes(child.pid, child.reads, feed=child.feed, on_exit=on_exit, clock=clock)
            stack.enter_context(contextlib.closing(pipes))
            watch = Watch(pipes, meter, limits, pump, clock=clock, began=began, others=others)
            if on_start is not None:
                on_start(child.pid)
            if on_terminal is not None and child.keyboard is not None:
                on_terminal(child.keyboard)
            watch.follow()
            swept = leave_nothing()
            pipes.drain()
        return watch.finished(len(swept.ended))


def _start(command: Command, sink: Sink, err: Sink | None, aside: Aside | None) -> Child:
    if command.tty:
        from orchestrator.proc import terminal

        return terminal.start(command, sink)
    program = piped(
        command.argv, cwd=command.cwd, env=command.env, feed=command.stdin is not None, merge=err is None,
        aside=aside.variable if aside else None,
    )  # fmt: skip
    reads = program.reads(sink, err, aside.sink if aside else None)
    return Child(program.process.pid, reads, program.feed(command.stdin), lambda: _reap(program.process))


def _reap(process: subprocess.Popen[bytes]) -> None:
    if gone(process.pid):
        process.wait()
    else:
        process.returncode = -signal.SIGKILL  # still dying: the sweep reaps it


def _clear(child: Child, mark: str | None, others: Collection[int]) -> tree.Swept:
    """End what is left of the child. Its pid is its own until it is reaped, so its group is killed first. May be repeated."""
    with contextlib.suppress(ChildProcessError, ProcessLookupError, PermissionError):
        ended(child.pid)  # raises where it was reaped already
        os.killpg(child.pid, signal.SIGKILL)
    child.reap()
    return tree.sweep(mark, others)
