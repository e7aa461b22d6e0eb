"""What one look at the queue sees: every task with its spec, its record, and what only the files can tell of it."""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.core.candidate import Candidate, Waiting, WaitingKind
from orchestrator.core.lease import Lease
from orchestrator.core.record import Record
from orchestrator.core.spec import Spec
from orchestrator.core.task import Place, State, name_problem
from orchestrator.core.value import Value
from orchestrator.errors import SpecError, StoreError
from orchestrator.store import cache as specs
from orchestrator.store import durable, layouts, leases, records, specfile, unrun
from orchestrator.store.cache import SpecCache
from orchestrator.store.queue import Queue

SETTLE = 1.0
FUTURE = 60.0  # a file stamped later than this from now tells of a clock that was set back, not of a fresh change
AGAIN = 3  # looks for a task that moved while it was read
MANY = 10_000  # entries of a task's folders that are looked at; a drop this large is judged by its first part
EDITED = re.compile(r"^\..+\.(?:sw[a-p]|kate-swp)$|^\.#")
PRIORITY = re.compile(rb"""^(?:\{.*?)?["']?priority["']?[ \t]*:[ \t]*([+-]?\d{1,7})\b""", re.MULTILINE)
GLANCED = 4096  # bytes of a spec that are searched for its priority
CONTROL = ".orch"
READY = f"{CONTROL}/ready"
SEALED = f"{CONTROL}/sealed/{{}}/SEALED.json"  # `seal.Sealed.keep` writes it last
MOVED = (State.BLOCKED, State.CONVERGED)  # where whatever a loop puts has a record
WORKED_ON = (State.PENDING, State.RUNNING)
KEPT_FIRST = (State.RUNNING, State.CONVERGED, State.BLOCKED, State.PENDING)

Accounts = Callable[[Spec], object]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Listing(Value):
    """What lies at the top of one folder, links not followed; the newest ctime inside it; a file that an editor keeps while it
    has another one open."""

    top: Mapping[str, os.stat_result]
    newest: float
    edited: str | None


def read_all(
    queue: Queue,
    cache: SpecCache | None = None,
    *,
    states: Iterable[State] = State,
    settle: float = SETTLE,
    accounts: Accounts | None = None,
) -> tuple[Candidate, ...]:
    """Every task of these states as it is now. Nothing here takes long or changes a task; what can't be read is shown so.
    `accounts` are those of a task that may be worked on, or anything else where they can't be told."""
    wanted = frozenset(states)
    cache = SpecCache.of(queue.control) if cache is None else cache
    now = queue.now()
    places = queue.places()
    doubles = duplicates(queue, places)
    look = Look(queue, cache, now, settle, accounts)
    seen = {place: look.at(place, doubles.get(place)) for place in places if place.state in wanted}
    found = [*filter(None, seen.values())]
    gone = {place.name for place, there in seen.items() if not there} - {each.name for each in found}
    found += _followed(look, gone, wanted)
    cache.save(prune=wanted == frozenset(State))
    return tuple(found)


def _followed(look: Look, names: Collection[str], wanted: Collection[State]) -> Iterator[Candidate]:
    """Those that moved after they were listed, where they are by now: a task that is claimed, or ends, just then is still a task.
    What goes on moving is left out in the end."""
    for _ in range(AGAIN if names else 0):
        places = (place for place in look.queue.places() if place.name in names and place.state in wanted)
        seen = {place: look.at(place, None) for place in places}
        there = [*filter(None, seen.values())]
        yield from there
        names = {place.name for place in seen} - {each.name for each in there}


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


def rests(folder: str, now: float, settle: float) -> bool:
    """Whether nothing in a task's folder has changed for `settle` seconds; of one that can't be listed nothing is known."""
    try:
        return not _fresh(now - _listed(folder).newest, settle)
    except OSError:
        return True


