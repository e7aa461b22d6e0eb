"""The worker's whole flow, top to bottom: measure, send an agent, measure, verify, land, or leave with a reason.

Every step returns an `Ending` when the claim ends there, None when the flow goes on.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import convergence, metrics, review
from orchestrator.core.convergence import Next
from orchestrator.core.limits import task_limits
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Landed
from orchestrator.core.task import Stage, State
from orchestrator.worker import attempt, closing, findings, judgement, noisiness, optimize, report, resolution, verify
from orchestrator.worker.execution import Sample
from orchestrator.worker.noisiness import Samples
from orchestrator.worker.space import Space
from orchestrator.worker.work import Ending, Work, blocked


def live(work: Work, space: Space) -> Ending:
    """Work on the task until it converges, has to wait, needs a person, or this claim is to end after one attempt."""
    ending = finish_landing(work, space) or space.open(work) or measure_baseline(work, space) or resume(work, space)
    ending = ending or spent(work, space)
    while ending is None:
        ending = attempt.make(work, space) or one_only(work)
    if ending.state is not State.CONVERGED:
        resolution.blocked(work, space, ending)
        space.leave(work)
    return ending


def finish_landing(work: Work, space: Space) -> Ending | None:
    """A landing that a dead owner had begun is finished where the base has it, undone where it has not."""
    if work.record.landed:
        return closing.landed(work, space, work.record.landed)
    intent = work.record.intent
    if intent is None:
        return None
    if space.recover_landing(work, intent) and not intent.undo:  # what was undone and queued again has to be done again
        return closing.landed(work, space, Landed(intent.new, intent.base, "merge", side=intent.side), begun=True)
    work.save(intent=None)
    return None


def measure_baseline(work: Work, space: Space) -> Ending | None:
    """The number to beat, on the base commit. A benchmark that fails here is a defect of the task, not of an attempt."""
    if work.record.baseline and work.record.seal == work.sealed.digest:
        work.record = replace(work.record, doubt=None)  # whatever it was, it has been put right
        untouched = space.tip == work.record.base_commit and not work.record.attempts
        at_target = untouched and metrics.at_target(work.spec.metrics, work.record.baseline)
        return already_there(work, space) if at_target else None  # who measured it may have died before he was sure
    if doubt := findings.unexplained(work):
        return blocked(Reason.TAMPERED, doubt)
    work.enter(Stage.MEASURE)
    with space.at_base(work) as place:
        sample = verify.sample(work, place, first=True)
        verify.tell(work, "baseline", sample, commit=work.record.base_commit)
        work.event("environment", **report.environment(work))
        sample, samples, noisy = noisiness.find_out(work, place, sample)
        if sample.defect:
            return blocked(Reason.BENCHMARK_DEFECT, sample.defect)
        note_baseline(work, sample, samples, noisy)
    noisiness.tell(work)
    if space.tip != work.record.base_commit:
        return None
    work.measured = space.tip
    return already_there(work, space) if verify.at_target(work, sample) else None


def note_baseline(work: Work, sample: Sample, samples: Samples, noisy: tuple[str, ...]) -> None:
    """What the record holds from now on is measured by this evaluator, and by no other."""
    work.record = convergence.resealed(work.record, work.sealed.digest)
    values = dict(sample.values)
    work.note(
        samples=samples, noisy=noisy, baseline=values, best=values, values=values, private=sample.private,
        best_commit=work.record.base_commit,
    )  # fmt: skip


def already_there(work: Work, space: Space) -> Ending | None:
    """At target before anybody worked on it: as many samples as any convergence needs, every gate, and nothing to land. What
    refuses it is what an agent that changes nothing has left as it was."""
    streak = verify.streak(work, space, space.tip)
    if not streak.passed:
        work.refused = f"at target once, then not: {streak.detail}"
        if streak.missed:
            lower_baseline(work, streak.missed)
        return None
    if refused := verify.refusal(work, space, space.tip):
        work.refused = f"{refused.name}: {refused.reason}"
        return None
    if not verify.hidden(work, space, space.tip):
        work.refused = f"holdout: {verify.MISSED}"
        return None
    return closing.landed(work, space, Landed(space.tip if work.record.branch else None, work.record.base, "none"))


def lower_baseline(work: Work, missed: Sample) -> None:
    """The base's first number was luck, which no work has to beat: what it said then counts, and the next prompt has it. That of
    a number known to be noisy is a median."""
    work.feedback = missed.output
    if missed.values and not work.record.noisy:
        values = dict(missed.values)
        work.save(baseline=values, best=values, values=values)


def resume(work: Work, space: Space) -> Ending | None:
    """Work of an earlier claim may be at target already: look before an agent is paid for."""
    if space.tip == work.record.base_commit:
        return None
    if work.record.demand and not judgement.answers(work, space):  # at target, and more was asked for
        return None
    if rejected := review.rejected(work.record, space.tip):
        work.feedback = rejected
        return None
    return judgement.judge_left_over(work, space)


def spent(work: Work, space: Space) -> Ending | None:
    """A dead owner may have counted the last attempt that there may be, and not come to say so."""
    step = convergence.before_attempt(work.record, task_limits(work.spec, work.settings))
    if step.next is Next.FINISH:
        return optimize.finish(work, space, step)
    return Ending(State.BLOCKED, step.reason, step.detail) if step.next is Next.BLOCK else None


def one_only(work: Work) -> Ending | None:
    """`--once`: one attempt, then back to pending."""
    return Ending(State.PENDING) if work.once else None
