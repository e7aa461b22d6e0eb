"""The pipes of one child and word of its end, waited for in one single-threaded selector."""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import time
from collections.abc import Callable, Mapping

from orchestrator.proc.command import Sink

CHUNK = 64 * 1024
DRAIN = 64
WITHOUT_PIDFD = 0.02  # how often a child is looked at where the kernel (< 5.3) can't tell of its end


class Pipes:
    """Reads a child's output into sinks, feeds its stdin, notices its end without reaping it.

    The child stays a zombie until its owner reaps it, so its pid can't name another process meanwhile.
    """

    def __init__(
        self,
        pid: int,
        reads: Mapping[int, Sink],
        *,
        feed: tuple[int, bytes] | None = None,
        on_exit: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pid = pid
        self._on_exit = on_exit
        self._clock = clock
        self.exited = False
        self.last_output = clock()
        self._selector = selectors.PollSelector()  # for four descriptors and two waits, epoll only costs more calls
        self._sinks = dict(reads)
        self._pidfd = _pidfd(pid)
        for descriptor in self._sinks:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        if self._pidfd is not None:
            self._selector.register(self._pidfd, selectors.EVENT_READ)
        self._feed, self._rest = feed[0] if feed else None, memoryview(feed[1] if feed else b"")
        if self._feed is not None:
            os.set_blocking(self._feed, False)
            self._selector.register(self._feed, selectors.EVENT_WRITE)

    @property
    def open(self) -> bool:
        """Whether anyone can still write to the child's output."""
        return bool(self._sinks)

    def wait(self, seconds: float) -> bool:
        """One wait, of at most `seconds`, that hands over what has come and notices the child's end. Whether anything came."""
        before = self.exited
        limit = seconds if self._pidfd is not None or self.exited else min(seconds, WITHOUT_PIDFD)
        ready = self._selector.select(max(0.0, limit))
        for key, _ in ready:
            if key.fd == self._pidfd:
                self._selector.unregister(key.fd)
                self.exited = True
            elif key.fd == self._feed:
                self._write()
            elif key.fd in self._sinks:
                self._read(key.fd)
        if self._pidfd is None and not self.exited:
            self.exited = gone(self.pid)
        if self.exited and not before:
            self._end()
        return bool(ready)

    def _end(self) -> None:
        """What the child itself wrote is in the pipes by now: it is handed over before anything counts as said after its end."""
        self.drain()
        if self._on_exit is not None:
            self._on_exit()

    def drain(self) -> None:
        """Hand over what is in the pipes now. Bounded, in case someone unknown to us still writes."""
        for _ in range(DRAIN):
            if not self._sinks or not self.wait(0.0):
                return

    def close(self) -> None:
        """Give up what is still open."""
        self._selector.close()
        for descriptor in (*self._sinks, self._feed, self._pidfd):
            if descriptor is not None:
                os.close(descriptor)
        self._sinks, self._feed, self._pidfd = {}, None, None

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # how a terminal tells of its end
                raise
            data = b""
        if not data:
            self._selector.unregister(descriptor)
            self._sinks.pop(descriptor)
            os.close(descriptor)
            return
        self.last_output = self._clock()
        self._sinks[descriptor](data)

    def _write(self) -> None:
        if self._feed is None:
            return
        try:
            self._rest = self._rest[os.write(self._feed, self._rest[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # the child doesn't read on (EPIPE); that is its own business
            self._rest = self._rest[:0]
        if not self._rest:
            self._selector.unregister(self._feed)
            os.close(self._feed)
            self._feed = None


def ended(pid: int) -> os.waitid_result | None:
    """How our child `pid` ended, without reaping it; None while it lives."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)


def gone(pid: int) -> bool:
    """Whether our child `pid` has ended, reaped or not."""
    try:
        return ended(pid) is not None
    except ChildProcessError:
        return True


def _pidfd(pid: int) -> int | None:
    with contextlib.suppress(AttributeError, OSError):
        return os.pidfd_open(pid)
    return None
