"""A clock for time-outs that stands still while this process does.

A container that is paused, a frozen cgroup or a SIGSTOP stops a worker together with what it watches. The time in which
neither could do anything is no silence of an agent and no slowness of a benchmark.
"""

from __future__ import annotations

from time import monotonic

STOOD = 5.0  # seconds between two looks of somebody who looks four times a second: he stood still


class AwakeClock:
    """Seconds since some moment, less those in which nobody asked for them. For whoever asks several times a second."""

    def __init__(self) -> None:
        self._asked = monotonic()
        self._stood = 0.0

    def __call__(self) -> float:
        now = monotonic()
        if now - self._asked > STOOD:
            self._stood += now - self._asked
        self._asked = now
        return now - self._stood
