"""`orchestrator import` and `export`: sessions of both layouts become tasks, and tasks sessions."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.commands import Project

SAMPLES = Path(__file__).parents[1] / "store/samples"
LOG = {"flat": "autoresearch.jsonl", "auto": ".auto/log.jsonl"}
CONFIG = '{"type":"config","name":"x","metricName":"left","metricUnit":"","bestDirection":"lower","targetValue":0}\n'


def session(project: Project, kind: str) -> Path:
    """A session like those of pi, about our todo.txt."""
    folder = project.top / "session"
    if kind == "flat":
        names = ("autoresearch.md", "autoresearch.sh", "autoresearch.jsonl", "autoresearch.ideas.md")
    else:
        names = (".auto/prompt.md", ".auto/measure.sh", ".auto/log.jsonl", ".auto/ideas.md")
    texts = ("# Empty it\n\n## Goal\n\nEmpty it.\n", "#!/bin/sh\necho METRIC left=$(grep -c . todo.txt)\n", CONFIG, "none\n")
    for name, text in zip(names, texts, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "node_modules").mkdir()
    return folder


@pytest.mark.parametrize("kind", ["flat", "auto"])
def test_a_session_becomes_a_task_that_converges_and_its_log_goes_on(project: Project, kind: str) -> None:
    folder = session(project, kind)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    project.run("import", "session", "--name", "x")
    project.agent(": > todo.txt")
    project.run()
    task = project.tasks / "converged/x"
    lines = (task / LOG[kind]).read_text().splitlines()
    assert lines[0] + "\n" == CONFIG
    assert [(run["run"], run["metric"], run["status"]) for run in map(json.loads, lines[1:])] == [
        (1, 3.0, "keep"),
        (2, 0.0, "keep"),
    ]
    assert not (task / "node_modules").exists()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("sample", "kind"), [("pi-flat", "flat"), ("pi-auto", "auto")])
def test_a_log_of_theirs_is_kept_byte_for_byte(project: Project, sample: str, kind: str) -> None:
    shutil.copytree(SAMPLES / sample, project.top / "session")
    project.run("import", "session", "--name", "x")
    assert (project.tasks / "pending/x" / LOG[kind]).read_bytes() == (SAMPLES / sample / LOG[kind]).read_bytes()


def test_what_a_session_asks_for_in_vain_is_told_as_add_does(project: Project) -> None:
    (session(project, "flat") / "autoresearch.md").write_text("# T\n## Success metrics\n- left below 3\n")
    (project.top / "session/autoresearch.jsonl").unlink()
    assert "warning: Line 2: no metric is read here" in project.run("import", "session", "--name", "x").stdout
    assert list(project.json("import", "session", "--name", "y")) == ["schema", "name", "path"]


def test_a_task_is_written_as_a_session_whose_script_measures(project: Project) -> None:
    project.drop("x")
    project.agent(": > todo.txt")
    project.run()
    said = project.json("export", "x", "out")
    out = project.top / "out"
    assert said["lines"] == 3
    assert {"autoresearch.md", "autoresearch.sh", "autoresearch.jsonl", "autoresearch.ideas.md"} <= {
        path.name for path in out.iterdir()
    }
    measured = subprocess.run(["sh", str(out / "autoresearch.sh")], cwd=project.top, capture_output=True, text=True, check=True)
    assert measured.stdout == "METRIC left=0\n"
    assert project.json("export", "x", "out")["lines"] == 0


def test_what_lies_there_stays_and_its_layout_is_used(project: Project) -> None:
    project.drop("x")
    project.agent(": > todo.txt")
    project.run()
    out = project.top / "out/.auto"
    out.mkdir(parents=True)
    (out / "prompt.md").write_text("theirs\n")
    (out / "log.jsonl").write_text(CONFIG)
    project.run("export", "x", "out")
    assert (out / "prompt.md").read_text() == "theirs\n"
    assert (out / "log.jsonl").read_text().startswith(CONFIG)
    assert len((out / "log.jsonl").read_text().splitlines()) == 3
    assert not (project.top / "out/autoresearch.jsonl").exists()


def test_what_is_no_session_is_refused(project: Project) -> None:
    (project.top / "empty").mkdir()
    assert "There is no session in" in project.refused("import", "empty")
    folder = session(project, "flat")
    (folder / "autoresearch.md").write_text("---\nmetric: 7\n---\n")
    assert "metric" in project.refused("import", "session", code=1)
    assert list((project.tasks / "pending").iterdir()) == []


def test_a_session_that_contradicts_itself_is_named_where_it_lies(project: Project, tmp_path: Path) -> None:
    session = tmp_path / "session"
    session.mkdir()
    (session / "autoresearch.md").write_text("# T\n\n## Metrics\n- **Primary**: left (lines, higher is better)\n")
    (session / "autoresearch.sh").write_text("echo METRIC left=1\n")
    (session / "autoresearch.jsonl").write_text('{"type":"config","metricName":"left","bestDirection":"lower"}\n')
    told = project.refused("import", str(session), code=1)
    assert f"{session}/autoresearch.jsonl:1:1" in told
    assert "import it again" in told


@pytest.mark.parametrize("kind", ["flat", "auto"])
def test_what_was_exported_can_be_imported_and_measures_the_same(project: Project, kind: str) -> None:
    project.drop("x")
    project.agent(": > todo.txt")
    project.run()
    if kind == "auto":
        (project.top / "out/.auto").mkdir(parents=True)
        (project.top / "out/.auto/ideas.md").touch()
    project.run("export", "x", "out")
    project.run("import", "out", "--name", "y")
    project.run()
    assert (project.state("x"), project.state("y")) == ("converged", "converged")


def test_a_benchmark_of_the_project_that_a_session_is_in_is_left_there(project: Project) -> None:
    folder = session(project, "flat")
    (folder / "benchmark.sh").write_text("echo METRIC other=1\n")
    (folder / "autoresearch.sh").write_text("#!/bin/sh\n./benchmark.sh > /dev/null\necho METRIC left=$(grep -c . todo.txt)\n")
    project.run("import", "session", "--name", "x")
    assert not (project.tasks / "pending/x/benchmark.sh").exists()
