"""What an attempt was worth: a finding refuses it, else the sealed benchmark gives it a number, and the record counts it once."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import convergence, metrics
from orchestrator.core.convergence import Next
from orchestrator.core.limits import task_limits
from orchestrator.core.outcome import AgentEnd, ProcessEnd, Reason
from orchestrator.core.record import STAYING, Attempt, Record, Result
from orchestrator.core.task import Stage, State
from orchestrator.worker import closing, optimize, report, resolution, verify
from orchestrator.worker.execution import Sample
from orchestrator.worker.findings import Left
from orchestrator.worker.setup import SetupFailed
from orchestrator.worker.space import Space
from orchestrator.worker.work import Ending, Work, blocked

NOTHING = "the agent changed nothing"
STAYS = "it counts as no improvement; its commits stay on the task branch all the same"


def judge_left_over(work: Work, space: Space) -> Ending | None:
    """Commits that an earlier claim left on the branch: measured once, landed where they are in scope and at target."""
    attempt = uncounted(work, space)
    if detail := space.outside(work):
        space.fall_back(work)
        work.event("finding", detail=detail)
        return count(work, work.record, replace(attempt, result=Result.SCOPE_VIOLATION, detail=detail)) if attempt else None
    if work.optimizing:
        return optimize.take_up(work, space, attempt)
    if unfinished := resolution.unfinished(work, space):
        return unresolved(work, attempt, unfinished) if attempt else None
    result = measure_tip(work, space)
    verify.tell(work, "resumed", result, commit=space.tip)
    if attempt:
        forget_shown(work, space.tip)
        return weigh(work, space, replace(attempt, values=dict(result.values)), result)
    take_as_best(work, space, result)
    if verify.at_target(work, result):
        return closing.close(work, space, work.record, None)
    work.feedback = work.feedback or result.output
    return None


def take_as_best(work: Work, space: Space, result: Sample) -> None:
    """What the branch holds is what the next attempt has to beat, also where the number had been lost with an older evaluator."""
    if not result.values:
        return
    improved = metrics.improved(work.judged.metrics, result.values, work.record.best or work.record.baseline)
    better = {"best": dict(result.values), "best_commit": space.tip} if improved else {}
    work.note(values=dict(result.values), **better)


def forget_shown(work: Work, commit: str) -> None:
    """What was shown of the commit before says nothing of this one. A streak of this one goes on."""
    if (work.record.streak_commit or "").partition(":")[0] != commit:
        work.note(**verify.UNSHOWN)


def measure_tip(work: Work, space: Space) -> Sample:
    """One sample of what is on the task branch."""
    work.enter(Stage.MEASURE)
    work.measured = space.tip
    work.refused = ""
    if work.record.resolving:  # the worktree was set up with markers in its files, as far as that went
        return measure_apart(work, space)
    with space.at_tip(work) as place:
        return verify.sample(work, place)


def measure_apart(work: Work, space: Space) -> Sample:
    """The same in a clean checkout. A set-up that fails there is what the attempt has brought."""
    try:
        return verify.sample(work, space.checkout(work, space.tip))
    except SetupFailed as error:
        detail = f"in a clean checkout the setup fails: {error.message}"
        return Sample({}, ProcessEnd.EXITED, None, 0.0, defect=detail, output=error.message)


def unresolved(work: Work, attempt: Attempt, detail: str) -> Ending | None:
    """An attempt that has left the conflict as it was, or half of it: nothing to measure."""
    work.feedback = detail
    return count(work, work.record, replace(attempt, result=Result.CONFLICT, detail=detail))


def uncounted(work: Work, space: Space) -> Attempt | None:
    """The attempt that a dead worker had taken in and not yet counted; its ref is there, its number is not. It is the one that is
    being made: what is measured of it, and what it does meanwhile, is the attempt's as in its own worker."""
    number = work.record.attempts + 1
    if space.kept(work, number) != space.tip:
        return None
    work.number = number
    detail = "its worker died before it was counted"
    spend, now = work.record.carried, work.now()
    return Attempt(
        number, work.agent_name, AgentEnd.FINISHED, Result.UNCHANGED, detail,
        commit=space.tip, seconds=spend.seconds, at=now, spend=spend,
    )  # fmt: skip


def answers(work: Work, space: Space) -> bool:
    """Whether the branch holds an attempt's answer to what its pull request asks for, counted and not there yet."""
    record, last = work.record, work.record.history[-1:]
    if not record.demand or record.pull is None or space.tip == record.pull.head:
        return False
    kept = {Result.CONVERGED} if not work.optimizing else set(Result)  # there, what the branch holds was kept
    return any(attempt.commit == space.tip and attempt.result in kept for attempt in last)


