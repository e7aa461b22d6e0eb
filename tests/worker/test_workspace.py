from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.desk import COUNT, DONE, LESS, Desk, me

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import Stage, State
from orchestrator.errors import GitError
from orchestrator.git import save, worktree
from orchestrator.git.command import Git, Output
from orchestrator.worker import setup, verify
from orchestrator.worker.workspace import Workspace

TERM = f"kill -TERM {me()}; sleep 30"


def results(desk: Desk) -> list[Result]:
    return [attempt.result for attempt in desk.record().history]


# What a benchmark leaves behind


@pytest.mark.parametrize("front", ["", "setup: mkdir build && touch build/tool node_modules"])
def test_what_a_benchmark_leaves_in_the_worktree_is_nobodys_change(desk: Desk, front: str) -> None:
    desk.drop(front=f"scope: [todo.txt]\n{front}".strip(), benchmark="touch result.log; echo >> README\n" + COUNT)
    desk.agent(LESS if not front else f"rm -rf build node_modules; {LESS}")
    desk.serve()
    assert (desk.state(), set(results(desk))) == (State.CONVERGED, {Result.IMPROVED, Result.CONVERGED})
    assert desk.git("ls-tree", "--name-only", "main").split() == [".gitignore", "README", "todo.txt"]
    assert desk.show("README") == "a repository"


@pytest.mark.parametrize("front", ["", "setup: mkdir -p made"])
def test_an_empty_folder_that_a_benchmark_leaves_is_gone_before_the_next_sample(desk: Desk, front: str) -> None:
    needs = "test -d made || exit 1\n" if front else ""
    desk.drop(front=front, benchmark=f"mkdir out || exit 1\n{needs}{COUNT}")
    desk.agent(LESS)
    desk.set(converge=1)
    desk.serve()
    assert (desk.state(), set(results(desk))) == (State.CONVERGED, {Result.IMPROVED, Result.CONVERGED})


def test_what_can_not_be_removed_of_a_benchmark_goes_with_its_worktree(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(git: Git, *command: str, **how: Any) -> Output:  # as of root's files, which a container leaves
        if command[0] == "clean" and (git.cwd / "result.log").exists():
            raise GitError(command, 1, "warning: failed to remove result.log: Permission denied")
        return run(git, *command, **how)

    run = Git.run
    monkeypatch.setattr(Git, "run", refused)
    desk.drop(benchmark="touch result.log\n" + COUNT)
    desk.agent(LESS)
    desk.serve()
    assert (desk.state(), set(results(desk))) == (State.CONVERGED, {Result.IMPROVED, Result.CONVERGED})
    assert desk.git("ls-tree", "--name-only", "main").split() == [".gitignore", "README", "todo.txt"]
    assert "made anew" in desk.events(event="notice")[0]["detail"]


@pytest.mark.parametrize("removed", ['"$PWD"', ".git"])
def test_a_benchmark_that_removes_the_worktree_keeps_no_agent_from_it(desk: Desk, removed: str) -> None:
    desk.drop(benchmark=f"{COUNT}\nrm -rf {removed}\n")
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.merges()) == (State.CONVERGED, 1)


def test_a_claim_that_ends_on_what_can_not_be_removed_leaves_no_work(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise GitError(("clean",), 1, "warning: failed to remove result.log: Permission denied")

    desk.drop()
    work, space = desk.opened()
    with space.at_tip(work):
        (space.path / "result.log").touch()
    monkeypatch.setattr(save, "tidy", refused)
    space.leave(work)
    assert not space.tree.finished


def test_a_benchmark_killed_in_the_middle_leaves_no_work_but_a_ref(desk: Desk) -> None:
    desk.drop(front="scope: [todo.txt]")
    desk.agent(DONE)
    work, space = desk.opened()
    work.enter(Stage.MEASURE)
    (space.path / "result.log").write_text("half of it")
    desk.die(work.claim)
    desk.serve()
    assert (desk.state(), results(desk), desk.events(event="finding")) == (State.CONVERGED, [Result.CONVERGED], [])
    assert any("result.log" in desk.git("ls-tree", "--name-only", commit) for commit in desk.refs().values())


def test_asked_to_stop_while_a_benchmark_runs_its_litter_is_not_taken_for_work(desk: Desk) -> None:
    once = f"touch result.log; mkdir {desk.top}/once 2>/dev/null && {{ {TERM}; }}\n"
    desk.drop(front="scope: [todo.txt]", benchmark=once + COUNT)
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.refs("refs/heads/orchestrator/x")) == (State.PENDING, {"refs/heads/orchestrator/x": desk.main})
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONVERGED])


