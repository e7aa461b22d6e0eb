"""A clock for time-outs that stands still while this process does.

A container that is paused, a frozen cgroup or a SIGSTOP stops a worker together with what it watches. The time in which
neither could do anything is no silence of an agent and no slowness of a benchmark.
"""

from __future__ import annotations

from time import monotonic

MOST = 2.0  # seconds that count between two looks of somebody who looks four times a second: in what is more he stood still


class AwakeClock:
    """Seconds since it was made, less those in which nobody asked for them. For whoever asks several times a second; to one who
    is slow for every look, time passes more slowly and never stands still."""

    def __init__(self) -> None:
        self._asked = monotonic()
        self._passed = 0.0

    def __call__(self) -> float:
        now = monotonic()
        self._passed += min(now - self._asked, MOST)
        self._asked = now
        return self._passed
