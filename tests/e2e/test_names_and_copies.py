"""Copies, names used again, odd names, links and moves by hand: every task keeps its own work, and nothing is mixed up."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.project import Project

from orchestrator.cli.following import Follower
from orchestrator.store.queue import Queue

ALL_GONE = ": > todo.txt"


def refs(project: Project) -> list[str]:
    return project.git("for-each-ref", "--format=%(refname)", "refs/orchestrator", "refs/heads").splitlines()


def if_there(source: str, target: str) -> None:
    """Where a worker is at work, a file for the moment goes between the listing and the copy."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def refill(project: Project) -> str:
    """Work for the next task: the list is full again."""
    return project.commit({"todo.txt": "again\n"})


# --- copies and names used again ------------------------------------------------------------------------------------


def test_a_copy_of_a_converged_task_starts_afresh_on_a_branch_of_its_own(project: Project) -> None:
    project.drop("first")
    project.agent(f"{ALL_GONE}; echo $ORCH_TASK >> who.txt")
    project.run(code=0)
    before = project.record("first")
    refill(project)

    shutil.copytree(project.tasks / "converged/first", project.tasks / "pending/second")
    project.run(code=0)

    after = project.record("second")
    assert after["id"] != before["id"]
    assert after["branch"] != before["branch"]
    assert (after["attempts"], len(after["history"])) == (1, 1)
    assert project.record("first") == before
    assert project.git("show", "main:who.txt") == "first\nsecond"
    assert not any(event["task"] == "first" for event in project.events("second"))


@pytest.mark.parametrize("state", ["pending", "blocked", "converged"])
def test_a_copy_tells_nothing_of_what_its_original_did_and_landed(project: Project, state: str) -> None:
    project.drop("first")
    project.agent(ALL_GONE)
    project.run(code=0)
    told = project.run("report", "first").stdout

    shutil.copytree(project.tasks / "converged/first", project.tasks / state / "second")
    assert project.task("second")["landed"] is None
    for command in ("show", "why", "diff", "logs", "report", "recover"):
        done = project.run(command, "second", code=None)
        assert not re.search("merged into|attempt 1|0001|finished", done.stdout), done.stdout
    assert json.loads(project.run("logs", "second", "--json").stdout)["attempts"] == []
    assert "Nothing has been done for 'second' yet" in project.run("logs", "second").stderr
    for only_events in (False, True):
        follower = Follower(Queue(project.tasks), "second", only_events=only_events)
        assert not list(follower.news(follower.where()))
    assert project.run("report", "first").stdout == told


def test_a_task_from_a_backup_under_another_name_still_tells_what_it_landed(project: Project) -> None:
    project.drop("first")
    project.agent(ALL_GONE)
    project.run(code=0)
    shutil.copytree(project.tasks / "converged/first", project.tasks / "converged/again")
    shutil.rmtree(project.tasks / "converged/first")
    assert "merged into main" in project.run("show", "again").stdout
    assert "converged, merge" in project.run("report", "again").stdout


def test_a_copy_waits_for_nothing_that_its_original_waits_for_and_has_none_of_its_numbers(project: Project) -> None:
    """A review that nobody can answer for the copy, and a back-off."""
    mine = '#!/bin/sh\necho "METRIC missing=$([ -e $ORCH_TASK.txt ]; echo $?)"\n'
    project.agent("echo it > $ORCH_TASK.txt")
    project.drop("asks", front="review: required", benchmark=mine)
    project.run(code=75)
    project.agent("exit 1")
    project.drop("crashed", benchmark=mine)
    project.run(code=75, ORCH_BACKOFF="1h")

    shutil.copytree(project.tasks / "pending/asks", project.tasks / "pending/asked")
    shutil.copytree(project.tasks / "pending/crashed", project.tasks / "pending/crashing")

    for name in ("asked", "crashing"):
        told = project.task(name)
        assert (told["attempts"], told["branch"], told["reason"], told["not_before"]) == (0, None, None, None)
        assert {wait["kind"] for wait in told["waiting_on"]} <= {"settling"}
    project.agent("echo it > $ORCH_TASK.txt")
    project.run(code=75)
    assert project.where("crashing") == "converged"
    assert project.record("asked")["review"]["commit"] != project.record("asks")["review"]["commit"]


