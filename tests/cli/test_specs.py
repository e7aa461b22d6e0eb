"""Making and changing tasks: init, add, edit, schema."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from support.commands import COUNT, Project

from orchestrator.store import specfile


@pytest.fixture
def benchmark(empty: Project) -> str:
    (empty.top / "count.sh").write_text(COUNT)
    return "count.sh"


def test_init_makes_everything_once_and_hides_it_from_git(empty: Project) -> None:
    told = empty.run("init").stdout
    assert "made" in told
    assert (empty.tasks / "pending").is_dir()
    assert (empty.top / "orchestrator.toml").is_file()
    assert empty.git("status", "--porcelain") == "?? orchestrator.toml"
    (empty.top / "orchestrator.toml").write_text("parallel = 3\n")
    assert "Everything was there already." in empty.run("init").stdout
    assert (empty.top / "orchestrator.toml").read_text() == "parallel = 3\n"
    assert empty.json("init")["made"] == []


def test_the_configuration_that_init_writes_is_valid_also_when_every_line_is_used(empty: Project) -> None:
    empty.run("init")
    path = empty.top / "orchestrator.toml"
    path.write_text(
        "\n".join(
            line.removeprefix("# ") if " = " in line or line.startswith("# [") else line for line in path.read_text().splitlines()
        )
    )
    found = empty.json("--config")
    assert found["warnings"] == []
    assert found["settings"]["parallel"]["source"].startswith(str(path))
    assert found["settings"]["hooks.after_create"]["value"] == "npm ci"


def test_init_elsewhere_and_without_a_repository(empty: Project, tmp_path: Path) -> None:
    told = empty.run("init", str(tmp_path / "plain")).stdout
    assert (tmp_path / "plain" / "tasks" / "blocked").is_dir()
    assert "not a git repository" in told
    assert not empty.tasks.exists()
    assert "is a file" in empty.refused("init", "todo.txt")


def test_init_says_how_the_next_command_finds_a_queue_that_is_not_here(empty: Project, tmp_path: Path) -> None:
    assert "Next: `orchestrator add" in empty.run("init").stdout
    assert f"Next: `cd {tmp_path}/more`, `orchestrator add" in empty.run("init", f"{tmp_path}/more").stdout
    said = empty.run("init", "--tasks", "other").stdout
    assert "Next: name the queue by ORCH_TASKS, or `tasks` in orchestrator.toml, `orchestrator add" in said


def test_init_before_the_first_commit_keeps_the_queue_out_of_it(empty: Project, tmp_path: Path) -> None:
    new = tmp_path / "new"
    empty.git("init", "-q", str(new))
    assert "no commit yet" in empty.run("init", str(new)).stdout
    (new / "tasks/pending/x").mkdir()
    (new / "tasks/pending/x/autoresearch.md").touch()
    empty.git("-C", str(new), "add", "-A")
    assert empty.git("-C", str(new), "ls-files") == "orchestrator.toml"


def test_add_makes_a_task_that_is_ready_at_once(empty: Project, benchmark: str) -> None:
    told = empty.run(
        "add", "fix", "--goal", "Empty it", "--metric", "left", "--target", "0", "--benchmark", benchmark,
        "--scope", "*.txt", "--scope", "src/**", "--priority", "4", "--depends-on", "a,b", "--depends-on", "c",
        "--label", "x", "--agent", "exec", "--model", "m", "--timeout", "15m",
        "--budget", "usd=2.5", "--phases", "do-task", "--acceptance", "All gone",
    ).stdout  # fmt: skip
    assert told.startswith(f"{empty.tasks}/pending/fix is pending.")
    shown = empty.json("show", "fix")
    assert shown["depends_on"] == ["a", "b", "c"]
    assert shown["scope"] == ["*.txt", "src/**"]
    assert shown["goal"] == "Empty it"
    assert (shown["priority"], shown["agent"], shown["model"], shown["labels"], shown["acceptance"]) == (
        4,
        "exec",
        "m",
        ["x"],
        "All gone",
    )
    assert [reason["kind"] for reason in shown["waiting_on"]] == ["dependency"] * 3
    runner = empty.tasks / "pending" / "fix" / "autoresearch.sh"
    assert runner.stat().st_mode & stat.S_IXUSR


def test_what_is_said_of_a_metric_that_nobody_names_is_refused_with_the_option_that_names_it(
    empty: Project, benchmark: str
) -> None:
    empty.run("add", "a", "--goal", "x", "--benchmark", benchmark)
    for words in (("add", "b"), ("edit", "a")):
        assert "--min-effect says something about a metric; --metric NAME says which." in empty.refused(
            *words, "--min-effect", "0.1"
        )
    empty.run("edit", "a", "--metric", "left", "--target", "1")
    empty.run("edit", "a", "--target", "0")


def test_who_has_committed_nothing_yet_is_told_how_to_commit_what_tasks_find(empty: Project) -> None:
    empty.git("update-ref", "-d", "HEAD")
    empty.git("rm", "-q", "--cached", "-r", ".")
    told = empty.run("init").stdout
    command = told.partition("Commit what tasks need: ")[2].partition(".\n")[0]
    subprocess.run(command, shell=True, cwd=empty.top, env=empty.env, check=True, capture_output=True)
    assert "todo.txt" in empty.git("ls-tree", "--name-only", "HEAD").split()
    assert "tasks" not in empty.git("ls-tree", "--name-only", "HEAD").split()
    empty.run("add", "x", "--benchmark", "sh ./new.sh", "--goal", "x")
    (empty.top / "new.sh").write_text("echo METRIC n=1\n")
    empty.run(code=1)
    advice = empty.run("why", "x").stdout
    assert "of which only what is committed is there, what `setup` makes and what `.worktreeinclude` names" in advice


def test_init_below_the_top_of_a_repository_says_where_benchmarks_begin(empty: Project) -> None:
    assert "begin in" not in empty.run("init").stdout
    (empty.top / "packages/app").mkdir(parents=True)
    assert f"begin in {empty.top}, the repository's top" in empty.run("init", "packages/app").stdout


def test_patterns_that_are_listed_with_commas_are_several_as_names_of_tasks_are(empty: Project, benchmark: str) -> None:
    told = empty.run("add", "a", "--goal", "x", "--benchmark", benchmark, "--scope", "src/**, docs/{a, b}", "--off-limits", "a,b")
    assert (empty.json("show", "a")["scope"], empty.json("show", "a")["off_limits"]) == (["src/**", "docs/{a, b}"], ["a,b"])
    assert "Did you mean `docs/a`, `docs/b`?" in told.stdout
    assert empty.run("edit", "a", "--scope", "x.py, y.py").stderr == ""
    assert empty.json("show", "a")["scope"] == ["x.py", "y.py"]


GATES = ("--gate", "lint=ruff check", "--gate", "judge=claude", "--gate", "checks=off")


def test_add_takes_how_it_is_judged_and_what_becomes_of_it(empty: Project, benchmark: str) -> None:
    (empty.top / "secret.sh").write_text(COUNT)
    empty.run(
        "add", "fast", "--goal", "Be fast", "--metric", "ms", "--min-effect", "0.02", "--mode", "optimize", "--plateau", "4",
        "--benchmark", benchmark, "--holdout", "secret.sh", *GATES, "--review", "required", "--enforcement", "warn",
        "--land", "pr", "--issue", "12",
    )  # fmt: skip
    folder = empty.tasks / "pending/fast"
    spec = specfile.read(folder)
    assert (spec.mode, spec.plateau, spec.review, spec.enforcement, spec.land, spec.issue) == (
        "optimize",
        4,
        "required",
        "warn",
        "pr",
        "12",
    )
    assert (spec.holdout, (folder / "holdout.sh").read_text()) == ("holdout.sh", COUNT)
    assert [(gate.name, gate.command, gate.agent, gate.means) for gate in spec.gates] == [
        ("lint", "ruff check", None, "block"), ("judge", None, "claude", "block"), ("checks", None, None, "off"),
    ]  # fmt: skip
    assert spec.metrics[0].min_effect == 0.02


def test_edit_sets_and_removes_the_same(empty: Project, benchmark: str) -> None:
    empty.run("add", "fast", "--goal", "x", "--benchmark", benchmark, "--metric", "ms")
    folder = empty.tasks / "pending/fast"
    before = (folder / "autoresearch.md").read_text()
    empty.run(
        "edit", "fast", "--mode", "optimize", *GATES, "--review", "required", "--enforcement", "off", "--holdout", "make hidden"
    )
    spec = specfile.read(folder)
    assert (spec.mode, spec.review, spec.enforcement, spec.holdout) == ("optimize", "required", "off", "make hidden")
    assert [gate.name for gate in spec.gates] == ["lint", "judge", "checks"]
    empty.run("edit", "fast", "--gate", "lint=", "--gate", "judge=warn")
    assert [(gate.name, gate.means) for gate in specfile.read(folder).gates] == [("judge", "warn"), ("checks", "off")]
    empty.run("edit", "fast", "--gate", "judge=", "--gate", "checks=", "--holdout", "", "--mode", "converge", "--review", "none")
    spec = specfile.read(folder)
    assert (spec.gates, spec.holdout, spec.mode, spec.review) == ((), None, "converge", "none")
    assert before.split("---")[2] == (folder / "autoresearch.md").read_text().split("---")[2]


@pytest.mark.parametrize("command", [("add", "fast", "--goal", "x"), ("edit", "fast")])
def test_a_gate_is_given_its_command_and_its_mode_in_one_go(empty: Project, command: tuple[str, ...]) -> None:
    if command[0] == "edit":
        empty.run("add", "fast", "--goal", "x")
    empty.run(*command, "--gate", "lint=ruff check", "--gate", "lint=warn", "--gate", "judge=warn", "--gate", "judge=claude")
    found = specfile.read(empty.tasks / "pending/fast").gates
    assert [(gate.name, gate.command, gate.agent, gate.means) for gate in found] == [
        ("lint", "ruff check", None, "warn"), ("judge", None, "claude", "warn"),
    ]  # fmt: skip


def test_a_gate_in_yaml_is_no_command(empty: Project) -> None:
    told = empty.refused("add", "x", "--goal", "x", "--gate", "lint={command: ruff check, mode: warn}")
    assert "--gate lint=warn" in told


@pytest.mark.parametrize(
    "given", [("--gate", "lint"), ("--gate", "a.b=c"), ("--mode", "best"), ("--review", "yes"), ("--enforcement", "no")]
)
def test_what_a_flag_can_t_mean_is_refused(empty: Project, benchmark: str, given: tuple[str, str]) -> None:
    empty.refused("add", "x", "--goal", "x", "--benchmark", benchmark, *given)
    assert not list((empty.tasks / "pending").glob("x"))


def test_add_without_a_benchmark_is_a_draft_and_says_what_is_left(empty: Project) -> None:
    told = empty.run("add", "idea").stdout
    assert "is a draft" in told
    assert "orchestrator queue idea" in told
    assert "benchmark.sh" in told
    assert empty.task("idea")["waiting_on"][0]["kind"] == "draft"


def test_add_says_where_a_benchmark_that_looks_like_a_file_is_none(empty: Project) -> None:
    told = empty.run("add", "typo", "--goal", "x", "--benchmark", "./cuont.sh").stdout
    assert "no file ./cuont.sh" in told
    (empty.top / "count.sh").write_text("echo METRIC left=0\n")
    for given in ("./count.sh", "make -C bench/x", "true"):
        assert "no file" not in empty.run("add", f"good-{len(given)}", "--goal", "x", "--benchmark", given).stdout


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "x" * 300, "new\nline"])
def test_add_refuses_names_that_no_task_can_have_and_makes_nothing(project: Project, name: str) -> None:
    assert "can't be a task's name" in project.refused("add", name)
    assert list((project.tasks / "pending").iterdir()) == []


def test_add_takes_a_name_with_a_leading_dash_for_an_option(project: Project) -> None:
    project.refused("add", "-dash")
    project.refused("add", "--", "-dash")


@pytest.mark.parametrize("name", ["with space, quote'd", "日本語-émoji-🎉"])
def test_odd_but_legal_names_work_everywhere(empty: Project, name: str, benchmark: str) -> None:
    empty.run("add", name, "--goal", "x", "--benchmark", benchmark)
    assert empty.run("list", "--names").stdout == f"{name}\n"
    for words in (["show", name], ["why", name], ["block", name], ["retry", name], ["logs", name]):
        empty.run(*words)
    assert empty.state(name) == "pending"


def test_add_refuses_a_name_in_use_and_values_that_cannot_be(empty: Project, benchmark: str) -> None:
    empty.run("add", "fix", "--benchmark", benchmark)
    empty.run("block", "fix")
    assert "already" in empty.refused("add", "fix", "--benchmark", benchmark, code=1)
    assert "--metric" in empty.refused("add", "new", "--target", "3")
    assert "no file" in empty.refused("add", "new", "--benchmark", "nothing.sh").lower()
    assert "duration" in empty.refused("add", "new", "--timeout", "1:30", "--benchmark", benchmark)
    assert empty.state("new") is None


def test_edit_by_options_changes_only_those_lines(project: Project) -> None:
    folder = project.drop("fix", "# keep me\nmetric: {name: left, target: 0}  # and me\npriority: 1\nlabels: [a]")
    project.run("edit", "fix", "--priority", "9", "--target", "2", "--label", "", "--model", "big")
    text = (folder / "autoresearch.md").read_text()
    assert "# keep me\n" in text
    assert "# and me" in text
    assert "labels" not in text
    shown = project.json("show", "fix")
    assert (shown["priority"], shown["metrics"][0]["target"], shown["model"], shown["labels"]) == (9, 2, "big", [])
    assert project.run("edit", "fix", "--priority", "9").stdout == "Nothing changed.\n"


def test_budget_and_fallback_are_set_and_removed_by_options(project: Project) -> None:
    folder = project.drop("fix")
    project.run("edit", "fix", "--budget", "usd=5,attempts=3", "--budget", "tokens=200k", "--fallback", "codex,opencode")
    text = (folder / "autoresearch.md").read_text()
    assert ("usd: 5" in text, "attempts: 3" in text, "tokens: 200k" in text) == (True, True, True)
    assert "- codex\n" in text or "fallback: [codex, opencode]" in text
    project.run("edit", "fix", "--budget", "usd=,attempts=", "--fallback", "")
    text = (folder / "autoresearch.md").read_text()
    assert ("usd" in text, "attempts" in text, "fallback" in text, "tokens: 200k" in text) == (False, False, False, True)
    assert "KIND=N" in project.refused("edit", "fix", "--budget", "euros=3")
    assert "no number of tokens" in project.refused("edit", "fix", "--budget", "tokens=many")
    assert "at least 1" in project.refused("edit", "fix", "--budget", "attempts=0", code=1)


def test_edit_refuses_what_would_break_the_spec(project: Project) -> None:
    folder = project.drop("fix")
    before = (folder / "autoresearch.md").read_text()
    refused = project.refused("edit", "fix", "--timeout", "soon", code=1)
    assert 'found `timeout: soon`, expected a duration such as "90s"' in refused
    assert "The task's own is as it was." in refused
    assert (folder / "autoresearch.md").read_text() == before


def test_edit_to_an_agent_that_nobody_knows_says_so_as_add_does(project: Project, benchmark: str) -> None:
    project.run("add", "fix", "--goal", "g", "--benchmark", str(project.top / benchmark))
    assert "warning: `agent: nobody` is no agent or model" in project.run("edit", "fix", "--agent", "nobody").stderr
    assert project.run("edit", "fix", "--agent", "exec").stderr == ""


def test_a_parent_that_nobody_knows_is_told_at_once_and_one_that_was_removed_is_known(project: Project) -> None:
    (project.tasks / ".orch" / "converged.jsonl").write_text('{"schema": 1, "name": "old"}\n')
    project.drop("there", state="blocked")
    told = project.run("add", "fix", "--goal", "g", "--benchmark", "true", "--depends-on", "there,old,thre").stdout
    assert (
        "warning: no task is called thre, as `depends_on` has it: this one starts when all named there have converged\n" in told
    )
    assert "no task is called far or away," in project.run("edit", "fix", "--depends-on", "far,away").stderr
    assert project.run("edit", "fix", "--depends-on", "there,old").stderr == ""


def test_edit_of_a_spec_that_is_broken_names_its_file_and_place(project: Project) -> None:
    folder = project.drop("fix")
    (folder / "autoresearch.md").write_text("---\nscope: [\n---\n# x\n")
    assert f"{folder}/autoresearch.md:3:1: found" in project.refused("edit", "fix", "--priority", "3", code=1)


def test_edit_without_a_terminal_or_options_says_so(project: Project) -> None:
    project.drop("fix")
    assert "no terminal" in project.refused("edit", "fix")


def editor(project: Project, script: str) -> str:
    path = project.top.parent / "editor.sh"
    path.write_text(f"#!/bin/sh\nfor file; do :; done\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_the_editor_works_on_a_copy_which_is_put_where_the_task_is_by_then(project: Project) -> None:
    project.drop("fix")
    move = f"mv {project.tasks}/pending/fix {project.tasks}/blocked/fix\nsed -i 's/Empty it/Clear it/' \"$file\""
    code, told = project.in_terminal("edit", "fix", EDITOR=editor(project, move))
    assert code == 0
    assert "is changed" in told
    assert "Clear it" in (project.tasks / "blocked" / "fix" / "autoresearch.md").read_text()


@pytest.mark.parametrize("way", ["options", "queue", "editor"])
def test_an_edit_leaves_the_line_ends_and_the_mark_of_a_file_from_windows(project: Project, way: str) -> None:
    folder = project.drop("fix")
    spec = folder / "autoresearch.md"
    spec.write_bytes(b"\xef\xbb\xbf---\r\ndraft: true\r\npriority: 2\r\n---\r\n# T\r\n")
    before = spec.read_bytes()
    if way == "options":
        project.run("edit", "fix", "--priority", "3")
    elif way == "queue":
        project.run("queue", "fix")
    else:
        project.in_terminal("edit", "fix", EDITOR=editor(project, "sed -i 's/priority: 2/priority: 3/' \"$file\""))
    gone = b"draft: true\r\n" if way == "queue" else b"priority: 2"
    assert spec.read_bytes() == before.replace(gone, b"" if way == "queue" else b"priority: 3")


def test_a_broken_edit_is_never_put_in_place_and_can_be_mended(project: Project) -> None:
    folder = project.drop("fix")
    mend = "sed -i 's/^priority: high/priority: 7/' \"$file\""
    break_then_mend = f"if grep -q '^priority: high' \"$file\"; then {mend}; else sed -i '2i priority: high' \"$file\"; fi"
    code, told = project.in_terminal("edit", "fix", EDITOR=editor(project, break_then_mend), typed=[("Edit again?", b"\n")])
    assert code == 0
    assert "priority: high" in told
    assert "priority: 7" in (folder / "autoresearch.md").read_text()


def test_an_edit_that_is_given_up_keeps_the_persons_version(project: Project) -> None:
    folder = project.drop("fix")
    before = (folder / "autoresearch.md").read_text()
    code, told = project.in_terminal(
        "edit", "fix", EDITOR=editor(project, "sed -i '2i priority: high' \"$file\""), typed=[("Edit again?", b"n\n")]
    )
    assert code == 1
    assert (folder / "autoresearch.md").read_text() == before
    copy = told.rpartition("kept at ")[2].split(".md")[0] + ".md"
    assert "priority: high" in Path("".join(copy.split())).read_text()


def test_an_edit_never_overwrites_somebody_elses(project: Project) -> None:
    folder = project.drop("fix")
    both = f"echo 'and mine' >> {folder}/autoresearch.md\necho 'theirs' >> \"$file\""
    code, told = project.in_terminal("edit", "fix", EDITOR=editor(project, both), columns=200)
    assert code == 1
    assert "changed by somebody else" in told
    assert "kept at" in told
    text = (folder / "autoresearch.md").read_text()
    assert "and mine" in text
    assert "theirs" not in text


def test_an_editor_that_fails_changes_nothing(project: Project) -> None:
    folder = project.drop("fix")
    before = (folder / "autoresearch.md").read_text()
    code, told = project.in_terminal("edit", "fix", EDITOR=editor(project, "exit 3"))
    assert code == 1
    assert "Traceback" not in told
    assert (folder / "autoresearch.md").read_text() == before


def kept(told: str) -> list[str]:
    """The text of the copy that a person was told of, if any."""
    return [Path(path).read_text() for path in re.findall(r"kept at (\S+\.md)", told)]


@pytest.mark.parametrize(
    ("script", "typed", "code"),
    [('echo mine >> "$file"; exit 1', "", 1), ("printf -- '---\\npriority: mine\\n---' > \"$file\"", "\x03", 130)],
)
def test_what_was_written_is_kept_where_the_editor_fails_or_the_question_is_not_answered(
    project: Project, script: str, typed: str, code: int
) -> None:
    project.drop("fix")
    # A Ctrl-C in the moment between Python's look for signals and its reading is heard with the next key only.
    keys = [("Edit again? [Y/n]: ", typed.encode()), ("^C", b"\n")] if typed else []
    ended, told = project.in_terminal("edit", "fix", EDITOR=editor(project, script), typed=keys, columns=300)
    assert ended == code
    assert "mine" in kept(told)[0]


@pytest.mark.parametrize("script", ["exit 1", 'cp "$file" "$file~"', 'rm "$file"; exit 1'])
def test_no_copy_is_left_that_says_nothing_new(project: Project, tmp_path: Path, script: str) -> None:
    """An editor's own backup beside it neither."""
    project.drop("fix")
    (tmp_path / "copies").mkdir()
    _, told = project.in_terminal("edit", "fix", EDITOR=editor(project, script), TMPDIR=str(tmp_path / "copies"), columns=300)
    assert not kept(told)
    assert not list((tmp_path / "copies").iterdir())
    assert "error of the orchestrator" not in told


