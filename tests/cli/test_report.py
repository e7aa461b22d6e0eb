"""`orchestrator report`: what a person and a program read."""

from __future__ import annotations

from support.commands import Project, wait


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
    (project.top / "x.svg").unlink()
    assert project.json("report", "x", "--svg", "x.svg") == project.json("report", "x")
    assert (project.top / "x.svg").exists()
    assert "Can't write" in project.refused("report", "x", "--svg", "nowhere/x.svg")


def test_a_task_that_nobody_worked_on_has_no_report(project: Project) -> None:
    project.drop("x")
    assert "Nothing has been done for 'x' yet." in project.refused("report", "x", code=1)


def test_what_was_converged_is_told_by_the_target_that_it_was_judged_by(project: Project) -> None:
    """An edit counts from the next claim, whatever the spec says by now, and be it nothing that can be read."""
    project.drop("x")
    project.agent(": > todo.txt")
    project.run()
    page = project.run("report", "x").stdout
    spec = project.tasks / "converged/x/autoresearch.md"
    for text in (spec.read_text().replace("target: 0", "target: -7.25"), "---\nmetric: {name: left, direction: up\n---\n# x\n"):
        spec.write_text(text)
        assert project.run("report", "x").stdout == page
        assert [each["target"] for each in project.json("show", "x")["metrics"]] == [0]
        assert "-7.25" not in project.run("show", "x").stdout + project.run("--status").stdout


def test_while_it_runs_a_task_is_told_by_the_target_that_counts(project: Project) -> None:
    project.drop("x")
    project.agent("while [ ! -e $HOME/go ]; do sleep 0.02; done; : > todo.txt")
    project.start("--loop")
    wait(lambda: "agent" in project.run("--status").stdout, "the agent")
    project.run("edit", "x", "--target", "-7")
    assert [each["target"] for each in project.json("show", "x")["metrics"]] == [0]
