"""What the loop knows of the queue between two looks. A cache: what is claimed was read again a moment before."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from orchestrator.core import attention, budget
from orchestrator.core.attention import OffBase
from orchestrator.core.budget import Budget
from orchestrator.core.candidate import Candidate, WaitingKind
from orchestrator.core.graph import cycles
from orchestrator.core.outcome import Spend
from orchestrator.core.readiness import World, not_before
from orchestrator.core.record import Pause, Record
from orchestrator.core.selection import order_key
from orchestrator.core.task import Place, State
from orchestrator.loop.backlog import Backlog, Clock
from orchestrator.loop.names import Names, everywhere
from orchestrator.loop.ordering import Entry, Ordering
from orchestrator.store import ledger, snapshot, specfile
from orchestrator.store.ledger import Ledger
from orchestrator.store.queue import Queue

NO_BUDGET = Budget()
REST = 1.0  # seconds after which a folder that only settles is read before what is still unread, at least
LEAF = 2  # links to a folder without folders in it, on most file systems

Read = Callable[[Place, str | None], Candidate]  # the second: which other folder has the same name, in words


class Index:
    """`refresh` first, then ask. `read` makes a Candidate of a Place, from the files."""

    def __init__(
        self, queue: Queue, read: Read, *, first: str | None = None, settle: float = REST, clock: Clock = time.monotonic
    ) -> None:
        """`first`: the task that is wanted before any other. `settle`: seconds after which a folder at rest has settled."""
        self._queue = queue
        self._read = read
        self.names = Names(queue)
        self._first = first
        self._rest = max(REST, settle)
        self._clock = clock
        self._backlog = Backlog(self._glance, clock)
        self._entries: dict[str, Entry] = {}
        self._order = Ordering()
        self._depends: dict[str, tuple[str, ...]] = {}
        self._cycles: Mapping[str, tuple[str, ...]] = {}
        self._entangled = False  # the dependencies have changed since cycles were looked for
        self._parents: frozenset[str] = frozenset()  # of pending tasks
        self._remembered: frozenset[str] = frozenset()
        self._restless: set[str] = set()
        self._parked: set[str] = set()
        self._paused: set[str] = set()  # those whose records tell of an account that refuses work
        self._ledger = Ledger(queue)
        self.followed: dict[str, Place] = {}  # what only an edit can make ready: invalid tasks and drafts
        self.version = 0  # grows when anything that scheduling depends on has changed

    # Looking

    def refresh(self, mono: float, *, full: bool = False, touched: Iterable[str] = ()) -> None:
        """Make this what the files say: names where a state folder changed, contents where they are new, touched or restless.
        Of very many only as many as a slice of time allows: while some are `unread`, refresh again.

        `full`: look at everything, whatever seems unchanged. `mono` is this process's monotonic clock.
        """
        doubles = self.names.doubles
        change = self.names.refresh(mono, full=full)
        self._ledger.forget(change.went)
        for place in change.went:
            self._forget(place.folder) if place.state is State.PENDING else None
        pending = self.names.places(State.PENDING)
        again = {place.folder for place in change.came if place.state is State.PENDING}
        again |= {place.folder for place in doubles.keys() ^ self.names.doubles.keys()}
        again |= {*touched, *((*self.changed(), *self._refused()) if full else ())}
        again.update(self._unrested())
        self._backlog.add(again & pending.keys())
        for folder in self._backlog.take():
            if folder in pending:
                self._reread(pending[folder])
        if full or any(place.state is State.CONVERGED for place in change.went):
            self._remembered = self._queue.removed.names()
        self._arrange(changed=bool(change) or full)

    def reread(self, place: Place) -> Candidate | None:
        """The task as it is at this moment, None where it has gone."""
        if self.names.places(State.PENDING).get(place.folder) is not place:
            return None
        candidate = self._reread(place)
        self._arrange()
        return candidate

    # Asking

    def changed(self) -> Iterator[str]:
        """The folders that look different from when they were read."""
        return (folder for folder, entry in self._entries.items() if entry.key is None or entry.key != self._key(folder))

    def _refused(self) -> Iterator[str]:
        """The folders of tasks that can't be used as they are: what is wrong may be mended, or pass, without a trace in them."""
        return (folder for folder in self.followed if self._entries[folder].candidate.problems)

    @property
    def candidates(self) -> Iterator[Candidate]:
        """The pending tasks in the order in which they are tried."""
        return (entry.candidate for entry in self._order)

    def hopeful(self, world: World) -> Iterator[Candidate]:
        """The same without most of those that can't start, so that thousands of them cost next to nothing."""
        for entry in self._order:
            if entry.parent is not None:
                if not world.satisfied(entry.parent):
                    continue
                entry.parent = None
            spec = entry.candidate.spec
            if spec is None or spec.draft or entry.candidate.problems or entry.candidate.holds:
                continue
            entry.parent = next((parent for parent in spec.depends_on if not world.satisfied(parent)), None)
            if entry.parent is None:
                yield entry.candidate

    @property
    def everything(self) -> Iterator[Candidate]:
        """Every task; those that aren't pending without their spec and record."""
        yield from self.candidates
        others = everywhere(self.names, State.RUNNING, State.BLOCKED, State.CONVERGED)
        # A folder in running without a token runs nothing: a person's copy that can't go back, since its name is taken.
        yield from (Candidate(place, None) for place in others if place.token or place.state is not State.RUNNING)

    def world(self, now: float = 0.0, day: Budget = NO_BUDGET) -> World:
        """What readiness depends on beside a task's own folder. `day` is what all tasks together may use in one."""
        return World(
            states=self.names.states, converged_before=self._remembered, cycles=self._cycles,
            paused=self._pauses(now), overspent=self._overspent(now, day), off_base=self._off_base(),
        )  # fmt: skip

    def used(self, since: float) -> Spend:
        """What finished attempts have used since then (epoch), of all tasks that are still there."""
        told = self._ledger.records(everywhere(self.names, *State))
        return sum((attempt.spend for _, record in told for attempt in record.history if attempt.at >= since), Spend())

    def parents(self) -> frozenset[str]:
        """The names that a task which hasn't converged depends on."""
        others = (self._read(place, None) for place in everywhere(self.names, State.RUNNING, State.BLOCKED))
        elsewhere = (each.spec.depends_on for each in others if each.spec is not None)
        return frozenset(parent for parents in (*self._depends.values(), *elsewhere) for parent in parents)

    @property
    def unread(self) -> int:
        """How many pending tasks are there of which nothing is known yet."""
        return len(self._backlog)

    @property
    def restless(self) -> bool:
        """Whether a task is settling, being edited or left by a worker that still stops: look again soon."""
        return bool(self._restless)

    @property
    def settling(self) -> bool:
        """Whether one of them only has to rest. An editor's file may lie there for days, a stopped worker live as long."""
        return any(_only_settles(self._entries[folder].candidate) for folder in self._restless)

    @property
    def invalid(self) -> list[Candidate]:
        """What can't be used as it is, and isn't just being written."""
        found = (self._entries[folder].candidate for folder in self.followed)
        return [candidate for candidate in found if candidate.problems and not candidate.holds]

    def next_due(self, now: float) -> float | None:
        """When the first parked task may go on (epoch), None where none is parked."""
        parked = (not_before(self._record(folder), now) for folder in self._parked)
        ends = (pause.until for pause in self._pauses(now).values())
        return min((due for due in (*parked, *ends) if due is not None), default=None)

    # Inside

    def _pauses(self, now: float) -> Mapping[str, Pause]:
        pending = [(State.PENDING, record) for record in map(self._record, self._paused) if record is not None]
        others = self._ledger.records(everywhere(self.names, State.RUNNING, State.BLOCKED))
        return ledger.paused((*pending, *others), now)

    def _overspent(self, now: float, day: Budget) -> str | None:
        if day == NO_BUDGET:
            return None
        return budget.overspent(ledger.used_today(self._ledger.records(everywhere(self.names, *State)), now), day)

    def _off_base(self) -> Mapping[str, OffBase]:
        """The parents whose work waits in a pull request or was undone."""
        places = (self.names.where(name) for name in self._parents)
        converged = (place for place in places if place is not None and place.state is State.CONVERGED)
        told = ((place, record) for place in converged for _, record in self._ledger.records((place,), again=True))
        return {place.name: why for place, record in told if (why := attention.off_base(record, place))}

    def _record(self, folder: str) -> Record | None:
        return self._entries[folder].candidate.record

    def _glance(self, folder: str) -> tuple[float, float, str]:
        if folder == self._first:
            return (float("-inf"), 0.0, folder)
        return snapshot.glance(f"{self._queue.pending}/{folder}")

    def _reread(self, place: Place) -> Candidate:
        key = self._key(place.folder)  # before reading: a change in between is seen as one next time
        candidate = self._read(place, self.names.doubles.get(place))
        before = self._entries.get(place.folder)
        if before is not None and before.candidate == candidate:
            before.key, before.at = key, self._clock()
            return candidate
        self._forget(place.folder)
        self._remember(Entry(candidate, key, order_key(candidate), self._clock()))
        return candidate

    def _unrested(self) -> Collection[str]:
        """Restless folders to read again: all of them once nothing is unread, or there would always be something; until then
        those that may have settled meanwhile, or an urgent one would wait for thousands that came with it."""
        if not self.unread:
            return self._restless
        entries = ((folder, self._entries[folder]) for folder in self._restless)
        now = self._clock()
        return [folder for folder, entry in entries if now - entry.at >= self._rest and _only_settles(entry.candidate)]

    def _remember(self, entry: Entry) -> None:
        candidate, folder = entry.candidate, entry.candidate.place.folder
        self._entries[folder] = entry
        self._order.add(entry)
        if candidate.holds:
            self._restless.add(folder)
        if candidate.record is not None and candidate.record.not_before is not None:
            self._parked.add(folder)
        if candidate.record is not None and candidate.record.pauses:
            self._paused.add(folder)
        if candidate.spec is None or candidate.problems or candidate.spec.draft:
            self.followed[folder] = candidate.place
        if candidate.spec is not None and candidate.spec.depends_on:
            self._depends[candidate.name] = candidate.spec.depends_on
            self._entangled = True

    def _forget(self, folder: str) -> None:
        self._backlog.drop(folder)
        entry = self._entries.pop(folder, None)
        if entry is None:
            return
        self._order.drop(entry)
        self._restless.discard(folder)
        self._parked.discard(folder)
        self._paused.discard(folder)
        self.followed.pop(folder, None)
        if self._depends.pop(entry.candidate.name, None):
            self._entangled = True

    def _arrange(self, *, changed: bool = False) -> None:
        """Bring order and cycles up to date with what was remembered and forgotten."""
        if self._order.arrange() or changed:
            self.version += 1
        if self._entangled:
            self._cycles = cycles(self._depends)
            self._parents = frozenset(parent for parents in self._depends.values() for parent in parents)
            self._entangled = False

    def _key(self, folder: str) -> object:
        """What tells most changes of a task without reading it; None where it can't be told. The rest is seen when the task is
        about to be claimed."""
        path = f"{self._queue.pending}/{folder}"
        inside, spec = _print(path), _print(f"{path}/{specfile.SPEC}")
        if inside is None or inside[-1] == LEAF:
            return inside and (inside, spec)
        other = _print(f"{path}/{specfile.AUTO}")
        return inside, spec, other, other and _print(f"{path}/{specfile.AUTO_SPEC}")


def _print(path: str) -> tuple[int, ...] | None:
    """What changes with a file; of a folder the ctime tells that it was taken and put back."""
    try:
        status = os.stat(path)  # noqa: PTH116 - for 5,000 tasks
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_nlink)


def _only_settles(candidate: Candidate) -> bool:
    return all(hold.kind is WaitingKind.SETTLING for hold in candidate.holds)
