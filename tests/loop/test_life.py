"""Loops die, are stopped and meet; workers live on, are adopted, replaced or asked to put their tasks back."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import pytest
from support.processes import gone, pid_in
from support.stage import STANDIN, Stage

from orchestrator.core.lease import Lease
from orchestrator.core.outcome import ECHO
from orchestrator.core.settings import Settings
from orchestrator.core.task import State
from orchestrator.errors import INTERRUPTED
from orchestrator.loop.mode import Mode
from orchestrator.loop.run import run
from orchestrator.loop.workers import LOGS, Workers
from orchestrator.proc import identity
from orchestrator.store import control, events, leases
from orchestrator.store.queue import Queue


def test_the_task_of_a_killed_worker_goes_on_with_a_new_one_and_its_agent_is_ended_first(stage: Stage) -> None:
    folder = stage.task("t", "agent")
    stage.loop("loop")
    worker = stage.runs("t")
    agent = pid_in(stage.top / "agent-t")
    place = stage.place("t")
    assert place is not None
    assert folder.parent.name == "pending"
    (stage.queue.path(place) / "act").write_text("hold")
    os.kill(worker, signal.SIGKILL)
    stage.until(lambda: stage.worker("t") not in (None, worker), "a new worker")
    assert gone(agent)
    stage.until(lambda: len(set(stage.started("t"))) == 2, "its word that it has started")
    stage.until(lambda: "t: its worker died; a new one goes on" in stage.said(), "the line about it")
    place = stage.place("t")
    assert place is not None
    told = [event["event"] for event in events.tail(stage.queue.path(place), 10)]
    assert [event for event in told if event.endswith("claimed")] == ["claimed", "reclaimed"]


def test_a_task_whose_worker_always_dies_is_not_started_for_ever(stage: Stage) -> None:
    stage.task("t", "crash")
    assert stage.code(stage.loop("drain", backoff=600.0, backoff_max=600.0)) == 75
    assert len(stage.started("t")) == 2
    record = stage.record("t")
    assert record is not None
    assert record.detail == "its worker died 2 times"
    assert "the stand-in falls over" in stage.said()


def test_workers_outlive_their_loop_and_the_next_loop_adopts_them(stage: Stage) -> None:
    stage.task("a", "hold")
    first = stage.loop("loop")
    worker = stage.runs("a")
    first.kill()
    first.wait()
    stage.task("b", "hold")
    second = stage.loop("loop")
    stage.until(lambda: "this one answers for its worker now" in stage.said(1), "the adoption")
    assert stage.worker("a") == worker
    assert stage.state("b") is State.PENDING  # the adopted worker takes the only slot
    second.send_signal(signal.SIGINT)
    assert stage.code(second) == 130
    assert stage.state("a") is State.PENDING
    assert gone(worker)
    assert stage.started() == stage.started("a")


def test_the_end_of_an_adopted_worker_frees_its_slot(stage: Stage) -> None:
    stage.task("a", "hold")
    first = stage.loop("loop")
    worker = stage.runs("a")
    first.kill()
    first.wait()
    stage.task("b")
    loop = stage.loop("loop")
    stage.until(lambda: "answers for its worker" in stage.said(), "the adoption")
    place = stage.place("a")
    assert place is not None
    stage.queue.move(place, State.BLOCKED)
    stage.until(lambda: gone(worker), "the end of the worker whose folder was taken away")
    stage.until(lambda: stage.state("b") is State.CONVERGED, "the task that waited for the slot")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGHUP, 130)])
def test_a_signal_has_the_tasks_put_back_and_nothing_started_again(stage: Stage, number: signal.Signals, code: int) -> None:
    stage.task("a", "hold")
    stage.task("b", "hold")
    loop = stage.loop("loop", parallel=2)
    workers = [stage.runs("a"), stage.runs("b")]
    loop.send_signal(number)
    assert stage.code(loop) == code
    assert [stage.state("a"), stage.state("b")] == [State.PENDING, State.PENDING]
    assert all(gone(worker) for worker in workers)
    assert len(stage.started()) == 2


def test_a_loop_hears_a_signal_that_whoever_started_it_had_blocked(stage: Stage) -> None:
    stage.task("a", "hold")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        loop = stage.loop("loop", fresh=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    worker = stage.runs("a")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0
    assert (stage.state("a"), gone(worker)) == (State.PENDING, True)


def interrupt_until(stage: Stage, loop: subprocess.Popen[str], done: Callable[[], bool]) -> None:
    """As a person does who presses Ctrl-C again and again: those of one moment are one."""
    stage.until(lambda: done() or loop.send_signal(signal.SIGINT), "what a signal is to bring")


def test_a_second_signal_tells_workers_not_to_wait_for_their_agents(stage: Stage) -> None:
    stage.task("a", "late")
    loop = stage.loop("loop")
    stage.runs("a")
    loop.send_signal(signal.SIGINT)
    stage.until(lambda: "Stopping" in stage.said(), "the first signal being heard")
    interrupt_until(stage, loop, lambda: "politely" in stage.said())
    assert stage.code(loop) == 130
    assert stage.state("a") is State.PENDING


def test_a_second_signal_is_passed_on_only_when_workers_do_not_take_it_for_the_first(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.task("a", "late")
    asked: list[float] = []
    passed: list[float] = []

    def stop(self: Workers, *, kill: bool = False, stop: Callable[..., None] = Workers.stop) -> None:
        if not passed:  # the loop was busy when the first one came
            stage.until(lambda: time.monotonic() - asked[0] > ECHO, "another request")
            os.kill(os.getpid(), signal.SIGINT)
        stop(self, kill=kill)
        passed.append(time.monotonic())

    def say(line: str) -> None:
        if line == "a: started":
            stage.until(lambda: stage.started("a"), "a worker that listens")
            os.kill(os.getpid(), signal.SIGINT)
            asked.append(time.monotonic())

    monkeypatch.setattr(Workers, "stop", stop)
    assert run(Settings(tasks=str(stage.queue.root)), Mode.LOOP, say=say, program=STANDIN) == INTERRUPTED
    assert passed[1] - passed[0] >= ECHO
    assert stage.state("a") is State.PENDING


def test_a_worker_that_never_lets_go_is_killed_and_its_task_is_pending_again(stage: Stage) -> None:
    stage.task("a", "deaf")
    loop = stage.loop("loop")
    worker = stage.runs("a")
    for heard in ("Stopping", "politely"):
        interrupt_until(stage, loop, lambda heard=heard: heard in stage.said())
    interrupt_until(stage, loop, lambda: gone(worker))
    assert stage.code(loop) == 130
    assert gone(worker)
    assert stage.state("a") is State.PENDING


def test_stop_ends_every_loop_and_puts_all_tasks_back(stage: Stage) -> None:
    for number in range(3):
        stage.task(f"t{number}", "hold")
    loops = [stage.loop("loop"), stage.loop("loop"), stage.loop("drain")]
    stage.until(lambda: len(stage.registered()) == 3, "three loops")
    workers = [stage.runs(f"t{number}") for number in range(3)]
    stage.stop()
    assert [stage.code(loop) for loop in loops] == [0, 0, 75]
    assert all(gone(worker) for worker in workers)
    assert [stage.state(f"t{number}") for number in range(3)] == [State.PENDING] * 3


def test_a_loop_started_after_a_stop_goes_on(stage: Stage) -> None:
    first = stage.loop("loop")
    stage.until(stage.registered, "the first loop")
    stage.stop()
    assert stage.code(first) == 0
    stage.task("t")
    assert stage.code(stage.loop("drain")) == 0


def test_two_loops_share_the_work_and_start_each_task_once(stage: Stage) -> None:
    for number in range(24):
        stage.task(f"t{number:02}")
    loops = [stage.loop("drain", parallel=2), stage.loop("drain", parallel=2)]
    assert [stage.code(loop) for loop in loops] == [0, 0]
    assert sorted(line.split()[0] for line in (stage.top / "started").read_text().splitlines()) == [f"t{n:02}" for n in range(24)]
    assert "ended" not in stage.said(0)
    assert stage.said(0).count(": started") + stage.said(1).count(": started") == 24


def test_a_drain_waits_for_what_runs_in_another_loop(stage: Stage) -> None:
    stage.task("a", "hold")
    other = stage.loop("loop")
    stage.runs("a")
    drain = stage.loop("drain")
    stage.until(lambda: len(stage.registered()) == 2, "the drain")
    stage.task("b")
    stage.until(lambda: stage.state("b") is State.CONVERGED, "the drain's own work")
    assert drain.poll() is None
    other.send_signal(signal.SIGTERM)
    assert stage.code(other) == 0
    stage.until(lambda: stage.worker("a") is not None, "the drain having taken the task that was put back")
    drain.send_signal(signal.SIGINT)
    assert stage.code(drain) == 130


@pytest.mark.parametrize("state", [State.BLOCKED, State.PENDING])
def test_a_running_task_moved_by_hand_stops_its_worker_and_keeps_a_clean_name(stage: Stage, state: State) -> None:
    stage.task("t", "hold", front="priority: 1")
    loop = stage.loop("loop")
    worker = stage.runs("t")
    place = stage.place("t")
    assert place is not None
    (stage.queue.path(place) / "autoresearch.md").write_text("---\ndraft: true\n---\n# t\n")
    stage.queue.path(place).rename(stage.queue.folder(state) / place.folder)  # a plain `mv`, token and all
    stage.until(lambda: gone(worker), "the end of the worker")
    stage.until((stage.queue.folder(state) / "t").is_dir, "the clean name")
    stage.until(lambda: "t: moved by hand" in stage.said(), "the line about it")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0
    assert stage.state("t") is state


def test_a_folder_put_into_running_by_hand_goes_to_pending_and_is_worked_on(stage: Stage) -> None:
    scratch = stage.queue.scratch()
    stage.fill(scratch, "t")
    loop = stage.loop("loop")
    stage.until(stage.registered, "the loop")
    scratch.rename(stage.queue.folder(State.RUNNING) / "t")
    stage.until(lambda: stage.state("t") is State.CONVERGED, "its end")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


@pytest.mark.parametrize("mode", ["loop", "drain"])
def test_a_folder_that_is_copied_into_running_stays_there_until_all_of_it_has_come(stage: Stage, mode: str) -> None:
    """Moved to pending amid the copying it was half a task, and the copier failed."""
    there = stage.queue.folder(State.RUNNING) / "t"
    there.mkdir()
    stage.fill(there, "t")
    benchmark = (there / "benchmark.sh").read_text()
    (there / "benchmark.sh").unlink()
    stage.task("other")
    loop = stage.loop(mode, settle=4.0)

    def come() -> bool:
        (there / "notes.txt").write_text("more")  # fails where it has gone
        return stage.state("other") is State.CONVERGED

    stage.until(come, "the work beside it")
    (there / "benchmark.sh").write_text(benchmark)
    stage.until(lambda: stage.state("t") is State.CONVERGED, "its end")
    if mode == "loop":
        loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_once_is_over_with_its_one_task_whatever_is_copied_into_running_meanwhile(stage: Stage) -> None:
    there = stage.queue.folder(State.RUNNING) / "t"
    there.mkdir()
    stage.fill(there, "t")
    stage.task("other")
    loop = stage.loop("once", settle=60.0)
    stage.until(lambda: (there / "notes.txt").write_text("more") and stage.state("other") is State.CONVERGED, "its one task")
    assert stage.code(loop) == 0
    assert stage.state("t") is State.RUNNING


@pytest.mark.parametrize("state", [State.PENDING, State.BLOCKED])
def test_what_is_copied_out_of_running_keeps_its_name_until_all_of_it_has_come(stage: Stage, state: State) -> None:
    there = stage.queue.folder(state) / "t.abcdef"
    (there / ".orch").mkdir(parents=True)
    leases.write(there, Lease("abcdef", identity.here()))
    stage.fill(there, "t")
    loop = stage.loop("loop", settle=2.0)

    def comes() -> bool:
        return bool((there / "notes.txt").write_text("more"))  # fails where it has gone

    stage.until(lambda: comes() and stage.registered(), "the loop")
    end = time.monotonic() + 2.5  # longer than it has to rest
    while time.monotonic() < end:
        comes()
    stage.until(lambda: not there.exists(), "its own name")
    stage.until(lambda: stage.state("t") is (State.CONVERGED if state is State.PENDING else state), "its end")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_a_worker_that_does_not_notice_the_move_is_ended_by_the_loop(stage: Stage) -> None:
    stage.task("t", "deaf")
    loop = stage.loop("loop", stop_grace=0.1)
    worker = stage.runs("t")
    place = stage.place("t")
    assert place is not None
    stage.queue.move(place, State.BLOCKED)
    stage.until(lambda: gone(worker), "the end of the deaf worker")
    assert stage.state("t") is State.BLOCKED
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_a_last_word_that_was_written_and_not_made_true_is_made_true(stage: Stage) -> None:
    from dataclasses import replace

    from orchestrator.core.lease import Lease
    from orchestrator.core.outcome import Reason

    stage.task("t")
    claim = stage.queue.take("t")
    assert claim is not None
    claim.begin(Lease(claim.token, identity.here()))
    claim.save(replace(claim.fresh_record(), reason=Reason.CONVERGED))
    claim.abandon()  # the owner died between its last word and the rename
    assert stage.code(stage.loop("drain")) == 0
    assert stage.state("t") is State.CONVERGED
    assert stage.started() == []


def test_a_claim_without_a_lease_is_taken_over(stage: Stage) -> None:
    stage.task("t")
    claim = stage.queue.take("t")
    assert claim is not None
    claim.abandon()  # the loop died right after its rename
    assert stage.code(stage.loop("drain")) == 0
    assert stage.state("t") is State.CONVERGED
    assert len(stage.started("t")) == 1


def test_a_loop_started_with_nohup_outlives_its_terminal(stage: Stage) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited by what is started now, as with nohup
    try:
        loop = stage.loop("loop", fresh=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    stage.until(stage.registered, "the loop")
    loop.send_signal(signal.SIGHUP)
    stage.task("t")
    stage.until(lambda: stage.state("t") is State.CONVERGED, "work after the signal")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_of_two_loops_the_older_one_adopts(stage: Stage) -> None:
    stage.task("a", "hold")
    dead = stage.loop("loop")
    stage.runs("a")
    stage.loop("loop")
    stage.until(lambda: len(stage.registered()) == 2, "the second loop")
    stage.loop("loop")
    stage.until(lambda: len(stage.registered()) == 3, "the third loop")
    dead.kill()
    stage.until(lambda: "answers for its worker" in stage.said(), "the adoption")
    stage.stop()
    assert [stage.code(loop) for loop in stage.loops[1:]] == [0, 0]
    assert "answers for its worker" in stage.said(1)
    assert "answers for its worker" not in stage.said(2)
    assert stage.state("a") is State.PENDING


def test_a_loop_for_one_task_keeps_no_younger_one_from_adopting(stage: Stage) -> None:
    stage.task("mine", "hold")
    stage.loop("task", name="mine")
    stage.runs("mine")
    stage.task("a", "hold")
    dead = stage.loop("loop")
    stage.runs("a")
    dead.kill()
    stage.loop("loop")
    stage.until(lambda: "answers for its worker" in stage.said(2), "the adoption")


def test_while_nothing_can_be_written_tasks_stay_pending_and_one_line_says_why(stage: Stage) -> None:
    loop = stage.loop("loop")
    stage.until(stage.registered, "the loop")
    stage.task("first")
    stage.until(lambda: "first: converged" in stage.said(), "work while there is space, and a loop at rest")
    limits = resource.prlimit(loop.pid, resource.RLIMIT_FSIZE, (900, resource.RLIM_INFINITY))  # too small for any lease
    stage.task("t")
    stage.until(lambda: "File too large" in stage.said(), "the complaint")
    asked = time.monotonic()
    stage.until(lambda: time.monotonic() - asked > 2.5, "a few more tries")
    stage.until(lambda: stage.state("t") is State.PENDING, "the task between two tries")
    assert stage.said().count("File too large") == 1
    assert stage.started("t") == []
    resource.prlimit(loop.pid, resource.RLIMIT_FSIZE, limits)
    stage.until(lambda: stage.state("t") is State.CONVERGED, "work when there is space again")
    stage.until(lambda: "Working again." in stage.said(), "the all-clear")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_a_problem_that_ends_without_a_sign_is_seen_to_have_ended_within_seconds(stage: Stage) -> None:
    loop = stage.loop("loop")
    stage.task("first")
    stage.until(lambda: stage.state("first") is State.CONVERGED, "a loop that has all it needs")
    stage.until(lambda: "first: converged" in stage.said(), "a loop at rest")
    owners = stage.queue.control / "owners"
    owners.rename(stage.top / "owners")  # no claim can be made, and nothing that is watched changes when one can again
    owners.touch()
    stage.task("t")
    stage.until(lambda: "owners" in stage.said(), "the complaint")
    asked = time.monotonic()
    stage.until(lambda: time.monotonic() - asked > 2.5, "a few more tries")
    assert len([line for line in stage.said().splitlines() if "owners" in line]) == 1
    owners.unlink()
    (stage.top / "owners").rename(owners)
    asked = time.monotonic()
    stage.until(lambda: stage.state("t") is State.CONVERGED, "work when it can be done again")
    assert time.monotonic() - asked < 18
    stage.until(lambda: "Working again." in stage.said(), "the all-clear")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_a_drain_gives_up_where_a_problem_lasts(stage: Stage) -> None:
    stage.task("a", "hold")
    drain = stage.loop("drain", parallel=2)
    worker = stage.runs("a")
    (stage.queue.control / "owners").rename(stage.top / "owners")
    (stage.queue.control / "owners").touch()
    stage.task("b")
    assert stage.code(drain) not in (0, 75)
    (stage.queue.control / "owners").unlink()
    (stage.top / "owners").rename(stage.queue.control / "owners")
    stage.until(lambda: gone(worker), "the worker having been stopped")
    assert stage.state("b") is State.PENDING


def test_a_copy_put_into_running_beside_its_original_does_not_keep_a_drain_waiting(stage: Stage) -> None:
    stage.task("t", front="draft: true")
    copy = stage.queue.folder(State.RUNNING) / "t"
    copy.mkdir()
    stage.fill(copy, "t")
    assert stage.code(stage.loop("drain")) == 1
    assert f"found a second folder of this name: {copy}" in stage.said()
    assert stage.started() == []


def test_a_tasks_folder_that_is_removed_is_said_and_not_made_again(stage: Stage) -> None:
    loop = stage.loop("loop")
    stage.until(stage.registered, "the loop")
    stage.task("t")
    stage.until(lambda: stage.state("t") is State.CONVERGED, "work")
    stage.queue.root.rename(stage.top / "elsewhere")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0
    assert not stage.queue.root.exists()


def test_a_loop_whose_project_was_moved_hears_a_stop_from_where_it_is_now(stage: Stage) -> None:
    loop = stage.loop("loop")
    stage.until(stage.registered, "the loop")
    stage.task("t", "hold")
    stage.runs("t")
    moved = Queue(stage.queue.root.rename(stage.top / "elsewhere"))
    assert len(control.request_stop(moved)) == 1
    assert stage.code(loop) == 0
    assert moved.owners.loops() == ()


def removes(folder: Path) -> bool:
    """As a person does, who does it again where the loop was just writing there."""
    rmtree(folder, ignore_errors=True)
    return not folder.exists()


@pytest.mark.parametrize("removed", [".orch", ".orch/owners"])
def test_a_loop_whose_registration_somebody_removes_works_on_is_shown_again_and_hears_a_stop(stage: Stage, removed: str) -> None:
    loop = stage.loop("loop")
    stage.until(stage.registered, "the loop")
    (me,) = stage.registered()
    stage.until((stage.queue.control / "tmp/.clock").exists, "its first look")
    stage.until(lambda: removes(stage.queue.root / removed), "its removal")
    folder = stage.queue.folder(State.PENDING) / "t"
    folder.mkdir()
    stage.fill(folder, "t")
    stage.until((stage.queue.control / "owners" / me).exists, "its registration")
    assert stage.registered() == (me,)
    stage.until(lambda: stage.state("t") is State.CONVERGED, "work")
    assert "is gone" not in stage.said()
    stage.stop()
    assert stage.code(loop) == 0


def test_a_dead_workers_task_goes_back_to_pending_where_no_slot_is_free(stage: Stage) -> None:
    stage.task("mine", "hold")
    stage.task("theirs", "agent")
    here = stage.loop("loop")
    stage.until(stage.started, "the first claim")
    mine = (stage.top / "started").read_text().split()[0]
    other = "theirs" if mine == "mine" else "mine"
    claim = stage.queue.take(other)  # another loop, which dies before its worker starts
    assert claim is not None
    claim.abandon()
    stage.until(lambda: f"{other}: its worker died; the task is back in pending" in stage.said(), "the reclaim")
    assert stage.state(other) is State.PENDING
    here.send_signal(signal.SIGTERM)
    assert stage.code(here) == 0


def test_a_dead_workers_task_whose_record_cannot_be_read_now_is_not_held_by_the_loop(stage: Stage) -> None:
    stage.task("t", "hold")
    stage.loop("loop")
    worker = stage.runs("t")
    place = stage.place("t")
    assert place is not None
    record = stage.queue.path(place) / ".orch/state.json"
    record.unlink(missing_ok=True)
    record.symlink_to(record.name)  # an error for root, too
    os.kill(worker, signal.SIGKILL)
    stage.until(lambda: "t: invalid: Can't read" in stage.said(), "what is wrong with it")
    assert stage.state("t") is State.PENDING
    folder = stage.queue.folder(State.PENDING) / "t"
    (folder / ".orch/state.json").unlink()
    (folder / "act").write_text("converge")
    stage.until(lambda: stage.state("t") is State.CONVERGED, "work once it is mended")


def test_a_dead_workers_task_waits_while_its_agent_goes_on_that_this_user_can_not_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.task("t")
    said: list[str] = []
    with subprocess.Popen(["sleep", "60"]) as agent:
        claim = stage.queue.take("t")
        assert claim is not None
        dead = replace(stage.queue.me(), start=0.0)
        claim.begin(Lease(claim.token, dead, agent=identity.of(agent.pid)))
        claim.abandon()
        monkeypatch.setattr(identity, "may_signal", lambda _pid: False)  # another user's, in a queue that a group shares
        run(Settings(tasks=str(stage.queue.root)), Mode.ONCE, say=said.append)
        assert agent.poll() is None
        agent.kill()
    assert f"t waits: its worker died, its agent goes on, and this user can't end that (pid {agent.pid})" in "".join(said)
    assert stage.state("t") is State.RUNNING
    run(Settings(tasks=str(stage.queue.root)), Mode.ONCE, say=said.append, program=STANDIN)
    assert stage.state("t") is State.CONVERGED


def test_workers_that_cannot_be_started_leave_the_task_waiting_with_the_reason(stage: Stage) -> None:
    stage.task("t")
    assert stage.code(stage.loop("drain", program=("/no/such/worker",), backoff=600.0)) == 75
    record = stage.record("t")
    assert record is not None
    assert "no such program" in (record.detail or "")
    assert stage.said().count("t: can't be started") == 1


def test_a_folder_of_logs_that_somebody_removed_keeps_no_task_from_being_started(stage: Stage) -> None:
    stage.task("first")
    stage.loop("loop")
    stage.until(lambda: stage.state("first") is State.CONVERGED, "the first one's end")
    stage.until(lambda: removes(stage.queue.control / LOGS), "the removal of the logs")
    stage.task("second")
    stage.until(lambda: stage.state("second") is State.CONVERGED, "the second one's end")
    assert "can't be started" not in stage.said()
