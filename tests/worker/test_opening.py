from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.desk import COUNT, DONE, LESS, Desk
from support.processes import until

from orchestrator.core.lease import Lease
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Intent, Restart, Result
from orchestrator.core.task import Stage, State
from orchestrator.git import included
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.proc import identity
from orchestrator.store import config, records, specfile
from orchestrator.worker import life, main, opening
from orchestrator.worker.folder import PlainFolder
from orchestrator.worker.workspace import Workspace


def plain(desk: Desk) -> Path:
    folder = desk.top / "plain"
    folder.mkdir()
    (folder / "todo.txt").write_text("one\ntwo\nthree\n")
    desk.set(repo=str(folder))
    return folder


# Where a task is worked on


def test_the_spec_names_the_repository_relative_to_the_project(desk: Desk) -> None:
    desk.drop(front="repo: repo")
    desk.set(repo=str(desk.top / "another"))
    _, space = desk.start()
    assert isinstance(space, Workspace)
    assert space.repo.top == desk.repo


def test_without_a_word_it_is_the_repository_that_holds_the_queue_else_that_of_the_working_directory(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.drop()
    desk.set(repo=None)
    monkeypatch.chdir(desk.repo)
    work, space = desk.start()
    assert isinstance(space, Workspace)
    assert space.repo.top == desk.repo
    work.claim.release(State.PENDING)
    desk.git("init", "-q", str(desk.top))
    desk.git("commit", "-q", "--allow-empty", "-m", "x", cwd=desk.top)
    _, space = desk.start()
    assert isinstance(space, Workspace)
    assert space.repo.top == desk.top


def test_what_kept_a_task_that_nobody_worked_on_may_be_mended_on_its_base(desk: Desk) -> None:
    """A benchmark of the repository, then what its set-up needs; and once it was measured it stays where it began."""
    desk.commit({"bench.sh": "echo nothing\n"})
    folder = desk.drop(front="benchmark: sh bench.sh\nsetup: test -f needed")
    (folder / "benchmark.sh").unlink()
    desk.agent(f"{desk.call} {LESS}; [ $n = 1 ] || {DONE}")
    for reason, mended in (
        (Reason.SETUP, {"needed": "", "mine": "1"}),
        (Reason.BENCHMARK_DEFECT, {"bench.sh": COUNT, "mine": "2"}),
    ):
        desk.serve()
        assert (desk.state(), desk.record().reason) == (State.BLOCKED, reason)
        began = desk.commit(mended)
        desk.move("x", State.PENDING)
    desk.serve(once=True)
    desk.commit({"mine": "3"})
    assert (desk.record().base_commit, desk.show("mine", "orchestrator/x")) == (began, "2")
    desk.serve()
    assert (desk.state(), desk.record().base_commit) == (State.CONVERGED, began)


@pytest.mark.parametrize("way", ["setup", "after_create", ".worktreeinclude"])
def test_what_a_worktree_lacked_is_there_once_a_person_says_how_it_is_made(desk: Desk, way: str) -> None:
    """Also where the worktree was made before that; what an agent left there in the middle of its work stays."""
    desk.drop(benchmark=f"test -f made.ignored || exit 1\n{COUNT}")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.BENCHMARK_DEFECT)
    (desk.worktree() / "half.txt").write_text("a session's that was cut short\n")
    desk.move("x", State.PENDING)
    if way == "setup":
        (desk.folder() / "autoresearch.md").write_text("---\nsetup: touch made.ignored\n---\n# x\n")
    elif way == "after_create":
        desk.set(hooks={way: "touch made.ignored"})
    else:
        (desk.repo / way).write_text("made.ignored\n")
        (desk.repo / "made.ignored").touch()
    desk.agent(DONE)
    desk.serve()
    assert desk.state() == State.CONVERGED
    assert desk.show("half.txt", "main") == "a session's that was cut short"


