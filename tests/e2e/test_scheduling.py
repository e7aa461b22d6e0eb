"""Whose turn it is: dependencies, priority, slots, waits; and what is left alone until it is whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from support.project import Project

ALL_GONE = ": > todo.txt"
LIMIT = "/proc/sys/user/max_inotify_instances"
NO_INOTIFY = ("unshare", "--user", "--map-root-user", "sh", "-c", f'echo 0 > {LIMIT}; exec "$@"', "sh")


def may_limit_inotify() -> bool:
    """Whether this machine lets us forbid inotify to one process, by a limit of a user namespace of its own."""
    done = subprocess.run([*NO_INOTIFY, "cat", LIMIT], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "0"


def own_files(project: Project, *names: str) -> None:
    """A todo file for each task, so that none is done by another's work."""
    project.commit({f"{name}.todo": "x\n" for name in names})


def drop_own(project: Project, name: str, front: str = "") -> Path:
    return project.drop(name, front=front, benchmark=f'#!/bin/sh\necho "METRIC left=$(grep -c . {name}.todo)"\n')


def logging_agent(project: Project, then: str = ': > "$ORCH_TASK.todo"') -> Path:
    """An agent that writes down whose turn it was."""
    project.agent(f'echo "$ORCH_TASK" >> {project.top}/turns; {then}')
    return project.top / "turns"


# --- dependencies ---------------------------------------------------------------------------------------------------


def test_a_child_is_started_only_when_its_parent_has_converged(project: Project) -> None:
    own_files(project, "parent", "child", "grandchild")
    drop_own(project, "grandchild", "depends_on: [child]\npriority: 9")
    drop_own(project, "child", "depends_on: [parent]\npriority: 5")
    drop_own(project, "parent")
    turns = logging_agent(project)

    project.run("--parallel", "3", code=0)

    assert turns.read_text().split() == ["parent", "child", "grandchild"]
    assert project.git("show", "main:grandchild.todo") == ""


def test_a_blocked_parent_never_releases_its_child_and_the_drain_says_so(project: Project) -> None:
    own_files(project, "parent", "child")
    drop_own(project, "parent", "max_failures: 1")
    drop_own(project, "child", "depends_on: [parent]")
    turns = logging_agent(project, then="true")

    done = project.run(code=1)

    assert turns.read_text().split() == ["parent"]
    assert project.where("child") == "pending"
    assert "child" in done.stdout
    told = project.run("why", "child", code=0).stdout
    assert "parent" in told
    assert "blocked" in told

    logging_agent(project)
    project.run("retry", "parent", code=0)
    project.run(code=0)
    assert project.where("child") == "converged"


def test_a_parent_that_nobody_knows_holds_its_child_and_is_named(project: Project) -> None:
    own_files(project, "child")
    drop_own(project, "child", "depends_on: [perent]")
    turns = logging_agent(project)

    done = project.run(code=1)

    assert not turns.exists()
    assert "perent" in done.stdout
    waiting = project.task("child")["waiting_on"]
    assert [(item["kind"], "perent" in item["detail"]) for item in waiting] == [("dependency", True)]

    own_files(project, "perent")
    drop_own(project, "perent")
    project.run(code=0)
    assert turns.read_text().split() == ["perent", "child"]


def test_a_parent_that_was_undone_holds_its_child_until_it_has_landed_again(project: Project) -> None:
    """A loop that knew it as converged, and nothing moved in the queue since."""
    own_files(project, "parent", "child", "other")
    drop_own(project, "parent")
    turns = logging_agent(project)
    project.start("--loop")
    project.wait(lambda: project.where("parent") == "converged", why="the parent")
    drop_own(project, "early", "depends_on: [parent]\ndraft: true")
    project.run("undo", "parent", code=0)
    drop_own(project, "child", "depends_on: [parent]\npriority: 9")
    drop_own(project, "other")
    project.wait(lambda: project.where("other") == "converged", why="a task that waits for nobody")
    assert project.where("child") == "pending"
    assert turns.read_text().split() == ["parent", "other"]
    told = " ".join(project.run("why", "child", code=0).stdout.split())
    assert "parent is not on its base any more: it was undone by" in told
    assert "`queue` an undone one" in told
    assert "converged, then undone" in project.run("--graph", code=0).stdout
    project.run("--stop", code=0)
    project.run(code=1)
    project.run("--task", "child", code=1)


def test_a_parent_that_was_renamed_and_undone_holds_its_child(project: Project) -> None:
    own_files(project, "parent", "child", "other")
    drop_own(project, "parent")
    turns = logging_agent(project)
    project.run(code=0)
    (project.tasks / "converged/parent").rename(project.tasks / "converged/renamed")
    project.run("undo", "renamed", code=0)
    drop_own(project, "child", "depends_on: [renamed]\npriority: 9")
    drop_own(project, "other")
    project.run(code=1)
    assert turns.read_text().split() == ["parent", "other"]
    assert "renamed is not on its base any more" in " ".join(project.run("why", "child", code=0).stdout.split())


