"""What `orchestrator prune` and `recover prune` give back, and that whatever is in doubt stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.commands import Project

from orchestrator.git import pool

LANDED = ("refs", "x: commits of 1 attempt")


def landed(project: Project) -> Path:
    """A task that landed and one that waits, so that there is an idle worktree."""
    project.drop("x")
    project.drop("later", "draft: true")
    project.agent(": > todo.txt")
    project.run()
    return project.tasks / "converged/x"


def items(project: Project, *args: str) -> dict[tuple[str, str], tuple[str, bool]]:
    found = project.json("prune", *args)["items"]
    return {(each["kind"], Path(each["what"]).name): (each["why"], each["reclaimed"]) for each in found}


def change(folder: Path, **facts: Any) -> None:
    path = folder / ".orch/state.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, **facts, "landed": {**record["landed"], **facts.get("landed", {})}}))


def refs(project: Project) -> str:
    return project.git("for-each-ref", "--format=%(refname)", "refs/orchestrator")


def branches(project: Project) -> list[str]:
    return project.git("for-each-ref", "--format=%(refname:short)", "refs/heads/orchestrator").split()


def test_a_dry_run_says_what_uses_disk_and_changes_nothing(project: Project) -> None:
    landed(project)
    told = project.run("prune", "--dry-run", "--older-than", "0").stdout
    assert "would go" in told
    assert "would be given back" in told
    assert refs(project)
    assert list((project.top / ".worktrees/.pool").iterdir())


def test_what_could_not_be_deleted_of_worktrees_is_told_until_it_can_be(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As files that a container made as root: they filled the disk, and prune said that there was nothing."""
    landed(project)
    left = project.top / ".worktrees/.pool/trash-0000"
    (left / "out").mkdir(parents=True)
    (left / "out/file").write_text("x" * 9000)
    assert items(project, "--dry-run")["worktree", "trash-*"] == ("removed, and left over", True)
    with monkeypatch.context() as refused:
        refused.setattr(pool, "remove", lambda path: None)
        assert "this user can't delete all of it" in (pool.empty_trash(left.parent) or "")
    assert project.json("prune")["bytes"] > 9000
    assert not left.exists()


def test_idle_worktrees_old_refs_and_logs_go(project: Project) -> None:
    folder = landed(project)
    project.run("prune", "--older-than", "0")
    assert not (project.top / ".worktrees").exists()
    assert refs(project) == ""
    assert not list(folder.glob(".orch/attempts/*/agent.log"))
    assert project.git("show", "main:todo.txt") == ""
    assert "nothing to give back" in project.run("prune").stdout


def test_what_landed_a_short_time_ago_stays(project: Project) -> None:
    landed(project)
    assert items(project)[LANDED] == ("it ended too short a time ago", False)
    assert refs(project)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"landed": {"undone": "c0ffee"}}, "it was undone"),
        ({"landed": {"commit": "0" * 40}}, "the base here doesn't have its merge"),
        ({"intent": {"base": "main", "old": "a", "new": "b"}}, "nothing says that its work has landed"),
        ({"landed": {"how": "pr"}}, "its work waits in a pull request"),
    ],
)
def test_work_that_may_be_nowhere_else_stays(project: Project, facts: dict[str, Any], why: str) -> None:
    change(landed(project), **facts)
    assert items(project, "--older-than", "0")[LANDED] == (why, False)
    assert refs(project)


def removed(project: Project) -> None:
    """The same, after retention took the landed one's folder away."""
    landed(project)
    project.drop("y")
    project.agent("echo y > y; : > todo.txt")
    project.run(ORCH_KEEP_CONVERGED="1")
    assert [path.name for path in (project.tasks / "converged").iterdir()] == ["y"]


def test_the_refs_of_a_landed_task_that_retention_removed_go_by_the_same_rule_of_age(project: Project) -> None:
    removed(project)
    assert items(project)[LANDED] == ("it ended too short a time ago", False)
    assert "refs/orchestrator/x/" in refs(project)
    assert items(project, "--older-than", "0")[LANDED] == ("landed", True)
    assert refs(project) == ""


def test_the_branch_of_a_removed_task_goes_with_its_refs_and_that_of_one_that_is_there_stays(project: Project) -> None:
    removed(project)
    branch = ("branch", "x")
    assert items(project)[branch] == ("it ended too short a time ago", False)
    assert branches(project) == ["orchestrator/x", "orchestrator/y"]
    assert items(project, "--older-than", "0")[branch] == ("landed", True)
    assert branches(project) == ["orchestrator/y"]


