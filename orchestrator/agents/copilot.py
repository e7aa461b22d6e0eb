"""GitHub Copilot's CLI, headless: one JSON event a line, its prompt on stdin, what it used in a file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.agents import reading
from orchestrator.agents.protocol import AgentEvent, Answer, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentOutcome
from orchestrator.proc.command import Command, Finished

NO_LOGIN = ("No authentication information", "Offline mode requires a local model provider")
KINDS = {"authentication": EventKind.AUTH, "authorization": EventKind.AUTH, "rate_limit": EventKind.LIMIT}


class Copilot:
    """Runs `copilot`. Its closing event is `result`. A session goes on in the folder it was begun in, wherever it is started."""

    name = "copilot"
    traits = Traits(
        efforts=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        resume=True,
        cumulative=True,
        closes=True,
        permissions=("allow-all",),
        environment=("COPILOT_*",),
        secrets=("COPILOT_GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY", "COPILOT_PROVIDER_BEARER_TOKEN"),
        skills=(".agents/skills", ".claude/skills", ".github/skills"),
        answers=(
            Answer(r"Do you trust the files in this folder\?\n❯ 1\. Yes$", "\r"),
            Answer(r"Do you want to [^\n]+\?\n❯ 1\. Yes$", "\r"),
        ),
        program="copilot",
        install="npm install -g @github/copilot@1.0.102",
        login="Run copilot and /login there, or set COPILOT_GITHUB_TOKEN.",
        credentials=("COPILOT_GITHUB_TOKEN", "COPILOT_PROVIDER_BASE_URL", "~/.copilot/config.json"),
    )

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed("copilot", install=self.traits.install)

    def command(self, request: Request) -> Command:
        env = {"COPILOT_AUTO_UPDATE": "false", **request.env}
        options = ("--allow-all", *_options(request), *request.args)
        if request.tty:
            argv = ("copilot", *options, "-i", reading.argument(request))
            return Command(argv, request.worktree, env, tty=True)
        used = str(Path(reading.temporary(request), f"copilot-usage-{request.attempt}.json"))
        words = ("copilot", "--no-ask-user", "--output-format", "json", "--usage-output-file", used, *options)
        return Command(reading.told_after(used, *words), request.worktree, env, stdin=reading.stdin(request))

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:  # noqa: PLR0911 - one line per kind
        record = reading.record(line)
        if record is None:
            return _words(line, stream)
        data = reading.table(record, "data")
        match record.get("type"):
            case "session.tools_updated":
                return reading.model(reading.string(data, "model"))
            case "assistant.message":
                return reading.said(reading.string(data, "content"))
            case "tool.execution_start":
                name, given = reading.string(data, "toolName"), data.get("arguments")
                return (reading.tool(name, given, reading.string(data, "toolCallId")),)
            case "tool.execution_complete":
                text = reading.string(data, "result", "content")
                return (reading.result(reading.string(data, "toolCallId"), text, ok=data.get("success") is True),)
            case "model.call_failure":
                return (_retry(data),)
            case "session.error":
                return (_error(data),)
            case "result":
                return (
                    *reading.session(reading.string(record, "sessionId")),
                    reading.end(ok=reading.whole(record, "exitCode") == 0),
                )
        return _usage(record)

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        return outcome_of(finished, closing, closes=self.traits.closes)


def _options(request: Request) -> Iterable[str]:
    yield from ("--model", request.model) if request.model else ()
    yield from ("--reasoning-effort", request.effort) if request.effort else ()
    yield from (f"--resume={request.resume}",) if request.resume else ()


def _words(line: bytes, stream: Stream) -> Iterable[AgentEvent]:
    text = reading.plain(line)
    if any(words in text for words in NO_LOGIN):
        return (AgentEvent(EventKind.AUTH, text),)
    return reading.words(line, stream)


def _retry(data: Mapping[str, Any]) -> AgentEvent:
    """It tries again, up to five times; of a limit for longer than that."""
    message, status = reading.string(data, "errorMessage") or "the request failed", reading.whole(data, "statusCode")
    event = reading.failure(f"{message} (status {status})" if status else message, status)
    return event if event.kind is EventKind.LIMIT else AgentEvent(EventKind.NOTICE, event.text)


def _error(data: Mapping[str, Any]) -> AgentEvent:
    message = reading.string(data, "message") or "it failed"
    kind = KINDS.get(reading.string(data, "errorType"))
    if kind is EventKind.LIMIT:
        return reading.limit(message)
    return AgentEvent(kind, message) if kind else reading.failure(message, reading.whole(data, "statusCode"))


def _usage(record: Mapping[str, Any]) -> Iterable[AgentEvent]:
    """The file it leaves: per model all that was sent, what of that was cached, all that came back."""
    models = [table for table in reading.table(record, "modelMetrics").values() if reading.table(table, "usage")]
    if not models:
        return ()
    kinds = ("inputTokens", "cacheReadTokens", "cacheWriteTokens", "outputTokens", "reasoningTokens")
    sent, cached, wrote, received, thought = (sum(reading.whole(used, "usage", kind) or 0 for used in models) for kind in kinds)
    return reading.usage(sent=sent, cached=cached, cache_write=wrote, received=received, reasoning=thought)
