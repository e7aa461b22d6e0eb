"""What the loop knows of the queue between two looks. A cache: the names are listed anew whenever a state folder changed,
and what is claimed was read a moment before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.core.candidate import Candidate
from orchestrator.core.graph import cycles
from orchestrator.core.readiness import LEAST_FINISHED, World, not_before
from orchestrator.core.selection import order_key
from orchestrator.core.task import Place, State, split_token
from orchestrator.store import durable, snapshot
from orchestrator.store.queue import Queue

TICK = 2.0  # the coarsest clock of a file system, in seconds
RESTLESS = 500  # tasks that are settling or being edited, looked at in one tick

Read = Callable[[Place, str | None], Candidate]  # the second: which other folder has the same name, in words


@dataclass(frozen=True, slots=True)
class Listing:
    """A state folder as last listed. `settled`: listed once more so long after the folder's time changed that the next
    change must show in it."""

    mtime: int = -1
    since: float = 0.0
    settled: bool = False
    places: Mapping[str, Place] = field(default_factory=dict)


@dataclass(slots=True)
class Entry:
    """A pending task as last read, and what its files looked like then."""

    candidate: Candidate
    key: object
    order: tuple[int, float, str]


class Index:
    """`refresh` first, then ask. `read` makes a Candidate of a Place, from the files."""

    def __init__(self, queue: Queue, read: Read) -> None:
        self._queue = queue
        self._read = read
        self._listed = {state: Listing() for state in State}
        self._entries: dict[str, Entry] = {}
        self._sorted: list[Entry] = []
        self._states: dict[str, State] = {}
        self._cycles: Mapping[str, tuple[str, ...]] = {}
        self._remembered: frozenset[str] = frozenset()
        self._doubles: Mapping[Place, str] = {}
        self._stale = True
        self.version = 0  # grows when anything that scheduling depends on has changed
        self.odd_names = False  # a person left a name to be put right: a token outside running, or none inside

    # Looking

    def refresh(self, mono: float, *, full: bool = False, touched: Iterable[str] = ()) -> None:
        """Make this what the files say: names where a state folder changed, contents where they are new, touched or restless.

        `full`: look at everything, whatever seems unchanged. `mono` is this process's monotonic clock.
        """
        changed = self._list(mono, full=full)
        again = {*touched, *self._restless(), *(self._names(full=full) if changed or full else ())}
        pending = self.places(State.PENDING)
        for folder in self._entries.keys() - pending.keys() if changed else ():
            del self._entries[folder]
            self._stale = True
        for folder in pending if changed or full else again & pending.keys():
            if self._wants_reading(folder, pending[folder], again=folder in again, full=full):
                self._reread(pending[folder])
        if changed or self._stale:
            self.version += 1
        if self._stale:
            self._arrange()

    def reread(self, place: Place) -> Candidate | None:
        """The task as it is at this moment, None where it has gone."""
        if place.folder not in self.places(State.PENDING):
            return None
        candidate = self._reread(place)
        if self._stale:
            self.version += 1
        return candidate

    # Asking

    @property
    def candidates(self) -> Iterator[Candidate]:
        """The pending tasks in the order in which they are tried."""
        return (entry.candidate for entry in self._sorted)

    @property
    def everything(self) -> Iterator[Candidate]:
        """Every task; those that aren't pending without their spec and record."""
        yield from self.candidates
        for state in (State.RUNNING, State.BLOCKED, State.CONVERGED):
            yield from (Candidate(place, None) for place in self.places(state).values())

    def places(self, state: State) -> Mapping[str, Place]:
        """What lies in a state folder, by the folder's name."""
        return self._listed[state].places

    def where(self, name: str) -> Place | None:
        """Where the task of that name is; in two states at once, the least finished one."""
        state = self._states.get(name)
        if state is None:
            return None
        return next((place for place in self.places(state).values() if place.name == name), None)

    def world(self, agent: str | None) -> World:
        """What readiness depends on beside a task's own folder."""
        return World(states=self._states, converged_before=self._remembered, cycles=self._cycles, agent=agent)

    def parents(self) -> frozenset[str]:
        """The names that a task which hasn't converged depends on."""
        waiting = (entry.candidate for entry in self._sorted)
        others = (self._read(place, None) for state in (State.RUNNING, State.BLOCKED) for place in self.places(state).values())
        return frozenset(parent for each in (*waiting, *others) if each.spec is not None for parent in each.spec.depends_on)

    def counts(self) -> dict[State, int]:
        return {state: len(listing.places) for state, listing in self._listed.items()}

    @property
    def restless(self) -> bool:
        """Whether a task is settling, being edited or left by a worker that still stops: look again in a second."""
        return next(self._restless(), None) is not None

    @property
    def followed(self) -> dict[str, Place]:
        """The tasks that only an edit inside their folder can make ready: invalid ones and drafts."""
        return {folder: entry.candidate.place for folder, entry in self._entries.items() if _needs_edit(entry.candidate)}

    @property
    def invalid(self) -> list[Candidate]:
        """What can't be used as it is, and isn't just being written."""
        return [entry.candidate for entry in self._sorted if entry.candidate.problems and not entry.candidate.holds]

    def next_due(self, now: float) -> float | None:
        """When the first parked task may go on (epoch), None where none is parked."""
        return min(filter(None, (not_before(entry.candidate.record, now) for entry in self._sorted)), default=None)

    # Inside

    def _all(self) -> Iterator[Place]:
        for listing in self._listed.values():
            yield from listing.places.values()

    def _names(self, *, full: bool) -> Iterator[str]:
        """What follows from the names alone; the pending folders that became, or are no longer, second ones of their name."""
        if full:
            self._remembered = self._queue.remembered()
        self._states = {p.name: state for state in reversed(LEAST_FINISHED) for p in self.places(state).values()}
        self.odd_names = any((p.token is None) is (p.state is State.RUNNING) for p in self._all())
        before = self._doubles
        double = len(self._states) < sum(self.counts().values())
        self._doubles = snapshot.duplicates(self._queue, self._all()) if double else {}
        return (place.folder for place in before.keys() ^ self._doubles.keys() if place.state is State.PENDING)

    def _wants_reading(self, folder: str, place: Place, *, again: bool, full: bool) -> bool:
        entry = self._entries.get(folder)
        return entry is None or entry.candidate.place is not place or again or (full and self._changed(entry))

    def _list(self, mono: float, *, full: bool) -> bool:
        """List again what may have changed; whether it has. An unchanged mtime proves that nothing came or went, except
        within the file system's clock tick in which it was set."""
        changed = False
        for state, listing in self._listed.items():
            mtime = _mtime(self._queue.folder(state))
            if mtime == listing.mtime and listing.settled and not full:
                continue
            since = listing.since if mtime == listing.mtime else mono
            places = self._scan(state, listing.places)
            changed = changed or places != listing.places
            self._listed[state] = Listing(mtime, since, mono - since > TICK, places)
        return changed

    def _scan(self, state: State, known: Mapping[str, Place]) -> dict[str, Place]:
        """5,000 known names cost 2 ms: a Place is made for new ones only."""
        places: dict[str, Place] = {}
        try:
            with os.scandir(self._queue.folder(state)) as entries:
                for entry in entries:
                    place = known.get(entry.name)
                    if place is not None and place.inode == entry.inode():
                        places[entry.name] = place
                    elif entry.is_dir():
                        name, token = split_token(entry.name)
                        places[entry.name] = Place(name, state, entry.name, token, entry.inode())
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise durable.explain(error, "read", self._queue.folder(state)) from error
        if state is not State.RUNNING and any(place.token for place in places.values()):
            places |= {place.folder: place for place in self._queue.places((state,)) if place.folder in places}
        return places

    def _reread(self, place: Place) -> Candidate:
        key = self._key(place)  # before reading: a change in between is seen as one next time
        candidate = self._read(place, self._doubles.get(place))
        before = self._entries.get(place.folder)
        if before is None or before.candidate != candidate:
            self._entries[place.folder] = Entry(candidate, key, order_key(candidate))
            self._stale = True
        else:
            before.key = key
        return candidate

    def _changed(self, entry: Entry) -> bool:
        return entry.key is None or entry.key != self._key(entry.candidate.place)

    def _key(self, place: Place) -> object:
        """What tells a change of the spec or the record without reading them; None where it can't be told."""
        folder = str(self._queue.path(place))
        try:
            inside, spec = os.stat(folder), os.stat(f"{folder}/autoresearch.md")  # noqa: PTH116 - three a task, 5,000 tasks
        except OSError:
            return None
        try:
            record = os.stat(f"{folder}/.orch/state.json").st_mtime_ns  # noqa: PTH116
        except OSError:
            record = 0
        return (inside.st_ino, inside.st_mtime_ns, spec.st_ino, spec.st_size, spec.st_mtime_ns, spec.st_ctime_ns, record)

    def _restless(self) -> Iterator[str]:
        held = (folder for folder, entry in self._entries.items() if entry.candidate.holds)
        return (folder for folder, _ in zip(held, range(RESTLESS), strict=False))

    def _arrange(self) -> None:
        self._sorted = sorted(self._entries.values(), key=lambda entry: entry.order)
        specs = ((entry.candidate.name, entry.candidate.spec) for entry in self._sorted)
        depends = {name: spec.depends_on for name, spec in specs if spec is not None and spec.depends_on}
        self._cycles = cycles(depends)
        self._stale = False


def _needs_edit(candidate: Candidate) -> bool:
    return candidate.spec is None or bool(candidate.problems) or candidate.spec.draft


def _mtime(folder: os.PathLike[str]) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return -2
