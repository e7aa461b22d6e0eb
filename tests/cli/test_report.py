"""`orchestrator report`: what a person and a program read."""

from __future__ import annotations

from support.commands import Project


def test_a_report_tells_the_number_the_diff_and_what_it_is_worth(project: Project) -> None:
    project.drop("x")
    project.agent(": > todo.txt")
    project.run()
    page = project.run("report", "x").stdout
    for words in ("left 3 -> 0", "only to 63%", "| todo.txt | 0 | 3 |", "Evaluator: "):
        assert words in page
    data = project.json("report", "x")
    assert data["changes"] == [{"path": "todo.txt", "added": 0, "removed": 3}]
    assert data["landed"]["commit"] == project.git("rev-parse", "main")
    assert len(data["environment"]["digest"]) == 64


def test_the_picture_goes_where_it_is_asked_for(project: Project) -> None:
    project.drop("x")
    project.agent(": > todo.txt")
    project.run()
    project.run("report", "x", "--svg", "x.svg")
    assert (project.top / "x.svg").read_text().startswith("<svg")
    assert "Can't write" in project.refused("report", "x", "--svg", "nowhere/x.svg")


def test_a_task_that_nobody_worked_on_has_no_report(project: Project) -> None:
    project.drop("x")
    assert "Nothing has been done for 'x' yet." in project.refused("report", "x", code=1)
