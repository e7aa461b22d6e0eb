"""One attempt: a prompt, an agent's session, and the judgement of what it left behind."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.agents import registry, replay, session
from orchestrator.agents.protocol import Request
from orchestrator.core import convergence
from orchestrator.core.convergence import Next, backoff
from orchestrator.core.masking import secrets_of
from orchestrator.core.outcome import AgentEnd, AgentOutcome, Reason
from orchestrator.core.record import Attempt, Result
from orchestrator.core.spec import live_edit
from orchestrator.core.task import Stage, State
from orchestrator.errors import SpecError
from orchestrator.proc.supervise import Limits
from orchestrator.store import seal, specfile
from orchestrator.worker import findings, judgement, phases, prompt, recording, setup, skills
from orchestrator.worker.findings import Watch
from orchestrator.worker.phases import Phase
from orchestrator.worker.space import Space
from orchestrator.worker.work import Ending, Work, blocked

UNJUDGED = frozenset({AgentEnd.RATE_LIMITED, AgentEnd.AUTH, AgentEnd.NEEDS_INPUT})


def make(work: Work, space: Space) -> Ending | None:
    """Send one agent, judge what it did. None: go on with the next attempt."""
    take_up_edits(work)
    if ending := had_enough(work):
        return ending
    number = work.number = work.record.attempts + 1
    work.verdicts = work.doubts = ()
    folder = work.claim.attempt_folder(number)
    work.enter(Stage.AGENT)
    watch = space.watch(work)
    if problem := setup.hook(work, "before_run", space.path):
        return blocked(Reason.SETUP, problem)
    outcome = phases.through(work, space, watch, lambda phase: run_agent(work, space, number, folder, phase))
    work.save(durable=False, spend=work.record.spend + outcome.spend)
    if ending := cut_short(work, space, outcome, watch):
        return ending
    if problem := setup.hook(work, "after_run", space.path):
        work.event("hook_failed", hook="after_run", detail=problem)
    if ending := unjudged(work, space, outcome):
        return ending
    return judgement.judge(work, space, summary(work, number, outcome), space.collect(work, number, watch))


def had_enough(work: Work) -> Ending | None:
    """A limit that was reached already: its worker died before it could say so, or a live edit lowered a budget."""
    step = convergence.before_attempt(work.record, convergence.limits(work.spec, work.settings))
    return Ending(State.BLOCKED, step.reason, step.detail) if step.next is Next.BLOCK else None


def cut_short(work: Work, space: Space, outcome: AgentOutcome, watch: Watch) -> Ending | None:
    """What is not judged must leave the evaluator alone all the same: the next claim seals what lies there by then.

    Raises Stopped where this worker is asked to stop.
    """
    judged = work.pulse.beat() is None and outcome.end not in UNJUDGED
    if not judged and (problem := findings.tampered(work, watch)):
        space.save_cut(work)
        return blocked(Reason.TAMPERED, problem)
    work.pulse.check()
    return None


def summary(work: Work, number: int, outcome: AgentOutcome) -> Attempt:
    """The attempt as far as the agent's end tells of it; what it was worth is not known yet."""
    return Attempt(number, work.agent, outcome.end, Result.UNCHANGED, outcome.detail, seconds=outcome.spend.seconds)


def take_up_edits(work: Work) -> None:
    """A live edit of the spec counts from this attempt on; a broken one keeps the last good spec and says so."""
    path = specfile.path_of(work.claim.folder)
    key = specfile.key_of(path) if path else work.spec_key
    if key == work.spec_key:
        return
    work.spec_key = key
    try:
        edited = specfile.read(work.claim.folder)
    except SpecError as error:
        work.event("spec_invalid", detail=str(error))
        return
    work.spec = live_edit(work.spec, edited)
    work.event("spec_edited", title=work.spec.title)


def run_agent(work: Work, space: Space, number: int, folder: Path, phase: Phase) -> AgentOutcome:
    """The agent's session in the worktree, supervised to its end; every process it left is gone afterwards."""
    agent = registry.get(work.agent)
    work.claim.mask = work.mask.with_more(secrets_of(os.environ, named=agent.traits.secrets))
    text = prompt.build(
        work.spec,
        work.record,
        number=number,
        feedback=work.feedback,
        worktree=space.path,
        evaluator=work.evaluator,
        part=phase.part(phases.folders(work, agent)),
    )
    text = work.mask.text(text)
    work.claim.write(f"attempts/{number:04d}/{phases.prompt_file(phase)}", text.encode(errors="surrogateescape"))
    model = work.spec.model or work.settings.model
    work.event("agent_started", attempt=number, agent=agent.name, model=model, **phase.named)
    with (
        recording.session(work, space, phase, work.mask.data) as recorder,
        skills.laid_out(space.path, phases.folders(work, agent), phase.skills),
    ):
        asked = request(work, space, number, text, phase)
        outcome = session.run(
            replay.played(agent, asked, registry.get),
            asked,
            log_folder=folder,
            limits=Limits(
                seconds=work.spec.timeout or work.settings.timeout,
                idle=work.settings.progress_timeout,
                grace=work.settings.stop_grace,
            ),
            pump=work.pulse.beat,
            on_start=work.claim.name_agent,
            log_bytes=work.settings.agent_log_max_bytes,
            raw=work.settings.agent_log_raw,
            recorder=recorder,
            mask=work.mask,
        )
    work.event("agent_ended", attempt=number, end=outcome.end.value, detail=outcome.detail, **phase.named)
    return outcome


def request(work: Work, space: Space, number: int, text: str, phase: Phase) -> Request:
    """What the adapter needs to know, with the files the agent may read: its prompt and its own copy of the task folder."""
    copy = findings.agent_copy(work)
    seal.remove(copy)
    work.sealed.agent_copy(copy, holdout=work.spec.reserved.get("holdout"))
    prompt_file = work.scratch / "prompt.md"
    prompt_file.write_text(text, errors="surrogateescape")
    env = {**work.environment(space.path, number), "ORCH_TASK_DIR": str(copy), "ORCH_PROMPT_FILE": str(prompt_file)}
    env.pop("ORCH_REPO", None)
    return Request(
        prompt=text,
        prompt_file=prompt_file,
        worktree=space.path,
        model=work.spec.model or work.settings.model,
        effort=work.spec.effort or work.settings.effort,
        env=env,
        attempt=number,
        cmd=work.settings.agent_cmd,
        tty=work.spec.tty,
        phase=phase.name or None,
    )


def unjudged(work: Work, space: Space, outcome: AgentOutcome) -> Ending | None:
    """Ends that say nothing about the task: a limit waits for its reset, a login or a question needs a person. Not counted."""
    match outcome.end:
        case AgentEnd.RATE_LIMITED:
            space.save_cut(work)
            wait = backoff(work.record.backoffs, work.settings.backoff, work.settings.backoff_max)
            work.save(backoffs=work.record.backoffs + 1)
            return Ending(State.PENDING, Reason.RATE_LIMITED, outcome.detail, outcome.reset_at or work.now() + wait)
        case AgentEnd.AUTH:
            space.save_cut(work)
            return blocked(Reason.AUTH, outcome.detail)
        case AgentEnd.NEEDS_INPUT:
            space.save_cut(work)
            return blocked(Reason.QUESTION, outcome.prompt or outcome.detail)
    return None
