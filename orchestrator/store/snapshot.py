"""What one look at the queue sees: every task with its spec, its record, and what only the files can tell of it."""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.candidate import Candidate, Waiting, WaitingKind
from orchestrator.core.spec import Spec
from orchestrator.core.task import Place, State, name_problem
from orchestrator.errors import SpecError
from orchestrator.store import cache as specs
from orchestrator.store import layouts, leases, records, specfile
from orchestrator.store.cache import SpecCache
from orchestrator.store.queue import Queue

SETTLE = 1.0
FUTURE = 60.0  # a file stamped later than this from now tells of a clock that was set back, not of a fresh change
MANY = 10_000  # entries of one folder that are looked at; a drop this large is judged by its first part
EDITED = re.compile(r"^\..+\.(?:sw[a-p]|kate-swp)$|^\.#")
PRIORITY = re.compile(rb"""^(?:\{.*?)?["']?priority["']?[ \t]*:[ \t]*([+-]?\d{1,7})\b""", re.MULTILINE)
GLANCED = 4096  # bytes of a spec that are searched for its priority
CONTROL = ".orch"
READY = f"{CONTROL}/ready"
KEPT_FIRST = (State.RUNNING, State.CONVERGED, State.BLOCKED, State.PENDING)


@dataclass(frozen=True, slots=True)
class Listing:
    """One folder's names, the newest ctime inside it, and a file that an editor keeps while it has another one open."""

    names: tuple[str, ...]
    newest: float
    edited: str | None


def read_all(
    queue: Queue, cache: SpecCache | None = None, *, states: Iterable[State] = State, settle: float = SETTLE
) -> tuple[Candidate, ...]:
    """Every task of these states as it is now. Nothing here takes long or changes a task; what can't be read is shown so."""
    wanted = frozenset(states)
    cache = SpecCache.of(queue.control) if cache is None else cache
    now = queue.now()
    places = queue.places()
    doubles = duplicates(queue, places)
    look = Look(queue, cache, now, settle)
    seen = (look.at(place, doubles.get(place)) for place in places if place.state in wanted)
    found = tuple(candidate for candidate in seen if candidate is not None)
    cache.save(prune=wanted == frozenset(State))
    return found


def candidate(
    queue: Queue, place: Place, cache: SpecCache, now_fs: float, *, settle: float = SETTLE, double: str | None = None
) -> Candidate:
    """One task as it is now; `now_fs` is `Queue.now()`, `double` what `duplicates` says of it.

    A folder that went away meanwhile is one that settles: the next look finds it where it is.
    """
    moved = Waiting(WaitingKind.SETTLING, "it moved while it was read")
    return Look(queue, cache, now_fs, settle).at(place, double) or Candidate(place, None, holds=(moved,))


def duplicates(queue: Queue, places: Iterable[Place]) -> Mapping[Place, str]:
    """Folders that must not be claimed because another one has their name, each with both paths in words."""
    by_name: defaultdict[str, list[Place]] = defaultdict(list)
    for place in places:
        by_name[place.name].append(place)
    found: dict[Place, str] = {}
    for same in by_name.values():
        if len(same) > 1:
            first, *rest = sorted(same, key=lambda place: (KEPT_FIRST.index(place.state), place.folder))
            words = f"a second folder of this name: {queue.path(first)}"
            found.update(
                {place: f"{queue.path(place)}: found {words}, expected one; rename or remove one of them" for place in rest}
            )
    return found


