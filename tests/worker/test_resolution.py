"""A conflict with a base that moved, resolved by an agent: what it is given, what counts as resolved, and when a person decides."""

from __future__ import annotations

import pytest
from support.desk import COUNT, DONE, Desk, me

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import State

OTHERS = "echo four >> todo.txt && echo new > new && git add new && git commit -qam 'four more to do'"
RESOLVED = "! grep -q '^<<<<<<<' todo.txt || echo four > todo.txt"
FOUR_MAY_STAY = '#!/bin/sh\necho "METRIC left=$(grep -c -e one -e two -e three todo.txt)"\n'


def clash(desk: Desk, then: str, *, front: str = "", benchmark: str = FOUR_MAY_STAY, first: str = DONE) -> None:
    """A task whose first attempt is good, and conflicts: somebody else's commit comes meanwhile. Later ones do `then`."""
    desk.drop(front=front, benchmark=benchmark)
    desk.agent(f"{desk.call} if [ $n = 1 ]; then (cd {desk.repo} && {OTHERS}); {first}; else {then}; fi")


def results(desk: Desk) -> list[Result]:
    return [attempt.result for attempt in desk.record().history]


def history(desk: Desk) -> list[str]:
    return desk.git("rev-list", "main").split()


def test_an_agent_resolves_it_and_what_both_sides_want_lands(desk: Desk) -> None:
    clash(desk, RESOLVED)
    desk.serve()
    record = desk.record()
    assert (desk.state(), results(desk), record.conflicts) == (State.CONVERGED, [Result.CONFLICT, Result.CONVERGED], 1)
    assert (desk.show("todo.txt"), desk.show("new")) == ("four", "new")
    assert (record.resolving, record.restart) == (None, None)


def test_it_is_given_both_versions_and_told_of_them(desk: Desk) -> None:
    clash(desk, f"cp todo.txt {desk.top}/given; {RESOLVED}")
    desk.serve()
    base, tip = desk.tip("main^1"), desk.refs()["0001"]
    assert (desk.top / "given").read_text() == f"<<<<<<< {base}\none\ntwo\nthree\nfour\n=======\n>>>>>>> {tip}\n"
    prompt = (desk.folder() / ".orch/attempts/0002/prompt.md").read_text()
    for words in (
        "# Resolve a conflict: x",
        "- `todo.txt` (with markers)",
        "four more to do",
        "Make it so.",
        f"git show {tip[:12]}",
    ):
        assert words in prompt
    assert "$" not in prompt.replace("$ORCH_TASK_DIR", "")


def test_the_merge_of_both_sides_lands_and_no_commit_with_markers(desk: Desk) -> None:
    clash(desk, f"{RESOLVED}; git commit -qam half; echo more > more; git add more; git commit -qm whole")
    desk.serve()
    base, tip, resolved = desk.tip("main^1"), desk.refs()["0001"], desk.tip("main^2")
    assert desk.git("log", "-1", "--format=%P", resolved) == f"{base} {tip}"
    assert desk.refs()["0002"] == resolved
    marked = desk.refs()["conflict/0001"]
    assert "<<<<<<<" in desk.show("todo.txt", marked)
    assert marked not in history(desk)
    assert desk.show("more") == "more"


def test_markers_that_are_left_fail_the_attempt_unmeasured_and_the_next_one_goes_on(desk: Desk) -> None:
    there = "#!/bin/sh\n[ -e done ] && echo METRIC left=0 || echo METRIC left=1\n"
    half = "[ $n = 3 ] && echo four > todo.txt || sed -i '/^<<<<<<</d' todo.txt"
    clash(desk, half, benchmark=there, first=f"{DONE}; touch done")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONFLICT, Result.CONFLICT, Result.CONVERGED])
    told = desk.record().history[1].detail
    assert told == "a conflict's markers are left in todo.txt"
    assert told in (desk.folder() / ".orch/attempts/0003/prompt.md").read_text()
    assert not [event for event in desk.events(event="measured") if event["attempt"] == 2]


