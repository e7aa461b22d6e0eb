"""A plug-in for coverage: what it traces goes on after an interrupt.

Its tracer takes a lock at each file that it sees for the first time. A signal whose handler raises, as that of Ctrl-C does, may
come between the taking and the giving back; then the process stands still for good at the next such file, or at its end. What
the lock keeps apart, a thread that runs on while the data is collected, coverage also gets over without it: it looks again.
"""

from __future__ import annotations

from coverage.collector import Collector


def coverage_init(*_: object) -> None:
    """What coverage calls once it has read its configuration, before it traces anything."""
    Collector.lock_data = Collector.unlock_data = _nothing  # type: ignore[method-assign]


def _nothing(_: Collector) -> None:
    pass
