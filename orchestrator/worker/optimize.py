"""`mode: optimize`: what is better stays on the task branch, what isn't leaves it; when no more comes of it, the best lands.

The branch's incumbent is the record's `best_commit`. An attempt is first counted, with its fate, and then taken off the branch:
a kill before the count finds the attempt's ref and judges it again, one after it finds the count and only resets the branch.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core import convergence, metrics
from orchestrator.core.convergence import Step
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Attempt, Result
from orchestrator.core.task import Stage, State
from orchestrator.worker import closing, judgement, verify
from orchestrator.worker.execution import Sample
from orchestrator.worker.setup import SetupFailed
from orchestrator.worker.space import Space
from orchestrator.worker.work import Ending, Work, blocked


def weigh(work: Work, space: Space, attempt: Attempt, result: Sample) -> Ending | None:
    """Keep or discard what the agent left. What would be kept has to pass the gates before it is what the next one builds on."""
    if result.defect:
        work.feedback = result.output
        return settle(work, space, replace(attempt, result=Result.DEFECT, detail=result.defect))
    from orchestrator.worker import comparing

    work.feedback = result.output
    work.enter(Stage.VERIFY)
    try:
        answer = comparing.with_incumbent(work, space, incumbent(work), result)
        improved = answer.better
        if work.record.demand and not improved:
            answer = comparing.as_good(work, space, incumbent(work), result)
        found = replace(attempt, values=dict(answer.values), detail=answer.detail)
        refused = verify.refusal(work, space, space.tip) if answer.better else None
    except SetupFailed as error:  # it went well where the task began
        work.feedback = error.message
        detail = f"in a clean checkout the setup fails: {error.message}"
        return settle(work, space, replace(attempt, result=Result.DEFECT, detail=detail))
    if refused:
        return settle(work, space, replace(found, result=Result.GATE, detail=f"{refused.name}: {refused.reason}"))
    return settle(work, space, replace(found, result=Result.IMPROVED if improved else Result.UNCHANGED), kept=answer.better)


def incumbent(work: Work) -> str:
    """The commit that a candidate has to beat."""
    commit = work.record.best_commit or work.record.base_commit
    assert commit is not None
    return commit


def settle(work: Work, space: Space, attempt: Attempt, *, kept: bool = False) -> Ending | None:
    """Count the attempt with its fate, make the branch agree, and decide what comes next."""
    judgement.write(
        work, work.record, replace(attempt, detail=f"{'kept' if kept else 'discarded'}: {attempt.detail}"), improved=kept
    )
    if work.feedback and not kept:
        work.beside(attempt.number, "feedback.txt", work.feedback)
    fate = "kept" if kept else "discarded"
    improved = kept and attempt.result is Result.IMPROVED
    work.event(fate, result=attempt.result.value, improved=improved, commit=attempt.commit, detail=attempt.detail)
    if not kept:
        space.go_back(work, incumbent(work))
    else:
        work.feedback = ""
        if ending := enough(work, space):
            return ending
    return judgement.what_next(work, attempt)


def enough(work: Work, space: Space) -> Ending | None:
    """Where there is a target and the best has reached it, or it is what a pull request waits for: verify and land it."""
    reached = metrics.at_target(work.judged.metrics, work.record.best)
    if not reached and not judgement.answers(work, space):
        return None
    work.holding = not reached
    ending = closing.close(work, space, work.record, None)
    work.holding = False
    return ending


def take_up(work: Work, space: Space, uncounted: Attempt | None) -> Ending | None:
    """What an earlier claim left on the branch: an attempt that nobody judged, one that was judged and is to leave, the
    incumbent itself. Anything else is half an attempt, and the next one goes on from it."""
    if uncounted:
        result = judgement.measure_tip(work, space)
        verify.tell(work, "resumed", result, commit=space.tip)
        judgement.forget_shown(work, space.tip)
        return weigh(work, space, replace(uncounted, values=dict(result.values)), result)
    if space.tip == incumbent(work):
        return enough(work, space)
    counted = next((attempt for attempt in reversed(work.record.history) if attempt.commit == space.tip), None)
    if counted is None:
        return None
    if counted.result is Result.IMPROVED:  # kept under an evaluator that was edited since
        return judge_anew(work, space)
    space.go_back(work, incumbent(work))
    return None


def judge_anew(work: Work, space: Space) -> Ending | None:
    """No attempt is counted for it: work that was kept once either holds before the new evaluator or leaves the branch."""
    from orchestrator.worker import comparing

    result = judgement.measure_tip(work, space)
    verify.tell(work, "resumed", result, commit=space.tip)
    answer = None if result.defect else comparing.with_incumbent(work, space, incumbent(work), result)
    if answer and answer.better:
        work.save(best=dict(answer.values), best_commit=space.tip, values=dict(answer.values))
        return enough(work, space)
    space.go_back(work, incumbent(work))
    return None


def finish(work: Work, space: Space, step: Step) -> Ending | None:
    """No more attempts. What was gained is verified and lands like any other work; None where that has to begin anew, since the
    base has moved on under it."""
    if space.tip != incumbent(work):
        space.go_back(work, incumbent(work))
    if work.record.demand and not judgement.answers(work, space):
        return blocked(step.reason or Reason.EXHAUSTED, f"{step.detail}; what its pull request asks for is not done")
    best = work.record.best  # none, where the task began anew and found nothing better than its fresh base
    gained = metrics.way_of(work.judged.metrics, work.record.baseline, best) if best else "no better number is known"
    work.event("optimized", reason=step.reason, detail=f"{step.detail}; {gained}")
    reached = metrics.at_target(work.judged.metrics, work.record.best)
    for number in range(convergence.MISSES):
        work.holding = not reached or number > 0  # what isn't shown to be at its target may still be the best
        if space.tip == work.record.base_commit:
            return blocked(step.reason or Reason.EXHAUSTED, f"{step.detail}; nothing better than the base was found")
        conflicts = work.record.conflicts
        if ending := closing.close(work, space, work.record, None):
            done = ending.state is State.CONVERGED
            return replace(ending, detail=f"{gained}; {step.detail}") if done else ending
        if work.record.conflicts > conflicts:
            work.holding = False
            return None
    return blocked(Reason.GATE, f"{step.detail}, and the best of them does not land: {work.refused}")