def test_a_drain_ends_by_what_the_specs_say_then_and_not_by_what_they_said(project: Project) -> None:
    own_files(project, "slow", "edited")
    drop_own(project, "edited", "depends_on: [nobody]")
    drop_own(project, "slow")
    logging_agent(project, 'while [ -e "$HOME/wait" ]; do sleep 0.02; done; : > "$ORCH_TASK.todo"')
    (Path(project.env["HOME"]) / "wait").touch()
    drain = project.start()
    project.wait((project.top / "turns").exists, why="the agent of the other task")
    project.run("edit", "edited", "--depends-on", "", code=0)
    (Path(project.env["HOME"]) / "wait").unlink()
    assert drain.wait(60) == 0
    assert project.where("edited") == "converged"


def test_a_cycle_is_named_by_why_and_graph_and_nobody_in_it_is_started(project: Project) -> None:
    own_files(project, "hen", "egg", "free")
    drop_own(project, "hen", "depends_on: [egg]")
    drop_own(project, "egg", "depends_on: [hen]")
    drop_own(project, "free")
    turns = logging_agent(project)

    project.run(code=1)

    assert turns.read_text().split() == ["free"]
    for name in ("hen", "egg"):
        assert "cycle: egg -> hen -> egg" in project.run("why", name, code=0).stdout
    assert "cycle: egg -> hen -> egg" in project.run("--graph", code=0).stdout


def test_a_named_task_whose_parent_cannot_converge_ends_with_1_and_one_whose_parent_only_has_not_with_75(
    project: Project,
) -> None:
    """75 is `try later`: a script that does would try for ever."""
    own_files(project, "hen", "egg", "typo", "free", "child")
    drop_own(project, "hen", "depends_on: [egg]")
    drop_own(project, "egg", "depends_on: [hen]")
    drop_own(project, "typo", "depends_on: [fre]")
    drop_own(project, "free")
    drop_own(project, "child", "depends_on: [free]")
    turns = logging_agent(project)

    assert "cycle: egg -> hen -> egg" in project.run("--task", "egg", code=1).stdout
    assert "no task is called fre" in project.run("--task", "typo", code=1).stdout
    project.run("--task", "child", code=75)

    assert not turns.exists()


def test_a_removed_converged_parent_still_satisfies_a_child_that_comes_later(project: Project) -> None:
    own_files(project, "first", "second", "third")
    for name in ("first", "second", "third"):
        drop_own(project, name)
    turns = logging_agent(project)

    project.run(code=0, ORCH_KEEP_CONVERGED="1")

    assert [path.name for path in (project.tasks / "converged").iterdir()] == ["third"]
    assert project.git("rev-parse", "--verify", "refs/orchestrator/first/0001")  # its work is still there
    own_files(project, "late")
    drop_own(project, "late", "depends_on: [first]")
    project.run(code=0, ORCH_KEEP_CONVERGED="1")
    assert turns.read_text().split() == ["first", "second", "third", "late"]


def test_retention_spares_a_parent_while_a_child_needs_it(project: Project) -> None:
    own_files(project, "parent", "older", "newer", "child")
    drop_own(project, "parent")
    drop_own(project, "child", "depends_on: [parent]\ndraft: true")
    drop_own(project, "older")
    drop_own(project, "newer")
    turns = logging_agent(project)

    project.run(code=0, ORCH_KEEP_CONVERGED="1")

    assert turns.read_text().split() == ["parent", "older", "newer"]
    assert sorted(path.name for path in (project.tasks / "converged").iterdir()) == ["newer", "parent"]


# --- order and slots ------------------------------------------------------------------------------------------------


def test_the_highest_priority_goes_first_then_the_oldest(project: Project) -> None:
    names = ("older", "newer", "urgent", "later")
    own_files(project, *names)
    drop_own(project, "later", "priority: -1")
    for name in ("older", "newer"):
        drop_own(project, name)
        time.sleep(0.02)  # two arrivals that the file system's clock can tell apart
    drop_own(project, "urgent", "priority: 7")
    turns = logging_agent(project)

    project.run(code=0)

    assert turns.read_text().split() == ["urgent", "older", "newer", "later"]


