from __future__ import annotations

import json

import pytest
from support.desk import COUNT, DONE, LESS, Desk, me

from orchestrator.core.outcome import Reason, Spend
from orchestrator.core.record import Result
from orchestrator.core.task import Stage, State
from orchestrator.git import kept, repository
from orchestrator.worker import life

SCENARIO = "[[attempts]]\nsteps = [{{append = 'README', content = 'more'}}, {step}]\n"


def results(desk: Desk) -> list[Result]:
    return [attempt.result for attempt in desk.record().history]


def collected(desk: Desk, text: str = "", streak_commit: str | None = None) -> str:
    """A worker that dies right after it took in what its agent left. `streak_commit`: another of which something was shown."""
    work, space = desk.opened()
    assert life.measure_baseline(work, space) is None
    work.claim.attempt_folder(1)
    watch = space.watch(work)
    (space.path / "todo.txt").write_text(text)
    space.collect(work, 1, watch)
    work.save(carried=Spend(seconds=2.0))
    if streak_commit:
        work.save(streak=3, streak_commit=streak_commit)
    work.enter(Stage.MEASURE)
    desk.die(work.claim)
    return space.tip


def interrupted(desk: Desk, text: str) -> None:
    """A worker that dies while its first agent is at work."""
    work, space = desk.opened()
    assert life.measure_baseline(work, space) is None
    (space.path / "todo.txt").write_text(text)
    work.enter(Stage.AGENT)
    desk.die(work.claim)


def test_an_attempt_whose_worker_died_before_it_was_measured_counts_once_and_lands(desk: Desk) -> None:
    desk.drop()
    desk.agent(desk.call)
    commit = collected(desk)
    desk.serve()
    record = desk.record()
    assert (desk.state(), results(desk), record.attempts, desk.calls()) == (State.CONVERGED, [Result.CONVERGED], 1, 0)
    assert (record.history[0].commit, record.history[0].seconds) == (commit, 2.0)


def test_what_a_guard_does_by_itself_makes_no_progress_a_failure(desk: Desk) -> None:
    varying = f"echo x >> {desk.top}/count\necho METRIC size=$(grep -c . {desk.top}/count)\n"
    desk.drop(front="metrics: [{name: left, target: 0}, {name: size, guard: true}]\nmax_failures: 1", benchmark=COUNT + varying)
    desk.agent(LESS)
    desk.serve()
    assert desk.record().noisy == ("size",)
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.IMPROVED, Result.IMPROVED, Result.CONVERGED])


def test_what_was_shown_of_one_commit_is_no_evidence_of_the_next(desk: Desk) -> None:
    """The first attempt is at target and refused by a gate, the second one is short of it."""
    desk.drop(front="max_failures: 2\ngates: {mine: 'false'}")
    desk.agent(f"[ $ORCH_ATTEMPT = 1 ] && {DONE} || echo four > todo.txt")
    desk.serve()
    assert results(desk)[0] is Result.GATE
    assert (desk.state(), desk.record().streak, desk.record().streak_commit) == (State.BLOCKED, 0, None)
    assert "was not shown to be at target on a clean checkout" in (desk.folder() / ".orch/report.md").read_text()


def test_nor_is_it_of_the_merge_that_did_not_hold(desk: Desk) -> None:
    desk.drop(front="max_failures: 1", benchmark=f"#!/bin/sh\n[ ! -e theirs ] || {{ echo METRIC left=1; exit; }}\n{COUNT}")
    theirs = f"touch {desk.repo}/theirs; git -C {desk.repo} add theirs; git -C {desk.repo} commit -qm theirs"
    desk.agent(f"{DONE}; {theirs}")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.BLOCKED, [Result.GATE])
    assert "was not shown to be at target on a clean checkout" in (desk.folder() / ".orch/report.md").read_text()


@pytest.mark.parametrize("mode", ["converge", "optimize"])
def test_nor_is_it_where_the_next_one_s_worker_died_before_it_was_measured(desk: Desk, mode: str) -> None:
    desk.drop(front=f"metric: {{name: left, target: 0}}\nmode: {mode}\nmax_failures: 1")
    collected(desk, "one\ntwo\nthree\nfour\n", streak_commit="another:digest")
    desk.serve()
    assert (results(desk), desk.record().streak, desk.record().streak_commit) == ([Result.UNCHANGED], 0, None)


