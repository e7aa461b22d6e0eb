"""`orchestrator undo`: a landed task taken back by a tested commit, or nothing changed at all."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.commands import Project
from support.processes import until

from orchestrator.store import locks

AGENT = ": > todo.txt; echo new > new.txt"


def land(project: Project) -> str:
    """A task that landed; the merge."""
    project.drop("x")
    project.agent(AGENT)
    project.run()
    return project.git("rev-parse", "main")


def record(project: Project, state: str = "converged") -> Any:
    return json.loads((project.tasks / state / "x/.orch/state.json").read_text())


def events(project: Project) -> list[str]:
    return [json.loads(line)["event"] for line in (project.tasks / "converged/x/.orch/events.jsonl").read_text().splitlines()]


def test_the_merge_is_taken_back_by_a_new_commit_and_the_checkout_comes_along(project: Project) -> None:
    merge = land(project)
    (project.top / "orchestrator.toml").write_text('[gates]\nlint = {command = "true", mode = "warn"}\n')
    assert "nor a gate in [gates] that may block is set, so nothing tested that commit" in project.run("undo", "x").stdout
    (project.top / "orchestrator.toml").unlink()
    tip = project.git("rev-parse", "main")
    assert project.git("rev-list", "--parents", "-1", "main") == f"{tip} {merge}"
    assert project.git("diff", f"{merge}^1", "main") == ""
    assert project.git("status", "--porcelain") == ""
    assert f"Undoes: {merge}" in project.git("log", "-1", "--format=%B")
    assert (record(project)["landed"]["undone"], record(project)["intent"]) == (tip, None)
    assert events(project)[-1] == "undone"
    assert f"undone by {tip[:10]}" in project.run("why", "x").stdout
    assert f"merge: {merge}, undone by {tip}" in (page := project.run("report", "x").stdout)
    assert (project.tasks / "converged/x/.orch/report.md").read_text() == page
    assert not (project.top / ".worktrees").exists()


def test_a_copy_takes_nothing_back_while_its_original_would_not_know(project: Project) -> None:
    merge = land(project)
    shutil.copytree(project.tasks / "converged/x", project.tasks / "converged/kept")
    said = project.refused("undo", "kept", code=1)
    assert "'kept' is a copy of 'x'" in said
    assert "`orchestrator undo x`" in said
    assert project.git("rev-parse", "main") == merge
    shutil.rmtree(project.tasks / "converged/x")  # put back from a backup, by another name
    project.run("undo", "kept")
    assert project.git("diff", f"{merge}^1", "main") == ""


def test_what_others_committed_since_then_stays(project: Project) -> None:
    land(project)
    (project.top / "other.txt").write_text("other\n")
    project.git("add", "other.txt")
    project.git("commit", "-q", "-m", "other")
    assert project.json("undo", "x", ORCH_VERIFY_CMD="test -e other.txt -a ! -e new.txt")["tested"]
    assert (project.top / "todo.txt").read_text() == "one\ntwo\nthree\n"
    assert (project.top / "other.txt").exists()


def test_done_twice_it_changes_nothing_more(project: Project) -> None:
    land(project)
    project.run("undo", "x")
    tip = project.git("rev-parse", "main")
    assert "was undone already" in project.run("undo", "x").stdout
    assert project.git("rev-parse", "main") == tip


def test_one_that_was_killed_is_told_of_and_goes_on_when_asked_again(project: Project) -> None:
    merge = land(project)
    project.run("undo", "x", code=-9, ORCH_FAILPOINT="git.update-ref:before")
    assert project.git("rev-parse", "main") == merge
    assert "`orchestrator undo x` goes on with it" in project.run("--status").stdout
    project.run("undo", "x")
    assert project.git("diff", f"{merge}^1", "main") == ""
    assert "cut short" not in project.run("--status").stdout


def test_one_that_was_killed_is_not_removed_by_retention_before_it_is_finished(project: Project) -> None:
    merge = land(project)
    project.run("undo", "x", code=-9, ORCH_FAILPOINT="git.update-ref:before")
    project.drop("y")
    project.run(ORCH_KEEP_CONVERGED="1")
    assert (project.tasks / "converged/y").exists()
    project.run("undo", "x")
    assert project.git("diff", f"{merge}^1", "main") == ""
    assert project.git("status", "--porcelain") == ""


def test_a_task_that_goes_while_its_undo_waits_for_a_landing_is_told_of_and_nothing_is_changed(project: Project) -> None:
    merge = land(project)
    lock = project.top / ".git/orchestrator/landing.lock"
    with locks.acquire(lock):
        process = project.start("undo", "x")
        until(lambda: str(lock) in _open_files(process.pid))
        (project.tasks / "converged/x").rename(project.top / "archived")
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "converged/x went away meanwhile" in said) == (1, True)
    assert project.git("rev-parse", "main") == merge


def _open_files(pid: int) -> list[str]:
    with suppress(OSError):
        return [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return []


def test_a_conflict_names_the_files_and_changes_nothing(project: Project) -> None:
    land(project)
    (project.top / "todo.txt").write_text("four\n")
    project.git("commit", "-q", "-am", "four")
    tip = project.git("rev-parse", "main")
    said = project.refused("undo", "x", code=1)
    assert "conflict" in said
    assert "todo.txt" in said
    assert (project.git("rev-parse", "main"), project.git("status", "--porcelain")) == (tip, "")
    assert record(project)["landed"].get("undone") is None


def test_a_reverted_commit_that_does_not_pass_does_not_land(project: Project) -> None:
    merge = land(project)
    said = project.refused("undo", "x", code=1, ORCH_VERIFY_CMD="echo it is needed; test -e new.txt")
    assert "it is needed" in said
    assert (project.git("rev-parse", "main"), project.git("status", "--porcelain")) == (merge, "")


def test_the_queue_s_gates_are_asked_about_the_reverted_commit(project: Project) -> None:
    land(project)
    (project.top / "orchestrator.toml").write_text(
        "[gates]\n"
        "test = 'echo not ok 1 known; test -e new.txt && echo ok 2 brought; false'\n"  # red before; what the task brought may go
        "lint = 'test ! -e new.txt || echo README:1: gone by then; test ! -e new.txt'\n"
        "doctor = 'test -z $ORCH_CANARY'\n"
        "own = {command = 'test -e new.txt', mode = 'warn'}\n"
        "needs = 'test -e new.txt'\n"
    )
    before = project.git("rev-parse", "main")
    assert "needs: The needs command ended with exit code 1" in project.refused("undo", "x", code=1)
    assert project.git("rev-parse", "main") == before

    text = (project.top / "orchestrator.toml").read_text().replace("needs =", "# needs =")
    (project.top / "orchestrator.toml").write_text(text)
    assert project.json("undo", "x")["tested"]


def test_where_history_was_cut_off_since_it_says_how_to_get_it_back(project: Project) -> None:
    project.agent(": > todo.txt")
    project.drop("fix")
    project.run()
    landed = project.git("rev-parse", "main")
    (project.top / ".git" / "shallow").write_text(f"{landed}\n")
    assert "git fetch --unshallow" in project.refused("undo", "fix", code=1)
    assert project.git("rev-parse", "main") == landed
    (project.top / ".git" / "shallow").unlink()
    project.run("undo", "fix")
    assert (project.top / "todo.txt").read_text() != ""


def test_edits_in_the_way_are_named_and_left_alone(project: Project) -> None:
    merge = land(project)
    (project.top / "todo.txt").write_text("mine\n")
    said = project.refused("undo", "x", code=1)
    assert "todo.txt" in said
    assert (project.git("rev-parse", "main"), (project.top / "todo.txt").read_text()) == (merge, "mine\n")
    assert record(project)["intent"] is None


def test_what_a_person_reverted_already_is_not_reverted_again(project: Project) -> None:
    merge = land(project)
    project.git("revert", "-m", "1", "--no-edit", merge)
    assert "have taken it back already" in project.refused("undo", "x", code=1)
    project.git("reset", "-q", "--hard", f"{merge}^1")
    assert f"no longer has {merge[:10]}" in project.refused("undo", "x", code=1)


def test_what_a_person_took_off_the_base_by_hand_is_not_told_as_being_there(project: Project) -> None:
    land(project)
    assert "main has" not in project.run("show", "x").stdout
    project.git("reset", "-q", "--hard", "HEAD~1")
    assert "nothing" in project.refused("undo", "x", code=1)
    gone = "main has that commit no more: it was reset or rewritten since"
    assert gone in project.run("show", "x").stdout
    assert [each["kind"] for each in project.json("why", "x")["reasons"]] == ["converged", "gone"]
    project.git("branch", "-m", "main", "trunk")  # what is called otherwise by now may have it
    assert gone not in project.run("show", "x").stdout
    project.git("branch", "-m", "trunk", "main")
    project.run("queue", "x")
    project.run()
    assert project.git("rev-list", "--count", "--merges", "main") == "1"
    assert gone not in project.run("why", "x").stdout


def test_only_what_has_landed_can_be_undone(project: Project) -> None:
    project.drop("x", "land: branch")
    assert "has not landed anything" in project.refused("undo", "x", code=1)
    project.agent(AGENT)
    project.run()
    assert "brought nothing onto its base" in project.refused("undo", "x", code=1)


def test_queued_again_after_it_was_undone_it_is_done_again(project: Project) -> None:
    land(project)
    project.run("undo", "x")
    project.run("queue", "x")
    project.run()
    assert (project.top / "todo.txt").read_text() == ""
    assert record(project)["landed"]["commit"] == project.git("rev-parse", "main")
    assert record(project)["attempts"] == 2


def test_what_a_person_is_asked_about_after_it_was_undone_can_land(project: Project) -> None:
    """The commits that were merged once bring nothing when they are merged again: the work is done anew, on the base without it."""
    project.drop("x", front="metric: {name: left, target: 0}\nreview: required")
    project.agent(AGENT)
    project.run(code=75)
    project.run("approve", "x")
    project.run()
    project.run("undo", "x")
    undone = project.git("rev-parse", "main")
    project.run("queue", "x")
    project.run(code=75)
    project.run("approve", "x")
    project.run()
    assert (project.top / "new.txt").exists()
    assert project.git("merge-base", "main^2", "main^1") == undone
    assert [attempt["result"] for attempt in record(project)["history"]] == ["converged", "converged"]


def test_what_was_queued_again_and_found_nothing_to_do_has_landed_as_before_and_can_be_undone(project: Project) -> None:
    merge = land(project)
    (project.top / "other.txt").write_text("other\n")
    project.git("add", "other.txt")
    project.git("commit", "-q", "-m", "other")
    for _ in range(2):
        project.run("queue", "x")
        project.run()
        assert record(project)["landed"] == {"commit": merge, "base": "main", "how": "merge", "url": None}
        assert "earlier" not in record(project)
        assert f"merged into main as {merge[:10]}" in project.run("why", "x").stdout
        assert "+new" in project.run("diff", "x").stdout
        assert f"merge: {merge}" in project.run("report", "x").stdout
    project.run("undo", "x")
    assert (project.top / "todo.txt").read_text() == "one\ntwo\nthree\n"


def test_what_was_queued_again_and_lost_its_merge_meanwhile_has_landed_nothing(project: Project) -> None:
    land(project)
    project.git("reset", "-q", "--hard", "HEAD^1")
    (project.top / "todo.txt").write_text("")
    project.git("commit", "-qam", "by hand")
    project.git("branch", "-D", "orchestrator/x")
    project.run("queue", "x")
    project.run()
    assert record(project)["landed"]["how"] == "none"
    assert "brought nothing onto its base" in project.refused("undo", "x", code=1)


def test_a_base_that_was_renamed_is_followed_where_the_settings_name_it(project: Project) -> None:
    merge = land(project)
    project.git("branch", "-m", "main", "trunk")
    assert "name another as `base`" in project.refused("undo", "x", code=1)
    project.run("undo", "x", ORCH_BASE="trunk", ORCH_INTEGRATION_CMD="false")
    assert "trunk" in project.run("--status").stdout.splitlines()[-1]  # red
    assert project.git("diff", f"{merge}^1", "trunk") == ""
    assert (record(project)["landed"]["base"], record(project)["landed"]["undone"]) == (
        "trunk",
        project.git("rev-parse", "trunk"),
    )
    assert project.git("for-each-ref", "refs/heads/main") == ""