def test_after_two_tries_a_person_decides_and_the_branch_holds_the_verified_work(desk: Desk) -> None:
    clash(desk, "true")
    before = desk.main
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, desk.calls(), record.conflicts) == (State.BLOCKED, Reason.CONFLICT, 3, 1)
    assert "todo.txt" in (record.detail or "")
    assert "2 attempts to resolve it failed" in (record.detail or "")
    assert (desk.tip("orchestrator/x"), record.base_commit) == (desk.refs()["0001"], before)
    assert (record.resolving, record.restart) == (None, None)
    assert desk.git("status", "--porcelain", cwd=desk.worktree()) == ""
    assert desk.merges() == 0


def test_an_agent_that_was_killed_has_not_tried(desk: Desk) -> None:
    clash(desk, f"if [ $n -lt 5 ]; then kill -9 $$; fi; {RESOLVED}")
    for _ in range(4):
        desk.serve()
    assert (desk.state(), len(results(desk)), desk.show("todo.txt")) == (State.CONVERGED, 5, "four")


def test_queued_again_it_begins_afresh(desk: Desk) -> None:
    clash(desk, f"if [ $n -gt 3 ]; then {RESOLVED}; fi")
    desk.serve()
    desk.move("x", State.PENDING)
    desk.serve()
    assert (desk.state(), desk.record().conflicts, desk.show("todo.txt")) == (State.CONVERGED, 1, "four")


def test_a_person_can_merge_it_by_hand_and_have_that_land(desk: Desk) -> None:
    clash(desk, "true", front="scope: [todo.txt]")
    desk.serve()
    worktree = desk.worktree()
    desk.git("merge", "-q", "main", cwd=worktree, ok=False)
    (worktree / "todo.txt").write_text("four\n")
    desk.git("commit", "-qam", "by hand", cwd=worktree)
    merged = desk.tip("orchestrator/x")
    desk.move("x", State.PENDING)
    desk.serve()
    assert (desk.state(), desk.show("todo.txt"), desk.show("new"), desk.calls()) == (State.CONVERGED, "four", "new", 3)
    assert merged in history(desk)


def test_a_gate_that_says_no_to_a_resolution_is_told_to_the_next_one(desk: Desk) -> None:
    clash(desk, f"{RESOLVED}; if grep -q 'where is the licence' $ORCH_PROMPT_FILE; then touch licence; fi")
    desk.set(verify_cmd="[ ! -e new ] || [ -e licence ] || { echo where is the licence; exit 1; }")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONFLICT, Result.GATE, Result.CONVERGED])
    assert "# Resolve a conflict" in (desk.folder() / ".orch/attempts/0003/prompt.md").read_text()
    assert desk.refs()["conflict/0001"] not in history(desk)


def test_a_resolution_that_drops_what_the_base_brought_does_not_land(desk: Desk) -> None:
    clash(desk, ": > todo.txt; echo $n > note")
    desk.set(verify_cmd="[ ! -e new ] || grep -q four todo.txt")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, results(desk)[1:]) == (State.BLOCKED, Reason.CONFLICT, [Result.GATE, Result.GATE])
    assert "verify" in (record.detail or "")
    assert desk.tip("orchestrator/x") == desk.refs()["0001"]


def test_a_file_that_one_side_deleted_is_left_to_the_agent(desk: Desk) -> None:
    """There is no marker in it: what the agent leaves is its decision, also where it leaves it as it lies there."""
    desk.drop(benchmark='#!/bin/sh\n[ -e todo.txt ] && n=$(grep -vc four todo.txt) || n=0\necho "METRIC left=$n"\n')
    others = "git rm -q todo.txt && git commit -qm 'no list any more'"
    desk.agent(f"{desk.call} [ $n = 1 ] && (cd {desk.repo} && {others}); {DONE}")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONFLICT, Result.CONVERGED])
    assert "- `todo.txt` (without)" in (desk.folder() / ".orch/attempts/0002/prompt.md").read_text()
    assert desk.refs()["conflict/0001"] not in history(desk)


