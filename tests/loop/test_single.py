"""`--once` and `--task NAME`: one claim, then the exit code that tells how it ended."""

from __future__ import annotations

import json
import signal

import pytest
from support.stage import Stage

from orchestrator.core.task import State


@pytest.mark.parametrize(("act", "code", "state"), [
    ("converge", 0, State.CONVERGED), ("block", 1, State.BLOCKED), ("park 600", 75, State.PENDING), ("park 0", 0, State.PENDING)
])  # fmt: skip
def test_once_makes_one_claim_and_tells_how_it_ended(stage: Stage, act: str, code: int, state: State) -> None:
    stage.task("first", act, front="priority: 1")
    stage.task("second")
    assert stage.code(stage.loop("once", parallel=4)) == code
    assert stage.state("first") is state
    assert stage.started("second") == []


def test_once_tells_how_far_the_task_has_come(stage: Stage) -> None:
    front = "metrics: [{name: left, target: 0}, {name: kb, direction: higher, target: 9.5}, {name: shown}]"
    folder = stage.task("t", "park 600", front=front)
    facts = {"id": "1", "name": "t", "slug": "t", "inode": folder.stat().st_ino}
    numbers = {"baseline": {"left": 12, "kb": 1, "shown": 3}, "values": {"left": 3, "shown": 4}}
    (folder / ".orch/state.json").write_text(json.dumps({**facts, **numbers}))
    assert stage.code(stage.loop("once")) == 75
    told = next(line for line in stage.said().splitlines() if line.startswith("t: waits until"))
    assert told.endswith("(backoff) (left 12 -> 3, target <= 0; kb 1 -> missing, target >= 9.5)")


def test_once_says_no_number_where_there_is_none(stage: Stage) -> None:
    stage.task("t")
    assert stage.code(stage.loop("once")) == 0
    assert stage.said().splitlines()[-1] == "t: converged, nothing to land"


def test_a_forced_task_is_not_lost_among_what_is_wrong_with_others(stage: Stage) -> None:
    stage.task("t")
    stage.task("broken", front="priority: high")
    assert stage.code(stage.loop("task", "t")) == 0
    assert "broken" not in stage.said()
    assert stage.code(stage.loop("task", "broken")) == 1
    assert [line.partition(": ")[0] for line in stage.said().splitlines() if "broken" in line] == ["broken can't start"]


def test_once_waits_for_a_folder_that_is_still_settling(stage: Stage) -> None:
    folder = stage.queue.folder(State.PENDING) / "fresh"
    folder.mkdir()
    stage.fill(folder, "fresh")
    assert stage.code(stage.loop("once", settle=0.6)) == 0
    assert stage.state("fresh") is State.CONVERGED


def test_of_very_many_that_nobody_has_read_yet_the_first_by_priority_is_claimed(stage: Stage) -> None:
    for number in range(400):
        folder = stage.queue.folder(State.PENDING) / f"t{number}"
        folder.mkdir()
        stage.fill(folder, folder.name, front=f"labels: [one, two]\npriority: {number * 7 % 400}")
        (folder / ".orch").mkdir()
        (folder / ".orch/ready").touch()
    assert stage.code(stage.loop("once")) == 0
    assert [stage.state(f"t{number}") for number in (57, 56)] == [State.CONVERGED, State.PENDING]  # 57 * 7 % 400 == 399


def test_once_without_anything_to_claim_ends_at_once(stage: Stage) -> None:
    assert stage.code(stage.loop("once")) == 0
    assert "Nothing to do." in stage.said()


def test_a_named_task_goes_before_better_ones_and_before_its_back_off_is_over(stage: Stage) -> None:
    stage.task("better", front="priority: 9")
    folder = stage.task("parked", "park 600")
    assert stage.code(stage.loop("task", "park")) == 75
    (folder / "act").write_text("converge")
    assert stage.code(stage.loop("task", "parked")) == 0
    assert stage.state("parked") is State.CONVERGED
    assert stage.started("better") == []


@pytest.mark.parametrize(("front", "code", "says"), [
    ("depends_on: [nobody]", 1, "no task is called nobody"),
    ("draft: true", 1, "draft"),
    ("priority: high", 1, "autoresearch.md:2"),
])  # fmt: skip
def test_what_nobody_can_force_is_said(stage: Stage, front: str, code: int, says: str) -> None:
    stage.task("held", front=front)
    assert stage.code(stage.loop("task", "held")) == code
    assert says in stage.said()
    assert stage.started() == []


@pytest.mark.parametrize(("state", "code", "says"), [
    (State.CONVERGED, 0, "has converged already"), (State.BLOCKED, 1, "is blocked"),
])  # fmt: skip
def test_a_named_task_that_is_not_pending_is_told_where_it_is(stage: Stage, state: State, code: int, says: str) -> None:
    stage.task("there", state=state)
    assert stage.code(stage.loop("task", "there")) == code
    assert says in stage.said()


def test_once_with_nothing_but_waiting_tasks_says_try_later(stage: Stage) -> None:
    stage.task("a", "hold")
    other = stage.loop("loop")
    stage.runs("a")
    stage.task("b", front="depends_on: [a]")
    assert stage.code(stage.loop("once")) == 75
    assert "Nothing can be claimed now." in stage.said()
    assert stage.code(stage.loop("task", "a")) == 75
    assert "a runs already" in stage.said()
    other.send_signal(signal.SIGTERM)
    assert stage.code(other) == 0


def test_a_signal_during_a_single_claim_puts_the_task_back(stage: Stage) -> None:
    stage.task("a", "hold")
    loop = stage.loop("task", "a")
    stage.runs("a")
    loop.send_signal(signal.SIGINT)
    assert stage.code(loop) == 130
    assert stage.state("a") is State.PENDING
