"""OpenHands, headless: JSON lines among text and boxes; what it used stands in the folder of its conversation."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.agents import reading
from orchestrator.agents.afterword import NOT_FOUND
from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.proc.command import Command, Finished

CONVERSATION = re.compile(r"Conversation ID: (?P<id>[0-9a-f]{32})")
FOLDER = re.compile(r"/conversations/(?P<id>[0-9a-f]{32})/")  # tells the same early, in what a command printed
NO_LOGIN = re.compile(r"Missing required environment variable|Headless mode requires existing")
FULL = "NoCondensationAvailableException"  # its word for a context that it can't shorten any more
SHORTENING = "Its context is full; it shortens it."
RETRYING = re.compile(r"litellm\.\w+(?:: \w+(?: [^\s|\"]+)*)?")  # in its log, whatever the log's form
BOX = re.compile(r"[\s─━╭╮╰╯│]*")
WIDE = "300"  # it breaks its lines at the terminal's width
STUB = "#!/bin/sh\nexit 1\n"
# Else it says nothing before its end, and its terminal adds to the user's own history.
ALONE = {
    "PYTHONUNBUFFERED": "1",
    "HISTFILE": "/dev/null",
    "OPENHANDS_SUPPRESS_BANNER": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


class OpenHands:
    """`openhands --headless`, which allows every action. Its commands run in a plain terminal: its tmux would outlive it."""

    name = "openhands"
    traits = Traits(
        resume=True,
        cumulative=True,
        cost=True,
        closes=True,
        permissions=("always-approve",),
        environment=("LLM_API_KEY", "LLM_BASE_URL", "LLM_MODEL", "OPENHANDS_*", "LITELLM_LOCAL_MODEL_COST_MAP"),
        secrets=("LLM_API_KEY",),
        skills=(".agents/skills", ".openhands/skills"),
        silence=300.0,
        program="openhands",
        install="uv tool install --python 3.12 openhands==1.16.0",
        login="Run openhands once, or set LLM_API_KEY and LLM_MODEL.",
        credentials=("LLM_API_KEY", "~/.openhands/agent_settings.json"),
    )

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed(self.traits.program, install=self.traits.install)

    def command(self, request: Request) -> Command:
        argv = ["openhands", "--headless", "--json", "--override-with-envs", "-f", str(request.prompt_file)]
        argv += ["--resume", request.resume] if request.resume else []
        env = {**ALONE, **request.env, "COLUMNS": WIDE, "PATH": _without_tmux(request), "TMPDIR": reading.temporary(request)}
        env |= {"LLM_MODEL": request.model} if request.model else {}
        words = reading.told_after(_state(request.env), *argv, *request.args)
        return Command(words, cwd=request.worktree, env=env, tty=request.tty)

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        told = reading.record(line)
        if stream is Stream.OUT and told is not None:
            return _afterword(told) if "execution_status" in told else _event(told)
        text = reading.plain(line).rstrip()
        if NO_LOGIN.search(text):
            return (AgentEvent(EventKind.AUTH, text),)
        if named := CONVERSATION.search(text):
            return reading.session(named["id"])
        if stream is Stream.ERR and (again := RETRYING.search(text)):
            failed = reading.failure(again[0])
            return (failed,) if failed.kind is EventKind.LIMIT else reading.notice(text)
        return () if BOX.fullmatch(text) else reading.notice(text)

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        outcome = outcome_of(finished, closing, closes=True)
        if outcome.end is AgentEnd.FAILED and finished.code == NOT_FOUND:
            return replace(outcome, end=AgentEnd.NOT_STARTED, detail="openhands was not found on PATH.")
        return outcome


def _state(env: Mapping[str, str]) -> str:
    """Where conversations tell their state."""
    own = env.get("OPENHANDS_PERSISTENCE_DIR") or os.path.join(env.get("HOME") or "/", ".openhands")  # noqa: PTH118 - a pattern
    return f"{env.get('OPENHANDS_CONVERSATIONS_DIR') or f'{own}/conversations'}/*/base_state.json"


def _without_tmux(request: Request) -> str:
    """PATH, with a tmux before all others that does not work."""
    folder = request.prompt_file.parent / "bin"
    folder.mkdir(exist_ok=True)
    stub = folder / "tmux"
    stub.write_text(STUB, encoding="utf-8")
    stub.chmod(0o755)
    return f"{folder}:{request.env.get('PATH') or os.defpath}"


def _event(told: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    match told.get("kind"):
        case "MessageEvent" if told.get("source") == "agent":
            text = _text(reading.tables(told, "llm_message", "content"))
            return (*reading.said(text), reading.end(ok=True))
        case "ActionEvent":
            return _action(told)
        case "ObservationEvent":
            return _observation(told)
        case "CondensationRequest":  # with a context that stays too long it does so for ever
            return (AgentEvent(EventKind.CONTEXT, SHORTENING),)
        case "AgentErrorEvent":
            return (reading.result(reading.string(told, "tool_call_id"), reading.string(told, "error"), ok=False),)
        case "ConversationErrorEvent":
            code, detail = reading.string(told, "code"), reading.string(told, "detail")
            text = f"{code}: {detail}"
            return (AgentEvent(EventKind.CONTEXT, text) if code == FULL else reading.failure(text), reading.end(ok=False))
    return ()


def _action(told: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    thought = reading.said(_text(reading.tables(told, "thought")))
    name, action = reading.string(told, "tool_name") or "tool", reading.table(told, "action")
    if action.get("kind") == "FinishAction":
        return (*thought, *reading.said(reading.string(action, "message")))
    given = {key: value for key, value in action.items() if value is not None and key != "kind"}
    return (*thought, reading.tool(name, given, reading.string(told, "tool_call_id")))


def _observation(told: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    observation = reading.table(told, "observation")
    if observation.get("kind") == "FinishObservation":
        return (reading.end(ok=True),)
    text, ok = _text(reading.tables(observation, "content")), observation.get("is_error") is not True
    named = FOLDER.search(reading.string(observation, "full_output_save_dir") + "/")
    return (*reading.session(named["id"] if named else ""), reading.result(reading.string(told, "tool_call_id"), text, ok=ok))


def _afterword(told: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    """Its state: each use of a model has its own count, from the conversation's start."""
    metrics = list(reading.table(told, "stats", "usage_to_metrics").values())
    used = [reading.table(metric, "accumulated_token_usage") for metric in metrics]
    usd = [cost for metric in metrics if (cost := reading.number(metric, "accumulated_cost"))]
    model = next((name for metric in metrics if (name := reading.string(metric, "model_name"))), "")
    return (
        *reading.model(model),
        *reading.usage(
            usd=sum(usd) if usd else None,
            sent=_sum(used, "prompt_tokens"),
            cached=_sum(used, "cache_read_tokens"),
            cache_write=_sum(used, "cache_write_tokens"),
            received=_sum(used, "completion_tokens"),
            reasoning=_sum(used, "reasoning_tokens"),
            total=True,
        ),
    )


def _sum(used: list[Mapping[str, Any]], kind: str) -> int | None:
    counts = [count for use in used if (count := reading.whole(use, kind)) is not None]
    return sum(counts) if counts else None


def _text(parts: list[Mapping[str, Any]]) -> str:
    return "\n".join(text for part in parts if (text := reading.string(part, "text")))