def test_a_removed_task_s_branch_that_has_more_than_its_base_or_is_checked_out_stays(project: Project) -> None:
    removed(project)
    project.git("worktree", "add", "-q", "looked-at", "orchestrator/x")
    assert ("branch", "x") not in items(project, "--older-than", "0")
    project.git("-C", "looked-at", "commit", "-q", "--allow-empty", "-m", "a person's")
    project.git("worktree", "remove", "looked-at")
    assert ("branch", "x") not in items(project, "--older-than", "0")
    assert branches(project) == ["orchestrator/x", "orchestrator/y"]


def test_a_task_that_two_loops_noted_as_removed_is_one_task(project: Project) -> None:
    removed(project)
    path = project.tasks / ".orch/converged.jsonl"
    path.write_text(path.read_text() * 2)
    assert items(project, "--older-than", "0")[LANDED] == ("landed", True)
    assert refs(project) == ""


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"landed": None}, "nothing says that its work has landed"),
        ({"id": "another"}, "no task of this queue is known by it"),
        ({"slug": None}, "no task of this queue is known by it"),
    ],
)
def test_of_a_removed_task_that_may_not_be_its_owner_or_has_not_landed_they_stay(
    project: Project, facts: dict[str, Any], why: str
) -> None:
    removed(project)
    path = project.tasks / ".orch/converged.jsonl"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}) + "\n")
    assert items(project, "--older-than", "0")[LANDED] == (why, False)
    assert "refs/orchestrator/x/" in refs(project)


def test_a_merge_that_is_not_on_the_base_any_more_keeps_a_removed_task_s_refs(project: Project) -> None:
    removed(project)
    project.git("reset", "-q", "--hard", project.git("rev-list", "--max-parents=0", "main"))
    assert items(project, "--older-than", "0")[LANDED] == ("the base here doesn't have its merge", False)


def test_a_base_that_was_renamed_is_asked_for_what_landed_on_it(project: Project) -> None:
    removed(project)
    project.git("branch", "-m", "main", "trunk")
    found = items(project, "--older-than", "0")
    assert [found[each] for each in (LANDED, ("branch", "x"), ("name", "x"))] == [("landed", True)] * 3
    assert refs(project) == ""
    assert branches(project) == ["orchestrator/y"]


def test_where_no_base_is_left_what_landed_on_it_stays(project: Project) -> None:
    removed(project)
    project.git("checkout", "-q", "--detach")
    project.git("branch", "-qD", "main")
    assert items(project, "--older-than", "0")[LANDED] == ("the base here doesn't have its merge", False)


def test_a_squashed_pull_request_counts_as_landed_once_the_base_here_has_it(project: Project) -> None:
    folder = landed(project)
    squashed = project.git("commit-tree", "main^{tree}", "-p", "main^1", "-m", "x (#1)")
    change(folder, landed={"how": "pr", "state": "merged", "commit": project.git("rev-parse", "main^2"), "merged": squashed})
    project.git("reset", "-q", "--hard", "main^1")
    assert items(project, "--older-than", "0")[LANDED] == ("the base here doesn't have its merge", False)
    project.git("reset", "-q", "--hard", squashed)
    assert items(project, "--older-than", "0")[LANDED] == ("landed", True)


def test_a_record_that_can_t_be_read_keeps_everything(project: Project) -> None:
    folder = landed(project)
    (folder / ".orch/state.json").write_text("{")
    found = items(project, "--older-than", "0")
    assert found[LANDED] == ("no task of this queue is known by it", False)
    assert found["logs", "x: 1 log of agents"] == ("its record can't be read", False)


def test_a_blocked_task_s_worktree_and_refs_stay(project: Project) -> None:
    project.drop("x")
    project.agent("echo mine > mine.txt")
    project.run(code=1, ORCH_MAX_FAILURES="1")
    found = items(project, "--older-than", "0")
    assert found["worktree", "x"] == ("x is blocked", False)
    assert found[LANDED] == ("it is blocked", False)
    assert (project.top / ".worktrees/x/mine.txt").exists()


@pytest.mark.parametrize("state", ["pending", "blocked", "converged"])
def test_a_copy_is_no_second_owner_of_what_its_original_did(project: Project, state: str) -> None:
    shutil.copytree(landed(project), project.tasks / state / "y")
    assert {row.split()[0] for row in project.run("recover").stdout.splitlines()[1:]} == {"x"}
    found = items(project, "--older-than", "0")
    assert found[LANDED] == ("landed", True)
    assert found["logs", "y: 1 log of agents"] == ("a copy brought it along", False)
    assert refs(project) == ""


def test_a_worktree_of_another_queue_stays(project: Project) -> None:
    project.drop("x")
    project.agent("echo mine > mine.txt")
    project.run(code=1, ORCH_MAX_FAILURES="1")
    (project.tasks / "blocked/x").rename(project.top / "elsewhere")
    found = items(project, "--older-than", "0")
    assert found["worktree", "x"] == ("belongs to no task of this queue", False)
    told = project.run("prune").stdout
    assert "goes by `git worktree remove PATH`" in told
    assert (project.top / ".worktrees/x/mine.txt").exists()


