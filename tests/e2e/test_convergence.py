"""A task's way from pending to converged, as the person who dropped it sees it."""

from __future__ import annotations

import json

import pytest
from support.project import COUNT, Project

ONE_LESS = "sed -i 1d todo.txt"
ALL_GONE = ": > todo.txt"


def test_a_dropped_task_converges_and_its_change_is_on_main(project: Project) -> None:
    project.drop("empty-it")
    project.agent(ALL_GONE)

    done = project.run(code=0)

    assert project.where("empty-it") == "converged"
    assert project.git("show", "main:todo.txt") == ""
    assert (project.repo / "todo.txt").read_text() == ""  # the clean checkout was moved along
    assert project.git("status", "--porcelain") == ""
    assert "empty-it" in done.stdout


def test_attempts_follow_each_other_until_the_target_is_reached(project: Project) -> None:
    project.drop("step-by-step")
    project.agent(ONE_LESS)

    project.run(code=0)

    record = project.record("step-by-step")
    assert record["attempts"] == 3
    assert record["failures"] == 0
    assert [attempt["values"]["left"] for attempt in record["history"]] == [2, 1, 0]
    assert record["baseline"] == {"left": 3}


def test_the_target_must_hold_three_times_on_a_clean_checkout(project: Project) -> None:
    project.drop("thrice")
    project.agent(ALL_GONE)

    project.run(code=0)

    streaks = [
        event["streak"] for event in project.events("thrice") if event["event"] == "measured" and event["where"] == "verify"
    ]
    assert streaks == [1, 2, 3]


def test_the_landing_is_a_merge_commit_with_trailers_by_the_repository_s_own_author(project: Project) -> None:
    project.drop("trailers")
    project.agent(ALL_GONE)

    project.run(code=0)

    body = project.git("log", "-1", "--format=%B%n%an", "main")
    assert "Task: trailers" in body
    assert "Agent: exec" in body
    assert "Attempt: 1" in body
    assert body.endswith("A Person")
    assert len(project.git("log", "-1", "--format=%P", "main").split()) == 2


def test_every_attempt_s_commit_stays_reachable(project: Project) -> None:
    project.drop("reachable")
    project.agent(ONE_LESS)

    project.run(code=0)

    refs = project.git("for-each-ref", "--format=%(refname)", "refs/orchestrator/reachable").splitlines()
    assert {f"refs/orchestrator/reachable/{number:04d}" for number in (1, 2, 3)} <= set(refs)


def test_a_task_already_at_its_target_converges_without_an_agent_and_without_a_commit(project: Project) -> None:
    project.commit({"todo.txt": ""})
    before = project.git("rev-parse", "main")
    project.drop("nothing-to-do")
    project.agent("touch ../../agent-was-here; exit 1")

    project.run(code=0)

    assert project.where("nothing-to-do") == "converged"
    assert project.git("rev-parse", "main") == before
    assert project.record("nothing-to-do")["landed"] == {"commit": before, "base": "main", "how": "none", "url": None}
    assert project.record("nothing-to-do")["attempts"] == 0


def test_five_failures_block_the_task_and_retry_goes_on_from_the_same_branch(project: Project) -> None:
    project.drop("hard")
    project.agent("echo try >> notes.txt")

    project.run(code=1)
    assert project.where("hard") == "blocked"
    assert project.record("hard")["reason"] == "exhausted"
    assert project.record("hard")["failures"] == 5
    branch = project.record("hard")["branch"]

    project.agent(ALL_GONE)
    project.run("retry", "hard", code=0)
    project.run(code=0)

    assert project.where("hard") == "converged"
    assert project.record("hard")["branch"] == branch
    assert project.git("show", "main:notes.txt").splitlines() == ["try"] * 5
    assert project.record("hard")["attempts"] == 6