def test_what_a_later_claim_measures_of_a_counted_attempt_lies_beside_that_attempt(desk: Desk) -> None:
    """Its report told of more samples than its benchmark.jsonl held."""
    desk.drop()
    desk.agent(DONE)
    (desk.repo / "todo.txt").write_text("mine\n")  # in the way of the landing
    desk.serve()
    assert desk.state() is State.PENDING
    desk.git("checkout", "-q", "todo.txt")
    desk.serve()
    told = [(event["where"], event["values"]) for event in desk.events(event="measured") if event["attempt"] == 1]
    evidence = map(json.loads, (desk.folder() / ".orch/attempts/0001/benchmark.jsonl").read_text().splitlines())
    assert desk.state() is State.CONVERGED
    assert [(line["where"], line["values"]) for line in evidence] == told


def test_what_a_dead_worker_s_attempt_is_measured_by_is_told_as_that_attempt_s(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    commit = collected(desk, "one\n")
    desk.serve()
    told = [(event["attempt"], event["where"]) for event in desk.events(event="measured") if event["commit"] == commit]
    assert told == [(1, "resumed")]
    evidence = (desk.folder() / ".orch/attempts/0001/benchmark.jsonl").read_text().splitlines()
    assert [json.loads(line)["where"] for line in evidence] == ["resumed"]
    assert desk.record().history[0].detail == "left is 1, target <= 0"


@pytest.mark.parametrize("cut", [True, False], ids=["in its session", "after it"])
def test_a_base_that_a_dead_worker_s_first_attempt_moves_as_it_is_measured_is_a_finding(desk: Desk, cut: bool) -> None:
    moves = "[ $(grep -c . todo.txt) != 1 ] || git update-ref refs/heads/main HEAD\n"
    desk.drop(benchmark=f"#!/bin/sh\n{moves}{COUNT}")
    (interrupted if cut else collected)(desk, "one\n")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.TAMPERED)


def test_the_same_short_of_the_target_is_one_attempt_before_the_next(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    collected(desk, "one\n")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.IMPROVED, Result.CONVERGED])


def faulty(desk: Desk, times: int, how: str) -> str:
    """What goes wrong so often where the work is done already, and nowhere else."""
    return f"[ -s todo.txt ] || for i in $(seq {times}); do mkdir {desk.top}/once-$i 2>/dev/null || continue; {how}; done"


def test_what_a_killed_sample_of_the_streak_left_is_gone_before_it_is_taken_again(desk: Desk) -> None:
    dies = f"case $PWD in *.verify*) mkdir {desk.top}/once 2>/dev/null && kill -9 $$;; esac"
    leaves = "case $PWD in *.verify*) mkdir made || exit 1; echo > made/it;; esac"
    desk.drop(front="max_failures: 1", benchmark=f"#!/bin/sh\n{leaves}\n{dies}\n{COUNT}")
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONVERGED])
    assert (desk.top / "once").is_dir()


def test_a_number_that_varies_in_a_streak_needs_as_many_samples_though_a_worker_is_stopped_in_it(desk: Desk) -> None:
    count = f"n=$(($(cat {desk.top}/samples 2>/dev/null || echo 0) + 1)); echo $n > {desk.top}/samples"
    stop = f"[ $n != 4 ] || {{ kill -TERM {me()}; sleep 60; }}"
    varies = f"[ -s todo.txt ] || {{ {count}; {stop}; echo METRIC left=$((n % 2)); exit; }}"
    desk.drop(front="metric: {name: left, target: 1}", benchmark=f"#!/bin/sh\n{varies}\n{COUNT}")
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.record().streak) == (State.PENDING, 2)  # of five that it takes
    desk.serve()
    assert (desk.state(), desk.record().streak) == (State.CONVERGED, 5)


IDLE = "[ $n -gt 1 ] || " + DONE
KILLED = ["kill -9 $$", "sh -c 'kill -9 $$'; exit $?"]


