"""What people and programs see of the queue."""

from __future__ import annotations

import shutil
import time

import pytest
from support.commands import Project, wait

from orchestrator.cli import output

CONVERGED = {"reason": "converged", "attempts": 2, "landed": {"commit": "ab" * 20, "base": "main", "how": "merge"}}
FIELDS = """
    name state stage reason detail title repo base branch agent model priority metrics streak converge attempts failures
    max_failures ready waiting_on not_before spend owner landed updated
"""


@pytest.mark.parametrize("control", [True, False])
def test_a_status_keeps_what_it_parsed_for_the_next_one_where_the_queue_has_a_folder_for_its_own(
    project: Project, *, control: bool
) -> None:
    project.drop("fix")
    shutil.rmtree(project.tasks / ".orch")
    if control:
        (project.tasks / ".orch").mkdir()
    cache = project.tasks / ".orch/cache/specs.json"
    wait(lambda: project.run("--status") and cache.exists() is control, "the cache")  # what is only just written isn't cached
    before = cache.read_bytes() if control else None
    assert project.task("fix")["state"] == "pending"
    assert (cache.read_bytes() if cache.exists() else None) == before
    assert (project.tasks / ".orch").exists() is control


def test_the_document_has_every_field_of_the_contract(project: Project) -> None:
    project.drop(
        "fix",
        "metric: {name: left, target: 0}\npriority: 3",
        record={"attempts": 2, "failures": 1, "baseline": {"left": 12}, "values": {"left": 3}, "best": {"left": 3}},
    )
    found = project.json("--status")
    assert found["schema"] == 1
    assert found["root"] == str(project.tasks)
    assert found["loop"]["running"] is False
    assert found["loops"] == []
    assert found["counts"] == {"pending": 1, "running": 0, "converged": 0, "blocked": 0}
    task = found["tasks"][0]
    assert set(task) >= set(FIELDS.split())
    assert task["metrics"][0] | {"unit": None} == {
        "name": "left", "direction": "lower", "target": 0, "value": 3, "baseline": 12, "best": 3, "unit": None, "guard": False,
    }  # fmt: skip
    assert (task["attempts"], task["failures"], task["max_failures"], task["priority"], task["ready"]) == (2, 1, 5, 3, True)


def test_of_a_noisy_optimum_no_single_sample_is_shown_as_what_was_reached(project: Project) -> None:
    numbers = {"baseline": {"ms": 50, "kb": 9}, "best": {"ms": 25, "kb": 7}, "values": {"ms": 150, "kb": 8}}
    front = "mode: optimize\nmetrics: [{name: %s}, {name: %s, guard: true}]"
    project.drop("slow", front % ("ms", "kb"), state="converged", record={**CONVERGED, **numbers, "noisy": ["ms"]})
    project.drop("exact", front % ("ms", "kb"), state="converged", record={**CONVERGED, **numbers})
    project.drop("guarded", front % ("kb", "ms"), state="converged", record={**CONVERGED, **numbers, "noisy": ["ms"]})
    aimed = "metrics: [{name: ms, target: 200}, {name: kb, guard: true}]"
    project.drop("aimed", aimed, state="converged", record={**CONVERGED, **numbers, "noisy": ["ms", "kb"]})
    rows = {line.split()[1]: line for line in project.run("--status").stdout.splitlines()[4:]}
    assert "ms 50 -> 150 (target 200)" in rows["aimed"]  # the best there is an earlier commit's
    assert "kb 9 -> 8, which must not get worse" in project.run("report", "aimed").stdout
    assert "ms 50 -> 25 " in rows["slow"]
    assert "ms 50 -> 150 " in rows["exact"]
    assert "ms 50 -> 25, which must not get worse" in project.run("report", "guarded").stdout


def test_what_is_just_short_of_its_target_is_not_shown_as_there(project: Project) -> None:
    numbers = {"baseline": {"cov": 99}, "best": {"cov": 99.9999999}, "values": {"cov": 99.9999999}}
    project.drop("near", "metric: {name: cov, direction: higher, target: 100}", state="blocked", record=numbers)
    assert "cov 99 -> 99.9999999 (target 100)" in project.run("--status").stdout
    assert "100     99        99.9999999  99.9999999" in project.run("show", "near").stdout


