"""A drain works until nothing more can be done, and its exit code says how that was."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.stage import STANDIN, Stage

from orchestrator.core.candidate import Candidate
from orchestrator.core.outcome import Reason
from orchestrator.core.pull import Pull
from orchestrator.core.record import Landed, Record
from orchestrator.core.settings import Settings
from orchestrator.core.task import State
from orchestrator.errors import StoreError
from orchestrator.loop import backlog, retention, run
from orchestrator.loop.index import Index
from orchestrator.loop.mode import Mode
from orchestrator.loop.parts import Moment
from orchestrator.loop.wakeup import Wakeup
from orchestrator.loop.watch import Watch
from orchestrator.store import records, specfile
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue


def test_a_drain_of_an_empty_queue_ends_at_once_with_0(stage: Stage) -> None:
    assert stage.code(stage.loop("drain")) == 0
    assert "no tasks" in stage.said()


def test_a_drain_converges_everything_and_ends_with_0(stage: Stage) -> None:
    for number in range(5):
        stage.task(f"t{number}")
    assert stage.code(stage.loop("drain", parallel=2)) == 0
    assert [stage.state(f"t{number}") for number in range(5)] == [State.CONVERGED] * 5
    assert len(stage.started()) == 5
    assert "5 converged" in stage.said()


def test_a_drain_with_something_blocked_ends_with_1_and_names_it(stage: Stage) -> None:
    stage.task("good")
    stage.task("bad", "block")
    assert stage.code(stage.loop("drain")) == 1
    assert stage.state("good") is State.CONVERGED
    assert "bad is blocked (exhausted): five failures" in stage.said()
    assert "`orchestrator why bad` says what to do; once that is done, `orchestrator retry bad`" in stage.said()


def test_a_drain_ends_with_75_where_a_task_is_parked_for_long(stage: Stage) -> None:
    stage.task("later", "park 600")
    assert stage.code(stage.loop("drain", settle=5.0)) == 75
    assert len(stage.started("later")) == 1
    assert "waits until" in stage.said()
    assert "later waits: next try in" in stage.said()  # and not that its own worker just wrote in its folder


def told(folder: Path, act: str) -> bool:
    """Whether the task was there to be told so: on a slow machine it may have been claimed again."""
    try:
        (folder / "act").write_text(act)
    except FileNotFoundError:
        return False
    return True


def test_a_drain_waits_for_a_short_back_off(stage: Stage) -> None:
    folder = stage.task("soon", "park 0.4")
    loop = stage.loop("drain")
    stage.until((folder / ".orch/state.json").exists, "the first claim's end")
    stage.until(lambda: told(folder, "converge"), "a moment between two claims")
    assert stage.code(loop) == 0
    assert stage.state("soon") is State.CONVERGED


def test_a_metric_without_a_target_is_told_at_its_first_claim_and_not_again(stage: Stage) -> None:
    stage.task("open", "park 0.1", front="metric: left")
    loop = stage.loop()
    stage.until(lambda: len(stage.started("open")) > 2, "another claim")
    stage.stop()
    assert stage.code(loop) == 0
    assert stage.said().count("open: The metric left has no target; 0 is taken.") == 1


def test_an_invalid_task_is_shown_with_its_place_and_ends_a_drain_with_1(stage: Stage) -> None:
    folder = stage.task("broken", front="priority: high")
    assert stage.code(stage.loop("drain")) == 1
    assert f"broken: invalid: {folder}/autoresearch.md:2" in stage.said()
    assert f"broken is invalid: {folder}/autoresearch.md:2" in stage.said()
    assert stage.started() == []


def test_drafts_neither_start_nor_count(stage: Stage) -> None:
    stage.task("sketch", front="draft: true")
    assert stage.code(stage.loop("drain")) == 0
    assert stage.state("sketch") is State.PENDING
    assert stage.started() == []


def test_a_wait_that_ends_while_the_loop_is_looking_is_not_slept_through(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = stage.task("parked")
    until = time.time() + 1000
    records.put(
        folder,
        Record(
            id="1",
            name="parked",
            slug="parked",
            inode=folder.stat().st_ino,
            reason=Reason.BACKOFF,
            not_before=until,
            updated=until,
        ),
    )
    asked: list[float] = []
    moments = iter([Moment(until - 0.05, time.monotonic())])  # the first look; at the end of it the wait is over
    monkeypatch.setattr(Wakeup, "wait", lambda self, seconds, wait=Wakeup.wait: asked.append(seconds) or wait(self, seconds))
    monkeypatch.setattr(run, "now", lambda: next(moments, Moment(until + 0.05, time.monotonic())))
    settings = Settings(tasks=str(stage.queue.root), settle=0.2)
    assert run.run(settings, Mode.DRAIN, say=lambda _line: None, program=STANDIN) == 0
    assert stage.state("parked") is State.CONVERGED
    assert max(asked) <= run.BUSY


def test_a_folder_that_rests_for_less_than_a_second_is_not_left_alone_for_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = stage.task("dropped")
    (dropped / ".orch/ready").unlink()
    specfile.read(dropped)  # the first one takes longer than any other
    first = iter([dropped])
    asked: list[float] = []

    def look() -> Moment:
        for folder in first:  # it has just been changed when it is first looked at
            (folder / "autoresearch.md").touch()
        return Moment(time.time(), time.monotonic())

    monkeypatch.setattr(run, "now", look)
    monkeypatch.setattr(Wakeup, "wait", lambda self, seconds, wait=Wakeup.wait: asked.append(seconds) or wait(self, seconds))
    settings = Settings(tasks=str(stage.queue.root), settle=0.9)
    assert run.run(settings, Mode.DRAIN, say=lambda _line: None, program=STANDIN) == 0
    assert stage.state("dropped") is State.CONVERGED
    assert asked[0] <= 0.9 < run.BUSY


def test_a_file_that_an_editor_left_is_not_looked_at_more_often_where_folders_rest_for_less(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stage.task("open") / ".autoresearch.md.swp").write_text("")
    asked: list[float] = []

    def wait(self: Wakeup, seconds: float, wait: Callable[[Wakeup, float], bool] = Wakeup.wait) -> bool:
        asked.append(seconds)
        if len(asked) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return wait(self, seconds)

    monkeypatch.setattr(Wakeup, "wait", wait)
    assert run.run(Settings(tasks=str(stage.queue.root), settle=0.0), Mode.LOOP, say=lambda _line: None, program=STANDIN) == 0
    assert min(asked[:3]) > run.BUSY / 2


def test_a_drain_ends_however_many_it_judges_anew_at_its_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (stage.task(f"open{number}") / ".autoresearch.md.swp").write_text("")
        stage.task(f"broken{number}", front="priority: high")
    ticks = iter(range(50))
    monkeypatch.setattr(backlog, "SLICE", 0.0)  # a tick reads one, as it reads some fifty of hundreds
    monkeypatch.setattr(Wakeup, "wait", lambda self, seconds, wait=Wakeup.wait: next(ticks) < 0 or wait(self, seconds))
    settings = Settings(tasks=str(stage.queue.root), settle=0.0)
    assert run.run(settings, Mode.DRAIN, say=lambda _line: None, program=STANDIN) == 1


def stuck(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most urgent task is one whose folder can't be moved."""
    stage.task("stuck", front="priority: 9")

    def take(self: Queue, name: str, take: Callable[[Queue, str], Claim | None] = Queue.take) -> Claim | None:
        if name == "stuck":
            raise StoreError("pending/stuck: Device or resource busy")
        return take(self, name)

    monkeypatch.setattr(run, "BUSY", 0.05)
    monkeypatch.setattr(Queue, "take", take)


