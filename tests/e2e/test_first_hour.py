"""What a newcomer does in the first hour: is every line that is printed true, and is nothing missing?"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from support.project import Project

COUNT = "echo METRIC left=$(grep -c . todo.txt)"
ALL_GONE = ": > todo.txt"


def holding_agent(project: Project) -> Path:
    """An agent that leaves a note, then works once `go` is there."""
    go = project.top / "go"
    project.agent(f"echo note >> notes.txt; while [ ! -e {go} ]; do sleep 0.02; done; {ALL_GONE}")
    return go


def at_work(project: Project, name: str) -> bool:
    return bool(project.task(name)["stage"] == "agent")


def test_a_loop_says_at_once_what_it_watches(project: Project) -> None:
    project.agent("true")
    project.start("--loop")
    out = project.top / "out-0.txt"
    project.wait(lambda: f"Watching {project.tasks}/pending" in out.read_text(), why="a first line")
    project.run("--stop", code=0)


def test_what_is_added_while_a_loop_runs_is_told_however_fast_it_is_claimed(project: Project) -> None:
    holding_agent(project)
    project.start("--loop", "--parallel", "8")
    project.wait(lambda: project.status()["loop"]["running"], why="the loop runs")
    for number in range(5):
        name = f"task-{number}"
        done = project.run("add", name, "--goal", "x", "--metric", "left", "--target", "0", "--benchmark", COUNT, code=0)
        assert done.stdout == f"{project.tasks}/pending/{name} is pending.\n"
        assert done.stderr == ""
    project.run("--stop", code=0)


def test_a_goal_given_to_add_and_then_to_edit_is_said_once(project: Project) -> None:
    project.run("add", "fix", "--goal", "the old one", "--metric", "left", "--benchmark", COUNT, code=0)
    project.run("edit", "fix", "--goal", "the new one", code=0)
    text = (project.folder("fix") / "autoresearch.md").read_text()
    assert "## Goal\n\nthe new one\n" in text
    assert "goal:" not in text
    assert "the old one" not in text


def test_a_spec_broken_while_its_task_runs_changes_no_number_that_is_shown_and_is_told(project: Project) -> None:
    go = holding_agent(project)
    project.drop("fix", front="metric: {name: left, direction: lower, target: 1}")
    project.start("--loop")
    project.wait(lambda: at_work(project, "fix"), why="the agent runs")
    before = project.task("fix")["metrics"]
    spec = project.folder("fix") / "autoresearch.md"
    spec.write_text(spec.read_text().replace("metric: {", "metric: ["))

    assert project.task("fix")["metrics"] == before
    assert before[0]["target"] == 1
    assert "its spec can't be read any more" in project.run("--status", code=0).stdout
    assert "Its worker goes on with what it read last" in project.run("why", "fix", code=0).stdout

    go.touch()
    project.wait(lambda: project.where("fix") == "converged", why="it converges by the last good spec")
    project.run("--stop", code=0)


def test_the_agent_shown_is_the_one_that_works_whatever_the_onlooker_has_set(project: Project) -> None:
    go = holding_agent(project)
    project.drop("fix")
    project.start("--loop")
    project.wait(lambda: at_work(project, "fix"), why="the agent runs")
    onlooker = {"ORCH_AGENT": "scripted"}
    seen = json.loads(project.run("show", "fix", "--json", code=0, **onlooker).stdout)
    assert seen["agent"] == "exec"
    assert "`orchestrator logs -f fix`" in project.run("why", "fix", code=0).stdout
    go.touch()
    project.wait(lambda: project.where("fix") == "converged", why="it converges")
    project.run("--stop", code=0)
    assert json.loads(project.run("show", "fix", "--json", code=0, **onlooker).stdout)["agent"] == "exec"


def test_updated_moves_with_the_task_and_its_events_begin_with_the_claim(project: Project) -> None:
    project.agent(ALL_GONE)
    project.drop("fix")
    project.run(code=0)
    record = project.record("fix")
    assert record["updated"] > record["created"]
    told = project.events("fix")
    assert told[0]["event"] == "claimed"
    assert told[-1]["event"] == "moved"
    assert all(
        event["schema"] == 1 and event["task"] == "fix" and event["at"].endswith("Z") and "attempt" in event for event in told
    )


def test_the_number_of_a_converged_task_is_the_one_that_was_verified(project: Project) -> None:
    """What a killed attempt left is measured by the next claim, and may be at target by itself."""
    holding_agent(project)
    project.env["ORCH_AGENT_CMD"] = f"{ALL_GONE}; echo x > {project.top}/half; " + project.env["ORCH_AGENT_CMD"]
    project.drop("fix", front="metric: {name: left, target: 0}")
    project.start("--loop")
    project.wait((project.top / "half").exists, why="the agent has done it and not ended")
    os.kill(project.worker_pid("fix"), signal.SIGKILL)
    project.wait(lambda: project.where("fix") == "converged", why="what it left is measured and lands")
    assert "left 3 -> 0 (target 0)" in project.run("--status", code=0).stdout
    project.run("--stop", code=0)


def test_a_task_that_nobody_can_work_on_is_missing_an_agent(project: Project) -> None:
    project.drop("fix")
    project.env.pop("ORCH_AGENT", None)
    project.env.pop("ORCH_AGENT_CMD", None)
    told = project.run("--check", code=1).stdout
    assert "none is chosen, and 1 pending task names none" in told
    assert "1 thing missing" in told


def test_a_command_for_the_agent_exec_chooses_it(project: Project) -> None:
    project.env.pop("ORCH_AGENT", None)
    project.env["ORCH_AGENT_CMD"] = ALL_GONE
    project.drop("fix")
    assert "(chosen)" in project.run("--check", code=0).stdout
    settings = json.loads(project.run("--config", "--json", code=0).stdout)["settings"]
    assert (settings["agent"]["value"], settings["agent"]["source"]) == ("exec", "ORCH_AGENT_CMD")
    done = project.run(code=0)
    assert done.stderr == ""


def test_a_wrong_setting_is_told_with_the_ways_to_set_it_that_there_are(project: Project) -> None:
    told = project.run("--status", code=2, ORCH_CONVERGE="zero").stderr
    assert "ORCH_CONVERGE or `converge` in orchestrator.toml" in told
    assert "--converge" not in told
    assert "--parallel, ORCH_PARALLEL" in project.run("--status", code=2, ORCH_PARALLEL="many").stderr


def test_hooks_run_around_each_attempt_and_before_the_worktree_goes(project: Project) -> None:
    log = project.top / "hooks.log"
    hooks = "".join(
        f'{name} = "echo {name} $ORCH_TASK $(basename $PWD) >> {log}"\n'
        for name in ("after_create", "before_run", "after_run", "before_remove")
    )
    (project.top / "orchestrator.toml").write_text(f"[hooks]\n{hooks}")
    project.agent(f"echo agent >> {log}; {ALL_GONE}")
    project.drop("fix")
    project.run(code=0)
    told = [line for line in log.read_text().splitlines() if not line.endswith(".verify")]
    assert told == ["after_create fix fix", "before_run fix fix", "agent", "after_run fix fix", "before_remove fix fix"]


def test_a_hook_that_must_succeed_and_does_not_keeps_the_agent_from_starting(project: Project) -> None:
    (project.top / "orchestrator.toml").write_text('[hooks]\nbefore_run = "echo no database >&2; exit 3"\n')
    project.agent(f"touch {project.top}/started; {ALL_GONE}")
    project.drop("fix")
    project.run()
    assert not (project.top / "started").exists()
    assert "no database" in project.run("why", "fix", code=0).stdout
    project.run("block", "fix", code=0)


def test_an_agent_that_changes_the_repositorys_configuration_is_reported(project: Project) -> None:
    project.agent(f"git config core.editor vi; {ALL_GONE}")
    project.drop("fix")
    project.run()
    assert [event["detail"] for event in project.events("fix") if event["event"] == "finding"] == [
        "the repository's git configuration or hooks changed while the agent ran"
    ]


def test_check_warns_where_git_tracks_the_queue(project: Project) -> None:
    project.agent("true")
    inside = {"ORCH_TASKS": str(project.repo / "tasks")}
    project.commit({"tasks/pending/fix/autoresearch.md": "# fix\n"})
    assert "git tracks files in" in project.run("--check", code=0, **inside).stdout
