"""The one place where the loop sleeps: a pipe that signals and watchers write into, so that no wake-up is ever lost."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from orchestrator.core.outcome import ECHO

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wakeup:
    """`wait` returns early when `wake` is called (from any thread), a child ends, a stop signal comes or what it watches is
    readable."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._stops: list[signal.Signals] = []
        self._asked = float("-inf")
        self._poll = select.poll()
        self._poll.register(self._read, select.POLLIN)

    @property
    def stops(self) -> tuple[signal.Signals, ...]:
        """The stop signals received so far, in order; those that came together as one."""
        return tuple(self._stops)

    def wake(self) -> None:
        """End the current or next `wait`."""
        with suppress(BlockingIOError, OSError):  # full: a wake-up is waiting already; closed: nobody sleeps any more
            os.write(self._write, b"\0")

    def wait(self, seconds: float) -> bool:
        """Sleep at most `seconds`, less if something happens. True where it was a signal, a child or `wake`; what became
        readable is for its owner to read."""
        self._poll.poll(max(0.0, seconds) * 1000)
        told = False
        with suppress(BlockingIOError):
            while os.read(self._read, 4096):
                told = True
        return told

    def watch(self, descriptor: int) -> None:
        """Wake when `descriptor` is readable, too."""
        self._poll.register(descriptor, select.POLLIN)

    def unwatch(self, descriptor: int) -> None:
        """Undo `watch`."""
        with suppress(KeyError, ValueError):
            self._poll.unregister(descriptor)

    @contextmanager
    def listening(self) -> Iterator[Wakeup]:
        """Hear SIGINT, SIGTERM, SIGHUP and SIGCHLD while inside, even if whoever started this process had blocked them; what was
        there before is put back."""
        if threading.current_thread() is not threading.main_thread():
            yield self  # Python delivers signals to the main thread only
            return
        before: list[tuple[signal.Signals, Any]] = []
        handlers: list[tuple[signal.Signals, Callable[[int, FrameType | None], None]]] = [
            *((number, self._on_stop) for number in STOP_SIGNALS),
            (signal.SIGCHLD, _ignore),
        ]
        pipe = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        try:
            for number, handler in handlers:
                if number is signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
                    before.append((number, signal.signal(number, handler)))
            with _unblocked(number for number, _ in handlers):
                yield self
        finally:
            for number, handler in before:
                signal.signal(number, handler)
            signal.set_wakeup_fd(pipe)

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._read)
        os.close(self._write)

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self._asked >= ECHO:
            self._asked = now
            self._stops.append(signal.Signals(number))


@contextmanager
def _unblocked(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """A handler must exist for the wake-up byte to be written."""
