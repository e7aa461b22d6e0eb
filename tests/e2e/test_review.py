"""`review: required`: verified work waits for a person, whose word is good for exactly that commit."""

from __future__ import annotations

import json
import signal
import sys

from support.project import Project

FRONT = "review: required\nmetric: {name: left, target: 0}"
DONE = "echo $ORCH_ATTEMPT > done.txt; : > todo.txt"


def waiting(project: Project, script: str = DONE, front: str = FRONT) -> str:
    """A task that was worked on and waits; the commit it waits with."""
    project.agent(script)
    project.drop("x", front=front)
    project.run(code=75)
    commit: str = project.record("x")["review"]["commit"]
    return commit


def test_verified_work_waits_and_lands_once_it_is_approved(project: Project) -> None:
    before = project.git("rev-parse", "main")
    commit = waiting(project)
    task = project.task("x")
    assert (task["state"], task["reason"], task["ready"]) == ("pending", "review", False)
    assert [each["kind"] for each in task["waiting_on"]] == ["review"]
    assert project.git("rev-parse", "main") == before
    assert project.git("rev-parse", "refs/orchestrator/x/0001") == commit
    told = project.run("why", "x", code=0).stdout
    assert "x is pending (review)" in told
    assert "`orchestrator approve x`" in told
    assert "review" in project.run("list", code=0).stdout
    assert "done.txt" in project.run("diff", "x", code=0).stdout

    project.run("approve", "x", "--commit", commit[:8], "--note", "as discussed", code=0)
    sessions = len([event for event in project.events("x") if event["event"] == "agent_started"])
    project.run(code=0)

    assert project.where("x") == "converged"
    assert project.git("rev-parse", "main^2") == commit
    said = f"A person approved commit {commit[:10]}: as discussed"
    assert said in project.git("log", "-1", "--format=%B", "main")
    assert said in project.run("report", "x", code=0).stdout
    events = [event["event"] for event in project.events("x")]
    assert events.count("agent_started") == sessions == 1
    assert [each["result"] for each in project.record("x")["history"]] == ["converged"]


def test_an_agent_of_the_queue_gives_no_person_s_word(project: Project) -> None:
    waiting(project)
    project.drop("y")
    link = project.tasks.parent / "link"  # the same queue by another path
    link.symlink_to(project.tasks)
    project.agent(f"{sys.executable} -m orchestrator --tasks {link} approve x > said.txt 2>&1")
    project.run(code=1, ORCH_MAX_FAILURES="1")
    assert project.task("x")["reason"] == "review"
    assert "Only a person answers here" in project.git("show", "orchestrator/y:said.txt")


def test_a_rejection_s_note_is_in_the_next_prompt_and_the_same_commit_is_not_asked_about_again(project: Project) -> None:
    commit = waiting(project, f"grep -q 'not .one' $ORCH_PROMPT_FILE && exit; {DONE}")
    project.run("reject", "x", "--note", "not `one`, please", code=0)

    project.run(code=1)

    prompt = (project.folder("x") / ".orch/attempts/0002/prompt.md").read_text()
    assert f"A person looked at commit {commit[:12]} and rejected it: not `one`, please" in prompt
    assert "gate; left 0; rejected by a person: not `one`, please" in prompt
    record = project.record("x")
    assert record["reason"] == "exhausted"
    assert [each["result"] for each in record["history"][:2]] == ["gate", "gate"]
    assert record["history"][1]["detail"] == "nothing was changed since it was rejected by a person"


def test_what_an_agent_makes_of_a_rejection_needs_a_word_of_its_own(project: Project) -> None:
    first = waiting(project)
    project.run("reject", "x", code=0)
    project.run(code=75)
    second = project.record("x")["review"]["commit"]
    assert second != first
    assert project.run("approve", "x", "--commit", first[:8], code=1).stderr.startswith("orchestrator: What waits in 'x' is")
    project.run("approve", "x", code=0)
    project.run(code=0)
    assert project.git("show", "main:done.txt") == "2"


def test_a_running_loop_takes_the_approved_task_up_by_itself(project: Project) -> None:
    project.agent(DONE)
    project.start("--loop")
    project.drop("x", front=FRONT)
    project.wait(lambda: project.record("x").get("review") and project.where("x") == "pending", why="the question")
    project.run("approve", "x", code=0)
    project.wait(lambda: project.where("x") == "converged", why="the landing")


