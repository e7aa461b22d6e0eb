"""A claim: the exclusive right to one task, proven by the token in its folder's name.

Whoever takes the claim away renames the folder, so the next use of it here fails with ENOENT: every method raises
ClaimLost then, and none of them brings the folder back.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from orchestrator.core.lease import Lease
from orchestrator.core.record import Record
from orchestrator.core.task import State, slug
from orchestrator.errors import ClaimLost, StoreError
from orchestrator.proc import identity
from orchestrator.store import durable as disk
from orchestrator.store import events, inbox, leases, records, saved
from orchestrator.store.owners import OwnerLock

if TYPE_CHECKING:
    from orchestrator.store.queue import Queue

RECORD = "state.json"
PROGRESS = "progress.jsonl"
PROGRESS_LARGEST = 256 * 1024
READY = "ready"


class Claim:
    """Made by `Queue.take`, `Queue.reclaim` and `Claim.adopt`. `previous` is the lease of the last holder, if any.

    The order: `begin` with a lease, then anything, then `release`. Paths are relative to the task's `.orch`.
    """

    __slots__ = ("_folder", "_path", "_said", "_serial", "lease", "lock", "mask", "name", "previous", "queue", "token")

    def __init__(self, queue: Queue, name: str, token: str, lock: OwnerLock | None, previous: Lease | None = None) -> None:
        from orchestrator.core.masking import Masker  # whoever only looks at the queue makes no claim

        self.queue = queue
        self.name = name
        self.token = token
        self.lock = lock
        self.previous = previous
        self.lease: Lease | None = None
        self.mask = Masker()  # whoever runs other people's programs sets it: what they print holds secrets
        self._serial = 0
        self._said = 0
        self._path = f"{queue.running}/{name}.{token}"
        self._folder: Path | None = None  # a claim costs 20 microseconds, a path four

    @classmethod
    def adopt(cls, queue: Queue, name: str, token: str, descriptor: int | None) -> Claim:
        """The claim that a loop made for this process. `descriptor` is the owner's lock as inherited, None to take it here.

        Raises ClaimLost where the folder has gone or another process holds the lock.
        """
        claim = cls(queue, name, token, queue.owners.adopt(token, descriptor))
        if not claim.held():
            claim.abandon()
            raise claim.lost()
        claim.lease = leases.read(claim.folder)
        return claim

    @property
    def folder(self) -> Path:
        """Where the task lies while this claim holds."""
        self._folder = self._folder or Path(self._path)
        return self._folder

    @property
    def control(self) -> Path:
        """The task's `.orch`."""
        return self.folder / ".orch"

    def fileno(self) -> int:
        """The owner's lock, for handing it to a child; -1 after `detach`."""
        return self.lock.fileno() if self.lock else -1

    def held(self) -> bool:
        """Whether the folder still carries our token."""
        try:
            os.stat(self._path)  # noqa: PTH116 - looked at once a second by every worker
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise disk.explain(error, "look at", self._path) from error
        return True

    def lost(self) -> ClaimLost:
        """The error for a claim that has gone."""
        return ClaimLost(f"The claim {self.token} of {self.name!r} was taken away.", hint="Its folder was moved or reclaimed.")

    # Lease and heartbeat

    def begin(self, lease: Lease) -> None:
        """Write the lease: who holds the task and how. End the last holder's processes (`previous`) before."""
        self.lease = lease  # first: a folder that was away for a moment gets it with the next heartbeat
        self._make_control()
        self._in_folder(lambda: leases.write(self.folder, lease))
        self._in_folder(lambda: disk.unlink(self.control / READY, point="ready"))

    def heartbeat(self) -> None:
        """Renew the lease; a lease that somebody removed is written again."""
        try:
            disk.touch(f"{self._path}/{leases.FILE}")
        except disk.Gone:
            if not self.held() or self.lease is None:
                raise self.lost() from None
            self.begin(self.lease)

    def name_agent(self, pid: int) -> None:
        """Write into the lease which process the agent is, for whoever has to end it should this holder die."""
        if self.lease is not None:
            lease = self.lease = replace(self.lease, agent=identity.of(pid))
            self._in_folder(lambda: leases.write(self.folder, lease))

    # The record

    def record(self) -> Record | None:
        """The record of this task, None for a fresh start.

        One that can't be read is set aside as `state.json.bad-N`, with an event. One of another folder came along with a copy
        (`Queue.elsewhere`): everything it brought in `.orch` is set aside. A renamed task keeps its record.
        """
        try:
            found = records.latest(self._path)
        except records.BadRecord as error:
            self._set_aside_bad(error.message)
            return None
        if found is None:
            if not self.held():
                raise self.lost()
            return None
        inode = self._inode()
        if self.queue.elsewhere(found, self.name, inode):
            self._set_aside_copied(found)
            return None
        self._serial = found.serial
        return replace(found, name=self.name, inode=inode)

    def fresh_record(self) -> Record:
        """The record of a task that has none yet; not saved."""
        task_id = os.urandom(8).hex()
        label = slug(self.name, task_id)
        now = time.time()
        return Record(task_id, self.name, self._inode(), label, token=self.token, created=now, updated=now)

    def save(self, record: Record, *, durable: bool = True) -> None:
        """Write the record, as of now. A fact must be `durable`; what may be lost in a power cut (a stage) need not be.

        What need not be is a line more of a file beside it, which costs a tenth of replacing one; where a fact is newer its
        serial tells.
        """
        self._serial = max(self._serial, record.serial) + 1
        data = records.render(replace(record, serial=self._serial, token=self.token, updated=time.time()), self.mask.text)
        if durable:
            self._write(RECORD, data, durable=True, point="record")
        elif self._said > PROGRESS_LARGEST:
            self._write(PROGRESS, data + b"\n", point="progress")
            self._said = len(data)
        else:
            self._in_folder(lambda: disk.append(f"{self._path}/.orch/{PROGRESS}", data, point="progress"))
            self._said += len(data)
            if not self.held():  # it may have become a line in the file of whoever has the task now, who passes it over
                raise self.lost()

    # Files of the holder

    def attempt_folder(self, number: int) -> Path:
        """A new, empty `attempts/NNNN`. What a dead holder began under that number is set aside as `NNNN.cut-TOKEN`."""
        self._in_folder(lambda: disk.mkdir(self.control / "attempts", point="attempts"))
        folder = self.control / "attempts" / f"{number:04d}"
        if folder.is_dir() and any(folder.iterdir()):
            aside = _free(folder.with_name(f"{folder.name}.cut-{self.token}"))
            self._in_folder(lambda: disk.rename(folder, aside, point="attempt.cut"))
        self._in_folder(lambda: disk.mkdir(folder, point="attempt"))
        return folder

    def mkdir(self, relative: str) -> Path:
        """Make one folder below `.orch`, not its parents."""
        path = self._below(relative)
        self._in_folder(lambda: disk.mkdir(path, point="folder"))
        return path

    def write(self, relative: str, data: bytes) -> None:
        """Replace a file below `.orch` in one step, secrets masked; its folder must exist."""
        self._write(relative, self.mask.data(data))

    def keep_copy(self, path: str, data: bytes) -> None:
        """Keep a person's ignored file as it lies in a worktree, for good (`store.saved`)."""
        self._in_folder(lambda: saved.keep(self.folder, path, data))

    def _write(self, relative: str, data: bytes, *, durable: bool = False, point: str = "file") -> None:
        path = self._below(relative)
        self._in_folder(lambda: disk.write(path, data, point=point, durable=durable))

    def append(self, relative: str, facts: Mapping[str, Any]) -> None:
        """Add one line of JSON to a file below `.orch`, secrets masked; its folder must exist."""
        path, line = self._below(relative), json.dumps(self.mask.deep(facts)).encode()
        self._in_folder(lambda: disk.append(path, line, point="evidence"))

    def event(self, event: str, **fields: Any) -> None:
        """Add to the events. They decide nothing, so a full disk loses one instead of stopping the work."""
        try:
            told = self.mask.deep(fields)
            self._in_folder(lambda: events.append(self.folder, event, task=self.name, **told))
        except ClaimLost:
            raise
        except StoreError:
            return

    def requests(self) -> tuple[dict[str, Any], ...]:
        """What people asked of this holder since the last call, oldest first; each has a `kind`."""
        return inbox.take_all(self.folder)

    # The end

    def release(self, state: State, record: Record | None = None) -> None:
        """Record, then the rename that makes it true, then the event, then the lock.

        Raises disk.Taken where something of that name lies in `state`: the claim is still held then, its record
        saved; show it and try again. Raises ClaimLost where the claim had gone; the lock is let go then.
        """
        try:
            if record is not None:
                self.save(record)
                self._in_folder(lambda: disk.unlink(self.control / PROGRESS, point="progress.end"))
            inode = self._inode()
            target = self.queue.folder(state) / self.name
            self._in_folder(lambda: disk.rename(self._path, target, point="release", durable=True, inode=inode))
        except ClaimLost:
            self.abandon()
            raise
        reason = record.reason.value if record and record.reason else None
        with contextlib.suppress(StoreError):  # the move is true without its event: moved on already, or a full disk
            attempt = {"attempt": record.attempts} if record else {}
            events.append(target, "moved", task=self.name, **attempt, to=state.value, reason=reason)
        self.abandon()

    def abandon(self) -> None:
        """Let go of the lock without moving anything: the task is reclaimed unless it has gone."""
        if self.lock:
            self.lock.drop()
            self.lock = None

    def detach(self) -> None:
        """Close our copy of the lock; a child that inherited it holds the claim from now on. Then be ready for the next claim."""
        if self.lock:
            self.lock.close()
            self.lock = None
            with contextlib.suppress(StoreError):  # a full disk: the worker has the claim all the same, and the next one says so
                self.queue.owners.prepare()

    # Inside

    def _in_folder(self, act: Callable[[], object]) -> None:
        """Do `act`; where something is missing, either the claim has gone or `.orch` was removed and is made again."""
        try:
            act()
        except disk.Gone:
            if not self.held():
                raise self.lost() from None
            self._make_control()
            act()

    def _make_control(self) -> None:
        """A real folder `.orch`. A drop may bring a file or a link of that name; it is set aside."""
        control = self.control
        try:
            if not disk.is_folder(control):
                if os.path.lexists(control):
                    aside = _free(control.with_name(f".orch.aside-{self.token}"))
                    disk.rename(control, aside, point="aside")
                disk.mkdir(control, point="control")
        except disk.Gone:
            raise self.lost() from None

    def _set_aside_bad(self, problem: str) -> None:
        aside = _free(self.control / f"{RECORD}.bad", start=1)
        self._in_folder(lambda: disk.rename(self.control / RECORD, aside, point="record.bad"))
        self.event("record_set_aside", file=aside.name, problem=problem[:500])

    def _set_aside_copied(self, found: Record) -> None:
        """One entry after the other, the record last: until it has gone, whoever comes after a crash does this again."""
        aside = _free(self.control / f"copied-{self.token}")
        self._in_folder(lambda: disk.mkdir(aside, point="copied"))
        last = [name for name in (PROGRESS, RECORD) if (self.control / name).exists()]
        keep = {aside.name, *last, Path(leases.FILE).name}
        names = sorted(
            path.name for path in self.control.iterdir() if path.name not in keep and not path.name.startswith("copied-")
        )
        for name in (*names, *last):
            move = self.control / name, aside / name
            self._in_folder(lambda move=move: disk.rename(*move, point="copied.entry"))  # type: ignore[misc]
        self.event("copied", origin=found.name, origin_id=found.id, set_aside=aside.name)

    def _inode(self) -> int:
        try:
            return os.stat(self._path).st_ino  # noqa: PTH116
        except OSError:
            raise self.lost() from None

    def _below(self, relative: str) -> Path:
        parts = PurePosixPath(relative).parts
        if not parts or relative.startswith("/") or ".." in parts:
            raise ValueError(f"{relative!r} is not a path below .orch")
        return Path(self._path, ".orch", *parts)


def _free(path: Path, *, start: int | None = None) -> Path:
    """`path`, or `path-N` with the first N that is free."""
    number = start
    candidate = path if number is None else path.with_name(f"{path.name}-{number}")
    while os.path.lexists(candidate):
        number = 2 if number is None else number + 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
