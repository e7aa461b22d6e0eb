"""A project that is moved, copied or cloned while tasks of it have begun: each works on its own repository, and a copy never on
the original."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.commands import Project, wait

DONE = ": > todo.txt; echo new > new.txt"
LINES = "one\ntwo\nthree\n"


def record(project: Project, name: str = "x") -> Any:
    folder = next(project.tasks.glob(f"*/{name}*"))
    return json.loads((folder / ".orch/state.json").read_text())


def everything(project: Project) -> dict[str, str | bytes]:
    """All of it byte for byte: files, index, refs, HEAD, what git notes."""
    files = [Path(folder, name) for folder, _, names in os.walk(project.top) for name in names]
    return {str(path): str(path.readlink()) if path.is_symlink() else path.read_bytes() for path in files}


def at(project: Project, top: Path) -> Project:
    """The same person in another folder."""
    other = Project(top, Path(project.env["XDG_STATE_HOME"]).parent)
    other.env |= {name: value for name, value in project.env.items() if name.startswith("ORCH_")}
    return other


def copied(project: Project, *, without: str | None = None) -> Project:
    top = project.top.with_name("copy")
    ignored = shutil.ignore_patterns(without) if without else None
    shutil.copytree(project.top, top, symlinks=True, ignore=ignored, copy_function=if_there)
    return at(project, top)


def if_there(source: str, target: str) -> None:
    """Where somebody is at work, a file for the moment goes between the listing and the copy."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def moved(project: Project) -> Project:
    return at(project, project.top.rename(project.top.with_name("moved")))


def cloned(project: Project) -> Project:
    top = project.top.with_name("clone")
    project.git("clone", "-q", str(project.top), str(top))
    shutil.copytree(project.tasks, top / "tasks")
    return at(project, top)


def interrupted(project: Project, how: str) -> None:
    """A task whose agent was at work when everything was killed, or the task was blocked: half.txt is not committed."""
    started, go = (Path(project.env["TMPDIR"]) / name for name in ("started", "go"))
    project.drop("x")
    project.agent(f"echo half >> half.txt; touch {started}; while [ ! -e {go} ]; do sleep 0.05; done; {DONE}")
    loop = project.start("--loop")
    wait(started.exists, "the agent")
    if how == "block":
        project.run("block", "x")
        project.run("--stop")
    else:
        lease = json.loads(next(project.tasks.glob("running/x.*/.orch/lease.json")).read_text())
        loop.kill()
        os.kill(lease["owner"]["pid"], signal.SIGKILL)
        for pid in project.survivors():
            with suppress(ProcessLookupError):  # what workers come from ends with its loop
                os.kill(pid, signal.SIGKILL)
        wait(lambda: not project.survivors(), "the end of them all")
    loop.communicate(timeout=60)
    go.touch()


def goes_on(project: Project, how: str) -> None:
    if how == "block":
        project.run("retry", "x")
    project.run()
    assert project.state("x") == "converged"
    assert (project.git("show", "main:todo.txt"), project.git("show", "main:new.txt")) == ("", "new")
    assert ((project.top / "todo.txt").read_text(), record(project)["repo"]) == ("", str(project.top))
    assert "half" in project.run("recover", "show", "x", "1").stdout
    assert "new.txt" in project.run("diff", "x", "--stat").stdout
    places = [line for line in project.git("worktree", "list", "--porcelain").splitlines() if line.startswith("worktree ")]
    assert all(line.split()[1].startswith(str(project.top)) for line in places)


def kept(project: Project) -> set[str]:
    """What the commits under refs of ours that no attempt was made of hold of half.txt."""
    names = project.git("for-each-ref", "--format=%(refname)", "refs/orchestrator/x/cut").split()
    return {project.git("show", f"{name}:half.txt") for name in names}


@pytest.mark.parametrize("how", ["kill", "block"])
def test_a_copy_goes_on_by_itself_with_what_was_uncommitted_and_the_original_is_untouched(project: Project, how: str) -> None:
    interrupted(project, how)
    before = everything(project)
    copy = copied(project)
    goes_on(copy, how)
    assert everything(project) == before
    assert kept(copy) == {"half"}
    goes_on(project, how)
    assert kept(project) == {"half"}


