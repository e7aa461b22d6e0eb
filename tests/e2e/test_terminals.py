"""Agents at a terminal, through the whole product: what they ask is answered, or becomes the task's question."""

from __future__ import annotations

import pytest
from support.project import Project

ASKS = "printf 'Shall I empty it? (sure) '; read answer; test \"$answer\" = sure && : > todo.txt"
ALLOWED = """
[agents.exec]
answers = [{pattern = 'Shall I empty it\\? \\(sure\\)$', keys = "sure<enter>"}]
"""


def test_a_prompt_that_the_configuration_allows_is_answered_and_the_work_lands(project: Project) -> None:
    (project.top / "orchestrator.toml").write_text(ALLOWED)
    project.agent(ASKS)
    project.drop("asks", front="tty: true")

    project.run(code=0, ORCH_PROGRESS_TIMEOUT="20s")

    log = (project.folder("asks") / ".orch/attempts/0001/agent.log").read_text()
    assert "-- answered 'Shall I empty it? (sure)' with sure<enter>" in log


def test_any_other_prompt_is_the_tasks_question_and_counts_nothing(project: Project) -> None:
    project.agent(ASKS)
    project.drop("asks", front="tty: true")

    project.run(code=1, ORCH_PROGRESS_TIMEOUT="6s")

    record = project.record("asks")
    assert (record["reason"], record["attempts"]) == ("question", 0)
    assert "Shall I empty it? (sure)" in record["detail"]
    assert "Shall I empty it?" in project.run("why", "asks", code=0).stdout


def test_a_password_prompt_on_the_terminal_hangs_no_worker(project: Project) -> None:
    project.agent("python3 -c 'import getpass; getpass.getpass(\"Password for git: \")'")
    project.drop("locked", front="tty: true")

    project.run(code=1, ORCH_PROGRESS_TIMEOUT="8s")

    assert project.record("locked")["reason"] == "question"
    assert "Password for git:" in project.record("locked")["detail"]


@pytest.mark.parametrize("answers", ["[{pattern = '('}]", "[{pattern = 'x'}]", '"yes"'])
def test_answers_that_can_not_be_meant_are_told(project: Project, answers: str) -> None:
    (project.top / "orchestrator.toml").write_text(f"[agents.exec]\nanswers = {answers}\n")
    project.agent("true")
    project.drop("x")

    project.run(code=1)

    assert "agents.exec.answers" in project.record("x")["detail"]
