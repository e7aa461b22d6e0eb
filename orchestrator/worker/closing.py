"""At target once. From here: the streak and the gates on a clean checkout, then the landing, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from shlex import quote

from orchestrator.core import convergence, review
from orchestrator.core.convergence import Next
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Attempt, Landed, Record, Restart, Result
from orchestrator.core.spec import Land, Review
from orchestrator.core.task import State
from orchestrator.core.value import Value
from orchestrator.store import events
from orchestrator.worker import integration, judgement, landing, resolution, verify
from orchestrator.worker.landing import LandEnd, LandOutcome
from orchestrator.worker.setup import SetupFailed
from orchestrator.worker.space import Space
from orchestrator.worker.work import Ending, Work, blocked

NOT_MEASURED: Mapping[str, float] = {}
CHECKOUT_WAIT = 120.0  # at most so long until a checkout in the way is looked at again; over 60 s, so that a drain ends
RECENT = 50  # events among which a dead owner's last ones are


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Objection(Value):
    """Why work that was at target once can't land."""

    result: Result
    detail: str
    chance: bool = False  # a noisy number that was not shown to be at its target; nobody's fault


def close(work: Work, space: Space, before: Record, attempt: Attempt | None) -> Ending | None:
    """Verify and land `space.tip`. `attempt` is None where an earlier claim counted it already."""
    if found := objection(work, space):
        if found.chance:
            return unshown(work, before, attempt, found.detail)
        if found.result is Result.FLAKY:
            return missed(work, before, attempt, found.detail)
        return refuse(work, before, attempt, found.result, found.detail)
    if attempt is not None:  # with what a judge used
        attempt = replace(attempt, spend=work.record.carried)
    resolved, work.record = work.record.resolving, replace(work.record, resolving=None)
    count_converged(work, before, attempt)
    before = replace(before, resolving=None)  # from here on it is work like any other
    if resolved:
        work.event("resolved", commit=space.tip, files=list(resolved.files), detail=f"resolved and verified: {resolved.named}")
    if work.spec.review is Review.REQUIRED and not review.approved(work.record, space.tip, work.sealed.digest):
        return wait_for_review(work, space)
    outcome = landing.land(work, space)
    if outcome.end is not LandEnd.LANDED and work.spec.land is Land.MERGE:
        integration.after_landing(work, space)  # whoever landed before may have left that to us
    match outcome.end:
        case LandEnd.LANDED:
            return landed(work, space, outcome.landed, outcome.detail)
        case LandEnd.CONFLICT:
            return conflict(work, space, before, attempt, outcome)
        case LandEnd.REJECTED:
            return rejected(work, space, before, attempt, outcome)
    return wait_for_base(work, outcome)


def objection(work: Work, space: Space) -> Objection | None:
    """The scope, a person's no, the streak, the gates: whichever comes first. What a person is asked about has passed all."""
    if outside := space.outside(work):
        space.fall_back(work)
        return Objection(Result.SCOPE_VIOLATION, outside)
    if said := review.rejected(work.record, space.tip):
        work.feedback = said
        return Objection(Result.GATE, f"nothing was changed since it was {review.REJECTED}")
    if review.proved(work.record, space.tip, work.sealed.digest):
        return None
    try:
        streak = verify.streak(work, space, space.tip)
    except SetupFailed as error:  # it went well where the task began
        work.feedback = error.message
        return Objection(Result.DEFECT, f"in a clean checkout the setup fails: {error.message}")
    if not streak.passed:
        work.feedback = streak.missed.output if streak.missed else work.feedback
        if streak.chance:
            return Objection(Result.UNCHANGED, f"at target once, by chance: {streak.detail}", chance=True)
        return Objection(Result.FLAKY, f"{_held(work)} once, then not in a clean checkout: {streak.detail}")
    refused = verify.refusal(work, space, space.tip)
    if refused:
        return Objection(Result.GATE, f"{refused.name}: {refused.reason}")
    return None if verify.hidden(work, space, space.tip) else Objection(Result.GATE, f"holdout: {verify.MISSED}")


def count_converged(work: Work, before: Record, attempt: Attempt | None) -> None:
    """The attempt is written down before the base moves: a kill while landing must not forget it.

    It is synced with the landing's intent; a power cut before that leaves the attempt's ref, by which it is counted again.
    """
    if attempt is None:
        return
    done = replace(attempt, result=Result.CONVERGED)
    judgement.write(work, before, done, improved=attempt.result is Result.IMPROVED, durable=False)


def landed(work: Work, space: Space, result: Landed | None, detail: str = "", *, begun: bool = False) -> Ending:
    """It is on the base, or kept where the spec wants it: put the worktrees away and leave for converged/. `begun`: by a dead
    owner, who may have come to tell of it."""
    assert result is not None
    known = landing.standing(work, space, result)
    if work.record.landed != known:
        work.note(intent=None, landed=known, earlier=None)  # the intent is on disk; the last word will be
        if not (begun and _told(work, result)):
            work.event("landed", commit=result.commit, base=result.base, how=result.how, url=result.url, detail=detail)
    if result.how == "merge":
        integration.after_landing(work, space)
    space.retire(work)
    return Ending(State.CONVERGED, Reason.CONVERGED, detail, landed=known)


