from __future__ import annotations

import json

import pytest
from support.desk import COUNT, DONE, Desk

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import State
from orchestrator.worker import closing

FLAKY = "n=$(($(cat {0}/samples 2>/dev/null || echo 0) + 1)); echo $n > {0}/samples\n"


def results(desk: Desk) -> list[Result]:
    return [attempt.result for attempt in desk.record().history]


def test_a_miss_in_the_clean_checkout_is_tried_once_more_and_then_lands(desk: Desk) -> None:
    missing = FLAKY.format(desk.top) + "[ $n = 3 ] && echo METRIC left=1 && exit\n"  # baseline, the attempt, then its streak
    desk.drop(benchmark=missing + COUNT)
    desk.agent(f"{desk.call} echo $n > try; {DONE}")
    desk.serve()
    record = desk.record()
    assert (desk.state(), results(desk), record.flaky) == (State.CONVERGED, [Result.FLAKY, Result.CONVERGED], 1)
    assert "at target once, then not in a clean checkout" in record.history[0].detail
    told = [(each["values"]["left"], each["streak"]) for each in desk.events(event="measured") if each["where"] == "verify"]
    assert told == [(1, 0), (0, 1), (0, 2)]


def test_a_second_miss_blocks_as_flaky(desk: Desk) -> None:
    desk.drop(benchmark=COUNT + 'case "$PWD" in *.verify) [ -s todo.txt ] || echo METRIC left=1;; esac\n')
    desk.agent(f"{desk.call} echo $n > try; {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().flaky, desk.calls()) == (State.BLOCKED, Reason.FLAKY, 2, 2)
    page = (desk.folder() / ".orch/report.md").read_text()  # some samples of a clean checkout were at target
    assert "the work as it is by now was not shown to be at target on a clean checkout." in page
    assert desk.merges() == 0


def test_a_gate_that_says_no_counts_a_failure_and_tells_the_next_agent_why(desk: Desk) -> None:
    desk.drop(files={"checks.sh": "test -e licence || { echo where is the licence; exit 1; }\n"})
    desk.agent(f"{DONE}; if grep -q 'where is the licence' $ORCH_PROMPT_FILE; then touch licence; fi")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.GATE, Result.CONVERGED])
    assert "checks" in desk.record().history[0].detail


@pytest.mark.parametrize(("front", "state"), [("max_failures: 1", State.BLOCKED), ("review: required", State.PENDING)])
def test_a_task_that_stays_keeps_one_checkout_and_what_stood_beside_it_is_free_for_the_next(
    desk: Desk, front: str, state: State
) -> None:
    """Each blocked task would hold twice the disk otherwise. What it was furnished with is asked to go before it does."""
    desk.set(hooks={"before_remove": f"pwd >> {desk.top}/removed"})
    desk.drop(front=front, files={"checks.sh": "exit 1\n"} if state is State.BLOCKED else {})
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.worktree().is_dir()) == (state, True)
    assert not desk.worktree("x.verify").exists()
    assert len(list(desk.worktree(".pool").iterdir())) == 1
    assert (desk.top / "removed").read_text() == f"{desk.worktree('x.verify')}\n"


def test_a_setup_that_fails_with_the_agents_change_is_the_attempts_result(desk: Desk) -> None:
    desk.drop(front="setup: test ! -e broken")
    desk.agent(f"{DONE}; if grep -q 'the setup fails' $ORCH_PROMPT_FILE; then rm broken; else touch broken; fi")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.DEFECT, Result.CONVERGED])


def test_a_conflict_begins_again_on_the_fresh_base_and_both_changes_land(desk: Desk) -> None:
    desk.drop()
    person = f"(cd {desk.repo} && echo four > todo.txt && git commit -qam more)"
    desk.agent(f"{desk.call} [ $n = 1 ] && {person}; {DONE}")
    desk.serve()
    record = desk.record()
    assert (desk.state(), results(desk), record.conflicts) == (State.CONVERGED, [Result.CONFLICT, Result.CONVERGED], 1)
    assert desk.show("todo.txt") == ""
    prompt = (desk.folder() / ".orch/attempts/0002/prompt.md").read_text()
    assert "conflicts with newer commits on main in todo.txt" in prompt
    assert record.history[0].commit in desk.refs().values()


def test_a_second_conflict_needs_a_person(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"{desk.call} (cd {desk.repo} && echo $n > todo.txt && git commit -qam more); {DONE}")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.conflicts, desk.calls()) == (State.BLOCKED, Reason.CONFLICT, 2, 2)
    assert "todo.txt" in (record.detail or "")
    assert desk.merges() == 0