@pytest.mark.parametrize(("leaves", "looks"), [("", 0), ("touch result.log; rm result.log\n", 1), ("touch todo.txt\n", 1)])
def test_git_looks_for_what_the_benchmark_left_only_where_it_touched_anything(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, leaves: str, looks: int
) -> None:
    seen: list[str] = []
    tidy = save.tidy
    monkeypatch.setattr(save, "tidy", lambda *args: (seen.append("look"), tidy(*args)))
    desk.drop(front="scope: [todo.txt]", benchmark=leaves + COUNT)
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), len(seen)) == (State.CONVERGED, looks)


def test_no_copy_of_the_evaluator_but_its_own_lies_there_while_an_agent_works(desk: Desk) -> None:
    desk.drop()
    desk.agent(f'ls -A "$ORCH_TASK_DIR/.." > {desk.top}/beside; {LESS}')
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert len(results(desk)) > 1
    assert sorted((desk.top / "beside").read_text().split()) == ["prompt.md", "task"]


LEAVES = "touch result.log; echo >> README; mkdir -p __pycache__; touch __pycache__/x.pyc\n"


def test_what_the_last_benchmark_of_a_claim_left_is_not_taken_for_work_by_the_next(desk: Desk) -> None:
    desk.drop(benchmark=LEAVES + COUNT)
    desk.agent(f"{desk.call} [ $n = 3 ] && {DONE}; {LESS}; true")
    for _ in range(3):
        desk.serve(once=True)
    assert (desk.state(), set(results(desk))) == (State.CONVERGED, {Result.IMPROVED, Result.CONVERGED})
    assert desk.git("ls-tree", "--name-only", "main").split() == [".gitignore", "README", "todo.txt"]
    assert not any("result.log" in desk.git("ls-tree", "--name-only", commit) for commit in desk.refs().values())


@pytest.mark.parametrize("stage", [Stage.VERIFY, Stage.LAND])
def test_killed_while_a_commit_is_verified_a_benchmarks_litter_is_not_taken_for_work(desk: Desk, stage: Stage) -> None:
    desk.drop()
    desk.agent(DONE)
    work, space = desk.opened()
    work.save(stage=stage.value)
    (space.path / "result.log").write_text("litter")
    desk.die(work.claim)
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONVERGED])
    assert "result.log" not in desk.git("ls-tree", "--name-only", "main")


def test_asked_to_stop_while_a_commit_is_verified_a_benchmarks_litter_is_not_taken_for_work(desk: Desk) -> None:
    stop = f"[ $(wc -l < {desk.top}/runs) = 3 ] && {{ {TERM}; }}\n"
    desk.drop(benchmark=f"touch result.log; echo >> {desk.top}/runs; {stop}" + COUNT)
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), len((desk.top / "runs").read_text())) == (State.PENDING, 3)
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONVERGED])
    assert "result.log" not in desk.git("ls-tree", "--name-only", "main")


# What a setup command leaves


SETUP = "setup: echo 1 > tool; mkdir -p lib/deep; touch lib/a lib/deep/b; mkdir -p own && cd own && git init -q && touch c"
NEEDS_TOOL = "[ -e tool ] && [ -e lib/deep/b ] && [ -e own/c ] || exit 1\n"


