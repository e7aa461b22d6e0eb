"""One attempt: a prompt, an agent's session, and the judgement of what it left behind."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from orchestrator.agents.protocol import Agent, Request
from orchestrator.core import convergence
from orchestrator.core.convergence import Next
from orchestrator.core.gates import JUDGE
from orchestrator.core.limits import task_limits
from orchestrator.core.masking import secrets_of
from orchestrator.core.outcome import AgentEnd, AgentOutcome, Reason
from orchestrator.core.record import Attempt, Result, Session
from orchestrator.core.spec import live_edit
from orchestrator.core.task import Stage, State
from orchestrator.errors import SpecError
from orchestrator.store import seal, secrets, specfile
from orchestrator.worker import (
    findings,
    handover,
    judgement,
    measure,
    metering,
    optimize,
    phases,
    prompt,
    recording,
    refusals,
    resolution,
    routes,
    sessions,
    setup,
    skills,
)  # fmt: skip
from orchestrator.worker.findings import Watch
from orchestrator.worker.gates.asked import asked
from orchestrator.worker.phases import Phase
from orchestrator.worker.space import Space
from orchestrator.worker.work import Ending, Work, blocked

RESUMED = (
    "This session was interrupted by its provider, which takes work again. "
    "What had been changed is still in the worktree: go on there."
)


def make(work: Work, space: Space) -> Ending | None:
    """Send one agent, judge what it did. None: go on with the next attempt."""
    work.aside = ""
    take_up_edits(work)
    if ending := had_enough(work, space):
        return ending
    if resolution.merged_by_hand(work, space):
        return judgement.judge_left_over(work, space)
    routes.choose(work)
    see_judge(work)
    number = work.number = work.record.attempts + 1
    work.verdicts = work.doubts = ()
    folder = work.claim.attempt_folder(number)
    work.enter(Stage.AGENT)
    watch = space.watch(work)
    if problem := setup.hook(work, "before_run", space.path):
        return blocked(Reason.SETUP, problem)
    outcome = phases.through(work, space, watch, lambda phase: run_agent(work, space, number, folder, phase))
    findings.note_edit(work)
    handover.write(work, outcome, space.between(watch.start, space.state()) if outcome.end is AgentEnd.CONTEXT else b"")
    if ending := cut_short(work, space, outcome, watch):
        return ending
    if problem := setup.hook(work, "after_run", space.path):
        work.event("hook_failed", hook="after_run", detail=problem)
    if outcome.end in refusals.UNJUDGED:
        return refusals.refused(work, space, outcome) or make(work, space)  # at once, by the agent that stands in
    return judgement.judge(work, space, summary(work, number, outcome), space.collect(work, number, watch))


def see_judge(work: Work) -> None:
    """Raises AgentError where the judge of what is about to be paid for can't be asked."""
    for gate in asked(work):
        if gate.name == JUDGE:
            from orchestrator.worker.gates import judge

            judge.refuse_unable(work, gate)


def had_enough(work: Work, space: Space) -> Ending | None:
    """A limit that was reached already: its worker died before it could say so, or a live edit lowered a budget."""
    step = convergence.before_attempt(work.record, task_limits(work.spec, work.settings))
    if step.next is Next.BLOCK:
        return Ending(State.BLOCKED, step.reason, step.detail)
    if step.next is Next.FINISH and (ending := optimize.finish(work, space, step)):
        return ending
    over = metering.over_the_day(work)
    return Ending(State.PENDING, detail=over) if over else None


def cut_short(work: Work, space: Space, outcome: AgentOutcome, watch: Watch) -> Ending | None:
    """What is not judged must leave the evaluator alone all the same: the next claim seals what lies there by then.

    Raises Stopped where this worker is asked to stop.
    """
    judged = work.pulse.beat() is None and outcome.end not in refusals.UNJUDGED
    if not judged and (problem := findings.tampered(work, watch)):
        space.save_cut(work)
        return blocked(Reason.TAMPERED, problem)
    work.pulse.check()
    return None


