"""Watch one child: its output, its time, its silence, requests to stop it. Decides when it has ended, and why."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Collection

from orchestrator.core.outcome import ProcessEnd, StopRequest
from orchestrator.proc import tree
from orchestrator.proc.command import Finished, Limits, Pump, Sink
from orchestrator.proc.pipes import Pipes, ended
from orchestrator.proc.table import members

PULSE = 0.25  # heartbeats and requests to stop wait no longer than this
LINGER = 0.25  # after the program's end, for what the last of its pipes (a `tee`) still has to say
LINGER_MOST = 2.0
GROUP_PULSE = 0.02  # while the rest of a stopped program's group uses its grace
UNKILLABLE = 5.0  # a process that survives KILL this long is stuck in the kernel


class Meter:
    """Counts what a program prints, over all its pipes, and lets through no more than the limit."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.total = 0
        self.over = False

    def into(self, sink: Sink) -> Sink:
        """A sink before `sink` that keeps the limit."""

        def take(data: bytes) -> None:
            if self.limit is not None and self.total + len(data) > self.limit:
                data, self.over = data[: self.limit - self.total], True
            self.total += len(data)
            if data:
                sink(data)

        return take


class Watch:
    """The time between a child's start and the moment when nothing more is expected of it."""

    def __init__(
        self,
        pipes: Pipes,
        meter: Meter,
        limits: Limits,
        pump: Pump,
        *,
        clock: Callable[[], float],
        began: float,
        others: Collection[int] = (),
    ) -> None:
        self.pipes, self.meter, self.limits, self.pump = pipes, meter, limits, pump
        self.spared = {pipes.pid, *others}
        self.clock, self.began = clock, began
        self.pulse_at = self.began + PULSE
        self.cause: ProcessEnd | None = None
        self.request: StopRequest | None = None
        self.kill_at = self.killed_at = self.exited_at = 0.0
        self.status: os.waitid_result | None = None

    def follow(self) -> None:
        """Until the child has ended and its output with it. Afterwards it is still to be reaped."""
        now = self.began
        while not self._over(now):
            self._pulse(now)
            self.pipes.wait(self._pause(now))
            now = self.clock()
            self._judge(now)
        with contextlib.suppress(ChildProcessError):  # reaped by someone else in this process
            self.status = ended(self.pipes.pid)

    def finished(self, strays: int) -> Finished:
        """The outcome, once `follow` is through."""
        code, number = _status(self.status)
        end = ProcessEnd.OUTPUT_LIMIT if self.meter.over else self.cause
        if end is None:
            end = ProcessEnd.EXITED if number is None else ProcessEnd.SIGNALLED
        left = f"it left {strays} process{'es' if strays > 1 else ''} behind, now ended" if strays and self.cause is None else ""
        detail = "; ".join(filter(None, (self._sentence(end, code, number), left)))
        return Finished(end, code, number, self.clock() - self.began, detail, self.request, strays)

    def _over(self, now: float) -> bool:
        exited = self.pipes.exited
        if exited and not self.exited_at:
            self.exited_at = now
        if self.killed_at:
            return exited or now - self.killed_at > UNKILLABLE
        if not exited:
            return False
        if self.cause is not None:  # the rest of its group has the same grace to put things in order
            return not members(self.pipes.pid)
        quiet = now - max(self.exited_at, self.pipes.last_output) >= LINGER
        return not self.pipes.open or self.meter.over or quiet or now - self.exited_at >= LINGER_MOST

    def _pulse(self, now: float) -> None:
        if now < self.pulse_at:
            return
        self.pulse_at = now + PULSE
        request = self.pump()
        tree.reap(self.spared)
        if request is None or (self.pipes.exited and self.cause is None):
            return
        if self.cause is None:
            self.request = request
            self._stop(ProcessEnd.STOPPED, now)
        if request is StopRequest.KILL:
            self._kill(now)

    def _judge(self, now: float) -> None:
        if self.cause is not None:
            if now >= self.kill_at and not self.killed_at:
                self._kill(now)
        elif self.pipes.exited:
            return
        elif self.meter.over:
            self._stop(ProcessEnd.OUTPUT_LIMIT, now)
        elif self.limits.seconds is not None and now - self.began >= self.limits.seconds:
            self._stop(ProcessEnd.TIMED_OUT, now)
        elif self.limits.idle is not None and now - self.pipes.last_output >= self.limits.idle:
            self._stop(ProcessEnd.STALLED, now)

    def _pause(self, now: float) -> float:
        moments = [self.pulse_at]
        if self.cause is not None:
            moments.append(now + GROUP_PULSE if self.pipes.exited else self.kill_at)
        elif self.pipes.exited:
            moments.append(max(self.exited_at, self.pipes.last_output) + LINGER)
        else:
            moments.extend([self.began + self.limits.seconds] if self.limits.seconds is not None else [])
            moments.extend([self.pipes.last_output + self.limits.idle] if self.limits.idle is not None else [])
        return max(0.0, min(moments) - now) if not self.killed_at else PULSE

    def _stop(self, cause: ProcessEnd, now: float) -> None:
        self.cause, self.kill_at = cause, now + self.limits.grace
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # a stopped process can't act on it otherwise

    def _kill(self, now: float) -> None:
        self.killed_at = now
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pipes.pid, number)

    def _sentence(self, end: ProcessEnd, code: int | None, number: int | None) -> str:
        match end:
            case ProcessEnd.EXITED:
                return "" if code == 0 else f"it exited with {'an unknown status' if code is None else code}"
            case ProcessEnd.SIGNALLED:
                return f"it was ended by {_name(number)}"
            case ProcessEnd.TIMED_OUT:
                return f"ended after its time limit of {self.limits.seconds:g} s"
            case ProcessEnd.STALLED:
                return f"ended after {self.limits.idle:g} s without output"
            case ProcessEnd.OUTPUT_LIMIT:
                return f"ended for printing more than {self.limits.output} bytes"
            case _:
                return f"asked to stop ({self.request})"


def _status(status: os.waitid_result | None) -> tuple[int | None, int | None]:
    """Exit code and signal, of which one is None."""
    if status is None:
        return None, None
    return (status.si_status, None) if status.si_code == os.CLD_EXITED else (None, status.si_status)


def _name(number: int | None) -> str:
    try:
        return signal.Signals(number or 0).name
    except ValueError:
        return f"signal {number}"