def _told(work: Work, result: Landed) -> bool:
    """Whether the events tell of this landing already. Nothing but the telling hangs on it."""
    said = events.tail(work.claim.folder, RECENT)
    return any(each.get("event") == "landed" and each.get("commit") == result.commit for each in said)


def missed(work: Work, before: Record, attempt: Attempt | None, detail: str) -> Ending | None:
    """At target once and not again, at one commit: the second time the task is flaky and needs a person."""
    ending = refuse(work, before, attempt, Result.FLAKY, detail)
    record, step = convergence.missed(work.record, _held(work))
    work.record = record
    work.save()
    return blocked(Reason.FLAKY, step.detail) if step.next is Next.BLOCK else ending


def _held(work: Work) -> str:
    return "as good as when it was kept" if work.holding else "at target"


def unshown(work: Work, before: Record, attempt: Attempt | None, detail: str) -> Ending | None:
    """A noisy number was at target by chance: the attempt is worth what it would be worth without that."""
    work.refused = detail
    if attempt is None:
        judgement.tell_fate(work, Result.UNCHANGED, work.refused)
        return None
    improved = attempt.result is Result.IMPROVED
    return judgement.count(work, before, replace(attempt, detail=work.refused), improved=improved)


def conflict(work: Work, space: Space, before: Record, attempt: Attempt | None, outcome: LandOutcome) -> Ending | None:
    """The base has changed the same lines. Once, an agent resolves that or begins anew on the fresh base."""
    detail = f"conflicts with newer commits on {work.record.base} {'in ' if outcome.merged is None else ''}{outcome.detail}"
    conflicts = work.record.conflicts + 1
    if conflicts < convergence.CONFLICTS and not resolution.plan(work, space, outcome):
        work.feedback = (
            f"Your last change {detail}. It is not in your worktree any more: you are on the fresh base now. Do it again there."
        )
        before = plan_restart(work, before, outcome.base or space.tip, outcome.base or space.tip)
    ending = refuse(work, before, attempt, Result.CONFLICT, detail)
    if attempt is None:
        work.save(conflicts=conflicts)
    files = list(outcome.conflict.files[: resolution.FILES]) if outcome.conflict else []
    anew = work.record.restart is not None and work.record.resolving is None
    work.event("conflict", commit=space.tip, base=outcome.base, files=files, anew=anew, detail=detail)
    if conflicts >= convergence.CONFLICTS:
        return blocked(Reason.CONFLICT, detail)
    space.restart(work)
    return ending


def rejected(work: Work, space: Space, before: Record, attempt: Attempt | None, outcome: LandOutcome) -> Ending | None:
    """The merge was clean and did not hold: the next attempt works on the merged commit, unless nothing could be better there."""
    if work.optimizing:
        return conflict(work, space, before, attempt, outcome)
    before = plan_restart(work, before, outcome.merged or space.tip, outcome.base or space.tip, work.merged)
    ending = refuse(work, before, attempt, Result.GATE, outcome.detail)
    if attempt is None:
        work.save()
    space.restart(work)
    return ending


def plan_restart(work: Work, before: Record, commit: str, base: str, values: Mapping[str, float] = NOT_MEASURED) -> Record:
    """Where the task goes on, and `before` as it is there: what was best was so on another base, `values` were measured here.
    Written together with the attempt's result: who comes after a kill must find both or neither."""
    work.record = replace(work.record, restart=Restart(commit, base), best=dict(values), values=dict(values), best_commit=commit)
    work.record = replace(work.record, **verify.UNSHOWN)  # of that commit
    if work.optimizing:
        work.record = replace(work.record, failures=0)
    return replace(before, best=dict(values), best_commit=commit)


def refuse(work: Work, before: Record, attempt: Attempt | None, result: Result, detail: str) -> Ending | None:
    """The attempt reached its target and does not count as converged, for this reason."""
    work.refused = detail
    if attempt is None:
        judgement.tell_fate(work, result, detail)
        return None
    return judgement.count(work, before, replace(attempt, result=result, detail=detail))


def wait_for_review(work: Work, space: Space) -> Ending:
    """Verified, and a person's turn. The question is in the record before the folder moves: a kill between the two leaves a task
    that the next worker puts back to pending, proved already and not asked about twice."""
    work.save(review=review.asked(work.record, space.tip, work.sealed.digest, work.now(), work.sealed.own))
    work.event("review", commit=space.tip, detail="verified; a person has to approve it")
    told = f"commit {space.tip[:10]} is verified; `orchestrator approve {quote(work.name)}` lets it land"
    return Ending(State.PENDING, Reason.REVIEW, told)


def wait_for_base(work: Work, outcome: LandOutcome) -> Ending:
    """The landing could not happen now: park, and look again soon. The work is verified and stays on its branch."""
    if outcome.end in (LandEnd.UNSENT, LandEnd.REFUSED):
        from orchestrator.worker import proposing

        return proposing.unsent(work, outcome)
    reason = Reason.CHECKOUT if outcome.end is LandEnd.WAITS else Reason.BASE_MOVED
    wait = convergence.backoff(work.record.backoffs, work.settings.backoff, min(CHECKOUT_WAIT, work.settings.backoff_max))
    work.save(backoffs=work.record.backoffs + 1)
    return Ending(State.PENDING, reason, outcome.detail, not_before=work.now() + wait)