@pytest.mark.parametrize("how", KILLED, ids=["itself", "its-command"])
@pytest.mark.parametrize("streak", [0, 1])
def test_a_benchmark_that_is_killed_once_is_run_once_more_and_both_samples_are_told(desk: Desk, how: str, streak: int) -> None:
    skip = "".join(f"mkdir {desk.top}/skip-{i} 2>/dev/null && {{ {COUNT.splitlines()[1]}; exit; }}\n" for i in range(streak))
    desk.drop(front="max_failures: 1", benchmark=f"#!/bin/sh\n[ -s todo.txt ] || {{ :\n{skip}}}\n{faulty(desk, 1, how)}\n{COUNT}")
    desk.agent(f"{desk.call} {IDLE}")
    desk.serve()
    assert (desk.state(), results(desk), desk.calls()) == (State.CONVERGED, [Result.CONVERGED], 1)
    died = [event for event in desk.events(event="measured") if event["where"] == "died"]
    assert ["SIGKILL" in event["defect"] for event in died] == [True]


@pytest.mark.parametrize(("times", "how"), [(2, "kill -9 $$"), (1, "sleep 60")], ids=["killed-again", "too-slow"])
def test_what_was_cut_off_is_measured_again_though_the_next_attempt_changes_nothing(desk: Desk, times: int, how: str) -> None:
    desk.drop(front="max_failures: 2\nbenchmark_timeout: 4s", benchmark=f"#!/bin/sh\n{faulty(desk, times, how)}\n{COUNT}")
    desk.agent(f"{desk.call} {IDLE}")
    desk.serve()
    assert (desk.state(), results(desk), desk.calls()) == (State.CONVERGED, [Result.DEFECT, Result.CONVERGED], 2)


@pytest.mark.parametrize(("times", "attempts"), [(1, 1), (2, 2)])
def test_a_gate_that_is_killed_is_run_once_more_and_judges_the_unchanged_again(desk: Desk, times: int, attempts: int) -> None:
    (desk.top / "gate.sh").write_text(faulty(desk, times, "kill -9 $$"))
    desk.drop(front=f"max_failures: 2\ngates: {{mine: 'exec sh {desk.top}/gate.sh'}}")
    desk.agent(f"{desk.call} {IDLE}")
    desk.serve()
    assert (desk.state(), desk.calls()) == (State.CONVERGED, attempts)
    assert any("It is run once more" in event["detail"] for event in desk.events(event="notice"))


def test_a_benchmark_that_is_killed_once_on_the_base_is_no_defect(desk: Desk) -> None:
    desk.drop(benchmark=f"#!/bin/sh\nmkdir {desk.top}/once 2>/dev/null && kill -9 $$\n{COUNT}")
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONVERGED])


def test_the_same_out_of_scope_counts_as_a_violation_and_lands_nothing(desk: Desk) -> None:
    desk.drop(front="scope: [README]\nmax_failures: 1")
    collected(desk)
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, results(desk)) == (State.BLOCKED, Reason.SCOPE_VIOLATION, [Result.SCOPE_VIOLATION])
    assert (desk.merges(), desk.tip("orchestrator/x")) == (0, desk.main)


def test_a_change_out_of_scope_is_taken_off_the_branch_and_kept(desk: Desk) -> None:
    desk.drop(front="scope: [todo.txt]")
    desk.agent(f"{desk.call} [ $n = 1 ] && touch elsewhere; {DONE}")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.SCOPE_VIOLATION, Result.CONVERGED])
    assert "elsewhere" not in desk.git("ls-tree", "--name-only", "main")
    assert "elsewhere" in desk.git("ls-tree", "--name-only", "refs/orchestrator/x/0001")


def test_a_file_name_that_is_no_text_reaches_the_next_prompt_harmlessly(desk: Desk) -> None:
    desk.drop(front="scope: [todo.txt]")
    desk.agent(f"{desk.call} [ $n = 1 ] && touch \"$(printf 'odd\\377')\"; {DONE}")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.SCOPE_VIOLATION, Result.CONVERGED])


def test_a_benchmark_that_fails_with_the_agents_change_is_the_attempts_result(desk: Desk) -> None:
    desk.drop(benchmark=COUNT + "test -e broken && { echo it broke; exit 4; }\ntrue\n")
    desk.agent(f"if grep -q 'it broke' $ORCH_PROMPT_FILE; then rm broken; else touch broken; fi; {DONE}")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.DEFECT, Result.CONVERGED])