@pytest.mark.parametrize(
    ("script", "stays"),
    [('rm "$file"; mkdir "$file"', True), ('rm "$file"; mkfifo "$file"', True), ('rm -r "$(dirname "$file")"', False)],
)
def test_what_an_editor_leaves_in_place_of_the_copy_is_told_as_what_it_is(project: Project, script: str, stays: bool) -> None:
    project.drop("fix")
    ended, told = project.in_terminal(
        "edit", "fix", EDITOR=editor(project, script), typed=[("Edit again? [Y/n]: ", b"n\n")], columns=300
    )
    assert (ended, "kept at" in told) == (1, stays)


def test_failures_without_a_limit_are_added_edited_and_shown(empty: Project, benchmark: str) -> None:
    empty.run("init")
    empty.run("add", "fix", "--goal", "x", "--benchmark", benchmark, "--max-failures", "Infinite")
    spec = empty.tasks / "pending/fix/autoresearch.md"
    assert "max_failures: infinite\n" in spec.read_text()
    assert empty.task("fix")["max_failures"] is None
    empty.run("edit", "fix", "--max-failures", "2")
    assert "max_failures: 2\n" in spec.read_text()
    assert empty.task("fix")["max_failures"] == 2
    for wrong in ("0", "never"):
        assert "--max-failures" in empty.refused("edit", "fix", "--max-failures", wrong)


