"""One agent session from start to outcome: supervised, its output read line by line, logged, folded into a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.agents.log import SessionLog
from orchestrator.agents.patience import Patience
from orchestrator.agents.protocol import (
    Agent,
    AgentEvent,
    Answer,
    Closing,
    EventKind,
    Request,
    Stream,
    Terminal,
    Traits,
    outcome_of,
)  # fmt: skip
from orchestrator.agents.telling import used
from orchestrator.core.outcome import COUNTED, AgentEnd, AgentOutcome, Spend, StopRequest
from orchestrator.errors import OrchestratorError
from orchestrator.proc import supervise
from orchestrator.proc.command import Keyboard, Limits, Pump

if TYPE_CHECKING:
    from orchestrator.agents.cassette import Recorder
    from orchestrator.agents.dialogue import Dialogue

Meter = Callable[[Spend, str | None], bool]
LINE = 4 * 1024 * 1024  # a longer line is cut; what is cut off is no JSON any more and decides nothing


def run(
    agent: Agent,
    request: Request,
    log: SessionLog,
    *,
    limits: Limits,
    pump: Pump,
    on_start: Callable[[int], None] | None = None,
    recorder: Recorder | None = None,
    meter: Meter | None = None,
) -> AgentOutcome:
    """Run one session of `agent` and say how it ended. Never raises over what the agent did.

    Where the folder of `log` goes away (the task was moved), the session is stopped. `limits.idle` is the silence after which the
    agent counts as stalled, unless it may be silent for longer; a tool at work is no silence. One that goes on after it has said
    how it ends (not logged in, at a limit) is ended; so is one of which `meter`, asked with what it has used so far and with
    which model, says so.
    """
    try:
        command = agent.command(fitted(request, agent.traits))
        idle = None if limits.idle is None else max(limits.idle, agent.traits.silence)
    except Exception as error:  # noqa: BLE001 - a plug-in's fault is this session's, not the worker's
        return _close(log, AgentOutcome(AgentEnd.NOT_STARTED, _told(error)))
    patience = Patience(idle)
    session = _Session(agent, log, patience, recorder)
    session.earlier = request.spent if agent.traits.cumulative else None
    if command.tty:
        session.at_terminal(request.answers, idle)
    log.note(f"{agent.name} starts: {_asked(request)}")
    if recorder:
        recorder.begin(agent.name, request, command)
    finished = supervise.run(
        command, replace(limits, idle=None), sink=session.out, err=session.err, pump=log.pumping(session.pumping(pump, meter)),
        on_start=on_start, on_terminal=session.connect,
    )  # fmt: skip
    session.flush()
    finished, closing = patience.close(finished, session.closing)
    if recorder:
        recorder.end(finished)
    try:
        outcome = agent.outcome(finished, closing)
        return _close(log, replace(outcome, spend=_since(outcome.spend, session.earlier)))
    except Exception as error:  # noqa: BLE001 - as above
        return _close(log, replace(outcome_of(finished, closing), detail=f"{agent.name}'s adapter failed: {_told(error)}"))


def _asked(request: Request) -> str:
    phase = f", phase {request.phase}" if request.phase else ""
    resumed = ", in the session that was interrupted" if request.resume else ""
    return f"attempt {request.attempt}{phase}, model {request.model or 'its own default'}{resumed}"


def fitted(request: Request, traits: Traits) -> Request:
    """`request` with a terminal where the agent's program needs one, and without where that would only make it ask."""
    tty = traits.terminal is Terminal.ALWAYS or (request.tty and traits.terminal is not Terminal.NEVER)
    return replace(request, tty=tty)


def _since(spend: Spend, earlier: Spend | None) -> Spend:
    """Of `spend`, what came after `earlier`."""
    if earlier is None:
        return spend
    counts = {kind: max(0, getattr(spend, kind) - (getattr(earlier, kind) or 0)) for kind in COUNTED if getattr(spend, kind)}
    return replace(spend, **counts)


