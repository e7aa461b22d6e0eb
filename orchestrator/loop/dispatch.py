"""From a claim to a running worker; where that fails, back to pending with a wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from orchestrator.core import convergence
from orchestrator.core.lease import Lease
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Record
from orchestrator.core.task import Stage, State
from orchestrator.errors import ClaimLost, OrchestratorError, SpecError, StoreError
from orchestrator.executors.protocol import Executor
from orchestrator.loop.mode import Mode
from orchestrator.loop.parts import Loop, Losses, Moment
from orchestrator.loop.voice import ending
from orchestrator.store import config, leases, records, specfile
from orchestrator.store.claim import Claim

DEFAULT = "local"
FORGIVEN = 1  # a worker that dies is replaced at once this often
MEMORY = 600.0  # seconds after which a loss is forgotten
SESSIONS = 5  # in a row, each with an agent that was paid, and none that counted
KILLED = "Is there too little memory, or does the agent end processes that aren't its own (`pkill`)?"


def start(loop: Loop, claim: Claim, executor: str | None, moment: Moment, *, previous: str | None = None) -> bool:
    """Write the lease, start a worker, hand the claim over. `previous`: the dead owner's token. False where it failed.

    Raises StoreError, the claim let go, where the tasks folder can't be written.
    """
    try:
        chosen = loop.executor(executor or DEFAULT)
        lease = _lease(loop, claim, chosen, moment, previous)
        if previous is None:
            claim.requests()  # what came too late for an earlier holder is not asked of this one
        claim.begin(lease)
        if previous is None:
            claim.event("claimed", attempt=attempts(claim), token=claim.token, loop=loop.me.token)
        loop.workers.start(chosen, claim.name, claim.token, claim.fileno())
    except ClaimLost:
        claim.abandon()
        return False
    except StoreError:
        let_go(claim)
        raise  # nothing else can be started either while the disk is full
    except OrchestratorError as error:
        loop.voice.tell(claim.name, f"can't be started: {error.told}", "start_failed", urgent=True)
        put_back(loop, claim, moment, reason=error.told)
        return False
    claim.detach()
    loop.claimed = claim.name
    if loop.quota is not None:
        loop.quota -= 1
    return True


def _lease(loop: Loop, claim: Claim, executor: Executor, moment: Moment, previous: str | None) -> Lease:
    waits = None if executor.passes_lock else moment.now + leases.STARTING
    spec, key = _parsed(claim)
    return Lease(
        token=claim.token, owner=loop.queue.me(), executor=executor.name, ttl=loop.settings.heartbeat, starting_until=waits,
        settings=config.to_json(loop.settings), spec=spec, spec_key=key, once=loop.mode is Mode.ONCE,
        previous=previous, loop=loop.me.token,
    )  # fmt: skip


def attempts(claim: Claim) -> int:
    """How many attempts the task has had, for its events."""
    record = records.peek(claim.folder)
    return record.attempts if record else 0


def _parsed(claim: Claim) -> tuple[dict[str, Any] | None, tuple[int, ...] | None]:
    """The spec for the lease: this process has its parsers loaded, a new worker would need 60 ms for that."""
    path = specfile.path_of(claim.folder)
    try:
        key = specfile.key_of(path) if path else None
        return (specfile.to_json(specfile.read(claim.folder)), key) if key else (None, None)
    except (OSError, SpecError):
        return None, None  # moved away, or broken since: the worker says so


def put_back(loop: Loop, claim: Claim, moment: Moment, *, reason: str | None = None) -> None:
    """Let a claim go without a worker; with a `reason` the task waits before it is tried again. Raises StoreError."""
    with _letting_go(claim):
        record = None if reason is None else _waiting(loop, claim.record() or claim.fresh_record(), moment, reason)
        claim.release(State.PENDING, record)


def let_go(claim: Claim) -> None:
    """Put a claim back by nothing but the rename, which needs no space. Where even that fails it stays in running
    without an owner, and is reclaimed when that works again."""
    try:
        claim.release(State.PENDING)
    except OrchestratorError:
        claim.abandon()


def lost(loop: Loop, claim: Claim, moment: Moment) -> bool:
    """Count a worker that died. False where it has died too often lately to be replaced at once.

    Raises StoreError, the claim let go, where the record can't be read, and ClaimLost where the task has gone: a lock that this
    process kept would have it count as running for as long as this loop lives.
    """
    losses = loop.losses.setdefault(claim.name, Losses())
    if moment.mono - losses.last > MEMORY:
        losses.count = 0
    losses.count += 1
    losses.last = moment.mono
    record = _record(claim)
    if record and record.attempts != losses.attempts:
        losses.sessions, losses.attempts = 0, record.attempts
    losses.sessions += bool(record and record.stage == Stage.AGENT)
    return losses.count <= FORGIVEN


def _record(claim: Claim) -> Record | None:
    try:
        return claim.record()
    except ClaimLost:
        claim.abandon()
        raise
    except StoreError:
        let_go(claim)
        raise


def hopeless(loop: Loop, claim: Claim) -> bool:
    """Whether so many sessions in a row have ended with their worker's death that another one would be no better."""
    return loop.losses[claim.name].sessions > SESSIONS


def give_up(loop: Loop, claim: Claim, moment: Moment) -> None:
    """A task whose every session kills its worker needs a person. Raises StoreError."""
    told = f"its worker was killed in {loop.losses.pop(claim.name).sessions} sessions in a row. {KILLED}"
    with _letting_go(claim):
        record = replace(claim.record() or claim.fresh_record(), reason=Reason.FAULT, detail=told, updated=moment.now)
        claim.release(State.BLOCKED, record)
        loop.voice.tell(claim.name, ending(State.BLOCKED, record, moment.now), "moved", to=State.BLOCKED.value, urgent=True)


@contextmanager
def _letting_go(claim: Claim) -> Iterator[None]:
    """For the end of a claim. One that is lost has ended already; where the tasks folder can't be written, it is let go."""
    try:
        yield
    except ClaimLost:
        return
    except StoreError:
        let_go(claim)
        raise


def _waiting(loop: Loop, record: Record, moment: Moment, reason: str) -> Record:
    wait = convergence.backoff(record.backoffs, loop.settings.backoff, loop.settings.backoff_max)
    parked = replace(record, reason=Reason.BACKOFF, detail=reason, backoffs=record.backoffs + 1)
    return replace(parked, not_before=moment.now + wait, updated=moment.now)
