from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace

import pytest
from support.sessions import Stage

from orchestrator.agents.log import SessionLog, readable
from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.agents.session import LINE, Lines
from orchestrator.core.outcome import AgentEnd, AgentOutcome, Spend, StopRequest
from orchestrator.proc.command import Command, Finished, Limits


class Shell:
    """An adapter that runs what it is given; each part can be broken."""

    name = "shell"
    traits = Traits()

    def __init__(self, script: str = "true", *, broken: str = "") -> None:
        self.script = script
        self.broken = broken

    def check(self, *, cmd: str | None = None) -> Availability:
        return Availability(installed=True)

    def command(self, request: Request) -> Command:
        self._fail("command")
        return Command(("sh", "-c", self.script), request.worktree, request.env)

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        self._fail("events")
        yield AgentEvent(EventKind.TEXT, f"{stream.value}:{line.decode()}")

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        self._fail("outcome")
        return outcome_of(finished, closing)

    def _fail(self, part: str) -> None:
        if self.broken == part:
            raise RuntimeError(f"{part} broke")


def test_every_line_is_logged_with_its_time_and_as_an_event(stage: Stage) -> None:
    assert stage.run(Shell("echo one; echo two >&2; printf three"), stage.request()).end is AgentEnd.FINISHED
    texts = [event["text"] for event in stage.events()]
    assert sorted(texts) == ["err:two", "out:one", "out:three"]
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", line) for line in stage.log().splitlines())
    assert "-- ended: finished" in stage.log().splitlines()[-1]


def test_events_reach_the_log_while_the_session_runs(stage: Stage) -> None:
    def pump() -> StopRequest | None:
        path = stage.logs / "agent.log"
        return StopRequest.RELEASE if path.exists() and "out:early" in path.read_text() else None

    started = time.monotonic()
    outcome = stage.run(Shell("echo early; exec sleep 60"), stage.request(), pump=pump)
    assert outcome.end is AgentEnd.KILLED
    assert time.monotonic() - started < 20


def test_the_log_can_be_read_without_a_terminal_obeying_it(stage: Stage) -> None:
    stage.run(Shell(r"printf '\033[31mred\033[0m\007 \033]0;title\007done\n'"), stage.request())
    assert "out:red done" in stage.log()
    assert "\x1b" not in stage.log()


def test_raw_output_is_kept_only_on_request(stage: Stage) -> None:
    stage.run(Shell(r"printf '\033[31mred\n'"), stage.request())
    assert not (stage.logs / "agent.raw").exists()
    stage.run(Shell(r"printf '\033[31mred\n'"), stage.request(), raw=True)
    assert (stage.logs / "agent.raw").read_bytes() == b"\x1b[31mred\n"


def test_a_chatty_agent_is_not_ended_and_its_logs_stay_below_their_cap(stage: Stage) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo line-$i-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; i=$((i+1)); done"
    assert stage.run(Shell(script), stage.request(), log_bytes=60_000, raw=True).end is AgentEnd.FINISHED
    for name in ("agent.log", "agent.jsonl", "agent.raw"):
        sizes = [path.stat().st_size for path in stage.logs.glob(f"{name}*")]
        assert 0 < sum(sizes) <= 60_000
    # The log may have been turned over just before our own last line.
    assert "line-2999" in "".join(path.read_text() for path in stage.logs.glob("agent.log*"))


def test_a_session_whose_task_folder_moves_away_is_stopped_and_writes_nothing_more(stage: Stage) -> None:
    moved = stage.root / "moved"

    def pump() -> StopRequest | None:
        if not moved.exists() and (stage.logs / "agent.log").exists():
            stage.logs.parent.rename(moved)
        return None

    outcome = stage.run(Shell("while :; do echo x; sleep 0.01; done"), stage.request(), pump=pump)
    assert outcome.end is AgentEnd.KILLED
    assert not stage.logs.parent.exists()
    assert "ended" not in (moved / "attempt" / "agent.log").read_text()


def test_silence_is_a_stall_and_the_deadline_a_time_out(stage: Stage) -> None:
    assert stage.run(Shell("sleep 60"), stage.request(), limits=Limits(seconds=30, idle=0.3, grace=0.1)).end is AgentEnd.STALLED
    assert stage.run(Shell("sleep 60"), stage.request(), limits=Limits(seconds=0.3, grace=0.1)).end is AgentEnd.TIMED_OUT


def test_a_program_that_is_not_there_is_not_started(stage: Stage) -> None:
    class Missing(Shell):
        def command(self, request: Request) -> Command:
            return Command(("no-such-program-anywhere",), request.worktree, request.env)

    outcome = stage.run(Missing(), stage.request())
    assert outcome.end is AgentEnd.NOT_STARTED
    assert "no-such-program-anywhere" in outcome.detail
    assert "not-started" in stage.log()