def _close(log: SessionLog, outcome: AgentOutcome) -> AgentOutcome:
    if spent := used(outcome.spend):
        log.note(spent)
    took = f" after {outcome.spend.seconds:.1f} s" if outcome.spend.seconds else ""
    log.note(f"ended: {outcome.end}{took}{f' ({outcome.detail})' if outcome.detail else ''}")
    log.flush()
    return outcome


def _told(error: Exception) -> str:
    if isinstance(error, OrchestratorError):
        return error.told
    return f"{type(error).__name__}: {error}"


class _Session:
    """Takes an agent's output in chunks, cuts it into lines, has the adapter read them and folds the events."""

    def __init__(self, agent: Agent, log: SessionLog, patience: Patience, recorder: Recorder | None) -> None:
        self._agent = agent
        self._masked = {stream: log.mask.stream(partial(self._take, stream)) for stream in Stream}
        self._log = log
        self._patience = patience
        self._recorder = recorder
        self._lines = {Stream.OUT: Lines(), Stream.ERR: Lines()}
        self._dialogue: Dialogue | None = None
        self._question: AgentEvent | None = None  # what it asks at its terminal
        self.earlier: Spend | None = None  # what its counts begin with
        self.closing = Closing()

    def at_terminal(self, answers: tuple[Answer, ...], idle: float | None) -> None:
        """The agent gets a terminal: its prompts there may be answered by its own allow-list and by `answers`."""
        from orchestrator.agents.dialogue import Dialogue

        self._dialogue = Dialogue(
            (*self._agent.traits.answers, *answers), idle=idle, note=self._log.note,
            row=lambda row: self._read(self._log.mask.text(row).encode(errors="replace"), Stream.OUT),
        )  # fmt: skip

    def connect(self, keyboard: Keyboard) -> None:
        """Its program has started there."""
        if self._dialogue:
            self._dialogue.connect(keyboard)

    def pumping(self, pump: Pump, meter: Meter | None = None) -> Pump:
        """`pump`, which also answers the agent at its terminal; where only a person can or it costs too much, it is ended."""

        def answering() -> StopRequest | None:
            asked = pump()
            if asked is None and self._dialogue and (question := self._dialogue.look()):
                self._question = AgentEvent(EventKind.QUESTION, self._log.mask.text(question))
                asked = StopRequest.QUESTION
            if asked is None and meter and meter(_since(self.closing.spend, self.earlier), self.closing.model):
                asked = StopRequest.BUDGET
            return asked or self._patience.judge(self.closing)

        return answering

    def out(self, data: bytes) -> None:
        self._patience.heard()
        if self._recorder:
            self._recorder.take(data, Stream.OUT)
        if self._dialogue:
            self._dialogue.take(data)
        self._masked[Stream.OUT].feed(data)

    def err(self, data: bytes) -> None:
        self._patience.heard()
        if self._recorder:
            self._recorder.take(data, Stream.ERR)
        self._masked[Stream.ERR].feed(data)

    def flush(self) -> None:
        """Read what came without a line end, and what stands on a terminal now."""
        if self._dialogue:
            self._dialogue.show()
        for masked in self._masked.values():
            masked.flush()
        for stream, lines in self._lines.items():
            if rest := lines.rest():
                self._read(rest, stream)
        if self._question:  # after all else: what an agent says while it is ended takes nothing back
            self._take_event(self._question)

    def _take(self, stream: Stream, data: bytes) -> None:
        """Output without secrets. What paints a screen is read from there instead."""
        self._log.raw(data)
        if self._dialogue and self._dialogue.painted:
            return
        for line in self._lines[stream].feed(data):
            self._read(line, stream)

    def _read(self, line: bytes, stream: Stream) -> None:
        try:
            events = tuple(self._agent.events(line, stream))
        except Exception as error:  # noqa: BLE001 - a plug-in's parser must not end the work it watches
            self._log.note(f"{self._agent.name}'s adapter could not read a line: {_told(error)}")
            return
        for event in events:
            self._take_event(event)

    def _take_event(self, event: AgentEvent) -> None:
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
