"""The task's own page, and the commit that carries its short form."""

from __future__ import annotations

import pytest
from support.desk import DONE, LESS, Desk

from orchestrator.core.outcome import AgentEnd
from orchestrator.core.record import Attempt, Record, Result
from orchestrator.core.spec import Metric, Spec
from orchestrator.core.task import State
from orchestrator.worker import report

FRONT = "metric: {name: left, target: 0}"
MORE = "[[attempts]]\nsteps = [{append = 'todo.txt', content = 'more'}]\n"


def test_a_converged_task_has_a_page_with_its_measurements_and_its_files(desk: Desk) -> None:
    desk.drop(front=FRONT)
    desk.agent(DONE)
    desk.set(verify_cmd="true")
    baseline = f"| baseline | baseline | {desk.main[:10]} |"
    desk.serve()
    page = (desk.folder() / ".orch/report.md").read_text()
    for words in ("left 3 -> 0", "2 of 2 samples", "Gate verify: passed", baseline, "| todo.txt | 0 | 3 |"):
        assert words in page, page
    assert desk.main in page
    assert "Environment: Linux" in page


def test_the_page_counts_what_is_changed_in_the_end_and_not_what_attempts_took_back(desk: Desk) -> None:
    desk.drop(front=FRONT)
    desk.agent("[ $ORCH_ATTEMPT = 1 ] && seq 9 > draft.txt || rm -f draft.txt; sed -i 1d todo.txt")
    desk.serve()
    page = (desk.folder() / ".orch/report.md").read_text()
    assert "| todo.txt | 0 | 3 |" in page
    assert "draft.txt" not in page


def test_a_blocked_task_says_on_its_page_why(desk: Desk) -> None:
    desk.drop(front=FRONT)
    desk.agent("echo no > other.txt")
    desk.set(max_failures=1)
    desk.serve()
    assert "Result: exhausted (1 attempt in a row" in (desk.folder() / ".orch/report.md").read_text()


def test_the_merge_carries_the_short_form_and_git_still_reads_its_trailers(desk: Desk) -> None:
    desk.drop(front=FRONT)
    desk.agent(DONE)
    desk.serve()
    body = desk.git("log", "-1", "--format=%B", "main")
    assert "left 3 -> 0, target <= 0" in body
    assert "only to 78%" in body
    assert desk.git("log", "-1", "--format=%(trailers:only)", "main").split("\n")[:3] == ["Task: x", "Attempt: 1", "Agent: exec"]


def test_the_merge_names_the_attempt_that_made_what_lands_and_who_worked_on_it(desk: Desk) -> None:
    """The second one is another agent's, and leaves the branch again."""
    front = "agent: exec\nmode: optimize\nplateau: 1\nmetric: {name: left, kind: deterministic}"
    desk.drop(front=front, files={"scenario.toml": MORE})
    scripted = f"sed -i 's/agent: exec/agent: scripted/' {desk.queue.folder(State.RUNNING)}/x.*/autoresearch.md"
    desk.agent(f"{LESS}; {scripted}")
    desk.serve()
    assert [attempt.agent for attempt in desk.record().history] == ["exec", "scripted"]
    assert desk.git("log", "-1", "--format=%(trailers:only)", "main").split("\n")[:3] == ["Task: x", "Attempt: 1", "Agent: exec"]


def test_a_task_that_goes_on_later_has_no_page_yet(desk: Desk) -> None:
    desk.drop(front=FRONT)
    desk.agent("sed -i 1d todo.txt")
    desk.serve(once=True)
    assert not (desk.folder() / ".orch/report.md").exists()


def test_a_number_too_large_to_draw_beside_itself_keeps_no_work_from_landing(desk: Desk) -> None:
    benchmark = '#!/bin/sh\necho "METRIC left=$(grep -c . todo.txt)"\necho METRIC cycles=20000000000000000\n'
    desk.drop(front="metrics: [{name: left, target: 0}, {name: cycles, guard: true}]", benchmark=benchmark)
    desk.agent(DONE)
    desk.serve()
    assert "## cycles over the attempts" in (desk.folder() / ".orch/report.md").read_text()


def test_samples_of_a_noisy_number_that_missed_its_target_are_not_left_out_of_the_evidence(desk: Desk) -> None:
    count = f"n=$(($(cat {desk.top}/n 2>/dev/null || echo 0) + 1)); echo $n > {desk.top}/n"
    missing = '[ -s todo.txt ] && v=50 || v=9; [ $((n % 8)) = 0 ] && v=50; echo "METRIC ms=$v"'
    desk.drop(front="metric: {name: ms, target: 10, kind: noisy}", benchmark=f"#!/bin/sh\n{count}\n{missing}\n")
    desk.agent(DONE)
    desk.serve()
    for told in ((desk.folder() / ".orch/report.md").read_text(), desk.git("log", "-1", "--format=%B", "main")):
        assert "10 of 12 samples on a clean checkout were at target" in told
        assert "at 95 %, only to 44%." in told


@pytest.mark.parametrize("enforcement", ["block", "warn"])
def test_a_file_s_name_adds_no_line_to_a_report_and_says_nothing_to_a_terminal(desk: Desk, enforcement: str) -> None:
    desk.drop(front=f"{FRONT}\nscope: [todo.txt]\nenforcement: {enforcement}")
    desk.agent(f"{DONE}; touch \"$(printf 'x\\n\\n- Evidence: 59 of 59\\033[2J')\"")
    desk.set(max_failures=1)
    desk.serve()
    orch = desk.folder() / ".orch"
    for page in ((orch / "report.md").read_text(), (orch / "attempts/0001/report.md").read_text()):
        assert not any(line.startswith("- Evidence: 59") for line in page.splitlines())
        assert "\x1b" not in page


def test_a_metric_s_name_opens_no_column_of_the_table_on_an_attempt_s_page() -> None:
    attempt = Attempt(1, "exec", AgentEnd.FINISHED, Result.IMPROVED, "", {"p|q": 3.0})
    page = report.build(Spec(metrics=(Metric("p|q", target=0.0),)), Record("id", "x", 1, "x"), attempt, ())
    assert "| p\\|q | - | 3 | 0 |" in page.splitlines()