def test_the_schema_is_json_and_knows_the_keys(empty: Project) -> None:
    schema = json.loads(empty.run("schema").stdout)
    assert {"metric", "scope", "depends_on", "priority"} <= set(schema["properties"])


def test_an_unwritable_folder_is_a_sentence(empty: Project, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    assert "ermission" in empty.refused("init", str(closed), code=1)


def test_a_second_queue_below_another_is_told_when_it_is_made(project: Project, benchmark: str) -> None:
    (project.top / "below it").mkdir()
    command = ("-C", "below it", "add", "x", "--goal", "g", "--benchmark", str(project.top / benchmark))
    said = project.run(*command).stderr
    assert f"A new queue was made at {project.top}/below it/tasks." in said
    assert f"There is one above: `orchestrator -C {project.top} …`." in said
    assert project.run(*command[:3], "y", *command[4:]).stderr == ""
    assert project.run("add", "z", *command[4:]).stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        *([*place, *command] for place in (["--tasks", "tasks/pending"], ["--tasks", "tasks/pending/fix"])
          for command in ([], ["list"], ["--check"], ["add", "x", "--goal", "g", "--benchmark", "true"], ["init"])),
        ["init", "tasks"],
    ],
)  # fmt: skip
def test_a_folder_inside_of_a_queue_is_none(project: Project, words: list[str]) -> None:
    """A drain of `--tasks tasks/pending` ended with 0, and left four folders there as tasks that are invalid."""
    project.drop("fix")
    assert f"lies inside the tasks folder {project.tasks}" in project.refused(*words)
    assert [place.name for place in (project.tasks / "pending").iterdir()] == ["fix"]


