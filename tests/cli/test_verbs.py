"""Moving tasks by name, idle and running, with living and dead workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.commands import Project, wait

SLOW = "echo begun; touch $ORCH_WORKTREE/begun; sleep 600"  # longer than anything here waits: what ends, was ended


def record(project: Project, state: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.tasks / state / name / ".orch" / "state.json").read_text())
    return found


@pytest.fixture
def busy(project: Project) -> subprocess.Popen[str]:
    """A loop whose agent is at work on `slow`."""
    project.agent(SLOW)
    project.drop("slow")
    loop = project.start("--loop")
    wait((project.top / ".worktrees" / "slow" / "begun").exists, "the agent's start")
    return loop


def test_what_is_moved_to_blocked_while_it_runs_is_not_there_for_what_ended_its_last_claim(project: Project) -> None:
    project.drop("slow")
    project.run("--agent", "exec", code=1)  # no command is set
    assert project.task("slow")["reason"] == "setup"
    project.run("retry", "slow")
    project.agent(SLOW)
    project.start("--loop")
    wait((project.top / ".worktrees" / "slow" / "begun").exists, "the agent's start")
    (running,) = (project.tasks / "running").iterdir()
    running.rename(project.tasks / "blocked" / "slow")
    assert project.task("slow")["reason"] == "stopped"


@pytest.mark.parametrize(("verb", "reason"), [("block", "stopped"), ("stop", "stopped"), ("cancel", "cancelled")])
def test_a_pending_task_is_blocked_with_the_reason_and_retry_undoes_it(project: Project, verb: str, reason: str) -> None:
    project.drop("fix")
    project.run(verb, "fix")
    task = project.task("fix")
    assert (task["state"], task["reason"]) == ("blocked", reason)
    project.run("retry", "fix")
    assert (project.task("fix")["state"], project.task("fix")["reason"]) == ("pending", None)


@pytest.mark.parametrize(
    ("verb", "state"), [("block", "pending"), ("cancel", "blocked"), ("retry", "blocked"), ("queue", "pending")]
)
def test_a_link_is_no_task_and_nothing_is_written_where_it_leads(project: Project, tmp_path: Path, verb: str, state: str) -> None:
    mine = project.drop("mine").rename(tmp_path / "mine")
    before = sorted(mine.iterdir())
    (link := project.tasks / state / "linked").symlink_to(mine)
    assert "symbolic link" in project.refused(verb, "linked", code=1)
    assert link.is_symlink()
    assert sorted(mine.iterdir()) == before


def test_cancelling_a_blocked_task_makes_that_its_reason_and_keeps_its_history(project: Project) -> None:
    kept = {"reason": "exhausted", "detail": "5 attempts in a row", "attempts": 5, "failures": 5, "serial": 7}
    project.drop("fix", state="blocked", record=kept)
    project.run("cancel", "fix")
    assert project.task("fix")["reason"] == "cancelled"
    facts = record(project, "blocked", "fix")
    assert (facts["id"], facts["attempts"], facts["failures"], facts["serial"]) == ("0" * 16, 5, 5, 8)
    told = project.run("why", "fix").stdout
    assert "cancelled by a person" in told
    assert "`orchestrator retry fix`" in told
    assert "`orchestrator recover fix`" in told
    project.run("retry", "fix")
    assert (project.task("fix")["state"], project.task("fix")["reason"]) == ("pending", None)


def test_cancelling_a_task_moved_to_blocked_by_hand_gives_it_a_record(project: Project) -> None:
    project.drop("fix", state="blocked")
    project.run("cancel", "fix")
    assert project.task("fix")["reason"] == "cancelled"


def test_cancelling_a_copy_leaves_the_original_and_its_worktree_alone(project: Project) -> None:
    project.agent("true")
    project.drop("fix", "max_failures: 1")
    project.run(code=1)
    worktree = project.top / ".worktrees" / "fix"
    assert worktree.is_dir()
    shutil.copytree(project.tasks / "blocked/fix", project.tasks / "blocked/copy")
    project.run("cancel", "copy")
    assert worktree.is_dir()
    assert (project.task("fix")["reason"], project.task("copy")["reason"]) == ("exhausted", "cancelled")
    assert "its worktree is removed" in project.run("cancel", "fix").stdout
    assert not worktree.is_dir()


def test_several_names_are_done_and_one_that_fails_does_not_keep_the_others_from_it(project: Project) -> None:
    for name in ("a", "b"):
        project.drop(name)
    done = project.run("block", "a", "nobody", "b", code=1)
    assert "There is no task called 'nobody'" in done.stderr
    assert [project.state(name) for name in ("a", "b")] == ["blocked", "blocked"]
    found = project.json("retry", "a", "b")
    assert [(task["name"], task["state"]) for task in found["tasks"]] == [("a", "pending"), ("b", "pending")]


def test_queue_takes_the_draft_off_and_changes_nothing_else(project: Project) -> None:
    folder = project.drop("fix", "# why\ndraft: true  # not yet\npriority: 3")
    before = (folder / "autoresearch.md").read_text()
    assert "no draft any more" in project.run("queue", "fix").stdout
    assert (folder / "autoresearch.md").read_text() == before.replace("draft: true  # not yet\n", "")
    assert "pending already" in project.run("queue", "fix").stdout


@pytest.mark.parametrize("state", ["blocked", "converged"])
def test_queue_begins_a_finished_task_anew(project: Project, state: str) -> None:
    project.drop("fix", state=state, record={"reason": "gate" if state == "blocked" else "converged", "failures": 5})
    project.run("queue", "fix")
    assert project.task("fix")["ready"] is True


@pytest.mark.parametrize(("state", "verb"), [("converged", "queue"), ("blocked", "queue"), ("blocked", "retry")])
def test_a_copy_is_not_said_to_go_on_with_what_is_the_original_s(project: Project, state: str, verb: str) -> None:
    facts = {"reason": "gate", "branch": "orchestrator/fix", "doubt": "the benchmark was edited"}
    shutil.copytree(project.drop("fix", state=state, record=facts), project.tasks / state / "copy")
    assert " anew\n" in project.run(verb, "copy").stdout
    assert " anew, on the same branch. Taken for yours from now on: the benchmark" in project.run(verb, "fix").stdout


def test_queue_on_a_spec_that_cannot_be_read_says_where(project: Project) -> None:
    project.drop("fix", "draft: true\npriority: [")
    assert "autoresearch.md:" in project.refused("queue", "fix", code=1)


def test_retry_ends_the_wait_of_a_parked_task_and_resets_its_counters(project: Project) -> None:
    project.drop(
        "fix",
        record={"reason": "backoff", "detail": "x", "not_before": time.time() + 900, "failures": 3, "attempts": 4, "backoffs": 4},
    )
    assert project.task("fix")["waiting_on"][0]["kind"] == "backoff"
    project.run("retry", "fix")
    facts = record(project, "pending", "fix")
    assert (facts["not_before"], facts["failures"], facts["attempts"], facts["reason"]) == (None, 0, 4, None)
    assert "pending already" in project.run("retry", "fix").stdout


def test_what_has_converged_is_neither_retried_nor_stopped(project: Project) -> None:
    project.drop("fix", state="converged", record={"reason": "converged"})
    for verb in ("retry", "stop", "cancel"):
        assert "has converged" in project.refused(verb, "fix", code=1)
    assert project.state("fix") == "converged"


def test_a_verb_never_replaces_another_folder(project: Project) -> None:
    project.drop("fix", state="blocked", record={"reason": "gate"})
    (project.tasks / "pending" / "fix").mkdir()
    assert "more than one task" in project.refused("retry", "fix", code=1)


def test_stopping_a_running_task_ends_its_agent_and_keeps_the_work(project: Project, busy: subprocess.Popen[str]) -> None:
    assert "its work is saved" in project.run("stop", "slow").stdout  # else its agent worked on until the folder was taken
    facts = record(project, "blocked", "slow")
    assert (facts["reason"], facts["attempts"], facts["failures"]) == ("stopped", 0, 0)
    assert project.git("log", "-1", "--format=%s", "--name-only", "orchestrator/slow").splitlines()[-1] == "begun"
    assert busy.poll() is None  # the loop goes on


def test_cancelling_a_running_task_removes_its_worktree_and_keeps_its_commits(
    project: Project, busy: subprocess.Popen[str]
) -> None:
    assert "worktree is removed" in project.run("cancel", "slow").stdout
    assert record(project, "blocked", "slow")["reason"] == "cancelled"
    assert not (project.top / ".worktrees" / "slow").exists()
    assert "begun" in project.run("recover", "slow", "--show", project.json("recover", "slow")["kept"][0]["label"]).stdout
    assert busy.poll() is None


def test_a_task_whose_worker_and_loop_died_can_be_stopped_and_its_orphans_end(
    project: Project, busy: subprocess.Popen[str]
) -> None:
    lease = json.loads(next(project.tasks.glob("running/slow.*/.orch/lease.json")).read_text())
    os.kill(busy.pid, signal.SIGKILL)
    busy.wait(60)
    os.kill(lease["owner"]["pid"], signal.SIGKILL)
    wait(lambda: "lost" in project.run("list").stdout, "the loss in the list")
    assert "worker has died" in project.run("why", "slow").stdout
    for verb in ("retry", "queue"):
        assert "its worker has died" in project.run(verb, "slow").stdout
    told = project.run("stop", "slow").stdout
    assert ("its work is saved" in told, "what is not saved stays in its worktree" in told) == (False, True)
    assert (project.top / ".worktrees/slow/begun").exists()
    assert record(project, "blocked", "slow")["reason"] == "stopped"
    wait(lambda: not project.survivors(), "the orphans' end")


def orphaned(project: Project, loop: subprocess.Popen[str], to: str) -> None:
    """Loop and worker have died, the agent works on, and a person moves the task."""
    (running,) = (project.tasks / "running").iterdir()
    lease = json.loads((running / ".orch" / "lease.json").read_text())
    os.kill(loop.pid, signal.SIGKILL)
    os.kill(lease["owner"]["pid"], signal.SIGKILL)
    running.rename(project.tasks / to.format(running.name))
    wait(lambda: not project.json("--status")["loop"]["running"], "the loop's end")


@pytest.mark.parametrize(
    ("state", "verb"), [("pending", "block"), ("pending", "cancel"), ("blocked", "cancel"), ("converged", "prune")]
)
def test_no_verb_leaves_an_agent_behind_at_a_task_that_was_moved_by_hand(
    project: Project, busy: subprocess.Popen[str], state: str, verb: str
) -> None:
    orphaned(project, busy, f"{state}/slow")
    project.run(verb, *([] if verb == "prune" else ["slow"]))
    wait(lambda: not project.survivors(), "the orphans' end")
    assert (project.top / ".worktrees/slow").exists() == (verb == "block")


@pytest.mark.parametrize("to", ["blocked/slow", "blocked/{}", "converged/slow"])  # {}: with its token, as `mv` leaves it
def test_a_loop_ends_the_agent_of_a_dead_worker_whose_task_was_moved_by_hand(
    project: Project, busy: subprocess.Popen[str], to: str
) -> None:
    orphaned(project, busy, to)
    assert project.survivors()
    project.run(code=None)
    assert not project.survivors()


def test_a_worker_that_dies_once_its_task_was_moved_by_hand_leaves_no_agent(
    project: Project, busy: subprocess.Popen[str]
) -> None:
    (running,) = (project.tasks / "running").iterdir()
    lease = json.loads((running / ".orch" / "lease.json").read_text())
    os.kill(lease["owner"]["pid"], signal.SIGSTOP)  # it doesn't see the move
    running.rename(project.tasks / "blocked" / "slow")
    os.kill(lease["owner"]["pid"], signal.SIGKILL)
    wait(lambda: lease["agent"]["pid"] not in project.survivors(), "the agent's end")
    assert busy.poll() is None


@pytest.mark.parametrize(("state", "verb"), [("blocked", "cancel"), ("converged", "prune")])
def test_a_worktree_stays_while_its_worker_has_not_ended(
    project: Project, busy: subprocess.Popen[str], state: str, verb: str
) -> None:
    (running,) = (project.tasks / "running").iterdir()
    worker = json.loads((running / ".orch" / "lease.json").read_text())["owner"]["pid"]
    os.kill(worker, signal.SIGSTOP)
    running.rename(project.tasks / state / "slow")
    told = project.run(verb, *([] if verb == "prune" else ["slow"]), code=int(verb == "prune")).stdout
    assert f"its last worker (process {worker}) is still stopping" in told
    assert (project.top / ".worktrees/slow/begun").exists()
    os.kill(worker, signal.SIGCONT)
    wait(lambda: not project.survivors() or project.survivors() == [busy.pid], "the worker's end")
    project.run(verb, *([] if verb == "prune" else ["slow"]))
    assert not (project.top / ".worktrees/slow").exists()


@pytest.mark.parametrize("state", ["blocked", "converged"])
def test_what_was_measured_of_a_task_that_is_moved_out_of_running_by_hand_is_still_shown(
    project: Project, busy: subprocess.Popen[str], state: str
) -> None:
    folder = next((project.tasks / "running").iterdir())
    folder.rename(project.tasks / state / "slow")
    wait(lambda: not project.survivors(), "the worker's end")
    (metric,) = project.json("show", "slow")["metrics"]
    assert (metric["baseline"], project.task("slow")["stage"]) == (3, None)
    assert "left 3 " in project.run("--status").stdout


def test_an_orphaned_folder_in_running_can_be_stopped(project: Project) -> None:
    project.drop("fix", state="running")
    project.run("block", "fix")
    assert (project.state("fix"), project.task("fix")["reason"]) == ("blocked", "stopped")
    project.drop("other", state="running")
    project.run("cancel", "other")
    assert (project.state("other"), project.task("other")["reason"]) == ("blocked", "cancelled")


def test_an_orphaned_folder_whose_record_can_not_be_read_can_be_stopped(project: Project) -> None:
    project.drop("fix", state="running")
    (project.tasks / "running/fix/.orch").mkdir(exist_ok=True)
    (project.tasks / "running/fix/.orch/state.json").write_text("{")
    assert "lies in blocked" in project.run("stop", "fix").stdout
    assert project.state("fix") == "blocked"


def test_stop_ends_the_loop_and_puts_its_task_back(project: Project, busy: subprocess.Popen[str]) -> None:
    begun = time.monotonic()
    assert project.run("--stop").stdout == "Stopped 1 loop.\n"
    assert time.monotonic() - begun < 40  # the agent has a minute
    assert busy.wait(60) == 0
    assert project.state("slow") == "pending"
    assert record(project, "pending", "slow")["attempts"] == 0
    assert project.run("--stop").stdout == "No loop was running.\n"


def test_stop_says_of_a_loop_that_hears_nothing_how_it_goes_on(project: Project) -> None:
    loop = project.start("--loop")
    wait(lambda: project.json("--status")["loop"]["pid"] == loop.pid, "the loop")
    os.kill(loop.pid, signal.SIGSTOP)
    stop = project.start("--stop")
    assert stop.stderr is not None
    assert stop.stderr.readline() == "waiting for 1 loop to put its tasks back …\n"
    os.kill(loop.pid, signal.SIGCONT)
    assert (stop.wait(60), loop.wait(60)) == (0, 0)
    assert f"`kill -CONT {loop.pid}`" in stop.stderr.read()


def test_stop_also_ends_workers_whose_loop_was_killed(project: Project, busy: subprocess.Popen[str]) -> None:
    os.kill(busy.pid, signal.SIGKILL)
    busy.wait(60)
    assert "1 worker of an ended one still works" in project.run("--status").stdout
    assert project.run("--stop").stdout == "No loop was running; stopped 1 worker that an ended one had left.\n"
    wait(lambda: project.state("slow") == "pending", "the task's way back")


def test_stop_also_ends_the_agent_of_a_worker_that_died_with_its_loop(project: Project, busy: subprocess.Popen[str]) -> None:
    lease = json.loads(next(project.tasks.glob("running/slow.*/.orch/lease.json")).read_text())
    os.kill(busy.pid, signal.SIGKILL)
    busy.wait(60)
    os.kill(lease["owner"]["pid"], signal.SIGKILL)
    wait(lambda: "lost" in project.run("list").stdout, "the loss in the list")
    told = project.run("--stop").stdout
    assert told == "No loop was running.\nslow: what its dead worker left running is ended; the next loop goes on with it.\n"
    wait(lambda: not project.survivors(), "the end of what a spare left")
    assert (project.top / ".worktrees/slow/begun").exists()
    assert project.run("--stop").stdout == "No loop was running.\n"


@pytest.mark.parametrize("keeps_its_token", [True, False])
def test_stop_also_ends_the_agent_of_a_dead_worker_whose_task_was_moved_by_hand(
    project: Project, busy: subprocess.Popen[str], *, keeps_its_token: bool
) -> None:
    folder = next(project.tasks.glob("running/slow.*"))
    worker = json.loads((folder / ".orch/lease.json").read_text())["owner"]["pid"]
    os.kill(busy.pid, signal.SIGKILL)
    busy.wait(60)
    os.kill(worker, signal.SIGKILL)
    wait(lambda: "lost" in project.run("list").stdout, "the loss in the list")
    folder.rename(project.tasks / "blocked" / (folder.name if keeps_its_token else "slow"))
    told = project.run("--stop").stdout
    assert told == "No loop was running.\nWhat 1 dead worker had left running is ended; its task was moved by hand.\n"
    wait(lambda: not project.survivors(), "the end of what a spare left")


def test_the_status_tells_of_a_running_task(project: Project, busy: subprocess.Popen[str]) -> None:
    project.drop("next")
    wait(lambda: project.task("slow")["stage"] == "agent", "the stage")
    found = project.json("--status")
    assert found["loop"]["pid"] == busy.pid
    task = next(task for task in found["tasks"] if task["name"] == "slow")
    assert task["owner"]["pid"]
    assert task["owner"]["heartbeat_age"] < 60
    assert "agent, for" in project.run("--status").stdout
    wait(lambda: [each["kind"] for each in project.task("next")["waiting_on"]] == ["capacity"], "the full slots")
    assert "a slot" in project.run("why", "next").stdout.lower()


def test_verbs_say_that_a_running_task_is_running(project: Project, busy: subprocess.Popen[str]) -> None:
    for verb in ("retry", "queue"):
        assert project.run(verb, "slow").stdout == "slow is running already\n"
    assert busy.poll() is None


def test_a_read_only_queue_is_told_as_such(project: Project, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder = project.drop("fix")
    folder.parent.chmod(0o555)
    try:
        assert "permission" in project.refused("block", "fix", code=1).lower()
    finally:
        folder.parent.chmod(0o755)


def test_an_edit_beside_an_agent_says_that_it_counts_after_retry_and_so_do_why_and_show(project: Project) -> None:
    project.drop("x")
    project.agent(f"touch {project.top}/works; until [ -e {project.top}/go ]; do sleep 0.02; done; sed -i 1d todo.txt")
    loop = project.start("--once", ORCH_CONVERGE="1")
    wait((project.top / "works").exists, "an agent")
    said = project.run("edit", "x", "--priority", "2").stdout  # decides nothing about the work
    assert said == "x is changed; priority counts from its next claim.\n"
    said = project.run("edit", "x", "--target", "2", "--priority", "3").stdout
    assert "priority, metrics count from its next claim, metrics only after `orchestrator retry x`" in said
    said = project.run("edit", "x", "--target", "1").stdout
    assert "metrics counts from its next claim, and only after `orchestrator retry x` (`queue` where it has converged)" in said
    (project.top / "go").touch()
    loop.communicate(timeout=60)
    assert project.state("x") == "pending"
    for command in ("why", "show"):
        told = project.run(command, "x").stdout
        assert "metrics in the spec changed while an agent ran" in told
        assert "If that was you, `orchestrator retry x` makes it count" in told
    assert "Taken for yours from now on: metrics in the spec" in project.run("retry", "x").stdout
    assert "changed while an agent ran" not in project.run("why", "x").stdout
    project.agent("sed -i 1d todo.txt")
    project.run()
    assert project.state("x") == "converged"
