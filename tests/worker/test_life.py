from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.desk import COUNT, DONE, LESS, Desk, me

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import State
from orchestrator.worker import life

TERM = f"kill -TERM {me()}; sleep 30"


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


def test_attempts_follow_each_other_in_one_claim_while_they_improve(desk: Desk) -> None:
    desk.drop()
    desk.agent(LESS)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.attempts, record.failures) == (State.CONVERGED, 3, 0)
    assert [attempt.result for attempt in record.history] == [Result.IMPROVED, Result.IMPROVED, Result.CONVERGED]
    assert (record.baseline, record.best) == ({"left": 3.0}, {"left": 0.0})


def test_a_task_at_its_target_already_converges_without_an_agent(desk: Desk) -> None:
    desk.commit({"todo.txt": ""})
    desk.drop(files={"checks.sh": "test -f todo.txt\n"})
    desk.agent(desk.call)
    before = desk.main
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.attempts, desk.calls(), desk.main) == (State.CONVERGED, 0, 0, before)
    assert record.landed is not None
    assert (record.landed.how, record.landed.commit, record.streak) == ("none", before, 2)


def test_at_target_without_passing_its_checks_a_task_is_not_done(desk: Desk) -> None:
    desk.commit({"todo.txt": ""})
    desk.drop(files={"checks.sh": "test -f made || { echo made is missing; exit 1; }\n"})
    desk.agent(f"{desk.call} grep -q 'made is missing' $ORCH_PROMPT_FILE && touch made")
    desk.serve()
    record = desk.record()
    assert (desk.state(), desk.calls(), record.attempts) == (State.CONVERGED, 1, 1)
    assert desk.show("made") == ""


def test_at_target_on_the_base_what_refused_it_is_named_when_the_agent_changes_nothing(desk: Desk) -> None:
    desk.commit({"todo.txt": ""})
    desk.drop(front="max_failures: 1", files={"checks.sh": "exit 1\n"})
    desk.agent("true")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason) == (State.BLOCKED, Reason.EXHAUSTED)
    assert "the agent changed nothing; still refused: checks: checks.sh ended with exit code 1" in str(record.detail)


def test_at_target_once_on_the_base_the_miss_is_named_when_the_agent_changes_nothing(desk: Desk) -> None:
    number = f"n=$(($(cat {desk.top}/samples 2>/dev/null || echo 0) + 1)); echo $n > {desk.top}/samples\n"
    desk.drop(front="max_failures: 1", benchmark=number + "echo METRIC left=$((n > 1))\n")
    desk.agent("true")
    desk.serve()
    assert "still refused: at target once, then not: left is 1" in str(desk.record().detail)


def test_at_target_once_on_the_base_what_it_said_then_is_the_number_to_beat(desk: Desk) -> None:
    once = f"test -e {desk.top}/seen || {{ touch {desk.top}/seen; echo METRIC left=0; exit; }}; "
    desk.drop(front="max_failures: 1", benchmark=f"#!/bin/sh\n{once}{COUNT.partition(chr(10))[2]}")
    desk.agent(LESS)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.baseline) == (State.CONVERGED, {"left": 3})
    assert [attempt.result for attempt in record.history] == [Result.IMPROVED, Result.IMPROVED, Result.CONVERGED]


def test_at_target_once_and_then_not_is_no_convergence_without_an_agent(desk: Desk) -> None:
    number = "n=$(($(cat $HOME/samples 2>/dev/null || echo 0) + 1)); echo $n > $HOME/samples"
    benchmark = f"{number}\n[ $n = 2 ] && l=1 || l=$(grep -c . todo.txt)\necho METRIC left=$l\n"
    desk.commit({"todo.txt": ""})
    desk.drop(benchmark=benchmark)
    desk.agent("touch made")
    desk.serve()
    assert (desk.state(), desk.record().attempts) == (State.CONVERGED, 1)


def test_a_benchmark_that_fails_on_the_base_blocks_before_an_agent_is_paid_for(desk: Desk) -> None:
    desk.drop(benchmark="echo METRIC left=1; exit 3\n")
    desk.agent(desk.call)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.attempts, desk.calls()) == (State.BLOCKED, Reason.BENCHMARK_DEFECT, 0, 0)


def test_once_means_one_attempt(desk: Desk) -> None:
    desk.drop()
    desk.agent(LESS)
    desk.serve(once=True)
    assert (desk.state(), desk.record().attempts, desk.record().reason) == (State.PENDING, 1, None)


