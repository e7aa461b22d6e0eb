"""What whoever runs the tests as root never meets: files and folders that may not be touched, though they are the user's own."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from support.project import Project

ORDINARY = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ("env",)


def may_be_ordinary() -> bool:
    """Whether this machine lets root be a user without its powers, in a user namespace of his own."""
    known = shutil.which(ORDINARY[0])
    return known is not None and subprocess.run([*ORDINARY, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_be_ordinary(), reason="needs a user namespace to be no root in")


def drain(project: Project) -> str:
    """One drain to its end, by a user who is not root."""
    done = project.start_as(ORDINARY)
    done.wait(120)
    return (project.top / "out-0.txt").read_text()


def done_at_once(project: Project, name: str, *files: str) -> None:
    """The task has landed these files, without one wait, and nothing of its worktrees is left."""
    told = drain(project)
    assert project.where(name) == "converged", told
    assert "waits" not in told
    assert set(project.git("ls-tree", "-r", "--name-only", "main").split()) == {"README", "todo.txt", *files}
    assert not (project.repo / ".worktrees").exists()


@pytest.mark.parametrize("setup", ["", "setup: mkdir -p made; touch made/tool"])
def test_read_only_folders_that_a_benchmark_leaves_are_nobodys_work(project: Project, setup: str) -> None:
    closed = "mkdir -p mod/pkg; : > mod/pkg/file; chmod -R a-w mod\n"  # as Go leaves its modules
    count = 'echo "METRIC left=$(grep -c . todo.txt)"\n'
    project.drop("mod", front=setup, benchmark=f"#!/bin/sh\n{closed}{count}")
    project.agent("sed -i 1d todo.txt")
    done_at_once(project, "mod")


@pytest.mark.parametrize("mode", ["500", "000"])
def test_a_worktree_that_its_agent_closed_is_gone_on_with(project: Project, mode: str) -> None:
    project.drop("closed")
    project.agent(f"sed -i 1d todo.txt; chmod {mode} .")
    done_at_once(project, "closed")


@pytest.mark.parametrize("mode", ["000", "100", "400"])
@pytest.mark.parametrize("where", ["lib/code", "lib", "new"])
def test_work_in_what_an_agent_has_closed_is_work(project: Project, where: str, mode: str) -> None:
    """Git only warns of what it can't see there: the next cleaning would have taken it away."""
    project.commit({"lib/code": "x\n"})
    project.drop("work")
    file = where if "/" in where else f"{where}/file"
    project.agent(f"mkdir -p new; echo work > {file}; : > todo.txt; chmod {mode} {where}")
    done_at_once(project, "work", *{"lib/code", file})
    assert project.git("show", f"main:{file}") == "work"


def test_what_setup_made_stays_nobodys_work_where_an_agent_has_closed_it(project: Project) -> None:
    project.drop("given", front="setup: mkdir -p made; touch made/tool")
    project.agent(": > todo.txt; chmod 000 made")
    done_at_once(project, "given")


def test_refused_work_in_a_read_only_folder_is_taken_back(project: Project) -> None:
    project.commit({"lib/code": "x\n"})
    project.drop("refused", front="scope: [todo.txt]")
    project.agent('[ "$ORCH_ATTEMPT" = 2 ] || echo y > lib/code; : > todo.txt; chmod 500 lib')
    done_at_once(project, "refused", "lib/code")
    assert project.git("show", "main:lib/code") == "x"


@pytest.mark.parametrize("place", ["refs/heads", "objects/pack", "logs/HEAD", "orchestrator/slugs"])
def test_check_names_what_in_the_repository_is_not_the_users(project: Project, place: str) -> None:
    """As one `sudo git` leaves it: --check said that everything was here, and every task waited for ever."""
    (project.repo / ".git/orchestrator/slugs").mkdir(parents=True)
    (project.repo / ".git" / place).chmod(0o500)
    try:
        loop = project.start_as(ORDINARY, "--check")
        told = (loop.wait(60), (project.top / "out-0.txt").read_text())
    finally:
        (project.repo / ".git" / place).chmod(0o700)
    assert told[0] == 1
    assert f"missing  repository   {project.repo}/.git/{place} can't be written: permission denied" in told[1]


def test_read_only_objects_of_a_submodule_in_a_worktree_are_as_git_makes_them(project: Project) -> None:
    folder = project.repo / ".git/worktrees/x/modules/sub/objects/ab"
    folder.mkdir(parents=True)
    (folder / "cdef").touch(mode=0o444)
    project.agent("true")
    told = (project.start_as(ORDINARY, "--check").wait(60), (project.top / "out-0.txt").read_text())
    assert told[0] == 0, told[1]


def test_a_wait_for_permission_says_what_it_waits_for(project: Project) -> None:
    project.drop("x")
    project.agent("true")
    (project.repo / ".git/orchestrator").mkdir()
    (project.repo / ".git/orchestrator/slugs").mkdir(mode=0o500)
    project.start_as(ORDINARY, "--once").wait(60)
    told = (project.top / "out-0.txt").read_text()
    assert f"Permission denied: {project.repo}/.git/orchestrator/slugs" in told
    assert "this user needs permission there" in told


@pytest.mark.parametrize("words", [("--status",), ("list",), ("--check",), ("init",), ()])
def test_a_current_folder_that_is_closed_to_the_user_is_told_and_no_fault_of_ours(
    project: Project, words: tuple[str, ...]
) -> None:
    """As `sudo -u somebody` leaves one in."""
    here = project.top / "closed" / "here"
    here.mkdir(parents=True)
    prefix = (*ORDINARY, "sh", "-c", 'cd closed/here && chmod 000 .. && exec "$@"', "sh")
    try:
        done = project.start_as(prefix, *words)
        told = (done.wait(60), (project.top / "out-0.txt").read_text().splitlines()[0])
    finally:
        here.parent.chmod(0o700)
    assert told == (2, "orchestrator: The current folder is closed to this user.")


def test_the_project_can_be_named_from_such_a_folder(project: Project) -> None:
    (project.top / "closed" / "here").mkdir(parents=True)
    prefix = (*ORDINARY, "sh", "-c", 'cd closed/here && chmod 000 .. && exec "$@"', "sh")
    try:
        done = project.start_as(prefix, "-C", str(project.top), "list")
        told = (done.wait(60), (project.top / "out-0.txt").read_text())
    finally:
        (project.top / "closed").chmod(0o700)
    assert (told[0], "No tasks" in told[1]) == (0, True)


def test_a_home_that_is_somebody_elses_is_told_with_what_to_set(project: Project) -> None:
    """As of an image that says HOME=/root, run as another user."""
    home = project.top / "home"
    home.mkdir(mode=0o000)
    env = {"HOME": str(home), "XDG_CONFIG_HOME": ""}
    told = (project.start_as(ORDINARY, "list", **env).wait(60), (project.top / "out-0.txt").read_text().splitlines())
    assert told[0] == 2
    assert told[1][0].startswith(f"orchestrator: {home}/.config/orchestrator/config.toml can't be read: Permission denied")
    assert "set HOME, or ORCH_CONFIG_DIR" in told[1][1]