def test_a_benchmark_that_fails_on_the_base_blocks_at_once_without_using_an_attempt(project: Project) -> None:
    project.drop("broken", benchmark="#!/bin/sh\necho oops >&2; exit 3\n")
    project.agent("touch ../../agent-was-here")

    project.run(code=1)

    record = project.record("broken")
    assert project.where("broken") == "blocked"
    assert record["reason"] == "benchmark-defect"
    assert record["attempts"] == 0
    assert "3" in record["detail"]


def test_a_benchmark_that_breaks_at_an_attempt_is_that_attempt_s_failure(project: Project) -> None:
    project.drop("breaks", front="max_failures: 2")
    project.agent("rm -f todo.txt")
    (project.tasks / "pending/breaks/benchmark.sh").write_text(
        '#!/bin/sh\n[ -f todo.txt ] || { echo "todo.txt has gone" >&2; exit 4; }\necho "METRIC left=$(grep -c . todo.txt)"\n'
    )

    project.run(code=1)

    record = project.record("breaks")
    assert record["reason"] == "exhausted"
    assert record["history"][0]["result"] == "benchmark-defect"
    second = (project.folder("breaks") / ".orch/attempts/0002/prompt.md").read_text()
    assert "todo.txt has gone" in second


def test_the_status_is_one_json_document_with_the_contract_s_fields(project: Project) -> None:
    project.drop("seen", front="priority: 3")

    task = project.task("seen")

    assert task["state"] == "pending"
    assert task["priority"] == 3
    assert task["converge"] == 3
    assert task["landed"] is None
    assert project.status()["counts"] == {"pending": 1, "running": 0, "converged": 0, "blocked": 0}


def test_an_agent_that_claims_success_and_changes_nothing_does_not_converge(project: Project) -> None:
    project.drop("liar", front="max_failures: 1")
    project.agent("echo 'METRIC left=0'; echo all done")

    project.run(code=1)

    assert project.record("liar")["reason"] == "exhausted"
    assert project.record("liar")["history"][0]["detail"]


def test_without_a_task_a_drain_ends_at_once(project: Project) -> None:
    assert "no tasks" in project.run(code=0).stdout


def test_land_none_keeps_the_branch_and_leaves_the_base_alone(project: Project) -> None:
    before = project.git("rev-parse", "main")
    project.drop("stay", front="land: none")
    project.agent(ALL_GONE)

    told = project.run(code=0).stdout + project.run("show", "stay", code=0).stdout

    assert project.git("rev-parse", "main") == before
    record = project.record("stay")
    assert told.count(f"left on its branch at {record['landed']['commit'][:10]}") == 2
    assert record["landed"]["how"] == "none"
    assert project.git("show", f"{record['branch']}:todo.txt") == ""


def test_a_folder_that_is_no_repository_is_worked_on_in_place(project: Project) -> None:
    plain = project.top / "plain"
    plain.mkdir()
    (plain / "todo.txt").write_text("one\n")
    project.drop("in-place", front=f"repo: {json.dumps(str(plain))}")
    project.agent(ALL_GONE)

    project.run(code=0)

    assert (plain / "todo.txt").read_text() == ""
    assert "there is nothing to compare" in project.run("diff", "in-place", code=1).stderr
    assert project.record("in-place")["landed"] == {"commit": None, "base": None, "how": "none", "url": None}


def test_the_evidence_of_an_attempt_lies_beside_its_log(project: Project) -> None:
    project.drop("proven", files={"checks.sh": "#!/bin/sh\necho fine\n"})
    project.agent(ALL_GONE)

    project.run(code=0)

    folder = project.folder("proven") / ".orch/attempts/0001"
    samples = [json.loads(line) for line in (folder / "benchmark.jsonl").read_text().splitlines()]
    assert [(sample["where"], sample["values"]["left"]) for sample in samples] == [("attempt", 0), *[("verify", 0)] * 3]
    assert json.loads((folder / "verdicts.json").read_text())["verdicts"][0]["ok"] is True
    report = (folder / "report.md").read_text()
    assert "| left | 3 | 0 | 0 |" in report
    assert "3 of 3 samples" in report
    assert "63%" in report  # three passes prove no more than that, and the report says so