def _fresh(age: float, settle: float) -> bool:
    return -FUTURE < age < settle


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Look(Value):
    """One moment's look. Paths are plain strings here: thousands of folders are passed through at each one."""

    queue: Queue
    cache: SpecCache
    now: float
    settle: float
    accounts: Accounts | None = None

    def at(self, place: Place, double: str | None) -> Candidate | None:
        """The candidate, or None where the folder is not there any more."""
        folder = f"{self.queue.root}/{place.state.value}/{place.folder}"
        try:
            status = os.lstat(folder)
            link = stat.S_ISLNK(status.st_mode)  # what it leads to isn't ours
            listing = _listed(folder) if place.state is State.PENDING and not link else None
            known = None if link else self.cache.read(folder, self.now, listing.top if listing else None)
            reading, arrived = known or (specs.read(Path(folder)), status.st_ctime)  # the spec's own ctime: no move changes that
            controlled = listing is None or CONTROL in listing.top
            problems = [*_name_problems(place, double), *reading.lines(folder), *_immovable(place, folder, controlled=controlled)]
            record = _record(place, folder) if controlled else None
            unread = _unread(folder) if record is None and place.state in MOVED and not link else None
            if listing and controlled and record is None:
                problems += _record_problems(folder)
            if listing and reading.spec and not problems:
                problems += _evaluator_problems(folder, reading.spec, listing)
            holds = tuple(self._holds(place, folder, listing)) if listing else ()
        except FileNotFoundError:
            return None
        except OSError as error:
            return Candidate(place, None, problems=(f"{folder}: {(error.strerror or 'it cannot be read').lower()}",))
        lease = leases.read(Path(folder)) if place.state is State.RUNNING else None
        if record and place.state is not State.RUNNING and self.queue.brought(record, place):
            record = None  # a copy: what another task waits for, used or landed is nothing to it; its claim sets that aside
        return Candidate(
            place=place,
            spec=_judging(place, folder, _warned(folder, reading.spec, listing), record, lease),
            record=record,
            problems=tuple(problems),
            holds=holds,
            arrived=arrived,
            lease=lease,
            heartbeat_age=leases.age(Path(folder), self.now) if lease else None,
            accounts=self._accounts(place, reading.spec),
            unread=unread,
        )

    def _accounts(self, place: Place, spec: Spec | None) -> tuple[str, ...]:
        found = self.accounts(spec) if self.accounts and spec and place.state in WORKED_ON else ()
        return found if isinstance(found, tuple) else ()

    def _holds(self, place: Place, folder: str, listing: Listing) -> Iterator[Waiting]:
        """Why a pending folder is left alone for now, whatever its spec says."""
        controlled = CONTROL in listing.top
        if not (controlled and os.path.lexists(f"{folder}/{READY}")):
            age = self.now - listing.newest
            if _fresh(age, self.settle):
                detail = f"something in it changed {max(age, 0.0):.1f} s ago; it is left alone for {self.settle:g} s"
                yield Waiting(WaitingKind.SETTLING, detail)
        if listing.edited:
            yield Waiting(
                WaitingKind.EDITOR, f"an editor has a file of it open ({listing.edited}); close it, or delete that file"
            )
        lease = leases.last(folder) if controlled else None
        if lease and self.queue.owner_alive(lease.token) and not self.queue.copied(folder, place.name, place.inode):
            yield Waiting(WaitingKind.STOPPING, f"its last worker (process {lease.owner.pid}) is still stopping")


def _record(place: Place, folder: str) -> Record | None:
    """The record. Where a person took the folder from its holder it ends in no reason, if there is one at all: then with what
    the holder said last, as the next claim reads it."""
    record = records.peek(folder, running=place.state is State.RUNNING)
    taken = record.reason is None if record else place.state in MOVED
    return records.peek(folder, running=True) if taken and place.state is not State.RUNNING else record


