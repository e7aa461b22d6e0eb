"""One agent session from start to outcome: supervised, its output read line by line, logged, folded into a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from orchestrator.agents.log import SessionLog
from orchestrator.agents.protocol import Agent, Closing, Request, Stream, outcome_of
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.errors import OrchestratorError
from orchestrator.proc import supervise
from orchestrator.proc.command import Limits, Pump

LINE = 4 * 1024 * 1024  # a longer line is cut; what is cut off is no JSON any more and decides nothing
LOG_BYTES = 10 * 1024 * 1024


def run(
    agent: Agent,
    request: Request,
    *,
    log_folder: Path,
    limits: Limits,
    pump: Pump,
    on_start: Callable[[int], None] | None = None,
    log_bytes: int = LOG_BYTES,
    raw: bool = False,
) -> AgentOutcome:
    """Run one session of `agent` and say how it ended. Never raises over what the agent did.

    Writes `agent.log` (for people) and `agent.jsonl` (the normalised events) into `log_folder`, and `agent.raw` on request. Where
    that folder goes away (the task was moved), the session is stopped and nothing is written any more. `limits.idle` is the
    silence after which the agent counts as stalled.
    """
    log = SessionLog(log_folder, max_bytes=log_bytes, raw=raw)
    try:
        command = agent.command(request)
    except Exception as error:  # noqa: BLE001 - a plug-in's fault is this session's, not the worker's
        return _close(log, AgentOutcome(AgentEnd.NOT_STARTED, _told(error)))
    session = _Session(agent, log)
    log.note(f"{agent.name} starts: attempt {request.attempt}, model {request.model or 'its own default'}")
    finished = supervise.run(command, limits, sink=session.out, err=session.err, pump=log.pumping(pump), on_start=on_start)
    session.flush()
    try:
        return _close(log, agent.outcome(finished, session.closing))
    except Exception as error:  # noqa: BLE001 - as above
        return _close(
            log, replace(outcome_of(finished, session.closing), detail=f"{agent.name}'s adapter failed: {_told(error)}")
        )


def _close(log: SessionLog, outcome: AgentOutcome) -> AgentOutcome:
    log.note(f"ended: {outcome.end}{f' ({outcome.detail})' if outcome.detail else ''}")
    log.flush()
    return outcome


def _told(error: Exception) -> str:
    if isinstance(error, OrchestratorError):
        return f"{error.message} {error.hint}".strip()
    return f"{type(error).__name__}: {error}"


class _Session:
    """Takes an agent's output in chunks, cuts it into lines, has the adapter read them and folds the events."""

    def __init__(self, agent: Agent, log: SessionLog) -> None:
        self._agent = agent
        self._log = log
        self._lines = {Stream.OUT: Lines(), Stream.ERR: Lines()}
        self.closing = Closing()

    def out(self, data: bytes) -> None:
        self._take(data, Stream.OUT)

    def err(self, data: bytes) -> None:
        self._take(data, Stream.ERR)

    def flush(self) -> None:
        """Read what came without a line end."""
        for stream, lines in self._lines.items():
            if rest := lines.rest():
                self._read(rest, stream)

    def _take(self, data: bytes, stream: Stream) -> None:
        self._log.raw(data)
        for line in self._lines[stream].feed(data):
            self._read(line, stream)

    def _read(self, line: bytes, stream: Stream) -> None:
        try:
            events = tuple(self._agent.events(line, stream))
        except Exception as error:  # noqa: BLE001 - a plug-in's parser must not end the work it watches
            self._log.note(f"{self._agent.name}'s adapter could not read a line: {_told(error)}")
            return
        for event in events:
            self._log.event(event)
            self.closing = self.closing.after(event)


class Lines:
    """Cuts a stream of bytes into lines, bounded: of a line over `LINE` bytes the beginning is kept."""

    def __init__(self) -> None:
        self._parts = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends."""
        *ended, rest = data.split(b"\n")
        lines = []
        for part in ended:
            self._add(part)
            lines.append(self.rest())
            self._dropping = False
        self._add(rest)
        return lines

    def rest(self) -> bytes:
        """What has come since the last line end; forgotten by this."""
        line = bytes(self._parts).rstrip(b"\r")
        self._parts.clear()
        return line

    def _add(self, part: bytes) -> None:
        if not self._dropping:
            self._parts += part[: LINE - len(self._parts)]
            self._dropping = len(self._parts) >= LINE
