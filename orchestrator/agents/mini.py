"""mini-swe-agent: plain text while it works; how it ended and what it used stands in a trajectory file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.agents import reading
from orchestrator.agents.afterword import NOT_FOUND
from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.proc.command import Command, Finished

RETRIES = "4"  # of one request to the model, half a minute in all; its own ten go on for eight minutes
RETRYING = re.compile(r"Retrying \S+ in [\d.]+ seconds as it raised (.*)")
NO_MODEL = re.compile(r"No default model set|Enter your default model")
BY_ITSELF = "Submitted"  # its word for an end that the model chose
BUDGET = {"LimitsExceeded": "its limit on cost or steps was reached", "TimeExceeded": "its limit on time was reached"}
WIDE = "300"  # it breaks its lines at the terminal's width
RULE = re.compile(r"[\s─━╭╮╰╯│]*")
# Prices it doesn't know are an error unless it is told otherwise; questions about its first use wait for a terminal.
ALONE = {
    "MSWEA_CONFIGURED": "true",
    "MSWEA_COST_TRACKING": "ignore_errors",
    "MSWEA_MODEL_RETRY_STOP_AFTER_ATTEMPT": RETRIES,
    "MSWEA_SILENT_STARTUP": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


class Mini:
    """`mini -y` with a trajectory beside the prompt, never in the worktree. Each of its commands has 30 s."""

    name = "mini"
    traits = Traits(
        efforts=("low", "medium", "high"),
        budgets=frozenset({"usd", "minutes"}),
        cost=True,
        closes=True,
        permissions=("yolo", "confirm"),
        environment=("MSWEA_*", "OPENAI_API_KEY", "OPENAI_API_BASE", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY",
                     "OPENROUTER_API_KEY", "LITELLM_MODEL_REGISTRY_PATH", "LITELLM_LOCAL_MODEL_COST_MAP"),
        secrets=("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY", "OPENROUTER_API_KEY"),
        silence=300.0,
        program="mini",
        install="pipx install mini-swe-agent==2.4.6 && pipx inject mini-swe-agent mcp",
        login="Run mini-extra config setup, or set the key of the model's provider (OPENAI_API_KEY …) and a model.",
        credentials=("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "DEEPSEEK_API_KEY", "OPENROUTER_API_KEY",
                     "~/.config/mini-swe-agent/.env"),
    )  # fmt: skip

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed(self.traits.program, install=self.traits.install)

    def command(self, request: Request) -> Command:
        trajectory = str(request.prompt_file.with_name("mini.traj.json"))
        argv = ["mini", "-y", "--exit-immediately", "-o", trajectory]
        argv += ["-t", reading.argument(request), "-l", "0" if request.usd is None else reading.dollars(request.usd)]
        argv += ["-m", request.model] if request.model else []
        argv += _settings(request)
        words = reading.told_after(trajectory, *argv, *request.args)
        return Command(words, cwd=request.worktree, env={**ALONE, **request.env, "COLUMNS": WIDE}, tty=request.tty)

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        told = reading.record(line)
        if stream is Stream.OUT and told is not None and "trajectory_format" in told:
            return _afterword(told)
        text = reading.plain(line).rstrip()
        if NO_MODEL.search(text):
            return (AgentEvent(EventKind.AUTH, text),)
        if RULE.fullmatch(text):
            return ()
        if stream is Stream.OUT:
            return reading.said(text)
        again = RETRYING.search(text)
        failed = reading.failure(again[1]) if again else None
        return (failed,) if failed and failed.kind is not EventKind.ERROR else reading.notice(text)

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        outcome = outcome_of(finished, closing, closes=True)
        if outcome.end is AgentEnd.FAILED and finished.code == NOT_FOUND:
            return replace(outcome, end=AgentEnd.NOT_STARTED, detail="mini was not found on PATH.")
        return outcome


def _settings(request: Request) -> list[str]:
    """What it has no switch for. A single setting takes the place of its whole configuration, which is named again then."""
    settings = [f"model.model_kwargs.reasoning_effort={request.effort}"] if request.effort else []
    settings += [f"agent.wall_time_limit_seconds={max(math.ceil(request.minutes * 60), 1)}"] if request.minutes else []
    base = request.env.get("MSWEA_MINI_CONFIG_PATH") or "mini.yaml"
    return [word for setting in (base, *settings) for word in ("-c", setting)] if settings else []


def _afterword(told: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    messages = reading.tables(told, "messages")
    spoken = [reading.string(message, "content") for message in messages if message.get("role") == "assistant"]
    spoken = [text.strip() for text in (*spoken, reading.string(told, "info", "submission")) if text.strip()]
    used = [reading.table(message, "extra", "response") for message in messages]
    done = [event for message in messages for event in _done(message)]
    events = (*done, *reading.said(spoken[-1] if spoken else ""), *_model(used), *_used(used, told))
    status = reading.string(told, "info", "exit_status")
    if status == BY_ITSELF:
        return (*events, reading.end(ok=True))
    last = messages[-1] if messages else {}
    message = reading.string(last, "extra", "exception_str") or BUDGET.get(status) or reading.string(last, "content")
    return (*events, reading.failure(f"{status or 'no end'}: {message}"), reading.end(ok=False))


def _done(message: Mapping[str, Any]) -> list[AgentEvent]:
    """Its commands and what came of them. While it works they are text among the rest."""
    if message.get("role") == "tool":
        ok = reading.whole(message, "extra", "returncode") == 0
        return [reading.result(reading.string(message, "tool_call_id"), reading.string(message, "content"), ok=ok)]
    actions = reading.tables(message, "extra", "actions")
    return [
        reading.tool("bash", {"command": action.get("command")}, reading.string(action, "tool_call_id")) for action in actions
    ]


def _model(responses: list[Mapping[str, Any]]) -> tuple[AgentEvent, ...]:
    return reading.model(next((name for response in responses if (name := reading.string(response, "model"))), ""))


def _used(responses: list[Mapping[str, Any]], told: Mapping[str, Any]) -> tuple[AgentEvent, ...]:
    """The sum over all answers. A price of 0 means that it knows none."""
    usd = reading.number(told, "info", "model_stats", "instance_cost")
    return reading.usage(
        usd=usd or None,
        sent=_sum(responses, "prompt_tokens"),
        cached=_sum(responses, "prompt_tokens_details", "cached_tokens"),
        received=_sum(responses, "completion_tokens"),
        reasoning=_sum(responses, "completion_tokens_details", "reasoning_tokens"),
        total=True,
    )


def _sum(responses: list[Mapping[str, Any]], *path: str) -> int | None:
    counts = [count for response in responses if (count := reading.whole(response, "usage", *path)) is not None]
    return sum(counts) if counts else None