def test_a_copy_made_while_the_original_runs_takes_nothing_of_its_claim_along(project: Project) -> None:
    go = project.top / "go"
    project.agent(f"echo $ORCH_TASK >> {project.top}/ran; while [ ! -e {go} ]; do sleep 0.05; done; {ALL_GONE}")
    project.drop("running")
    project.start("--loop", "--parallel", "2")
    project.wait((project.top / "ran").exists, why="agent runs")

    shutil.copytree(project.folder("running"), project.top / "copied", copy_function=if_there)
    (project.top / "copied").rename(project.tasks / "pending/copied")  # whole: it would settle, and be claimed, between two files

    project.wait(lambda: "copied" in (project.top / "ran").read_text(), why="the copy runs beside it")
    ids = {name: project.record(name)["id"] for name in ("running", "copied")}
    assert ids["running"] != ids["copied"]
    go.touch()
    project.wait(lambda: [project.where(name) for name in ids] == ["converged"] * 2, why="both converge")
    project.run("--stop", code=0)
    assert sorted((project.top / "ran").read_text().split()) == ["copied", "running"]


def test_a_name_used_again_after_it_was_put_away_gets_its_own_branch_and_keeps_the_old_work(project: Project) -> None:
    project.drop("again")
    project.agent(f"{ALL_GONE}; date +%N > unique.txt")
    project.run(code=0)
    old = project.record("again")
    kept = {ref: project.git("rev-parse", ref) for ref in refs(project) if ref.startswith("refs/orchestrator")}
    assert kept
    shutil.rmtree(project.tasks / "converged/again")
    refill(project)

    project.drop("again")
    project.run(code=0)

    new = project.record("again")
    assert new["id"] != old["id"]
    assert new["attempts"] == 1
    assert {ref: project.git("rev-parse", ref) for ref in kept} == kept


@pytest.mark.parametrize("state", ["converged", "blocked"])
def test_of_two_folders_of_one_name_the_second_is_never_claimed_and_both_are_named(project: Project, state: str) -> None:
    project.drop("twin", state=state)
    second = project.drop("twin")
    project.agent(f"touch {project.top}/ran; {ALL_GONE}")

    done = project.run(code=1)

    assert not (project.top / "ran").exists()
    assert second.is_dir()
    assert str(project.tasks / state / "twin") in done.stdout
    assert "pending/twin" in done.stdout
    second.rename(project.tasks / "pending/no-twin")
    project.run(code=1 if state == "blocked" else 0)
    assert project.where("no-twin") == "converged"


def test_what_became_of_a_task_is_told_of_itself_and_not_of_a_second_folder_of_its_name(project: Project) -> None:
    go = project.top / "go"
    project.agent(f"touch {project.top}/in; until [ -e {go} ]; do sleep 0.02; done; {ALL_GONE}")
    project.drop("twin")
    drain = project.start()
    project.wait((project.top / "in").exists)
    second = project.drop("twin")
    project.wait(lambda: "found a second folder" in project.story())
    go.touch()

    assert drain.wait(60) == 1

    assert "twin: converged after 1 attempt, merged into main" in project.story()
    assert "is pending again" not in project.story()
    assert second.is_dir()