@dataclass(frozen=True, slots=True)
class Look:
    """One moment's look. Paths are plain strings here: thousands of folders are passed through at each one."""

    queue: Queue
    cache: SpecCache
    now: float
    settle: float

    def at(self, place: Place, double: str | None) -> Candidate | None:
        """The candidate, or None where the folder is not there any more."""
        folder = f"{self.queue.root}/{place.state.value}/{place.folder}"
        try:
            status = os.lstat(folder)
            link = stat.S_ISLNK(status.st_mode)  # what it leads to isn't ours
            listing = _listed(folder) if place.state is State.PENDING and not link else None
            known = None if link else self.cache.read(folder, self.now, listing.names if listing else None)
            reading, arrived = known or (specs.read(Path(folder)), status.st_ctime)  # the spec's own ctime: no move changes that
            problems = [*_name_problems(place, double), *reading.lines(folder)]
            if listing and reading.spec and not problems:
                problems += _evaluator_problems(folder, reading.spec, listing)
            holds = tuple(self._holds(place, folder, listing)) if listing else ()
        except FileNotFoundError:
            return None
        except OSError as error:
            return Candidate(place, None, problems=(f"{folder}: {(error.strerror or 'it cannot be read').lower()}",))
        lease = leases.read(Path(folder)) if place.state is State.RUNNING else None
        controlled = listing is None or CONTROL in listing.names
        return Candidate(
            place=place,
            spec=reading.spec,
            record=records.peek(folder, running=place.state is State.RUNNING) if controlled else None,
            problems=tuple(problems),
            holds=holds,
            arrived=arrived,
            lease=lease,
            heartbeat_age=leases.age(Path(folder), self.now) if lease else None,
        )

    def _holds(self, place: Place, folder: str, listing: Listing) -> Iterator[Waiting]:
        """Why a pending folder is left alone for now, whatever its spec says."""
        controlled = CONTROL in listing.names
        if not (controlled and os.path.lexists(f"{folder}/{READY}")):
            age = self.now - listing.newest
            if -FUTURE < age < self.settle:
                detail = f"something in it changed {max(age, 0.0):.1f} s ago; it is left alone for {self.settle:g} s"
                yield Waiting(WaitingKind.SETTLING, detail)
        if listing.edited:
            yield Waiting(
                WaitingKind.EDITOR, f"an editor has a file of it open ({listing.edited}); close it, or delete that file"
            )
        lease = leases.last(folder) if controlled else None
        if lease and self.queue.owner_alive(lease.token) and not records.copied(folder, place.name, place.inode):
            yield Waiting(WaitingKind.STOPPING, f"its last worker (process {lease.owner.pid}) is still stopping")


def glance(folder: str) -> tuple[int, float, str]:
    """Where a pending task will probably come in the order of claiming (`core.selection`), without parsing anything."""
    name = os.path.basename(folder)  # noqa: PTH119 - thousands of them, as above
    try:
        path = specfile.path_of(Path(folder))
        if path is None:
            return (0, 0.0, name)
        arrived = os.lstat(path).st_ctime
        with open(path, "rb", buffering=0, opener=specfile.careful) as file:
            start = file.read(GLANCED) or b""
    except OSError:
        return (0, 0.0, name)
    header = start[: start.find(b"\n---")] if start.startswith(b"---") else b""
    match = PRIORITY.search(header)
    return (-int(match[1]) if match else 0, arrived, name)


def _listed(folder: str) -> Listing:
    """One pass over a folder: `.orch` and the folder itself don't count, since we write there; but for an empty one, which
    somebody has just begun to fill."""
    names: list[str] = []
    newest = 0.0
    edited = None
    for name, changed, top in _entries(folder):
        newest = max(newest, changed)
        if top:
            names.append(name)
        if name[0] == "." and EDITED.match(name):
            edited = name
    if all(name == CONTROL for name in names):
        newest = os.stat(folder).st_ctime  # noqa: PTH116 - as everything here
    return Listing(tuple(names), newest, edited)


def _entries(folder: str) -> Iterator[tuple[str, float, bool]]:
    """Name, ctime and whether it lies at the top, of everything inside, links not followed."""
    left = MANY
    waiting = [folder]
    while waiting and left > 0:
        path = waiting.pop()
        top = path is folder
        with os.scandir(path) as entries:
            for entry in entries:
                left -= 1
                control = top and entry.name == CONTROL
                yield entry.name, 0.0 if control else entry.stat(follow_symlinks=False).st_ctime, top
                if not control and entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _name_problems(place: Place, double: str | None) -> Iterator[str]:
    if problem := name_problem(place.name):
        yield f"{place.name!r} can't be a task's name: {problem}; rename the folder"
    if double:
        yield double


def _evaluator_problems(folder: str, spec: Spec, listing: Listing) -> list[str]:
    try:
        layouts.evaluator(folder, spec, listing.names)
    except SpecError as error:
        return [str(problem) for problem in error.problems]
    return []