def test_a_worktree_with_unsaved_work_in_a_submodule_stays_and_a_dry_run_says_so_too(project: Project) -> None:
    protocol = ("-c", "protocol.file.allow=always")
    project.git(*protocol, "submodule", "add", "-q", str(project.top), "lib")
    project.git("commit", "-q", "-am", "lib")
    project.drop("x", "{metric: {name: left, target: 0}, setup: git -c protocol.file.allow=always submodule -q update --init}")
    project.agent(": > todo.txt; echo only here > lib/other.txt")
    project.run()
    promised = items(project, "--dry-run")["worktree", "x"]
    assert promised == ("its submodule lib has uncommitted edits (other.txt)", False)
    assert items(project)["worktree", "x"] == promised
    assert (project.top / ".worktrees/x/lib/other.txt").exists()


def test_recover_has_verbs_and_prune_among_them_forgets_one_task_s_refs(project: Project) -> None:
    landed(project)
    assert project.json("recover", "list", "x") == project.json("recover", "x")
    assert "-one" in project.run("recover", "show", "x", "1").stdout
    assert "gone" in project.run("recover", "prune", "x", "--older-than", "0").stdout
    assert refs(project) == ""
    assert list((project.top / ".worktrees/.pool").iterdir())
    assert "--older-than" in project.refused("recover", "prune", "--older-than", "soon")


def test_a_task_called_like_a_verb_is_still_found(project: Project) -> None:
    project.drop("list")
    project.agent(": > todo.txt")
    project.run()
    assert [each["task"] for each in project.json("recover", "list")["kept"]] == ["list"]
    assert "-one" in project.run("recover", "list", "1", "--show").stdout


def test_git_gc_takes_no_attempt_s_commits(project: Project) -> None:
    """Neither those of refused work nor what lay uncommitted when a task was cancelled."""
    project.drop("refused", "scope: [other.txt]\nmax_failures: 1")
    project.drop("cancelled", "max_failures: 1")
    project.agent('git commit -qam "$ORCH_TASK" --allow-empty; : > todo.txt; [ "$ORCH_TASK" = refused ] || echo draft > draft')
    project.run(code=1, ORCH_VERIFY_CMD="false")
    project.run("cancel", "cancelled")
    for task in ("refused", "cancelled"):
        project.git("update-ref", "-d", f"refs/heads/orchestrator/{task}")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    for task in ("refused", "cancelled"):
        assert "-three" in project.run("recover", "show", task, "1").stdout
    assert "+draft" in project.run("recover", "show", "cancelled", "1").stdout


def test_an_ignored_file_that_an_agent_edited_is_kept_when_its_task_is_cancelled(project: Project) -> None:
    (project.top / ".gitignore").write_text(".env\ntasks\n.worktrees\n")
    (project.top / ".worktreeinclude").write_text(".env\n")
    project.git("add", ".gitignore", ".worktreeinclude")
    project.git("commit", "-q", "-m", "ignore")
    (project.top / ".env").write_text("ONE=1\n")
    project.drop("x", "max_failures: 1")
    project.agent("echo TWO=2 >> .env")
    project.run(code=1)
    project.run("cancel", "x")
    saved = project.json("recover", "x")["saved"]
    assert [Path(each["path"]).read_text() for each in saved] == ["ONE=1\nTWO=2\n"]


def test_a_queue_in_a_subfolder_tells_of_its_repository_once(project: Project) -> None:
    tasks = project.top / "deep/tasks"
    tasks.parent.mkdir()
    project.tasks.rename(tasks)
    project.tasks = tasks
    project.drop("x")
    project.agent(": > todo.txt")
    project.run("--tasks", str(tasks))
    told = [item["what"] for item in project.json("prune", "--dry-run", "--tasks", str(tasks))["items"]]
    assert len(told) == len(set(told))


def kept_names(project: Project) -> list[str]:
    return sorted(path.name for path in (project.top / ".git/orchestrator/slugs").iterdir())


def test_the_name_of_a_removed_task_is_free_again_once_nothing_is_called_by_it(project: Project) -> None:
    removed(project)
    assert ("name", "x") not in items(project)
    assert items(project, "--dry-run", "--older-than", "0")["name", "x"] == ("landed", True)
    assert kept_names(project) == ["x", "y"]
    assert items(project, "--older-than", "0")["name", "x"] == ("landed", True)
    assert kept_names(project) == ["y"]
    project.drop("x")
    (project.top / "todo.txt").write_text("again\n")
    project.git("commit", "-q", "-am", "there is something to do")
    project.agent("echo more >> y; : > todo.txt")
    project.run()
    assert branches(project) == ["orchestrator/x", "orchestrator/y"]
    assert ("refs", "x: commits of 1 attempt") in items(project, "--dry-run")