def test_an_agent_that_crashes_parks_the_task_and_its_work_counts(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"{LESS}; exit 1")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, results(desk), record.backoffs) == (State.PENDING, Reason.BACKOFF, [Result.IMPROVED], 1)
    assert record.not_before is not None


@pytest.mark.parametrize(
    ("step", "state", "reason"),
    [
        ("{limit = 30}", State.PENDING, Reason.RATE_LIMITED),
        ("{auth = 'please log in'}", State.BLOCKED, Reason.AUTH),
        ("{ask = 'which of the two?'}", State.BLOCKED, Reason.QUESTION),
    ],
)
def test_a_session_that_says_nothing_about_the_task_counts_nothing_and_loses_nothing(
    desk: Desk, step: str, state: State, reason: Reason
) -> None:
    desk.drop(front="agent: scripted", files={"scenario.toml": SCENARIO.format(step=step)})
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.attempts, record.failures) == (state, reason, 0, 0)
    assert record.spend.seconds > 0
    assert desk.show("README", "orchestrator/x").endswith("more")


def test_a_session_without_a_verdict_that_touched_the_benchmark_is_a_finding(desk: Desk) -> None:
    spoil = "{run = 'echo echo METRIC left=0 > $ORCH_TASK_DIR/benchmark.sh'}, {limit = 30}"
    desk.drop(front="agent: scripted", files={"scenario.toml": SCENARIO.format(step=spoil)})
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.merges()) == (State.BLOCKED, Reason.TAMPERED, 0)


def test_nothing_changed_is_a_failure_and_is_not_measured_again(desk: Desk) -> None:
    desk.drop(front="max_failures: 2")
    desk.agent("true")
    desk.serve()
    assert results(desk) == [Result.UNCHANGED, Result.UNCHANGED]
    assert [event["where"] for event in desk.events(event="measured")] == ["baseline"]


def test_nothing_changed_about_work_that_a_gate_refuses_still_tells_of_the_gate(desk: Desk) -> None:
    desk.drop(front="max_failures: 2\ngates: {size: 'echo too big; exit 7'}")
    desk.agent(DONE)
    desk.serve()
    record = desk.record()
    assert [each.result for each in record.history] == [Result.GATE, Result.UNCHANGED]
    assert "still refused: size: The size command ended with exit code 7" in record.history[1].detail
    assert "size" in (record.detail or "")


def test_an_agent_that_never_starts_is_why_in_every_claim_and_leaves_nothing_to_keep(desk: Desk) -> None:
    desk.drop(front="agent: scripted\nmax_failures: 2")
    desk.serve()
    desk.serve()
    record = desk.record()
    assert ["scenario" in attempt.detail for attempt in record.history] == [True, True]
    assert "scenario" in (record.detail or "")
    assert [fate[0] for fate in fates(desk)] == ["discarded", "discarded"]


