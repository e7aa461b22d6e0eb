"""The pulse of a worker: what it notices of its own folder, and what it writes a little later."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field

import pytest
from support.desk import Desk

from orchestrator.core.outcome import ECHO, StopRequest
from orchestrator.core.task import State
from orchestrator.errors import ClaimLost, StoreError
from orchestrator.store.claim import Claim
from orchestrator.worker.pulse import LAG, LOOK, Pulse


@dataclass
class Clock:
    """Time as the test passes it."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Note:
    """Something owed to the disk, which fails with each of `errors` first."""

    errors: list[Exception] = field(default_factory=list)
    written: int = 0

    def __call__(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.written += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def claim(desk: Desk) -> Claim:
    desk.drop()
    return desk.claim()


@pytest.fixture
def pulse(claim: Claim, clock: Clock) -> Pulse:
    return Pulse(claim, 30.0, clock=clock)


def test_the_lease_is_renewed_once_a_tenth_of_its_time_has_passed(claim: Claim, pulse: Pulse, clock: Clock) -> None:
    lease = claim.folder / ".orch/lease.json"
    lease.unlink()
    clock.now += LOOK
    pulse.nap(0.0)
    assert not lease.exists()
    clock.now += 2 * LOOK
    pulse.nap(0.0)
    assert lease.exists()


def test_a_folder_that_was_moved_is_noticed_at_the_next_look(desk: Desk, pulse: Pulse, clock: Clock) -> None:
    desk.queue.move(desk.place(), State.BLOCKED)
    assert pulse.beat() is None
    clock.now += LOOK
    assert pulse.beat() is StopRequest.LOST


def test_asked_to_stop_by_two_at_once_a_worker_still_waits_for_its_agent(pulse: Pulse, clock: Clock) -> None:
    """A service manager signals every process of a service, and the loop tells its workers."""
    pulse.listen()
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGTERM)
    assert pulse.beat() is StopRequest.RELEASE
    clock.now += ECHO
    os.kill(os.getpid(), signal.SIGTERM)
    assert pulse.beat() is StopRequest.KILL


def test_what_is_owed_is_written_by_the_beat_after_its_time_and_once(pulse: Pulse, clock: Clock) -> None:
    note = Note()
    pulse.owe(note)
    pulse.beat()
    assert note.written == 0
    clock.now += LAG
    pulse.beat()
    pulse.beat()
    assert note.written == 1


def test_what_was_written_meanwhile_is_owed_no_more(pulse: Pulse, clock: Clock) -> None:
    note = Note()
    pulse.owe(note)
    pulse.owe(None)
    clock.now += LAG
    pulse.beat()
    assert note.written == 0


def test_what_a_full_disk_refuses_is_written_as_soon_as_there_is_space(pulse: Pulse, clock: Clock) -> None:
    note = Note([StoreError("The disk is full.", hint="Make room."), StoreError("Still full.", hint="Make room.")])
    pulse.owe(note)
    for _ in range(2):
        clock.now += LAG
        assert pulse.beat() is None
    assert note.written == 0
    clock.now += LAG
    pulse.beat()
    assert note.written == 1


def test_a_claim_that_is_found_gone_while_writing_stops_the_worker(pulse: Pulse, clock: Clock) -> None:
    pulse.owe(Note([ClaimLost("The task's folder was moved.")]))
    clock.now += LAG
    assert pulse.beat() is StopRequest.LOST