TWO = "#!/bin/sh\n[ ! -s todo.txt ] || echo METRIC left=$(grep -c . todo.txt)\n[ -e broken ] || echo METRIC failed=2\n[ -s todo.txt ] || echo METRIC left=0\n"


def test_a_metric_that_was_printed_on_the_base_and_no_longer_is_never_counts_as_reached(project: Project) -> None:
    project.drop("half", benchmark=TWO, front="max_failures: 2")
    project.agent(f"{ALL_GONE}; touch broken")

    project.run(code=1)

    record = project.record("half")
    assert record["reason"] == "exhausted"
    assert record["history"][0]["result"] == "benchmark-defect"
    assert "no line 'METRIC failed=number'" in record["history"][0]["detail"]
    assert "broken" not in project.git("ls-tree", "--name-only", "main")


GUARDED = "metrics: [{name: left, target: 0}, {name: size, guard: true, tolerance: 2}]\nmax_failures: 1"
SIZED = "#!/bin/sh\necho METRIC left=$(grep -c . todo.txt)\necho METRIC size=$(cat size.txt 2> /dev/null || echo 10)\n"


def test_a_guard_that_got_worse_keeps_a_task_from_converging(project: Project) -> None:
    project.drop("fat", benchmark=SIZED, front=GUARDED)
    project.agent(f"{ALL_GONE}; echo 13 > size.txt")

    project.run(code=1)

    assert "size is 13, was 10 and must not get worse (tolerance 2)" in project.record("fat")["history"][0]["detail"]
    assert project.git("show", "main:todo.txt") != ""


def test_a_guard_may_get_worse_by_its_tolerance(project: Project) -> None:
    project.drop("ok", benchmark=SIZED, front=GUARDED)
    project.agent(f"{ALL_GONE}; echo 12 > size.txt")
    project.run(code=0)
    assert project.where("ok") == "converged"
    assert "size 10 -> 12, which must not get worse (tolerance 2)\n" in project.run("report", "ok", code=0).stdout


def test_what_others_did_to_a_guard_on_the_base_is_not_held_against_the_task(project: Project) -> None:
    project.drop("late", benchmark=SIZED, front=GUARDED)
    theirs = "echo 50 > size.txt; git add size.txt; git commit -qm theirs"
    project.agent(f"{ALL_GONE}; (cd {project.repo}; {theirs})")
    project.run(code=0)
    assert project.git("show", "main:size.txt") == "50"
    assert project.git("show", "main:todo.txt") == ""


def test_a_guard_that_varies_by_itself_does_not_decide_by_single_samples(project: Project) -> None:
    varying = "#!/bin/sh\necho x >> $ORCH_TASKS/../count\necho METRIC left=$(grep -c . todo.txt)\necho METRIC size=$(grep -c . $ORCH_TASKS/../count)\n"
    project.drop(
        "noisy", benchmark=varying, front="metrics: [{name: left, target: 0}, {name: size, guard: true}]\nmax_failures: 1"
    )
    project.agent(ALL_GONE)
    project.run(code=0)
    assert project.record("noisy")["noisy"] == ["size"]


@pytest.mark.parametrize("benchmark", ["benchmark.sh", "sh count.sh"])
def test_a_target_that_was_edited_while_the_task_ran_is_not_shown_as_the_one_that_was_reached(
    project: Project, benchmark: str
) -> None:
    project.commit({"count.sh": COUNT})
    folder = project.drop("x", front=f"benchmark: {benchmark}\nmetric: {{name: left, target: 0}}")
    edit = "sed -i 's/target: 0/target: -5/' {}/autoresearch.md"
    project.agent(f": > todo.txt; {edit.format(project.tasks / 'running/x.*')}")
    project.run(code=0)
    assert "target: -5" in (project.tasks / "converged/x/autoresearch.md").read_text()
    assert project.task("x")["metrics"][0]["target"] == 0
    project.run("undo", "x", code=0)
    assert project.task("x")["metrics"][0]["target"] == 0
    assert not folder.exists()