def test_a_task_whose_place_in_converged_was_taken_meanwhile_waits_and_merges_no_folders(project: Project) -> None:
    go = project.top / "go"
    project.agent(f"touch {project.top}/ran; while [ ! -e {go} ]; do sleep 0.05; done; {ALL_GONE}")
    project.drop("late")
    project.start("--loop")
    project.wait((project.top / "ran").exists, why="agent runs")
    squatter = project.tasks / "converged/late"
    squatter.mkdir(parents=True)
    (squatter / "notes.txt").write_text("a person's\n")
    go.touch()
    project.wait(lambda: project.git("show", "main:todo.txt") == "", why="lands")

    project.wait(lambda: project.task("late")["state"] == "running", why="waits for its place")
    assert sorted(path.name for path in squatter.iterdir()) == ["notes.txt"]
    squatter.rename(project.top / "taken-away")

    project.wait((project.tasks / "converged/late/.orch/state.json").exists, why="takes its place")
    project.run("--stop", code=0)
    assert project.record("late")["attempts"] == 1


# --- odd names ------------------------------------------------------------------------------------------------------

ODD = ("two words", "größe-✓", "semi;colon", "$(touch evil)", "quote'\"s", "a.b.c", "x.lock", "@{-1}", "n" * 200)
MARK = '#!/bin/sh\necho "METRIC missing=$([ -e "marks/$ORCH_TASK" ]; echo $?)"\n'


def test_odd_names_that_are_dropped_run_and_land(project: Project) -> None:
    for name in ODD:
        project.drop(name, benchmark=MARK)
    project.agent('mkdir -p marks; : > "marks/$ORCH_TASK"')

    done = project.run(code=0)

    messages = project.git("log", "--format=%B", "main").splitlines()
    for name in ODD:
        assert project.where(name) == "converged"
        assert f"{name}: converged" in done.stdout
        assert f"Task: {name}" in messages
    assert project.git("ls-tree", "-z", "--name-only", "main:marks").split("\0")[:-1] == sorted(ODD)
    assert not list(project.top.rglob("evil"))
    assert sorted(json_names(project)) == sorted(ODD)


def test_a_worker_is_called_by_its_task_in_whole_letters(project: Project) -> None:
    """The system keeps 15 bytes of a program's name; half a letter would be no text to whoever lists the processes."""
    project.drop("große-neÖfen")
    project.agent(f"{ALL_GONE}; cat /proc/$PPID/comm > {project.top}/name")
    project.run(code=0)
    assert (project.top / "name").read_text() == "orch große-ne\n"


def test_an_odd_name_can_be_given_to_every_command(project: Project) -> None:
    name = "two größe-✓ quote'\"s"
    project.agent(ALL_GONE)
    project.run("add", "--benchmark", """echo "METRIC left=$(grep -c . todo.txt)" """, "--goal", "Empty it", "--", name, code=0)
    for command in ("block", "retry", "stop", "queue", "cancel", "retry"):
        project.run(command, "--", name, code=0)
    project.run("--task", name, code=0)
    assert project.where(name) == "converged"
    for command in ("show", "logs", "diff", "why", "recover"):
        assert project.run(command, "--", name, code=0).stdout.strip()


# 300 characters are more than a file system takes; the newline and the others only a drop can bring.
IMPOSSIBLE = ("new\nline", "\x1b[31mred", "tab\there", "-rf", "--loop", "n" * 201)


def test_dropped_names_that_cannot_be_are_shown_harmlessly_and_left_alone(project: Project) -> None:
    folders = [project.drop(name) for name in IMPOSSIBLE]
    project.agent(f"touch {project.top}/ran")

    done = project.run(code=1)

    assert all(folder.is_dir() for folder in folders)
    assert not (project.top / "ran").exists()
    for told in (done.stdout, project.run("--status", code=0).stdout, project.run("list", code=0).stdout):
        assert "\x1b" not in told
        assert "\t" not in told
    lines = [line for line in done.stdout.splitlines() if " is invalid: " in line and "rename" in line.lower()]
    assert len(lines) == len(IMPOSSIBLE)
    assert len(project.status()["tasks"]) == len(IMPOSSIBLE)
    for number, folder in enumerate(folders):
        folder.rename(project.tasks / f"pending/plain-{number}")
    project.agent(ALL_GONE)
    project.run(code=0)


