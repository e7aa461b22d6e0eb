"""Reading one pending task from its files, for the index."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from orchestrator.agents.routing import Router
from orchestrator.core.candidate import Candidate
from orchestrator.core.task import Place
from orchestrator.executors.protocol import Executor
from orchestrator.loop.phased import phased
from orchestrator.loop.routed import placed, routed
from orchestrator.store import snapshot
from orchestrator.store.cache import SpecCache
from orchestrator.store.queue import Queue


class Reader:
    """Makes a Candidate of a Place. `executor` finds a named one and raises Misuse where there is none; `router` knows agents."""

    def __init__(self, queue: Queue, settle: float, executor: Callable[[str], Executor], router: Router) -> None:
        self._queue = queue
        self._settle = settle
        self._executor = executor
        self.router = router
        self._cache = SpecCache.of(queue.control)
        self._now = queue.now()

    def __call__(self, place: Place, double: str | None = None) -> Candidate:
        candidate = snapshot.candidate(self._queue, place, self._cache, self._now, settle=self._settle, double=double)
        candidate = phased(routed(candidate, self.router, self._queue), self.router.settings, self._queue)
        return placed(candidate, self._executor)

    def look(self) -> None:
        """Read everything as of this moment, by the file system's clock: of two drops the earlier one has settled first."""
        self._now = self._queue.now()

    def rests(self, place: Place) -> bool:
        """Whether nobody changes the folder any more, as far as its files tell."""
        return snapshot.rests(f"{self._queue.root}/{place.state}/{place.folder}", self._now, self._settle)

    def save(self, places: Iterable[Place]) -> None:
        """Keep what was parsed for the next process; `places`: all tasks that there are."""
        self._cache.keep([f"{self._queue.root}/{place.state.value}/{place.folder}" for place in places])
        self._cache.save()