def test_whoever_approves_after_an_edit_of_what_decides_is_told_that_he_will_be_asked_again(project: Project) -> None:
    waiting(project)
    assert "verified before" not in project.run("edit", "x", "--priority", "3", code=0).stdout
    assert "edited since" not in project.run("why", "x", code=0).stdout
    assert "was verified before that" in project.run("edit", "x", "--converge", "2", code=0).stdout
    assert "what decides on it was edited since" in project.run("why", "x", code=0).stdout
    assert "what decides on it was edited since it was verified" in project.run("approve", "x", code=0).stdout
    project.run(code=75)
    assert "approved and lands next" in project.run("approve", "x", code=0).stdout
    project.run(code=0)
    assert project.where("x") == "converged"


def test_a_benchmark_that_is_a_script_of_the_repository_is_not_said_to_have_been_edited(project: Project) -> None:
    """Scripts of the base count in what the work was measured by, and are in no task's folder."""
    project.commit({"count.sh": "echo METRIC left=$(wc -l < todo.txt)\n"})
    waiting(project, front=f"{FRONT}\nbenchmark: sh count.sh")
    assert "edited since" not in project.run("why", "x", code=0).stdout
    assert "verified before" not in project.run("edit", "x", "--priority", "3", code=0).stdout
    assert "approved and lands next" in project.run("approve", "x", code=0).stdout
    project.run(code=0)
    assert project.where("x") == "converged"


def test_an_approval_between_two_looks_of_a_loop_is_taken_up(project: Project) -> None:
    """For the approval the task leaves pending and comes back to it: whoever sees only before and after sees no difference."""
    project.agent(DONE)
    loop = project.start("--loop")
    project.drop("x", front=FRONT)
    project.wait(lambda: "waits for a person" in project.story(), why="the question being known to the loop")
    loop.send_signal(signal.SIGSTOP)
    project.run("approve", "x", code=0)
    loop.send_signal(signal.SIGCONT)
    project.wait(lambda: project.where("x") == "converged", why="the landing")


def test_approved_work_that_fails_on_the_fresh_base_needs_a_new_word(project: Project) -> None:
    """Approved is a commit, not whatever is made of it: the merged commit is measured and gated as ever."""
    commit = waiting(project, front=f"{FRONT}\ngates: {{alone: 'test ! -e other.txt || test -e mended.txt'}}")
    project.commit({"other.txt": "new"})
    project.run("approve", "x", code=0)
    project.agent("touch mended.txt")
    project.run(code=75)
    record = project.record("x")
    assert record["review"]["commit"] != commit
    assert record["review"].get("answer") is None
    project.run("approve", "x", code=0)
    project.run(code=0)
    assert project.git("ls-tree", "--name-only", "main").split() == ["README", "done.txt", "mended.txt", "other.txt", "todo.txt"]


def test_a_base_that_moved_on_while_a_person_was_thinking_is_merged(project: Project) -> None:
    commit = waiting(project)
    project.commit({"other.txt": "new"})
    project.run("approve", "x", code=0)
    project.run(code=0)
    assert project.git("rev-parse", "main^2") == commit
    assert project.git("show", "main:other.txt") == "new"


def test_only_what_waits_can_be_answered_and_nothing_else_is_changed(project: Project) -> None:
    project.drop("x", front="draft: true")
    for verb in ("approve", "reject"):
        refused = project.run(verb, "x", code=1)
        assert refused.stderr.startswith("orchestrator: 'x' doesn't wait for a review.")
    assert not (project.folder("x") / ".orch/state.json").exists()


def test_a_spec_that_asks_for_no_review_any_more_lets_it_land(project: Project) -> None:
    waiting(project)
    spec = project.folder("x") / "autoresearch.md"
    spec.write_text(spec.read_text().replace("review: required\n", ""))
    project.run(code=0)
    assert project.where("x") == "converged"


def test_a_retry_begins_anew_and_asks_again(project: Project) -> None:
    waiting(project)
    project.run("block", "x", code=0)
    project.run("retry", "x", code=0)
    assert json.loads(project.run("why", "x", "--json", code=0).stdout)["reasons"][0]["kind"] != "review"
    project.run(code=75)
    assert project.task("x")["reason"] == "review"