REFUSED = ("..", "-rf", ".", "", "../evil", "a/b", "/etc", "n" * 300, "new\nline", ".hidden")
NAMING = (["add", "--benchmark", "true", "--"], ["show", "--"], ["why", "--"], ["cancel", "--"], ["queue", "--"], ["--task"])


def test_the_command_line_refuses_names_that_cannot_be_and_touches_nothing(project: Project) -> None:
    project.run("--status", code=0)
    for state in ("running", "converged", "blocked"):
        (project.tasks / state).mkdir()
    before = contents(project)
    for number, name in enumerate(REFUSED):  # every name is given to two commands, every command gets three names or more
        for words in (NAMING[number % len(NAMING)], NAMING[(number + 3) % len(NAMING)]):
            given = [*words, name]
            done = project.run(*given)
            assert done.returncode in (1, 2), given
            assert "Traceback" not in done.stderr
            assert len(done.stderr) < 1000
            assert done.stderr.strip(), given
    assert contents(project) == before


def contents(project: Project) -> list[str]:
    """All that lies there, but for what is git's and what is ours."""
    return sorted(str(path) for path in project.top.rglob("*") if not {".git", ".orch"} & set(path.parts))


def test_a_dropped_name_that_is_no_utf_8_is_shown_and_left_alone(project: Project) -> None:
    folder = project.drop("good").rename(project.tasks / "pending" / os.fsdecode(b"caf\xe9"))
    project.agent(f"touch {project.top}/ran")

    done = project.run(code=1)

    assert "UTF-8" in done.stdout
    assert folder.is_dir()
    assert not (project.top / "ran").exists()
    assert len(json_names(project)) == 1
    project.run("list", code=0)


def json_names(project: Project) -> list[str]:
    return [task["name"] for task in project.status()["tasks"]]


# --- links ----------------------------------------------------------------------------------------------------------


def test_a_linked_task_folder_is_not_followed_and_says_what_to_do(project: Project) -> None:
    elsewhere = project.drop("real")
    outside = elsewhere.rename(project.top / "outside")
    (project.tasks / "pending/linked").symlink_to(outside)
    project.agent(f"touch {project.top}/ran")

    done = project.run(code=1)

    assert "link" in done.stdout
    assert not (project.top / "ran").exists()
    assert not (outside / ".orch").exists()
    assert (project.tasks / "pending/linked").is_symlink()


def test_a_linked_spec_is_refused_by_name(project: Project) -> None:
    folder = project.drop("spec")
    (folder / "autoresearch.md").rename(project.top / "elsewhere.md")
    (folder / "autoresearch.md").symlink_to(project.top / "elsewhere.md")
    project.agent(f"touch {project.top}/ran")

    done = project.run(code=1)

    assert "autoresearch.md" in done.stdout
    assert "link" in done.stdout
    assert not (project.top / "ran").exists()


def test_a_queue_reached_through_a_link_is_the_same_queue(project: Project) -> None:
    alias = project.top / "alias"
    alias.symlink_to(project.tasks)
    project.drop("aliased")
    project.agent(ALL_GONE)

    project.run("--tasks", str(alias), code=0)

    assert project.where("aliased") == "converged"


# --- moves by hand --------------------------------------------------------------------------------------------------


def test_a_folder_moved_out_of_running_with_its_token_gets_its_name_back(project: Project) -> None:
    project.agent(f"touch {project.top}/ran; sleep 60")
    project.drop("moved")
    project.start("--loop")
    project.wait((project.top / "ran").exists, why="agent runs")

    folder = project.folder("moved")
    folder.rename(project.tasks / "blocked" / folder.name)

    project.wait((project.tasks / "blocked/moved").is_dir, why="the token goes")
    project.wait(lambda: not list((project.tasks / "running").iterdir()), why="nothing is left behind")
    assert project.task("moved")["reason"] == "stopped"
    project.run("--stop", code=0)


