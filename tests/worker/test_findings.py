from __future__ import annotations

import pytest
from support.desk import DONE, Desk

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import State
from orchestrator.git import repository
from orchestrator.worker import findings

SPOIL = "echo echo METRIC left=0 >"


def only_result(desk: Desk) -> tuple[State, Result, str]:
    (attempt,) = desk.record().history
    return desk.state(), attempt.result, attempt.detail


@pytest.mark.parametrize("where", ["$ORCH_TASK_DIR/benchmark.sh", "{running}/x.*/benchmark.sh", "{running}/x.*/checks.sh"])
def test_touching_the_evaluator_is_a_finding_wherever_it_lies(desk: Desk, where: str) -> None:
    desk.drop(front="max_failures: 1", files={"checks.sh": "true\n"})
    desk.agent(f"for f in {where.format(running=desk.queue.folder(State.RUNNING))}; do {SPOIL} $f; done; {DONE}")
    desk.serve()
    state, result, detail = only_result(desk)
    assert (state, result, desk.merges()) == (State.BLOCKED, Result.TAMPERED, 0)
    assert where.rpartition("/")[2] in detail


def test_a_script_of_the_repository_that_the_benchmark_runs_is_out_of_scope(desk: Desk) -> None:
    desk.commit({"bench/count.sh": 'echo "METRIC left=$(grep -c . todo.txt)"\n'})
    (desk.drop(front="benchmark: sh bench/count.sh\nmax_failures: 1") / "benchmark.sh").unlink()
    desk.agent(f"{SPOIL} bench/count.sh")
    desk.serve()
    state, result, detail = only_result(desk)
    assert (state, result, desk.merges()) == (State.BLOCKED, Result.SCOPE_VIOLATION, 0)
    assert "bench/count.sh" in detail


def test_the_repositorys_script_is_measured_as_it_was_at_the_base(desk: Desk) -> None:
    desk.commit({"bench/count.sh": 'echo "METRIC left=$(grep -c . todo.txt)"\n'})
    (desk.drop(front="benchmark: sh bench/count.sh") / "benchmark.sh").unlink()
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.show("todo.txt")) == (State.CONVERGED, "")


def test_moving_the_base_is_a_finding_and_nothing_is_reset(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent(f"{DONE}; git commit -qam mine; git update-ref refs/heads/main HEAD")
    desk.serve()
    assert only_result(desk)[:2] == (State.BLOCKED, Result.TAMPERED)
    assert desk.main == desk.tip("refs/orchestrator/x/0001")


def test_a_base_that_a_person_moved_meanwhile_is_none(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"git -C {desk.repo} commit -q --allow-empty -m person; {DONE}")
    desk.serve()
    assert only_result(desk)[:2] == (State.CONVERGED, Result.CONVERGED)


def test_a_changed_configuration_is_reported_and_no_more(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"git config user.name somebody; {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert "configuration" in desk.events(event="finding")[0]["detail"]


def test_many_paths_out_of_scope_are_named_up_to_a_point(desk: Desk) -> None:
    desk.drop(front="scope: [todo.txt]\nmax_failures: 1")
    desk.agent("touch a b c d e f g")
    desk.serve()
    assert desk.record().reason is Reason.SCOPE_VIOLATION
    assert only_result(desk)[2].endswith("and 2 more")


def test_a_queue_inside_the_repository_is_hidden_from_it_and_out_of_every_scope(desk: Desk) -> None:
    desk.drop()
    work, space = desk.opened()
    root = work.claim.queue.root
    inside = desk.repo / "tasks"
    findings.hide_queue(space.repo, inside, desk.repo / ".worktrees")
    lines = (desk.repo / ".git/info/exclude").read_text().splitlines()
    assert {"/tasks/", "/.worktrees/"} <= set(lines)
    desk.commit({"queue/pending/x/autoresearch.md": "# x\n"})
    findings.hide_queue(space.repo, desk.repo / "queue", desk.top / "elsewhere")
    lines = (desk.repo / ".git/info/exclude").read_text().splitlines()
    assert {"/queue/running/", "/queue/.orch/"} <= set(lines)
    assert "/queue/" not in lines
    assert not root.is_relative_to(desk.repo)
    assert repository.tracked(space.repo, desk.repo / "queue")


def test_an_edit_of_a_file_whose_copy_is_gone_is_none(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"rm -rf $ORCH_TASK_DIR; {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED
