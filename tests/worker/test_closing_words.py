"""What becomes of verified work that waits for a person, for luck, for another base or for a remote, in the worker itself."""

from __future__ import annotations

import pytest
from support.desk import COUNT, DONE, LESS, Desk

from orchestrator.core import reporting
from orchestrator.core.evidence import Evidence
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Answer, Record, Result
from orchestrator.core.review import answered
from orchestrator.core.spec import Metric
from orchestrator.core.task import State
from orchestrator.store import dossier

LEFT = (Metric("left"),)
COUNTED = "n=$(($(cat {0}/samples 2>/dev/null || echo 0) + 1)); echo $n > {0}/samples\n"


def results(desk: Desk) -> list[Result]:
    return [attempt.result for attempt in desk.record().history]


def read(desk: Desk, record: Record) -> Evidence:
    return dossier.read(desk.folder(), record, title="x", goal="", metrics=LEFT)


def proofs(desk: Desk) -> int:
    return sum(event["where"] == "verify" for event in desk.events(event="measured"))


def answer(desk: Desk, said: Answer, note: str = "") -> None:
    """What `orchestrator approve` and `reject` do."""
    claim = desk.claim()
    record = claim.record()
    assert record is not None
    claim.release(State.PENDING, answered(record, said, note))


def test_verified_work_waits_for_a_person_and_is_not_verified_again_once_approved(desk: Desk) -> None:
    desk.drop(front="review: required")
    desk.agent(f"{desk.call} {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.merges()) == (State.PENDING, Reason.REVIEW, 0)
    verified = proofs(desk)
    desk.serve()  # a worker that comes before the answer asks nothing twice
    assert (desk.state(), desk.record().reason, proofs(desk)) == (State.PENDING, Reason.REVIEW, verified)
    answer(desk, Answer.APPROVED)
    desk.serve()
    assert (desk.state(), desk.merges(), desk.calls()) == (State.CONVERGED, 1, 1)
    assert proofs(desk) == verified > 0


def test_rejected_work_is_refused_until_something_was_changed(desk: Desk) -> None:
    desk.drop(front="review: required")
    desk.agent(f"{desk.call} {DONE}; [ $n -lt 3 ] || echo better > better")
    desk.serve()
    answer(desk, Answer.REJECTED, "make it better")
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.calls()) == (State.PENDING, Reason.REVIEW, 3)
    assert results(desk)[0] is Result.GATE
    assert "make it better" in (desk.folder() / ".orch/attempts/0002/prompt.md").read_text()
    answer(desk, Answer.APPROVED)
    desk.serve()
    assert (desk.state(), desk.show("better")) == (State.CONVERGED, "better")


def test_a_noisy_number_at_its_target_by_chance_is_no_convergence_and_not_flaky(desk: Desk) -> None:
    lucky = COUNTED.format(desk.top) + "[ $((n % 2)) = 0 ] || { echo METRIC left=3; exit; }\n"
    desk.drop(front="metric: {name: left, target: 0, kind: noisy}\nmax_failures: 1", benchmark=lucky + COUNT)
    desk.agent(DONE)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.flaky, desk.merges()) == (State.BLOCKED, Reason.EXHAUSTED, 0, 0)
    assert "by chance" in record.history[0].detail


def test_the_same_of_work_that_was_verified_before_and_had_to_wait(desk: Desk) -> None:
    lucky = COUNTED.format(desk.top) + f"[ ! -e {desk.top}/luck ] || [ $((n % 2)) = 0 ] || {{ echo METRIC left=3; exit; }}\n"
    desk.drop(front="metric: {name: left, target: 0, kind: noisy}\nmax_failures: 1", benchmark=lucky + COUNT)
    desk.agent(DONE)
    (desk.repo / "todo.txt").write_text("mine\n")  # in the way of the landing
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.PENDING, Reason.CHECKOUT)
    (desk.top / "luck").touch()
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.flaky, desk.merges()) == (State.BLOCKED, 0, 0)
    assert "by chance" in (record.detail or "")


def test_the_best_that_is_no_better_than_the_base_it_meets_is_found_anew_there(desk: Desk) -> None:
    least = 'a=$(grep -c . todo.txt); b=$(grep -c . other.txt); echo "METRIC left=$((a < b ? a : b))"\n'
    (desk.repo / "other.txt").write_text("1\n2\n3\n")
    desk.git("add", "other.txt")
    desk.git("commit", "-qm", "other")
    desk.drop(front="mode: optimize\nplateau: 1\nmetric: {name: left, kind: deterministic}", benchmark=least)
    person = f"(cd {desk.repo} && echo 1 > other.txt && git commit -qam better)"
    desk.agent(f"{desk.call} [ $n = 1 ] && {{ {person}; {LESS}; }}; true")
    desk.serve()
    record = desk.record()
    assert (record.conflicts, desk.merges(), desk.show("other.txt")) == (1, 0, "1")
    assert record.base_commit == desk.main
    assert record.history[0].commit in desk.refs().values()


def test_the_best_that_conflicts_with_the_base_is_found_anew_on_the_fresh_one(desk: Desk) -> None:
    desk.drop(front="mode: optimize\nplateau: 1\nmetric: {name: left, kind: deterministic}")
    person = f"(cd {desk.repo} && echo four > todo.txt && git commit -qam more)"
    desk.agent(f"{desk.call} [ $n = 1 ] && {{ {person}; {DONE}; exit; }}; [ $n = 3 ] && {DONE}; true")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.conflicts, desk.show("todo.txt")) == (State.CONVERGED, 1, "")
    told = read(desk, record)
    assert [fate.kept for fate in told.fates] == [False, False, True, False]


@pytest.mark.parametrize("kind", ["deterministic", "noisy"])
def test_what_is_found_anew_on_a_fresh_base_is_told_with_what_that_base_had(desk: Desk, kind: str) -> None:
    desk.drop(front=f"mode: optimize\nplateau: 1\nmetric: {{name: left, kind: {kind}}}")
    person = f"(cd {desk.repo} && echo four > todo.txt && git commit -qam more)"
    desk.agent(f"{desk.call} [ $n = 1 ] && {{ {person}; {LESS}; exit; }}; [ $n = 3 ] && {DONE}; true")
    desk.serve()
    assert (desk.state(), desk.record().baseline) == (State.CONVERGED, {"left": 1})
    assert "\nleft 1 -> 0\n" in desk.git("log", "-1", "--format=%B", "main")


def test_what_left_the_incumbent_as_it_was_has_its_number_and_not_the_one_discarded_before(desk: Desk) -> None:
    desk.drop(front="mode: optimize\nplateau: 2\nmetric: {name: left, kind: deterministic}")
    desk.agent(f"{desk.call} [ $n = 1 ] && echo more >> todo.txt; true")
    desk.serve()
    assert [attempt.values for attempt in desk.record().history] == [{"left": 4}, {"left": 3}]


def test_an_optimum_that_a_conflict_took_and_nobody_found_again_has_no_number(desk: Desk) -> None:
    desk.drop(front="mode: optimize\nplateau: 1\nmetric: {name: left, kind: deterministic}")
    person = f"(cd {desk.repo} && echo four > todo.txt && git commit -qam more)"
    desk.agent(f"{desk.call} [ $n = 1 ] && {{ {person}; {LESS}; }}; true")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.values, record.best) == (State.BLOCKED, Reason.NO_IMPROVEMENT, {}, {})
    assert "missing" not in desk.events(event="optimized")[-1]["detail"]
    assert "missing" not in reporting.page(read(desk, record))


def test_a_branch_that_cannot_be_pushed_is_tried_again_later_and_nothing_is_lost(desk: Desk) -> None:
    desk.git("remote", "add", "origin", str(desk.top / "gone.git"))
    desk.set(tracker="github")
    desk.drop(front="land: pr")
    desk.agent(DONE)
    desk.serve()
    record = desk.record()
    assert (desk.state(), desk.merges()) == (State.PENDING, 0)
    assert record.not_before is not None
    assert "gone.git" in (record.detail or "")
    assert desk.tip("orchestrator/x") == record.history[-1].commit
