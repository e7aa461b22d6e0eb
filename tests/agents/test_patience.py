from __future__ import annotations

from dataclasses import replace

import pytest
from support.sessions import Stage

from orchestrator.agents import patience
from orchestrator.agents.exec import Exec
from orchestrator.agents.patience import LEAVE, RETRY, SOON, Patience
from orchestrator.agents.protocol import AgentEvent, Closing, EventKind, Stream, Traits
from orchestrator.core.outcome import AgentEnd, ProcessEnd, StopRequest
from orchestrator.proc import awake
from orchestrator.proc.command import Finished, Limits

EPOCH = 1_800_000_000.0
AUTH = AgentEvent(EventKind.AUTH, "401")


class Clock:
    def __init__(self, idle: float | None = None) -> None:
        self.now = 0.0
        self.patience = Patience(idle, now=lambda: self.now, epoch=lambda: EPOCH + self.now)

    def lasts(self, closing: Closing, most: float = 1000.0) -> float:
        """Seconds until the session is to be ended."""
        began = self.now
        while self.now - began < most:
            if self.patience.judge(closing):
                return self.now - began
            self.now += 0.25
        return most


def limit(**data: float) -> Closing:
    return Closing().after(AgentEvent(EventKind.LIMIT, "429", data))


def test_a_session_that_says_nothing_special_goes_on() -> None:
    assert Clock().lasts(Closing()) == 1000


def test_time_in_which_we_stood_still_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that was paused over night: its agent had said nothing since, and was ended for that."""
    seconds = [0.0]
    monkeypatch.setattr(awake, "monotonic", lambda: seconds[0])
    watching = Patience(120.0)
    seconds[0] = 3600.0
    assert not watching.judge(Closing())
    for _ in range(117):
        seconds[0] += 1.0
        assert not watching.judge(Closing())
    seconds[0] += 1.0
    assert watching.judge(Closing()) is StopRequest.SETTLED


def test_silence_ends_also_where_every_look_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk or a file server that takes ten seconds of each: the agent isn't paused, and may hang."""
    seconds = [0.0]
    monkeypatch.setattr(awake, "monotonic", lambda: seconds[0])
    watching = Patience(120.0)
    for _ in range(60):
        seconds[0] += 10.0
        if watching.judge(Closing()):
            return
    pytest.fail("it would wait for ever")


def test_who_is_not_logged_in_is_given_the_time_to_say_goodbye() -> None:
    assert Clock().lasts(Closing(auth=AUTH)) == pytest.approx(LEAVE, abs=0.3)


def test_a_limit_without_an_end_is_given_the_time_of_a_few_retries() -> None:
    assert Clock().lasts(limit()) == pytest.approx(RETRY, abs=0.3)


def test_a_limit_that_lasts_for_hours_is_not_waited_for_inside_the_session() -> None:
    assert Clock().lasts(limit(reset_at=EPOCH + 7200)) == pytest.approx(LEAVE, abs=0.3)


def test_a_limit_that_is_over_soon_is_but_not_again_and_again() -> None:
    clock, since = Clock(), 0.0
    while not clock.patience.judge(limit(reset_at=EPOCH + clock.now + 5)):
        clock.now += 0.25
    assert clock.now - since == pytest.approx(SOON + RETRY, abs=0.3)


def test_a_limit_that_was_overcome_leaves_the_next_one_its_full_time() -> None:
    clock = Clock()
    assert clock.lasts(limit(), most=RETRY - 1) == RETRY - 1
    assert clock.patience.judge(Closing()) is None
    assert clock.lasts(limit()) == pytest.approx(RETRY, abs=0.3)


def test_silence_ends_it_and_output_starts_the_clock_again() -> None:
    clock = Clock(idle=10)
    assert clock.lasts(Closing(), most=9) == 9
    clock.patience.heard()
    assert clock.lasts(Closing()) == pytest.approx(10, abs=0.3)


def test_a_tool_at_work_is_no_silence_and_has_its_time_again_when_it_is_done() -> None:
    clock = Clock(idle=10)
    assert clock.lasts(Closing(open=frozenset({"t1"})), most=500) == 500
    assert clock.lasts(Closing()) == pytest.approx(10, abs=0.3)


def test_the_reason_counts_and_not_how_the_program_then_went() -> None:
    clock = Clock()
    clock.lasts(Closing(auth=AUTH))
    stopped = Finished(ProcessEnd.STOPPED, 0, None, 4.0, "asked to stop", StopRequest.SETTLED)
    overtaken = Closing().after(AgentEvent(EventKind.TEXT, "Interrupted by the user."))
    finished, closing = clock.patience.close(stopped, overtaken)
    assert (finished.end, closing.auth) == (ProcessEnd.SIGNALLED, AUTH)


def test_a_stop_that_was_asked_for_from_outside_stays_one() -> None:
    clock = Clock()
    clock.lasts(Closing(auth=AUTH))
    stopped = Finished(ProcessEnd.STOPPED, None, 15, 4.0, "asked to stop", StopRequest.RELEASE)
    assert clock.patience.close(stopped, Closing()) == (stopped, Closing())


class Says(Exec):
    """A shell command whose lines are the kinds of its events."""

    traits = Traits(closes=True)

    def events(self, line: bytes, stream: Stream) -> tuple[AgentEvent, ...]:
        kind, _, text = line.decode().partition(" ")
        return (AgentEvent(EventKind(kind), text, {"id": text} if kind in {"tool", "result"} else {}),)


def test_an_agent_that_goes_on_after_a_refused_key_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LEAVE", 0.3)
    outcome = stage.run(Says(), stage.request(cmd="echo auth refused; exec sleep 60"))
    assert (outcome.end, outcome.detail) == (AgentEnd.AUTH, "refused")
    assert outcome.spend.seconds < 20


def test_an_agent_that_overcomes_a_limit_is_left_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "RETRY", 1.0)
    outcome = stage.run(Says(), stage.request(cmd=r"printf 'limit hit\ntext on\n'; sleep 1.5; echo end; exit 0"))
    assert outcome.end is AgentEnd.FINISHED


def test_a_silent_tool_is_not_a_stall_but_the_deadline_holds(stage: Stage) -> None:
    limits = Limits(seconds=60, idle=3, grace=0.1)  # more than a stall counts for, before its first word and after the last
    assert (
        stage.run(Says(), stage.request(cmd="echo tool t1; sleep 4; echo result t1; echo end"), limits=limits).end
        is AgentEnd.FINISHED
    )
    assert stage.run(Says(), stage.request(cmd="echo result t1; exec sleep 60"), limits=limits).end is AgentEnd.STALLED
    late = stage.run(Says(), stage.request(cmd="echo tool t1; exec sleep 60"), limits=replace(limits, seconds=1.0))
    assert late.end is AgentEnd.TIMED_OUT


def test_an_agent_may_be_silent_for_as_long_as_it_is_known_to_be(stage: Stage) -> None:
    class Slow(Says):
        traits = Traits(silence=30.0)

    outcome = stage.run(Slow(), stage.request(cmd="sleep 1; exit 0"), limits=Limits(seconds=20, idle=0.3, grace=0.1))
    assert outcome.end is AgentEnd.FINISHED