def test_limits_end_it_with_the_right_reason(desk: Desk) -> None:
    desk.drop(front="max_failures: 2")
    desk.agent("true")
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().attempts) == (State.BLOCKED, Reason.EXHAUSTED, 2)


def test_a_worker_that_died_before_it_could_say_enough_is_not_followed_by_one_more_attempt(desk: Desk) -> None:
    desk.drop(front="max_failures: 2")
    desk.agent(desk.call)
    desk.serve()
    desk.move("x", State.PENDING)
    claim = desk.claim()
    claim.save(replace(desk.record(), reason=None))
    desk.die(claim)
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.calls()) == (State.BLOCKED, Reason.EXHAUSTED, 2)


def test_queued_again_by_hand_the_counts_begin_anew_and_the_branch_stays(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent(f"test -e kept || {{ {LESS}; touch kept; }}")
    desk.serve()
    assert (desk.state(), desk.record().attempts) == (State.BLOCKED, 2)
    desk.move("x", State.PENDING)
    desk.agent(DONE)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.attempts, record.tried, len(record.history)) == (State.CONVERGED, 3, 1, 3)
    assert desk.show("kept") == ""


def test_a_converged_task_queued_again_lands_nothing_twice(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"{desk.call} {DONE}")
    desk.serve()
    merged = desk.main
    desk.move("x", State.PENDING)
    desk.serve()
    record = desk.record()
    assert (desk.state(), desk.main, desk.calls()) == (State.CONVERGED, merged, 1)
    assert record.landed is not None
    assert (record.landed.how, record.landed.commit) == ("merge", merged)


