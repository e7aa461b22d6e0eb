"""opencode, headless: `opencode run --format json` with its prompt on stdin. Its log on stderr tells what its events don't: that
it waits for a provider, and that a tool is at work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.agents import reading
from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentOutcome
from orchestrator.proc.command import Command, Finished

VARIANTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
WORKING = "at-work"  # the id of whatever tool is running: a tool's event comes when it is over
LOGGED = re.compile(r"^timestamp=\S+ level=(?P<level>[A-Z]+) ")
FIELD = re.compile(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)')
# Of several that are the first in a new home at once, one dies in the migration of their database; so one goes ahead.
FIRST = 'flock "$1" opencode db path >/dev/null 2>&1 </dev/null; shift; exec "$@"'


class Opencode:
    """Runs `opencode run`. A step that finishes with the reason `stop` is its closing event."""

    name = "opencode"
    traits = Traits(
        models=("*/*",),
        efforts=VARIANTS,
        resume=True,
        cost=True,
        closes=True,
        permissions=("auto",),
        environment=("OPENCODE_*", *reading.PROVIDERS),
        secrets=("OPENCODE_API_KEY", *reading.KEYS),
        skills=(".agents/skills", ".claude/skills", ".opencode/skills"),
        silence=240.0,  # it prints whole messages only
        program="opencode",
        install="npm install -g opencode-ai@1.18.33",
        login="opencode auth login",
        credentials=("~/.local/share/opencode/auth.json", "OPENCODE_API_KEY", "OPENCODE_CONFIG_CONTENT", *reading.KEYS),
    )

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed("opencode", install=self.traits.install)

    def command(self, request: Request) -> Command:
        env = {"OPENCODE_DISABLE_AUTOUPDATE": "1", **request.env}
        if request.tty:
            argv = ("opencode", *_model(request), *request.args, "--prompt", reading.argument(request))
            return Command(argv, request.worktree, env, tty=True)
        argv = ("opencode", "run", "--format", "json", "--print-logs", "--log-level", "INFO", "--auto", *_options(request))
        return Command((*_alone(env), *argv, *request.args), request.worktree, env, stdin=reading.stdin(request))

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        data = reading.record(line)
        if data is None:
            logged = LOGGED.match(text := reading.plain(line))
            return _logged(logged["level"], text) if logged else reading.words(line, stream)
        part = reading.table(data, "part")
        match data.get("type"):
            case "step_start":
                return reading.session(reading.string(data, "sessionID"))
            case "text":
                return reading.said(reading.string(part, "text"))
            case "tool_use":
                return _tool(part)
            case "step_finish":
                return (*_usage(part), *_finish(reading.string(part, "reason")))
            case "error":
                return (_error(reading.table(data, "error")), reading.end(ok=False))
        return ()

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        """One error on the way, though overcome, makes its exit code 1."""
        if closing.ended and finished.code == 1:
            finished = replace(finished, code=0)
        return outcome_of(finished, closing, closes=self.traits.closes)


def _options(request: Request) -> Iterable[str]:
    yield from _model(request)
    yield from ("-s", request.resume) if request.resume else ()


def _model(request: Request) -> Iterable[str]:
    """`provider/model:variant`; what follows a colon and is no variant belongs to the model's name (`…/deepseek-r1:free`)."""
    model, colon, variant = (request.model or "").rpartition(":")
    if not colon or variant not in VARIANTS:
        model, variant = request.model or "", ""
    yield from ("-m", model) if model else ()
    yield from ("--variant", variant or request.effort or "") if variant or request.effort else ()


def _alone(env: Mapping[str, str]) -> tuple[str, ...]:
    """What comes before the command where its database is still to be made."""
    share = env.get("XDG_DATA_HOME") or f"{env.get('HOME', '')}/.local/share"
    folder = Path(share, "opencode")
    if not folder.is_absolute() or (folder / "opencode.db").exists():
        return ()
    folder.mkdir(parents=True, exist_ok=True)
    return ("sh", "-c", FIRST, "sh", str(folder / "first-start.lock"))


def _logged(level: str, text: str) -> Iterable[AgentEvent]:
    """Its log: errors of the provider while it goes on trying, the session's id, and the start of a tool."""
    fields = {name: _unquoted(value) for name, value in FIELD.findall(text)}
    if level in {"WARN", "ERROR"}:
        message = fields.get("error.error") or fields.get("error.message") or fields.get("message") or text
        return (_retry(message, aside=fields.get("small") == "true"),)
    if fields.get("message") == "created" and fields.get("parentID") == "undefined":
        return reading.session(fields.get("id", ""))
    if fields.get("message") == "evaluated" and fields.get("action.action") == "allow":
        given = {"command": fields.get("pattern", "")}
        return (reading.tool(fields.get("permission", "tool"), given, WORKING),)
    return ()


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value)) if value.startswith('"') else value
    except ValueError:
        return value


def _retry(message: str, *, aside: bool) -> AgentEvent:
    """It goes on for ever, so a limit decides, unless it was only a title that was asked for."""
    event = reading.failure(message)
    decides = event.kind in {EventKind.LIMIT, EventKind.AUTH} and not aside
    return event if decides else AgentEvent(EventKind.NOTICE, message)


def _tool(part: Mapping[str, Any]) -> Iterable[AgentEvent]:
    state = reading.table(part, "state")
    yield reading.tool(reading.string(part, "tool"), state.get("input"))
    ok = reading.string(state, "status") == "completed"
    yield reading.result(WORKING, reading.string(state, "output") or reading.string(state, "error"), ok=ok)


def _finish(reason: str) -> Iterable[AgentEvent]:
    if reason == "stop":
        yield reading.end(ok=True)
    elif reason not in {"tool-calls", ""}:
        yield AgentEvent(EventKind.ERROR, f"The model's answer ended early: {reason}.")
        yield reading.end(ok=False, text=reason)


def _error(error: Mapping[str, Any]) -> AgentEvent:
    message = reading.string(error, "data", "message") or reading.string(error, "name") or "it failed"
    after = reading.string(error, "data", "responseHeaders", "retry-after")
    told = f"{message} (retry-after: {after})" if after else message
    if reading.string(error, "name") == "ContextOverflowError":
        return AgentEvent(EventKind.CONTEXT, message)
    return reading.failure(told, reading.whole(error, "data", "statusCode"))


def _usage(part: Mapping[str, Any]) -> Iterable[AgentEvent]:
    """Of one step; its input tokens leave the cached ones out, its output tokens those it thought with."""
    used = reading.table(part, "tokens")
    fresh, out, thought = (reading.whole(used, kind) for kind in ("input", "output", "reasoning"))
    cached, wrote = (reading.whole(used, "cache", kind) for kind in ("read", "write"))
    return reading.usage(
        usd=reading.price(part, "cost"),
        sent=None if fresh is None else fresh + (cached or 0) + (wrote or 0),
        cached=cached,
        cache_write=wrote,
        received=None if out is None else out + (thought or 0),
        reasoning=thought,
    )
