"""How long a session is waited for: when it counts as silent, and when it has said how it ends and goes on all the same.

Many clients retry what can't succeed, for minutes: a refused key, a limit that lasts for hours. And many say nothing for a
while though all is well: a long tool, a back-off of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from orchestrator.agents.protocol import AgentEvent, Closing, EventKind
from orchestrator.core.outcome import ProcessEnd, StopRequest
from orchestrator.proc.awake import AwakeClock
from orchestrator.proc.command import Finished

LEAVE = 3.0  # seconds for the program to end by itself, with its closing event
RETRY = 20.0  # for its own retries to overcome a limit or a full context
SOON = 60.0  # a limit that ends within this is worth waiting for inside the session


class Patience:
    """Watches one session's clock. `idle` None never calls it silent; `now` is a monotonic clock, by default one that stands
    still while we do, `epoch` the world's."""

    def __init__(
        self, idle: float | None, *, now: Callable[[], float] | None = None, epoch: Callable[[], float] = time.time
    ) -> None:
        self._idle, self._now, self._epoch = idle, now or AwakeClock(), epoch
        self._heard = self._now()
        self._since: dict[EventKind, float] = {}
        self.verdict: AgentEvent | None = None
        self.stalled = False

    def heard(self) -> None:
        """There was output."""
        self._heard = self._now()

    def judge(self, closing: Closing) -> StopRequest | None:
        """Whether the session has to be ended now. Ask several times a second."""
        now = self._now()
        if closing.open:
            self._heard = now  # a tool at work owes us nothing but the deadline
        for event in (closing.auth, closing.question, closing.limit, closing.context):
            if event and now >= self._began(event, now) + self._allowed(event):
                self.verdict = event
                return StopRequest.SETTLED
        self._since = {event.kind: self._since[event.kind] for event in _standing(closing)}
        self.stalled = self._idle is not None and now - self._heard >= self._idle
        return StopRequest.SETTLED if self.stalled else None

    def close(self, finished: Finished, closing: Closing) -> tuple[Finished, Closing]:
        """The end as it is to be judged: where we ended the program, our reason counts and not how it then went."""
        if finished.request is not StopRequest.SETTLED:
            return finished, closing
        if self.verdict is None:
            detail = f"ended after {self._idle:g} s without output"
            return replace(finished, end=ProcessEnd.STALLED, request=None, detail=detail), closing
        return replace(finished, end=ProcessEnd.SIGNALLED, request=None), closing.after(self.verdict)

    def _began(self, event: AgentEvent, now: float) -> float:
        return self._since.setdefault(event.kind, now)

    def _allowed(self, event: AgentEvent) -> float:
        """Seconds from when it was first said."""
        if event.kind in {EventKind.AUTH, EventKind.QUESTION}:
            return LEAVE
        reset = event.data.get("reset_at")
        if reset is None:
            return RETRY
        ahead = float(reset) - self._epoch()
        return LEAVE if ahead > SOON else SOON + RETRY if ahead > 0 else RETRY


def _standing(closing: Closing) -> list[AgentEvent]:
    return [event for event in (closing.auth, closing.question, closing.limit, closing.context) if event]