def setup_drop(desk: Desk, front: str = "scope: [todo.txt]", benchmark: str = COUNT) -> None:
    desk.drop(front=f"{SETUP}\n{front}", benchmark=NEEDS_TOOL + benchmark, files={"checks.sh": NEEDS_TOOL})


def test_what_setup_leaves_is_no_change_of_the_agents_and_is_there_for_every_sample_and_gate(desk: Desk) -> None:
    setup_drop(desk)
    desk.agent(f"{desk.call} [ $n = 1 ] || {LESS}")
    desk.serve()
    assert (desk.state(), results(desk)[0]) == (State.CONVERGED, Result.UNCHANGED)
    assert desk.record().history[0].detail == "the agent changed nothing"
    assert desk.git("ls-tree", "-r", "--name-only", "main").split() == [".gitignore", "README", "todo.txt"]


@pytest.mark.parametrize(
    "act", ["echo 2 > tool", "touch lib/new", "mv lib/a lib/c", "chmod +x lib/a", "echo 2 > own/c", "echo 1 > t; mv t tool"]
)
def test_what_the_agent_makes_of_it_is_its_change(desk: Desk, act: str) -> None:
    setup_drop(desk, "max_failures: 1")
    desk.agent(act)
    desk.serve()
    changed = desk.git("diff", "--name-only", "main", "refs/orchestrator/x/0001").split()
    assert changed == [
        {
            "echo 2 > tool": "tool",
            "touch lib/new": "lib/new",
            "mv lib/a lib/c": "lib/c",
            "chmod +x lib/a": "lib/a",
            "echo 2 > own/c": "own/c",
        }.get(act, "tool")
    ]


def test_it_stays_given_when_a_benchmark_used_it_and_in_later_claims(desk: Desk) -> None:
    setup_drop(desk, benchmark="echo >> tool; echo >> lib/a; touch lib/new litter\n" + COUNT)
    desk.agent(f"{desk.call} [ $n = 2 ] && {{ {TERM}; }}; {LESS}")
    for _ in range(4):
        desk.serve(once=True)
    assert (desk.state(), set(results(desk))) == (State.CONVERGED, {Result.IMPROVED, Result.CONVERGED})
    assert desk.git("ls-tree", "-r", "--name-only", "main").split() == [".gitignore", "README", "todo.txt"]
    assert not any("tool" in desk.git("ls-tree", "-r", "--name-only", commit).split() for commit in desk.refs().values())


def test_setup_that_is_run_by_a_hook_is_no_different_and_one_taken_out_of_the_spec_gives_nothing(desk: Desk) -> None:
    folder = desk.drop(front="scope: [todo.txt]")
    desk.set(hooks={"after_create": "touch tool"})
    desk.agent("true")
    desk.serve(once=True)
    assert (desk.state(), desk.record().history[0].detail) == (State.PENDING, "the agent changed nothing")
    desk.set(hooks={})
    (folder / "autoresearch.md").write_text("# x\n")
    desk.agent(DONE)
    desk.serve()
    assert desk.git("ls-tree", "-r", "--name-only", "main").split() == [".gitignore", "README", "todo.txt"]


# What an agent does to its worktree


@pytest.mark.parametrize(
    "act",
    [
        'cd / && rm -rf "$ORCH_WORKTREE"',
        'cd / && git -C "$ORCH_WORKTREE" worktree remove --force "$ORCH_WORKTREE"',
        'rm -rf "$(git rev-parse --absolute-git-dir)"',
    ],
)
def test_an_agent_that_removes_its_worktree_has_made_one_attempt_and_the_next_has_a_new_one(desk: Desk, act: str) -> None:
    desk.drop()
    desk.agent(f"{desk.call} [ $n = 2 ] || {{ {act}; exit 0; }}; git rev-parse --show-toplevel > {desk.top}/where; {DONE}")
    desk.serve()
    assert (desk.state(), results(desk), desk.merges()) == (State.CONVERGED, [Result.UNCHANGED, Result.CONVERGED], 1)
    assert (desk.top / "where").read_text().strip() == str(desk.worktree())


