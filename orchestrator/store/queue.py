"""The queue: four folders of task folders. Where a task lies is its state; every change of state here is one rename."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from orchestrator.core.lease import Identity, Lease
from orchestrator.core.record import Record, foreign
from orchestrator.core.task import TOKEN, Place, State, check_name, split_token
from orchestrator.errors import NoSuchTask, StoreError
from orchestrator.store import clearing, durable, leases, records
from orchestrator.store.claim import Claim
from orchestrator.store.owners import Owners
from orchestrator.store.removed import Removed

CONTROL = ("owners", "locks", "tmp", "cache")
CLOCK = ".clock"
SCRATCH_AGE = 86_400.0
Seen = dict[str, tuple[object, float]]


class Queue:
    """The tasks folder `root`. Holds no state of its own: two of them on one root never disagree for long."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 - resolving links would show people another path
        self.control = self.root / ".orch"
        self.pending = f"{self.root}/pending"
        self.running = f"{self.root}/running"
        self.owners = Owners(f"{self.control}/owners", self.me)
        self.removed = Removed(self.control / "converged.jsonl")
        self._identity: Identity | None = None

    def me(self) -> Identity:
        """This process, looked up once (and again in a forked child)."""
        if self._identity is None or self._identity.pid != os.getpid():
            from orchestrator.proc import identity

            self._identity = identity.here()
        return self._identity

    def folder(self, state: State) -> Path:
        return self.root / state.value

    def path(self, place: Place) -> Path:
        """Where the task was when `place` was seen. Look it up by name again before relying on it."""
        return self.root / place.state.value / place.folder

    def ensure(self) -> None:
        """Make the folders that are missing. Only for programs that start, never for a claim's holder."""
        durable.make_root(self.root)
        for folder in (*(self.folder(state) for state in State), self.control, *(self.control / name for name in CONTROL)):
            durable.mkdir(folder, point="ensure")
            if not folder.is_dir():
                raise StoreError(f"{folder} must be a folder.", hint="Move away what is there.")

    def there(self) -> bool:
        """Whether anything of the queue is left: a folder that was removed or unmounted as a whole isn't made again."""
        return any(folder.is_dir() for folder in (self.control, *map(self.folder, State)))

    def now(self) -> float:
        """The file system's clock, which is what the times of files are compared with."""
        return durable.now(self.control / "tmp" / CLOCK)

    # Looking

    def places(self, states: Iterable[State] = State) -> list[Place]:
        """Every task folder, and every link to one; files are none. Names that no task may have are included, to be shown."""
        found: list[Place] = []
        for state in states:
            try:
                with os.scandir(self.root / state.value) as entries:
                    found.extend(self._place(state, entry) for entry in entries if _folder_like(entry))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise durable.explain(error, "read", self.root / state.value) from error
        return found

    def find(self, name: str) -> Place:
        """The task of exactly that name, else the only one whose name begins so. Raises NoSuchTask."""
        places = self.places()
        exact = [place for place in places if place.name == name]
        matches = exact or [place for place in places if place.name.startswith(name) and name]
        if len(matches) == 1:
            return matches[0]
        if exact:
            where = " and ".join(str(self.path(place)) for place in exact)
            raise NoSuchTask(f"There is more than one task called {name!r}: {where}.", hint="Rename or remove one of them.")
        if matches:
            raise NoSuchTask(f"More than one task begins with {name!r}: {_some(matches)}.", hint="Write more of the name.")
        raise NoSuchTask(f"There is no task called {name!r} in {self.root}.", hint=_suggestion(name, places))

    def copied(self, folder: Path | str, name: str, inode: int) -> bool:
        """Whether `.orch` tells of another task: this folder is a copy of it, made maybe while that one ran (`rulings` 4)."""
        record = records.peek(folder)
        return record is not None and self.elsewhere(record, name, inode)

    def record(self, place: Place, *, running: bool = False) -> Record | None:
        """What is known of the task at `place`; of a copy, which brought along what is known of another one, nothing."""
        found, brought = self.told(place, running=running)
        return None if brought else found

    def tells_of_another(self, place: Place) -> bool:
        """Whether what was done and said, as the folder at `place` tells it, is another task's: a copy brought it along."""
        return self.told(place)[1]

    def told(self, place: Place, *, running: bool = False) -> tuple[Record | None, bool]:
        """The record that lies at `place`, and whether a copy brought it along."""
        found = records.peek(self.path(place), running=running)
        return found, found is not None and self.brought(found, place)

    def brought(self, record: Record, place: Place) -> bool:
        """Whether `record` came along with a copy, whose claim sets it aside. One that nobody claims any more, and whose original
        is gone, was put back from a backup by another name."""
        return foreign(record, place) and (place.state is State.PENDING or self._first(record) is not None)

    def elsewhere(self, record: Record, name: str, inode: int) -> bool:
        """Whether `record`, found in the folder of that name and inode, is that of another folder. Of one that has the name and
        another inode it is only where the first folder is still here: else the task was put back from a backup."""
        return record.inode != inode and (record.name != name or self._first(record) is not None)

    def original(self, place: Place, record: Record) -> Place | None:
        """The task whose folder `place` is a copy of, where that is here still; `record` is what `place` holds."""
        return self._first(record) if record.inode != place.inode else None

    def owner_alive(self, token: str) -> bool:
        """Whether the process behind `token` lives, as the kernel of this host knows it."""
        return self.owners.alive(token)

    # Claims

    def take(self, name: str) -> Claim | None:
        """Claim `pending/<name>`: the owner's lock first, then one rename. None where another was faster, or where the
        task's last worker is still stopping. The caller goes on with `Claim.begin`."""
        claim = self._claim(f"{self.pending}/{name}", name, point="claim")
        if claim and self._too_early(claim):
            self._put_back(claim)
            return None
        return claim

    def reclaim(self, place: Place) -> Claim | None:
        """Take a dead owner's task over by giving it a new token; None where another was faster. See `reclaimable`."""
        claim = self._claim(f"{self.running}/{place.folder}", place.name, point="reclaim")
        if claim and place.token:
            self.bury(place.token)
        return claim

    def left(self) -> list[str]:
        """The dead owners that nobody will take over from: no folder in running has their name any more."""
        return self.owners.left(lambda: frozenset(place.token for place in self.places((State.RUNNING,)) if place.token))

    def bury(self, token: str) -> None:
        """Remove what a dead owner left that no folder is named after: its scratch folder and its lock file. What can't be
        removed, or belongs to another host's owner, waits for `sweep`; a living owner's is left alone."""
        with contextlib.suppress(StoreError):
            if self.owners.bury(token, self.now()):
                self._clear(self.control / "tmp" / token)

    def reclaimable(self, now: float, seen: Seen) -> list[Place]:
        """Running tasks whose owner is dead. `now` is this process's monotonic clock; keep `seen` between calls.

        A held lock is a living owner. A free one is a dead owner at once, if it lived on this host. Otherwise the folder
        has to stay unchanged for the lease's time to live, or for 30 s while an executor is starting its worker: measured
        by our own clock only, so that no clock's jump and no two hosts' difference can steal a living task.
        """
        places = [place for place in self.places((State.RUNNING,)) if place.token]
        for gone in seen.keys() - {place.folder for place in places}:
            del seen[gone]
        return [place for place in places if self._dead(place, now, seen)]

    # Moves

    def move(self, place: Place, state: State) -> Place:
        """Move a task for a person: a token is stripped, nothing is ever replaced. Raises Gone, Taken."""
        if state is State.RUNNING:
            raise ValueError("only a claim moves a task to running")
        if (place.state, place.folder) != (state, place.name):
            target = self.folder(state) / place.name
            durable.rename(self.path(place), target, point="move", durable=True, inode=place.inode)
        return Place(place.name, state, place.name, None, place.inode)

    def settle_names(self, arriving: Collection[str] = ()) -> list[tuple[Place, Place]]:
        """Finish what people began by hand: strip the token of a folder moved out of running, put a folder without a
        token back to pending, unless it is still `arriving`. What would replace something stays where it is. Returns
        (before, after) of each. Raises StoreError, all others moved, where one can't be."""
        moved = []
        failed: StoreError | None = None
        for place in self.places():
            target = State.PENDING if place.state is State.RUNNING and place.token is None else place.state
            if target is State.RUNNING or (target is place.state and place.folder == place.name):
                continue
            if place.folder in arriving:
                continue
            try:
                moved.append((place, self.move(place, target)))
            except (durable.Gone, durable.Taken):
                continue  # moved on meanwhile; or a second folder of that name, which the status shows
            except StoreError as error:
                failed = failed or error
        if failed:
            raise failed
        return moved

    def scratch(self, token: str | None = None) -> Path:
        """A new empty folder in `.orch/tmp`, to build in what is then published by one rename; or, with its claim's `token`,
        for a worker to keep its own things in: should it die, whoever goes on knows by the name that they are nobody's."""
        folder = self.control / "tmp" / (token or os.urandom(6).hex())
        durable.mkdir(folder, point="scratch")
        return folder

    def publish(self, folder: Path, name: str, state: State = State.PENDING) -> Place:
        """Rename a finished folder of `.orch/tmp` into the queue, safe from a power cut. Raises Taken if the name is used."""
        self._check_unused(name)
        durable.sync_tree(folder)
        inode = folder.stat().st_ino
        durable.rename(folder, self.folder(state) / name, point="publish", durable=True, inode=inode)
        return Place(name, state, name, None, inode)

    def discard(self, place: Place) -> None:
        """Remove a task folder: out of sight by one rename, then deleted."""
        target = self.control / "tmp" / os.urandom(6).hex()
        durable.rename(self.path(place), target, point="discard", inode=place.inode)
        durable.remove_tree(target, point="discard.tree")

    def sweep(self) -> None:
        """Remove what crashes left behind: lock files of dead owners, their scratch folders, and what else a day did not
        change in `.orch/tmp`."""
        now = self.now()
        self.owners.sweep(self._named, now)
        cut = [path for path in _within(self.control) if path.name.startswith(".") and path.suffix == ".tmp"]
        for path in (*cut, *_within(self.control / "tmp")):
            if self._stale(path, now):
                self._clear(path)

    # Inside

    def _first(self, record: Record) -> Place | None:
        """The folder in which this record was written, if it is here."""
        same = (place for place in self.places() if place.inode == record.inode)
        return next((each for each in same if (other := records.peek(self.path(each))) and other.id == record.id), None)

    def _stale(self, path: Path, now: float) -> bool:
        """Whether nobody uses what lies in `.orch/tmp` any more. A worker's scratch folder may lie unchanged for a day; its
        owner has a file for life, though, and a folder named after it."""
        token = path.name
        if TOKEN.fullmatch(f".{token}"):
            return not self.owners.known(token) and token not in self._named()
        return path.name != CLOCK and now - _changed(path, now) > SCRATCH_AGE

    def _clear(self, path: Path) -> None:
        """Remove something of `.orch/tmp`, whatever its permissions are by now."""
        if durable.is_folder(path):
            clearing.remove(path)
        else:
            durable.unlink(path, point="sweep")

    def _check_unused(self, name: str) -> None:
        """Raise Misuse, or Taken, where no new task may have this name: names are unique over the four states."""
        check_name(name)
        if used := [place for place in self.places() if place.name == name]:
            raise durable.Taken(f"There is a task called {name!r} already: {self.path(used[0])}.", hint="Choose another name.")

    def _place(self, state: State, entry: os.DirEntry[str]) -> Place:
        name, token = split_token(entry.name)
        if token and state is not State.RUNNING and not self._is_token(entry.path, token):
            name, token = entry.name, None
        return Place(name, state, entry.name, token, entry.inode())

    def _is_token(self, folder: str, token: str) -> bool:
        """Whether a suffix outside running/ is a claim's: the lease inside names it, or an owner does, who is there before
        the lease is."""
        lease = leases.last(folder)
        return (lease is not None and lease.token == token) or self.owners.known(token)

    def _claim(self, source: str, name: str, *, point: str) -> Claim | None:
        lock = self.owners.acquire()
        target = f"{self.running}/{name}.{lock.token}"
        try:
            durable.rename(source, target, point=point, inode=durable.NOBODY_ELSES)
        except durable.Gone:
            self.owners.give_back(lock)
            return None
        except StoreError:
            lock.drop()
            raise
        return Claim(self, name, lock.token, lock, leases.last(target))

    def _too_early(self, claim: Claim) -> bool:
        """Whether the last worker of the task still stops. The lease in a copy is the original's, which may go on; and once in
        sixteen million claims the last one's token, whose file has gone, is drawn again: then the lock is our own."""
        if claim.previous is None or claim.previous.token == claim.token or not self.owner_alive(claim.previous.token):
            return False
        try:
            return not self.copied(claim.folder, claim.name, claim.folder.stat().st_ino)
        except FileNotFoundError:
            return True

    def _put_back(self, claim: Claim) -> None:
        """Undo a claim that came too early. Where that can't be done, the folder is reclaimed like a dead owner's."""
        with contextlib.suppress(durable.Gone, durable.Taken):
            durable.rename(claim.folder, f"{self.pending}/{claim.name}", point="claim.undo")
        claim.abandon()

    def _dead(self, place: Place, now: float, seen: Seen) -> bool:
        assert place.token is not None
        if self.owner_alive(place.token):  # nearly always: nothing is read of a hundred running tasks
            seen.pop(place.folder, None)
            return False
        lease = leases.last(self.path(place))
        if lease and lease.token != place.token and self.owner_alive(lease.token):
            seen.pop(place.folder, None)
            return False
        signature, patience = self._patience(place, lease)
        if patience == 0:
            return True
        before = seen.get(place.folder)
        if before is None or before[0] != signature:
            seen[place.folder] = (signature, now)
            return False
        return now - before[1] >= patience

    def _patience(self, place: Place, lease: Lease | None) -> tuple[object, float]:
        """How long this running folder must stay unchanged to count as abandoned, and what "unchanged" compares."""
        path = self.path(place)
        current = lease if lease and lease.token == place.token else None
        if current is None:
            owner = self.owners.read(place.token or "")
            local = owner is None or owner.identity.host == self.me().host
            return _changed(path, 0.0), 0.0 if local else leases.STARTING
        if current.starting_until is not None:
            return _written(path / leases.FILE), leases.STARTING
        if current.owner.host == self.me().host:
            return None, 0.0
        return _written(path / leases.FILE), current.ttl

    def _named(self) -> frozenset[str]:
        """Every token in a folder's name. That a lease inside names one is no reason to keep its file: no file, no owner."""
        return frozenset(place.token for place in self.places() if place.token)


def _within(folder: Path) -> list[Path]:
    """What lies in a folder, nothing where somebody has just removed it."""
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise durable.explain(error, "read", folder) from error


def _folder_like(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads nowhere
        return False


def _changed(path: Path, default: float) -> float:
    try:
        return path.stat().st_ctime
    except OSError:
        return default


def _written(path: Path) -> object:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _some(places: list[Place]) -> str:
    names = sorted(place.name for place in places)
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _suggestion(name: str, places: list[Place]) -> str:
    import difflib

    close = difflib.get_close_matches(name, [place.name for place in places], n=3)
    return f"Did you mean {' or '.join(close)}?" if close else "`orchestrator list` shows all of them."
