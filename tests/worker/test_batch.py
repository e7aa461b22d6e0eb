"""The refinery: who lands when several wait, and what one commit for all of them has to hold."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import forks
from support.landers import Landers
from support.processes import until

from orchestrator.core.record import Intent, Landed
from orchestrator.core.task import State
from orchestrator.git import landingqueue, merge
from orchestrator.store import records
from orchestrator.store.locks import LockProof
from orchestrator.worker import batch, merging
from orchestrator.worker.member import Member

WORD = '{"verdict": "pass", "summary": "well", "evidence": [{"file": "todo.txt", "says": "it is there"}]}'


@pytest.fixture
def landers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Landers]:
    landers = Landers(tmp_path)
    landers.make_repo()
    monkeypatch.chdir(tmp_path)
    landers.hold()
    yield landers
    landers.end()


def hang(landers: Landers, where: str) -> str:
    """For a benchmark: where the file `where` is there, tell so, and wait until the test says `on`."""
    return f"if [ -e {where} ]; then touch {landers.top}/hangs; until [ -e {landers.top}/on ]; do sleep 0.01; done; fi\n"


def test_several_that_wait_land_as_one_commit_that_every_evaluator_has_measured(landers: Landers) -> None:
    old = landers.main
    landers.send("a", "b", "c")
    landers.go()
    assert landers.ends() == [0, 0, 0]
    assert landers.wrongs("abc") == []
    sides = [landers.tip(f"orchestrator/{name}") for name in "abc"]
    assert landers.git("rev-list", "--parents", "-1", "main").split()[1:] == [old, *sides]
    for name, side in zip("abc", sides, strict=True):
        measured = landers.events(name, "measured")[-1]
        assert (measured["where"], measured["commit"]) == ("merged", landers.main)
        landed = landers.record(name).landed
        assert landed is not None
        assert (landed.commit, landed.side) == (landers.main, side)
    body = landers.git("log", "-1", "--format=%B")
    assert body.startswith("3 tasks: a, b, c\n")
    assert body.count("samples on a clean checkout were at target") == 3
    assert landers.git("log", "-1", "--format=%(trailers:key=Agent,valueonly)").split() == ["exec"] * 3


def test_who_waits_has_its_turn_in_the_order_of_arrival_and_the_dead_are_passed_over(landers: Landers) -> None:
    (landers.top / "judge.sh").write_text(f"echo '{WORD}'\n")  # asked about nothing but what will land: no batch
    landers.send("c", "x", "a", "b", front=f"gates: {{judge: {{command: 'sh {landers.top}/judge.sh'}}}}")
    landers.workers["x"].kill()
    landers.ends("x")
    landers.go()
    landers.ends()
    assert landers.brought() == [["c"], ["a"], ["b"]]
    landers.send("x")
    assert landers.ends("x") == [0]
    assert landers.wrongs("cxab") == []


def test_who_waits_shows_how_many_come_before_it_by_now_and_what_it_is_to_land_with(landers: Landers) -> None:
    def shown() -> str | None:
        record = records.peek(landers.folder("c"), running=True)
        return record.detail if record else None

    landers.send("a")
    landers.send("b", first=hang(landers, "c"))
    landers.send("c", first=hang(landers, "b"))
    until(lambda: shown() == "waits for its turn, 2 before it", "c is the third")
    landers.workers["a"].kill()
    landers.ends("a")
    until(lambda: shown() == "waits for its turn, 1 before it", "c is the second")
    landers.go()
    until(lambda: shown() == "one of 2 to land together: b, c", "c is asked")
    (landers.top / "on").touch()
    assert landers.ends("b", "c") == [0, 0]
    assert {landers.record(name).detail for name in "bc"} == {None}


def test_a_red_member_is_found_the_others_land_and_it_gets_its_next_attempt(landers: Landers) -> None:
    landers.agent('touch "$ORCH_TASK"; [ "$ORCH_ATTEMPT" = 1 ] || touch more')
    landers.send("a", "b")
    landers.send("c", first="[ -e a ] && [ ! -e more ] && echo METRIC left=1 && exit\n")
    landers.send("d")
    landers.go()
    assert landers.ends() == [0, 0, 0, 0]
    assert landers.wrongs("abcd") == []
    assert landers.brought()[0] == ["a", "b"]
    assert [landers.record(name).attempts for name in "abcd"] == [1, 1, 2, 1]
    assert landers.events("a", "bisect")[0]["detail"].startswith("c: after merging the base")
    assert "after merging the base" in landers.record("c").history[0].detail
    for commit in landers.git("rev-list", "--first-parent", "main").split()[:-1]:  # main was green for all that had landed
        names = landers.git("ls-tree", "--name-only", commit).split()
        assert "c" not in names or "a" not in names or "more" in names


def test_a_setup_that_fails_on_the_batch_is_a_no_and_tells_no_secret(landers: Landers) -> None:
    setup = "'[ ! -e a ] || { echo $API_KEY; exit 1; }'"
    landers.send("a")
    landers.send("b", front=f"setup: {setup}\nenv: {{API_KEY: sk-1234567890abcdef}}")
    landers.send("c")
    landers.go()
    landers.ends()
    assert landers.states() == {"a": State.CONVERGED, "b": State.BLOCKED, "c": State.CONVERGED}
    assert landers.record("b").reason == "setup"
    told = landers.events("a", "bisect")[0]["detail"]
    assert told.startswith("b: ")
    assert "sk-1234" not in told


def test_a_leader_that_is_red_itself_keeps_nobody_from_landing(landers: Landers) -> None:
    landers.agent('touch "$ORCH_TASK"; [ "$ORCH_ATTEMPT" = 1 ] || touch more')
    landers.send("a", first="[ -e b ] && [ ! -e more ] && echo METRIC left=1 && exit\n")
    landers.send("b", "c")
    landers.commit({"person": "moved\n"})
    landers.go()
    landers.ends()
    assert landers.wrongs("abc") == []
    assert landers.brought() == [["a"], ["b", "c"]]  # alone it holds, and what comes later is not its fault


@pytest.mark.parametrize("bad", ["a", "b"])
def test_what_a_noisy_number_was_in_a_batch_that_did_not_land_is_no_evidence_of_what_lands_alone(
    landers: Landers, bad: str
) -> None:
    once = f"n=$(($(cat {landers.top}/n 2>/dev/null || echo 0) + 1)); echo $n > {landers.top}/n\n"
    missed = once + "if [ $n = 4 ] || { [ -e b ] && [ $BAD = a ]; }; then echo METRIC left=1; exit; fi\n"
    noisy = f"metric: {{name: left, target: 0, kind: noisy}}\nenv: {{BAD: {bad}}}"
    landers.send("a", front=noisy, first="[ -e a ] || { echo METRIC left=1; exit; }\n" + missed)
    landers.agent('touch "$ORCH_TASK"; [ "$ORCH_ATTEMPT" = 1 ] || touch more')
    landers.send("b", first="[ -e a ] && [ ! -e more ] && echo METRIC left=1 && exit\n" if bad == "b" else "")
    landers.go()
    landers.ends()
    assert landers.wrongs("ab") == []
    assert (landers.record("a").streak, landers.record("a").misses) == (11, 1)
    assert "11 of 12 samples on a clean checkout were at target" in landers.git("log", "--format=%B", "main")


def test_a_member_in_conflict_is_left_out_and_has_its_own_turn(landers: Landers) -> None:
    resolve = 'touch shared; sed -i "/^[<=>]\\{7\\}/d" shared; grep -qx "$ORCH_TASK" shared'
    landers.agent(f'touch "$ORCH_TASK"; {resolve} || echo "$ORCH_TASK" >> shared')
    landers.send("a", "b")
    landers.agent('touch "$ORCH_TASK"')
    landers.send("c")
    landers.go()
    landers.ends()
    assert landers.wrongs("abc") == []
    assert landers.brought()[0] == ["a", "c"]
    assert [attempt.result for attempt in landers.record("b").history] == ["conflict", "converged"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_task_whose_work_a_person_squashed_onto_the_base_is_no_part_of_a_batch(landers: Landers, name: str) -> None:
    landers.send("a", "b", "c")
    landers.git("merge", "-q", "--squash", f"orchestrator/{name}")
    landers.git("commit", "-q", "-m", "by hand")
    landers.go()
    assert landers.ends() == [0, 0, 0]
    assert sorted(task for commit in landers.brought() for task in commit) == sorted({"a", "b", "c"} - {name})
    landed = landers.record(name).landed
    assert landed is not None
    assert (landed.how, landers.states()[name]) == ("none", State.CONVERGED)


def test_gates_compare_a_batch_with_what_it_is_without_the_task(landers: Landers) -> None:
    landers.send("a", "b")
    landers.send("c", front="scope: [c]\nenforcement: warn")
    landers.go()
    landers.ends()
    verdicts = landers.events("c", "verdict")
    assert [(each["ok"], each["commit"]) for each in verdicts] == [(True, landers.tip("orchestrator/c")), (True, landers.main)]


def test_tasks_on_another_base_branch_land_there(landers: Landers) -> None:
    landers.git("branch", "release")
    landers.send("a")
    landers.send("b", front="base: release")
    landers.send("c")
    landers.go()
    landers.ends()
    assert landers.brought() == [["a", "c"]]
    assert landers.git("ls-tree", "--name-only", "release").split() == [".gitignore", "README", "b", "todo.txt"]


def test_an_optimized_task_lands_alone(landers: Landers) -> None:
    landers.drop("x", front="mode: optimize\nmetric: {name: left, direction: lower}")
    work, space = landers.opened("x")
    assert batch.wish(work, space).alone
    landers.drop("y")
    assert not batch.wish(*landers.opened("y")).alone


def test_a_yes_is_said_when_its_intent_is_on_disk(landers: Landers, monkeypatch: pytest.MonkeyPatch) -> None:
    landers.drop("x")
    work, space = landers.opened("x")
    queue, seen = landingqueue.of(space.repo), []
    monkeypatch.setattr(batch, "refusal", lambda *_: "")
    monkeypatch.setattr(landingqueue.Ticket, "say", lambda *_: seen.append(landers.record("x").intent))
    with queue.enter(batch.wish(work, space)) as ticket:
        ask = landingqueue.Ask("main", landers.main, landers.main, (space.tip,), ("y", "x"))
        with queue.asking([ticket.name], ask):
            Member(work, space, ticket, lambda: None).answer(ask)
    assert seen == [Intent("main", ask.old, ask.new, side=space.tip)]


def test_a_member_killed_while_it_waits_or_verifies_leaves_the_batch(landers: Landers) -> None:
    landers.send("a", "b")
    landers.send("c", first=hang(landers, "a"))
    landers.send("d")
    landers.workers["b"].kill()
    landers.go()
    until((landers.top / "hangs").exists, "c verifies")
    landers.workers["c"].kill()
    assert landers.ends("a", "d") == [0, 0]
    assert landers.brought() == [["a", "d"]]
    (landers.top / "on").touch()
    landers.send("b", "c")
    assert landers.ends("b", "c") == [0, 0]
    assert landers.wrongs("abcd") == []


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_member_that_leaves_after_it_agreed_is_not_landed(landers: Landers, end: signal.Signals) -> None:
    landers.send("a")
    landers.send("c", first=hang(landers, "b"))
    landers.send("b")
    landers.go()
    until((landers.top / "hangs").exists, "c verifies")
    until(lambda: landers.promised("b"), "b agreed")
    landers.workers["b"].send_signal(end)
    landers.ends("b")
    assert (landers.record("b").intent is None) == (end is signal.SIGTERM)
    (landers.top / "on").touch()
    assert landers.ends("a", "c") == [0, 0]
    assert landers.brought() == [["a", "c"]]
    landers.send("b")
    assert landers.ends("b") == [0]
    assert landers.wrongs("abc") == []


def test_a_member_that_a_person_moves_away_after_it_agreed_is_not_landed(landers: Landers) -> None:
    landers.send("a")
    landers.send("c", first=hang(landers, "b"))
    landers.send("b")
    landers.go()
    until((landers.top / "hangs").exists, "c verifies")
    until(lambda: landers.promised("b"), "b agreed")
    landers.move("b", State.BLOCKED)
    assert landers.ends("b") == [0]
    (landers.top / "on").touch()
    assert landers.ends("a", "c") == [0, 0]
    assert landers.brought() == [["a", "c"]]
    landers.move("b", State.PENDING)
    landers.send("b")
    assert landers.ends("b") == [0]
    assert landers.wrongs("abc") == []


def test_a_member_that_was_counted_and_is_asked_to_stop_lands_or_sees_its_leader_die(landers: Landers) -> None:
    """Both ways: the leader has it on the base, or dies with the lock."""
    landers.drop("x")
    work, space = landers.opened("x")
    space.path.joinpath("x").touch()
    space.save_cut(work)
    queue, old = landingqueue.of(space.repo), landers.main
    new = merging.commit(work, space, merge.Merged(f"{space.tip}^{{tree}}", space.tip), old)
    ask = landingqueue.Ask("main", old, new, (space.tip,), ("y", "x"))
    for free in (True, False):
        with queue.enter(batch.wish(work, space)) as ticket, queue.asking([ticket.name], ask):
            proof = LockProof(space.repo.landing_lock) if free else None
            member = Member(work, space, ticket, lambda proof=proof: proof)  # type: ignore[misc]
            member.promised = ask
            work.save(intent=Intent("main", old, new, side=space.tip))
            if not free:
                landers.git("merge", "-q", "--ff-only", new)
            landed = member.leave()
            assert landed == (None if free else Landed(new, "main", "merge", side=space.tip))
            assert (work.record.intent is None) == free


def test_a_leader_asked_to_stop_calls_the_batch_off_and_the_next_one_leads(landers: Landers) -> None:
    landers.send("a", "b")
    landers.send("c", first=hang(landers, "a"))
    landers.go()
    until((landers.top / "hangs").exists, "c verifies")
    until(lambda: landers.promised("b"), "b agreed")
    landers.workers["a"].terminate()
    landers.ends("a")
    assert (landers.states()["a"], landers.record("a").intent) == (State.PENDING, None)
    (landers.top / "on").touch()
    assert landers.ends("b", "c") == [0, 0]
    assert landers.brought() == [["b", "c"]]
    landers.send("a")
    landers.ends("a")
    assert landers.wrongs("abc") == []


@pytest.mark.parametrize(("point", "landed"), [("before", [["b", "c"], ["a"]]), ("after", [["a", "b", "c"]])])
def test_a_leader_killed_around_the_compare_and_swap(landers: Landers, point: str, landed: list[list[str]]) -> None:
    landers.send("a", ORCH_FAILPOINT=f"land.update-ref:{point}")
    landers.send("b", "c")
    landers.go()
    assert landers.ends() == [-signal.SIGKILL, 0, 0]
    assert landers.git("status", "--porcelain") == ""  # the others took its part back, or it is on main
    landers.send("a")
    assert landers.ends("a") == [0]
    assert landers.brought() == landed
    assert landers.wrongs("abc") == []


def test_a_checkout_in_the_way_of_a_batch_lets_those_land_whom_it_does_not_concern(landers: Landers) -> None:
    landers.send("a", "b", "c")
    (landers.repo / "b").write_text("a person's, not in git\n")
    landers.go()
    landers.ends()
    assert landers.states() == {"a": State.CONVERGED, "b": State.PENDING, "c": State.CONVERGED}
    assert landers.record("b").reason == "checkout"
    assert (landers.repo / "b").read_text() == "a person's, not in git\n"


def test_a_base_that_moves_under_a_batch_makes_it_anew(landers: Landers) -> None:
    landers.send("a")
    landers.send("b", first=hang(landers, "a"))
    landers.go()
    until((landers.top / "hangs").exists, "b verifies")
    landers.commit({"person": "moved\n"})
    (landers.top / "on").touch()
    landers.ends()
    assert landers.wrongs("ab") == []
    assert landers.brought() == [["a", "b"]]
    assert len(landers.events("a", "batch")) == 2


def test_a_batch_has_no_more_members_than_it_may(landers: Landers, monkeypatch: pytest.MonkeyPatch) -> None:
    landers.drop("x")
    work, space = landers.opened("x")
    queue, mine = landingqueue.of(space.repo), batch.wish(work, space)
    with queue.enter(mine), queue.enter(mine), queue.enter(mine):
        monkeypatch.setattr(batch, "LARGEST", 3)
        assert list(batch.fellows(queue, mine)) == queue.waiting()[:2]


def test_undo_takes_back_one_member_and_leaves_the_others(landers: Landers) -> None:
    landers.send("a", "b", "c")
    landers.go()
    landers.ends()

    def command(*args: str) -> str:
        env = {**os.environ, "ORCH_TASKS": str(landers.queue.root), "ORCH_REPO": str(landers.repo)}
        done = forks.run(args, cwd=landers.top, env=env, timeout=60)
        done.check_returncode()
        return done.stdout

    def files() -> set[str]:
        return set(landers.git("ls-tree", "--name-only", "main").split()) & {"a", "b", "c"}

    assert "diff --git a/b b/b" in command("diff", "b")
    assert "diff --git a/a" not in command("diff", "b")
    command("undo", "b")
    assert files() == {"a", "c"}
    assert landers.git("status", "--porcelain") == ""
    command("undo", "a")
    assert files() == {"c"}
    record = landers.record("b").landed
    assert record is not None
    assert record.undone == landers.tip("main~1")