def _judging(place: Place, folder: str, spec: Spec | None, record: Record | None, lease: Lease | None) -> Spec | None:
    """The spec with what decides on the task's numbers as it was when they were measured: an edit counts from the next claim."""
    sealed = None
    if lease and lease.spec:
        sealed = specfile.from_json(lease.spec)
    elif place.state is State.CONVERGED and record and record.seal and not (spec and _as_sealed(folder, record.seal)):
        from orchestrator.store import seal  # hardly anybody edits what was claimed

        sealed = seal.judged(Path(folder), record.seal)
    if sealed is None or spec is None:
        return spec or sealed
    return spec if spec.metrics == sealed.metrics else replace(spec, metrics=sealed.metrics)


def _as_sealed(folder: str, digest: str) -> bool:
    """Whether nobody has written the spec since it was sealed; the record is written later than that, again and again."""
    found = specfile.files_of(folder)
    try:
        sealed = os.stat(f"{folder}/{SEALED.format(digest[:12])}")  # noqa: PTH116 - thousands of them, as above
    except OSError:
        return found is None
    return found is None or found[0].st_mtime <= sealed.st_mtime


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
    somebody has just begun to fill. Of a thousand tasks most are two files: this is what a look at them costs."""
    with os.scandir(folder) as entries:
        top = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    names = [name for name in top if name != CONTROL]
    if not names:
        return Listing(top, os.stat(folder).st_ctime, None)  # noqa: PTH116 - as everything here
    newest = max([top[name].st_ctime for name in names])
    edited = next((name for name in names if name[0] == "." and EDITED.match(name)), None)
    for inner, changed in _inside([f"{folder}/{name}" for name in names if stat.S_ISDIR(top[name].st_mode)]):
        newest = max(newest, changed)
        edited = inner if inner[0] == "." and EDITED.match(inner) else edited
    return Listing(top, newest, edited)


def _inside(folders: list[str]) -> Iterator[tuple[str, float]]:
    """Name and ctime of everything in these folders, links not followed."""
    left = MANY
    while folders and left > 0:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                left -= 1
                yield entry.name, entry.stat(follow_symlinks=False).st_ctime
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)


def _immovable(place: Place, folder: str, *, controlled: bool) -> Iterator[str]:
    """To move a folder one has to be allowed to write into it, too, and to claim it, into its `.orch`: another's (of somebody
    who used `sudo` once) would be chosen again and again, never be had, and keep all others waiting."""
    if place.state is not State.PENDING:
        return
    for path in (folder, f"{folder}/{CONTROL}") if controlled else (folder,):
        if not os.access(path, os.W_OK) and durable.is_folder(path) and os.access(f"{folder}/..", os.W_OK):
            yield f"{path}: found a folder that you may not write to, expected one of yours; `chown` or copy it"


def _unread(folder: str) -> str | None:
    """Why a record that is there can't be read: without it nobody knows of what was done, and that is no move by hand."""
    try:
        records.read(folder)
    except StoreError as error:
        return error.message
    return None


def _record_problems(folder: str) -> Iterator[str]:
    """A claim sets aside what is no record. One that can't be read at all may be a good one: nobody goes on without it."""
    try:
        records.read(folder)
    except records.BadRecord:
        return
    except StoreError as error:
        yield error.told


def _name_problems(place: Place, double: str | None) -> Iterator[str]:
    if problem := name_problem(place.name):
        yield f"{place.name!r} can't be a task's name: {problem}; rename the folder"
    if double:
        yield double


def _warned(folder: str, spec: Spec | None, listing: Listing | None) -> Spec | None:
    """The spec with what its folder's other files tell."""
    told = tuple(unrun.warnings(folder, listing.top, spec)) if spec and listing else ()
    return replace(spec, warnings=(*spec.warnings, *told)) if spec and told else spec


def _evaluator_problems(folder: str, spec: Spec, listing: Listing) -> list[str]:
    try:
        layouts.evaluator(folder, spec, listing.top)
        layouts.holdout(folder, spec)
    except SpecError as error:
        return [str(problem) for problem in error.problems]
    return []
