"""Qwen Code, headless: JSON lines in the manner of claude that end with `result`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.agents import reading
from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.proc.command import Command, Finished

NO_LOGIN = "No auth type is selected"
WAITING = "Waiting for API capacity"
AGAIN = re.compile(r"Retrying in \d+s \(attempt \d+/\d+\): (.*)")
ABORTED = "Run aborted:"
OVER = 55  # its exit code where a budget of its own ran out
TURNS = 53
# Without a relaunch the process that we know of is the real one. Where it retries unattended it tells, after half a minute, for
# how long it waits; else it waits for hours without a word. It warns of what we ask for in so many words.
ALONE = {"QWEN_CODE_NO_RELAUNCH": "true", "QWEN_CODE_UNATTENDED_RETRY": "1", "QWEN_CODE_SUPPRESS_YOLO_WARNING": "1"}


class Qwen:
    """`qwen -p` with every tool allowed. Sessions lie in the user's `~/.qwen`, which nothing of ours is written to."""

    name = "qwen"
    traits = Traits(
        models=("qwen*",),
        resume=True,
        cumulative=True,
        budgets=frozenset({"minutes"}),
        closes=True,
        permissions=("yolo", "auto", "auto-edit", "default", "plan"),
        environment=("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "QWEN_*", "DASHSCOPE_API_KEY"),
        secrets=("OPENAI_API_KEY", "DASHSCOPE_API_KEY"),
        skills=(".agents/skills", ".qwen/skills"),
        silence=150.0,
        program="qwen",
        install="npm install -g @qwen-code/qwen-code@0.24.4",
        login="Run qwen once and choose how to log in, or set OPENAI_API_KEY and OPENAI_BASE_URL.",
        credentials=("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "~/.qwen/oauth_creds.json", "~/.qwen/settings.json"),
    )

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed(self.traits.program, install=self.traits.install)

    def command(self, request: Request) -> Command:
        argv = ["qwen", "-p", reading.argument(request), "--yolo", "--output-format", "stream-json"]
        argv += ["--auth-type", "openai"] if request.env.get("OPENAI_API_KEY") else []
        argv += ["-m", request.model] if request.model else []
        argv += ["--resume", request.resume] if request.resume else []
        argv += ["--max-wall-time", f"{max(math.ceil(request.minutes * 60), 1)}s"] if request.minutes else []
        return Command((*argv, *request.args), cwd=request.worktree, env={**ALONE, **request.env}, tty=request.tty)

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        if (told := reading.record(line)) is None or stream is Stream.ERR:
            return _aside(reading.plain(line))
        match told.get("type"):
            case "system" if told.get("subtype") == "init":
                return (*reading.session(reading.string(told, "session_id")), *reading.model(reading.string(told, "model")))
            case "system":
                return reading.notice(f"{reading.string(told, 'subtype')} {json.dumps(reading.brief(told.get('data')))}")
            case "assistant":
                return [event for part in reading.tables(told, "message", "content") for event in _said(part)]
            case "user":
                return [event for part in reading.tables(told, "message", "content") for event in _came(part)]
            case "result":
                return _end(told)
        return ()

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        outcome = outcome_of(finished, closing, closes=True)
        if outcome.end is AgentEnd.FAILED and finished.code == OVER:
            return replace(outcome, end=AgentEnd.TIMED_OUT)
        if outcome.end is AgentEnd.FAILED and finished.code == TURNS and not closing.errors:
            return replace(
                outcome, detail="qwen reached its limit on turns (exit code 53): model.maxSessionTurns in its settings."
            )
        return outcome


def _aside(text: str) -> tuple[AgentEvent, ...]:
    """What stands on stderr: waiting for a limit's end, with its own back-off or the provider's, and the end of a budget."""
    if WAITING in text:
        return (reading.limit(text),)
    if again := AGAIN.search(text):
        failed = reading.failure(again[1])
        return (failed,) if failed.kind is EventKind.LIMIT else reading.notice(text)
    return (AgentEvent(EventKind.ERROR, text),) if text.startswith(ABORTED) else reading.notice(text)


def _said(part: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    if part.get("type") == "tool_use":
        return (reading.tool(reading.string(part, "name") or "tool", part.get("input"), reading.string(part, "id")),)
    return reading.said(reading.string(part, "text"))


def _came(part: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    if part.get("type") != "tool_result":
        return ()
    text = reading.string(part, "content") or "\n".join(reading.string(item, "text") for item in reading.tables(part, "content"))
    return (reading.result(reading.string(part, "tool_use_id"), text, ok=part.get("is_error") is not True),)


def _end(told: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    used = reading.usage(
        sent=reading.whole(told, "usage", "input_tokens"),
        cached=reading.whole(told, "usage", "cache_read_input_tokens"),
        received=reading.whole(told, "usage", "output_tokens"),
        total=True,
    )
    if told.get("subtype") == "success" and told.get("is_error") is False:
        return (*used, reading.end(ok=True))
    message = reading.string(told, "error", "message") or reading.string(told, "result")
    failed = reading.failure(message or "qwen ended with an error that it did not name.")
    return (*used, AgentEvent(EventKind.AUTH, message) if NO_LOGIN in message else failed, reading.end(ok=False))
