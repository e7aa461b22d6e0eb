"""Kill it, stop it, move it away: nothing is lost, nothing is counted twice, nothing goes on running."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from support.project import Project

ALL_GONE = ": > todo.txt"


def slow_agent(project: Project, *, after: str = ALL_GONE) -> Path:
    """An agent that writes a file, then waits for `go` to appear before it does its work."""
    go = project.top / "go"
    project.agent(
        f"echo half >> half.txt; echo $$ >> {project.top}/agent-pids; while [ ! -e {go} ]; do sleep 0.05; done; {after}"
    )
    return go


def agent_runs(project: Project, times: int = 1) -> bool:
    pids = project.top / "agent-pids"
    return pids.exists() and len(pids.read_text().split()) >= times


def agent_pids(project: Project) -> list[int]:
    return [int(pid) for pid in (project.top / "agent-pids").read_text().split()]


def alive(project: Project, pid: int) -> bool:
    """Whether it is still the one of this project, which has its queue's path in its environment: its number may be another's by now."""
    try:
        return f"ORCH_TASKS={project.tasks}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # also one that has ended and is to be reaped
        return False


def test_the_loop_killed_mid_agent_leaves_the_worker_alone_and_the_next_loop_adopts_it(project: Project) -> None:
    go = slow_agent(project)
    project.drop("adopted")
    loop = project.start("--loop")
    project.wait(lambda: agent_runs(project), why="agent runs")
    loop.kill()
    loop.wait()
    worker = project.worker_pid("adopted")
    assert alive(project, worker)

    project.start("--loop")
    project.wait(lambda: project.status()["loop"]["running"], why="second loop runs")
    go.touch()

    project.wait(lambda: project.where("adopted") == "converged", why="the adopted worker finishes")
    assert len(agent_pids(project)) == 1
    assert project.record("adopted")["attempts"] == 1
    project.run("--stop", code=0)


@pytest.mark.parametrize("also_the_worker", [False, True])
def test_the_loop_killed_mid_landing_lands_once_when_it_is_started_again(project: Project, also_the_worker: bool) -> None:
    project.agent(f"{ALL_GONE}; cd {project.repo} && echo meanwhile > base.txt && git add base.txt && git commit -q -m moved")
    landing, go = project.top / "landing", project.top / "go"
    project.env["ORCH_VERIFY_CMD"] = (  # only the merged commit has the base's new file
        f"[ -e base.txt ] || exit 0; touch {landing}; while [ ! -e {go} ]; do sleep 0.05; done"
    )
    project.drop("lands")
    loop = project.start("--loop")
    project.wait(lambda: landing.exists() and project.task("lands")["stage"] == "land", why="the merged commit is being verified")
    loop.kill()
    loop.wait()
    if also_the_worker:
        os.kill(project.worker_pid("lands"), signal.SIGKILL)

    project.start("--loop")
    go.touch()
    project.wait(lambda: project.where("lands") == "converged", why="it lands")

    assert project.git("rev-list", "--count", "--merges", "main") == "1"
    assert (project.record("lands")["attempts"], project.record("lands")["failures"]) == (1, 0)
    assert project.git("status", "--porcelain") == ""
    project.run("--stop", code=0)


def test_a_killed_worker_s_task_is_reclaimed_at_once_its_agent_ended_and_no_failure_counted(project: Project) -> None:
    go = slow_agent(project)
    project.drop("reclaimed")
    project.start("--loop")
    project.wait(lambda: agent_runs(project), why="agent runs")
    os.kill(project.worker_pid("reclaimed"), signal.SIGKILL)

    project.wait(lambda: agent_runs(project, 2), why="a second agent runs")
    first = agent_pids(project)[0]
    assert not alive(project, first)
    scratch = [path.name for path in (project.tasks / ".orch/tmp").iterdir() if path.is_dir()]
    assert scratch == [project.folder("reclaimed").name.rpartition(".")[2]]  # the living worker's; the dead one's is gone
    go.touch()
    project.wait(lambda: project.where("reclaimed") == "converged", why="converges")

    record = project.record("reclaimed")
    assert record["failures"] == 0
    assert record["attempts"] == 1
    assert "half" in project.git("show", "main:half.txt")  # the first agent's work went on
    project.run("--stop", code=0)


def test_a_loop_begins_by_clearing_up_after_loop_and_worker_were_both_killed(project: Project) -> None:
    go = slow_agent(project)
    project.drop("left")
    loop = project.start("--loop")
    project.wait(lambda: agent_runs(project), why="agent runs")
    worker = project.worker_pid("left")
    os.kill(loop.pid, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    loop.wait()
    project.folder("left").rename(project.tasks / "pending" / "left")  # a person puts it back: nobody takes it over

    drain = project.start()
    project.wait(lambda: agent_runs(project, 2), why="another agent runs")
    assert not alive(project, agent_pids(project)[0])
    go.touch()
    assert drain.wait(60) == 0

    assert project.where("left") == "converged"
    assert [path.name for path in (project.tasks / ".orch/tmp").iterdir()] == [".clock"]
    assert list((project.tasks / ".orch/owners").iterdir()) == []


def test_stop_puts_the_task_back_without_using_an_attempt_and_ends_the_agent(project: Project) -> None:
    slow_agent(project)
    project.drop("put-back")
    loop = project.start("--loop")
    project.wait(lambda: agent_runs(project), why="agent runs")

    project.run("--stop", code=0)

    assert loop.wait(60) == 0
    assert project.where("put-back") == "pending"
    record = project.record("put-back")
    assert (record["attempts"], record["failures"], record["reason"]) == (0, 0, None)
    assert not any(alive(project, pid) for pid in agent_pids(project))
    refs = project.git("for-each-ref", "--format=%(refname)", "refs/orchestrator/put-back").splitlines()
    assert any(project.git("show", f"{ref}:half.txt", check=False) == "half" for ref in refs)


def test_ctrl_c_puts_tasks_back_and_ends_with_130(project: Project) -> None:
    slow_agent(project)
    project.drop("interrupted")
    loop = project.start("--loop")
    project.wait(lambda: agent_runs(project), why="agent runs")

    loop.send_signal(signal.SIGINT)

    assert loop.wait(60) == 130
    assert project.where("interrupted") == "pending"


def test_no_file_of_a_loop_gets_the_number_of_a_stream_that_was_closed_when_it_was_started(project: Project) -> None:
    project.agent("sleep 60")
    project.drop("a")
    loop = project.start_as(["sh", "-c", 'exec "$@" <&- 2>&-', "sh"], "--loop")
    project.wait(lambda: project.where("a") == "running" and project.worker_pid("a"), why="its worker")
    streams = [(Path("/proc") / str(loop.pid) / "fd" / name).readlink() for name in "02"]
    assert streams == [Path(os.devnull)] * 2


def test_a_request_that_came_too_late_is_not_asked_of_the_next_claim(project: Project) -> None:
    project.agent(ALL_GONE)
    folder = project.drop("x")
    (folder / ".orch").mkdir(exist_ok=True)
    (folder / ".orch/inbox").mkdir()
    (folder / ".orch/inbox/1-old.json").write_text('{"kind": "block"}')
    project.drop("y", benchmark="#!/bin/sh\nsleep 1.2; echo METRIC left=$(grep -c . todo.txt)\n")
    (project.folder("y") / ".orch").mkdir(exist_ok=True)
    (project.folder("y") / ".orch/inbox").mkdir()
    (project.folder("y") / ".orch/inbox/1-old.json").write_text('{"kind": "block"}')
    project.run(code=0)
    assert [project.where(name) for name in ("x", "y")] == ["converged", "converged"]


def test_a_stop_by_hand_is_heard_after_one_by_command(project: Project) -> None:
    project.start("--loop")
    project.wait(lambda: "Watching" in project.story(), why="the first loop")
    project.run("--stop", code=0)
    second = project.start("--loop")
    project.wait(lambda: project.story().count("Watching") == 2, why="the second loop")
    (project.tasks / ".orch/stop").touch()
    assert second.wait(60) == 0


def test_stop_without_a_loop_is_no_error(project: Project) -> None:
    project.run("--stop", code=0)


def test_a_running_task_moved_to_blocked_by_hand_stops_within_seconds_and_loses_nothing(project: Project) -> None:
    slow_agent(project)
    project.drop("taken")
    project.start("--loop")
    project.wait(lambda: agent_runs(project), why="agent runs")
    pid = agent_pids(project)[0]

    project.folder("taken").rename(project.tasks / "blocked/taken")

    project.wait(lambda: not alive(project, pid), why="the agent ends")
    project.wait(
        lambda: any(
            "half" in project.git("show", f"{ref}:half.txt", check=False)
            for ref in project.git("for-each-ref", "--format=%(refname)", "refs/orchestrator/taken").splitlines()
        ),
        why="the work is kept",
    )
    assert project.where("taken") == "blocked"
    assert project.task("taken")["reason"] == "stopped"
    project.run("--stop", code=0)
    assert sorted(path.name for path in (project.tasks / "running").iterdir()) == []


def test_a_running_task_moved_to_pending_by_hand_is_started_again(project: Project) -> None:
    go = slow_agent(project)
    project.drop("again")
    project.start("--loop")
    project.wait(lambda: agent_runs(project), why="agent runs")

    folder = project.folder("again")
    folder.rename(project.tasks / "pending" / folder.name)  # with its token, as `mv` does

    project.wait(lambda: agent_runs(project, 2), why="a second agent runs")
    go.touch()
    project.wait(lambda: project.where("again") == "converged", why="converges")
    assert project.folder("again").name == "again"
    project.run("--stop", code=0)


def test_after_a_reboot_the_task_goes_on_and_no_stranger_is_signalled(project: Project) -> None:
    go = slow_agent(project)
    project.drop("rebooted")
    loop = project.start("--loop")
    project.wait(lambda: agent_runs(project), why="agent runs")
    worker, agent = project.worker_pid("rebooted"), agent_pids(project)[0]
    loop.kill()
    os.kill(worker, signal.SIGKILL)
    os.killpg(agent, signal.SIGKILL)
    loop.wait()
    project.wait(lambda: not alive(project, agent) and not alive(project, worker), why="all is dead")
    lease_path = project.folder("rebooted") / ".orch/lease.json"
    lease = json.loads(lease_path.read_text())
    lease["owner"] = {**lease["owner"], "boot": "another-boot", "pid": os.getpid()}
    if lease.get("agent"):
        lease["agent"] = {**lease["agent"], "boot": "another-boot", "pid": os.getpid()}
    lease_path.write_text(json.dumps(lease))

    go.touch()
    project.run(code=0)

    assert project.where("rebooted") == "converged"
    assert project.record("rebooted")["failures"] == 0


def test_a_stop_in_the_middle_of_a_streak_is_gone_on_from_there(project: Project) -> None:
    counted = project.top / "samples"
    gate = project.top / "gate"
    bench = f'#!/bin/sh\nleft=$(grep -c . todo.txt)\necho "$left" >> {counted}\nif [ "$(grep -c "^0$" {counted})" -ge 3 ]; then while [ ! -e {gate} ]; do sleep 0.05; done; fi\necho "METRIC left=$left"\n'
    project.drop("streak", front="converge: 4", benchmark=bench)
    project.agent(ALL_GONE)
    project.start("--loop")
    project.wait(lambda: counted.exists() and counted.read_text().split().count("0") >= 3, why="in the middle of the streak")

    project.run("--stop", code=0)
    assert project.where("streak") == "pending"
    assert project.record("streak")["streak"] == 1
    assert project.record("streak")["attempts"] == 0  # not counted before it is known what it was worth
    gate.touch()
    project.run(code=0)

    assert project.where("streak") == "converged"
    assert project.record("streak")["attempts"] == 1


def test_two_loops_on_one_queue_run_each_agent_once_and_land_everything(project: Project) -> None:
    names = [f"task-{number}" for number in range(8)]
    project.commit({f"{name}.todo": "x\n" for name in names})
    for name in names:
        project.drop(name, benchmark=f'#!/bin/sh\necho "METRIC left=$(grep -c . {name}.todo)"\n')
    project.agent(f'echo "$ORCH_TASK" >> {project.top}/ran; : > "$ORCH_TASK.todo"')

    loops = [project.start(), project.start()]
    assert [loop.wait(60) for loop in loops] == [0, 0]

    assert sorted((project.top / "ran").read_text().split()) == names
    assert all(project.git("show", f"main:{name}.todo") == "" for name in names)
    assert project.git("status", "--porcelain") == ""
    assert project.git("stash", "list") == ""
    assert list((project.repo / ".git").rglob("*.lock")) == [] or all(
        "orchestrator" in str(path) for path in (project.repo / ".git").rglob("*.lock")
    )


def test_a_live_edit_reaches_the_next_attempt_and_a_broken_one_keeps_the_last_good_spec(project: Project) -> None:
    go = project.top / "go"
    project.agent(f"echo $$ >> {project.top}/agent-pids; while [ ! -e {go} ]; do sleep 0.05; done; rm {go}; sed -i 1d todo.txt")
    project.drop("edited")
    project.start("--loop")
    project.wait(lambda: agent_runs(project, 1), why="first agent")
    spec = project.folder("edited") / "autoresearch.md"
    spec.write_text("---\ngoal: Be quicker about it.\n---\n# edited\n")
    go.touch()
    project.wait(lambda: agent_runs(project, 2), why="second agent")
    assert "Be quicker about it." in (project.folder("edited") / ".orch/attempts/0002/prompt.md").read_text()

    spec.write_text("---\ngoal: [\n---\n")
    go.touch()
    project.wait(lambda: agent_runs(project, 3), why="third agent")
    assert "Be quicker about it." in (project.folder("edited") / ".orch/attempts/0003/prompt.md").read_text()
    assert any(event["event"] == "spec_invalid" for event in project.events("edited"))
    go.touch()
    project.wait(lambda: project.where("edited") == "converged", why="converges")
    project.run("--stop", code=0)