def test_what_an_agent_came_to_grief_with_is_told_beside_the_number_that_it_left(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent("echo >> README; exit 7")
    desk.serve()
    assert desk.record().history[0].detail == "The agent ended with exit code 7; left is 3, target <= 0"


UNRELATED = "git checkout -q --orphan theirs; echo theirs > README; git commit -qam theirs; git checkout -q orchestrator/x"


@pytest.mark.parametrize(
    ("begun", "number"), [("true", ""), ("echo > more; git add more; git commit -qm more", "; left is 3, target <= 0")]
)
def test_what_an_unfinished_merge_keeps_from_counting_is_told_with_where_it_is(desk: Desk, begun: str, number: str) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent(f"{begun}; {UNRELATED}; git merge -q --allow-unrelated-histories theirs; {DONE}")
    desk.serve()
    told = desk.record().history[0].detail
    kept_apart = [each.commit for each in kept.attempts(repository.discover(desk.repo)) if each.label.startswith("extra/")]
    words = "a merge's conflict markers were left in README: all that was uncommitted is in commit {} and in nothing that counts"
    assert told in [words.format(commit[:10]) + number for commit in kept_apart]


def test_that_a_rebase_was_left_unfinished_is_told_with_where_its_work_is(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    stop = "GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -q -i main"
    desk.agent(f"echo > more; git add more; git commit -qm more; {stop}; {DONE}")
    desk.serve()
    kept_apart = [each.commit for each in kept.attempts(repository.discover(desk.repo)) if each.label.startswith("extra/")]
    words = "a rebase was left unfinished: what counts is the work from before it; what it had come to is in commit {}"
    assert desk.record().history[0].detail in [f"{words.format(each[:10])}; left is 3, target <= 0" for each in kept_apart]


def test_how_the_agent_came_to_grief_and_what_does_not_count_read_as_one_sentence(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent(f"{DONE}; git stash -q; exit 7")
    desk.serve()
    assert desk.record().history[0].detail.startswith("The agent ended with exit code 7; what the agent left in `git stash`")


BACK = "git checkout -q orchestrator/x"


@pytest.mark.parametrize(
    "work",
    [
        f"git checkout -q -b theirs; {DONE}; git commit -qam done; {BACK}",
        f"git worktree add -q .worktrees/theirs -b theirs; cd .worktrees/theirs; {DONE}; git commit -qam done",
        f"git worktree add -q .worktrees/theirs -b theirs; cd .worktrees/theirs; {DONE}",
        f"{DONE}; git commit -qam done; git reset -q --hard main",
    ],
    ids=["another branch", "a worktree of its own", "the same, uncommitted", "taken back"],
)
def test_of_an_agent_that_worked_beside_its_branch_it_is_told_where_that_is(desk: Desk, work: str) -> None:
    """It was said to have changed nothing, and the one after it did the same."""
    desk.drop(front="max_failures: 1")
    desk.agent(work)
    desk.serve()
    (apart,) = [each.commit for each in kept.attempts(repository.discover(desk.repo)) if each.label.startswith("extra/")]
    words = (
        f"nothing changed on the task's branch: commit {apart[:10]}, made on another branch or in a worktree of the agent's own, or "
        "taken back, counts for nothing"
    )
    assert desk.record().history[0].detail == words


def test_an_agent_that_only_looked_at_other_commits_changed_nothing(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    theirs = f"git -C {desk.repo} commit-tree -m theirs -p main main^{{tree}}"
    desk.agent(f"commit=$({theirs}); git checkout -q $commit; git worktree add -q there $commit; {BACK}")
    desk.serve()
    assert desk.record().history[0].detail == "the agent changed nothing"


def test_what_an_agent_left_in_the_stash_is_told_with_where_it_is_and_a_persons_is_not(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    person = f"echo theirs > {desk.repo}/README; git -C {desk.repo} stash -q"
    desk.agent(f"{DONE}; git stash -q; {person}; git stash list")
    desk.serve()
    kept_apart = [each.commit for each in kept.attempts(repository.discover(desk.repo)) if each.label.startswith("extra/")]
    words = (
        "what the agent left in `git stash` counts for nothing; it is in commit {}, and in the repository's own stash, where a "
        "person's `git stash pop` would find it"
    )
    assert desk.record().history[0].detail in [words.format(each[:10]) for each in kept_apart]
    assert desk.git("stash", "list").count("\n") == 1


def test_what_an_agent_had_git_ignore_by_the_repositorys_own_list_is_told(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    desk.agent(f"printf '# mine\\nmade\\n.venv\\nnone\\n' >> {desk.repo}/.git/info/exclude; mkdir .venv; : > made; : > .venv/x")
    desk.serve()
    words = "git was told by .git/info/exclude to ignore made: that is in no commit, so it neither counts nor lands"
    assert desk.record().history[0].detail == words


@pytest.mark.parametrize(
    ("front", "says"),
    [
        ("max_failures: 1", "at target once, then not in a clean checkout: left is 1, target <= 0"),
        ("mode: optimize\nplateau: 1\nmetrics: [{name: left}]", "discarded: left 1 -> 1"),
    ],
)
def test_it_is_told_also_where_the_number_was_right_only_by_what_is_in_no_commit(desk: Desk, front: str, says: str) -> None:
    desk.drop(front=front, benchmark='#!/bin/sh\necho "METRIC left=$([ -e made ]; echo $?)"\n')
    desk.agent(f"echo made >> {desk.repo}/.git/info/exclude; : > made; : > other")
    desk.serve()
    words = "git was told by .git/info/exclude to ignore made: that is in no commit, so it neither counts nor lands"
    assert desk.record().history[0].detail == f"{says}; {words}"


def test_an_agent_may_add_more_to_that_list_than_fits_on_a_command_line(desk: Desk) -> None:
    """Such as every file there is."""
    desk.drop(front="max_failures: 1")
    desk.agent(f"yes a/long/name/of/a/file/that/is/not/there | head -n 70000 >> {desk.repo}/.git/info/exclude")
    desk.serve()
    assert (desk.record().reason, desk.record().history[0].detail) == (Reason.EXHAUSTED, "the agent changed nothing")


def test_a_hook_before_the_agent_must_succeed(desk: Desk) -> None:
    desk.drop()
    desk.agent(desk.call)
    desk.set(hooks={"before_run": "echo no room; exit 1"})
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.calls()) == (State.BLOCKED, Reason.SETUP, 0)
    assert "no room" in (desk.record().detail or "")


# What its events say


def fates(desk: Desk) -> list[tuple[str, str, bool]]:
    return [(e["event"], e["result"], e["improved"]) for e in desk.events() if e["event"] in ("kept", "discarded")]


def test_kept_and_discarded_tell_whether_the_commits_stay_on_the_branch_and_improved_whether_the_number_got_better(
    desk: Desk,
) -> None:
    desk.drop(front="off_limits: [README]")
    acts = (LESS, "echo more >> todo.txt", "true", f"echo >> README; {LESS}", DONE)
    desk.agent(f"{desk.call} case $n in " + " ".join(f"{n}) {act} ;;" for n, act in enumerate(acts, 1)) + " esac")
    desk.serve()
    assert fates(desk) == [
        ("kept", "improved", True),
        ("kept", "no-improvement", False),
        ("discarded", "no-improvement", False),
        ("discarded", "scope-violation", False),
    ]
    better, worse, nothing, _ = (event for event in desk.events() if event["event"] in ("kept", "discarded"))
    assert better["detail"] == "left is 2, target <= 0"
    assert worse["detail"].startswith("left is 3, target <= 0; ")
    assert worse["detail"].endswith("commits stay on the task branch all the same")
    assert nothing["detail"] == "the agent changed nothing"
    assert desk.git("merge-base", "--is-ancestor", worse["commit"], "main") == ""  # it stayed, and landed with the rest


def test_work_of_an_earlier_claim_that_misses_its_gate_again_stays_and_is_told_so(desk: Desk) -> None:
    desk.drop(front="max_failures: 1", files={"checks.sh": "exit 1\n"})
    desk.agent(DONE)
    desk.serve()
    desk.agent("true")
    desk.move("x", State.PENDING)
    desk.serve()
    assert fates(desk) == [("kept", "gate", False), ("kept", "gate", False), ("discarded", "no-improvement", False)]


PYTHON = "#!/bin/sh\npython3 -c 'import value; print(\"METRIC left=\" + str(value.LEFT))'\n"


@pytest.mark.parametrize("front", ["", "setup: python3 -c 'import value'", "gates: {imports: python3 -c 'import value'}"])
def test_an_edit_of_the_same_second_and_size_is_measured_whatever_python_keeps_of_the_sample_before(
    desk: Desk, front: str
) -> None:
    desk.commit({"value.py": "LEFT = 3\n", ".gitignore": "__pycache__/\n"})
    desk.drop(front=f"max_failures: 1\nenv: {{PYTHONPATH: .}}\n{front}", benchmark=PYTHON)
    desk.agent("t=$(stat -c %Y value.py); echo LEFT = 0 > value.py; touch -d @$t value.py")
    desk.serve()
    assert desk.state() is State.CONVERGED


def test_a_spec_may_let_python_write_its_cache(desk: Desk) -> None:
    desk.commit({"value.py": "LEFT = 3\n", ".gitignore": "__pycache__/\n"})
    desk.drop(front="env: {PYTHONPATH: ., PYTHONDONTWRITEBYTECODE: ''}", benchmark=PYTHON + "ls -d __pycache__ >&2 || exit 3\n")
    desk.agent("echo LEFT = 0 > value.py; touch -d yesterday value.py")
    desk.serve()
    assert desk.state() is State.CONVERGED
