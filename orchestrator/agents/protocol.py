"""What an agent is to us: an adapter that builds a command line, reads its output and says how it ended.

An adapter keeps no state between calls: `session` feeds it line by line, folds the events it returns into a `Closing` and hands
that back for the verdict. So one adapter object serves any number of sessions, and a recorded stream is enough to test it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from orchestrator.core.outcome import AgentEnd, AgentOutcome, ProcessEnd, Spend
from orchestrator.proc.command import Command, Finished

ERRORS = 20  # last errors kept for the verdict


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether an agent can be used here. `detail` says what was found or missing, `fix` what to do about it."""

    installed: bool
    version: str | None = None
    detail: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One session: what to ask, where to work and with which complete environment (the child sees nothing else).

    `prompt_file` holds the same text as `prompt`; `cmd` is the setting `agent_cmd`; `resume` a session id of this very agent
    in this very worktree.
    """

    prompt: str
    prompt_file: Path
    worktree: Path
    env: Mapping[str, str]
    attempt: int = 1
    model: str | None = None
    effort: str | None = None
    cmd: str | None = None
    tty: bool = False
    resume: str | None = None


class Stream(StrEnum):
    """Which of an agent's two outputs a line came from. With a terminal all is OUT."""

    OUT = "out"
    ERR = "err"


class EventKind(StrEnum):
    """What a line of an agent's output means."""

    SESSION = "session"  # text: the session's id
    TEXT = "text"  # what the agent says
    TOOL = "tool"  # what it does
    USAGE = "usage"  # data: usd, input_tokens, output_tokens; total=True where they count from the session's start
    LIMIT = "limit"  # a limit of its provider was reached; data: reset_at (epoch seconds) where known
    AUTH = "auth"  # it is not logged in, or its key is refused
    QUESTION = "question"  # it waits for a person
    NOTICE = "notice"  # worth a line in the log, decides nothing (retries)
    ERROR = "error"  # it says that it failed
    END = "end"  # its closing event; data: ok


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """One normalised event of a session; `data` is JSON-ready."""

    kind: EventKind
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closing:
    """What a session's events came to. `said` is the last text; `ended` None means that no closing event was seen."""

    session: str | None = None
    spend: Spend = field(default_factory=Spend)
    said: str = ""
    limit: AgentEvent | None = None
    auth: AgentEvent | None = None
    question: AgentEvent | None = None
    errors: tuple[str, ...] = ()
    ended: bool | None = None

    def after(self, event: AgentEvent) -> Closing:  # noqa: PLR0911 - one line per kind
        """This, with one more event taken in. Work that goes on after a limit or a question shows that it was overcome."""
        match event.kind:
            case EventKind.SESSION:
                return replace(self, session=event.text)
            case EventKind.TEXT | EventKind.TOOL:
                said = event.text if event.kind is EventKind.TEXT else self.said
                return replace(self, said=said, limit=None, auth=None, question=None)
            case EventKind.USAGE:
                return replace(self, spend=_spend(self.spend, event.data))
            case EventKind.LIMIT:
                return replace(self, limit=event)
            case EventKind.AUTH:
                return replace(self, auth=event)
            case EventKind.QUESTION:
                return replace(self, question=event)
            case EventKind.ERROR:
                return replace(self, errors=(*self.errors, event.text)[-ERRORS:])
            case EventKind.END:
                return replace(self, ended=bool(event.data.get("ok", True)))
            case EventKind.NOTICE:
                return self


class Agent(Protocol):
    """An adapter. It never starts a process itself and never raises over what the agent printed."""

    @property
    def name(self) -> str: ...

    def check(self, *, cmd: str | None = None) -> Availability:
        """Whether this agent can be used on this machine; `cmd` is the setting `agent_cmd`."""
        ...

    def command(self, request: Request) -> Command:
        """What to run. Raises AgentError where something the agent needs is missing."""
        ...

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        """What one line of output (without its end) means; nothing for a line of no interest."""
        ...

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        """How the session ended. `outcome_of` is the answer for agents whose exit code tells the truth."""
        ...


ENDS = {
    ProcessEnd.TIMED_OUT: AgentEnd.TIMED_OUT,
    ProcessEnd.STALLED: AgentEnd.STALLED,
    ProcessEnd.STOPPED: AgentEnd.KILLED,
    ProcessEnd.SIGNALLED: AgentEnd.KILLED,
    ProcessEnd.NOT_STARTED: AgentEnd.NOT_STARTED,
    ProcessEnd.OUTPUT_LIMIT: AgentEnd.FAILED,
}


def outcome_of(finished: Finished, closing: Closing) -> AgentOutcome:
    """The outcome by what the agent said (limit, auth, question), then by how its process ended, then by its exit code."""
    end, detail = _end(finished, closing)
    return AgentOutcome(
        end=end,
        detail=detail,
        exit_code=finished.code,
        reset_at=closing.limit.data.get("reset_at") if closing.limit else None,
        prompt=closing.question.text if closing.question else None,
        session=closing.session,
        spend=replace(closing.spend, seconds=finished.seconds),
    )


def _end(finished: Finished, closing: Closing) -> tuple[AgentEnd, str]:
    if finished.end in {ProcessEnd.STOPPED, ProcessEnd.NOT_STARTED}:
        return ENDS[finished.end], finished.detail
    said = ((AgentEnd.RATE_LIMITED, closing.limit), (AgentEnd.AUTH, closing.auth), (AgentEnd.NEEDS_INPUT, closing.question))
    for end, event in said:
        if event:
            return end, event.text
    if finished.end in ENDS:
        return ENDS[finished.end], finished.detail or f"The agent ended: {finished.end}."
    if finished.code == 0 and closing.ended is not False:
        return AgentEnd.FINISHED, ""
    error = closing.errors[-1] if closing.errors else f"The agent ended with exit code {finished.code}."
    return AgentEnd.FAILED, error


def _spend(spend: Spend, data: Mapping[str, Any]) -> Spend:
    used = Spend(usd=data.get("usd"), input_tokens=data.get("input_tokens"), output_tokens=data.get("output_tokens"))
    if not data.get("total"):
        return spend + used
    return Spend(
        usd=spend.usd if used.usd is None else used.usd,
        input_tokens=spend.input_tokens if used.input_tokens is None else used.input_tokens,
        output_tokens=spend.output_tokens if used.output_tokens is None else used.output_tokens,
    )