@pytest.mark.parametrize("how", ["kill", "block"])
def test_a_moved_project_goes_on_where_it_is(project: Project, how: str) -> None:
    interrupted(project, how)
    there = moved(project)
    goes_on(there, how)
    assert kept(there) == {"half"}
    assert not project.top.exists()


def test_a_copy_without_its_worktrees_begins_them_anew(project: Project) -> None:
    interrupted(project, "kill")
    before = everything(project)
    copy = copied(project, without=".worktrees")
    goes_on(copy, "kill")
    assert everything(project) == before


def test_where_worktrees_lie_outside_a_copy_takes_none_of_the_original_s(project: Project) -> None:
    outside = project.top.with_name("outside")
    project.env["ORCH_WORKTREES"] = str(outside)
    interrupted(project, "kill")
    before, files = everything(project), everything(at(project, outside))
    copy = copied(project)
    copy.run(code=1)
    assert (copy.state("x"), record(copy)["reason"]) == ("blocked", "repo")
    assert "set ORCH_WORKTREES to another folder" in record(copy)["detail"]
    copy.env["ORCH_WORKTREES"] = str(project.top.with_name("others"))
    copy.run("retry", "x")
    copy.run()
    assert copy.state("x") == "converged"
    assert (everything(project), everything(at(project, outside))) == (before, files)
    there = moved(project)
    there.run()
    assert (there.state("x"), kept(there)) == ("converged", {"half"})


@pytest.mark.parametrize("place", [copied, moved])
def test_commands_work_on_the_project_they_are_called_in(project: Project, place: Any) -> None:
    """The pool holds an idle worktree, since another task may still want it."""
    for name in ("x", "y"):
        project.drop(name)
    (project.tasks / "pending/y/autoresearch.md").write_text("---\ndraft: true\n---\n# y\n")
    project.agent(DONE)
    project.run(code=None)
    assert list((project.top / ".worktrees/.pool").iterdir())
    before = everything(project)
    other = place(project)
    files = {path: what for path, what in everything(other).items() if "/.git" in path}
    assert other.json("show", "x")["repo"] == str(other.top)
    assert f"repository {other.top}\n" in other.run("show", "x").stdout
    assert files.items() <= everything(other).items()
    assert "new.txt" in other.run("diff", "x", "--stat").stdout
    assert {item["repo"] for item in other.json("recover")["kept"]} == {str(other.top)}
    told = other.json("prune", "--dry-run", "--older-than", "0s")["items"]
    assert {(item["kind"], item["reclaimed"]) for item in told} == {("worktree", True), ("refs", True), ("logs", True)}
    assert next(item["what"] for item in told if item["kind"] == "worktree").startswith(str(other.top))
    other.run("undo", "x")
    assert (other.git("show", "main:todo.txt"), (other.top / "todo.txt").read_text()) == (LINES.strip(), LINES)
    assert "new.txt" in (other.tasks / "converged/x/.orch/report.md").read_text()
    other.run("prune", "--older-than", "0s")
    assert not (other.top / ".worktrees").exists()
    if place is copied:
        assert everything(project) == before
    (other.tasks / "pending/y/autoresearch.md").write_text("# y\n")
    other.git("commit", "-q", "--allow-empty", "-m", "more")
    other.run()
    assert (other.state("y"), other.git("show", "main:todo.txt")) == ("converged", "")


def test_a_cancelled_task_in_a_copy_takes_no_worktree_of_the_original_s_away(project: Project) -> None:
    interrupted(project, "block")
    before = everything(project)
    copy = copied(project)
    copy.run("cancel", "x")
    assert not (copy.top / ".worktrees/x").exists()
    assert kept(copy) == {"half"}
    assert everything(project) == before


