from __future__ import annotations

from support.desk import DONE, Desk

from orchestrator.core.task import State


def test_a_task_is_worked_on_until_it_has_converged_and_landed(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    before = desk.main
    assert desk.serve() == 0
    record = desk.record()
    assert (desk.state(), record.attempts, record.failures) == (State.CONVERGED, 1, 0)
    assert record.landed is not None
    assert (record.landed.how, record.landed.commit) == ("merge", desk.main)
    assert desk.show("todo.txt") == ""
    assert desk.git("rev-list", "--parents", "-1", "main").split()[1] == before