@pytest.mark.parametrize("mode", ["000", "555"])
def test_a_worktree_that_its_agent_closed_is_open_to_whoever_goes_on(desk: Desk, mode: str) -> None:
    """For a user who isn't root it stayed closed, and the task was put off for ever."""
    desk.drop()
    desk.agent(f"stat -c %a . >> {desk.top}/modes; {LESS}; chmod {mode} .")
    desk.serve()
    assert (desk.state(), desk.merges()) == (State.CONVERGED, 1)
    assert [line[0] for line in (desk.top / "modes").read_text().split()] == ["7"] * len(desk.record().history)


def test_commits_made_before_the_worktree_was_removed_stay_reachable(desk: Desk) -> None:
    desk.drop(front="max_failures: 1")
    commit = f"git checkout -q --detach; {LESS}; git commit -qam mine; git rev-parse HEAD > {desk.top}/mine"
    desk.agent(f"{commit}; cd /; rm -rf $ORCH_WORKTREE")
    desk.serve()
    assert (desk.top / "mine").read_text().strip() in desk.refs().values()


MINE = f"{LESS}; git commit -qam mine; git commit -q --allow-empty -m last; git rev-parse HEAD > "
GONE = 'git worktree remove --force "$ORCH_WORKTREE"'


@pytest.mark.parametrize(
    "act",
    [
        f"git checkout -q --detach; {MINE}{{mine}}; {GONE}",
        f'git checkout -q --detach; {MINE}{{mine}}; cd {{repo}}; rm -rf "$ORCH_WORKTREE"; git worktree prune',
        f'git checkout -q --detach; {MINE}{{mine}}; rm -rf "$(git rev-parse --absolute-git-dir)"',
        f"{MINE}{{mine}}; cd {{repo}}; {GONE}; git branch -qD orchestrator/x",
    ],
)
def test_commits_whose_worktree_the_agent_removed_with_gits_folder_are_found_kept_and_told(desk: Desk, act: str) -> None:
    desk.git("commit", "-q", "--allow-empty", "-m", "a person's")
    desk.drop(front="max_failures: 1")
    amend = f"git -C {desk.repo} commit -q --amend --allow-empty -m amended"
    desk.agent(f"{amend}; {act.format(mine=desk.top / 'mine', repo=desk.repo)}")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.BLOCKED, [Result.UNCHANGED])
    assert {label: commit for label, commit in desk.refs().items() if label.startswith("extra/")} == {
        "extra/0001-lost": (desk.top / "mine").read_text().strip()
    }
    assert "extra/0001-lost" in str(desk.events(event="finding"))


@pytest.mark.parametrize(
    ("act", "made"),
    [
        ("git commit -qam own", "HEAD"),
        ("git commit -qam own; echo more > more.txt", "HEAD"),
        ("git stash -q", "refs/stash"),
        ("git add -A", ":todo.txt"),  # which our own git then finds there, and does not write again
    ],
)
def test_what_an_agents_own_git_wrote_is_synced_before_the_attempt_is_counted(
    desk: Desk, act: str, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def note(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        record = json.loads(path.read_bytes()) if path.name.startswith(".state.json") else {}
        synced.append("counted" if record.get("attempts") else "".join(path.parts[-2:]))

    monkeypatch.setattr(os, "fsync", note)
    desk.drop()
    desk.agent(f"{LESS}; {act}; git rev-parse {made} > {desk.repo}.made")
    desk.serve(once=True)
    assert Path(f"{desk.repo}.made").read_text().strip() in synced[: synced.index("counted")]


@pytest.mark.parametrize("act", ["rm .git", "rm .git && git init -q . && git add -A && git commit -qm own"])
def test_without_its_git_file_the_work_is_kept_and_no_agent_is_let_loose_on_the_users_checkout(desk: Desk, act: str) -> None:
    desk.drop()
    after = f"git rev-parse --absolute-git-dir > {desk.top}/where; git commit -qam two; {DONE}"
    desk.agent(f"{desk.call} [ $n = 1 ] && {{ {LESS}; {act}; exit 0; }}; {after}")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.IMPROVED, Result.CONVERGED])
    assert Path((desk.top / "where").read_text()).parent == desk.repo / ".git/worktrees"
    assert desk.git("rev-list", "--count", "--first-parent", "main") == "2"