def test_less_than_a_cent_is_not_shown_as_nothing(project: Project) -> None:
    project.drop("cheap", state="blocked", record={"spend": {"usd": 0.0042, "input_tokens": 9, "output_tokens": 9, "seconds": 1}})
    assert "0.0042" in project.run("--status").stdout


def test_the_document_tells_the_unit_that_a_metric_name_ends_with(project: Project) -> None:
    project.drop("fix", "metric: {name: total_ms, target: 3}")
    project.drop("undeclared", "", record={"baseline": {"peak_kb": 12}})
    units = {task["name"]: task["metrics"][0]["unit"] for task in project.json("--status")["tasks"]}
    assert units == {"fix": "ms", "undeclared": "kb"}


def test_running_blocked_pending_and_converged_come_in_this_order_with_their_reasons(project: Project) -> None:
    project.drop("done", state="converged", record=CONVERGED)
    project.drop("waits", "depends_on: [stuck]")
    project.drop("stuck", state="blocked", record={"reason": "exhausted", "detail": "5 attempts in a row"})
    project.drop("draft", "draft: true")
    project.drop("later", record={"reason": "backoff", "detail": "it crashed", "not_before": time.time() + 500})
    project.drop("broken", "priority: high")
    (project.tasks / "pending/linked").symlink_to(project.top)
    lines = project.run("--status").stdout.splitlines()
    assert lines[1].startswith("1 blocked · 5 pending · 1 converged")
    rows = {line.split()[1]: line for line in lines[4:]}
    assert list(rows)[:2] == ["stuck", "broken"]
    assert list(rows)[-1] == "done"
    assert "exhausted: 5 attempts in a row" in rows["stuck"]
    assert rows["broken"].startswith("invalid")
    assert "autoresearch.md:2:" in rows["broken"]
    assert "  found a symbolic link, expected a folder" in rows["linked"]
    assert "stuck is blocked (exhausted)" in rows["waits"]
    assert rows["draft"].startswith("draft")
    assert rows["later"].startswith("parked")
    assert "it crashed" in rows["later"]
    assert "merged into main as ababababab" in rows["done"]


def test_a_loop_on_another_host_is_shown_with_that(project: Project) -> None:
    loop = project.start("--loop", ORCH_HOST="box")
    wait(lambda: f"loop running (pid {loop.pid} on box, since " in project.run("--status").stdout, "the loop")
    assert f"loop running (pid {loop.pid}, since " in project.run("--status", ORCH_HOST="box").stdout


def test_every_reason_to_wait_is_in_the_document(project: Project) -> None:
    project.drop(
        "waits",
        "draft: true\ndepends_on: [nobody]",
        record={"reason": "rate-limited", "detail": "limit", "not_before": time.time() + 500},
    )
    task = project.task("waits")
    assert [reason["kind"] for reason in task["waiting_on"]] == ["draft", "dependency", "limit"]
    assert task["ready"] is False
    assert task["not_before"].endswith("Z")


def test_a_task_queued_again_by_hand_shows_no_old_counts(project: Project) -> None:
    project.drop("again", record={"reason": "exhausted", "detail": "x", "attempts": 5, "failures": 5})
    task = project.task("again")
    assert task["ready"] is True
    assert task["failures"] == 0
    assert task["reason"] is None
    assert task["attempts"] == 5


def test_many_tasks_are_counted_and_the_few_that_matter_shown(project: Project) -> None:
    for number in range(60):
        project.drop(f"pending-{number:02d}")
    for number in range(30):
        project.drop(f"blocked-{number:02d}", state="blocked", record={"reason": "exhausted"})
    lines = project.run("--status").stdout.splitlines()
    assert len(lines) < 35
    assert lines[1].startswith("30 blocked · 60 pending")
    assert "20 more blocked, 50 more pending" in lines[-1]
    assert len(project.run("list", "--names").stdout.splitlines()) == 90