def test_a_worker_killed_between_landing_and_its_last_word_does_not_land_again(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    work, space = desk.start()
    assert life.live(work, space).state is State.CONVERGED
    merged = desk.main
    desk.die(work.claim)
    desk.serve()
    assert (desk.state(), desk.main, desk.merges()) == (State.CONVERGED, merged, 1)


def test_stopped_while_the_worktree_is_put_away_a_task_is_landed_once(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    desk.set(hooks={"before_remove": TERM})
    desk.serve()
    assert (desk.state(), desk.merges()) == (State.PENDING, 1)
    desk.set(hooks={})
    desk.serve()
    assert (desk.state(), desk.merges()) == (State.CONVERGED, 1)


@pytest.mark.parametrize("stage", ["setup", "baseline", "attempt", "verify", "gate"])
def test_asked_to_stop_at_any_stage_nothing_is_lost_and_each_attempt_counts_once(desk: Desk, stage: str) -> None:
    """The command that runs in that stage asks the worker to stop, the first time."""
    once = f"if mkdir {desk.top}/once 2>/dev/null; then {TERM}; fi\n"
    at = {
        "baseline": "[ -s todo.txt ] && ",
        "attempt": "[ -s todo.txt ] || ",
        "verify": 'case "$PWD" in *.verify) true;; *) false;; esac && ',
    }
    benchmark = COUNT + (f"{at[stage]} {{ {once} }}\n" if stage in at else "") + "true\n"
    checks = once if stage == "gate" else "true\n"
    setup = f"setup: |\n  {once}" if stage == "setup" else "converge: 2"
    desk.drop(front=setup, benchmark=benchmark, files={"checks.sh": checks})
    desk.agent(f"{desk.call} {DONE}")
    assert desk.serve() == 0
    assert (desk.state(), desk.record().reason, desk.merges()) == (State.PENDING, None, 0)
    assert desk.serve() == 0
    record = desk.record()
    assert (desk.state(), record.attempts, len(record.history), desk.calls(), desk.merges()) == (State.CONVERGED, 1, 1, 1, 1)


def test_a_setup_that_was_cut_short_or_failed_is_run_again(desk: Desk) -> None:
    desk.drop(front="setup: test -e $HOME/ready && touch ready.ignored")
    desk.agent(f"test -e ready.ignored && {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.SETUP)
    desk.move("x", State.PENDING)
    (Path(os.environ["HOME"]) / "ready").touch()
    desk.serve()
    assert desk.state() is State.CONVERGED


def test_a_change_of_nothing_on_a_fresh_base_that_is_at_target_converges(desk: Desk) -> None:
    desk.drop()
    person = f"cd {desk.repo} && : > todo.txt && git commit -q --amend -am fixed"  # rewritten: nobody resolves that
    desk.agent(f"{desk.call} [ $n = 1 ] && {{ echo > todo.txt; ({person}); }}; true")
    desk.serve()
    record = desk.record()
    assert (desk.state(), desk.calls(), desk.merges()) == (State.CONVERGED, 2, 0)
    assert record.landed is not None
    assert (record.landed.how, record.landed.commit) == ("none", desk.main)


def test_a_new_benchmark_between_two_claims_is_measured_on_the_base_and_said(desk: Desk) -> None:
    desk.drop()
    desk.agent(LESS)
    desk.serve(once=True)
    (desk.folder() / "benchmark.sh").write_text('#!/bin/sh\necho "METRIC left=$(($(grep -c . todo.txt) * 10))"\n')
    desk.serve(once=True)
    record = desk.record()
    assert (record.baseline, record.best) == ({"left": 30.0}, {"left": 10.0})
    assert [event["event"] for event in desk.events() if event["event"] == "resealed"] == ["resealed"]


def test_an_edit_of_the_prose_counts_from_the_next_attempt_and_a_broken_one_is_told(desk: Desk) -> None:
    folder = f"{desk.queue.folder(State.RUNNING)}/x.*"
    edits = "[ $n = 1 ] && printf '## Notes\\ntry harder\\n' >> $f; [ $n = 2 ] && echo '---' > $f"
    edit = f"for f in {folder}/autoresearch.md; do {edits}; done; "
    desk.drop()
    desk.agent(f"{desk.call} cp $ORCH_PROMPT_FILE {desk.top}/prompt-$n; {edit}{LESS}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert ["try harder" in (desk.top / f"prompt-{n}").read_text() for n in (1, 2, 3)] == [False, True, True]
    assert [event["event"] for event in desk.events() if event["event"].startswith("spec_")] == ["spec_edited", "spec_invalid"]


def test_queued_again_after_its_base_got_worse_a_task_has_to_beat_what_the_base_has_by_now(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent(DONE)
    desk.serve()
    worse = desk.commit({"todo.txt": "five\nsix\nseven\n"})
    desk.move("x", State.PENDING)
    desk.agent(LESS)
    desk.serve()
    record = desk.record()
    assert [attempt.result for attempt in record.history[1:]] == [Result.IMPROVED, Result.IMPROVED, Result.CONVERGED]
    assert (desk.state(), desk.show("todo.txt"), record.base_commit) == (State.CONVERGED, "", worse)


def test_a_task_that_had_nothing_to_do_is_measured_on_its_fresh_base_when_it_is_queued_again(desk: Desk) -> None:
    desk.commit({"todo.txt": ""})
    desk.drop()
    desk.agent(DONE)
    desk.serve()
    desk.commit({"todo.txt": "one\n"})
    desk.move("x", State.PENDING)
    desk.serve()
    assert (desk.state(), desk.record().attempts, desk.show("todo.txt")) == (State.CONVERGED, 1, "")


def test_commits_that_a_person_added_to_the_branch_of_what_landed_are_work_when_it_is_queued_again(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    desk.serve()
    desk.git("worktree", "add", "-q", str(desk.top / "by-hand"), "orchestrator/x")
    (desk.top / "by-hand/more").touch()
    desk.git("add", "more", cwd=desk.top / "by-hand")
    desk.git("commit", "-qm", "more", cwd=desk.top / "by-hand")
    desk.git("worktree", "remove", str(desk.top / "by-hand"))
    desk.move("x", State.PENDING)
    desk.serve()
    assert (desk.state(), desk.record().attempts, desk.show("more")) == (State.CONVERGED, 1, "")


def test_agent_setup_benchmark_and_gates_are_told_the_number_of_the_attempt_that_they_are_about(desk: Desk) -> None:
    seen = desk.top / "seen"
    note = f'echo "{{}} $ORCH_ATTEMPT" >> {seen}'
    desk.drop(benchmark=note.format("benchmark") + "\n" + COUNT, files={"checks.sh": note.format("checks")})
    desk.set(converge=1)
    desk.agent(f"{note.format('agent')}; {LESS}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    about = (
        "benchmark 1",
        "agent 1",
        "benchmark 1",
        "agent 2",
        "benchmark 2",
        "agent 3",
        "benchmark 3",
        "benchmark 3",
        "checks 3",
    )
    assert seen.read_text().splitlines() == [*about]
