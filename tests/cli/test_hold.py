"""Taking a task from whoever holds it, also where the holder doesn't follow."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from orchestrator.cli import hold, loop, specs, view, words
from orchestrator.cli.app import App
from orchestrator.core.lease import Lease
from orchestrator.core.outcome import TAKEN_OUT, Reason
from orchestrator.core.settings import Settings
from orchestrator.core.task import Place, State
from orchestrator.errors import OrchestratorError
from orchestrator.loop import takeover
from orchestrator.store import durable, inbox, leases, records, specfile
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    made = Queue(tmp_path / "tasks")
    made.ensure()
    folder = made.root / "pending" / "fix"
    folder.mkdir()
    (folder / "autoresearch.md").write_text("# Fix\n")
    return made


@pytest.fixture
def claim(queue: Queue) -> Claim:
    taken = queue.take("fix")
    assert taken is not None
    taken.begin(Lease(taken.token, queue.me()))
    return taken


def test_a_holder_that_does_not_follow_loses_the_folder(queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "FOLLOW_WITHIN", 0.1)
    assert hold.ask(queue, queue.find("fix"), inbox.Kind.BLOCK, Reason.STOPPED) is hold.Held.TAKEN
    assert queue.find("fix").state is State.BLOCKED
    assert not claim.held()
    claim.abandon()


@pytest.mark.parametrize("reason", [Reason.STOPPED, Reason.CANCELLED])
def test_what_was_asked_of_a_holder_that_does_not_follow_is_why_the_task_is_blocked(
    queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch, reason: Reason
) -> None:
    monkeypatch.setattr(hold, "FOLLOW_WITHIN", 0.1)
    hold.ask(queue, queue.find("fix"), inbox.Kind.BLOCK, reason)
    found = records.peek(queue.path(queue.find("fix")))
    assert found is not None
    assert (found.reason, found.detail) == (reason, TAKEN_OUT[reason])
    claim.abandon()


def test_a_holder_that_has_not_let_go_may_still_be_at_work(queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "FOLLOW_WITHIN", 0.1)
    monkeypatch.setattr(hold, "CLAIM_WITHIN", 0.1)
    hold.ask(queue, queue.find("fix"), inbox.Kind.CANCEL, Reason.CANCELLED)
    folder = queue.path(queue.find("fix"))
    assert f"process {os.getpid()}" in str(hold.still_at_work(queue, folder))
    claim.abandon()
    assert hold.still_at_work(queue, folder) is None


def test_another_host_s_holder_may_be_at_work_until_it_lets_go_or_was_not_heard_for_its_lease(
    queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "FOLLOW_WITHIN", 0.1)
    hold.ask(queue, queue.find("fix"), inbox.Kind.CANCEL, Reason.CANCELLED)
    folder = queue.path(queue.find("fix"))
    assert claim.lock is not None
    claim.lock.close()  # as the lock of another host's owner looks where locks aren't shared
    monkeypatch.setenv("ORCH_HOST", "elsewhere")
    other = Queue(queue.root)
    assert f"on {queue.me().host}" in str(hold.still_at_work(other, folder))
    lease = folder / ".orch" / "lease.json"
    heard = lease.stat().st_mtime - 301
    os.utime(lease, (heard, heard))
    assert hold.still_at_work(other, folder) is None


def test_a_holder_that_follows_decides_where_the_task_goes(queue: Queue, claim: Claim) -> None:
    def follow() -> None:
        while not claim.requests():
            pass
        claim.release(State.BLOCKED, claim.fresh_record())

    holder = threading.Thread(target=follow)
    holder.start()
    assert hold.ask(queue, queue.find("fix"), inbox.Kind.CANCEL, Reason.CANCELLED) is hold.Held.FOLLOWED
    holder.join()
    assert queue.find("fix").state is State.BLOCKED


def test_a_holder_that_follows_and_ends_between_two_looks_has_followed(
    queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []
    dead = hold.dead

    def follow(queue: Queue, place: Place) -> bool:
        looks.append(dead(queue, place))
        if len(looks) == 2:
            claim.release(State.BLOCKED, claim.fresh_record())
            looks.append(dead(queue, place))
        return looks[-1]

    monkeypatch.setattr(hold, "dead", follow)
    hold.ask(queue, queue.find("fix"), inbox.Kind.BLOCK, Reason.STOPPED)
    assert looks == [False, False, True]
    assert queue.find("fix").state is State.BLOCKED


def test_a_task_that_converges_at_the_last_moment_is_not_said_to_be_stopped(queue: Queue, claim: Claim) -> None:
    def finish() -> None:
        while not claim.requests():
            pass
        claim.release(State.CONVERGED, claim.fresh_record())

    holder = threading.Thread(target=finish)
    holder.start()
    with pytest.raises(OrchestratorError, match="ended as converged"):
        hold.ask(queue, queue.find("fix"), inbox.Kind.BLOCK, Reason.STOPPED)
    holder.join()


def test_a_holder_that_dies_while_it_is_asked_is_answered_for(queue: Queue, claim: Claim) -> None:
    def die() -> None:
        while not claim.requests():
            pass
        claim.abandon()

    holder = threading.Thread(target=die)
    holder.start()
    hold.ask(queue, queue.find("fix"), inbox.Kind.BLOCK, Reason.STOPPED)
    holder.join()
    place = queue.find("fix")
    record = records.peek(queue.path(place))
    assert place.state is State.BLOCKED
    assert record is not None
    assert record.reason is Reason.STOPPED


def test_a_folder_that_moved_on_is_told_and_not_brought_back(queue: Queue, claim: Claim) -> None:
    seen = queue.find("fix")
    claim.release(State.PENDING, claim.fresh_record())
    with pytest.raises(OrchestratorError, match="moved on"):
        hold.ask(queue, seen, inbox.Kind.BLOCK, Reason.STOPPED)
    assert queue.find("fix").state is State.PENDING


def test_a_task_that_is_taken_meanwhile_cannot_be_held(queue: Queue, claim: Claim) -> None:
    pending = queue.find("fix")
    with pytest.raises(OrchestratorError, match="moved on"):
        hold.block(queue, pending, Reason.STOPPED)
    claim.abandon()


def test_a_task_whose_last_worker_still_stops_has_not_moved_on(
    queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hold, "CLAIM_WITHIN", 0.1)
    queue.move(queue.find("fix"), State.PENDING)
    with pytest.raises(OrchestratorError, match=f"its last worker .process {os.getpid()} on .* is still stopping"):
        hold.block(queue, queue.find("fix"), Reason.STOPPED)
    assert queue.find("fix").state is State.PENDING
    claim.abandon()


def test_a_holder_that_an_executor_still_starts_is_not_dead(queue: Queue, claim: Claim) -> None:
    claim.begin(Lease(claim.token, queue.me(), starting_until=time.time() + 60))
    claim.detach()
    assert not hold.dead(queue, queue.find("fix"))
    claim.begin(Lease(claim.token, queue.me(), starting_until=time.time() - 1))
    assert hold.dead(queue, queue.find("fix"))


def test_who_is_interrupted_while_it_ends_what_was_left_puts_the_task_back_as_it_was(
    queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object) -> None:
        raise KeyboardInterrupt

    claim.release(State.PENDING)
    monkeypatch.setattr(takeover, "end_left", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hold.block(queue, queue.find("fix"), Reason.STOPPED)
    lease = leases.last(queue.path(queue.find("fix")))
    assert queue.find("fix").state is State.PENDING
    assert lease is not None
    assert lease.token == claim.token  # so that the next one finds what was left


def test_what_is_not_released_goes_back_to_pending(queue: Queue) -> None:
    def interrupted() -> None:
        with hold.claimed(queue, queue.find("fix")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert queue.find("fix").state is State.PENDING


def test_a_spec_follows_its_task_and_gives_up_when_it_has_none(queue: Queue) -> None:
    path = specfile.path_of(queue.path(queue.find("fix")))
    assert path is not None
    seen = specfile.key_of(path)
    queue.move(queue.find("fix"), State.BLOCKED)
    specs.put(queue, "fix", "# New\n", seen=seen)
    moved = queue.path(queue.find("fix")) / "autoresearch.md"
    assert moved.read_text() == "# New\n"
    durable.unlink(moved, point="test")
    with pytest.raises(OrchestratorError, match="kept moving"):
        specs.put(queue, "fix", "# Newer\n")


def test_a_stop_says_whose_worker_it_can_not_stop(
    queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)  # another user's, in a queue that a group shares
    loop.stop(App(flags={"tasks": str(queue.root)}))
    told = capsys.readouterr()
    assert told.out == "No loop was running.\n"
    assert f"fix goes on: this user can't stop its worker, pid {os.getpid()}." in told.err
    assert claim.held()
    claim.abandon()


def test_a_stop_says_which_worker_is_on_another_host(
    queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORCH_HOST", "elsewhere")
    loop.stop(App(flags={"tasks": str(queue.root)}))
    assert f"fix goes on: its worker is on {queue.me().host}" in capsys.readouterr().err
    assert claim.held()
    claim.abandon()


def test_a_stop_says_whose_worker_has_not_put_its_task_back(
    queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "kill", lambda _pid, _number: None)  # a stopped process doesn't hear it either
    monkeypatch.setattr(loop, "PUT_BACK", 0.1)
    loop.stop(App(flags={"tasks": str(queue.root)}))
    told = capsys.readouterr()
    assert told.out == "No loop was running.\n"
    assert f"fix goes on: its worker, pid {os.getpid()}, was asked to put it back and has not in 0.1 s." in told.err
    assert claim.held()
    claim.abandon()


def test_a_worker_that_ends_between_look_and_word_is_not_called_dead(queue: Queue, claim: Claim) -> None:
    seen = view.look(queue, Settings(tasks=str(queue.root)))
    claim.release(State.CONVERGED, claim.fresh_record())
    assert not words.lost(seen, seen.candidates[0])


def test_one_that_died_is(queue: Queue, claim: Claim) -> None:
    seen = view.look(queue, Settings(tasks=str(queue.root)))
    assert claim.lock is not None
    claim.lock.close()
    assert words.lost(seen, seen.candidates[0])
    claim.lock = None
