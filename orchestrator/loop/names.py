"""Which task folders lie where. The state folders are listed anew whenever their time says that something came or went;
what follows from the names is then kept up to date by the difference, so that 5,000 waiting tasks cost 2 ms."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.core.readiness import LEAST_FINISHED
from orchestrator.core.task import Place, State, split_token
from orchestrator.core.value import Value
from orchestrator.store import durable, snapshot
from orchestrator.store.queue import Queue

TICK = 2.0  # the coarsest clock of a file system, in seconds


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Listing(Value):
    """A state folder as last listed. `settled`: listed once more so long after the folder's time changed that the next
    change must show in it."""

    mtime: int = -1
    since: float = 0.0
    settled: bool = False
    places: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Change(Value):
    """What came and what went between two looks. A folder that was replaced did both."""

    came: tuple[Place, ...] = ()
    went: tuple[Place, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.came or self.went)


class Names:
    """`refresh` first, then ask. A Place stays the same object for as long as its folder stays where it is."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._listed = {state: Listing() for state in State}
        self._homes: dict[str, list[Place]] = {}  # all folders of a name; a second one is somebody's mistake
        self._odd: set[Place] = set()
        self._shared: set[str] = set()
        self.states: dict[str, State] = {}
        self.doubles: Mapping[Place, str] = {}

    def refresh(self, mono: float, *, full: bool = False) -> Change:
        """Look again; what has changed. `full`: list even what seems unchanged. `mono` is our monotonic clock.

        Raises StoreError where one folder can't be listed; what the others say is then found by the next look.
        """
        came: list[Place] = []
        went: list[Place] = []
        listed = dict(self._listed)
        for state, listing in self._listed.items():
            mtime = _mtime(f"{self._queue.root}/{state}")
            if mtime == listing.mtime and listing.settled and not full:
                continue  # proves that nothing came or went, but for the clock tick in which it was set
            since = listing.since if mtime == listing.mtime else mono
            places, fresh = self._scan(state, listing.places)
            came += fresh
            if fresh or len(places) != len(listing.places):
                went += [place for folder, place in listing.places.items() if places.get(folder) is not place]
            listed[state] = Listing(mtime, since, mono - since > TICK, places)
        self._listed = listed
        change = Change(tuple(came), tuple(went))
        if change:
            self._follow(change)
        return change

    def places(self, state: State) -> Mapping[str, Place]:
        """What lies in a state folder, by the folder's name."""
        return self._listed[state].places

    def where(self, name: str) -> Place | None:
        """Where the task of that name is; of two folders of that name the one that counts, whatever state the other lies in."""
        return min(self._homes.get(name, ()), key=lambda place: (place in self.doubles, _unfinished(place)), default=None)

    def counts(self) -> dict[State, int]:
        return {state: len(listing.places) for state, listing in self._listed.items()}

    @property
    def odd(self) -> Collection[Place]:
        """Where a person left a name to be put right: a token outside running, or none inside."""
        return self._odd

    def _follow(self, change: Change) -> None:
        shared = set(self._shared)
        for place in change.went:
            self._homes[place.name].remove(place)
            self._odd.discard(place)
        for place in change.came:
            self._homes.setdefault(place.name, []).append(place)
            if (place.token is None) is (place.state is State.RUNNING):
                self._odd.add(place)
        for name in {place.name for place in (*change.went, *change.came)}:
            self._settle(name, self._homes[name])
        if shared or self._shared:
            homes = (place for name in self._shared for place in self._homes[name])
            self.doubles = snapshot.duplicates(self._queue, homes)

    def _settle(self, name: str, homes: list[Place]) -> None:
        self._shared.discard(name)
        if not homes:
            del self._homes[name]
            del self.states[name]
            return
        self.states[name] = min(homes, key=_unfinished).state
        if len(homes) > 1:
            self._shared.add(name)

    def _scan(self, state: State, known: Mapping[str, Place]) -> tuple[dict[str, Place], list[Place]]:
        """Everything that lies there, and what of it is new."""
        places: dict[str, Place] = {}
        fresh: list[Place] = []
        try:
            with os.scandir(f"{self._queue.root}/{state}") as entries:
                for entry in entries:
                    place = known.get(entry.name)
                    if place is None or place.inode != entry.inode():
                        if not entry.is_dir():
                            continue
                        name, token = split_token(entry.name)
                        place = Place(name, state, entry.name, token, entry.inode())
                        fresh.append(place)
                    places[entry.name] = place
        except FileNotFoundError:
            return {}, []
        except OSError as error:
            raise durable.explain(error, "read", self._queue.folder(state)) from error
        if state is State.RUNNING or not any(place.token for place in fresh):
            return places, fresh
        return self._tokens_checked(state, places, fresh)

    def _tokens_checked(self, state: State, places: dict[str, Place], fresh: list[Place]) -> tuple[dict[str, Place], list[Place]]:
        """Outside running a suffix is a token only if the files say so."""
        true = {place.folder: place for place in self._queue.places((state,))}
        certain = [true.get(place.folder, place) for place in fresh]
        return places | {place.folder: place for place in certain}, certain


def _unfinished(place: Place) -> int:
    return LEAST_FINISHED.index(place.state)


def _mtime(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116 - four times a tick
    except OSError:
        return -2


def everywhere(names: Names, *states: State) -> Iterator[Place]:
    """All places of these states."""
    for state in states:
        yield from names.places(state).values()