def test_nothing_a_name_or_a_detail_holds_reaches_the_terminal(project: Project) -> None:
    project.drop("evil\x1b[2Jname", None or "")
    project.drop("stuck", state="blocked", record={"reason": "gate", "detail": "red\x1b[31m\nline\x07 \u202e"})
    (project.tasks / "pending" / "a\nb").mkdir()
    (project.tasks / "pending").joinpath("bad-\udcff-bytes").mkdir()
    for words in (["--status"], ["list"], ["why", "stuck"], ["show", "stuck"], ["list", "--names"]):
        told = project.run(*words).stdout
        assert not any(ord(letter) < 32 and letter != "\n" for letter in told)
        assert "\u202e" not in told
    assert len(project.run("list").stdout.splitlines()) == 5
    assert len(project.json("--status")["tasks"]) == 4


def test_two_folders_of_one_name_are_both_shown(project: Project) -> None:
    project.drop("twin")
    project.drop("twin", state="blocked", record={"reason": "gate"})
    rows = project.run("list").stdout
    assert rows.count(" twin ") == 2
    assert "second folder of this name" in rows


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(project: Project, columns: int) -> None:
    project.drop(
        "a-name-that-is-long-enough-to-be-in-the-way-of-everything-else",
        state="blocked",
        record={"reason": "gate", "detail": "x " * 200, "attempts": 7, "failures": 3, "baseline": {"left": 12}},
    )
    project.drop("日本語の名前", state="blocked", record={"reason": "gate", "detail": "長い説明" * 50})
    code, told = project.in_terminal("--status", columns=columns)
    assert code == 0
    assert "\x1b[31mblocked" in told
    lines = [output.ESCAPES.sub("", line) for line in told.replace("\r", "").split("\n")]
    assert max(output.columns(line) for line in lines) <= columns
    assert any("gate" in line for line in lines)


def test_no_color_means_none_and_a_dumb_terminal_gets_plain_text(project: Project) -> None:
    project.drop("a")
    for words, env in ((["--status", "--no-color"], {}), (["--status"], {"NO_COLOR": "1"}), (["--status"], {"TERM": "dumb"})):
        assert "\x1b" not in project.in_terminal(*words, **env)[1]


def test_the_live_view_fits_the_screen_and_ends_with_ctrl_c(project: Project) -> None:
    for number in range(50):
        project.drop(f"task-{number:02d}")
    code, told = project.in_terminal("--status", "--watch", columns=80, lines=20, typed=[("Ctrl-C", b"\x03")])
    assert code == 130
    assert "50 pending" in told
    assert "more pending" in told
    assert "\x1b[?1049l" in told  # the screen is given back


def test_the_live_view_gives_the_screen_back_to_whoever_quits_or_suspends_it(project: Project) -> None:
    code, told = project.in_terminal("--status", "--watch", typed=[("Ctrl-C", b"\x1c")])
    assert (code, told.count("\x1b[?1049l")) == (130, 1)
    suspended = [("Ctrl-C", b"\x1a"), ("\x1b[?1049l", b""), ("No tasks", b"\x03")]
    code, told = project.in_terminal("--status", "--watch", typed=suspended)
    assert (code, told.count("\x1b[?1049l"), told.count("\x1b[?1049h")) == (130, 2, 2)


def test_labels_and_states_narrow_the_list(project: Project) -> None:
    project.drop("a", "labels: [ui, big]")
    project.drop("b", "labels: api")
    project.drop("c", "labels: ui", state="blocked", record={"reason": "gate"})
    assert project.run("list", "--names", "--label", "ui").stdout == "c\na\n"
    assert project.run("list", "--names", "--label", "ui", "--state", "pending").stdout == "a\n"
    assert [task["name"] for task in project.json("list", "--state", "blocked")["tasks"]] == ["c"]
    assert project.run("list", "--label", "none").stderr == "No such tasks.\n"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("ที่นี่", 2),
        ("नाम", 3),
        ("हिन्दी", 5),
        ("é", 1),
        ("e\u0301", 1),
        ("日本", 4),
        ("a\u200bb", 2),
        ("שלום\u200f", 4),
        ("❤\ufe0f", 2),
    ],
)
def test_a_letter_is_as_wide_as_a_terminal_shows_it(text: str, columns: int) -> None:
    assert output.columns(text) == columns
    assert output.cut(text + "x" * 10, columns + 1) == f"{text}…"


