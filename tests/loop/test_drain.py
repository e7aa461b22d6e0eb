"""A drain works until nothing more can be done, and its exit code says how that was."""

from __future__ import annotations

from orchestrator.core.task import State
from support.stage import Stage


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