@pytest.mark.parametrize(
    "act",
    [
        "git checkout -q --orphan fresh && git commit -qam all",
        "git reset -q --soft HEAD~1 && git commit -qm rewritten",
        "git commit -q --amend -am mine",
    ],
)
def test_an_agent_that_rewrites_history_has_its_change_on_top_of_ours(desk: Desk, act: str) -> None:
    begin = desk.commit({"more": "more\n"})
    desk.drop()
    desk.agent(f"{DONE}; git add -A; {act}; (cd {desk.repo} && echo new > new && git add new && git commit -qm new)")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert (desk.show("todo.txt"), desk.show("more"), desk.show("new")) == ("", "more", "new")
    desk.git("merge-base", "--is-ancestor", begin, "orchestrator/x")


# What a person does between two claims


def improved_once(desk: Desk) -> None:
    desk.drop()
    desk.agent(LESS)
    desk.serve(once=True)
    assert (desk.state(), desk.show("todo.txt", "orchestrator/x")) == (State.PENDING, "two\nthree")


def test_a_worktree_removed_by_hand_is_made_again_at_the_branch(desk: Desk) -> None:
    improved_once(desk)
    shutil.rmtree(desk.worktree())
    desk.serve()
    assert (desk.state(), desk.record().attempts) == (State.CONVERGED, 3)


def test_a_branch_deleted_by_hand_with_the_worktree_begins_again_at_its_base(desk: Desk) -> None:
    improved_once(desk)
    done = desk.tip("orchestrator/x")
    desk.git("worktree", "remove", "--force", str(desk.worktree()))
    desk.git("branch", "-qD", "orchestrator/x")
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.show("todo.txt")) == (State.CONVERGED, "")
    assert done in desk.refs().values()


def test_a_branch_deleted_under_the_worktree_loses_no_work(desk: Desk) -> None:
    improved_once(desk)
    done = desk.tip("orchestrator/x")
    desk.git("update-ref", "-d", "refs/heads/orchestrator/x")
    desk.agent(DONE)
    (desk.repo / "new").touch()
    desk.commit({}, "so that a merge is needed")
    desk.serve()
    assert (desk.state(), desk.show("todo.txt"), desk.show("new")) == (State.CONVERGED, "", "")
    assert done in desk.refs().values()


def test_what_a_person_commits_on_the_task_branch_counts(desk: Desk) -> None:
    improved_once(desk)
    (desk.worktree() / "todo.txt").write_text("")
    desk.git("commit", "-qam", "by hand", cwd=desk.worktree())
    desk.agent(desk.call)
    desk.serve()
    assert (desk.state(), desk.calls(), desk.show("todo.txt")) == (State.CONVERGED, 0, "")


def test_a_task_branch_checked_out_elsewhere_needs_a_person_who_is_told_how(desk: Desk) -> None:
    improved_once(desk)
    desk.git("worktree", "remove", "--force", str(desk.worktree()))
    desk.git("checkout", "-q", "orchestrator/x")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.REPO)
    assert "checkout --detach" in (desk.record().detail or "")
    assert desk.git("branch", "--show-current") == "orchestrator/x"


def test_a_verify_worktree_removed_by_hand_is_made_again_even_between_two_looks(desk: Desk) -> None:
    desk.drop()
    work, space = desk.opened()
    place = space.checkout(work, desk.main)
    assert space.checkout(work, desk.main) == place
    shutil.rmtree(place)
    assert (space.checkout(work, desk.main) / "todo.txt").is_file()