def test_a_name_that_only_looks_like_a_token_is_kept(project: Project) -> None:
    project.drop("v1.abcdef")
    project.agent(ALL_GONE)

    project.run(code=0)

    assert project.where("v1.abcdef") == "converged"


def test_a_folder_put_into_running_by_a_person_is_worked_on_from_pending(project: Project) -> None:
    project.drop("impatient", state="running")
    project.agent(ALL_GONE)

    project.run(code=0)

    assert project.where("impatient") == "converged"


def test_a_blocked_task_moved_back_by_hand_is_the_same_as_retry(project: Project) -> None:
    project.drop("hard", front="max_failures: 1")
    project.agent("echo try >> notes.txt")
    project.run(code=1)
    before = project.record("hard")

    os.rename(project.tasks / "blocked/hard", project.tasks / "pending/hard")  # noqa: PTH104  what mv does
    project.agent(ALL_GONE)
    project.run(code=0)

    after = project.record("hard")
    assert (after["id"], after["branch"]) == (before["id"], before["branch"])
    assert after["failures"] == 0
    assert after["attempts"] == 2


def test_a_renamed_pending_task_goes_on_with_its_work(project: Project) -> None:
    project.drop("old-name")
    project.agent("sed -i 1d todo.txt")
    project.run("--once", code=0)
    before = project.record("old-name")

    (project.tasks / "pending/old-name").rename(project.tasks / "pending/new-name")
    project.run(code=0)

    after = project.record("new-name")
    assert after["id"] == before["id"]
    assert after["attempts"] == 3
    assert project.git("show", "main:todo.txt") == ""


def test_what_another_queue_of_the_repository_keeps_is_not_told_as_a_task_s_of_that_name_here(project: Project) -> None:
    project.drop("x")
    project.agent(ALL_GONE)
    project.run()
    project.git("revert", "-m", "1", "--no-edit", "HEAD")
    project.tasks = project.top / "another/tasks"
    project.env["ORCH_TASKS"] = str(project.tasks)
    project.run("init", str(project.tasks.parent))
    project.drop("x")
    project.run()
    own = {item["ref"]: item["task"] for item in json.loads(project.run("recover", "--json").stdout)["kept"]}
    assert own == {"refs/orchestrator/x/0001": "refs/orchestrator/x", "refs/orchestrator/x-2/0001": "x"}


def test_files_lying_in_the_state_folders_are_no_tasks(project: Project) -> None:
    for state in ("pending", "running", "converged", "blocked"):
        (project.tasks / state).mkdir(exist_ok=True)
        (project.tasks / state / "README.md").write_text("notes\n")
        (project.tasks / state / ".DS_Store").write_bytes(b"\0")

    project.run(code=0)

    assert json_names(project) == []
    assert all(Path(project.tasks / state / "README.md").exists() for state in ("pending", "running"))


def test_a_finished_task_whose_destination_is_taken_says_what_is_in_its_way_until_it_is_gone(project: Project) -> None:
    taken = project.tasks / "converged" / "b"
    project.drop("b", front="title: b")
    project.agent(f": > todo.txt; mkdir -p {taken}; touch {taken}/x")
    loop = project.start()
    project.wait(lambda: any("can't be let go of yet" in str(each.get("detail")) for each in running(project)), why="the notice")
    said = f"it has ended (converged), and {taken} is in the way"
    task = next(task for task in project.status()["tasks"] if task["state"] == "running")
    assert said in task["detail"]
    for words in (("--status",), ("list",), ("why", "b"), ("show", "b")):
        assert said in project.run(*words, code=0).stdout.replace("\n", " "), words
    taken.rename(project.top / "aside")
    loop.wait(60)
    assert (loop.returncode, project.where("b")) == (0, "converged")


def running(project: Project) -> list[dict[str, Any]]:
    """The events of the one task that runs."""
    lines = next(project.tasks.glob("running/*/.orch/events.jsonl")).read_text().splitlines()
    return [json.loads(line) for line in lines]