def test_a_name_whose_refs_a_killed_prune_removed_is_free_after_the_next(project: Project) -> None:
    removed(project)
    project.git("update-ref", "-d", "refs/orchestrator/x/0001")
    project.git("branch", "-qD", "orchestrator/x")
    assert items(project, "--older-than", "0")["name", "x"] == ("landed", True)
    assert kept_names(project) == ["y"]


@pytest.mark.parametrize("left", ["a branch", "a branch below", "a ref", "a worktree", "the task", "a pull request"])
def test_the_name_of_a_removed_task_stays_for_as_long_as_anything_is_left_of_it(project: Project, left: str) -> None:
    removed(project)
    remembered = project.tasks / ".orch/converged.jsonl"
    record = json.loads(remembered.read_text())
    if left == "a branch":
        project.git("worktree", "add", "-q", "looked-at", "orchestrator/x")
    elif left == "a branch below":
        project.git("branch", "-m", "orchestrator/x", "orchestrator/x/mine")
    elif left == "a ref":
        project.git("update-ref", "refs/orchestrator/x/0002", "main^{tree}")
        (project.top / ".git/refs/orchestrator/x/0002.lock").touch()
    elif left == "a worktree":
        project.git("worktree", "add", "-q", "--detach", ".worktrees/x")
        (project.top / ".git/worktrees/x/orchestrator").write_text(record["id"])
    elif left == "a pull request":
        landed = {**record["landed"], "how": "pr", "state": "merged"}
        remembered.write_text(json.dumps({**record, "landed": landed}) + "\n")
    else:
        project.drop("x", state="blocked", record={key: record[key] for key in ("id", "name", "slug", "repo", "base", "branch")})
    told = project.json("prune", "--older-than", "0", code=None)["items"]
    assert ("name", "x", True) not in {(each["kind"], each["what"], each["reclaimed"]) for each in told}
    assert kept_names(project) == ["x", "y"]


def many_removed(project: Project, count: int) -> None:
    """The same as `removed`, with so many more tasks that were like x."""
    removed(project)
    path = project.tasks / ".orch/converged.jsonl"
    facts = json.loads(path.read_text())
    for number in range(count):
        slug = f"many-{number}"
        (project.top / ".git/orchestrator/slugs" / slug).write_text(slug)
        project.git("update-ref", f"refs/orchestrator/{slug}/0001", "refs/orchestrator/x/0001")
        project.git("update-ref", f"refs/heads/orchestrator/{slug}", "orchestrator/x")
        more = {"name": slug, "slug": slug, "id": slug, "branch": f"orchestrator/{slug}"}
        path.write_text(path.read_text() + json.dumps({**facts, **more}) + "\n")


def test_prune_asks_git_no_more_often_where_more_tasks_were_removed(project: Project, tmp_path: Path) -> None:
    many_removed(project, 20)
    trace = tmp_path / "trace"
    project.run("prune", "--older-than", "0", GIT_TRACE=str(trace))
    assert trace.read_text().count("trace: built-in: git") < 20
    assert refs(project) == ""
    assert branches(project) == ["orchestrator/y"]


def test_a_ref_that_can_t_go_keeps_no_other_task_s_from_it(project: Project) -> None:
    many_removed(project, 2)
    (project.top / ".git/refs/orchestrator/many-1/0001.lock").touch()
    told = project.json("prune", "--older-than", "0", code=1)["items"]
    assert [each["what"] for each in told if not each["reclaimed"]] == ["many-1: commits of 1 attempt", "many-1"]
    assert refs(project) == "refs/orchestrator/many-1/0001"
    assert branches(project) == ["orchestrator/y"]


def test_a_repository_that_tasks_use_by_two_of_its_checkouts_is_told_of_once(project: Project) -> None:
    project.git("worktree", "add", "-q", "other", "-b", "side")
    project.drop("there", "{metric: {name: left, target: 0}, repo: other}")
    landed(project)
    told = [item["what"] for item in project.json("prune", "--older-than", "0")["items"]]
    assert len(told) == len(set(told))
    assert refs(project) == ""


def test_what_is_left_over_in_a_pool_that_repositories_share_is_told_once(project: Project) -> None:
    shared = {"ORCH_WORKTREES": str(project.top / "trees")}
    project.git("clone", "-q", ".", "other")
    project.drop("there", "{metric: {name: left, target: 0}, repo: other}")
    project.agent(": > todo.txt")
    project.run(**shared)
    (project.top / "trees/.pool/trash-0000").mkdir(parents=True)
    told = [item["what"] for item in project.json("prune", "--dry-run", **shared)["items"]]
    assert sum(what.endswith("trash-*") for what in told) == 1