def test_a_project_in_a_folder_that_has_others_pending_and_running_is_no_task(project: Project) -> None:
    """A spool, say: a queue has four folders."""
    for name in ("pending", "running"):
        (project.tasks.parent / name).mkdir()
    project.run("list", code=0)


def test_a_check_counts_the_tasks_that_are_invalid(project: Project) -> None:
    project.drop("fine")
    checks = project.json("--check", code=None)["checks"]
    assert not [each for each in checks if "invalid" in each["detail"]]
    project.drop("x", front="priority: high")
    project.drop("y", front="priority: high")
    told = project.run("--check", code=None).stdout
    assert "2 tasks are invalid" in told
    assert "-> `orchestrator list` names them." in told


def test_a_check_names_a_text_that_lies_where_tasks_are_folders(project: Project) -> None:
    """A task that was dropped as a file was seen by nobody, and nothing said so."""
    pending = project.drop("fine").parent
    for name in ("fix.md", "README.md", ".x.md"):
        (pending / name).write_text("# T\n")
    told = [each["detail"] for each in project.json("--check", code=None)["checks"] if "no task" in each["detail"]]
    assert told == ["fix.md lies in pending and is no task"]


def test_a_runner_that_nobody_wrote_follows_the_benchmark(empty: Project) -> None:
    empty.run("add", "x", "--goal", "g", "--benchmark", "make count")
    runner = empty.tasks / "pending/x/autoresearch.sh"
    empty.run("edit", "x", "--benchmark", "make other")
    text = runner.read_text()
    assert ("make other" in text, "make count" in text) == (True, False)
    mine = f"{text}# mine\n"
    runner.write_text(mine)
    empty.run("edit", "x", "--benchmark", "make more")
    assert runner.read_text() == mine