def judge(work: Work, space: Space, attempt: Attempt, left: Left) -> Ending | None:
    """Count the attempt by what it left behind."""
    before = work.record
    attempt = replace(attempt, commit=left.commit)
    if left.finding:
        space.put_back(work, left)
        ending = count(work, before, replace(attempt, result=left.finding, detail=left.detail))
        return blocked(Reason.TAMPERED, left.detail) if left.final else ending
    work.aside = left.detail
    attempt = with_aside(attempt, work.aside)
    if unfinished := resolution.unfinished(work, space):
        return unresolved(work, attempt, unfinished)
    known = (work.measured, optimize.incumbent(work) if work.optimizing else None)
    if not left.changed and (left.commit in known or before.demand):
        values = before.best if work.optimizing else before.values  # of what the branch holds: what was discarded isn't there
        return count(work, before, replace(unchanged(work, attempt), values=values), left=False)
    if left.changed:
        forget_shown(work, left.commit)
    result = measure_tip(work, space)
    verify.tell(work, "attempt", result, commit=left.commit)
    return weigh(work, space, replace(attempt, values=dict(result.values)), result, left=left.changed)


def unchanged(work: Work, attempt: Attempt) -> Attempt:
    """An attempt that left things as they were. Where these were at target and refused, that is still the reason."""
    detail = attempt.detail or NOTHING
    return replace(attempt, detail=f"{detail}; still refused: {work.refused}" if work.refused else detail)


def weigh(work: Work, space: Space, attempt: Attempt, result: Sample, *, left: bool = True) -> Ending | None:
    """One sample of what the agent left: a defect, short of the target, or there. `left`: it left commits."""
    if work.optimizing:
        return optimize.weigh(work, space, attempt, result)
    before = work.record
    if result.defect:
        work.feedback = result.output
        return count(work, before, replace(attempt, result=Result.DEFECT, detail=result.defect))
    improved = metrics.improved(work.judged.metrics, result.values, before.best or before.baseline)
    found = replace(attempt, result=Result.IMPROVED if improved else Result.UNCHANGED)
    if verify.at_target(work, result):
        return closing.close(work, space, before, found)
    work.feedback = result.output
    detail = explained(attempt, verify.shortfall(work, result), work.aside) if left else attempt.detail or NOTHING
    return count(work, before, replace(found, detail=detail), improved=improved, left=left)


def with_aside(attempt: Attempt, aside: str) -> Attempt:
    """The attempt, told with what of its work is in no commit; once, however often it is told."""
    told = filter(None, (attempt.detail.rstrip("."), aside))
    return attempt if aside in attempt.detail else replace(attempt, detail="; ".join(told))


def explained(attempt: Attempt, shortfall: str, aside: str) -> str:
    """Why the number is what it is: where the agent itself came to grief, or its work does not count, that goes first."""
    grief = attempt.detail if attempt.end is not AgentEnd.FINISHED else aside
    return f"{grief.rstrip('.')}; {shortfall}" if grief else shortfall


def count(work: Work, before: Record, attempt: Attempt, *, improved: bool = False, left: bool = True) -> Ending | None:
    """Write the attempt down and decide what comes next. `left`: it left commits."""
    write(work, before, attempt, improved=improved)
    if work.feedback:
        work.beside(attempt.number, "feedback.txt", work.feedback)
    tell_fate(work, attempt.result, attempt.detail, commit=attempt.commit, improved=improved, left=left)
    return what_next(work, attempt)


def what_next(work: Work, attempt: Attempt) -> Ending | None:
    """How the claim ends after this attempt, None where another one follows. That an optimized task has had enough is seen
    before the next one."""
    step = convergence.after_attempt(work.record, attempt, task_limits(work.spec, work.settings))
    match step.next:
        case Next.BLOCK:
            return Ending(State.BLOCKED, step.reason, step.detail)
        case Next.PARK:
            work.save(backoffs=work.record.backoffs + 1)
            return Ending(State.PENDING, step.reason, step.detail, not_before=work.now() + step.wait)
    return None


def tell_fate(
    work: Work, result: Result, detail: str, *, commit: str | None = None, improved: bool = False, left: bool = True
) -> None:
    """`kept`: the commits stay on the task branch, and the next attempt goes on from them; `discarded`: they don't, or there
    are none. Under `mode: converge` the number doesn't decide that; `improved` tells of it."""
    stays = left and (result in STAYING or (result is Result.CONFLICT and work.record.resolving is not None))
    if stays and not improved:
        detail = f"{detail.rstrip('.')}; {STAYS}" if detail else STAYS
    work.event("kept" if stays else "discarded", result=result.value, improved=improved, commit=commit, detail=detail)


def write(work: Work, before: Record, attempt: Attempt, *, improved: bool, durable: bool = True) -> None:
    """The record after this attempt, from the record before it: said twice it still counts once. Whatever refused it, what of it
    is in no commit may be why."""
    attempt = with_aside(attempt, work.aside)
    now = work.record
    counted = convergence.counted(before, attempt, improved=improved, values=attempt.values)
    work.record = replace(
        counted,
        spend=now.spend,
        doubt=now.doubt,
        agents=now.agents,
        streak=now.streak,
        streak_commit=now.streak_commit,
        misses=now.misses,
        restart=now.restart,
        resolving=now.resolving,
    )
    work.save(durable=durable, best_commit=attempt.commit if improved else counted.best_commit)
    page = report.build(work.spec, work.record, attempt, work.verdicts, work.doubts, before.resolving)
    work.beside(attempt.number, "report.md", page)
