"""What sessions cost, and what happens when a task or a day has cost enough, through the real command line."""

from __future__ import annotations

import json
import time

from support.project import Project

DONE = ": > todo.txt"


def prompt(project: Project, name: str, attempt: int) -> str:
    return (project.folder(name) / f".orch/attempts/{attempt:04d}/prompt.md").read_text()


def test_an_agent_is_told_when_most_of_its_budget_is_gone_and_a_person_asked_when_all_of_it_is(project: Project) -> None:
    project.scripted("dear", "echo more >> notes; use '{\"usd\": 0.45}'", front="budget: {usd: 1}")

    project.run(code=1)

    record = project.record("dear")
    assert (record["reason"], record["attempts"]) == ("budget", 3)
    assert "1.00 USD" in record["detail"]
    assert ["Budget" in prompt(project, "dear", number) for number in (1, 2, 3)] == [False, False, True]
    assert "0.90 USD of 1.00 USD" in prompt(project, "dear", 3)
    assert "budget" in project.run("why", "dear", code=0).stdout
    assert [attempt["spend"]["usd"] for attempt in record["history"]] == [0.45, 0.45, 0.45]

    project.run("edit", "dear", "--budget", "usd=9,attempts=1", code=0)
    project.run("retry", "dear", code=0)
    project.run(code=1)
    assert project.record("dear")["attempts"] == 4


def test_a_session_that_passes_what_is_left_is_ended_and_its_work_is_kept(project: Project) -> None:
    project.scripted(
        "runaway", "echo mine > found; use '{\"usd\": 0.6}'; use '{\"usd\": 0.6}'; sleep 60", front="budget: {usd: 1}"
    )

    begun = time.monotonic()
    project.run(code=1)

    assert time.monotonic() - begun < 30
    record = project.record("runaway")
    assert (record["reason"], record["attempts"], record["history"][0]["end"]) == ("budget", 1, "killed")
    assert "1.20 USD" in record["detail"]
    (ended,) = [event for event in project.events("runaway") if event["event"] == "agent_ended"]
    assert "1.20 USD" in ended["detail"]
    assert project.git("show", f"{record['branch']}:found") == "mine"


def test_tokens_and_minutes_are_budgets_too(project: Project) -> None:
    project.scripted("wordy", 'use \'{"input_tokens": 900, "output_tokens": 200}\'; sleep 60', front="budget: {tokens: 1000}")
    project.scripted("slow", "while :; do echo still; sleep 0.2; done", front="budget: {minutes: 0.02}")

    project.run(code=1, ORCH_PARALLEL="2")

    for name, told in (("wordy", "1,000 tokens"), ("slow", "0.02 minutes")):
        record = project.record(name)
        assert (record["reason"], record["attempts"]) == ("budget", 1)
        assert told in record["detail"]


def test_a_cost_that_nobody_knows_is_unknown_and_makes_the_sum_a_least_one(project: Project) -> None:
    project.scripted(
        "half-known",
        f"""
        [ "$ORCH_ATTEMPT" = 1 ] && {{ touch a; use '{{"usd": 0.5, "input_tokens": 10, "cached_tokens": 4}}'; exit; }}
        {DONE}""",
    )

    project.run(code=0)

    spend = project.task("half-known")["spend"]
    assert (spend["usd"], spend["at_least"], spend["input_tokens"], spend["cached_tokens"]) == (0.5, True, 10, 4)
    assert spend["agents"]["scripted"]["usd"] == 0.5
    assert "at least 0.50 USD" in project.run("show", "half-known", code=0).stdout


def test_an_agent_that_tells_nothing_costs_nobody_knows_what(project: Project) -> None:
    project.agent(DONE)
    project.drop("dark")

    project.run(code=0)

    dark = project.task("dark")["spend"]
    assert (dark["usd"], dark["at_least"]) == (None, True)
    assert "cost unknown" in project.run("show", "dark", code=0).stdout
    report = (project.folder("dark") / ".orch/attempts/0001/report.md").read_text()
    assert "cost unknown" in report


def test_tokens_are_priced_by_the_model_where_the_agent_names_no_cost(project: Project) -> None:
    project.scripted(
        "priced",
        f"""
        say model claude-sonnet-4-5; use '{{"input_tokens": 1000000, "output_tokens": 0}}'; {DONE}""",
    )

    project.run(code=0)

    record = project.record("priced")
    assert record["history"][0]["model"] == "claude-sonnet-4-5"
    assert 0.5 < project.task("priced")["spend"]["usd"] < 50
    assert not project.task("priced")["spend"]["at_least"]


def test_a_days_budget_holds_back_what_comes_after_it_and_blocks_nothing(project: Project) -> None:
    project.scripted("first", f"use '{{\"usd\": 5}}'; {DONE}", front="priority: 9")
    project.scripted("second", DONE)

    project.run(code=75, ORCH_BUDGET_USD_DAY="4")

    assert (project.where("first"), project.where("second")) == ("converged", "pending")
    reasons = json.loads(project.run("why", "second", "--json", code=0, ORCH_BUDGET_USD_DAY="4").stdout)["reasons"]
    assert "5.00 USD in 24 hours" in str(reasons)
    project.run(code=0)


def test_attempts_and_minutes_of_a_day_are_budgets_too(project: Project) -> None:
    project.scripted("first", DONE, front="priority: 9\nland: branch")
    project.scripted("second", "echo begun > found; while :; do echo still; sleep 0.2; done")

    project.run(code=75, ORCH_BUDGET_ATTEMPTS_DAY="1")
    assert (project.where("first"), project.where("second")) == ("converged", "pending")
    assert "1 attempt in 24 hours" in project.run("why", "second", code=0, ORCH_BUDGET_ATTEMPTS_DAY="1").stdout

    project.run(code=75, ORCH_BUDGET_MINUTES_DAY=str(project.record("first")["spend"]["seconds"] / 60 + 0.05))
    record = project.record("second")
    assert (project.where("second"), record["attempts"], record["history"][0]["end"]) == ("pending", 1, "timed-out")


def test_a_session_may_use_no_more_than_is_left_of_the_day(project: Project) -> None:
    project.scripted("runaway", "echo mine > found; use '{\"usd\": 5}'; sleep 60")

    project.run(code=75, ORCH_BUDGET_USD_DAY="4")

    record = project.record("runaway")
    assert (project.where("runaway"), record["attempts"], record["history"][0]["end"]) == ("pending", 1, "killed")


def test_an_agent_is_told_when_most_of_the_day_is_gone(project: Project) -> None:
    project.scripted("first", f"use '{{\"usd\": 3.5}}'; {DONE}", front="priority: 9\nland: branch")
    project.scripted("second", DONE)

    project.run(code=0, ORCH_BUDGET_USD_DAY="4")

    assert "3.50 USD of 4.00 USD that all tasks together" in prompt(project, "second", 1)
