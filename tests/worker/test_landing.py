from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest
from support.desk import COUNT, DONE, Desk, me
from support.processes import until

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Intent, Landed
from orchestrator.core.task import State
from orchestrator.git import checkouts
from orchestrator.worker import landing, main, merging
from orchestrator.worker.landing import LandEnd
from orchestrator.worker.work import Work
from orchestrator.worker.workspace import Workspace

PERSON = "(cd {0} && echo new > new && git add new && git commit -qm new)"


def ready(desk: Desk) -> tuple[Work, Workspace]:
    """A task whose branch is done, before it lands."""
    work, space = desk.opened()
    space.path.joinpath("todo.txt").write_text("")
    space.save_cut(work)
    return work, space


def test_the_merge_names_the_task_and_both_histories(desk: Desk) -> None:
    before = desk.main
    desk.drop()
    desk.agent(DONE)
    desk.serve()
    assert desk.git("log", "-1", "--format=%s") == "x"
    assert "Task: x" in desk.git("log", "-1", "--format=%B")
    assert desk.git("rev-list", "--parents", "-1", "main").split()[1:] == [before, desk.tip("orchestrator/x")]
    assert desk.git("status", "--porcelain") == ""


def test_the_merge_is_by_whom_the_repository_names_whoever_has_committed_the_work(desk: Desk) -> None:
    desk.git("config", "user.name", "Ada")
    marked = '#!/bin/sh\n[ -f "$ORCH_TASK" ] && echo "METRIC left=0" || echo "METRIC left=1"\n'
    for name, commit in (("uncommitted", ""), ("committed", '; git add -A; git -c user.name=Agent commit -qm "mine"')):
        desk.drop(name, benchmark=marked)
        desk.agent(f': > "$ORCH_TASK"{commit}')
        desk.serve(name)
        assert desk.git("log", "-2", "--format=%an %cn %s").splitlines()[0] == f"Ada Ada {name}"
        assert desk.git("log", "-1", "--format=%an", f"orchestrator/{name}") == ("Agent" if commit else "Ada")
    desk.git("fsck", "--strict")


