"""`orchestrator` itself: what starts something and what must not, exit codes, errors."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import Project, wait
from support.forks import PROGRAM

from orchestrator import __version__
from orchestrator.cli.commands import COMMANDS
from orchestrator.cli.main import main

BROKEN = (
    "import sys, orchestrator.cli.view as view\n"
    "view.look = lambda *_: 1 / 0\n"
    "from orchestrator.cli.main import main\n"
    "sys.exit(main(['--status']))\n"
)


@pytest.mark.parametrize("words", [["fix-auth"], ["statsu"], ["run"], ["--", "drain"]])
def test_an_unknown_word_starts_nothing_and_says_what_there_is(project: Project, words: list[str]) -> None:
    project.drop("fix-auth")
    told = project.refused(*words)
    assert "There is no command" in told
    assert "orchestrator" in told.splitlines()[1]
    assert project.state("fix-auth") == "pending"
    assert not (project.tasks / ".orch" / "loop.json").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add", "x", "--benchmark"], "Option '--benchmark' requires an argument."),
        (["edit", "x", "--target", "abc"], "Invalid value for '--target': 'abc' is no number."),
        (["webhooks", "--port", "abc"], "Invalid value for '--port': 'abc' is no whole number."),
    ],
)
def test_a_value_that_is_missing_or_no_number_is_told_with_its_command_s_help(
    project: Project, words: list[str], told: str
) -> None:
    assert project.refused(*words).splitlines() == [f"orchestrator: {told}", f"  See `orchestrator {words[0]} --help`."]


@pytest.mark.parametrize(
    ("word", "meant"), [("run", "--loop"), ("start", "--loop"), ("remove", "cancel"), ("rm", "cancel"), ("resume", "retry")]
)
def test_a_word_that_other_programs_have_is_answered_by_what_does_that_here(project: Project, word: str, meant: str) -> None:
    assert f"Did you mean `orchestrator {meant}`?" in project.refused(word)


@pytest.mark.parametrize("words", [["--help"], ["add", "--help"]])
def test_the_examples_of_how_a_task_is_added_work_as_they_stand(project: Project, words: list[str]) -> None:
    script = project.top / "count-failures.sh"
    script.write_text("#!/bin/sh\necho METRIC failures=1\n")
    script.chmod(0o755)
    told = project.run(*words).stdout.replace("\\\n", " ")
    examples = [shlex.split(line)[1:] for line in told.splitlines() if line.strip().startswith("orchestrator add ")]
    assert examples
    for number, (add, name, *options) in enumerate(examples):
        assert "is " in project.run(add, f"{name}-{number}", *options).stdout


def test_a_task_s_name_alone_is_answered_by_what_shows_that_task(project: Project) -> None:
    assert "`orchestrator show NAME`" in project.refused("--status", "fix-auth")


def test_a_word_that_is_nearly_a_command_is_named(project: Project) -> None:
    assert "orchestrator retry" in project.refused("rerty")


@pytest.mark.parametrize("word", ["status", "statsu", "check", "loop", "version", "help"])
def test_a_mode_given_as_a_command_is_named_with_its_dashes(project: Project, word: str) -> None:
    assert f"orchestrator --{word.replace('tsu', 'tus')}`" in project.refused(word)
    assert not (project.tasks / ".orch" / "loop.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--status", "--once"],
        ["--loop", "--stop"],
        ["--status", "list"],
        ["--watch"],
        ["--watch", "--once"],
        ["--status", "--watch", "--json"],
        ["--json"],
        ["--loop", "--json"],
        ["--version", "--json"],
        ["--json", "edit", "a", "--priority", "3"],
        ["--json", "completions", "bash"],
        ["--version", "--stop"],
        ["--task", "a", "--task", "b"],
        ["--parallel", "many"],
        ["--nonsense"],
        ["--task"],
        ["stop"],
        ["retry"],
        ["work"],
        ["work", "a", "b"],
        ["list", "--names", "--json"],
        ["list", "--state", "gone"],
        ["logs", "a", "-f", "--json"],
    ],
)
def test_what_is_not_understood_exits_with_2_and_one_sentence(project: Project, words: list[str]) -> None:
    told = project.refused(*words).strip().splitlines()
    assert told[0].startswith("orchestrator: ")
    assert len(told) <= 2


def test_task_without_a_name_does_not_drain(project: Project) -> None:
    project.drop("a")
    project.refused("--task", "", code=1)
    assert project.state("a") == "pending"


def test_a_second_task_is_refused_before_either_is_begun(project: Project) -> None:
    project.drop("a")
    project.drop("b")
    assert project.refused("--task", "a", "--task", "b").startswith("orchestrator: --task is one task.")
    assert (project.state("a"), project.state("b")) == ("pending", "pending")


def test_help_names_every_command_and_an_example_without_touching_anything(empty: Project) -> None:
    told = empty.run("--help").stdout
    for word in ("init", "add", "edit", "why", "recover", "demo", "--loop", "--status", "Exit codes"):
        assert word in told
    assert "work ROOT" not in told
    assert not empty.tasks.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(empty: Project, command: str) -> None:
    told = empty.run(command, "--help").stdout
    assert f"Usage: orchestrator {command}" in told
    assert re.search(rf"Example.*orchestrator {command}", told, re.DOTALL)  # as the README promises


def test_version_is_the_packages(empty: Project) -> None:
    assert empty.run("--version").stdout == f"orchestrator {__version__}\n"


def test_below_a_project_the_queue_above_is_named_instead_of_making_another(project: Project) -> None:
    below = project.top / "src/deep"
    below.mkdir(parents=True)
    told = project.refused("-C", str(below), "--status")
    assert f"orchestrator -C {project.top} …" in told
    assert "init" not in told


def test_a_folder_without_a_queue_is_a_mistake_not_a_new_queue(empty: Project) -> None:
    for words in ([], ["--loop"], ["--status"], ["list"], ["--stop"]):
        assert "orchestrator init" in empty.refused(*words)
    assert not empty.tasks.exists()


def test_the_option_c_begins_elsewhere_and_applies_in_order(project: Project) -> None:
    project.drop("a")
    done = project.run("-C", "..", "-C", "project", "list", "--names")
    assert done.stdout == "a\n"
    assert "Can't go to" in project.refused("-C", "nowhere", "list")


def test_common_options_may_stand_before_and_after_the_command(project: Project) -> None:
    other = project.top / "other"
    for state in ("pending", "running", "converged", "blocked"):
        (other / state).mkdir(parents=True)
    assert project.json("--tasks", "other", "list")["root"] == str(other)
    assert project.json("list", "--tasks", "other")["root"] == str(other)
    assert project.json("--tasks", "nowhere", "list", "--tasks", "other")["root"] == str(other)


def test_a_setting_that_cannot_be_names_its_source(project: Project) -> None:
    assert "ORCH_PARALLEL" in project.refused("--status", ORCH_PARALLEL="-3")
    assert "--parallel" in project.refused("--status", "--parallel", "-3")


def test_a_name_that_does_not_exist_or_fits_two_is_told_apart(project: Project) -> None:
    project.drop("fix-auth")
    project.drop("fix-auto")
    assert "fix-auth" in project.refused("show", "fix-auht", code=1)
    assert "fix-auth, fix-auto" in project.refused("show", "fix-", code=1)
    assert project.json("show", "fix-auth")["name"] == "fix-auth"


def test_our_own_fault_is_exit_3_with_a_log_and_no_traceback(project: Project) -> None:
    script = BROKEN
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project.top, env=project.env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    log = Path(done.stderr.rpartition("with ")[2].strip().rstrip("."))
    assert ("ZeroDivisionError" in log.read_text() and "--status" in log.read_text()) or log.exists()


def test_a_fault_that_cannot_be_logged_is_still_told(project: Project) -> None:
    blocked = project.top / "file"
    blocked.write_text("")
    script = BROKEN
    env = {**project.env, "XDG_STATE_HOME": str(blocked)}
    done = subprocess.run([sys.executable, "-c", script], cwd=project.top, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stderr


def test_a_user_without_a_home_is_served(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.delenv("HOME")
    assert main(["--tasks", str(project.tasks), "--config"]) == 0
    assert os.environ["HOME"] == "/"


def test_a_reader_that_goes_away_ends_the_command_quietly(project: Project) -> None:
    for number in range(400):
        project.drop(f"task-with-a-rather-long-name-to-fill-the-pipe-{number:04d}-{'x' * 100}")
    process = subprocess.Popen(
        [*PROGRAM, "list"], cwd=project.top, env=project.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 0
    process.stderr.close()


@pytest.mark.parametrize("words", [["--status"], ["--status", "--json"], ["--config"]])
@pytest.mark.parametrize(("where", "told"), [(">/dev/full", "No space left on device"), (">&-", "standard output is closed")])
def test_a_stdout_that_takes_nothing_is_told_in_a_sentence_and_is_no_fault_of_ours(
    project: Project, words: list[str], where: str, told: str
) -> None:
    argv = ["sh", "-c", f'exec "$@" {where}', "sh", *PROGRAM, *words]
    done = subprocess.run(argv, cwd=project.top, env=project.env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert told in done.stderr
    assert "orchestrator itself" not in done.stderr


def test_ctrl_c_ends_a_view_with_130_and_no_words(project: Project) -> None:
    process = project.start("--status", "--watch")
    assert process.stdout is not None
    assert "no loop is running" in process.stdout.readline()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == ""


def test_watching_into_a_pipe_prints_again_only_what_changed(project: Project) -> None:
    process = project.start("--status", "--watch")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2)]
    assert "No tasks" in lines[1]
    project.drop("a")
    wait(lambda: "1 pending" in (process.stdout.readline() if process.stdout else ""), "the new task")


@pytest.mark.parametrize("words", [["--status"], ["--status", "--json"]])
def test_the_short_way_to_a_status_says_what_the_whole_command_line_says(project: Project, words: list[str]) -> None:
    project.drop("a", "draft: true")
    project.drop("b", "prioritee: 3\npriority: high")
    short, whole = (project.run(*words, *more, code=0).stdout for more in ((), ("--no-color",)))
    assert short == whole
    assert "priority" in short


def test_the_short_way_to_a_status_tells_a_mistake_like_the_whole_command_line(project: Project) -> None:
    environment = {"ORCH_TASKS": "nowhere"}
    short, whole = (project.run("--status", *more, code=2, **environment).stderr for more in ((), ("--no-color",)))
    assert short == whole
    assert "There is no tasks folder" in short


def test_a_tasks_folder_that_is_not_there_is_told_with_what_names_it(project: Project) -> None:
    told = project.refused("--tasks", "tsaks", "--status")
    assert "So says flag --tasks." in told
    assert f"`orchestrator init --tasks {project.top}/tsaks` makes it" in told
    assert "So says ORCH_TASKS." in project.refused("list", ORCH_TASKS="tsaks")


def test_nothing_heavy_is_imported_to_ask_for_the_status(project: Project) -> None:
    project.drop("a")
    project.run("--status")
    script = (
        "import sys\nbefore = set(sys.modules)\nfrom orchestrator.cli.main import main\nmain(['--status'])\n"
        "heavy = {'click', 'pydantic', 'yaml', 'rich', 'psutil', 'watchdog', 'pexpect', 'asyncio', 'logging', 'subprocess', 'platformdirs', 'hashlib', 'shutil'}\n"
        "print(sorted(heavy & set(sys.modules) - before), file=sys.stderr)\n"
    )
    wait(lambda: _imported(project, script) == "[]", "a status from the cache alone")


def _imported(project: Project, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project.top, env=project.env, capture_output=True, text=True, check=True
    )
    return done.stderr.strip()


@pytest.mark.parametrize("words", ["--status", "list", ""])
def test_a_current_folder_that_is_gone_is_told_and_no_fault_of_ours(project: Project, words: str) -> None:
    gone = f'mkdir gone; cd gone; rmdir ../gone; exec "$@" {words}'
    done = subprocess.run(
        ["sh", "-c", gone, "sh", *PROGRAM], cwd=project.top, env=project.env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "orchestrator: The current folder is gone."
    assert not (Path(project.env["XDG_STATE_HOME"]) / "orchestrator").exists()
    elsewhere = f'mkdir gone; cd gone; rmdir ../gone; exec "$@" -C {project.top} --status'
    assert subprocess.run(["sh", "-c", elsewhere, "sh", *PROGRAM], cwd=project.top, env=project.env, check=False).returncode == 0


def test_an_interrupt_before_there_is_anything_to_interrupt_shows_no_traceback(project: Project) -> None:
    script = (
        "import sys; sys.argv = ['orchestrator']\n"
        "import builtins; real = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name == 'orchestrator.cli.main': raise KeyboardInterrupt\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = interrupted\n"
        "from orchestrator.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project.top, env=project.env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
