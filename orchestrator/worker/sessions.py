"""One session of an agent, be it an attempt's or a judge's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.agents import registry, replay, session
from orchestrator.agents.log import SessionLog
from orchestrator.agents.protocol import Agent, Request
from orchestrator.core.outcome import AgentOutcome
from orchestrator.store import clearing
from orchestrator.worker import metering, routes
from orchestrator.worker.work import Work

if TYPE_CHECKING:
    from orchestrator.agents.cassette import Recorder


def request(work: Work, place: Path, text: str, copy: Path, prompt_file: Path, env: Mapping[str, str]) -> Request:
    """What the adapter needs to know, with what the agent may read: its prompt, and a `copy` of its own of the task folder."""
    assert work.route is not None
    clearing.remove(copy)
    work.sealed.agent_copy(copy, holdout=work.spec.holdout)
    prompt_file.write_text(text, errors="surrogateescape")
    told = {**env, "ORCH_TASK_DIR": str(copy), "ORCH_PROMPT_FILE": str(prompt_file)}
    told.pop("ORCH_REPO", None)
    return Request(
        prompt=text,
        prompt_file=prompt_file,
        worktree=place,
        model=work.route.model,
        effort=work.route.effort,
        env=told,
        cmd=work.settings.agent_cmd,
        answers=registry.answers(work.route.agent, work.settings.agents),
        args=work.settings.args_of(work.route.agent),
    )


def hold(work: Work, agent: Agent, request: Request, logs: Path, recorder: Recorder | None = None) -> AgentOutcome:
    """Supervised to its end, and ended with what the task and the day may still use; nothing that it started is left."""
    room, settings = metering.left(work), work.settings
    request = replace(request, usd=room.usd, minutes=room.minutes)
    log = SessionLog(
        logs, max_bytes=settings.agent_log_max_bytes, raw=settings.agent_log_raw, root=str(request.worktree), mask=work.mask
    )
    meter = metering.Meter(room, request.model)
    outcome = session.run(
        replay.played(agent, request, partial(routes.agent, work)),
        request,
        log,
        limits=metering.limits(work, room),
        pump=work.pulse.beat,
        on_start=work.claim.name_agent,
        recorder=recorder,
        meter=meter,
    )
    return replace(outcome, detail=meter.over) if meter.over else outcome