def test_once_does_one_where_a_more_urgent_folder_can_not_be_moved(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck(stage, monkeypatch)
    stage.task("good")
    told: list[str] = []
    assert run.run(Settings(tasks=str(stage.queue.root), settle=0.0), Mode.ONCE, say=told.append, program=STANDIN) == 0
    assert stage.state("good") is State.CONVERGED
    assert any("resource busy" in line for line in told)


def test_a_folder_that_can_not_be_moved_keeps_nothing_behind_it_from_being_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck(stage, monkeypatch)
    for number in range(run.PATIENCE + 5):
        stage.task(f"waits{number}", front="priority: 5\ndepends_on: [nowhere]")
    stage.task("good")
    monkeypatch.setattr(backlog, "SLICE", 0.0)
    with pytest.raises(StoreError, match="busy"):
        run.run(Settings(tasks=str(stage.queue.root), settle=0.0), Mode.DRAIN, say=lambda _line: None, program=STANDIN)
    assert stage.state("good") is State.CONVERGED


def test_a_drain_that_a_folder_ends_which_can_not_be_moved_says_what_it_did(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck(stage, monkeypatch)
    stage.task("good")
    stage.task("waits", front="depends_on: [stuck]")
    told: list[str] = []
    with pytest.raises(StoreError, match="busy"):
        run.run(Settings(tasks=str(stage.queue.root), settle=0.0), Mode.DRAIN, say=told.append, program=STANDIN)
    begin = told.index("2 pending, 1 converged")
    assert "  stuck can't be claimed: pending/stuck: Device or resource busy" in told[begin:]
    assert any(line.startswith("  waits waits: stuck") for line in told[begin:])


def test_without_inotify_a_loop_rests_however_many_it_looks_at_anew(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        stage.task(f"broken{number}", front="priority: high")
    asked: list[float] = []
    told: list[str] = []

    def wait(self: Wakeup, seconds: float, wait: Callable[[Wakeup, float], bool] = Wakeup.wait) -> bool:
        asked.append(seconds)
        if len(asked) == 30:
            os.kill(os.getpid(), signal.SIGTERM)
        return wait(self, min(seconds, 0.05))

    def deaf(_watch: Watch) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(backlog, "SLICE", 0.0)
    monkeypatch.setattr(Watch, "_begin", deaf)
    monkeypatch.setattr(Wakeup, "wait", wait)
    assert run.run(Settings(tasks=str(stage.queue.root)), Mode.LOOP, say=told.append, program=STANDIN) == 0
    assert max(asked) > run.BUSY / 2
    assert sum("invalid" in line for line in told) == 5


def test_a_child_starts_after_its_parent_and_never_after_a_blocked_one(stage: Stage) -> None:
    stage.task("parent")
    stage.task("child", front="depends_on: [parent]\npriority: 9")
    stage.task("fallen", "block")
    stage.task("orphan", front="depends_on: [fallen]")
    assert stage.code(stage.loop("drain", parallel=2)) == 1
    assert stage.state("child") is State.CONVERGED
    assert stage.state("orphan") is State.PENDING
    assert "orphan waits: fallen is blocked" in stage.said()
    assert stage.started("orphan") == []


def test_a_parents_end_is_told_before_its_child_starts_though_its_worker_is_still_there(stage: Stage) -> None:
    stage.task("parent", "linger")
    stage.task("child", front="depends_on: [parent]")
    assert stage.code(stage.loop("drain", parallel=2)) == 0
    assert [line for line in stage.said().splitlines() if line.startswith(("parent", "child"))] == [
        *("parent: started", "parent: converged, nothing to land"),
        *("child: started", "child: converged, nothing to land"),
    ]


def test_a_worker_whose_task_has_converged_holds_no_slot_while_it_ends(stage: Stage) -> None:
    stage.task("first", "linger", front="priority: 1")  # it ends when another worker has started
    stage.task("second")
    assert stage.code(stage.loop("drain", parallel=1)) == 0
    assert [stage.state(name) for name in ("first", "second")] == [State.CONVERGED] * 2
    assert "no other worker" not in stage.said()


def test_higher_priority_goes_first(stage: Stage) -> None:
    for name, priority in (("low", -1), ("high", 5), ("middle", 0)):
        stage.task(name, front=f"priority: {priority}")
    assert stage.code(stage.loop("drain")) == 0
    order = [line.split()[0] for line in (stage.top / "started").read_text().splitlines()]
    assert order == ["high", "middle", "low"]


def test_a_drop_file_by_file_is_claimed_only_when_it_has_settled(stage: Stage) -> None:
    folder = stage.queue.folder(State.PENDING) / "slow"
    folder.mkdir()
    loop = stage.loop("loop", settle=0.5)
    stage.until(lambda: "slow: invalid" in stage.said(), "the half-made folder being shown")
    stage.fill(folder, "slow")
    stage.until(lambda: stage.state("slow") is State.CONVERGED, "the settled drop's end")
    assert len(stage.started("slow")) == 1
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_a_spec_that_an_editor_holds_open_is_left_alone(stage: Stage) -> None:
    folder = stage.task("edited")
    (folder / ".autoresearch.md.swp").write_text("")
    loop = stage.loop("loop")
    stage.until(stage.registered, "the loop")
    stage.task("other")
    stage.until(lambda: stage.state("other") is State.CONVERGED, "the task beside it")
    assert stage.started("edited") == []
    (folder / ".autoresearch.md.swp").unlink()
    stage.until(lambda: stage.state("edited") is State.CONVERGED, "the edited task's end")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_an_invalid_spec_is_taken_as_soon_as_it_is_mended(stage: Stage) -> None:
    folder = stage.task("mended", front="priority: high")
    (folder / ".orch/ready").unlink()
    loop = stage.loop("loop")
    stage.until(lambda: "mended: invalid" in stage.said(), "the complaint")
    stage.fill(stage.top, "mended")
    (stage.top / "autoresearch.md").replace(folder / "autoresearch.md")  # never half of it, of which there is a line, too
    stage.until(lambda: stage.state("mended") is State.CONVERGED, "its end")
    assert stage.said().count("mended: invalid") == 1
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_old_converged_tasks_are_removed_but_for_those_still_needed(stage: Stage) -> None:
    for name in ("old-needed", "old-1", "old-2"):
        stage.task(name, state=State.CONVERGED)
    stage.task("waiting", front="depends_on: [old-needed, never]")
    stage.task("new")
    assert stage.code(stage.loop("drain", keep_converged=2)) == 1
    assert [stage.state(name) for name in ("old-needed", "old-1", "old-2", "new")] == [
        State.CONVERGED,
        None,
        State.CONVERGED,
        State.CONVERGED,
    ]
    assert stage.queue.removed.names() == {"old-1"}


def test_a_task_that_another_loop_removed_meanwhile_is_neither_noted_nor_told_again(stage: Stage) -> None:
    for name in ("old", "new"):
        stage.task(name, state=State.CONVERGED)
    index = Index(stage.queue, lambda place, double: Candidate(place, None))
    index.refresh(0.0, full=True)
    stage.queue.discard(stage.queue.find("old"))
    assert retention.prune(stage.queue, index, Settings(keep_converged=1), 0.0) == ()
    assert stage.queue.removed.names() == set()


def test_what_must_stay_pushes_out_nothing_that_has_just_converged(stage: Stage) -> None:
    for name in ("needed-1", "needed-2", "needed-3"):
        stage.task(name, state=State.CONVERGED)
    stage.task("waiting", front="depends_on: [needed-1, needed-2, needed-3, never]")
    stage.task("new")
    assert stage.code(stage.loop("drain", keep_converged=1)) == 1
    assert (stage.state("new"), stage.state("needed-1")) == (State.CONVERGED, State.CONVERGED)
    assert stage.queue.removed.names() == set()


def test_a_task_whose_pull_request_is_open_is_not_removed(stage: Stage) -> None:
    for name, state in (("merged", "merged"), ("open", "open")):
        folder = stage.task(name, state=State.CONVERGED)
        landed = Landed("c0ffee", "main", "pr", state=state)
        pull = Pull("github", "origin", 1, "https://forge.test/1", "c0ffee")
        records.put(folder, Record(name, name, folder.stat().st_ino, name, landed=landed, pull=pull))
    stage.task("new")
    assert stage.code(stage.loop("drain", keep_converged=1)) == 0
    assert (stage.state("merged"), stage.state("open")) == (None, State.CONVERGED)


def test_a_task_that_was_undone_is_not_removed_since_its_name_would_release_its_children(stage: Stage) -> None:
    for name, undone in (("landed", None), ("undone", "beef")):
        folder = stage.task(name, state=State.CONVERGED)
        landed = Landed("c0ffee", "main", "merge", undone=undone)
        records.put(folder, Record(name, name, folder.stat().st_ino, name, landed=landed))
    stage.task("new")
    assert stage.code(stage.loop("drain", keep_converged=1)) == 0
    assert (stage.state("landed"), stage.state("undone")) == (None, State.CONVERGED)


def test_what_a_day_s_budget_counts_is_not_removed_on_that_day(stage: Stage) -> None:
    now = time.time()
    for name, updated in (("before", now - 180_000), ("yesterday", now - 90_000), ("today", now)):
        folder = stage.task(name, state=State.CONVERGED)
        records.put(folder, Record(name, name, folder.stat().st_ino, name, updated=updated))
    stage.task("new")
    assert stage.code(stage.loop("drain", keep_converged=1, budget_usd_day=5.0)) == 0
    kept = [name for name in ("before", "yesterday", "today", "new") if stage.state(name) is State.CONVERGED]
    assert kept == ["yesterday", "today", "new"]


def test_a_removed_task_still_releases_its_children(stage: Stage) -> None:
    stage.queue.removed.add("long-ago")
    stage.task("child", front="depends_on: [long-ago]")
    assert stage.code(stage.loop("drain")) == 0
    assert stage.state("child") is State.CONVERGED


def test_two_folders_of_one_name_leave_the_second_one_alone(stage: Stage) -> None:
    first = stage.task("twin", state=State.CONVERGED)
    second = stage.queue.folder(State.PENDING) / "twin"
    second.mkdir()
    stage.fill(second, "twin")
    assert stage.code(stage.loop("drain")) == 1
    assert stage.started() == []
    assert f"{second}: found a second folder of this name: {first}" in stage.said()


def test_a_task_with_an_unknown_executor_says_which_there_are(stage: Stage) -> None:
    stage.task("elsewhere", front="executor: moon")
    assert stage.code(stage.loop("drain")) == 1
    assert "There is no executor called 'moon'. Known executors: local." in stage.said()
