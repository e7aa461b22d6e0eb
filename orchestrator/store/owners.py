"""Who is alive: every loop and every worker holds an flock for life on `tasks/.orch/owners/<token>`.

The kernel frees the lock the moment its holder dies, so a free lock is a dead owner, known within milliseconds. The file
lies outside the folder that moves, and says who the owner is, for other hosts and for the status.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from orchestrator.core.lease import Identity
from orchestrator.core.task import TOKEN
from orchestrator.core.value import Value
from orchestrator.errors import ClaimLost, OrchestratorError
from orchestrator.store import durable, locks

FORGET_AFTER = 30 * 86_400.0  # another host's lock may look free from here; its file goes only when this old
LARGEST = 512
PROBES = 100


class Kind(StrEnum):
    LOOP = "loop"
    ERRAND = "errand"  # a loop that works on one task and ends with it: it answers for nobody else's
    WORKER = "worker"


LOOPS = frozenset({Kind.LOOP, Kind.ERRAND})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Owner(Value):
    """What an owner's file says. `since` is by the file system's clock."""

    token: str
    kind: Kind
    identity: Identity
    since: float


class OwnerLock:
    """The open lock of a living owner. `close` leaves the lock to a child that inherited the descriptor; `drop` ends it."""

    __slots__ = ("_folder", "descriptor", "kind", "token")

    def __init__(self, folder: str, token: str, descriptor: int, kind: Kind) -> None:
        self._folder = folder
        self.kind = kind
        self.token = token
        self.descriptor = descriptor

    def fileno(self) -> int:
        return self.descriptor

    @property
    def started(self) -> float:
        """When this owner registered, by the file system's clock."""
        return os.fstat(self.descriptor).st_mtime

    def named(self) -> bool:
        """Whether the file is still where others look for it: else nobody finds the lock."""
        return _is(f"{self._folder}/{self.token}", self.descriptor)

    def control(self) -> Path:
        """The `.orch` that holds the file, where it is by now: it goes with a project that is moved."""
        return Path(os.readlink(f"/proc/self/fd/{self.descriptor}")).parents[1]  # noqa: PTH115

    def close(self) -> None:
        """Close our descriptor. The lock lives on while a child has its own copy."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def drop(self) -> None:
        """Remove the file and let go, in this order: a lock file without a holder must not stay behind."""
        if self.descriptor >= 0:
            durable.unlink(f"{self._folder}/{self.token}", point="owner.drop")
            self.close()


class Owners:
    """The folder of lock files. `me` says who this process is; it is asked at every registration."""

    def __init__(self, folder: str, me: Callable[[], Identity]) -> None:
        self._folder = folder
        self._me = me
        self._spares: list[tuple[int, OwnerLock]] = []

    def acquire(self, kind: Kind = Kind.WORKER) -> OwnerLock:
        """A lock under a token that nobody ever had."""
        while kind is Kind.WORKER and self._spares:
            maker, spare = self._spares.pop()
            if maker == os.getpid() and spare.named():  # a forked child must not use its parent's
                return spare
        return self._make(kind)

    def prepare(self) -> None:
        """Have one lock ready for the next claim: making its file costs as much as the claim's rename."""
        if not self._spares:
            self.give_back(self._make(Kind.WORKER))

    def give_back(self, lock: OwnerLock) -> None:
        """Keep a lock that no folder was named after for the next `acquire`."""
        self._spares.append((os.getpid(), lock))

    def close(self) -> None:
        """Remove what was kept ready; for a loop that ends. (After a crash the next one's `sweep` does it.)"""
        while self._spares:
            maker, spare = self._spares.pop()
            if maker == os.getpid():
                spare.drop()

    def adopt(self, token: str, descriptor: int | None, kind: Kind = Kind.WORKER) -> OwnerLock:
        """The lock of a claim that this process goes on with: inherited, or taken here. Raises ClaimLost if it is another's."""
        if descriptor is None:
            descriptor = durable.open_lock(f"{self._folder}/{token}", point="owner.adopt", new=False)
        os.set_inheritable(descriptor, False)  # an agent that inherited it would keep a dead worker alive
        if not _is(f"{self._folder}/{token}", descriptor) or not _lock(descriptor):
            os.close(descriptor)
            raise ClaimLost(f"The claim {token} belongs to another process.", hint="Nothing to do: that one goes on.")
        self._describe(descriptor, kind)
        return OwnerLock(self._folder, token, descriptor, kind)

    def renew(self, lock: OwnerLock) -> None:
        """Make the file of a living owner again, which somebody removed."""
        again = self.adopt(lock.token, None, lock.kind)
        lock.close()
        lock.descriptor = again.descriptor

    def alive(self, token: str) -> bool:
        """Whether somebody holds the lock of `token`; no file, nobody."""
        try:
            descriptor = os.open(f"{self._folder}/{token}", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise durable.explain(error, "look at", f"{self._folder}/{token}") from error
        try:
            return not locks.try_shared(descriptor)
        finally:
            os.close(descriptor)

    def read(self, token: str) -> Owner | None:
        """What the owner's file says, None where it is missing or says nothing (a crash between its making and writing)."""
        try:
            with open(f"{self._folder}/{token}", "rb") as file:  # noqa: PTH123 - kept lean
                data = json.loads(file.read(LARGEST))
                since = os.fstat(file.fileno()).st_mtime
            return Owner(token, Kind(data["kind"]), Identity(**data["owner"]), since)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def known(self, token: str) -> bool:
        """Whether `token` has a file, its owner living or not."""
        return os.path.lexists(f"{self._folder}/{token}")

    def tokens(self) -> list[str]:
        """All tokens that have a file, living or not."""
        try:
            return [name for name in os.listdir(self._folder) if TOKEN.fullmatch(f".{name}")]  # noqa: PTH208
        except OSError as error:
            raise durable.explain(error, "read", self._folder) from error

    def loops(self) -> tuple[Owner, ...]:
        """The living loops, oldest first."""
        owners = (self.read(token) for token in self.tokens())
        return tuple(sorted((o for o in owners if o and o.kind in LOOPS and self.alive(o.token)), key=lambda o: o.since))

    def sweep(self, named: Callable[[], frozenset[str]], now: float) -> None:
        """Remove the files of dead owners that no folder names. `now` by the file system's clock."""
        for token in self.left(named):
            self._forget(token, now)

    def left(self, named: Callable[[], frozenset[str]]) -> list[str]:
        """The dead owners that are not `named`, which is asked after they were found dead: the dead rename nothing, so a token
        not named then never will be."""
        dead = [token for token in self.tokens() if not self.alive(token)]
        used = named() if dead else frozenset()
        return [token for token in dead if token not in used]

    def bury(self, token: str, now: float) -> bool:
        """Remove the file of a dead owner that no folder names any more; whether there is none now."""
        return not self.known(token) or (not self.alive(token) and self._forget(token, now))

    def _forget(self, token: str, now: float) -> bool:
        owner = self.read(token)
        if owner and owner.identity.host != self._me().host and now - owner.since < FORGET_AFTER:
            return False
        try:
            descriptor = os.open(f"{self._folder}/{token}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:  # holding it while it goes: whoever made it a moment ago sees that it has no name any more, and makes another
            return locks.try_exclusive(descriptor) and durable.unlink(f"{self._folder}/{token}", point="owner.sweep")
        finally:
            os.close(descriptor)

    def _make(self, kind: Kind) -> OwnerLock:
        while True:
            token = os.urandom(3).hex()
            try:
                descriptor = durable.open_lock(f"{self._folder}/{token}", point="owner.make", new=True)
            except durable.Taken:
                continue
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # a prober may hold it for a microsecond
            lock = OwnerLock(self._folder, token, descriptor, kind)
            if not lock.named():  # a sweep came between the two lines above
                lock.close()
                continue
            try:
                self._describe(descriptor, kind)
            except OrchestratorError:
                lock.drop()
                raise
            return lock

    def _describe(self, descriptor: int, kind: Kind) -> None:
        try:
            os.pwrite(descriptor, _description(kind, self._me()), 0)
        except OSError as error:
            raise durable.explain(error, "write to", self._folder) from error


def _is(path: str, descriptor: int) -> bool:
    """Whether the descriptor is the file of that path, as it lies there now."""
    try:
        ours, named = os.fstat(descriptor), os.stat(path)  # noqa: PTH116
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino)


def _lock(descriptor: int) -> bool:
    """Take the lock; held for longer than probes hold it, it has an owner."""
    for _ in range(PROBES):
        if locks.try_exclusive(descriptor):
            return True
        time.sleep(0.001)
    return False


@functools.lru_cache(maxsize=4)
def _description(kind: Kind, me: Identity) -> bytes:
    """What the file says: one size always, so that a shorter text leaves nothing of a longer one."""
    return json.dumps({"kind": kind.value, "owner": asdict(me)}).encode().ljust(LARGEST)
