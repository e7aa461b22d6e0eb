"""Holding a task for a moment, as a worker would, to write into its record; and asking the worker that holds it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path

from orchestrator.core.lease import Lease
from orchestrator.core.outcome import TAKEN_OUT, Reason
from orchestrator.core.record import Record
from orchestrator.core.task import Place, State, slug
from orchestrator.errors import ClaimLost, OrchestratorError, StoreError
from orchestrator.store import durable, events, inbox, leases, records
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue

POLL = 0.05
CLAIM_WITHIN = 5.0  # a task whose last worker is still stopping can be claimed soon, and its worktree be touched
FOLLOW_WITHIN = 15.0  # a worker looks once a second, ends its agent and saves the work


class Held(Enum):
    """How a running task came to blocked, in words: what that means for work which no commit holds yet."""

    FOLLOWED = "its work is saved"
    DEAD = "it had no living worker: what is not saved stays in its worktree, and `retry` saves it"
    TAKEN = "its worker did not follow yet: it saves its work and ends once it sees that"


@contextmanager
def claimed(queue: Queue, place: Place) -> Iterator[Claim]:
    """A claim on a pending task. Release it within the block. Raises OrchestratorError where it can't be had."""
    queue.ensure()
    deadline = time.monotonic() + CLAIM_WITHIN
    while (claim := queue.take(place.name)) is None:
        if queue.find(place.name).state is not State.PENDING:
            raise _moved(place)
        if time.monotonic() > deadline:
            raise _stopping(queue, place)
        time.sleep(POLL)
    with _ours(queue, claim):
        yield claim


def block(queue: Queue, place: Place, reason: Reason) -> None:
    """Move a pending task to blocked, with the reason in its record."""
    with claimed(queue, place) as claim:
        _end(claim, reason)


def give_reason(queue: Queue, place: Place, reason: Reason) -> None:
    """Make this the reason of a task that lies in blocked. Nobody holds it there, and a claim would be the wrong tool:
    who dies with one leaves a running task, which the next loop starts again. Raises BadRecord, and Gone where it moved on."""
    folder = queue.path(place)
    found = records.latest(folder)
    if found is None or queue.copied(folder, place.name, place.inode):  # a copy's record tells of another task
        task_id = os.urandom(8).hex()
        found = Record(task_id, place.name, place.inode, slug(place.name, task_id), created=time.time())
    records.put(folder, _reasoned(found, reason))
    with suppress(StoreError):  # the record says it all
        events.append(folder, str(reason), task=place.name, attempt=found.attempts, before=found.reason)


def still_at_work(queue: Queue, folder: Path) -> str | None:
    """Who may yet write into the worktree of a task that was taken from its worker, as words; waited for, a moment. What a dead
    one left running there is ended."""
    from orchestrator.loop.takeover import end_left

    lease = leases.last(folder)
    if lease is None:
        return None
    _wait_for_owner(queue, lease.token, time.monotonic() + CLAIM_WITHIN)
    if queue.owner_alive(lease.token):
        return f"its last worker (process {lease.owner.pid}) is still stopping"
    if _unheard(queue, folder, lease):
        return f"its last worker, on {lease.owner.host}, may still be at work"
    end_left(queue, lease)
    return None


def ask(queue: Queue, place: Place, kind: inbox.Kind, reason: Reason) -> Held:
    """Have the worker of a running task put it into blocked. One that has died is answered for; one that doesn't follow
    loses the folder, which every worker notices within seconds."""
    folder = queue.path(place)
    if place.token is None or dead(queue, place):
        _end_dead(queue, place, reason)
        return Held.DEAD
    try:
        inbox.put(folder, kind)
    except durable.Gone:
        raise _moved(place) from None
    deadline = time.monotonic() + FOLLOW_WITHIN
    while durable.is_folder(folder) and time.monotonic() < deadline:
        if dead(queue, place) and durable.is_folder(folder):  # in this order: one that followed moved the folder first
            _end_dead(queue, place, reason)
            return Held.DEAD
        time.sleep(POLL)
    held = _taken(queue, place, reason)
    _wait_for_owner(queue, place.token, deadline)
    if (now := queue.find(place.name)).state is not State.BLOCKED:
        raise OrchestratorError(
            f"{place.name!r} ended as {now.state} before it could be stopped.", hint="Look at it with `orchestrator show`."
        )
    return held


