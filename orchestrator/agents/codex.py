"""Codex, headless: `codex exec --json` with its prompt on stdin and one JSON event a line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.agents import reading
from orchestrator.agents.protocol import (
    AgentEvent,
    Answer,
    Availability,
    Closing,
    EventKind,
    Request,
    Stream,
    Traits,
    outcome_of,
)  # fmt: skip
from orchestrator.core.outcome import AgentOutcome
from orchestrator.proc.command import Command, Finished

RETRYING = "Reconnecting..."
PROVIDER = "orchestrator"  # ours, for a server named in OPENAI_BASE_URL: the built-in one can't be turned elsewhere, nor bounded
BOUNDS = "request_max_retries=2,stream_max_retries=3"
SILENT = frozenset({"agent_message", "reasoning", "todo_list", "error"})  # items that are no tools
FAILED = frozenset({"failed", "declined"})


ANSWERS = (
    Answer(r"Trust this folder\?[\s\S]*\n› 1\. Trust and continue$", "\r"),
    Answer(r"^› 1\. Try new model\n2\. Use existing model$", "\x1b[B"),
    Answer(r"^1\. Try new model\n› 2\. Use existing model$", "\r"),
    Answer(r"^Would you like to [^\n]+\?[\s\S]*\n› 1\. Yes, proceed\b", "\r"),
    Answer(r"^Worked for [^\n]+\n› (?!\d\.)", "/quit\r"),
)
DONE_ROW = re.compile(r"Worked for .+")
FAILED_ROW = re.compile(r"■ +(.+)")


class Codex:
    """Runs `codex exec`. `turn.completed` and `turn.failed` close it; its `error` events tell of retries."""

    name = "codex"
    traits = Traits(
        models=("gpt-*", "o3*", "o4*", "codex-*"),
        efforts=("minimal", "low", "medium", "high", "xhigh"),
        resume=True,
        cumulative=True,
        closes=True,
        permissions=("dangerously-bypass-approvals-and-sandbox", "workspace-write", "read-only"),
        environment=("OPENAI_*", "CODEX_*", "AZURE_OPENAI_*", "RUST_LOG"),
        secrets=("OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "AZURE_OPENAI_API_KEY"),
        skills=(".agents/skills", ".codex/skills"),
        silence=300.0,  # it prints whole items only, and nothing at all while it waits for its next try
        answers=ANSWERS,
        program="codex",
        install="npm install -g @openai/codex@0.169.0",
        login="codex login",
        credentials=("CODEX_API_KEY", "~/.codex/auth.json"),
    )

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed("codex", install=self.traits.install)

    def command(self, request: Request) -> Command:
        if request.tty:
            argv = ("codex", *_options(request), *request.args, "--", request.prompt)
            return Command(argv, request.worktree, request.env, tty=True)
        resume = ("resume", request.resume) if request.resume else ()
        argv = ("codex", "exec", "--json", "--skip-git-repo-check", *_options(request), *request.args, *resume, "-")
        return Command(argv, request.worktree, request.env, stdin=reading.stdin(request))

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        data = reading.record(line)
        if data is None:
            return reading.row(line, done=DONE_ROW, failed=FAILED_ROW) or reading.words(line, stream)
        match data.get("type"):
            case "thread.started":
                return reading.session(reading.string(data, "thread_id"))
            case "item.started":
                return _begun(reading.table(data, "item"))
            case "item.completed":
                return _done(reading.table(data, "item"))
            case "error":
                return (_notice(reading.string(data, "message")),)
            case "turn.failed":
                message = reading.string(data, "error", "message") or "the turn failed"
                return (reading.failure(message), reading.end(ok=False, text=message))
            case "turn.completed":
                return (*_usage(data), reading.end(ok=True))
        return ()

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        return outcome_of(finished, closing, closes=self.traits.closes)


def _options(request: Request) -> Iterable[str]:
    if not {"-s", "--sandbox", "--full-auto"} & set(request.args):
        yield "--dangerously-bypass-approvals-and-sandbox"
    yield from _provider(request)
    yield from ("-m", request.model) if request.model else ()
    yield from ("-c", f'model_reasoning_effort="{request.effort}"') if request.effort else ()


def _provider(request: Request) -> Iterable[str]:
    """A server of the user's own. `args` may name a provider of their configuration instead."""
    url = request.env.get("OPENAI_BASE_URL")
    if not url or any("model_provider" in arg for arg in request.args):
        return
    key = "CODEX_API_KEY" if request.env.get("CODEX_API_KEY") else "OPENAI_API_KEY"
    given = f'name="{PROVIDER}",base_url={json.dumps(url)},env_key="{key}",wire_api="responses",{BOUNDS}'
    yield from ("-c", f'model_provider="{PROVIDER}"', "-c", f"model_providers.{PROVIDER}={{{given}}}")


def _begun(item: Mapping[str, Any]) -> Iterable[AgentEvent]:
    kind = reading.string(item, "type")
    if kind in SILENT:
        return ()
    return (reading.tool(kind, _given(item), reading.string(item, "id")),)


def _done(item: Mapping[str, Any]) -> Iterable[AgentEvent]:
    kind, text = reading.string(item, "type"), reading.string(item, "text") or reading.string(item, "message")
    if kind == "agent_message":
        return reading.said(text)
    if kind in SILENT:
        return reading.notice(text)
    ok = reading.string(item, "status") not in FAILED and reading.whole(item, "exit_code") in {0, None}
    return (reading.result(reading.string(item, "id"), reading.string(item, "aggregated_output"), ok=ok),)


def _given(item: Mapping[str, Any]) -> dict[str, Any]:
    """What a tool was given: the item without what says how it went; of changed files their paths too, which say most."""
    given = {key: value for key, value in item.items() if key not in {"id", "type", "status", "aggregated_output", "exit_code"}}
    paths = [reading.string(change, "path") for change in reading.tables(item, "changes")]
    return {**given, "path": paths} if paths else given


def _notice(message: str) -> AgentEvent:
    """A retry, or what `turn.failed` then says once more. A limit is told at once: it may wait for hours and say nothing more; of
    a refused key it tries few times, in case a fresh one comes."""
    event = reading.failure(message)
    decides = event.kind is EventKind.LIMIT or (event.kind is EventKind.AUTH and not message.startswith(RETRYING))
    return event if decides else AgentEvent(EventKind.NOTICE, message)


def _usage(data: Mapping[str, Any]) -> Iterable[AgentEvent]:
    used = reading.table(data, "usage")
    return reading.usage(
        sent=reading.whole(used, "input_tokens"),
        cached=reading.whole(used, "cached_input_tokens"),
        cache_write=reading.whole(used, "cache_write_input_tokens"),
        received=reading.whole(used, "output_tokens"),
        reasoning=reading.whole(used, "reasoning_output_tokens"),
        total=True,
    )
