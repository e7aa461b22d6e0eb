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

from orchestrator.core.outcome import COUNTED, AgentEnd, AgentOutcome, ProcessEnd, Spend, StopRequest
from orchestrator.core.value import Value
from orchestrator.proc.command import Command, Finished

ERRORS = 20  # last errors kept for the verdict
SAID = 16_000  # characters kept of a text that comes in pieces, the last


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Availability(Value):
    """Whether an agent can be used here. `detail` says what was found or missing, `fix` what to do about it."""

    installed: bool
    version: str | None = None
    detail: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Request(Value):
    """One session: what to ask, where to work and with which complete environment (the child sees nothing else).

    `prompt_file` holds the same text as `prompt`; `cmd` is the setting `agent_cmd`; `resume` a session id of this very agent
    in this very worktree; `args` what the user adds to its command line.
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
    answers: tuple[Answer, ...] = ()  # what may be typed at a terminal beside the agent's own `Traits.answers`
    phase: str | None = None  # the skill that this session of the attempt is for, where there are several
    resume: str | None = None
    spent: Spend | None = None  # what the session that goes on had used in all, for those who count on from there
    usd: float | None = None  # what the session may still cost, for those that can keep to it
    minutes: float | None = None  # and how long it may last
    args: tuple[str, ...] = ()  # what the configuration adds to its command line
    files: tuple[str, ...] = ()  # what the scope names and the worktree holds, for agents that are told what to edit


class Terminal(StrEnum):
    """Whether an agent is given a terminal."""

    NEVER = "never"  # it would ask on it what it doesn't ask without
    OPTIONAL = "optional"  # with `tty: true` only
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Answer(Value):
    """A prompt that may be answered without a person: `pattern` (a regular expression, searched in the screen's last lines) and
    what is typed."""

    pattern: str
    keys: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Traits(Value):
    """What an agent's program can do and needs, as data: nothing else in the orchestrator knows it by name."""

    models: tuple[str, ...] = ()  # patterns (`claude-*`) of the models that are its own when a spec names no agent
    efforts: tuple[str, ...] = ()  # what `effort` may say; none: it has no such switch
    resume: bool = False  # a session can go on, in the worktree it was in
    cumulative: bool = False  # what it says it used is that of all sessions it goes on from; see Request.spent
    budgets: frozenset[str] = frozenset()  # kinds of budget that switches of its own enforce: usd, tokens, minutes, turns
    cost: bool = False  # it reports dollars
    closes: bool = False  # it prints a closing event: without one a session is not finished
    terminal: Terminal = Terminal.OPTIONAL
    permissions: tuple[str, ...] = ()  # the modes it has, the one we use first
    environment: tuple[str, ...] = ()  # names and families (`ANTHROPIC_*`) passed on to it beside the allow-list
    secrets: tuple[str, ...] = ()  # those of them whose values are masked whatever they are called
    skills: tuple[str, ...] = ()  # folders of a worktree in which it looks for skills
    leaves: tuple[str, ...] = ()  # patterns of what it leaves in a worktree that is no work
    silence: float = 0.0  # seconds it may say nothing (a back-off of its own) while all is well
    answers: tuple[Answer, ...] = ()  # what its prompts at a terminal may be answered
    program: str = ""  # the name of its executable; its `--version` tells which one this is
    install: str = ""  # the one command that installs it
    needs: str = ""  # what it doesn't start without, though it can be installed
    login: str = ""  # the one command, or variable, that logs it in
    credentials: tuple[str, ...] = ()  # variables (`X_API_KEY`) and files (`~/.x/auth.json`): with any one it is logged in


class Stream(StrEnum):
    """Which of an agent's two outputs a line came from. With a terminal all is OUT."""

    OUT = "out"
    ERR = "err"


class EventKind(StrEnum):
    """What a line of an agent's output means."""

    SESSION = "session"  # text: the session's id
    MODEL = "model"  # text: the model that answers
    TEXT = "text"  # what the agent says; data: joins, where it goes on with the text before: what stands between the two
    TOOL = "tool"  # what it does; data: id, name, input
    RESULT = "result"  # what came of that; data: id, ok
    USAGE = "usage"  # data: fields of Spend; total=True where they count from the session's start
    LIMIT = "limit"  # a limit of its provider was reached; data: reset_at (epoch seconds) where known; told, if it is exact
    AUTH = "auth"  # it is not logged in, or its key is refused
    CONTEXT = "context"  # its session has no room left
    QUESTION = "question"  # it waits for a person
    NOTICE = "notice"  # worth a line in the log, decides nothing (retries)
    ERROR = "error"  # it says that it failed
    END = "end"  # its closing event; data: ok


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AgentEvent(Value):
    """One normalised event of a session; `data` is JSON-ready."""

    kind: EventKind
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Closing(Value):
    """What a session's events came to. `said` is the last text, which pieces add to while `saying`; `ended` None means that no
    closing event was seen; `open` are the ids of tools whose results are still to come."""

    session: str | None = None
    model: str | None = None
    spend: Spend = field(default_factory=Spend)
    said: str = ""
    saying: bool = False
    limit: AgentEvent | None = None
    auth: AgentEvent | None = None
    question: AgentEvent | None = None
    context: AgentEvent | None = None
    open: frozenset[str] = frozenset()
    errors: tuple[str, ...] = ()
    ended: bool | None = None

    def after(self, event: AgentEvent) -> Closing:  # noqa: PLR0911 - one line per kind
        """This, with one more event taken in. Work that goes on after a limit or a question shows that it was overcome."""
        match event.kind:
            case EventKind.SESSION:
                return replace(self, session=event.text)
            case EventKind.MODEL:
                return replace(self, model=event.text)
            case EventKind.TEXT | EventKind.TOOL:
                saying = event.kind is EventKind.TEXT
                said = _said(self, event) if saying else self.said
                running = self.open | {str(event.data["id"])} if "id" in event.data else self.open
                cleared = replace(self, limit=None, auth=None, question=None, context=None)
                return replace(cleared, said=said, saying=saying, open=running)
            case EventKind.RESULT:
                return replace(self, saying=False, open=self.open - {str(event.data.get("id"))})
            case EventKind.USAGE:
                return replace(self, spend=_spend(self.spend, event.data))
            case EventKind.LIMIT:
                return replace(self, limit=_later(event, self.limit))
            case EventKind.AUTH:
                return replace(self, auth=event)
            case EventKind.QUESTION:
                return replace(self, question=event)
            case EventKind.CONTEXT:
                return replace(self, context=event)
            case EventKind.ERROR:
                return replace(self, errors=(*self.errors, event.text)[-ERRORS:])
            case EventKind.END:
                overcome = replace(self, limit=None, auth=None, context=None) if event.data.get("ok", True) else self
                return replace(overcome, ended=overcome is not self)
            case EventKind.NOTICE:
                return self


class Agent(Protocol):
    """An adapter. It never starts a process itself and never raises over what the agent printed."""

    @property
    def name(self) -> str: ...

    @property
    def traits(self) -> Traits: ...

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


def outcome_of(finished: Finished, closing: Closing, *, closes: bool = False) -> AgentOutcome:
    """The outcome by what the agent said (limit, auth, question), then by how its process ended, then by its exit code.

    `closes`: the agent prints a closing event; exit code 0 without one is no end, and its own word on failure counts."""
    end, detail = _end(finished, closing, closes)
    return AgentOutcome(
        end=end,
        detail=detail,
        exit_code=finished.code,
        reset_at=closing.limit.data.get("reset_at") if closing.limit else None,
        prompt=closing.question.text if closing.question else None,
        session=closing.session,
        said=closing.said,
        model=closing.model,
        spend=replace(closing.spend, seconds=finished.seconds),
    )


def _end(finished: Finished, closing: Closing, closes: bool) -> tuple[AgentEnd, str]:
    if finished.end in {ProcessEnd.STOPPED, ProcessEnd.NOT_STARTED} and finished.request is not StopRequest.QUESTION:
        return ENDS[finished.end], finished.detail
    said = (
        (AgentEnd.RATE_LIMITED, closing.limit), (AgentEnd.AUTH, closing.auth),
        (AgentEnd.NEEDS_INPUT, closing.question), (AgentEnd.CONTEXT, closing.context),
    )  # fmt: skip
    for end, event in said:
        if event:
            return end, event.text
    if finished.end in ENDS:
        return ENDS[finished.end], finished.detail or f"The agent ended: {finished.end}."
    if finished.code == 0 and closing.ended is not False and (closing.ended or not closes):
        return AgentEnd.FINISHED, ""
    if finished.code == 0 and closing.ended is None and not closing.errors:
        return AgentEnd.FAILED, "The agent exited with 0 but without its closing event: it did not get to its end."
    error = closing.errors[-1] if closing.errors else f"The agent ended with exit code {finished.code}."
    return AgentEnd.FAILED, error


def _later(event: AgentEvent, earlier: AgentEvent | None) -> AgentEvent:
    """A limit of which it said twice when it is over: then as the provider told it, else when both are."""
    if earlier and earlier.data.get("told"):
        return replace(event, data={**event.data, **earlier.data})
    ends = [limit.data["reset_at"] for limit in (event, earlier) if limit and limit.data.get("reset_at") is not None]
    return replace(event, data={**event.data, "reset_at": max(ends)}) if ends else event


def _said(before: Closing, event: AgentEvent) -> str:
    joins = event.data.get("joins") if before.saying else None
    return event.text if joins is None else f"{before.said}{joins}{event.text}"[-SAID:]


def _spend(spend: Spend, data: Mapping[str, Any]) -> Spend:
    used = {kind: data[kind] for kind in COUNTED if data.get(kind) is not None}
    return replace(spend, **used) if data.get("total") else spend + Spend(**used)