def test_a_base_that_moved_is_merged_measured_and_landed(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"{PERSON.format(desk.repo)}; {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert (desk.show("new"), desk.show("todo.txt")) == ("new", "")
    assert [event["where"] for event in desk.events(event="measured")][-1] == "merged"


def test_commits_that_a_person_took_off_the_base_do_not_come_back(desk: Desk) -> None:
    secret = desk.commit({"secret": "a key\n"})
    desk.drop()
    desk.agent(f"(cd {desk.repo} && git reset -q --hard HEAD~1 && echo new > new && git add new && git commit -qm new); {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert sorted(desk.git("ls-tree", "--name-only", "main").split()) == [".gitignore", "README", "new", "todo.txt"]
    assert desk.show("todo.txt") == ""
    assert secret not in desk.git("rev-list", "main").split()


def test_work_that_conflicts_with_a_rewritten_base_begins_again(desk: Desk) -> None:
    desk.commit({"todo.txt": "one\ntwo\n"})
    desk.drop()
    rewrite = f"(cd {desk.repo} && git reset -q --hard HEAD~1 && echo other > todo.txt && git commit -qam other)"
    desk.agent(f"{desk.call} [ $n = 1 ] && {rewrite}; {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().conflicts, desk.calls()) == (State.CONVERGED, 1, 2)


def test_work_that_a_person_merged_already_is_not_merged_again(desk: Desk) -> None:
    desk.drop()
    desk.hold_up()
    desk.git("merge", "-q", "--no-ff", "-m", "by hand", "orchestrator/x")
    merged = desk.main
    desk.serve()
    record = desk.record()
    assert (desk.state(), desk.main) == (State.CONVERGED, merged)
    assert record.landed is not None
    assert (record.landed.how, record.landed.commit) == ("none", merged)
    assert record.landed.told == f"nothing to land: main has it at {merged[:10]}"


@pytest.mark.parametrize("how", ["merge -q --squash orchestrator/x", "cherry-pick -n orchestrator/x"])
def test_work_that_a_person_brought_over_in_a_commit_of_their_own_is_not_merged_again(desk: Desk, how: str) -> None:
    """An empty merge would be a landing that no undo can take back."""
    desk.drop()
    desk.hold_up()
    desk.git(*how.split())
    desk.git("commit", "-q", "-m", "by hand")
    brought = desk.main
    desk.serve()
    record = desk.record()
    assert (desk.state(), desk.main) == (State.CONVERGED, brought)
    assert record.landed is not None
    assert record.landed.told == f"nothing to land: main has it at {brought[:10]}"


def test_work_that_a_person_squashed_into_a_rewritten_base_is_not_merged_again(desk: Desk) -> None:
    desk.commit({"other": "1\n"})
    desk.drop()
    desk.hold_up()
    desk.git("merge", "-q", "--squash", "orchestrator/x")
    desk.git("commit", "-q", "--amend", "-m", "both")
    brought = desk.main
    desk.serve()
    assert (desk.state(), desk.main) == (State.CONVERGED, brought)


def test_attempts_that_took_each_other_back_land_no_empty_merge(desk: Desk) -> None:
    desk.drop(benchmark=f"echo METRIC left=$(cat {desk.top}/left)\n")
    (desk.top / "left").write_text("1\n")
    desk.agent(f"if [ -e more ]; then rm more; echo 0 > {desk.top}/left; else touch more; fi")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.attempts, desk.merges()) == (State.CONVERGED, 2, 0)
    assert record.landed is not None
    assert record.landed.how == "none"


def test_merged_by_hand_and_broken_there_it_goes_on_from_there(desk: Desk) -> None:
    desk.drop()
    desk.hold_up()
    desk.git("merge", "-q", "--no-ff", "-m", "by hand", "orchestrator/x")
    desk.commit({"todo.txt": "one more\n"})
    desk.serve()
    assert (desk.state(), desk.show("todo.txt"), desk.record().attempts) == (State.CONVERGED, "", 2)


def test_a_base_that_is_gone_needs_a_person_and_the_work_stays(desk: Desk) -> None:
    desk.git("branch", "release")
    desk.drop(front="base: release")
    desk.agent(f"git -C {desk.repo} branch -qD release; {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.REPO)
    assert "release" in (desk.record().detail or "")
    assert desk.show("todo.txt", "orchestrator/x") == ""
    desk.git("branch", "release", "main")
    desk.move("x", State.PENDING)
    desk.agent("exit 1")
    desk.serve()
    assert (desk.state(), desk.show("todo.txt", "release")) == (State.CONVERGED, "")


def test_a_base_that_moves_each_time_makes_the_task_wait(desk: Desk) -> None:
    """The verify command, which is asked about each merge, moves the base."""
    desk.drop()
    move = f'[ -e "$ORCH_WORKTREE/new" ] || exit 0; git -C {desk.repo} commit -q --allow-empty -m more'
    desk.agent(f"{PERSON.format(desk.repo)}; {DONE}")
    desk.set(verify_cmd=move)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.attempts, record.intent) == (State.PENDING, Reason.BASE_MOVED, 1, None)
    desk.set(verify_cmd=None)
    desk.agent("exit 1")
    desk.serve()
    assert (desk.state(), desk.record().attempts) == (State.CONVERGED, 1)


def test_a_checkout_in_the_way_is_named_and_keeps_its_edits(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    (desk.repo / "todo.txt").write_text("mine\n")
    before = desk.main
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.intent, desk.main) == (State.PENDING, Reason.CHECKOUT, None, before)
    assert "todo.txt" in (record.detail or "")
    assert record.not_before is not None
    assert (desk.repo / "todo.txt").read_text() == "mine\n"


def begun(desk: Desk) -> tuple[Work, Workspace, str]:
    """A landing whose intent is written down, and nothing done of it; and the commit that the base is to be at."""
    desk.drop()
    desk.agent(DONE)
    work, space = ready(desk)
    new = merging.commit(work, space, landing.merge.Merged(f"{space.tip}^{{tree}}", space.tip), desk.main)
    work.save(intent=Intent("main", desk.main, new))
    return work, space, new


@pytest.mark.parametrize("moved", [False, True])
def test_a_landing_that_was_killed_is_finished_where_the_base_has_it_and_undone_where_not(desk: Desk, moved: bool) -> None:
    work, _, new = begun(desk)
    old = desk.main
    desk.git("read-tree", "-m", "-u", old, new)  # as far as the killed one had come
    if moved:
        desk.git("update-ref", "refs/heads/main", new, old)
    desk.die(work.claim)
    desk.serve()
    assert (desk.state(), desk.merges(), desk.record().intent) == (State.CONVERGED, 1, None)
    assert desk.git("status", "--porcelain") == ""


def test_a_worker_killed_after_it_said_that_it_landed_says_so_once(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    work, _ = ready(desk)
    work.save(landed=Landed(desk.main, "main", "none"))
    desk.die(work.claim)
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert (desk.record().landed, desk.events(event="landed")) == (Landed(desk.main, "main", "none"), [])


@pytest.mark.parametrize("told", [False, True])
def test_a_landing_whose_worker_was_killed_before_or_after_it_told_of_it_is_told_once(desk: Desk, told: bool) -> None:
    work, _, new = begun(desk)
    desk.git("reset", "-q", "--hard", new)
    if told:
        work.event("landed", commit=new, base="main", how="merge")
    desk.die(work.claim)
    desk.serve()
    assert [each["commit"] for each in desk.events(event="landed")] == [new]
    assert desk.record().landed == Landed(new, "main", "merge")


def test_a_killed_landing_is_taken_back_only_when_nobody_else_lands(desk: Desk) -> None:
    work, space, new = begun(desk)
    desk.git("read-tree", "-m", "-u", desk.main, new)
    desk.die(work.claim)
    desk.agent(f"{desk.call} exit 1")
    descriptor = os.open(space.repo.landing_lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    claim = desk.claim()
    seen: list[str] = []

    def other() -> None:
        until(lambda: _waits_for(space.repo.landing_lock), "the wait for the lock")
        seen.append((desk.repo / "todo.txt").read_text())
        os.close(descriptor)

    lander = threading.Thread(target=other)
    lander.start()
    main.serve(claim)
    lander.join()
    assert seen == [""]
    assert (desk.state(), desk.merges()) == (State.CONVERGED, 1)


def _waits_for(lock: Path) -> bool:
    """Whether this process has the lock file open twice: once to hold it, once to wait for it."""
    return [path.resolve() for path in Path(f"/proc/{me()}/fd").iterdir()].count(lock) > 1


def test_asked_to_stop_right_before_the_base_moves_nothing_has_landed(desk: Desk) -> None:
    once = f"mkdir {desk.top}/once 2>/dev/null && {{ kill -TERM {me()}; sleep 30; }}"
    desk.drop(benchmark=COUNT + f"[ -e new ] && {once}\ntrue\n")
    desk.agent(f"{PERSON.format(desk.repo)}; {DONE}")
    desk.serve()
    assert (desk.state(), desk.merges(), desk.record().attempts) == (State.PENDING, 0, 1)
    desk.agent("exit 1")
    desk.serve()
    assert (desk.state(), desk.merges(), desk.record().attempts) == (State.CONVERGED, 1, 1)


def test_landing_says_what_came_of_it(desk: Desk) -> None:
    desk.drop()
    work, space = ready(desk)
    outcome = landing.land(work, space)
    assert (outcome.end, outcome.landed and outcome.landed.commit) == (LandEnd.LANDED, desk.main)


def test_a_file_deep_in_a_folder_that_is_there_lands_beside_its_neighbours(desk: Desk) -> None:
    desk.commit({"deep/down/one": "1\n"})
    desk.drop()
    desk.agent(f"mkdir -p deep/down/under; echo 2 > deep/down/under/two; {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert (desk.repo / "deep/down/under/two").read_text() == "2\n"


def test_a_base_found_where_it_was_to_be_moved_has_advanced(desk: Desk) -> None:
    """The same landing was finished by somebody else between our look and our move."""
    desk.drop()
    work, space = ready(desk)
    old = desk.main
    new = merging.commit(work, space, landing.merge.Merged(f"{space.tip}^{{tree}}", space.tip), old)
    desk.git("update-ref", "refs/heads/main", new)
    assert checkouts._move(space.repo, "main", old, new, ()) == checkouts.Advanced()
