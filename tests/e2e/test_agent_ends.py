"""How an agent's session may end, played by the scripted agent through the real command line, and what becomes of the task."""

from __future__ import annotations

import time

from support.project import Project


def scripted(project: Project, name: str, steps: str, *, front: str = "") -> None:
    """A task whose agent plays `steps` (TOML, one attempt after the other)."""
    project.drop(name, front=f"agent: scripted\n{front}".strip(), files={"scenario.toml": steps})


WRITE = '{write = "todo.txt", content = ""}'


def test_a_usage_limit_parks_the_task_until_its_reset_and_counts_nothing(project: Project) -> None:
    scripted(project, "limited", '[[attempts]]\nsteps = [{print = "working"}, {limit = 3600}]\n')

    project.run(code=75)

    record = project.record("limited")
    assert (record["reason"], record["attempts"], record["failures"]) == ("rate-limited", 0, 0)
    assert 3500 < record["not_before"] - time.time() <= 3600


def test_an_agent_that_is_not_logged_in_blocks_at_once_and_uses_no_attempt(project: Project) -> None:
    scripted(project, "locked-out", 'steps = [{auth = "run `agent login`"}]\n')

    project.run(code=1)

    record = project.record("locked-out")
    assert (record["reason"], record["attempts"]) == ("auth", 0)
    assert "agent login" in record["detail"]


def test_a_question_blocks_with_its_text(project: Project) -> None:
    scripted(project, "unsure", 'steps = [{ask = "Which of the two files?"}]\n')

    project.run(code=1)

    assert project.record("unsure")["reason"] == "question"
    assert "Which of the two files?" in project.record("unsure")["detail"]


def test_a_crash_waits_before_the_next_attempt_and_then_goes_on(project: Project) -> None:
    scripted(project, "crashes", f'[[attempts]]\nsteps = [{{crash = "SEGV"}}]\n[[attempts]]\nsteps = [{WRITE}]\n')

    project.run(code=0)

    history = project.record("crashes")["history"]
    assert [attempt["end"] for attempt in history] == ["failed", "finished"]
    assert any(event["event"] == "moved" and event["reason"] == "backoff" for event in project.events("crashes"))


def test_a_hanging_agent_that_ignores_term_is_ended_as_stalled(project: Project) -> None:
    scripted(project, "hangs", '[[attempts]]\nsteps = [{hang = "deaf"}]\n', front="max_failures: 1")

    project.run(code=1, ORCH_PROGRESS_TIMEOUT="500ms")

    assert project.record("hangs")["history"][0]["end"] == "stalled"


def test_an_agent_over_its_time_is_ended(project: Project) -> None:
    scripted(
        project, "slow", '[[attempts]]\nsteps = [{print = "still here"}, {sleep = 60}]\n', front="max_failures: 1\ntimeout: 1s"
    )

    project.run(code=1)

    assert project.record("slow")["history"][0]["end"] == "timed-out"


def test_a_lie_is_a_failure_and_told_to_the_next_attempt(project: Project) -> None:
    scripted(project, "liar", f'[[attempts]]\nsteps = [{{lie = "All done."}}]\n[[attempts]]\nsteps = [{WRITE}]\n')

    project.run(code=0)

    assert [attempt["result"] for attempt in project.record("liar")["history"]] == ["no-improvement", "converged"]
    assert "Attempt 1" in (project.folder("liar") / ".orch/attempts/0002/prompt.md").read_text()


def test_a_budget_of_attempts_ends_the_task(project: Project) -> None:
    scripted(project, "frugal", 'steps = [{append = "todo.txt", content = "x"}]\n', front="budget: {attempts: 2}")

    project.run(code=1)

    assert (project.record("frugal")["reason"], project.record("frugal")["attempts"]) == ("budget", 2)


def test_an_agent_on_a_terminal_is_seen_and_its_work_lands(project: Project) -> None:
    project.agent('test -t 0 && test -t 1 && echo "on a terminal" && : > todo.txt')
    project.drop("tty", front="tty: true")

    project.run(code=0)

    assert "on a terminal" in (project.folder("tty") / ".orch/attempts/0001/agent.log").read_text()