def test_so_many_agents_as_asked_for_run_at_once_and_never_more(project: Project) -> None:
    names = [f"task-{number}" for number in range(5)]
    own_files(project, *names)
    for name in names:
        drop_own(project, name)
    hall = project.top / "hall"
    hall.mkdir()
    meet = (
        f"touch {hall}/$ORCH_TASK; ls {hall} | wc -l >> {project.top}/present; "
        f"n=0; while [ $(ls {hall} | wc -l) -lt 3 ] && [ ! -e {project.top}/met ]; "
        "do sleep 0.02; n=$((n+1)); [ $n -gt 1000 ] && exit 9; done; "
        f'touch {project.top}/met; sleep 0.2; rm {hall}/$ORCH_TASK; : > "$ORCH_TASK.todo"'
    )
    project.agent(meet)

    project.run("--parallel", "3", code=0)

    assert max(int(count) for count in (project.top / "present").read_text().split()) == 3
    assert all(project.where(name) == "converged" for name in names)


# --- waits and exit codes -------------------------------------------------------------------------------------------


def test_a_crashed_agent_parks_the_task_and_the_wait_doubles(project: Project) -> None:
    project.drop("crashes", front="max_failures: 9")
    project.agent("kill -9 $$")
    waits = []
    for _ in range(3):
        project.run("--task", "crashes", code=75, ORCH_BACKOFF="100s", ORCH_BACKOFF_MAX="1h")
        record = project.record("crashes")
        ended = [event for event in project.events("crashes") if event["event"] == "moved"][-1]
        assert ended["to"] == "pending"
        waits.append(record["not_before"] - time.time())
    assert [round(wait / 100) for wait in waits] == [1, 2, 4]
    assert project.record("crashes")["attempts"] == 3
    assert [item["kind"] for item in project.task("crashes")["waiting_on"]] == ["backoff"]

    project.run(code=75)  # too long for a drain to wait
    assert project.record("crashes")["attempts"] == 3


def test_a_wait_is_capped(project: Project) -> None:
    project.drop("crashes", front="max_failures: 9")
    project.agent("kill -9 $$")
    for _ in range(3):
        project.run("--task", "crashes", code=75, ORCH_BACKOFF="100s", ORCH_BACKOFF_MAX="150s")
    assert 100 < project.record("crashes")["not_before"] - time.time() <= 150


def test_a_drain_waits_for_a_short_back_off_and_goes_on(project: Project) -> None:
    project.drop("stumbles")
    project.agent(f"if [ $ORCH_ATTEMPT = 1 ]; then kill -9 $$; fi; {ALL_GONE}")

    project.run(code=0)

    assert [attempt["end"] for attempt in project.record("stumbles")["history"]] == ["killed", "finished"]


def test_a_named_task_goes_now_despite_back_off_and_priority(project: Project) -> None:
    own_files(project, "parked", "urgent")
    drop_own(project, "urgent", "priority: 100")
    drop_own(project, "parked")
    project.agent("kill -9 $$")
    project.run("--task", "parked", code=75, ORCH_BACKOFF="1h", ORCH_BACKOFF_MAX="1h")
    turns = logging_agent(project)

    project.run("--task", "park", code=0)  # a unique prefix will do

    assert turns.read_text().split() == ["parked"]
    assert project.where("parked") == "converged"
    assert project.where("urgent") == "pending"


def test_once_makes_one_attempt_of_one_task_and_puts_it_back(project: Project) -> None:
    project.drop("first", front="priority: 1")
    project.drop("second")
    project.agent("sed -i 1d todo.txt")

    project.run("--once", code=0, ORCH_SETTLE="1ms")  # else the one that has settled goes first, whatever its priority

    assert project.where("first") == "pending"
    assert project.record("first")["attempts"] == 1
    assert not (project.tasks / "pending/second/.orch/state.json").exists()
    project.run("--once", code=0)
    project.run("--once", code=0)
    assert project.where("first") == "converged"
    assert project.record("first")["attempts"] == 3


# --- drafts and what isn't whole ------------------------------------------------------------------------------------


def test_a_draft_is_never_claimed_and_queue_releases_it(project: Project) -> None:
    project.drop("rough", front="draft: true  # still thinking\npriority: 3")
    project.agent(ALL_GONE)

    project.run(code=0)
    assert project.where("rough") == "pending"
    assert [item["kind"] for item in project.task("rough")["waiting_on"]] == ["draft"]

    project.run("queue", "rough", code=0)
    assert "priority: 3" in (project.tasks / "pending/rough/autoresearch.md").read_text()
    project.run(code=0)
    assert project.where("rough") == "converged"


