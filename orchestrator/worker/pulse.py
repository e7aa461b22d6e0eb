"""The worker's pulse: renews the lease, notices that the claim has gone, hears what people and signals ask for.

Everything slow that a worker does (an agent, a benchmark, waiting for a lock) calls `Pulse.beat` several times a second.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType

from orchestrator.core.outcome import ECHO, StopRequest
from orchestrator.errors import ClaimLost, StoreError
from orchestrator.store.claim import Claim

LOOK = 1.0  # seconds between looks at the own folder (`rulings`: whatever the heartbeat)
LAG = 0.1  # seconds that what is owed to the disk may lie; nobody's eye is quicker
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ASKED = {"stop": StopRequest.BLOCK, "block": StopRequest.BLOCK, "cancel": StopRequest.CANCEL, "release": StopRequest.RELEASE}


class Stopped(Exception):
    """The worker was asked to stop; `request` says how. Unwinds to the one place that saves the work and lets go."""

    def __init__(self, request: StopRequest) -> None:
        super().__init__(request.value)
        self.request = request


def hold_signals() -> None:
    """Until `Pulse.listen`, requests to stop wait: one that comes in a worker's first moments must not kill it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


class Pulse:
    """One per worker. `ttl` is the lease's time to live in seconds; a heartbeat is due after a tenth of it, at most 15 s."""

    def __init__(self, claim: Claim, ttl: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._claim = claim
        self._every = min(ttl / 10, 15.0)
        self._clock = clock
        self._looked = self._renewed = clock()
        self._request: StopRequest | None = None
        self._asked = float("-inf")
        self._owed: Callable[[], None] | None = None
        self._owed_since = 0.0

    def listen(self) -> None:
        """From here on TERM, INT and HUP ask this worker to put its task back; a second one does not wait for the agent."""
        for number in STOPS:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)

    def beat(self) -> StopRequest | None:
        """What this worker is asked to do, None while it may go on. Once asked, the answer stays."""
        now = self._clock()
        if self._request in (None, StopRequest.RELEASE) and now - self._looked >= LOOK:
            self._looked = now
            self._look(now)
        if self._owed is not None and now - self._owed_since >= LAG:
            self._pay(now)
        return self._request

    def owe(self, write: Callable[[], None] | None) -> None:
        """Something that may be written a little later: the next beat after `LAG` seconds does it. None: it was done."""
        if write is not None and self._owed is None:
            self._owed_since = self._clock()
        self._owed = write

    def check(self) -> None:
        """Raises Stopped where this worker is asked to stop."""
        if request := self.beat():
            raise Stopped(request)

    def wait(self, seconds: float) -> None:
        """Sleep for `seconds` while the pulse goes on; for whoever polls a lock. Raises Stopped."""
        time.sleep(seconds)
        self.check()

    def nap(self, seconds: float) -> None:
        """The same where stopping in the middle would leave a mess: only the heartbeat goes on."""
        time.sleep(seconds)
        self.beat()

    def _look(self, now: float) -> None:
        try:
            if not self._claim.held():
                raise self._claim.lost()
            for request in self._claim.requests():
                self._request = ASKED.get(str(request.get("kind")), self._request)
            if now - self._renewed >= self._every:
                self._renewed = now
                self._claim.heartbeat()
        except ClaimLost:
            self._request = StopRequest.LOST

    def _pay(self, now: float) -> None:
        write, self._owed = self._owed, None
        try:
            if write is not None:
                write()
        except ClaimLost:
            self._request = StopRequest.LOST
        except StoreError:  # a full disk must not end the agent; later is soon enough
            self._owed, self._owed_since = write, now

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = self._clock()
        if now - self._asked < ECHO:
            return
        self._asked = now
        if self._request is None:
            self._request = StopRequest.RELEASE
        elif self._request is StopRequest.RELEASE:
            self._request = StopRequest.KILL