def summary(work: Work, number: int, outcome: AgentOutcome) -> Attempt:
    """The attempt as far as the agent's end tells of it; what it was worth is not known yet."""
    return Attempt(
        number, work.agent_name, outcome.end, Result.UNCHANGED, outcome.detail, seconds=outcome.spend.seconds,
        model=outcome.model or (work.route.model if work.route else None), at=work.now(), spend=work.record.carried,
    )  # fmt: skip


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
    work.asked = seal.judging(edited)
    work.spec = live_edit(work.spec, edited)
    work.event("spec_edited", title=work.spec.title)


def run_agent(work: Work, space: Space, number: int, folder: Path, phase: Phase) -> AgentOutcome:
    """One session of the attempt. One that a limit interrupted goes on; where that can't be had, a fresh one begins."""
    resume = work.resumed = refusals.resumable(work, space) if phase.first else None
    outcome = hold_session(work, space, number, folder, phase, resume)
    if resume and outcome.end in {AgentEnd.FAILED, AgentEnd.NOT_STARTED} and not outcome.said:
        work.event("notice", detail=f"session {resume.id} can't go on ({outcome.detail}); a fresh one begins")
        outcome = hold_session(work, space, number, folder, phase)
    return outcome


def hold_session(
    work: Work, space: Space, number: int, folder: Path, phase: Phase, resume: Session | None = None
) -> AgentOutcome:
    """The agent's session in the worktree, with its prompt, its skills, and its recording where that is asked for."""
    assert work.route is not None
    agent = routes.agent(work, work.route.agent)
    work.claim.mask = work.mask.with_more(_secrets(work, space, agent))
    text = work.mask.text(_prompt(work, space, number, phase, agent, resume))
    work.claim.write(f"attempts/{number:04d}/{phases.prompt_file(phase)}", text.encode(errors="surrogateescape"))
    resumed = resume.id if resume else None
    work.event("agent_started", attempt=number, agent=agent.name, model=work.route.model, resumed=resumed, **phase.named)
    with (
        recording.session(work, space, phase, work.mask.data) as recorder,
        skills.laid_out(space, phases.folders(work, agent), phase.skills),
    ):
        asked = request(work, space, number, text, phase, agent.traits.environment)
        asked = replace(asked, resume=resumed, spent=resume.spent if resume else None)
        outcome = sessions.hold(work, agent, asked, folder, recorder)
    outcome = metering.counted(work, refusals.settled(work, outcome))
    work.event("agent_ended", attempt=number, end=outcome.end.value, detail=outcome.detail, **phase.named)
    return outcome


def _secrets(work: Work, space: Space, agent: Agent) -> dict[str, str]:
    """What no prompt and no log may show: from the environment, from files that the agent finds, and of its login."""
    places = (space.path, *((Path(work.record.repo),) if work.record.repo else ()))
    known = secrets_of(os.environ, named=agent.traits.secrets) | secrets.in_folders(places)
    return known | secrets.in_logins(agent.traits.credentials, os.environ)


def _prompt(work: Work, space: Space, number: int, phase: Phase, agent: Agent, resume: Session | None) -> str:
    return prompt.build(
        work.spec,
        work.record,
        number=number,
        feedback=work.feedback,
        worktree=space.path,
        evaluator=work.evaluator,
        alpha=work.alpha,
        part=replace(
            phase.part(phases.folders(work, agent)),
            budget=metering.notice(work),
            resumed=RESUMED if resume else "",
            handover=handover.read(work),
            said=handover.last_words(work),
            conflict=resolution.told(work, space),
        ),
    )


def request(work: Work, space: Space, number: int, text: str, phase: Phase, variables: tuple[str, ...] = ()) -> Request:
    """What the adapter needs to know of one of its sessions."""
    measure.put_away(work.scratch)
    env = work.environment(space.path, number, variables)
    asked = sessions.request(work, space.path, text, findings.agent_copy(work), work.scratch / "prompt.md", env)
    return replace(
        asked,
        attempt=number,
        tty=work.spec.tty,
        phase=phase.name or None,
        files=tuple(name for name in work.spec.scope if not Path(name).is_absolute() and (space.path / name).is_file()),
    )