def test_where_no_worktree_can_hold_the_markers_the_work_is_done_again_on_the_fresh_base(desk: Desk) -> None:
    """Of a file that is kept encrypted, or as a pointer, git merges what only its filter can read."""
    desk.git("config", "filter.kept.clean", "sed 's/^/kept /'")
    desk.git("config", "filter.kept.smudge", "awk '!/^kept/ { exit 1 } { print substr($0, 6) }'")
    desk.git("config", "filter.kept.required", "true")
    desk.git("rm", "-q", "--cached", "todo.txt")
    (desk.repo / ".gitattributes").write_text("todo.txt filter=kept\n")
    desk.git("add", ".")
    desk.git("commit", "-qm", "kept by a filter")
    clash(desk, DONE)
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONFLICT, Result.CONVERGED])
    assert [event["anew"] for event in desk.events(event="conflict")] == [True]
    assert (desk.repo / "new").exists()


def test_lines_like_markers_that_a_file_had_before_are_no_conflict(desk: Desk) -> None:
    manual = "<<<<<<< HEAD\n=======\n>>>>>>> topic\n"
    desk.commit({"todo.txt": f"one\n{manual}"})
    clash(desk, "printf '<<<<<<< HEAD\\n=======\\n>>>>>>> topic\\nfour\\n' > todo.txt", first="sed -i 1d todo.txt; echo '#' >> todo.txt",
          benchmark='#!/bin/sh\necho "METRIC left=$(grep -c one todo.txt)"\n')  # fmt: skip
    desk.serve()
    assert (desk.state(), desk.show("todo.txt")) == (State.CONVERGED, f"{manual}four")


def test_a_spec_with_phases_resolves_it_in_one_session(desk: Desk) -> None:
    clash(desk, RESOLVED, front="phases: [plan-task, do-task]", first=f"[ $ORCH_ATTEMPT = 2 ] || {DONE}")
    desk.agent(f"[ -e {desk.top}/moved ] || (cd {desk.repo} && {OTHERS}; touch {desk.top}/moved); "
               f"if [ $ORCH_ATTEMPT = 1 ]; then {DONE}; else {RESOLVED}; fi")  # fmt: skip
    desk.serve()
    started = [event["attempt"] for event in desk.events(event="agent_started")]
    assert (desk.state(), started) == (State.CONVERGED, [1, 1, 2])


def test_a_setup_that_the_markers_break_is_the_agent_s_to_mend(desk: Desk) -> None:
    clash(
        desk,
        RESOLVED,
        front="setup: '! grep -q ^======= todo.txt && touch built.ignored'",
        benchmark=f"[ -e built.ignored ] || exit 1\n{FOUR_MAY_STAY}",
    )
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONFLICT, Result.CONVERGED])
    assert any("the setup fails" in event.get("detail", "") for event in desk.events(event="notice"))


def test_a_person_who_merges_it_onto_the_base_meanwhile_has_resolved_it(desk: Desk) -> None:
    clash(desk, RESOLVED)
    desk.serve(once=True)
    assert desk.record().resolving is not None
    desk.git("branch", "verified", desk.refs()["0001"])
    desk.git("merge", "-q", "-m", "by hand", "verified", ok=False)
    desk.commit({"todo.txt": "four\n"}, "by hand")
    merged = desk.main
    desk.serve()
    record = desk.record()
    assert (desk.state(), desk.main, desk.calls()) == (State.CONVERGED, merged, 1)
    assert record.landed is not None
    assert (record.landed.how, record.resolving) == ("none", None)


def test_a_base_that_conflicts_again_with_what_was_resolved_needs_a_person(desk: Desk) -> None:
    again = f"(cd {desk.repo} && echo five > todo.txt && git commit -qam five)"
    clash(desk, f"{again}; {RESOLVED}")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.conflicts, desk.calls()) == (State.BLOCKED, Reason.CONFLICT, 2, 2)
    assert desk.tip("orchestrator/x") == desk.refs()["0002"]  # resolved and verified, against the base as it was