def test_a_clone_knows_nothing_of_the_task_and_nothing_is_touched_until_a_person_decides(project: Project) -> None:
    interrupted(project, "block")
    project.drop("y")
    project.run(code=1)
    clone = cloned(project)
    before, tip = everything(project), clone.git("rev-parse", "main")
    told = f"The task was begun in the repository {project.top} and {clone.top} knows nothing of it."
    for words in (["undo", "y"], ["diff", "x"], ["recover", "x"]):
        assert told in clone.refused(*words, code=1)
    clone.run("recover")
    clone.run("prune", "--older-than", "0s")
    clone.run("retry", "x")
    clone.run(code=1)
    assert (clone.state("x"), record(clone)["reason"], record(clone)["repo"]) == ("blocked", "repo", str(project.top))
    assert record(clone)["detail"].startswith(told)
    assert f"begun anew in {clone.top}" in record(clone)["detail"]
    assert everything(project) == before
    assert (clone.git("rev-parse", "main"), clone.git("status", "--porcelain", "-uno")) == (tip, "")
    (clone.tasks / "blocked/x/.orch/state.json").unlink()
    (clone.top / "todo.txt").write_text(LINES)
    clone.git("commit", "-qam", "more")
    clone.run("retry", "x")
    clone.run()
    assert (clone.state("x"), record(clone)["repo"], clone.git("show", "main:todo.txt")) == ("converged", str(clone.top), "")
    assert everything(project) == before


def test_a_clone_whose_task_s_spec_names_the_original_works_there(project: Project) -> None:
    interrupted(project, "block")
    clone = cloned(project)
    clone.run("edit", "x", "--repo", "../project")
    clone.run("retry", "x")
    clone.run()
    assert (clone.state("x"), record(clone)["repo"], project.git("show", "main:todo.txt")) == ("converged", str(project.top), "")
    assert "new.txt" in clone.run("diff", "x", "--stat").stdout


def test_a_task_whose_repository_is_gone_says_so(project: Project) -> None:
    interrupted(project, "block")
    clone = cloned(project)
    shutil.rmtree(project.top)
    told = f"begun in the repository {project.top}, which does not exist, and {clone.top} knows nothing of it."
    assert told in clone.refused("diff", "x", code=1)
    shutil.rmtree(clone.top / ".git")
    told = f"begun in the repository {project.top}, which does not exist. Name"
    clone.run("retry", "x")
    clone.run(code=1)
    assert told in record(clone)["detail"]


def test_a_user_s_worktree_of_the_base_is_not_the_copy_s(project: Project) -> None:
    """A checkout beside the project is copied in git's notes alone."""
    beside = project.top.with_name("beside")
    project.git("checkout", "-q", "-b", "mine")
    project.git("worktree", "add", "-q", str(beside), "main")
    interrupted(project, "kill")
    before, files = everything(project), everything(at(project, beside))
    copy = copied(project)
    copy.run()
    assert (copy.state("x"), copy.git("show", "main:todo.txt")) == ("converged", "")
    assert (everything(project), everything(at(project, beside))) == (before, files)


def test_the_current_directory_is_no_evidence(project: Project) -> None:
    """A queue outside of every repository: its tasks stay where they were begun."""
    queue = project.top.with_name("queue")
    shutil.move(project.tasks, queue / "tasks")
    project.env["ORCH_TASKS"], project.tasks = str(queue / "tasks"), queue / "tasks"
    interrupted(project, "block")
    clone = at(project, project.top.with_name("clone"))
    project.git("clone", "-q", str(project.top), str(clone.top))
    clone.run("retry", "x")
    clone.run()
    assert (record(project)["repo"], project.git("show", "main:todo.txt")) == (str(project.top), "")
    assert "new.txt" in clone.run("diff", "x", "--stat").stdout


def test_a_copy_made_while_an_agent_is_at_work_leaves_it_alone(project: Project) -> None:
    started, go = (Path(project.env["TMPDIR"]) / name for name in ("started", "go"))
    project.drop("x")
    project.agent(f"touch {started}; while [ ! -e {go} ]; do sleep 0.05; done; {DONE}")
    project.start("--loop")
    wait(started.exists, "the agent")
    copy = copied(project)
    copy.agent(DONE)
    copy.run()
    assert (copy.state("x"), project.state("x")) == ("converged", "running")
    go.touch()
    wait(lambda: project.state("x") == "converged", "the original")
    project.run("--stop")
    assert [(each["end"], each["result"]) for each in record(project)["history"]] == [("finished", "converged")]
