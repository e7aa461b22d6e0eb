"""What the commands that explain say: show, why, logs, diff, recover, graph, config, check, completions, demo."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest
from support.commands import Project, wait
from support.forks import PROGRAM

from orchestrator.cli import verdicts

EMPTY_BY_ONE = 'echo "attempt $ORCH_ATTEMPT: $(head -1 todo.txt)"; sed -i 1d todo.txt'


@pytest.fixture
def converged(project: Project) -> Project:
    """A project whose task `fix` has converged after three attempts."""
    project.agent(EMPTY_BY_ONE)
    project.drop("fix")
    project.run()
    return project


@pytest.mark.parametrize("broken", ["", "{", "[1]"])
def test_a_record_that_can_not_be_read_is_no_move_by_hand(converged: Project, broken: str) -> None:
    path = converged.tasks / "converged/fix/.orch/state.json"
    path.write_text(broken)
    told = (converged.run("--status").stdout, converged.run("why", "fix").stdout, converged.task("fix")["detail"])
    for each in told:
        assert "state.json is no record" in each
        assert "by hand" not in each
    assert "nothing else tells what was done" in told[1]
    (converged.tasks / "converged/fix").rename(converged.tasks / "blocked/fix")
    assert "record: " in converged.run("why", "fix").stdout
    shutil.rmtree(path.parent.parent.parent.parent / "blocked/fix/.orch")
    assert "moved here by hand" in converged.run("why", "fix").stdout


def test_a_drain_tells_each_happening_and_ends_with_0(project: Project) -> None:
    project.agent(EMPTY_BY_ONE)
    project.drop("fix")
    told = project.run().stdout
    assert "fix: started" in told
    assert "fix: converged after 3 attempts" in told
    assert told.count("\n") < 8
    assert project.git("show", "main:todo.txt") == ""
    assert project.run("-q").stdout == ""


def test_a_drain_with_something_blocked_ends_with_1_and_parked_with_75(project: Project) -> None:
    project.agent("true")
    project.drop("fix", "metric: {name: left, target: 0}\nmax_failures: 2")
    assert "blocked (exhausted)" in project.run(code=1).stdout
    project.run("retry", "fix")
    later = project.drop("later", record={"reason": "rate-limited", "not_before": time.time() + 900})
    (project.tasks / "pending" / "fix").rename(project.tasks / "fix-aside")
    project.run(code=75)
    assert later.exists()


def test_a_loop_without_an_agent_says_so_before_it_blocks_everything(project: Project) -> None:
    project.drop("fix")
    project.drop("own", "agent: scripted\ndraft: true")
    done = project.run(code=1)
    assert "No agent is chosen, and 1 task names none." in done.stderr
    assert "No agent is configured" in project.run("why", "fix").stdout


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"ORCH_AGENT": "codex"}, "The agent codex can't work here: codex was not found on PATH. npm install -g @openai/codex"),
        ({"ORCH_AGENT": "exec"}, "The agent exec can't work here: no command is set for the exec agent. Set ORCH_AGENT_CMD"),
        (
            {"ORCH_AGENT": "exec", "ORCH_AGENT_CMD": "nothing-of-this-name"},
            "nothing-of-this-name, which ORCH_AGENT_CMD begins with",
        ),
        ({"ORCH_AGENT": "exec", "ORCH_AGENT_CMD": "true"}, None),
        ({"ORCH_AGENT": "codex", "ORCH_FALLBACK": "scripted"}, None),
        ({"ORCH_AGENT": "scripted"}, None),
    ],
)
def test_a_loop_whose_agent_is_not_here_says_so_and_what_to_do_before_it_starts(
    project: Project, env: dict[str, str], told: str | None
) -> None:
    path = ":".join(folder for folder in os.environ["PATH"].split(":") if not (Path(folder) / "codex").exists())
    said = project.run(PATH=path, **env)
    assert ("can't work here" in said.stderr) is (told is not None)
    assert told is None or told in " ".join(said.stderr.split())


def test_what_a_drain_says_of_a_blocked_task_is_indented_also_where_its_reason_has_several_lines(project: Project) -> None:
    project.drop("x", state="blocked", record={"reason": "setup", "detail": "one\ntwo"})
    assert "   x is blocked (setup): one two\n" in project.run(code=1).stdout


def test_a_loop_tells_of_tasks_that_are_blocked_already(project: Project) -> None:
    project.drop("x", state="blocked", record={"reason": "setup", "detail": "no agent"})
    process = project.start("--loop")
    assert process.stdout is not None
    assert "Watching" in process.stdout.readline()
    assert "1 blocked already: `orchestrator why NAME` says what to do" in process.stdout.readline()


@pytest.mark.parametrize(
    ("front", "script", "meant"),
    [
        ("", "exec nothing-of-this-name", "See that its agent works"),
        ("", "exit 3", "See that its agent works"),
        ("\ntimeout: 0.2s", "sleep 60", "orchestrator edit x --timeout"),
        ("\ngates: {doctor: ./doctor.sh}", ": > todo.txt", "See the verdict in `orchestrator show x`"),
        ("", "true", "make the goal clearer or smaller"),
    ],
)
def test_what_is_advised_after_so_many_failures_is_what_they_were_of(
    project: Project, front: str, script: str, meant: str
) -> None:
    project.drop("x", f"metric: {{name: left, target: 0}}\nmax_failures: 2{front}")
    project.agent(script)
    project.run(code=1)
    assert "blocked\n  exhausted" in (told := project.run("why", "x").stdout)
    assert meant in told


def test_a_drain_that_a_dirty_checkout_ends_says_what_to_do_and_that_helps(project: Project) -> None:
    project.drop("x")
    project.agent(": > todo.txt")
    (project.top / "todo.txt").write_text("mine\n")
    said = project.run(code=75, ORCH_BACKOFF="2m").stdout
    assert "; commit or move that away, then `orchestrator retry x`" in said
    assert "`orchestrator retry x` at once" in project.run("why", "x").stdout
    project.git("checkout", "-q", "todo.txt")
    project.run("retry", "x")
    project.run(code=0)


def test_an_agent_that_is_not_here_is_told_only_where_a_task_would_have_it(project: Project) -> None:
    project.drop("own", "agent: scripted")
    assert "can't work here" not in project.run(ORCH_AGENT="exec", code=None).stderr
    project.drop("any")
    assert "can't work here" in project.run(ORCH_AGENT="exec", code=None).stderr


def test_once_and_task_do_one_and_leave_the_rest(project: Project) -> None:
    project.agent(EMPTY_BY_ONE)
    project.drop("one", "metric: {name: left, target: 0}\npriority: 5")
    project.drop("two")
    assert "one: is pending again (left 3 -> 2, target <= 0)" in project.run("--once").stdout
    assert project.task("one")["attempts"] == 1
    assert project.task("two")["attempts"] == 0
    project.run("--task", "tw", code=None)
    assert project.task("two")["attempts"] >= 1


def test_show_tells_goal_numbers_and_attempts(converged: Project) -> None:
    told = converged.run("show", "fix").stdout
    for words in (
        "fix: About fix",
        "Empty it.",
        "merged into main as",
        "left    lower   0       3         0     0",
        "orchestrator/fix",
        "ATTEMPT  AGENT  ENDED     RESULT     TIME",  # nobody knows a model, a cost or tokens: no empty columns
    ):
        assert words in told
    found = converged.json("show", "fix")
    assert [attempt["result"] for attempt in found["history"]] == ["improved", "improved", "converged"]
    assert found["landed"]["how"] == "merge"
    assert found["landed"]["commit"] == converged.git("rev-parse", "main")


def test_what_a_gate_that_said_no_points_to_or_printed_last_is_told_with_its_name() -> None:
    said = [
        {"gate": "lint", "ok": False, "reason": "7 new findings", "places": [f"a.py:{number}: bad" for number in range(7)]},
        {"gate": "types", "ok": False, "reason": "exit code 3", "places": [], "output": "begins\n1\n2\n3\n\n4\n1 error\x1b[2J\n"},
        {"gate": "checks", "ok": True, "reason": "passed", "places": [], "output": "fine"},
    ]
    _, attempt, *below = list(verdicts.lines(2, said))
    assert attempt == "Of attempt 2:"
    below = below[4:]
    assert below[0] == "  lint: a.py:0: bad"
    assert below[5:7] == ["  … and 2 more of lint", "  types: 1"]
    assert below[-1].startswith("  types: 1 error")
    assert "\x1b" not in below[-1]


def test_logs_show_the_last_attempt_or_the_one_asked_for(converged: Project) -> None:
    assert "attempt 3: three" in converged.run("logs", "fix").stdout
    assert "attempt 1: one" in converged.run("logs", "fix", "--attempt", "1").stdout
    assert "There are: 1, 2, 3." in converged.refused("logs", "fix", "--attempt", "9", code=1)
    assert len(converged.run("logs", "fix", "-n", "1").stdout.splitlines()) == 1
    assert converged.run("logs", "fix", "-n", "0").stdout == ""
    found = converged.json("logs", "fix", "--attempt", "2")
    assert found["attempt"] == 2
    assert found["attempts"] == [1, 2, 3]
    assert any("attempt 2: two" in line for line in found["lines"])
    assert "landed" in [event["event"] for event in found["events"]]


def test_logs_without_any_attempt_are_the_events_safe_for_a_terminal(project: Project) -> None:
    folder = project.drop("fix")
    project.event(folder, "claimed", attempt=1, detail="red \x1b[31m")
    with (folder / ".orch" / "events.jsonl").open("a") as file:
        file.write('{"torn": ')
    told = project.run("logs", "fix").stdout
    assert "#1 claimed" in told
    assert "\x1b" not in told
    assert len(told.splitlines()) == 1


def test_follow_goes_over_attempts_and_moves_and_ends_with_the_task(project: Project) -> None:
    go = project.top / "go"
    project.agent(f"{EMPTY_BY_ONE}; until [ -e {go} ]; do sleep 0.02; done")
    project.drop("fix")
    follower = project.start("logs", "-f", "fix")
    drain = project.start()
    assert follower.stdout is not None
    out = ""
    while "attempt 1: one" not in out:  # it follows: one that began after the first attempt would tell nothing of it
        line = follower.stdout.readline()
        assert line, follower.communicate(timeout=60)
        out += line
    go.touch()
    drain.communicate(timeout=60)
    rest, err = follower.communicate(timeout=60)
    out += rest
    assert follower.returncode == 0
    assert err.endswith("fix is converged.\n")
    assert [
        line.partition("attempt ")[2] for line in out.splitlines() if ": " in line and "attempt " in line and "starts" not in line
    ] == ["1: one", "2: two", "3: three"]


def test_follow_of_events_ends_too(project: Project) -> None:
    project.agent(EMPTY_BY_ONE)
    project.drop("fix")
    follower = project.start("logs", "-f", "--events", "fix")
    project.run()
    out, _ = follower.communicate(timeout=60)
    assert "claimed" in out or "measured" in out


def test_diff_shows_what_landed_and_what_one_attempt_did(converged: Project) -> None:
    told = converged.run("diff", "fix").stdout
    assert told.startswith("diff --git")
    assert "-one\n-two\n-three\n" in told
    assert "todo.txt" in converged.run("diff", "fix", "--stat").stdout
    found = converged.json("diff", "fix")
    assert found["files"] == [{"path": "todo.txt", "status": "M"}]
    assert "-one" in found["patch"]
    assert "-one" in converged.run("diff", "fix", "--attempt", "1").stdout
    assert "There are:" in converged.refused("diff", "fix", "--attempt", "7", code=1)
    assert "\x1b[" in converged.in_terminal("diff", "fix")[1]


@pytest.mark.parametrize("words", [("diff", "fix"), ("recover", "show", "fix", "1")])
def test_a_patch_hides_nothing_on_a_terminal_and_changes_nothing_in_a_pipe(project: Project, words: tuple[str, ...]) -> None:
    """What an agent wrote could take its own lines away from the eyes of who approves them."""
    project.agent("printf 'evil\\033[2K\\033[1A\\r\\nL\\344\\342\\200\\256\\n' > hidden.txt; : > todo.txt")
    project.drop("fix")
    project.run()
    seen = project.in_terminal(*words, columns=200)[1]
    assert "\x1b[32m+evil\\x1b[2K\\x1b[1A\\r\x1b[0m" in seen
    assert "\x1b[32m+L\\xe4\\u202e\x1b[0m" in seen
    assert "\x1b[31m-one" in seen
    piped = subprocess.run([*PROGRAM, *words], cwd=project.top, env=project.env, capture_output=True, check=True).stdout
    assert b"+evil\x1b[2K\x1b[1A\r\n+L\xe4\xe2\x80\xae\n" in piped


def test_diff_of_an_untouched_task_says_so(project: Project) -> None:
    project.drop("fix")
    for shape in ((), ("--stat",)):
        done = project.run("diff", "fix", *shape)
        assert (done.stdout, "Nothing has been done for 'fix' yet" in done.stderr) == ("", True)
    found = project.json("diff", "fix")
    assert (found["name"], found["old"], found["files"], found["patch"]) == ("fix", None, [], "")
    assert "Nothing has been done" in project.refused("diff", "fix", "--attempt", "1", code=1)


@pytest.mark.parametrize("words", [("show", "fix", "1"), ("fix", "1"), ("apply", "fix", "1"), ("fix", "1", "--branch", "new")])
def test_recover_of_one_attempt_is_a_json_document_too(converged: Project, words: tuple[str, ...]) -> None:
    """It printed the patch, or nothing."""
    if words[0] == "apply":
        converged.git("checkout", "-q", "main~1")
    found = converged.json("recover", *words)
    assert (found["task"], found["label"], "-one" in found["patch"]) == ("fix", "0001", True)


def test_recover_lists_shows_and_takes_back_every_attempt(converged: Project) -> None:
    labels = [each["label"] for each in converged.json("recover", "fix")["kept"]]
    assert labels == ["0001", "0002", "0003"]
    assert "-one" in converged.run("recover", "fix", "1").stdout
    assert converged.run("recover", "fix", "--branch", "mine", "1").stdout.startswith("The branch mine is at")
    assert converged.git("show", "mine:todo.txt") == "two\nthree"
    assert "Which of them?" in converged.refused("recover", "fix", "--apply")
    assert "kept as '9'" in converged.refused("recover", "fix", "--show", "9", code=1)
    assert "Can't make the branch" in converged.refused("recover", "fix", "--branch", "mine", "1", code=1)


def shown_twice(project: Project, label: str) -> str:
    """What an attempt of `fix` changed, as both commands that tell it say."""
    told = project.run("recover", "show", "fix", label).stdout
    assert told == project.run("diff", "fix", "--attempt", label).stdout
    return told


def test_an_attempt_is_shown_against_the_base_of_its_task_and_not_another(project: Project) -> None:
    project.git("switch", "-q", "-c", "release")
    (project.top / "release.txt").write_text("1.0\n")
    project.git("add", "release.txt")
    project.git("commit", "-qm", "release")
    project.git("switch", "-q", "main")
    project.agent(EMPTY_BY_ONE)
    project.drop("fix", "base: release")
    project.run()
    told = shown_twice(project, "2")
    assert "-one\n-two\n three" in told
    assert told.count("diff --git") == 1


def test_an_attempt_is_shown_as_it_was_also_once_it_landed_was_undone_and_done_again(converged: Project) -> None:
    first = shown_twice(converged, "2")
    assert "-one\n-two\n three" in first
    converged.run("undo", "fix")
    assert shown_twice(converged, "2") == first
    converged.run("queue", "fix")
    converged.run()
    assert converged.task("fix")["attempts"] == 6
    assert (shown_twice(converged, "2"), shown_twice(converged, "5")) == (first, first)
    converged.run("undo", "fix")
    converged.run("recover", "apply", "fix", "2")
    assert (converged.top / "todo.txt").read_text() == "three\n"


def test_an_attempt_is_shown_where_its_branch_became_the_base(project: Project) -> None:
    project.agent(EMPTY_BY_ONE)
    project.drop("fix", "land: branch")
    project.run()
    project.git("merge", "-q", "orchestrator/fix")
    assert "-one\n-two\n three" in shown_twice(project, "2")


def test_recover_lists_as_a_table_and_says_when_there_is_nothing(converged: Project) -> None:
    lines = converged.run("recover").stdout.splitlines()
    assert lines[0].split() == ["TASK", "LABEL", "COMMIT", "WHEN", "SUBJECT"]
    assert [line.split()[:2] for line in lines[1:]] == [["fix", "0001"], ["fix", "0002"], ["fix", "0003"]]
    assert "-one" in converged.run("recover", "fix", "--show", "0001").stdout
    converged.drop("new")
    assert "Nothing has been done" in converged.refused("recover", "new", code=1)


def litter(project: Project, script: str) -> None:
    """A task whose only attempt is this script, blocked and then cancelled."""
    project.agent(script)
    project.drop("fix", "max_failures: 1")
    project.run(code=1)
    project.run("cancel", "fix")


def test_recover_does_not_list_what_holds_nothing_but_caches(project: Project) -> None:
    litter(project, "echo four >> todo.txt; mkdir __pycache__; touch __pycache__/x.pyc y.pyc")
    assert "cut/0002-cancel" in project.git("for-each-ref", "refs/orchestrator/")
    assert [each["label"] for each in project.json("recover", "fix")["kept"]] == ["0001"]
    assert [each["label"] for each in project.json("recover")["kept"]] == ["0001"]
    assert "There are: 0001, cut/0002-cancel" in project.refused("recover", "fix", "9", code=1)


def test_recover_lists_what_only_a_cut_leads_to_though_it_changes_nothing_itself(project: Project) -> None:
    litter(project, "mkdir __pycache__; touch __pycache__/x.pyc")
    assert project.json("recover", "fix")["kept"] == []
    base = project.git("rev-parse", "main")
    lost = project.git("commit-tree", "main^{tree}", "-p", base, "-m", "an agent's")
    lost = project.git("commit-tree", f"{lost}^{{tree}}", "-p", lost, "-m", "Work found uncommitted")
    project.git("update-ref", "refs/orchestrator/fix/cut/0003", lost)
    assert [each["label"] for each in project.json("recover", "fix")["kept"]] == ["cut/0003"]


def test_recover_shows_and_takes_back_the_untracked_files_that_an_agent_stashed(project: Project) -> None:
    litter(project, "echo four >> todo.txt; echo draft > draft.txt; git stash -q --include-untracked")
    (label,) = [each["label"] for each in project.json("recover", "fix")["kept"] if "WIP" in each["subject"]]
    told = project.run("recover", "show", "fix", label).stdout
    assert "+four" in told
    assert "+draft" in told
    project.run("recover", "apply", "fix", label)
    assert (project.top / "draft.txt").read_text() == "draft\n"
    assert (project.top / "todo.txt").read_text() == "one\ntwo\nthree\nfour\n"


def test_recover_lists_what_a_person_wrote_into_a_worktree(project: Project) -> None:
    project.agent("true")
    project.drop("fix", "max_failures: 1")
    project.run(code=1)
    (project.top / ".worktrees/fix/mine").write_text("by hand\n")
    project.run("cancel", "fix")
    assert [each["label"] for each in project.json("recover", "fix")["kept"]] == ["cut/0002-cancel"]
    assert "by hand" in project.run("recover", "fix", "cut").stdout


def test_a_task_with_failures_without_a_limit_goes_on_after_any_number_of_them(project: Project) -> None:
    project.agent("echo x >> other; [ $ORCH_ATTEMPT -lt 8 ] || : > todo.txt")
    project.drop("fix", "metric: {name: left, target: 0}\nmax_failures: infinite")
    project.run(ORCH_MAX_FAILURES="2")
    assert (project.task("fix")["state"], project.task("fix")["attempts"]) == ("converged", 8)


def test_recover_says_so_where_git_broke_off_as_it_wrote(project: Project) -> None:
    (project.top / "folder").mkdir()
    (project.top / "folder" / "file").write_text("x\n")
    (project.top / ".gitignore").write_text("*.ignored\n")
    project.git("add", ".gitignore", "folder")
    project.git("commit", "-qm", "a folder")
    project.agent("rm -r folder; echo x > folder")
    project.drop("fix", "max_failures: 1")
    project.run(code=1)
    (project.top / "folder" / "mine.ignored").write_text("precious\n")
    told = project.refused("recover", "apply", "fix", "0001", code=1)
    assert "Only a part of it may be" in told
    assert "Nothing was changed" not in told
    assert (project.top / "folder" / "mine.ignored").read_text() == "precious\n"


def test_recover_applies_to_the_working_tree_all_or_nothing(converged: Project) -> None:
    assert "doesn't fit" in converged.refused("recover", "fix", "--apply", "1", code=1)
    assert converged.git("status", "--porcelain", "todo.txt") == ""
    (converged.top / "todo.txt").write_text("one\ntwo\nthree\n")
    converged.run("recover", "fix", "--apply", "1")
    assert (converged.top / "todo.txt").read_text() == "two\nthree\n"


@pytest.mark.parametrize("setting", ["diff.noprefix=true", "diff.mnemonicPrefix=true", "color.ui=always", "diff.renames=copies"])
def test_recover_applies_whatever_the_user_has_set_for_diffs(converged: Project, setting: str) -> None:
    converged.git("config", *setting.split("="))
    (converged.top / "todo.txt").write_text("one\ntwo\nthree\n")
    converged.run("recover", "apply", "fix", "1")
    assert (converged.top / "todo.txt").read_text() == "two\nthree\n"


def test_all_that_an_attempt_changed_is_shown_and_applied_after_it_was_merged_and_undone(converged: Project) -> None:
    converged.run("undo", "fix")
    assert "-one\n-two\n three\n" in converged.run("recover", "show", "fix", "2").stdout
    converged.run("recover", "apply", "fix", "2")
    assert (converged.top / "todo.txt").read_text() == "three\n"
    converged.git("checkout", "-q", "todo.txt")
    converged.run("queue", "fix")
    converged.run()
    assert "-one\n-two\n three\n" in converged.run("diff", "fix", "--attempt", "2").stdout


def test_an_attempt_is_compared_with_the_base_of_its_task(project: Project) -> None:
    project.git("checkout", "-qb", "next")
    (project.top / "other.txt").write_text("of next alone\n")
    project.git("add", "other.txt")
    project.git("commit", "-qm", "next")
    project.agent(EMPTY_BY_ONE)
    project.drop("fix", "base: next")
    project.run()
    assert "other.txt" not in project.run("recover", "show", "fix", "1").stdout


def test_recover_lists_what_is_kept_in_each_repository_by_the_names_of_the_tasks(converged: Project) -> None:
    other = converged.top.parent / "other"
    subprocess.run(["git", "clone", "-q", converged.top, other], check=True)
    (other / "todo.txt").write_text("one\n")
    subprocess.run(["git", "commit", "-qam", "one"], cwd=other, check=True)
    converged.drop("über", f"repo: {other}\nmetric: {{name: left, target: 0}}")
    converged.run()
    kept = [(each["task"], each["label"], each["repo"]) for each in converged.json("recover")["kept"]]
    assert sorted(kept) == [*(("fix", f"000{n}", str(converged.top)) for n in (1, 2, 3)), ("über", "0001", str(other))]
    assert "über" in converged.run("recover").stdout


def test_recover_knows_tasks_that_are_gone(converged: Project) -> None:
    subprocess.run(["rm", "-r", converged.tasks / "converged" / "fix"], check=True)
    assert {each["task"] for each in converged.json("recover")["kept"]} == {"fix"}
    assert len(converged.json("recover", "fix")["kept"]) == 3
    assert "no task called 'nobody'" in converged.refused("recover", "nobody", code=1)


def test_why_names_every_reason_with_its_remedy(project: Project) -> None:
    project.drop("stuck", state="blocked", record={"reason": "conflict", "detail": "conflicts in a.py"})
    project.drop("waits", "depends_on: [stuck, nobody]\ndraft: true")
    told = project.run("why", "waits").stdout
    assert "draft" in told
    assert "stuck is blocked (conflict)" in told
    assert "no task is called nobody" in told
    assert "orchestrator queue waits" in told
    assert "conflicts in a.py" in project.run("why", "stuck").stdout
    assert [reason["kind"] for reason in project.json("why", "waits")["reasons"]] == ["draft", "dependency", "dependency"]


def test_a_task_that_resolves_a_conflict_says_so_and_of_which_files(project: Project) -> None:
    found = {"commit": "c" * 40, "base": "b" * 40, "tip": "a" * 40, "began": "0" * 40, "files": ["a.py", "b.py"], "after": 3}
    tried = {"number": 4, "agent": "exec", "end": "finished", "result": "conflict"}
    project.drop("clash", record={"base": "main", "attempts": 4, "resolving": found, "history": [tried]})
    told = "resolves a conflict with main in a.py, b.py (try 2 of 2)"
    for command in (("--status",), ("list",), ("why", "clash"), ("show", "clash")):
        assert told in project.run(*command).stdout
    assert project.task("clash")["resolving"] == {"files": ["a.py", "b.py"], "with": "b" * 40, "tries": 1}


def test_why_of_a_ready_task_says_what_else_is_missing(project: Project) -> None:
    project.drop("fix")
    kinds = [reason["kind"] for reason in project.json("why", "fix")["reasons"]]
    assert kinds == ["loop", "agent"]
    assert [reason["kind"] for reason in project.json("why", "fix", ORCH_AGENT="scripted")["reasons"]] == ["loop"]


def test_an_unknown_executor_is_told_before_a_loop_finds_it(project: Project) -> None:
    project.drop("far", "executor: docker")
    assert project.task("far")["problems"] == ["There is no executor called 'docker'. Known executors: local."]
    assert not project.task("far")["ready"]
    assert "no executor called 'docker'" in project.run("why", "far").stdout


@pytest.mark.parametrize(
    ("reason", "words"),
    [("exhausted", "clearer"), ("auth", "--check"), ("question", "Answer"), ("stopped", "retry"), (None, "retry")],
)
def test_every_blocked_task_comes_with_advice(project: Project, reason: str | None, words: str) -> None:
    project.drop("fix", state="blocked", record={"reason": reason} if reason else None)
    assert words in project.run("why", "fix").stdout


def test_a_gate_without_a_command_is_advised_to_be_mended_in_the_spec(project: Project) -> None:
    project.agent("true")
    project.drop("fix", "metric: {name: left, target: 0}\ngates: {lint: block}")
    project.run(code=1)
    told = project.run("why", "fix").stdout
    assert "the gate `lint` without a command" in told
    assert "-> Mend what is named: the spec, or the benchmark" in told


def test_why_verbose_lists_withheld_names_but_never_values(project: Project) -> None:
    project.drop("fix")
    told = project.run("why", "-v", "fix", SECRET_TOKEN="hunter2").stdout
    assert "SECRET_TOKEN" in told
    assert "hunter2" not in told
    assert "SECRET_TOKEN" not in project.run("why", "-v", "fix", SECRET_TOKEN="x", ORCH_ENV_PASS="SECRET_TOKEN").stdout
    assert "SECRET_TOKEN" in project.json("why", "fix", SECRET_TOKEN="x")["withheld"]


def test_why_verbose_ends_with_the_last_events(converged: Project) -> None:
    told = converged.run("why", "-v", "fix").stdout
    assert "converged: merged into main as" in told
    assert "last events:" in told
    assert "landed" in told
    assert "not passed to agents" in told


def test_why_tells_the_turn_while_a_loop_runs(project: Project) -> None:
    project.agent("sleep 30")
    project.drop("busy", "metric: {name: left, target: 0}\npriority: 9")
    project.start("--loop", "--parallel", "2")
    wait(lambda: project.state("busy") == "running", "the first task")
    assert "worker" in project.run("why", "busy").stdout
    project.drop("second", "metric: {name: left, target: 0}\npriority: 5")
    wait(lambda: project.state("second") == "running", "the second task")
    project.drop("third")
    wait(lambda: [each["kind"] for each in project.json("why", "third")["reasons"]] == ["capacity"], "full slots")


def test_a_live_edit_says_from_when_it_counts(project: Project) -> None:
    project.agent("sleep 30")
    project.drop("busy")
    project.start("--loop")
    wait(lambda: project.state("busy") == "running", "the task")
    assert "counts from the next attempt" in project.run("edit", "busy", "--goal", "Faster").stdout
    assert "metrics counts from its next claim" in project.run("edit", "busy", "--target", "1").stdout


def test_the_graph_draws_parents_above_children_and_names_cycles(project: Project) -> None:
    project.drop("base", state="converged", record={"reason": "converged"})
    project.drop("child", "depends_on: [base]")
    project.drop("a", "depends_on: [b]")
    project.drop("b", "depends_on: [a]")
    project.drop("alone")
    told = project.run("--graph").stdout
    assert "base  [converged]\n`-- child  [pending, ready]" in told
    assert "1 more task without dependencies" in told
    found = project.json("--graph")
    assert {"parent": "base", "child": "child"} in found["edges"]
    assert found["cycles"] == [["a", "b", "a"]]
    assert len(found["tasks"]) == 5


def test_the_graph_of_tasks_without_dependencies_is_one_line(project: Project) -> None:
    project.drop("alone")
    assert project.run("--graph").stdout.startswith("1 task, none with dependencies.")


def test_config_names_the_source_of_every_value(project: Project) -> None:
    (project.top / "orchestrator.toml").write_text('parallel = 3\nagent = "scripted"\n')
    found = project.json("--config", "--agent", "exec", ORCH_MODEL="big")["settings"]
    assert found["parallel"]["value"] == 3
    assert "orchestrator.toml:1" in found["parallel"]["source"]
    assert (found["agent"]["source"], found["model"]["source"], found["converge"]["source"]) == (
        "flag --agent",
        "ORCH_MODEL",
        "default",
    )
    told = project.run("--config").stdout
    assert any(line.split()[:3] == ["parallel", "3", "orchestrator.toml:1"] for line in told.splitlines())


def test_config_shows_tables_as_they_are_written(project: Project) -> None:
    (project.top / "orchestrator.toml").write_text('[gates]\nlint = {command = "ruff check", mode = "warn"}\n')
    assert '{mode = "warn", command = "ruff check"}' in project.run("--config").stdout


def test_a_misspelt_setting_is_a_warning_on_stderr_only(project: Project) -> None:
    (project.top / "orchestrator.toml").write_text("paralel = 3\n")
    done = project.run("--status", "--json")
    assert "paralel" in done.stderr
    assert done.stdout.startswith("{")
    assert project.run("-q", "--status").stderr == ""


def test_check_finds_everything_in_a_good_project(project: Project) -> None:
    project.agent("true")
    found = project.json("--check")
    assert found["ok"] is True
    assert {"python", "git", "tasks", "repository", "agent exec"} <= {each["name"] for each in found["checks"]}
    assert "Everything needed is here." in project.run("--check").stdout


def test_check_looks_at_the_repositories_that_the_tasks_name_and_at_none_that_nobody_needs(empty: Project) -> None:
    """A queue in a folder of its own was told to be of no use for want of a repository there."""
    queue = empty.top.parent / "queue"
    (queue / "plain").mkdir(parents=True)
    empty.run("init", str(queue))
    empty.agent("true")
    at = ("-C", str(queue))
    assert f"{queue} is not a git repository" in empty.run(*at, "--check", code=1).stdout
    empty.git("branch", "trunk")
    for name, repo, base in (("a", empty.top, "main"), ("b", empty.top, "trunk"), ("c", "plain", "main")):
        empty.run(*at, "add", name, "--goal", "x", "--benchmark", "true", "--repo", str(repo), "--base", base)
    told = empty.run(*at, "--check", code=0).stdout
    assert f"{empty.top}, work lands on main" in told
    assert f"{empty.top}, work lands on trunk" in told
    assert f"{queue}/plain is not a git repository: it is worked on in place, and nothing lands" in told
    empty.run(*at, "edit", "a", "--base", "gone")
    told = empty.run(*at, "--check", code=0).stdout
    assert f"warning  repository   a: {empty.top} has no branch called 'gone'" in told
    assert f"{empty.top}, work lands on trunk" in told


def test_check_names_the_task_whose_repository_is_not_there_and_asks_for_no_draft_s(empty: Project) -> None:
    """And what is to be said of a repository is said once, on however many bases of it tasks are to land."""
    empty.run("init")
    empty.agent("true")
    empty.git("branch", "trunk")
    empty.git("add", "-f", "tasks")
    for name, *given in (
        ("a",),
        ("b", "--base", "trunk"),
        ("c", "--repo", "~nobody-here/x"),
        ("d", "--repo", "../no", "--draft"),
    ):
        empty.run("add", name, "--goal", "x", "--benchmark", "true", *given)
    (empty.tasks / "pending/tracked").write_text("")
    empty.git("add", "-f", "tasks/pending/tracked")
    told = empty.run("--check", code=0).stdout
    assert re.search(r"warning  repository   c: The repository \S+/~nobody-here/x does not exist\.", told)
    assert "../no" not in told
    assert told.count("git tracks files in") == 1
    assert told.count("work lands on") == 2


def test_check_names_what_is_missing_and_how_to_get_it(empty: Project) -> None:
    told = empty.run("--check", code=1, ORCH_AGENT="nobody").stdout
    assert "orchestrator init" in told
    assert "no agent called 'nobody'" in told
    assert "2 things missing" in told
    found = empty.json("--check", code=1)
    assert [each["name"] for each in found["checks"] if each["status"] == "missing"] == ["tasks"]


def test_check_without_git_says_how_to_install_it(project: Project, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    found = project.json("--check", code=1, PATH=str(tmp_path / "bin"))
    git = next(each for each in found["checks"] if each["name"] == "git")
    assert git["status"] == "missing"
    assert "Install" in git["fix"]


def test_check_with_an_old_git_says_so(project: Project, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").write_text("#!/bin/sh\necho git version 2.20.1\n")
    (tmp_path / "bin" / "git").chmod(0o755)
    told = project.run("--check", code=1, PATH=f"{tmp_path}/bin:{os.environ['PATH']}").stdout
    assert "too old" in told


def test_config_names_the_user_s_own_file_before_there_is_one(empty: Project, tmp_path: Path) -> None:
    assert f"your own {tmp_path}/mine/config.toml" in empty.run("--config", ORCH_CONFIG_DIR=f"{tmp_path}/mine").stdout


def test_check_in_a_folder_without_a_repository_or_commit(project: Project) -> None:
    subprocess.run(["rm", "-rf", project.top / ".git"], check=True)
    assert "not a git repository" in project.run("--check", code=1).stdout
    project.git("init", "-q")
    assert "no commit" in project.run("--check", code=1).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_speak_to_the_program(empty: Project, shell: str) -> None:
    assert "_ORCHESTRATOR_COMPLETE" in empty.run("completions", shell).stdout


def completed(project: Project, bin_: Path, line: str) -> list[str]:
    """What bash offers with its cursor at the end of `line`, as it inserts it."""
    program = bin_ / "orchestrator"
    bin_.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m orchestrator "$@"\n')
    program.chmod(0o755)
    script = project.run("completions", "bash").stdout
    ask = 'COMP_POINT=${#COMP_LINE}; _orchestrator_completion orchestrator; printf "%s\\n" "${COMPREPLY[@]}"'
    env = project.env | {"PATH": f"{bin_}:{os.environ['PATH']}", "COMP_LINE": line, "LC_ALL": "C.UTF-8"}
    told = subprocess.run(["bash", "-c", script + ask], cwd=project.top, env=env, capture_output=True, text=True, check=True)
    assert told.stderr == ""
    return told.stdout.splitlines()


def test_bash_completes_a_task_s_name_as_the_one_word_that_it_is(empty: Project, tmp_path: Path) -> None:
    """What it inserts it reads as well: a name must not become a command."""
    names = {"$(touch made)", "two words", "it's", "back\\slash", "a, b,", "star*", 'say "no"', "~", "漢字"}
    for name in names:
        empty.drop(name)
    words = " ".join(completed(empty, tmp_path / "bin", "orchestrator show "))
    told = subprocess.run(["bash", "-c", f"printf '%s\\n' {words}"], cwd=empty.top, capture_output=True, text=True, check=True)
    assert set(told.stdout.splitlines()) == names
    assert not (empty.top / "made").exists()


@pytest.mark.parametrize(
    ("typed", "inserted"),
    [
        ("show two\\ w", r"two\ words"),
        ('show "two w', "two words"),
        ("show 'two w", "two words"),
        ("show two' w", " words"),
        ("show 'it", r"it'\''s"),
        ('show "$', r"\$(x)"),
        ("show co:", "lon"),
        ("show 漢", "漢字"),
        ("list --state=bl", "blocked"),
        ("--task='two", "two words"),
        ("shwo two", ""),
    ],
)
def test_bash_gets_what_is_missing_from_the_word_however_it_is_quoted(
    project: Project, tmp_path: Path, typed: str, inserted: str
) -> None:
    """bash replaces a word up to its open quote, or to the `=` or `:` in it."""
    for name in ("two words", "it's", "$(x)", "co:lon", "漢字"):
        project.drop(name)
    assert completed(project, tmp_path / "bin", f"orchestrator {typed}") == [inserted]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("list --state=bl", "--state=blocked"),
        ("--task=two", "--task=two words"),
        ("edit x --depends-on one,two", "one,two words"),
        ("edit x --depends-on=one,two", "--depends-on=one,two words"),
    ],
)
def test_an_option_stays_when_its_value_is_completed(project: Project, shell: str, typed: str, whole: str) -> None:
    """zsh takes the answer instead of the whole word: `--task=two` became the name of a command."""
    project.drop("two words")
    at = {"zsh": str(len(typed.split())), "fish": typed.rsplit(maxsplit=1)[-1]}[shell]
    told = project.run(_ORCHESTRATOR_COMPLETE=f"{shell}_complete", COMP_WORDS=f"orchestrator {typed}", COMP_CWORD=at).stdout
    assert whole in told.replace("plain,", "").splitlines()


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("-C ta", "dir"),
        ("--tasks ta", "dir"),
        ("--repo=ta", "dir"),
        ("--record ta", "dir"),
        ("add x --repo ta", "dir"),
        ("add x --benchmark to", "file"),
        ("edit x --holdout to", "file"),
        ("report x --svg to", "file"),
        ("import ta", "dir"),
    ],
)
def test_where_a_path_is_wanted_the_shell_is_told_to_complete_one(project: Project, typed: str, kind: str) -> None:
    """Without a word of ours it offers nothing at all."""
    told = project.run(_ORCHESTRATOR_COMPLETE="bash_complete", COMP_WORDS=f"orchestrator {typed}").stdout
    assert told.startswith(f"{kind},")


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_names_with_commas(project: Project, tmp_path: Path) -> None:
    project.drop("one, two, three")
    completed(project, tmp_path / "bin", "orchestrator ")
    script = project.run("completions", "fish").stdout
    ask = [shutil.which("fish") or "fish", "--no-config", "-c", f"{script}\ncomplete -C 'orchestrator show o'"]
    env = project.env | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    told = subprocess.run(ask, cwd=project.top, env=env, capture_output=True, text=True, check=True)
    assert told.stdout == "one, two, three\n"


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_a_path_behind_an_option_s_sign(project: Project, tmp_path: Path) -> None:
    completed(project, tmp_path / "bin", "orchestrator ")
    script = project.run("completions", "fish").stdout
    ask = f"{script}\ncomplete -C 'orchestrator --tasks=tasks/pen'\ncomplete -C 'orchestrator --tasks tasks/pen'"
    env = project.env | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    words = [shutil.which("fish") or "fish", "--no-config", "-c", ask]
    told = subprocess.run(words, cwd=project.top, env=env, capture_output=True, text=True, check=True)
    assert [line.split("\t")[0] for line in told.stdout.splitlines()] == ["--tasks=tasks/pending/", "tasks/pending/"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize("sign", ["=", " "])
def test_zsh_completes_a_path_behind_an_option_s_sign(project: Project, tmp_path: Path, sign: str) -> None:
    completed(project, tmp_path / "bin", "orchestrator ")
    (tmp_path / "_orchestrator").write_text(project.run("completions", "zsh").stdout)
    env = project.env | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "TERM": "dumb"}
    shell = pexpect.spawn("zsh", ["-f", "-i"], cwd=project.top, env=env, encoding="utf-8", timeout=30, dimensions=(24, 200))
    shell.sendline(f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -D; PS1=rea''dy")
    shell.expect_exact("ready")
    shell.send(f"orchestrator --tasks{sign}tasks/pen\t")
    shell.expect_exact(f"--tasks{sign}tasks/pending/")
    shell.close(force=True)


def test_a_completion_tells_nothing_of_what_is_wrong_in_the_configuration(project: Project) -> None:
    """It would stand in the middle of the line that is being typed."""
    (project.top / "orchestrator.toml").write_text("nosuch = 3\n")
    project.drop("fix-auth")
    done = project.run(_ORCHESTRATOR_COMPLETE="bash_complete", COMP_WORDS="orchestrator why fix")
    assert (done.stdout, done.stderr) == ("plain,fix-auth\n", "")


def test_a_folder_whose_name_no_task_can_have_keeps_no_other_from_being_completed(project: Project) -> None:
    project.drop("fix-auth")
    for name in (b"fix-\xff", b"fix-\nline"):
        (Path(os.fsdecode(os.fsencode(project.tasks / "pending") + b"/" + name))).mkdir()
    asked = {"_ORCHESTRATOR_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    assert project.run(COMP_WORDS="orchestrator why fix-", **asked).stdout.split() == ["plain,fix-auth"]


def test_task_names_and_commands_are_completed_and_nothing_is_printed_otherwise(project: Project) -> None:
    project.drop("fix-auth")
    project.drop("fix-it")
    asked = {"_ORCHESTRATOR_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    assert project.run(COMP_WORDS="orchestrator why fix-", **asked).stdout.split() == ["plain,fix-auth", "plain,fix-it"]
    assert "plain,recover" in project.run(COMP_WORDS="orchestrator rec", **{**asked, "COMP_CWORD": "1"}).stdout
    done = project.run("--tasks", "nowhere", COMP_WORDS="orchestrator --tasks nowhere why ", **{**asked, "COMP_CWORD": "4"})
    assert done.stdout.strip() == ""
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("queue", "b c p"),
        ("retry", "b p"),
        ("block", "p r"),
        ("stop", "p r"),
        ("cancel", "b p r"),
        ("--task", "p"),
        ("show", "b c p r"),
        ("logs", "b c p r"),
        ("recover", "b c"),
        ("diff", "b c"),
        ("add new --depends-on", "b c p r"),
    ],
)
def test_only_names_that_a_command_can_do_something_with_are_completed(project: Project, words: str, offered: str) -> None:
    project.drop("p")
    project.drop("r", state="running").rename(project.tasks / "running/r.abcdef")
    project.drop("b", state="blocked", record={"reason": "gate"})
    project.drop("c", state="converged", record={"reason": "converged"})
    line = f"orchestrator {words} "
    asked = {"_ORCHESTRATOR_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()))}
    assert project.run(**asked).stdout.split() == [f"plain,{name}" for name in offered.split()]


def test_the_demo_converges_lands_and_shows_it(empty: Project, tmp_path: Path) -> None:
    done = empty.run("demo", str(tmp_path / "demo"))
    for words in ("fix-greeting: converged", "3 converged", "no-improvement", "The greeter greets", "rm -rf"):
        assert words in done.stdout
    shown = subprocess.run(["sh", "greet.sh", "Ada", "Bob"], cwd=tmp_path / "demo", capture_output=True, text=True, check=True)
    assert shown.stdout == "Hello, Ada and Bob!\n"
    assert "isn't empty" in empty.refused("demo", str(tmp_path / "demo"))


def test_what_the_demo_proposes_can_be_called_where_the_program_is_not_on_the_path(empty: Project, tmp_path: Path) -> None:
    told = empty.run("demo", str(tmp_path / "demo"), PATH="/usr/bin:/bin").stdout
    found = re.search(r"Look around with `(cd .*)`: (.* show fix-greeting),", told)
    assert found, told
    subprocess.run(
        ["sh", "-c", f"{found[1]} && {found[2]}"], check=True, capture_output=True, env={**empty.env, "PATH": "/usr/bin:/bin"}
    )


def test_the_demo_offers_no_option_that_it_would_ignore(empty: Project) -> None:
    told = empty.run("demo", "--help").stdout
    assert set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", told.partition("Options:")[2])) == {
        *("--agent", "-C", "--no-color", "-q", "--quiet", "-h", "--help"),
    }
    assert "No such option" in empty.refused("demo", "--tasks", "elsewhere")


def test_the_demo_needs_no_identity_and_heeds_no_settings_of_the_user(empty: Project, tmp_path: Path) -> None:
    Path(empty.env["HOME"], ".gitconfig").unlink()
    empty.run(
        "demo",
        "-q",
        str(tmp_path / "demo"),
        ORCH_AGENT="nobody",
        ORCH_SCENARIO="/nowhere",
        ORCH_TASKS=str(empty.tasks),
        ORCH_PARALLEL="nonsense",
    )
    assert not empty.tasks.exists()


def test_a_live_log_line_is_seen_while_the_agent_works(project: Project) -> None:
    project.agent("echo hello from the agent; sleep 30")
    project.drop("fix")
    project.start("--loop")
    wait(lambda: "hello from the agent" in project.run("logs", "fix", code=None).stdout, "the line")


def test_thousands_of_metrics_are_told_in_a_few_lines_and_kept_whole_in_json(project: Project) -> None:
    project.drop("fix", "max_failures: 1")
    many = "for i in $(seq 3000); do echo METRIC done$i=0; done; echo METRIC left=$(grep -c . todo.txt)"
    (project.tasks / "pending/fix/benchmark.sh").write_text(f"#!/bin/sh\n{many}\n")
    project.agent("sed -i 1d todo.txt")
    told = project.run("--once", ORCH_CONVERGE="1").stdout
    lines = project.run("show", "fix").stdout.splitlines()
    assert "(left 3 -> 2, target <= 0; done1 0 -> 0, target <= 0; done2" in told
    assert "done4 0 -> 0, target <= 0; and 2,996 more)" in told
    assert len([line for line in lines if line.startswith("done")]) == 49
    assert [line.split()[0] for line in lines if line.startswith("left")] == ["left"]
    assert "… and 2,951 more; `--json` has them all" in lines
    assert max(map(len, project.run("logs", "--events", "fix").stdout.splitlines())) < 600
    assert len(project.json("show", "fix")["metrics"]) == 3001