def test_stopped_in_the_middle_it_goes_on_where_it_was(desk: Desk) -> None:
    clash(desk, f"if [ $n = 2 ]; then echo note > note; kill -TERM {me()}; sleep 60; fi; {RESOLVED}")
    desk.serve()
    assert (desk.state(), desk.record().attempts) == (State.PENDING, 1)
    assert desk.record().resolving is not None
    desk.serve()
    assert (desk.state(), results(desk), desk.show("note")) == (State.CONVERGED, [Result.CONFLICT, Result.CONVERGED], "note")
    assert desk.refs()["conflict/0001"] not in history(desk)


def test_stopped_by_a_person_the_branch_holds_the_verified_work(desk: Desk) -> None:
    """And what the agent had done by then stays reachable."""
    ask = f"""for o in {desk.queue.folder(State.RUNNING)}/x.*/.orch; do mkdir -p $o/inbox; echo '{{"kind": "block"}}' > $o/inbox/1.json; done"""
    clash(desk, f"if [ $n = 2 ]; then echo note > note; git add note; git commit -qm half; {ask}; sleep 60; fi; {RESOLVED}")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.resolving) == (State.BLOCKED, Reason.STOPPED, None)
    assert desk.tip("orchestrator/x") == desk.refs()["0001"]
    assert any(desk.git("show", f"{commit}:note", ok=False) == "note" for commit in desk.refs().values())
    desk.move("x", State.PENDING)
    desk.serve()
    assert (desk.state(), desk.show("todo.txt")) == (State.CONVERGED, "four")


def test_a_usage_limit_in_the_middle_parks_it_and_counts_no_try(desk: Desk) -> None:
    (desk.top / "act.sh").write_text(
        f"if [ $ORCH_ATTEMPT = 1 ]; then (cd {desk.repo} && {OTHERS}); {DONE}; exit; fi\n"
        f"[ -e {desk.top}/limited ] && {{ {RESOLVED}; exit; }}; touch {desk.top}/limited; echo half > half\n"
        """echo '@scripted {"kind": "limit", "text": "limit reached", "data": {"reset_at": 1}}'; exit 1\n"""
    )
    scenario = f'steps = [{{run = "sh {desk.top}/act.sh"}}]\n'
    desk.drop(front="agent: scripted", benchmark=FOUR_MAY_STAY, files={"scenario.toml": scenario})
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.attempts) == (State.PENDING, Reason.RATE_LIMITED, 1)
    assert record.resolving is not None
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONFLICT, Result.CONVERGED])
    assert (desk.show("half"), desk.show("todo.txt")) == ("half", "four")


def test_a_limit_of_the_task_holds_for_resolutions_too(desk: Desk) -> None:
    clash(desk, "true", front="budget: {attempts: 2}")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.attempts) == (State.BLOCKED, Reason.BUDGET, 2)
    assert desk.tip("orchestrator/x") == desk.refs()["0001"]


def test_what_happens_is_told(desk: Desk) -> None:
    clash(desk, RESOLVED)
    desk.serve()
    conflict, resolved = (desk.events(event=event)[0] for event in ("conflict", "resolved"))
    assert (conflict["files"], conflict["attempt"]) == (["todo.txt"], 1)
    assert (resolved["files"], resolved["commit"], resolved["attempt"]) == (["todo.txt"], desk.refs()["0002"], 2)
    assert "It was to resolve the conflict with" in (desk.folder() / ".orch/attempts/0002/report.md").read_text()


@pytest.mark.parametrize("work", ["echo more >> README; git rm -q new", "echo more >> README"])
def test_what_is_out_of_the_scope_does_not_land_by_a_resolution_either(desk: Desk, work: str) -> None:
    clash(desk, f"{RESOLVED}; {work}", front="scope: [todo.txt]")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason) == (State.BLOCKED, Reason.CONFLICT)
    assert results(desk)[1:] == [Result.SCOPE_VIOLATION, Result.SCOPE_VIOLATION]
    assert desk.tip("orchestrator/x") == desk.refs()["0001"]


def test_the_benchmark_counts_after_a_resolution(desk: Desk) -> None:
    clash(desk, RESOLVED, benchmark=COUNT)
    desk.serve()
    assert (desk.state(), results(desk)[1:]) == (State.BLOCKED, [Result.IMPROVED, Result.UNCHANGED])
    assert desk.record().reason is Reason.CONFLICT