def test_the_verify_worktree_is_clean_each_time_and_keeps_what_setup_made(desk: Desk) -> None:
    desk.drop(front="setup: touch tool.ignored")
    work, space = desk.opened()
    place = space.checkout(work, desk.main)
    (place / "litter").touch()
    (place / "todo.txt").write_text("")
    space.checkout(work, desk.main)
    assert sorted(path.name for path in place.iterdir()) == [".git", ".gitignore", "README", "todo.txt", "tool.ignored"]
    assert (place / "todo.txt").read_text() != ""


LITTER = {
    "a folder": "mkdir out || exit 1; touch out/f",
    "an empty folder": "mkdir out || exit 1",
    "a change": "grep -q '^a repository$' README || exit 1; echo more > README",
    "a commit": "git rev-parse -q --verify HEAD^{/evil} && exit 1; git commit -q --allow-empty -m evil",
}


@pytest.mark.parametrize("leaves", LITTER.values(), ids=LITTER)
@pytest.mark.parametrize("kind", ["deterministic", "noisy"])
def test_no_sample_of_a_streak_finds_what_another_left_but_what_git_ignores(desk: Desk, leaves: str, kind: str) -> None:
    built = f"test -e built.ignored || echo >> {desk.top}/builds; touch built.ignored"
    front = f"metric: {{name: left, target: 0, kind: {kind}}}"
    desk.drop(front=front, benchmark=f"#!/bin/sh\ngrep -q . todo.txt || {{ {leaves}; {built}; }}\n{COUNT}")
    work, space = desk.opened()
    assert isinstance(space, Workspace)
    done = desk.commit({"todo.txt": ""})
    assert verify.streak(work, space, done).passed
    assert (desk.top / "builds").read_text().count("\n") == 1