def test_a_folder_copied_file_by_file_is_claimed_only_when_it_has_settled(project: Project) -> None:
    project.agent(ALL_GONE)
    project.start("--loop", ORCH_SETTLE="5s")
    project.wait(lambda: project.status()["loop"]["running"], why="loop runs")
    folder = project.tasks / "pending/slow"
    folder.mkdir()
    (folder / "autoresearch.md").write_text("# slow\n")
    (folder / "benchmark.sh").write_text("#!/bin/sh\nexit 1\n")  # the first half of what is being copied
    for part in range(24):
        time.sleep(0.25)  # a slow copy: longer in all than the settle time, and never still for so long
        (folder / f"part-{part}").write_text("x")
        assert project.where("slow") == "pending"
    (folder / "benchmark.sh").write_text('#!/bin/sh\necho "METRIC left=$(grep -c . todo.txt)"\n')

    project.wait(lambda: project.where("slow") == "converged", why="claimed when whole")
    project.run("--stop", code=0)


def test_a_folder_moved_in_is_claimed_without_a_command(project: Project) -> None:
    project.agent(ALL_GONE)
    project.start("--loop")
    project.wait(lambda: project.status()["loop"]["running"], why="loop runs")
    project.drop("moved-in")
    project.wait(lambda: project.where("moved-in") == "converged", why="runs")
    project.run("--stop", code=0)


@pytest.mark.parametrize("swap", [".autoresearch.md.swp", ".#autoresearch.md"])
def test_a_spec_open_in_an_editor_is_left_alone_until_it_is_closed(project: Project, swap: str) -> None:
    folder = project.drop("open")
    (folder / swap).symlink_to("person@host.123:4") if swap.startswith(".#") else (folder / swap).write_text("b0VIM")
    project.agent(ALL_GONE)

    project.run(code=75)
    assert project.where("open") == "pending"
    waiting = project.task("open")["waiting_on"]
    assert [item["kind"] for item in waiting] == ["editor"]
    assert swap in waiting[0]["detail"]

    (folder / swap).unlink()
    project.run(code=0)


def test_an_invalid_spec_stays_put_is_shown_with_its_line_and_runs_once_it_is_mended(project: Project) -> None:
    folder = project.drop("typo", front="priority: 1\nconverge: many")
    project.agent(ALL_GONE)
    project.start("--loop")

    line = project.wait(lambda: next((line for line in shown(project) if "autoresearch.md:3" in line), None), why="is shown")
    assert "many" in line
    assert project.where("typo") == "pending"
    assert "autoresearch.md:3" in project.run("why", "typo", code=0).stdout
    (folder / "autoresearch.md").write_text("---\npriority: 1\nconverge: 2\n---\n# typo\n")

    project.wait(lambda: project.where("typo") == "converged", why="runs when mended")
    assert len([line for line in shown(project) if "autoresearch.md:3" in line]) == 1
    project.run("--stop", code=0)


def test_an_invalid_task_keeps_no_other_from_running_and_a_drain_ends_with_1(project: Project) -> None:
    project.drop("bad", front="metric: [")
    project.drop("good")
    project.agent(ALL_GONE)

    done = project.run(code=1)

    assert project.where("good") == "converged"
    assert project.where("bad") == "pending"
    assert "autoresearch.md:" in done.stdout


@pytest.mark.skipif(not may_limit_inotify(), reason="needs a user namespace to forbid inotify for one process")
def test_without_inotify_the_loop_says_so_once_and_still_finds_what_is_dropped(project: Project) -> None:
    project.agent(ALL_GONE)
    loop = project.start_as(NO_INOTIFY, "--loop")
    project.wait(lambda: [line for line in shown(project) if "every second" in line], why="says that it polls")

    project.drop("polled")

    project.wait(lambda: project.where("polled") == "converged", why="found without events")
    told = [line for line in shown(project) if "Can't watch" in line]
    assert len(told) == 1
    assert "max_user_instances" in told[0]  # what to do about it
    project.run("--stop", code=0)
    assert loop.wait(60) == 0


def shown(project: Project) -> list[str]:
    """What the first command started in the background has printed."""
    return (project.top / "out-0.txt").read_text().splitlines()


def test_what_the_status_says_is_what_ls_says(project: Project) -> None:
    own_files(project, "done", "stuck", "waits")
    drop_own(project, "done")
    drop_own(project, "stuck", "max_failures: 1")
    drop_own(project, "waits", "depends_on: [stuck]")
    logging_agent(project, then='[ "$ORCH_TASK" = stuck ] || : > "$ORCH_TASK.todo"')

    project.run(code=1)

    document = json.loads(project.run("--status", "--json", code=0).stdout)
    assert document["counts"] == {"pending": 1, "running": 0, "converged": 1, "blocked": 1}
    assert {task["name"]: task["state"] for task in document["tasks"]} == {
        name: project.where(name) for name in ("done", "stuck", "waits")
    }
    shutil.rmtree(project.tasks / "blocked/stuck")
    assert "stuck" not in [task["name"] for task in project.status()["tasks"]]