def test_the_table_of_output_pads_wide_letters_and_cuts_with_an_ellipsis() -> None:
    lines = output.table(("A", "B"), [("日本", "x"), ("abcdefgh", "y")], most=(6, None))
    assert lines == ["A       B", "日本    x", "abcde…  y"] or [output.columns(line) for line in lines] == [9, 9, 9]


@pytest.mark.parametrize("moved", ["blocked", "converged"])
def test_a_folder_that_was_moved_by_hand_has_no_reason_of_where_it_came_from(project: Project, moved: str) -> None:
    came = {"blocked": CONVERGED, "converged": {"reason": "exhausted", "detail": "4 attempts in a row", "attempts": 4}}
    project.drop("x", state=moved, record=came[moved])
    task = project.task("x")
    assert (task["state"], task["reason"]) == (moved, {"blocked": "stopped", "converged": None}[moved])
    assert task["detail"] != "4 attempts in a row"
    why = project.run("why", "x").stdout
    assert {"blocked": "stopped: moved to blocked by a person", "converged": "moved here by hand"}[moved] in why
    assert "exhausted" not in (told := why + project.run("list").stdout + project.run("show", "x").stdout)
    assert ("converged: converged" in told, "`orchestrator retry x` sets it going again" in told) == (False, moved == "blocked")


def test_a_misspelt_key_is_told_whoever_looks_and_a_stranger_s_own_is_not(project: Project) -> None:
    project.drop("fix", "prioritty: 5\nx-owner: me")
    project.drop("done", "prioritty: 5", state="converged", record={"reason": "converged"})
    told = "The key `prioritty` is not known and does nothing. Did you mean `priority`?"
    for look in (project.run("--status").stdout, project.run("list").stderr):
        assert [line for line in look.splitlines() if line.startswith("warning")] == [f"warning: fix: {told}"]
    assert project.run("list", "-q").stderr == ""
    assert f"warning:   {told}" in project.run("show", "fix").stdout
    assert told in project.task("fix")["warnings"]


def test_a_target_beside_the_metric_is_told_where_it_belongs(project: Project) -> None:
    project.drop("fix", "metric: n\ntarget: 5\ndirection: lower")
    told = " ".join(project.task("fix")["warnings"])
    assert "`target` is not known and does nothing. Did you mean `metric.target`?" in told
    assert "`direction` is not known and does nothing. Did you mean `metric.direction`?" in told


@pytest.mark.parametrize(
    ("key", "gate"), [("checks", "checks"), ("tests", "test"), ("lint", "lint"), ("test_validator", "test-validator")]
)
def test_a_gate_beside_the_gates_is_told_where_it_belongs(project: Project, key: str, gate: str) -> None:
    """Work would land without what a person thinks is asked for."""
    project.drop("fix", f"{key}: make it")
    told = f"The key `{key}` is not known and does nothing. Did you mean `gates.{gate}`?"
    assert f"warning: fix: {told}" in project.run("--status").stdout


def test_many_misspelt_keys_are_counted(project: Project) -> None:
    for number in range(5):
        project.drop(f"fix-{number}", "prioritty: 5")
    lines = project.run("--status").stdout.splitlines()
    assert [line.split(":")[1] for line in lines[-4:-1]] == [" fix-0", " fix-1", " fix-2"]
    assert lines[-1] == "warning: 2 more of the kind; `orchestrator why NAME` names them."


def test_the_json_names_the_phase_that_a_spec_names_and_no_stage_of_a_worker(project: Project) -> None:
    project.drop("fix", "phase: 2")
    project.drop("none")
    for look in (project.json("--status"), project.json("list")):
        assert {task["name"]: (task["phase"], task["stage"]) for task in look["tasks"]} == {
            "fix": (2, None),
            "none": (None, None),
        }
