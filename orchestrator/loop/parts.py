"""What one loop is made of. Nothing here is a fact: everything can be found again in the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from orchestrator.core import budget
from orchestrator.core.readiness import World
from orchestrator.core.settings import Settings
from orchestrator.core.value import Value
from orchestrator.errors import StoreError
from orchestrator.executors.protocol import Executor
from orchestrator.loop.index import Index
from orchestrator.loop.mode import Mode
from orchestrator.loop.reading import Reader
from orchestrator.loop.routed import without_new_logins
from orchestrator.loop.voice import Voice
from orchestrator.loop.wakeup import Wakeup
from orchestrator.loop.watch import Watch
from orchestrator.loop.workers import Workers
from orchestrator.store.owners import OwnerLock
from orchestrator.store.queue import Queue, Seen


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Moment(Value):
    """One look at the two clocks: epoch seconds for what is in files, monotonic seconds for waiting."""

    now: float
    mono: float


@dataclass(slots=True)
class Losses:
    """How often the worker of a task died lately, so that one that always dies is not started again at once for ever. `sessions`:
    how often an agent was at work then, since the last of the `attempts` that counted."""

    count: int = 0
    last: float = 0.0
    sessions: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a task's folder could not be claimed, and when (monotonic)."""

    error: StoreError
    at: float


@dataclass(slots=True)
class Loop:
    """`quota`: how many claims it may still make, None for any number. `only`: the one task it may work on."""

    queue: Queue
    settings: Settings
    mode: Mode
    me: OwnerLock
    index: Index
    reader: Reader
    workers: Workers
    voice: Voice
    wakeup: Wakeup
    watch: Watch
    clock: Callable[[], Moment]
    executor: Callable[[str], Executor]  # by name; raises Misuse
    only: str | None = None
    quota: int | None = None
    began: float = 0.0  # epoch
    seen: Seen = field(default_factory=dict)
    losses: dict[str, Losses] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)  # by folder in pending
    claimed: str | None = None  # the task claimed last
    stopping: bool = False
    swept: float | None = None  # monotonic time of the last removal of leavings
    looked: float | None = None  # monotonic time of the last look at everything
    asked: float = float("-inf")  # monotonic time at which each of few tasks was last asked whether it has changed
    idle: tuple[int, float] | None = None  # (index version, until): nothing can be chosen before one of them changes
    shown: int = -1  # the index version whose invalid tasks were shown
    pruned: int = -1  # the index version at which retention looked
    attended: float | None = None  # monotonic time of the last look at pull requests
    attendant: str | None = None  # the handle of the process that looks at them
    arriving: frozenset[str] = frozenset()  # folders that a person is still copying into running, or out of it
    again: bool = False  # the next tick must not wait

    def world(self, moment: Moment) -> World:
        """What readiness depends on beside a task's own folder."""
        world = self.index.world(moment.now, budget.of_a_day(self.settings))
        if not world.paused:
            return world
        return replace(world, paused=without_new_logins(world.paused, self.reader.router))

    @property
    def free(self) -> int:
        """How many more workers may be started."""
        slots = max(0, self.settings.parallel - self.workers.busy)
        return slots if self.quota is None else min(slots, self.quota)