def test_between_samples_that_touch_nothing_no_git_is_started(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.drop(front="converge: 5")
    work, space = desk.opened()
    done = desk.commit({"todo.txt": ""})
    space.checkout(work, done)
    asked: list[str] = []
    run = Git.run
    monkeypatch.setattr(Git, "run", lambda self, *args, **more: (asked.append(args[0]), run(self, *args, **more))[1])
    assert verify.streak(work, space, done).passed
    assert (asked, len(desk.events(event="measured"))) == (["checkout", "clean"], 5)


def test_a_setup_that_fails_in_the_verify_worktree_is_said(desk: Desk) -> None:
    desk.drop(front="setup: test -e todo.txt")
    other = desk.commit({"more": ""})
    desk.git("rm", "-q", "todo.txt")
    gone = desk.commit({})
    desk.git("reset", "-q", "--hard", other)
    work, space = desk.opened()
    with pytest.raises(setup.SetupFailed):
        space.checkout(work, gone)


# Cut short and taken back


def test_refused_work_falls_back_to_the_best_that_is_in_scope(desk: Desk) -> None:
    desk.drop(front="scope: [todo.txt]")
    desk.agent(LESS)
    desk.serve(once=True)
    best = desk.tip("orchestrator/x")
    assert desk.record().best_commit == best
    (desk.worktree() / "outside").touch()
    desk.git("add", "-A", cwd=desk.worktree())
    desk.git("commit", "-qm", "by hand, out of scope", cwd=desk.worktree())
    refused = desk.tip("orchestrator/x")
    desk.agent("true")
    desk.serve(once=True)
    assert desk.tip("orchestrator/x") == best
    assert refused in desk.refs().values()


def test_a_reset_that_was_cut_short_is_made_anew_with_its_setup(desk: Desk) -> None:
    desk.drop(front="setup: touch tool.ignored")
    desk.agent(f"test -e tool.ignored && {DONE}")
    work, space = desk.opened()
    worktree.begin(worktree.find(space.repo, space.path))  # type: ignore[arg-type]
    (space.path / "tool.ignored").unlink()
    desk.die(work.claim)
    desk.serve()
    assert desk.state() is State.CONVERGED


def test_the_base_moved_by_an_agent_that_nobody_judged_is_reported(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"{LESS}; git commit -qam mine; git update-ref refs/heads/main HEAD; {TERM}")
    desk.serve()
    assert desk.state() is State.PENDING
    assert any("main is at a commit" in event["detail"] for event in desk.events(event="finding"))


def test_copied_files_that_the_agent_edited_are_kept_and_never_committed(desk: Desk) -> None:
    desk.commit({".worktreeinclude": "*.ignored\n"})
    (desk.repo / "secret.ignored").write_text("theirs\n")
    desk.drop()
    desk.agent(f"echo mine > secret.ignored; {DONE}")
    desk.serve()
    assert (desk.folder() / ".orch/saved/secret.ignored").read_text() == "mine\n"
    assert (desk.repo / "secret.ignored").read_text() == "theirs\n"


def test_what_was_saved_of_one_task_is_in_no_other_s_worktree(desk: Desk) -> None:
    """A queue inside the repository, ignored as `init` has it: what is kept there is called as the file that an agent edited."""
    desk.commit({".worktreeinclude": "secret\n", ".gitignore": "secret\n/tasks/\n"})
    (desk.repo / "secret").write_text("theirs\n")
    saved = desk.repo / "tasks" / "blocked" / "other" / ".orch" / "saved" / "secret"
    saved.parent.mkdir(parents=True)
    saved.write_text("another agent's\n")
    desk.drop()
    desk.opened()
    assert (desk.worktree() / "secret").read_text() == "theirs\n"
    assert not (desk.worktree() / "tasks").exists()


def test_a_hook_that_fails_when_the_worktree_goes_is_reported_only(desk: Desk) -> None:
    desk.drop()
    desk.drop("y")
    desk.agent(DONE)
    desk.set(hooks={"before_remove": "exit 1", "after_run": "exit 1"})
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert {event["hook"] for event in desk.events(event="hook_failed")} == {"before_remove", "after_run"}
    assert any((desk.repo / ".worktrees/.pool").iterdir())


def test_a_worktree_whose_submodule_has_commits_of_its_own_stays(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    work, space = desk.opened()
    admin = worktree.find(space.repo, space.path)
    assert admin is not None
    module = admin.admin / "modules" / "sub"
    desk.git("init", "-q", "--bare", str(module))
    tree = desk.git("--git-dir", str(module), "hash-object", "-t", "tree", "-w", "/dev/null")
    commit = desk.git("--git-dir", str(module), "commit-tree", "-m", "only here", tree)
    desk.git("--git-dir", str(module), "update-ref", "refs/heads/main", commit)
    desk.die(work.claim)
    desk.serve()
    assert (desk.state(), desk.worktree().is_dir()) == (State.CONVERGED, True)
    assert "submodule" in desk.events(event="worktree_kept")[0]["detail"]


@pytest.mark.parametrize("first", ["", "touch out-of-scope"])
def test_where_a_submodule_would_be_what_setup_made_stays_and_an_agent_s_files_keep_the_worktree(desk: Desk, first: str) -> None:
    desk.git("update-index", "--add", "--cacheinfo", f"160000,{desk.main},lib")
    desk.git("commit", "-qm", "lib")
    (desk.repo / "lib").mkdir()
    benchmark = "test -f lib/.venv/tool -a -f lib/given || exit 1; touch litter\n" + COUNT
    desk.drop(front="scope: [todo.txt]\nsetup: mkdir -p lib/.venv; touch tool lib/given lib/.venv/tool", benchmark=benchmark)
    desk.agent(f"{desk.call} [ $n = 1 ] && {{ echo mine > lib/made; {first or ':'}; }}; {LESS}")
    desk.serve()
    assert (desk.state(), (desk.worktree() / "lib/made").read_text()) == (State.CONVERGED, "mine\n")
    assert [event["detail"] for event in desk.events(event="worktree_kept")] == [
        "files lie where a submodule would be that was not initialised (lib/made)"
    ]
    assert not desk.worktree().with_name("x.verify").exists()


def test_worktrees_may_lie_elsewhere(desk: Desk) -> None:
    desk.set(worktrees=str(desk.top / "elsewhere"))
    desk.drop()
    desk.agent(f"pwd > {desk.top}/where; {DONE}")
    desk.serve()
    assert (desk.top / "where").read_text().strip() == str(desk.top / "elsewhere/x")


def test_a_task_whose_name_is_that_of_anothers_verify_worktree_gets_a_place_of_its_own(desk: Desk) -> None:
    desk.drop("x.verify")
    desk.drop()
    desk.agent(LESS)
    desk.serve("x.verify", once=True)
    place = desk.repo / ".worktrees" / desk.record("x.verify").slug
    desk.agent(DONE)
    desk.serve("x")
    assert (place / "todo.txt").read_text() == "two\nthree\n"
    assert desk.record("x.verify").attempts == 1


# What a product commits while it is measured

EVIL = "test -e junk || { echo evil > junk; git add junk; git commit -qm evil; }"
MOVES = {
    "the branch": EVIL,
    "the branch from beside": f"{EVIL}; git update-ref refs/heads/orchestrator/x HEAD",
    "another branch": f"git checkout -q -b evil; {EVIL}",
    "a detached commit": f"git checkout -q --detach; {EVIL}",
    "no branch left": f"{EVIL}; git update-ref -d refs/heads/orchestrator/x",
}


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
def test_what_is_committed_while_work_is_measured_is_kept_and_neither_lands_nor_counts(desk: Desk, moves: str) -> None:
    desk.drop(front="land: branch", benchmark=f"grep -q three todo.txt || {{ {moves}; }}\n{COUNT}")
    desk.agent("sed -i '$d' todo.txt")
    desk.serve()
    landed, *rest = desk.record().history[::-1]
    assert (desk.state(), [attempt.result for attempt in rest]) == (State.CONVERGED, [Result.IMPROVED] * 2)
    assert desk.tip("orchestrator/x") == landed.commit == desk.record().landed.commit
    assert desk.git("log", "--format=%s", "orchestrator/x", "--not", "main").count("evil") == 0
    found = desk.events(event="finding")
    kept = {label: commit for label, commit in desk.refs().items() if label.startswith("extra/")}
    assert found
    assert all(f"extra/000{number}-measured" in kept for number in (1, 2, 3))
    assert all(label in str(found) for label in kept)
    assert all(desk.show("junk", commit) == "evil" for commit in kept.values())


def test_a_commit_made_by_the_baseline_or_a_gate_is_taken_back_too(desk: Desk) -> None:
    moved = f"{EVIL}; git update-ref refs/heads/orchestrator/x HEAD"
    desk.drop(front=f"land: branch\ngates: {{late: '{moved}'}}", benchmark=f"grep -q three todo.txt && {{ {EVIL}; }}\n{COUNT}")
    desk.agent(f"test ! -e junk && {DONE}")
    desk.serve()
    assert (desk.state(), results(desk)) == (State.CONVERGED, [Result.CONVERGED])
    assert desk.tip("orchestrator/x") == desk.record().history[-1].commit
    assert {"extra/0000-measured", "extra/0001-measured"} <= set(desk.refs())


def test_asked_to_stop_while_a_product_commits_the_next_claim_has_the_branch_as_it_was(desk: Desk) -> None:
    once = f"mkdir {desk.top}/once 2>/dev/null && {{ {EVIL}; {TERM}; }}\n"
    desk.drop(front="land: branch", benchmark=f"grep -q . todo.txt || {{ {once} }}\n{COUNT}")
    desk.agent(DONE)
    desk.serve()
    assert desk.state() is State.PENDING
    assert desk.git("log", "--format=%s", "orchestrator/x").count("evil") == 0
    desk.serve()
    assert (desk.state(), desk.show("todo.txt", "orchestrator/x")) == (State.CONVERGED, "")
    assert "junk" not in desk.git("ls-tree", "--name-only", "orchestrator/x")


def test_a_setup_that_commits_is_no_finding(desk: Desk) -> None:
    desk.drop(front="setup: git commit -q --allow-empty -m setup")
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.events(event="finding")) == (State.CONVERGED, [])
