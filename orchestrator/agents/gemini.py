"""Google's Gemini CLI, headless: JSON lines that end with `result`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.agents import reading
from orchestrator.agents.protocol import AgentEvent, Answer, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.proc.command import Command, Finished

OWN_HOME = "GEMINI_CLI_HOME"
NO_LOGIN = ("Please set an Auth method", "Invalid auth method selected", "authentication type is")
RETRIES = re.compile(r"Attempt \d+ failed")
# Codes of its own; others are the HTTP status modulo 256.
EXITS = {
    42: "gemini refused its input (exit code 42); a session goes on only in the folder it was begun in.",
    52: "gemini's settings are broken (exit code 52): look at ~/.gemini/settings.json.",
    53: "gemini reached its limit on turns (exit code 53): model.maxSessionTurns in its settings.",
    55: "gemini does not trust this folder (exit code 55).",
}


class Gemini:
    """`gemini -p` with every tool allowed. The user's `~/.gemini` holds its sessions; nothing of ours is written there."""

    name = "gemini"
    traits = Traits(
        models=("gemini-*",),
        resume=True,
        closes=True,
        permissions=("yolo", "auto_edit", "default", "plan"),
        environment=("GEMINI_*", "GOOGLE_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_*", "GOOGLE_GENAI_*",
                     "GOOGLE_GEMINI_BASE_URL", "GOOGLE_VERTEX_BASE_URL"),
        secrets=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        skills=(".agents/skills", ".gemini/skills"),
        silence=90.0,
        answers=(
            Answer(r"Do you trust the files in this folder\?[\s\S]*^● 1\. Trust folder", "\r"),
            Answer(r"^(?:Apply this change|Allow execution[^\n]*)\?\n● 1\. Allow once$", "\r"),
        ),
        program="gemini",
        install="npm install -g @google/gemini-cli@0.61.0",
        login="Run gemini once and log in, or set GEMINI_API_KEY.",
        credentials=("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS", "~/.gemini/oauth_creds.json"),
    )  # fmt: skip

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed(self.traits.program, install=self.traits.install)

    def command(self, request: Request) -> Command:
        argv = ["gemini", "-p", reading.argument(request), "--yolo", "--skip-trust", "--output-format", "stream-json"]
        argv += ["-m", request.model] if request.model else []
        argv += ["--resume", request.resume] if request.resume else []
        # Without NO_RELAUNCH it starts itself again, and the process that we know of ignores TERM.
        env = {"GEMINI_CLI_NO_RELAUNCH": "true", **request.env, **_login(request.env)}
        env["TMPDIR"] = reading.temporary(request)  # it leaves its errors there
        return Command((*argv, *request.args), cwd=request.worktree, env=env, tty=request.tty)

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        if (told := reading.record(line)) is None or stream is Stream.ERR:
            return _aside(reading.plain(line))
        match told.get("type"):
            case "init":
                return (*reading.session(reading.string(told, "session_id")), *reading.model(reading.string(told, "model")))
            case "message" if told.get("role") == "assistant":
                return _pieces(reading.string(told, "content"))
            case "tool_use":
                name, identity = reading.string(told, "tool_name") or "tool", reading.string(told, "tool_id")
                return (reading.tool(name, told.get("parameters"), identity),)
            case "tool_result":
                ok = told.get("status") == "success"
                return (reading.result(reading.string(told, "tool_id"), reading.string(told, "output"), ok=ok),)
            case "error":
                return reading.notice(reading.string(told, "message"))
            case "result":
                return _end(told)
        return ()

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        outcome = outcome_of(finished, closing, closes=True)
        if outcome.end is AgentEnd.FAILED and not closing.errors and finished.code in EXITS:
            return replace(outcome, detail=EXITS[finished.code])
        return outcome


def _login(env: Mapping[str, str]) -> dict[str, str]:
    """Given a key and a base URL it takes a way to log in that it then refuses, unless its settings name another. Those of a
    user who never chose one are left alone: it gets a home of its own, the same each time, since its sessions lie there."""
    own = Path(env.get(OWN_HOME) or env.get("HOME") or "/") / ".gemini" / "settings.json"
    if not (env.get("GEMINI_API_KEY") and env.get("GOOGLE_GEMINI_BASE_URL")) or _chosen(own):
        return {}
    state = Path(env.get("XDG_STATE_HOME") or Path(env.get("HOME") or "/") / ".local" / "state")
    settings = state / "orchestrator" / "gemini" / ".gemini" / "settings.json"
    if not _chosen(settings):
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text('{"security": {"auth": {"selectedType": "gemini-api-key"}}}\n', encoding="utf-8")
    return {OWN_HOME: str(settings.parent.parent)}


def _chosen(settings: Path) -> bool:
    try:
        return "selectedType" in settings.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _aside(text: str) -> tuple[AgentEvent, ...]:
    """What stands on stderr: that it can't log in, and its retries."""
    if any(words in text for words in NO_LOGIN):
        return (AgentEvent(EventKind.AUTH, text),)
    if RETRIES.match(text) and (failed := reading.failure(text)).kind is EventKind.LIMIT:
        return (failed,)
    return reading.notice(text)


def _pieces(text: str) -> tuple[AgentEvent, ...]:
    """Its text comes as the model sends it, cut anywhere."""
    return (AgentEvent(EventKind.TEXT, text, {"joins": ""}),) if text else ()


def _end(told: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    used = reading.usage(
        sent=reading.whole(told, "stats", "input_tokens"),
        cached=reading.whole(told, "stats", "cached"),
        received=reading.whole(told, "stats", "output_tokens"),
        total=True,
    )
    if told.get("status") == "success":
        return (*used, reading.end(ok=True))
    message = reading.string(told, "error", "message") or "gemini ended with an error that it did not name."
    return (*used, reading.failure(message), reading.end(ok=False))
