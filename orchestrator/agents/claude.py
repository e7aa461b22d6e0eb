"""Claude Code, headless: `claude -p` with its prompt on stdin and one JSON event a line."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.agents import reading
from orchestrator.agents.protocol import AgentEvent, Answer, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentOutcome
from orchestrator.proc.command import Command, Finished
from orchestrator.proc.environment import compose

RETRIES = "4"  # of its own ten, which take minutes; then it is for the queue to wait
SYNTHETIC = "<synthetic>"  # the "model" of what the program says itself
PERMISSIONS = "--dangerously-skip-permissions"


# At a terminal. Its first choice may be to leave, so Enter is typed only where the mark stands at what is meant.
ANSWERS = (
    Answer(r"^❯ (?:\d\. )?No, exit\n(?:\d\. )?Yes, I (?:trust this folder|accept)", "\x1b[B"),
    Answer(r"^❯ (?:\d\. )?Yes, I (?:trust this folder|accept)", "\r"),
    Answer(r"use this API key\?\n(?:\d\. )?Yes\n❯ (?:\d\. )?No", "\x1b[A"),
    Answer(r"use this API key\?\n❯ (?:\d\. )?Yes", "\r"),
    Answer(r"Do you want to [^\n]+\?\n❯ 1\. Yes$", "\r"),
    Answer(r"^✻ [^\n]+ · done\b[\s\S]*\n❯$", "/exit\r"),
)
DONE_ROW = re.compile(r"✻ .+ · done\b")
FAILED_ROW = re.compile(r"[●⎿]\s+(API Error: .+|You've hit your .+|Not logged in .+|Invalid API key.*)")


class Claude:
    """Runs `claude`. Its closing event is `result`; that says by `is_error` whether it failed, never by its subtype."""

    name = "claude"
    traits = Traits(
        models=("claude-*", "sonnet", "opus", "haiku"),
        efforts=("low", "medium", "high", "xhigh", "max"),
        resume=True,
        budgets=frozenset({"usd"}),
        cost=True,
        closes=True,
        permissions=("bypassPermissions", "acceptEdits", "dontAsk"),
        environment=(
            *("ANTHROPIC_*", "CLAUDE_CODE_*", "CLAUDE_CONFIG_DIR", "API_TIMEOUT_MS", "MAX_THINKING_TOKENS", "DISABLE_*"),
            *("IS_SANDBOX", "BASH_DEFAULT_TIMEOUT_MS", "BASH_MAX_TIMEOUT_MS", "MCP_TIMEOUT", "MCP_TOOL_TIMEOUT"),
        ),
        secrets=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
        skills=(".claude/skills",),
        silence=300.0,  # it prints whole messages only, and a long one takes minutes to think and write
        answers=ANSWERS,
        program="claude",
        install="npm install -g @anthropic-ai/claude-code@2.1.329",
        login="claude /login",
        credentials=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "~/.claude/.credentials.json"),
    )

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed("claude", install=self.traits.install)

    def command(self, request: Request) -> Command:
        if request.tty:
            argv = ("claude", *_options(request), *request.args, request.prompt)
            return Command(argv, request.worktree, _environment(request), tty=True)
        argv = ("claude", "-p", "--output-format", "stream-json", "--verbose", *_options(request), *request.args)
        return Command(argv, request.worktree, _environment(request), stdin=reading.stdin(request))

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        data = reading.record(line)
        if data is None:
            return reading.row(line, done=DONE_ROW, failed=FAILED_ROW) or reading.words(line, stream)
        match data.get("type"):
            case "system":
                return _system(data)
            case "assistant":
                return _assistant(data)
            case "user":
                return [_result(block) for block in _blocks(data) if block.get("type") == "tool_result"]
            case "rate_limit_event":
                return _limit(data)
            case "result":
                return _closing(data)
        return ()

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        return outcome_of(finished, closing, closes=self.traits.closes)


def _options(request: Request) -> Iterable[str]:
    if not any(arg.startswith("--permission-mode") for arg in request.args):
        yield PERMISSIONS
    yield from ("--model", request.model) if request.model else ()
    yield from ("--effort", request.effort) if request.effort else ()
    yield from ("--resume", request.resume) if request.resume else ()
    yield from ("--max-budget-usd", reading.dollars(request.usd)) if request.usd is not None and not request.tty else ()


def _environment(request: Request) -> dict[str, str]:
    """Its sessions find each other by sockets in the temporary folder, so each has one of its own; as root it wants to be told
    that this is no danger."""
    own = {"CLAUDE_CODE_MAX_RETRIES": RETRIES, "DISABLE_AUTOUPDATER": "1", **request.env}
    root = {"IS_SANDBOX": "1"} if os.geteuid() == 0 else {}  # over the user's own: it takes no `yes`
    return compose(own, {"TMPDIR": reading.temporary(request), **root})


def _system(data: Mapping[str, Any]) -> Iterable[AgentEvent]:
    match data.get("subtype"):
        case "init":
            return (*reading.session(reading.string(data, "session_id")), *reading.model(reading.string(data, "model")))
        case "api_retry":
            return (_retry(data),)
    if "tool_use_id" in data:  # how a tool gets on, whose start and end are told anyway
        return ()
    return reading.notice(f"{reading.string(data, 'subtype')} {reading.string(data, 'message')}".strip())


def _retry(data: Mapping[str, Any]) -> AgentEvent:
    """It retries a refused key too, though only the first time can a fresh token be what was missing."""
    attempt, delay, status = (reading.whole(data, key) for key in ("attempt", "retry_delay_ms", "error_status"))
    error = reading.string(data, "error") or "the request failed"
    text = f"{error}, retry {attempt} in {(delay or 0) / 1000:g} s"
    event = reading.failure(text, status, reset=time.time() + (delay or 0) / 1000)
    if event.kind is EventKind.AUTH and (attempt or 0) > 1:
        return AgentEvent(EventKind.AUTH, f"{error} ({status})" if status else error)
    return event if event.kind is EventKind.LIMIT else AgentEvent(EventKind.NOTICE, text)


def _assistant(data: Mapping[str, Any]) -> Iterable[AgentEvent]:
    for block in _blocks(data):
        if block.get("type") == "tool_use":
            yield reading.tool(reading.string(block, "name"), block.get("input"), reading.string(block, "id"))
        elif block.get("type") == "text":
            text = reading.string(block, "text")
            # Its own words on a failure: no work that shows a limit to be overcome. The closing event tells what they mean.
            yield from reading.notice(text) if reading.string(data, "message", "model") == SYNTHETIC else reading.said(text)


def _result(block: Mapping[str, Any]) -> AgentEvent:
    parts = (reading.string(part, "text") for part in reading.tables(block, "content"))
    text = reading.string(block, "content") or "\n".join(parts)
    return reading.result(reading.string(block, "tool_use_id"), text, ok=block.get("is_error") is not True)


def _limit(data: Mapping[str, Any]) -> Iterable[AgentEvent]:
    info = reading.table(data, "rate_limit_info")
    text = f"{reading.string(info, 'rateLimitType') or 'usage'} limit: {reading.string(info, 'status')}"
    if info.get("status") == "rejected":
        reset = reading.number(info, "resetsAt")
        return (AgentEvent(EventKind.LIMIT, text, {} if reset is None else {"reset_at": reset, "told": True}),)
    return reading.notice(text)


def _closing(data: Mapping[str, Any]) -> Iterable[AgentEvent]:
    yield from _usage(data)
    failed = data.get("is_error") is not False
    if failed:
        words = reading.string(data, "result") or "; ".join(_strings(data.get("errors"))) or "it failed"
        status = reading.whole(data, "api_error_status")
        if data.get("terminal_reason") == "prompt_too_long":
            yield AgentEvent(EventKind.CONTEXT, words)
        else:
            yield reading.failure(words, status)
    yield reading.end(ok=not failed, text=reading.string(data, "subtype"))


def _usage(data: Mapping[str, Any]) -> Iterable[AgentEvent]:
    """Of all its models, since it last told; `total_cost_usd` counts what a resumed session had cost before too. Its input tokens
    leave the cached ones out; ours are all that were sent."""
    models = [used for used in reading.table(data, "model_usage_since_last_result").values() if isinstance(used, Mapping)]
    if not models:
        return _older_usage(data)
    sent, cached, wrote, received, thought = (
        sum(reading.whole(used, kind) or 0 for used in models)
        for kind in ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens", "outputTokens", "thinkingTokens")
    )
    usd = sum(reading.number(used, "costUSD") or 0.0 for used in models)
    return reading.usage(
        usd=usd, sent=sent + cached + wrote, cached=cached, cache_write=wrote, received=received, reasoning=thought
    )  # fmt: skip


def _older_usage(data: Mapping[str, Any]) -> Iterable[AgentEvent]:
    used = reading.table(data, "usage")
    cached, wrote = (reading.whole(used, f"cache_{kind}_input_tokens") for kind in ("read", "creation"))
    fresh = reading.whole(used, "input_tokens")
    return reading.usage(
        usd=reading.number(data, "total_cost_usd"),
        sent=None if fresh is None else fresh + (cached or 0) + (wrote or 0),
        cached=cached,
        cache_write=wrote,
        received=reading.whole(used, "output_tokens"),
        total=True,
    )


def _strings(value: Any) -> list[str]:
    return [reading.string({"": text}, "") for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _blocks(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return reading.tables(data, "message", "content")