def test_an_adapter_that_cannot_build_its_command_is_not_started(stage: Stage) -> None:
    outcome = stage.run(Shell(broken="command"), stage.request())
    assert (outcome.end, outcome.detail) == (AgentEnd.NOT_STARTED, "RuntimeError: command broke")


def test_an_adapter_that_cannot_read_its_stream_does_not_end_the_work(stage: Stage) -> None:
    outcome = stage.run(Shell("echo one; touch done", broken="events"), stage.request())
    assert outcome.end is AgentEnd.FINISHED
    assert (stage.worktree / "done").exists()
    assert "events broke" in stage.log()


def test_an_adapter_that_cannot_judge_its_session_falls_back_to_the_process_end(stage: Stage) -> None:
    outcome = stage.run(Shell("exit 4", broken="outcome"), stage.request())
    assert (outcome.end, outcome.exit_code) == (AgentEnd.FAILED, 4)
    assert "outcome broke" in outcome.detail


def test_the_agent_sees_exactly_the_environment_it_was_given(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "hush")
    stage.run(Shell("env > env.txt"), stage.request(GIVEN="yes"))
    seen = (stage.worktree / "env.txt").read_text()
    assert "GIVEN=yes" in seen
    assert "SECRET_OF_MINE" not in seen


def test_the_pid_is_told_at_the_start(stage: Stage) -> None:
    pids: list[int] = []
    stage.run(Shell("echo $$ > pid"), stage.request(), on_start=pids.append)
    assert [int((stage.worktree / "pid").read_text())] == pids


def test_a_full_log_disk_does_not_end_the_session(stage: Stage) -> None:
    (stage.logs / "agent.log").mkdir()  # as unwritable as a full disk, for any user
    assert stage.run(Shell("touch done"), stage.request()).end is AgentEnd.FINISHED
    assert (stage.worktree / "done").exists()


@pytest.mark.skipif(shutil.which("tty") is None, reason="needs the tty program")
def test_an_agent_that_insists_on_a_terminal_gets_one(stage: Stage) -> None:
    outcome = stage.run("exec", stage.request(cmd="tty; test -t 1", tty=True))
    assert outcome.end is AgentEnd.FINISHED
    assert "/dev/" in stage.log()


def test_lines_are_cut_wherever_the_chunks_end() -> None:
    lines = Lines()
    assert lines.feed(b"a") == []
    assert lines.feed(b"b\r\nc\n\nd") == [b"ab", b"c", b""]
    assert lines.rest() == b"d"


def test_an_endless_line_keeps_its_beginning_and_costs_no_more_memory() -> None:
    lines = Lines()
    for _ in range(6):
        assert lines.feed(b"x" * (LINE // 4)) == []
    cut, after = lines.feed(b"tail\nnext\n")
    assert cut == b"x" * LINE
    assert after == b"next"


def test_a_line_that_ends_the_stream_too_long_does_not_swallow_the_next_stream() -> None:
    lines = Lines()
    lines.feed(b"x" * (LINE + 1))
    assert len(lines.rest()) == LINE


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttab", "plain\ttab"),
        ("\x1b[1;32mok\x1b[0m", "ok"),
        ("a\x00b\x07c", "abc"),
        ("grün ✓", "grün ✓"),
        ("\x1b(B\x1b[mx", "x"),
    ],
)
def test_readable_keeps_text_and_drops_what_a_terminal_obeys(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_an_undecodable_surrogate_is_logged_and_not_raised(stage: Stage) -> None:
    log = SessionLog(stage.logs, max_bytes=1000, raw=False, clock=lambda: 0.5)
    log.event(AgentEvent(EventKind.TOOL, "bad \udc80", {"path": stage.logs}))
    log.flush()
    assert stage.log() == "1970-01-01T00:00:00.500Z > bad ?\n"
    assert stage.events()[0]["kind"] == "tool"


def test_what_a_resumed_session_had_used_before_is_not_counted_again(stage: Stage) -> None:
    class Counting(Shell):
        traits = Traits(cumulative=True)

        def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
            yield AgentEvent(EventKind.USAGE, "", {"input_tokens": 4800, "output_tokens": 200, "total": True})

    seen: list[int | None] = []

    def meter(spend: Spend, model: str | None) -> bool:
        seen.append(spend.input_tokens)
        if spend.input_tokens:
            (stage.root / "asked").touch()
        return False

    request = replace(stage.request(), spent=Spend(input_tokens=3600))
    outcome = stage.run(Counting(f"echo used; until [ -e {stage.root}/asked ]; do sleep 0.02; done"), request, meter=meter)
    assert (outcome.spend.input_tokens, outcome.spend.output_tokens) == (1200, 200)
    assert set(seen) <= {None, 1200}
    assert 1200 in seen