def _taken(queue: Queue, place: Place, reason: Reason) -> Held:
    """The folder of a worker that did not follow in time is taken from it."""
    if durable.is_folder(queue.path(place)):
        with suppress(durable.Gone):  # it followed at the last moment
            _move(queue, place, reason)
            return Held.TAKEN
    return Held.FOLLOWED


def _move(queue: Queue, place: Place, reason: Reason) -> None:
    """To blocked by the rename alone, which needs no space and no record that can be read; the reason is told where it can."""
    moved = queue.move(place, State.BLOCKED)
    with suppress(StoreError):
        give_reason(queue, moved, reason)


def _wait_for_owner(queue: Queue, token: str, deadline: float) -> None:
    """The folder has moved; the worker's last steps come after that."""
    while queue.owner_alive(token) and time.monotonic() < deadline:
        time.sleep(POLL)


def _unheard(queue: Queue, folder: Path, lease: Lease) -> bool:
    """Whether the owner lives on another host, for all that is known: it has not let go, and its last word is not that old."""
    if lease.owner.host == queue.me().host or not queue.owners.known(lease.token):
        return False
    return (leases.age(folder, queue.now()) or 0.0) < lease.ttl


def dead(queue: Queue, place: Place) -> bool:
    """Whether the owner on this host has died. Of another host's nothing is known, nor of one that an executor still starts."""
    lease = leases.read(queue.path(place))
    here = lease is None or lease.owner.host == queue.me().host
    starting = lease is not None and (lease.starting_until or 0.0) > time.time()
    return here and not starting and place.token is not None and not queue.owner_alive(place.token)


def _end_dead(queue: Queue, place: Place, reason: Reason) -> None:
    from orchestrator.loop.takeover import end_orphans

    if place.token is None:
        _move(queue, place, reason)
        return
    end_orphans(queue.root, place.token, leases.read(queue.path(place)))
    claim = queue.reclaim(place)
    if claim is None:
        raise _moved(place)
    with _ours(queue, claim):
        _end(claim, reason)


@contextmanager
def _ours(queue: Queue, claim: Claim) -> Iterator[None]:
    """While the block runs, the claim has a lease that names us, what a dead worker left at the task ended before: nobody would
    find that any more. What isn't released at its end goes back."""
    from orchestrator.loop.takeover import end_left

    try:
        end_left(queue, claim.previous)
        claim.begin(Lease(claim.token, queue.me()))
        yield
    except ClaimLost as error:
        raise OrchestratorError(f"{claim.name!r} was moved meanwhile.", hint="Look where it is, and try again.") from error
    finally:
        if claim.lock is not None:
            claim.release(State.PENDING)


def _end(claim: Claim, reason: Reason) -> None:
    claim.release(State.BLOCKED, _reasoned(claim.record() or claim.fresh_record(), reason))


def _reasoned(record: Record, reason: Reason) -> Record:
    return replace(record, reason=reason, detail=TAKEN_OUT[reason], not_before=None, stage=None, streak=0, updated=time.time())


def _stopping(queue: Queue, place: Place) -> OrchestratorError:
    lease = leases.last(queue.path(place))
    if lease is None or not queue.owner_alive(lease.token):
        return _moved(place)
    told = f"{place.name!r} can't be had: its last worker (process {lease.owner.pid} on {lease.owner.host}) is still stopping."
    return OrchestratorError(told, hint="Nothing was changed; try again once that has ended.")


def _moved(place: Place) -> OrchestratorError:
    return OrchestratorError(f"{place.name!r} moved on while this was done.", hint="Look where it is, and try again.")
