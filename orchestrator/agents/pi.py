"""pi, headless: `pi -p --mode json` with its prompt on stdin and one JSON event a line. It exits with 0 whatever happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.agents import reading
from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentOutcome
from orchestrator.proc.command import Command, Finished

NO_LOGIN = ("No API key", "No models available", "Use /login")


class Pi:
    """Runs `pi -p`. The model's message that ends with `stop` closes it: the event that sums all up may be too long to read."""

    name = "pi"
    traits = Traits(
        efforts=("off", "minimal", "low", "medium", "high", "xhigh", "max"),
        resume=True,
        cost=True,
        closes=True,
        permissions=("none",),
        environment=("PI_*", *reading.PROVIDERS),
        secrets=reading.KEYS,
        skills=(".agents/skills", ".pi/skills"),
        program="pi",
        install="npm install -g @earendil-works/pi-coding-agent@0.87.1",
        needs="node 22.19 or newer",
        login="Run pi and /login there, or set a provider's key.",
        credentials=("~/.pi/agent/auth.json", "~/.pi/agent/models.json", *reading.KEYS),
    )

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed("pi", install=self.traits.install)

    def command(self, request: Request) -> Command:
        env = {"PI_OFFLINE": "1", "PI_TELEMETRY": "0", **request.env}
        options = ("--approve", *_options(request), *request.args)
        if request.tty:
            return Command(("pi", *options, "--", reading.argument(request)), request.worktree, env, tty=True)
        return Command(("pi", "-p", "--mode", "json", *options), request.worktree, env, stdin=reading.stdin(request))

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        data = reading.record(line)
        if data is None:
            return _words(line, stream)
        match data.get("type"):
            case "session":
                return reading.session(reading.string(data, "id"))
            case "message_end" if reading.string(data, "message", "role") == "assistant":
                return _message(reading.table(data, "message"))
            case "tool_execution_start":
                return (reading.tool(reading.string(data, "toolName"), data.get("args"), reading.string(data, "toolCallId")),)
            case "tool_execution_end":
                return (_result(data),)
            case "auto_retry_start":
                attempt, most = (reading.whole(data, key) for key in ("attempt", "maxAttempts"))
                return reading.notice(f"retry {attempt} of {most}: {reading.string(data, 'errorMessage')}")
        return ()

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        return outcome_of(finished, closing, closes=self.traits.closes)


def _options(request: Request) -> Iterable[str]:
    yield from ("--model", request.model) if request.model else ()
    yield from ("--thinking", request.effort) if request.effort else ()
    yield from ("--session", request.resume) if request.resume else ()


def _words(line: bytes, stream: Stream) -> Iterable[AgentEvent]:
    text = reading.plain(line)
    if stream is Stream.ERR and any(words in text for words in NO_LOGIN):
        return (AgentEvent(EventKind.AUTH, text),)
    return reading.words(line, stream)


def _message(message: Mapping[str, Any]) -> Iterable[AgentEvent]:
    for block in reading.tables(message, "content"):
        if reading.string(block, "type") == "text":
            yield from reading.said(reading.string(block, "text"))
    yield from _usage(message)
    match reading.string(message, "stopReason"):
        case "toolUse":
            return
        case "stop":
            yield from reading.model(reading.string(message, "model"))
            yield reading.end(ok=True)
        case "error":
            yield reading.failure(reading.string(message, "errorMessage") or "the request failed")
            yield reading.end(ok=False)
        case reason:
            yield AgentEvent(EventKind.ERROR, f"The model's answer ended early: {reason or 'nobody says why'}.")
            yield reading.end(ok=False, text=reason)


def _result(data: Mapping[str, Any]) -> AgentEvent:
    text = "\n".join(reading.string(part, "text") for part in reading.tables(data, "result", "content"))
    return reading.result(reading.string(data, "toolCallId"), text, ok=data.get("isError") is not True)


def _usage(message: Mapping[str, Any]) -> Iterable[AgentEvent]:
    """Of one answer; its input tokens leave the cached ones out. Of a request that was refused there is nothing to tell."""
    used = reading.table(message, "usage")
    fresh, cached, wrote = (reading.whole(used, kind) for kind in ("input", "cacheRead", "cacheWrite"))
    if not reading.whole(used, "totalTokens"):
        return ()
    return reading.usage(
        usd=reading.price(used, "cost", "total"),
        sent=None if fresh is None else fresh + (cached or 0) + (wrote or 0),
        cached=cached,
        cache_write=wrote,
        received=reading.whole(used, "output"),
        reasoning=reading.whole(used, "reasoning"),
    )
