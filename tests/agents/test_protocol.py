from __future__ import annotations

from functools import reduce

import pytest

from orchestrator.agents.protocol import ERRORS, AgentEvent, Closing, EventKind, outcome_of
from orchestrator.core.outcome import AgentEnd, ProcessEnd
from orchestrator.proc.command import Finished


def finished(end: ProcessEnd = ProcessEnd.EXITED, code: int | None = 0, detail: str = "") -> Finished:
    return Finished(end, code, None, 1.5, detail)


def closing(*events: AgentEvent) -> Closing:
    return reduce(lambda so_far, event: so_far.after(event), events, Closing())


def test_exit_code_0_is_finished_and_any_other_failed_with_the_last_error_said() -> None:
    assert outcome_of(finished(), Closing()).end is AgentEnd.FINISHED
    said = outcome_of(
        finished(code=3), closing(AgentEvent(EventKind.ERROR, "first"), AgentEvent(EventKind.ERROR, "no such model"))
    )
    assert (said.end, said.detail, said.exit_code) == (AgentEnd.FAILED, "no such model", 3)
    assert outcome_of(finished(code=3), Closing()).detail == "The agent ended with exit code 3."


def test_an_agent_that_says_it_failed_has_failed_whatever_its_exit_code() -> None:
    assert outcome_of(finished(), closing(AgentEvent(EventKind.END, data={"ok": False}))).end is AgentEnd.FAILED
    assert outcome_of(finished(), closing(AgentEvent(EventKind.END))).end is AgentEnd.FINISHED


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (ProcessEnd.TIMED_OUT, AgentEnd.TIMED_OUT),
        (ProcessEnd.STALLED, AgentEnd.STALLED),
        (ProcessEnd.STOPPED, AgentEnd.KILLED),
        (ProcessEnd.SIGNALLED, AgentEnd.KILLED),
        (ProcessEnd.NOT_STARTED, AgentEnd.NOT_STARTED),
        (ProcessEnd.OUTPUT_LIMIT, AgentEnd.FAILED),
    ],
)
def test_how_the_process_ended_is_how_the_session_ended(end: ProcessEnd, expected: AgentEnd) -> None:
    outcome = outcome_of(finished(end, None, "why"), Closing())
    assert (outcome.end, outcome.detail) == (expected, "why")


def test_a_limit_a_refused_login_and_a_question_outweigh_the_exit_code() -> None:
    limited = outcome_of(finished(code=1), closing(AgentEvent(EventKind.LIMIT, "5-hour limit", {"reset_at": 99.0})))
    assert (limited.end, limited.reset_at, limited.detail) == (AgentEnd.RATE_LIMITED, 99.0, "5-hour limit")
    assert outcome_of(finished(), closing(AgentEvent(EventKind.AUTH, "not logged in"))).end is AgentEnd.AUTH
    asked = outcome_of(finished(ProcessEnd.STALLED, None), closing(AgentEvent(EventKind.QUESTION, "Trust this folder?")))
    assert (asked.end, asked.prompt) == (AgentEnd.NEEDS_INPUT, "Trust this folder?")


def test_a_session_that_was_stopped_by_us_is_not_taken_for_limited() -> None:
    assert outcome_of(finished(ProcessEnd.STOPPED, None), closing(AgentEvent(EventKind.LIMIT, "x"))).end is AgentEnd.KILLED


def test_work_that_goes_on_shows_that_a_limit_was_overcome() -> None:
    events = closing(
        AgentEvent(EventKind.LIMIT, "429"), AgentEvent(EventKind.NOTICE, "retry"), AgentEvent(EventKind.TEXT, "on with it")
    )
    assert outcome_of(finished(), events).end is AgentEnd.FINISHED
    assert events.said == "on with it"


def test_usage_adds_up_unless_it_is_a_total() -> None:
    step = AgentEvent(EventKind.USAGE, data={"usd": 0.25, "input_tokens": 10})
    spend = outcome_of(finished(), closing(step, step)).spend
    assert (spend.usd, spend.input_tokens, spend.output_tokens, spend.seconds) == (0.5, 20, None, 1.5)
    total = AgentEvent(EventKind.USAGE, data={"total": True, "input_tokens": 15, "output_tokens": 4})
    spend = outcome_of(finished(), closing(step, step, total)).spend
    assert (spend.usd, spend.input_tokens, spend.output_tokens) == (0.5, 15, 4)


def test_of_many_errors_the_last_ones_are_kept() -> None:
    events = closing(*(AgentEvent(EventKind.ERROR, str(number)) for number in range(100)))
    assert len(events.errors) == ERRORS
    assert events.errors[-1] == "99"


def test_the_session_id_is_told() -> None:
    assert outcome_of(finished(), closing(AgentEvent(EventKind.SESSION, "abc"))).session == "abc"