def test_an_ignored_file_that_a_person_put_right_reaches_a_worktree_that_holds_its_copy(desk: Desk) -> None:
    """A wrong key in `.env` blocked the task again after each `retry`. What an agent wrote after that is the agent's."""
    (desk.repo / ".worktreeinclude").write_text("*.ignored\n")
    keys = desk.repo / "key.ignored", desk.repo / "other.ignored"
    for key in keys:
        key.write_text("wrong")
    desk.drop(benchmark=f"grep -q right key.ignored || exit 1\n{COUNT}")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.BENCHMARK_DEFECT)
    for key in keys:
        key.write_text("right")
        os.utime(key, ns=(later_ns := (desk.worktree() / key.name).stat().st_mtime_ns + 1, later_ns))
    (desk.worktree() / "other.ignored").write_text("the agent's")
    desk.move("x", State.PENDING)
    desk.agent(f"cat *.ignored > {desk.top}/seen; {DONE}")
    desk.serve()
    assert (desk.state(), (desk.top / "seen").read_text()) == (State.CONVERGED, "rightthe agent's")


def test_a_copy_whose_renewal_is_cut_off_is_made_anew_with_all_the_rest(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty `.env` that is newer than its original would stay for good."""
    (desk.repo / ".worktreeinclude").write_text("*.ignored\n")
    key = desk.repo / "key.ignored"
    key.write_text("wrong")
    desk.drop(benchmark=f"grep -q right key.ignored || exit 1\n{COUNT}")
    desk.serve()
    key.write_text("right")
    os.utime(key, ns=(later_ns := (desk.worktree() / key.name).stat().st_mtime_ns + 1, later_ns))
    desk.move("x", State.PENDING)
    claim = desk.claim()
    with monkeypatch.context() as cut:
        cut.setattr(included, "copy", cut_off)
        with pytest.raises(KeyboardInterrupt):
            main.serve(claim)
    desk.die(claim)
    desk.agent(DONE)
    desk.serve()
    assert desk.state() == State.CONVERGED
    assert "wrong" in [path.read_text() for path in (desk.folder() / ".orch/saved").iterdir()]


def cut_off(_repo: Repository, tree: Worktree, paths: tuple[str, ...]) -> None:
    """A SIGKILL, when the file is there and nothing is in it."""
    for path in paths:
        (tree.path / path).write_text("")
    raise KeyboardInterrupt


def test_a_copied_file_that_no_committed_rule_ignores_is_in_no_commit(desk: Desk) -> None:
    desk.commit({".worktreeinclude": ".env\n"})
    (desk.repo / ".gitignore").write_text(".env\n")  # not committed
    (desk.repo / ".env").write_text("secret")
    desk.drop()
    desk.agent(f"cat .env > {desk.top}/seen; {DONE}")
    desk.serve()
    assert (desk.state(), (desk.top / "seen").read_text()) == (State.CONVERGED, "secret")
    assert desk.git("log", "--all", "--format=%h", "--", ".env") == ""


def test_a_copied_file_is_not_renewed_through_a_link_out_of_the_worktree(desk: Desk) -> None:
    (desk.repo / ".worktreeinclude").write_text("*.ignored\n")
    (desk.repo / "sub").mkdir()
    (desk.repo / "sub" / "key.ignored").write_text("right")
    outside = desk.top / "outside"
    outside.mkdir()
    (outside / "key.ignored").write_text("mine")
    os.utime(outside / "key.ignored", ns=(0, 0))
    desk.drop(benchmark="exit 1")
    desk.serve()
    (desk.worktree() / "sub" / "key.ignored").unlink()
    (desk.worktree() / "sub").rmdir()
    (desk.worktree() / "sub").symlink_to(outside)
    desk.move("x", State.PENDING)
    desk.serve()
    assert (outside / "key.ignored").read_text() == "mine"


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_base_that_was_renamed_is_followed_where_the_spec_names_it(desk: Desk, attempts: int) -> None:
    """Before anybody worked on the task, and after."""
    desk.drop(front="" if attempts else "setup: test -f needed")
    desk.agent(LESS if attempts else DONE)
    desk.serve(once=bool(attempts))
    desk.git("branch", "-m", "main", "trunk")
    if attempts:
        desk.serve()
        assert (desk.state(), desk.record().reason, desk.record().base) == (State.BLOCKED, Reason.REPO, "main")
        assert "name another as `base` in the spec" in (desk.record().detail or "")
    desk.move("x", State.PENDING)
    (desk.folder() / "autoresearch.md").write_text("---\nbase: trunk\n---\n# x\n\n## Goal\n\nMake it so.\n")
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.record().base, desk.record().attempts) == (State.CONVERGED, "trunk", attempts + 1)
    assert desk.show("todo.txt", "trunk") == ""
    assert [each["detail"] for each in desk.events(event="notice")] == ["its base is trunk by now, since main is gone"]


def test_a_base_that_the_spec_names_before_anything_was_measured_is_where_the_task_begins(desk: Desk) -> None:
    """The way out of a benchmark that the first base does not have."""
    desk.git("branch", "trunk")
    desk.commit({"bench.sh": "echo nothing\n"})
    folder = desk.drop(front="benchmark: sh bench.sh")
    (folder / "benchmark.sh").unlink()
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().base) == (State.BLOCKED, Reason.BENCHMARK_DEFECT, "main")
    desk.git("switch", "-q", "trunk")
    main_before = desk.commit({"bench.sh": COUNT})
    began = desk.git("rev-parse", "trunk")
    desk.move("x", State.PENDING)
    (desk.folder() / "autoresearch.md").write_text("---\nbenchmark: sh bench.sh\nbase: trunk\n---\n# x\n")
    desk.serve()
    assert (desk.state(), desk.record().base, desk.record().base_commit) == (State.CONVERGED, "trunk", began)
    assert (desk.show("todo.txt", "trunk"), desk.git("rev-parse", "main")) == ("", main_before)
    assert [each["detail"] for each in desk.events(event="notice")] == ["its base is trunk by now, as the spec says"]


def test_work_begun_on_one_base_lands_on_no_other_and_not_on_the_one_that_the_spec_no_longer_names(desk: Desk) -> None:
    desk.git("branch", "trunk")
    desk.drop()
    desk.agent(LESS)
    desk.serve(once=True)
    before = desk.git("rev-parse", "main", "trunk")
    (desk.folder() / "autoresearch.md").write_text("---\nbase: trunk\n---\n# x\n")
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().base) == (State.BLOCKED, Reason.REPO, "main")
    assert "begun on main, and its spec names trunk as the base by now" in (desk.record().detail or "")
    assert desk.git("rev-parse", "main", "trunk") == before
    desk.move("x", State.PENDING)
    (desk.folder() / "autoresearch.md").write_text("---\nbase: main\n---\n# x\n")
    desk.serve()
    assert (desk.state(), desk.show("todo.txt", "main")) == (State.CONVERGED, "")


def test_a_base_that_is_gone_and_another_that_is_not_there_is_told(desk: Desk) -> None:
    desk.drop()
    desk.agent(LESS)
    desk.serve(once=True)
    desk.git("branch", "-m", "main", "trunk")
    desk.set(base="trnk")
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().base) == (State.BLOCKED, Reason.REPO, "main")
    assert "has no branch called 'trnk'" in (desk.record().detail or "")


def test_a_restart_at_the_base_that_fails_goes_to_the_base_of_the_next_time(desk: Desk) -> None:
    desk.drop(front="setup: test -f needed")
    desk.agent(DONE)
    for name in ("other", "needed"):
        desk.serve()
        assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.SETUP)
        began = desk.commit({name: ""})
        desk.move("x", State.PENDING)
    desk.serve()
    assert (desk.state(), desk.record().base_commit) == (State.CONVERGED, began)


def test_a_move_to_the_fresh_base_that_was_killed_is_carried_out_by_the_next_claim(desk: Desk) -> None:
    desk.drop(front="setup: test -f needed")
    desk.agent(DONE)
    desk.serve()
    began = desk.commit({"needed": ""})
    desk.move("x", State.PENDING)
    work, _ = desk.start()
    work.save(base_commit=began, restart=Restart(began, began))
    desk.die(work.claim)
    desk.commit({"later": ""})
    desk.serve()
    assert (desk.state(), desk.record().base_commit, desk.record().restart) == (State.CONVERGED, began, None)


def test_a_task_stays_with_the_repository_it_began_in(desk: Desk) -> None:
    desk.drop()
    desk.agent(LESS)
    desk.serve(once=True)
    desk.set(repo=str(desk.top / "another"))
    _, space = desk.start()
    assert isinstance(space, Workspace)
    assert space.repo.top == desk.repo


def test_a_task_is_not_taken_up_in_a_repository_that_knows_nothing_of_it(desk: Desk) -> None:
    desk.drop()
    desk.agent(LESS)
    desk.serve(once=True)
    another = desk.top / "another"
    desk.git("clone", "-q", str(desk.repo), str(another))
    desk.set(repo=str(another))
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().repo) == (State.BLOCKED, Reason.REPO, str(desk.repo))
    assert f"begun in the repository {desk.repo} and {another} knows nothing of it" in (desk.record().detail or "")


def test_a_repository_without_a_commit_is_no_plain_folder(desk: Desk) -> None:
    desk.drop(front="repo: empty")
    desk.git("init", "-q", str(desk.top / "empty"))
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.REPO)


# What is taken up


def test_the_spec_comes_with_the_lease_while_its_file_is_the_same(desk: Desk) -> None:
    folder = desk.drop()
    spec = replace(specfile.read(folder), title="as the loop read it")
    path = specfile.path_of(folder)
    assert path is not None
    for changed, title in ((False, "as the loop read it"), (True, "x")):
        claim = desk.queue.take("x")
        assert claim is not None
        key = tuple(specfile.key_of(path if path.exists() else claim.folder / path.name))
        if changed:
            (claim.folder / path.name).write_text("# x\n\n## Goal\n\nedited since\n")
        settings = config.to_json(desk.settings)
        claim.begin(Lease(claim.token, identity.here(), settings=settings, spec=specfile.to_json(spec), spec_key=key))
        assert claim.lease is not None
        assert opening.read_spec(claim.folder, claim.lease)[0].title == title
        claim.release(State.PENDING)


def test_the_end_of_the_last_failure_reaches_the_agent_of_the_next_claim(desk: Desk) -> None:
    desk.drop(benchmark=COUNT + "[ -s todo.txt ] || { echo that is too little; exit 1; }\n")
    desk.agent(": > todo.txt")
    desk.serve(once=True)
    desk.agent(f"cp $ORCH_PROMPT_FILE {desk.top}/prompt; echo > todo.txt")
    desk.serve(once=True)
    assert "that is too little" in (desk.top / "prompt").read_text()


def test_spoiled_benchmarks_of_dead_workers_are_not_trusted_until_a_person_queues_the_task_again(desk: Desk) -> None:
    fake = "printf 'echo METRIC left=0\\n'"
    desk.drop()
    desk.agent(f"for f in {desk.queue.folder(State.RUNNING)}/x.*/benchmark.sh; do {fake} > $f; done")
    work, space = desk.opened()
    assert life.measure_baseline(work, space) is None
    work.enter(Stage.AGENT)
    (work.claim.folder / "benchmark.sh").write_text("echo METRIC left=0\n")
    desk.die(work.claim)
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.TAMPERED)
    desk.move("x", State.PENDING)
    desk.serve()
    assert desk.state() is State.CONVERGED


@pytest.mark.parametrize("end", ["exit 1", "kill -TERM {pid}; sleep 30"])
def test_a_spoiled_benchmark_does_not_pass_in_the_next_claim_either(desk: Desk, end: str) -> None:
    fake = "printf 'echo METRIC left=0\\n'"
    desk.drop()
    spoil = f"for f in {desk.queue.folder(State.RUNNING)}/x.*/benchmark.sh; do {fake} > $f; done"
    desk.agent(f"{desk.call} {spoil}; {end.format(pid=os.getpid())}")
    desk.serve()
    if desk.state() is State.PENDING:
        assert [attempt.result for attempt in desk.record().history] == [Result.TAMPERED]
        desk.serve()
    assert (desk.state(), desk.record().reason, desk.calls(), desk.merges()) == (State.BLOCKED, Reason.TAMPERED, 1, 0)


# A folder without git


def test_a_plain_folder_is_worked_on_in_place(desk: Desk) -> None:
    folder = plain(desk)
    desk.drop(front="setup: touch ready")
    desk.agent(f"test -e ready && {LESS}")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.attempts, (folder / "todo.txt").read_text()) == (State.CONVERGED, 3, "")
    assert record.landed is not None
    assert (record.landed.how, record.landed.commit, record.branch) == ("none", None, None)
    assert sorted(path.name for path in folder.iterdir()) == ["ready", "todo.txt"]
    page = (desk.folder() / ".orch/report.md").read_text()
    assert "Evidence: 2 of 2 samples in the folder itself, which has no git, were at target;" in page


def test_a_plain_folder_at_its_target_needs_no_agent(desk: Desk) -> None:
    (plain(desk) / "todo.txt").write_text("")
    desk.drop()
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.attempts, record.landed and record.landed.commit) == (State.CONVERGED, 0, None)


def test_what_was_left_in_a_plain_folder_is_looked_at_before_an_agent_is_sent(desk: Desk) -> None:
    folder = plain(desk)
    desk.drop()
    desk.agent(LESS)
    desk.serve(once=True)
    (folder / "todo.txt").write_text("")
    desk.agent(desk.call)
    desk.serve()
    assert (desk.state(), desk.calls(), desk.record().attempts) == (State.CONVERGED, 0, 1)


def test_tampering_in_a_plain_folder_is_a_finding(desk: Desk) -> None:
    plain(desk)
    desk.drop(front="max_failures: 1")
    desk.agent("for f in $ORCH_TASK_DIR/benchmark.sh; do echo echo METRIC left=0 > $f; done")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.TAMPERED)


def test_a_script_that_the_benchmark_runs_in_a_plain_folder_is_no_agent_s_to_change(desk: Desk) -> None:
    script = plain(desk) / "count.sh"
    script.write_text("echo METRIC left=$(grep -c . todo.txt)\n")
    (desk.drop(front="benchmark: timeout 60 sh count.sh") / "benchmark.sh").unlink()
    desk.agent(f"{desk.call} echo echo METRIC left=0 > count.sh; {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.calls()) == (State.BLOCKED, Reason.TAMPERED, 1)
    assert "count.sh, which the benchmark or a gate runs, changed while the task was worked on" in (desk.record().detail or "")
    script.write_text("# mine\necho METRIC left=$(grep -c . todo.txt)\n")
    desk.move("x", State.PENDING)
    desk.serve()
    assert (desk.state(), desk.calls(), script.read_text()[:6]) == (State.CONVERGED, 1, "# mine")


@pytest.mark.parametrize("end", [f"kill -TERM {os.getpid()}; sleep 30", "exit 3", "true"], ids=["stopped", "failed", "later"])
def test_a_script_of_a_plain_folder_that_was_changed_does_not_pass_in_the_next_claim_either(desk: Desk, end: str) -> None:
    script = plain(desk) / "count.sh"
    script.write_text("[ ! -e ran ] || echo echo METRIC left=0 > $0\necho METRIC left=$(grep -c . todo.txt)\n")
    (desk.drop(front="benchmark: sh count.sh") / "benchmark.sh").unlink()
    spoil = "touch ran" if end == "true" else "echo echo METRIC left=0 > count.sh"
    desk.agent(f"{desk.call} {spoil}; {end}")
    desk.serve(once=True)
    desk.serve(once=True) if desk.state() is State.PENDING else None
    assert (desk.state(), desk.record().reason, desk.calls()) == (State.BLOCKED, Reason.TAMPERED, 1)
    assert "count.sh, which the benchmark or a gate runs, changed while the task was worked on" in (desk.record().detail or "")


def test_a_script_that_a_gate_runs_in_a_plain_folder_is_no_agent_s_to_change(desk: Desk) -> None:
    script = plain(desk) / "doctor.sh"
    script.write_text("exit 1\n")
    desk.drop(front="gates: {own: sh doctor.sh}")
    desk.agent(f"echo exit 0 > doctor.sh; {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.TAMPERED)


def test_a_script_behind_a_link_of_a_plain_folder_is_run_as_it_is(desk: Desk) -> None:
    folder = plain(desk)
    (desk.top / "tools").mkdir()
    (desk.top / "tools/count.sh").write_text("echo METRIC left=$(grep -c . todo.txt)\n")
    (folder / "tools").symlink_to(desk.top / "tools")
    (desk.drop(front="benchmark: sh tools/count.sh") / "benchmark.sh").unlink()
    desk.agent(DONE)
    desk.serve()
    assert desk.state() is State.CONVERGED


def test_a_program_that_the_benchmark_builds_in_a_plain_folder_is_no_script(desk: Desk) -> None:
    (plain(desk) / "count").write_bytes(b"\x7fELF\0")
    build = (
        "(echo '#!/bin/sh'; echo \"# $(cksum < todo.txt)\"; echo 'echo METRIC left=$(grep -c . todo.txt)'; printf '\\0') > count"
    )
    (desk.drop(front=f"benchmark: |\n  {build}; chmod +x count; ./count") / "benchmark.sh").unlink()
    desk.agent(f"printf 'x\\0' > count; {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED


def test_a_script_that_setup_makes_in_a_plain_folder_is_the_one_that_setup_made(desk: Desk) -> None:
    (plain(desk) / "count.sh").write_text("an older one\n")
    setup = "echo 'echo METRIC left=$(grep -c . todo.txt)' > count.sh"
    (desk.drop(front=f'setup: "{setup}"\nbenchmark: sh count.sh') / "benchmark.sh").unlink()
    desk.agent(DONE)
    desk.serve()
    assert desk.state() is State.CONVERGED


def test_a_gate_that_says_no_in_a_plain_folder_sends_another_agent(desk: Desk) -> None:
    folder = plain(desk)
    desk.drop()
    desk.set(verify_cmd="test -e made")
    desk.agent(f"{desk.call} [ $n = 1 ] || touch made; {DONE}")
    desk.serve()
    assert (desk.state(), desk.calls(), (folder / "made").exists()) == (State.CONVERGED, 2, True)


def test_a_setup_that_fails_in_a_plain_folder_blocks(desk: Desk) -> None:
    plain(desk)
    desk.drop(front="setup: exit 3")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.SETUP)


def test_a_plain_folder_has_one_worker_at_a_time(desk: Desk) -> None:
    folder = plain(desk)
    desk.drop()
    desk.drop("y")
    desk.agent(f"{desk.call} {DONE}")
    first, space = desk.start()
    assert space.open(first) is None
    claim = desk.claim("y")
    seen: list[int] = []

    def leave() -> None:
        until(lambda: (at := records.peek(claim.folder, running=True)) is not None and at.stage == Stage.SETUP, "the second")
        seen.append(desk.calls())
        assert isinstance(space, PlainFolder)
        space.close()

    other = threading.Thread(target=leave)
    other.start()
    main.serve(claim)
    other.join()
    assert (seen, desk.state("y"), (folder / "todo.txt").read_text()) == ([0], State.CONVERGED, "")


def test_a_plain_folder_has_nothing_to_recover_and_nothing_to_put_back(desk: Desk) -> None:
    plain(desk)
    desk.drop()
    work, space = desk.start()
    assert isinstance(space, PlainFolder)
    assert space.open(work) is None
    assert not space.recover_landing(work, Intent("main", "a", "b"))
    assert (space.outside(work), space.kept(work, 1)) == (None, None)
    space.fall_back(work)
    space.restart(work)
    assert work.record.restart is None
