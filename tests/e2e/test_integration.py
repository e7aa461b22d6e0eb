"""The base after a set of landings, by the real command line: looked at, and said to be red until it is green again."""

from __future__ import annotations

from support.project import Project

MADE = '#!/bin/sh\n[ -e "$ORCH_TASK" ] && echo METRIC left=0 || echo METRIC left=1\n'
GREEN = "refs/orchestrator-meta/integrated/main"
NO_BAD = "echo it is too heavy; test ! -e bad"


def drop(project: Project, *names: str) -> None:
    for name in names:
        project.drop(name, benchmark=MADE)
    project.agent("touch $ORCH_TASK")


def header(project: Project) -> str:
    return project.run("--status", code=0).stdout


def test_a_set_of_three_is_looked_at_and_nobody_is_held_up_by_it(project: Project) -> None:
    drop(project, "a", "b", "c")
    runs = project.top / "runs"

    project.run("--parallel", "3", code=0, ORCH_INTEGRATION_CMD=f"echo >> {runs}; test -e a -o -e b -o -e c")

    assert project.git("rev-parse", GREEN) == project.git("rev-parse", "main")
    assert 1 <= len(runs.read_text().splitlines()) <= 3
    assert project.status()["integration"] == []
    assert " is red " not in header(project)


def test_who_broke_it_is_said_until_that_was_undone(project: Project) -> None:
    drop(project, "fine")
    project.run(code=0, ORCH_INTEGRATION_CMD=NO_BAD)
    drop(project, "bad")
    told = project.run(code=0).stdout  # nobody looks after this one
    assert " is red " not in told
    drop(project, "last")
    told = project.run(code=0, ORCH_INTEGRATION_CMD=NO_BAD).stdout

    bad = project.record("bad")["landed"]["commit"]
    line = f"since task bad, commit {bad[:10]}: The integration command ended with exit code 1"
    assert told.count(line) == 1
    assert line in header(project)
    assert "`orchestrator undo bad` takes it back" in header(project)
    (red,) = project.status()["integration"]
    assert (red["base"], red["culprit"], red["tasks"], red["commit"]) == ("main", bad, ["bad"], project.git("rev-parse", "main"))
    assert "it is too heavy" in red["output"]
    assert [event["culprit"] for event in project.events("bad") if event["event"] == "integration"] == [bad]
    assert project.where("bad") == "converged"  # it reverts nothing by itself

    project.run("undo", "bad", code=0, ORCH_INTEGRATION_CMD=NO_BAD)
    assert " is red " not in header(project)
    assert project.git("rev-parse", GREEN) == project.git("rev-parse", "main")
