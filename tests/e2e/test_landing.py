"""What becomes of converged work: onto the base as it is now, never over anybody's files, or a clear reason why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.project import Project

ALL_GONE = ": > todo.txt"


def test_a_base_that_moved_meanwhile_is_merged_and_the_merged_commit_is_measured(project: Project) -> None:
    project.drop("late")
    project.agent(f"{ALL_GONE}; cd {project.repo} && echo more > other.txt && git add other.txt && git commit -q -m moved")

    project.run(code=0)

    assert project.git("show", "main:todo.txt") == ""
    assert project.git("show", "main:other.txt") == "more"
    assert any(event["event"] == "measured" and event["where"] == "merged" for event in project.events("late"))


def test_a_conflict_is_resolved_by_an_agent_and_both_sides_land(project: Project) -> None:
    project.drop("clash", benchmark='#!/bin/sh\necho "METRIC left=$(grep -c -e one -e two -e three todo.txt)"\n')
    once = f"[ -f {project.top}/moved ] || (cd {project.repo} && echo four >> todo.txt && git commit -qam moved && touch {project.top}/moved)"
    project.agent(f"if grep -q '^<<<<<<<' todo.txt; then echo four > todo.txt; else {ALL_GONE}; {once}; fi")

    project.run(code=0)

    record = project.record("clash")
    assert [attempt["result"] for attempt in record["history"]] == ["conflict", "converged"]
    assert project.git("show", "main:todo.txt") == "four"
    assert "- `todo.txt` (with markers)" in (project.folder("clash") / ".orch/attempts/0002/prompt.md").read_text()
    assert "<<<<<<<" not in project.git("log", "-p", "main")
    assert [event["event"] for event in project.events("clash") if event["event"] in ("conflict", "resolved", "landed")] == [
        "conflict",
        "resolved",
        "landed",
    ]


def test_a_conflict_that_two_agents_leave_unresolved_blocks_with_the_verified_work_on_the_branch(project: Project) -> None:
    project.drop("clash")
    once = f"[ -f {project.top}/moved ] || (cd {project.repo} && echo four >> todo.txt && git commit -qam moved && touch {project.top}/moved)"
    project.agent(f"grep -q '^<<<<<<<' todo.txt || {{ {ALL_GONE}; {once}; }}")

    project.run(code=1)

    record = project.record("clash")
    assert (record["reason"], record["attempts"]) == ("conflict", 3)
    assert "todo.txt" in record["detail"]
    assert project.git("rev-parse", "orchestrator/clash") == project.git("rev-parse", "refs/orchestrator/clash/0001")
    assert "Merge the base into the task's branch" in project.run("why", "clash", code=0).stdout


def test_a_second_conflict_blocks_with_the_files_named(project: Project) -> None:
    project.drop("clash")
    project.agent(f"{ALL_GONE}; cd {project.repo} && echo again >> todo.txt && git commit -qam moved")

    project.run(code=1)

    record = project.record("clash")
    assert record["reason"] == "conflict"
    assert "todo.txt" in record["detail"]
    assert project.git("show", "main:todo.txt").count("again") == 2


def test_work_that_fails_the_verify_command_does_not_land(project: Project) -> None:
    before = project.git("rev-parse", "main")
    project.drop("unverified", front="max_failures: 2")
    project.agent(ALL_GONE)

    project.run(code=1, ORCH_VERIFY_CMD="echo 'the readme is too short'; exit 1")

    record = project.record("unverified")
    assert project.git("rev-parse", "main") == before
    assert record["history"][0]["result"] == "gate"
    assert "the readme is too short" in (project.folder("unverified") / ".orch/attempts/0002/prompt.md").read_text()


def test_the_verify_command_runs_again_on_the_merged_commit(project: Project) -> None:
    project.drop("merged-check")
    project.agent(f"{ALL_GONE}; cd {project.repo} && echo bad > bad.txt && git add bad.txt && git commit -q -m moved")

    project.run(code=1, ORCH_VERIFY_CMD="test ! -e bad.txt", ORCH_MAX_FAILURES="1")

    assert project.where("merged-check") == "blocked"
    assert project.git("show", "main:todo.txt") != ""


def test_checks_sh_must_pass_before_anything_lands(project: Project) -> None:
    project.drop("checked", front="max_failures: 1", files={"checks.sh": "#!/bin/sh\necho 'no docs' >&2\nexit 1\n"})
    project.agent(ALL_GONE)

    project.run(code=1)

    assert project.record("checked")["history"][0]["result"] == "gate"


def test_a_dirty_checkout_in_the_way_makes_the_task_wait_and_touches_nothing(project: Project) -> None:
    (project.repo / "todo.txt").write_text("a person is editing this\n")
    project.drop("patient")
    project.agent(ALL_GONE)

    loop = project.start("--loop")
    project.wait(lambda: "todo.txt" in project.task("patient")["detail"], why="waits for the checkout and names the file")
    assert (project.repo / "todo.txt").read_text() == "a person is editing this\n"
    assert project.git("stash", "list") == ""

    project.git("checkout", "todo.txt")
    project.wait(lambda: project.where("patient") == "converged", why="lands once the checkout is clean")
    assert (project.repo / "todo.txt").read_text() == ""
    project.run("--stop", code=0)
    assert loop.wait(60) == 0


def test_edits_of_other_files_in_the_checkout_survive_the_landing(project: Project) -> None:
    (project.repo / "README").write_text("half a sentence")
    (project.repo / "untracked.txt").write_text("mine")
    project.drop("careful")
    project.agent(ALL_GONE)

    project.run(code=0)

    assert (project.repo / "README").read_text() == "half a sentence"
    assert (project.repo / "untracked.txt").read_text() == "mine"
    assert (project.repo / "todo.txt").read_text() == ""


def test_an_ignored_file_in_the_way_is_not_overwritten(project: Project) -> None:
    project.commit({".gitignore": "local.cfg\n"})
    (project.repo / "local.cfg").write_text("secret settings")
    project.drop("in-the-way")
    project.agent(f"{ALL_GONE}; echo theirs > local.cfg; git add -f local.cfg; git commit -qm forced")

    assert project.run(ORCH_BACKOFF="70s").returncode == 75

    assert (project.repo / "local.cfg").read_text() == "secret settings"
    assert project.record("in-the-way")["reason"] == "checkout"
    assert "local.cfg" in project.record("in-the-way")["detail"]


def test_a_base_checked_out_in_a_linked_worktree_is_moved_along_there(project: Project) -> None:
    project.git("checkout", "-q", "-b", "aside")
    linked = project.top / "linked"
    project.git("worktree", "add", "-q", str(linked), "main")
    project.drop("linked", front="base: main")
    project.agent(ALL_GONE)

    project.run(code=0)

    assert (linked / "todo.txt").read_text() == ""
    assert project.git("status", "--porcelain", cwd=linked) == ""
    assert (project.repo / "todo.txt").read_text() != ""  # the branch that a person is on is left alone


def test_a_rebase_of_the_base_makes_the_task_wait(project: Project) -> None:
    project.commit({"a.txt": "1"})
    project.git("checkout", "-q", "-b", "side", "HEAD~1")
    project.commit({"a.txt": "2"})
    project.git("checkout", "-q", "main")
    project.git("rebase", "side", check=False)
    assert (project.repo / ".git/rebase-merge").exists()
    project.drop("wait-for-rebase", front="base: main")
    project.agent(ALL_GONE)

    assert project.run(ORCH_BACKOFF="70s").returncode == 75

    assert project.record("wait-for-rebase")["reason"] == "checkout"
    assert "rebase" in project.record("wait-for-rebase")["detail"]
    assert (project.repo / ".git/rebase-merge").exists()


@pytest.mark.parametrize(
    "hook", ["pre-commit", "commit-msg", "post-checkout", "reference-transaction", "pre-merge-commit", "post-commit"]
)
def test_a_failing_hook_of_the_repository_stops_nothing(project: Project, hook: str) -> None:
    path = project.repo / ".git/hooks" / hook
    path.parent.mkdir(exist_ok=True)
    project.drop("hooked")
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    project.agent(ALL_GONE)

    project.run(code=0)

    assert project.git("show", "main:todo.txt") == ""


def test_a_repository_without_an_identity_still_lands_and_stays_without_one(project: Project, bare_environment: Path) -> None:
    (bare_environment / ".gitconfig").unlink()
    config = (project.repo / ".git/config").read_bytes()
    project.drop("anonymous")
    project.agent(ALL_GONE)

    project.run(code=0)

    assert project.git("log", "-1", "--format=%ae", "main") == "orchestrator@localhost"
    assert (project.repo / ".git/config").read_bytes() == config


def test_signing_editors_and_prompts_hang_nothing(project: Project) -> None:
    for key, value in {
        "commit.gpgSign": "true",
        "core.editor": "sleep 600",
        "merge.tool": "none",
        "gpg.program": "/bin/false",
    }.items():
        project.git("config", key, value)
    project.drop("unattended")
    project.agent(ALL_GONE)

    project.run(code=0)

    assert project.where("unattended") == "converged"


def test_a_queue_inside_the_repository_is_never_committed(project: Project) -> None:
    project.tasks = project.repo / "tasks"
    (project.tasks / "pending").mkdir(parents=True)
    project.env["ORCH_TASKS"] = str(project.tasks)
    del project.env["ORCH_REPO"]
    project.drop("inside")
    project.agent(f"{ALL_GONE}; git add -A")

    project.run(code=0)

    assert project.git("show", "main:todo.txt") == ""
    assert "tasks" not in project.git("ls-tree", "-r", "--name-only", "main")
    assert project.git("status", "--porcelain") == ""


def test_node_modules_that_nothing_ignores_are_not_committed(project: Project) -> None:
    project.drop("npm")
    project.agent(f"{ALL_GONE}; mkdir -p node_modules/left-pad; echo x > node_modules/left-pad/index.js; echo real > real.txt")

    project.run(code=0)

    names = project.git("ls-tree", "-r", "--name-only", "main").splitlines()
    assert "real.txt" in names
    assert not any(name.startswith("node_modules") for name in names)


def test_an_agent_that_switched_branches_still_has_its_work_landed(project: Project) -> None:
    project.drop("wanderer")
    project.agent(f"git checkout -q -b elsewhere; {ALL_GONE}; git commit -qam done")

    project.run(code=0)

    assert project.git("show", "main:todo.txt") == ""


def test_an_edit_outside_the_scope_does_not_land_and_is_reported(project: Project) -> None:
    before = project.git("rev-parse", "main")
    project.drop("narrow", front="scope: [todo.txt]\nmax_failures: 2")
    project.agent(f"{ALL_GONE}; echo more >> README")

    project.run(code=1)

    record = project.record("narrow")
    assert project.git("rev-parse", "main") == before
    assert record["history"][0]["result"] == "scope-violation"
    assert "README" in record["history"][0]["detail"]
    first = project.git("rev-parse", "refs/orchestrator/narrow/0001")
    assert project.git("show", f"{first}:README").endswith("more")  # refused, and not lost


def test_a_task_may_name_another_base_branch(project: Project) -> None:
    project.git("branch", "release")
    before = project.git("rev-parse", "main")
    project.drop("released", front="base: release")
    project.agent(ALL_GONE)

    project.run(code=0)

    assert project.git("show", "release:todo.txt") == ""
    assert project.git("rev-parse", "main") == before


def test_tampering_with_the_benchmark_is_a_finding_and_never_a_pass(project: Project) -> None:
    before = project.git("rev-parse", "main")
    project.drop("cheat", front="max_failures: 2")
    fake = "printf '#!/bin/sh\\necho METRIC left=0\\n'"
    project.agent(f"for f in {project.tasks}/running/*/benchmark.sh; do {fake} > $f; done; {fake} > $ORCH_TASK_DIR/benchmark.sh")

    project.run(code=1)

    record = project.record("cheat")
    assert record["history"][0]["result"] == "tampered"
    assert project.git("rev-parse", "main") == before


def test_moving_the_base_by_the_agent_is_tampering_and_needs_a_person(project: Project) -> None:
    """Its commit has passed nothing, and is on the base: whatever came next would find it there."""
    before = project.git("rev-parse", "main")
    project.drop("pusher")
    project.agent(f"{ALL_GONE}; git commit -qam mine; git update-ref refs/heads/main HEAD")

    said = project.run(code=1, ORCH_VERIFY_CMD="false").stdout

    moved = project.git("rev-parse", "main")
    assert [each["result"] for each in project.record("pusher")["history"]] == ["tampered"]
    assert project.record("pusher")["reason"] == "tampered"
    back = f"`git update-ref refs/heads/main {before} {moved}` puts it back"
    assert f"main was moved to commit {moved[:10]} while the agent ran, with work that has passed nothing" in said
    assert back in said
    assert back in " ".join(project.run("why", "pusher", code=0).stdout.split())
    project.git(*back.split("`")[1].split()[1:])
    assert project.git("status", "--porcelain", "--untracked-files=no") == ""


def test_two_repositories_are_served_by_one_queue(project: Project) -> None:
    other = project.make_repo({"todo.txt": "x\n"}, project.top / "other")
    project.drop("first")
    project.drop("second", front="repo: other")
    project.agent(ALL_GONE)

    project.run("--parallel", "2", code=0)

    assert project.git("show", "main:todo.txt") == ""
    assert project.git("show", "main:todo.txt", cwd=other) == ""


def test_ignored_files_named_by_worktreeinclude_are_there_for_agent_and_benchmark(project: Project) -> None:
    project.commit({".gitignore": ".env\n", ".worktreeinclude": ".env\n"})
    (project.repo / ".env").write_text("KEY=1\n")
    project.drop("with-env", benchmark='#!/bin/sh\n[ -f .env ] || exit 9\necho "METRIC left=$(grep -c . todo.txt)"\n')
    project.agent(f"test -f .env && {ALL_GONE}")

    project.run(code=0)

    assert project.where("with-env") == "converged"
    assert ".env" not in project.git("ls-tree", "-r", "--name-only", "main").splitlines()


def test_a_setup_command_runs_once_the_worktree_is_made(project: Project) -> None:
    project.commit({".gitignore": "built.txt\n"})
    project.drop(
        "setup",
        front="setup: echo ready > built.txt",
        benchmark='#!/bin/sh\n[ -f built.txt ] || exit 9\necho "METRIC left=$(grep -c . todo.txt)"\n',
    )
    project.agent(ALL_GONE)

    project.run(code=0)

    assert project.where("setup") == "converged"


def test_a_setup_that_fails_blocks_with_its_output(project: Project) -> None:
    project.drop("bad-setup", front="setup: echo 'no such compiler' >&2; exit 7")
    project.agent(ALL_GONE)

    project.run(code=1)

    record = project.record("bad-setup")
    assert record["reason"] == "setup"
    assert "no such compiler" in record["detail"]


def test_while_one_is_verified_on_a_moved_base_the_others_wait_and_then_land_together(project: Project) -> None:
    top, names = project.top, "abcd"
    for name in names:
        project.drop(name, benchmark='#!/bin/sh\n[ -e "$ORCH_TASK" ] && echo METRIC left=0 || echo METRIC left=1\n')
    together = f"touch {top}/began-$ORCH_TASK; until [ $(ls {top} | grep -c began-) = 4 ]; do sleep 0.01; done"
    moved = f"mkdir {top}/moves 2> /dev/null && (cd {project.repo} && touch person && git add person && git commit -qm person && touch {top}/moved)"
    project.agent(f'touch "$ORCH_TASK"; {together}; {moved}; until [ -e {top}/moved ]; do sleep 0.01; done')
    slow = f"[ ! -e person ] || ! mkdir {top}/first 2> /dev/null || until [ -e {top}/on ]; do sleep 0.01; done"

    loop = project.start("--parallel", "4", ORCH_VERIFY_CMD=slow)
    told = project.wait(
        lambda: (found := [each for each in names if project.task(each)["detail"]])[2:] and found, why="three wait"
    )
    assert "waits for its turn" in project.run("why", told[0]).stdout
    (top / "on").touch()

    assert loop.wait(60) == 0, project.story()
    log = project.git("log", "--first-parent", "--reverse", "--format=%(trailers:key=Task,valueonly,separator=%x2C)", "main")
    landed = [sorted(line.split(",")) for line in log.splitlines() if line]
    assert landed == [[name for name in names if name not in told], told]
    assert set(names) < set(project.git("ls-tree", "--name-only", "main").split())
    assert len({project.record(name)["landed"]["commit"] for name in told}) == 1