def test_a_conflict_at_the_limit_of_failures_still_has_its_one_more_attempt(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent(f"{desk.call} (cd {desk.repo} && echo $n > todo.txt && git commit -qam more); {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.calls()) == (State.BLOCKED, Reason.CONFLICT, 2)


def test_a_conflict_of_work_that_was_counted_before_is_counted_as_a_conflict_only(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    (desk.repo / "todo.txt").write_text("mine\n")  # in the way of the landing
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().attempts) == (State.PENDING, Reason.CHECKOUT, 1)
    desk.git("commit", "-qam", "mine")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.conflicts, results(desk)) == (State.CONVERGED, 1, [Result.CONVERGED, Result.CONVERGED])


def test_a_merge_that_does_not_hold_is_where_the_next_attempt_begins(desk: Desk) -> None:
    count = 'echo "METRIC left=$(cat todo.txt other.txt 2>/dev/null | grep -c .)"\n'
    desk.drop(front="scope: [todo.txt, other.txt]", benchmark=count)
    person = f"(cd {desk.repo} && echo other > other.txt && echo new > unrelated && git add . && git commit -qm more)"
    desk.agent(f"{desk.call} [ $n = 1 ] && {{ {person}; {DONE}; exit 0; }}; [ -e unrelated ] && : > other.txt")
    old = desk.main
    desk.serve(once=True)
    record = desk.record()
    assert results(desk) == [Result.GATE]
    assert (record.base_commit, record.restart) == (desk.main, None)
    assert record.base_commit != old
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.GATE, Result.CONVERGED])
    assert (desk.show("todo.txt"), desk.show("other.txt"), desk.show("unrelated")) == ("", "", "new")


def test_what_the_next_attempt_has_to_beat_is_what_the_merge_measured_that_did_not_hold(desk: Desk) -> None:
    count = 'echo "METRIC left=$(cat todo.txt other.txt 2>/dev/null | grep -c .)"\n'
    desk.drop(front="max_failures: 2", benchmark=count)
    person = f"(cd {desk.repo} && seq 4 > other.txt && git add . && git commit -qm more)"
    desk.agent(f"{desk.call} [ $n = 1 ] && exec sed -i 1,2d todo.txt; [ $n = 2 ] && {person}; {DONE}; sed -i 1d other.txt; true")
    desk.serve()
    assert (desk.state(), results(desk)[:3]) == (State.CONVERGED, [Result.IMPROVED, Result.GATE, Result.IMPROVED])


def test_after_a_conflict_nothing_that_was_best_elsewhere_has_to_be_beaten(desk: Desk) -> None:
    desk.drop(front="max_failures: 2")
    person = f"(cd {desk.repo} && seq 3 > todo.txt && git checkout --orphan o -q && git commit -qam o && git branch -f main && git checkout -q main)"
    desk.agent(
        f"{desk.call} [ $n = 1 ] && exec sed -i 1,2d todo.txt; [ $n = 2 ] && {{ {person}; {DONE}; exit; }}; sed -i 1d todo.txt"
    )
    desk.serve()
    assert results(desk)[:3] == [Result.IMPROVED, Result.CONFLICT, Result.IMPROVED]


def test_a_gate_is_asked_again_about_the_merge(desk: Desk) -> None:
    desk.drop()
    desk.set(verify_cmd="test ! -e poison")
    person = f"(cd {desk.repo} && touch poison && git add . && git commit -qm poison)"
    desk.agent(f"{desk.call} [ $n = 1 ] && {person}; rm -f poison; {DONE}")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.GATE, Result.CONVERGED])
    assert "poison" not in desk.git("ls-tree", "--name-only", "main")


def test_a_gate_of_work_that_was_counted_before_only_sends_the_next_agent(desk: Desk) -> None:
    desk.drop()
    desk.hold_up()
    desk.set(verify_cmd="test -e more")
    desk.agent("touch more")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONVERGED, Result.CONVERGED])
    said = json.loads((desk.folder() / ".orch/attempts/0001/verdicts.json").read_text())["verdicts"]
    assert [each["ok"] for each in said] == [False]


@pytest.mark.parametrize(("land", "how"), [("branch", "branch"), ("none", "none")])
def test_work_that_is_not_to_be_merged_stays_on_its_branch(desk: Desk, land: str, how: str) -> None:
    before = desk.main
    desk.drop(front=f"land: {land}")
    desk.agent(DONE)
    desk.serve()
    record = desk.record()
    assert (desk.state(), desk.main) == (State.CONVERGED, before)
    assert record.landed is not None
    assert (record.landed.how, record.landed.commit) == (how, desk.tip("orchestrator/x"))
    assert desk.show("todo.txt", "orchestrator/x") == ""


def test_a_narrower_scope_refuses_what_an_earlier_claim_left(desk: Desk) -> None:
    desk.drop()
    desk.agent("sed -i 1d todo.txt; touch elsewhere")
    desk.serve(once=True)
    spec = desk.folder() / "autoresearch.md"
    spec.write_text(spec.read_text().replace("---\n\n---", "---\nscope: [todo.txt]\n---"))
    desk.agent(DONE)
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert "elsewhere" not in desk.git("ls-tree", "--name-only", "main")
    assert any("elsewhere" in event.get("detail", "") for event in desk.events(event="finding"))


def test_nothing_out_of_scope_is_verified_let_alone_landed(desk: Desk) -> None:
    desk.drop(front="scope: [todo.txt]")
    work, space = desk.opened()
    (space.path / "elsewhere").touch()
    desk.git("add", "-A", cwd=space.path)
    desk.git("commit", "-qm", "out of scope", cwd=space.path)
    refused = space.tip = desk.tip("orchestrator/x")
    assert closing.close(work, space, work.record, None) is None
    assert (desk.tip("orchestrator/x"), desk.merges()) == (desk.main, 0)
    assert refused in desk.refs().values()
