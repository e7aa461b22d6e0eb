"""What people type, against a real queue with real work in it: what is said is true, and nothing else happens."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from support.project import Project

ALL_GONE = ": > todo.txt"
COUNT = 'echo "METRIC left=$(grep -c . todo.txt)"'


def document(project: Project, *args: str) -> dict[str, object]:
    """The one JSON document that a command prints; nothing else may be on stdout."""
    done = project.run(*args, "--json", code=0)
    data = json.loads(done.stdout)
    assert isinstance(data, dict)
    return data


@pytest.fixture
def finished(project: Project) -> Project:
    """One task that converged after two tries, one that is blocked after two."""
    project.drop("good")
    project.drop("stuck", front="max_failures: 2\nbase: other", benchmark="#!/bin/sh\necho METRIC left=7\n")
    project.git("branch", "other")
    project.agent(
        'echo "agent of $ORCH_TASK speaks"; if [ $ORCH_TASK = good ]; then sed -i "1,2d" todo.txt; else echo x >> junk; fi'
    )
    project.run(code=1)
    return project


@pytest.fixture
def busy(project: Project) -> Project:
    """A loop with a task whose agent waits for the file `go`."""
    project.drop("busy")
    project.agent(
        f"echo half > half.txt; echo $$ > {project.top}/pid; while [ ! -e {project.top}/go ]; do sleep 0.05; done; {ALL_GONE}"
    )
    project.start("--loop")
    project.wait(lambda: (project.top / "pid").read_text().strip(), why="agent runs")
    return project


def agent_ended(project: Project) -> bool:
    """Its number may be another's by now; what works on this project has its queue's path in its environment."""
    try:
        environ = Path(f"/proc/{(project.top / 'pid').read_text().strip()}/environ").read_bytes()
    except OSError:
        return True
    return f"ORCH_TASKS={project.tasks}".encode() not in environ.split(b"\0")


def kept(project: Project, file: str) -> bool:
    """Whether the file is in a commit that a ref of ours holds."""
    refs = project.git("for-each-ref", "--format=%(refname)", "refs/orchestrator").splitlines()
    return any(file in project.git("ls-tree", "--name-only", ref).splitlines() for ref in refs)


@pytest.mark.parametrize("words", [["strat"], ["loop"], ["run", "everything"], ["--lop"], ["-x"], ["stauts", "--loop"]])
def test_a_word_that_means_nothing_starts_nothing(project: Project, words: list[str]) -> None:
    project.drop("task")
    project.agent(f"touch {project.top}/ran")

    done = project.run(*words, code=2)

    assert done.stdout == ""
    assert project.where("task") == "pending"
    assert not (project.tasks / "pending/task/.orch").exists()
    assert not (project.top / "ran").exists()


def test_add_gives_a_running_loop_a_whole_task(project: Project) -> None:
    project.agent(ALL_GONE)
    project.start("--loop", ORCH_SETTLE="1h")  # what comes by `add` doesn't have to settle
    project.wait(lambda: project.status()["loop"]["running"], why="loop runs")

    project.run("add", "made", "--goal", "Empty it", "--benchmark", COUNT, "--metric", "left", "--target", "0", code=0)

    project.wait(lambda: project.where("made") == "converged", why="converges")
    assert "invalid" not in (project.top / "out-0.txt").read_text()
    project.run("--stop", code=0)


def test_edit_changes_one_line_keeps_comments_and_counts_for_the_next_claim(project: Project) -> None:
    folder = project.drop("edited", front="# what matters\npriority: 1   # low\nconverge: 3\ncolour: blue")

    project.run("edit", "edited", "--priority", "8", code=0)

    text = (folder / "autoresearch.md").read_text()
    assert text.startswith("---\n# what matters\npriority: 8   # low\nconverge: 3\ncolour: blue\n---\n")
    assert project.task("edited")["priority"] == 8


def test_what_is_told_of_a_converged_task_is_true(finished: Project) -> None:
    record = finished.record("good")
    landed = record["landed"]["commit"]
    assert landed == finished.git("rev-parse", "main")

    shown = document(finished, "show", "good")
    assert "converged" in json.dumps(shown)
    assert landed in json.dumps(shown)
    text = finished.run("show", "good", code=0).stdout
    assert landed[:10] in text
    assert "agent of good speaks" in finished.run("logs", "good", code=0).stdout
    assert "-three" in finished.run("diff", "good", code=0).stdout.splitlines()
    assert "todo.txt" in finished.run("diff", "good", "--stat", code=0).stdout
    assert "converged" in finished.run("why", "good", code=0).stdout
    recovered = finished.run("recover", "good", code=0).stdout
    assert "0001" in recovered
    assert "0002" in recovered


def test_what_is_told_of_a_blocked_task_is_true_and_says_what_to_do(finished: Project) -> None:
    text = finished.run("why", "stuck", code=0).stdout
    assert "exhausted" in text
    assert "retry stuck" in text
    shown = finished.run("show", "stuck", code=0).stdout
    assert "blocked" in shown
    assert "agent of stuck speaks" in finished.run("logs", "stuck", code=0).stdout
    assert "+x" in finished.run("diff", "stuck", code=0).stdout.splitlines()
    task = finished.task("stuck")
    assert (task["failures"], task["attempts"], task["max_failures"]) == (2, 2, 2)
    assert task["metrics"][0]["value"] == 7
    assert task["waiting_on"] == []


def test_every_json_answer_is_one_document_and_nothing_else(finished: Project) -> None:
    for words in (["--status"], ["--check"], ["--config"], ["--graph"], ["list"], ["recover"]):
        done = finished.run(*words, "--json")
        assert done.returncode in (0, 1), words
        assert isinstance(json.loads(done.stdout), dict), words
    for command in ("show", "diff", "why", "recover"):
        for name in ("good", "stuck"):
            assert document(finished, command, name), command


def test_retry_goes_on_from_the_work_of_the_blocked_task(finished: Project) -> None:
    branch = finished.record("stuck")["branch"]

    finished.run("retry", "stuck", code=0)

    task = finished.task("stuck")
    assert (task["state"], task["failures"], task["reason"]) == ("pending", 0, None)
    assert task["branch"] == branch
    finished.run(code=1)
    assert finished.record("stuck")["attempts"] == 4


@pytest.mark.parametrize(("verb", "reason"), [("stop", "stopped"), ("block", "stopped"), ("cancel", "cancelled")])
def test_a_running_task_is_taken_from_its_agent_and_its_work_kept(busy: Project, verb: str, reason: str) -> None:
    busy.run(verb, "busy", code=0)

    busy.wait(lambda: busy.where("busy") == "blocked", why="it is blocked")
    busy.wait(lambda: agent_ended(busy), why="the agent ends")
    busy.wait(lambda: kept(busy, "half.txt"), why="its work is kept")
    assert busy.task("busy")["reason"] == reason
    worktree = busy.repo / ".worktrees/busy"
    if verb == "cancel":
        busy.wait(lambda: not worktree.exists(), why="its worktree goes")
    assert "busy" not in subprocess.run(["ls", busy.tasks / "running"], capture_output=True, text=True, check=True).stdout

    (busy.top / "go").touch()
    busy.run("retry", "busy", code=0)
    busy.wait(lambda: busy.where("busy") == "converged", why="goes on")
    assert busy.git("show", "main:half.txt") == "half"
    busy.run("--stop", code=0)


def test_the_status_of_a_running_task_says_stage_owner_and_heartbeat(busy: Project) -> None:
    task = busy.task("busy")
    assert task["state"] == "running"
    assert task["stage"] == "agent"
    assert task["owner"]["pid"] == busy.worker_pid("busy")
    assert task["owner"]["heartbeat_age"] < 60
    text = busy.run("--status", code=0).stdout
    assert "busy" in text
    assert "agent" in text
    (busy.top / "go").touch()
    busy.wait(lambda: busy.where("busy") == "converged", why="converges")
    busy.run("--stop", code=0)
