"""Places where a crash test may end this process with SIGKILL: before and after every durable mutation.

`ORCH_FAILPOINT=claim:after#2` kills at the second hit of that label. `ORCH_FAILPOINT_TRACE=FILE` appends the label of
every hit to FILE, so that a test can list the points of a run and kill at each. With both set, the hits of all processes
that share FILE count together, so a point kills once and the processes started afterwards live. Several points, for a kill
while another one is recovered from, are parted by commas.
"""

from __future__ import annotations

import fcntl
import functools
import os
import signal

VARIABLE = "ORCH_FAILPOINT"
TRACE = "ORCH_FAILPOINT_TRACE"


def hit(label: str) -> None:
    """This process is at the point `label` now. Returns at once unless a crash test asked for it."""
    if (plan := _plan()) is not None:
        plan.hit(label)


@functools.cache
def _plan() -> _Plan | None:
    """What the environment asks for, looked up once: production pays for one cached call."""
    wanted, trace = os.environ.get(VARIABLE), os.environ.get(TRACE)
    return _Plan(wanted, trace) if wanted or trace else None


class _Plan:
    def __init__(self, wanted: str | None, trace: str | None) -> None:
        points = [point.partition("#") for point in (wanted or "").split(",")]
        self._wanted = {(label, int(number or 1)) for label, _, number in points}
        self._trace = trace
        self._hits: dict[str, int] = {}

    def hit(self, label: str) -> None:
        seen = self._traced(label) if self._trace else None
        self._hits[label] = self._hits.get(label, 0) + 1
        if (label, seen or self._hits[label]) in self._wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    def _traced(self, label: str) -> int:
        """Write `label` down; how often it stands there by now, over all processes."""
        assert self._trace is not None
        with open(self._trace, "ab+") as trace:  # noqa: PTH123 - kept lean
            fcntl.flock(trace, fcntl.LOCK_EX)
            trace.write(label.encode() + b"\n")
            trace.flush()
            trace.seek(0)
            return trace.read().split(b"\n").count(label.encode())