def test_a_runner_is_not_made_to_run_itself(empty: Project) -> None:
    empty.run("add", "x", "--goal", "g", "--benchmark", "make count")
    runner = empty.tasks / "pending/x/autoresearch.sh"
    before = runner.read_text()
    empty.run("edit", "x", "--benchmark", "")
    assert runner.read_text() == before


def test_a_phase_that_is_no_skill_anywhere_makes_a_task_invalid_at_once_with_what_there_is(project: Project) -> None:
    project.drop("x", "phases: [do-task, nosuch]")
    (problem,) = project.task("x")["problems"]
    place = f"{project.tasks}/pending/x/autoresearch.md:2: "
    assert problem == f"{place}found the phase `nosuch`, expected a skill; there are: do-task, plan-task, review-task"
    project.agent(": > todo.txt")
    assert "invalid: " in project.run(code=1).stdout
    assert "expected a skill" in project.run("add", "y", "--goal", "y", "--phases", "nosuch").stdout
    assert "expected a skill" in project.run("edit", "x", "--phases", "nosuch,do-task").stderr


def test_a_phase_that_may_be_a_skill_when_the_task_is_worked_on_is_no_problem(project: Project) -> None:
    def skill(folder: str) -> None:
        (project.top / folder).mkdir(parents=True)
        (project.top / folder / "SKILL.md").write_text("Do.\n")

    skill(".claude/skills/ignored")
    (project.top / ".git/info/exclude").write_text(".claude\ntasks\n")
    project.git("checkout", "-q", "-b", "other")
    skill(".agents/skills/elsewhere")
    project.git("add", ".")
    project.git("commit", "-qm", "a skill")
    project.git("checkout", "-q", "main")
    project.drop("checkout", "phases: [ignored]")
    project.drop("branch", "{phases: [elsewhere], base: other}")
    project.drop("own", "{phases: [mine], skills: [deep/mine]}")
    project.drop("made", "{phases: [later], setup: make skills}")
    assert [task["problems"] for task in project.json("list")["tasks"]] == [[], [], [], []]
