"""How a task's record evolves and what comes next. The worker measures and acts; it decides here.

All of it is pure and counts from the record *before* the attempt. So when an attempt at target turns out otherwise while
it is verified, count it again from that same record with the final result, and nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.core import budget, resolving
from orchestrator.core.limits import Limits
from orchestrator.core.outcome import AgentEnd, Reason, Spend
from orchestrator.core.record import HISTORY, Attempt, Landed, Record, Restart, Result
from orchestrator.core.resolving import Resolving
from orchestrator.core.value import Value

MISSES = 2  # at the verify commit; the second blocks as flaky
CONFLICTS = 2  # the first is resolved by an agent, or the work done again on the fresh base

# Ends after which the next attempt waits (`rulings` 15). All others follow each other at once.
ABNORMAL = frozenset(
    {AgentEnd.FAILED, AgentEnd.TIMED_OUT, AgentEnd.STALLED, AgentEnd.KILLED, AgentEnd.NOT_STARTED, AgentEnd.LOST}
)
# Results that are a failure whatever the numbers say, since numbers got that way prove nothing.
REFUSED = {Result.SCOPE_VIOLATION: Reason.SCOPE_VIOLATION, Result.TAMPERED: Reason.TAMPERED}
# What a task is said to be blocked by, when its last attempt ended so and there are no more to come; else `exhausted`.
TYPED = {**REFUSED, Result.GATE: Reason.GATE, Result.CONFLICT: Reason.CONFLICT}

ON_BASE = frozenset({"merge", "none"})  # how a task landed whose work is on its base, or that had none to do


class Next(StrEnum):
    """What the worker does after an attempt."""

    AGENT = "agent"  # another attempt, in the same claim
    BLOCK = "block"  # a person must decide
    FINISH = "finish"  # mode optimize: no more attempts; what was gained is verified and lands
    PARK = "park"  # back to pending, for `wait` seconds


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Step(Value):
    """What comes next and why. `wait` is in seconds and only with PARK."""

    next: Next
    reason: Reason | None = None
    detail: str = ""
    wait: float = 0.0


def counted(record: Record, attempt: Attempt, *, improved: bool, values: Mapping[str, float]) -> Record:
    """`record` after `attempt`. `values` is what the last sample said, empty where nothing was measured. Spend and streak are the
    caller's. A session that a limit, a missing login or a question ended is no attempt (`worker.refusals`)."""
    better = improved and attempt.result not in REFUSED
    return replace(
        record,
        best=dict(values) if better else record.best,
        best_commit=attempt.commit or record.best_commit if better else record.best_commit,
        values=dict(values) if values else record.values,
        attempts=record.attempts + 1,
        tried=record.tried + 1,
        failures=0 if better else record.failures + 1,
        conflicts=record.conflicts + (attempt.result is Result.CONFLICT and not record.resolving),  # else it is the same still
        backoffs=0 if better or attempt.end not in ABNORMAL else record.backoffs,
        history=(*record.history, attempt)[-HISTORY:],
        carried=Spend(),
    )


def after_attempt(record: Record, attempt: Attempt, limits: Limits) -> Step:
    """What comes after `attempt`, which did not converge, given the record that counts it."""
    if attempt.result is Result.CONFLICT and record.conflicts >= CONFLICTS:
        return Step(Next.BLOCK, Reason.CONFLICT, attempt.detail or "the work conflicts with the base branch")
    if (spent := before_attempt(record, limits)).next is not Next.AGENT:
        return spent
    if attempt.end in ABNORMAL:
        reason = Reason.AGENT_LOST if attempt.end is AgentEnd.LOST else Reason.BACKOFF
        wait = backoff(record.backoffs, limits.backoff, limits.backoff_max)
        return Step(Next.PARK, reason, attempt.detail or f"the agent ended: {attempt.end}", wait)
    return Step(Next.AGENT, detail=attempt.detail)


def before_attempt(record: Record, limits: Limits) -> Step:
    """Whether another attempt is allowed: AGENT, or BLOCK with the limit that forbids it (FINISH where the task is optimized).
    All count since the last queueing."""
    if limits.optimize:
        return _enough(record, limits)
    if record.resolving and record.tries >= resolving.TRIES:
        return _unresolved(record, record.resolving)
    if limits.max_failures is not None and record.failures >= limits.max_failures and not _conflicting(record):
        return _exhausted(record, f"{_attempts(record.failures)} in a row brought no improvement")
    if limits.max_attempts is not None and record.tried >= limits.max_attempts:
        return _exhausted(record, f"{_attempts(record.tried)} since it was queued, the most there may be")
    if over := budget.exceeded(record, limits.budget):
        return Step(Next.BLOCK, Reason.BUDGET, over)
    return Step(Next.AGENT)


def _conflicting(record: Record) -> bool:
    """A conflict with the base has tries of its own, however many attempts came before it."""
    return record.resolving is not None or any(last.result is Result.CONFLICT for last in record.history[-1:])


def _enough(record: Record, limits: Limits) -> Step:
    if limits.max_failures is not None and record.failures >= limits.max_failures:
        return Step(Next.FINISH, Reason.NO_IMPROVEMENT, f"{_attempts(record.failures)} in a row brought no improvement")
    if over := budget.exceeded(record, limits.budget):
        return Step(Next.FINISH, Reason.BUDGET, over)
    return Step(Next.AGENT)


def missed(record: Record, held: str = "at target") -> tuple[Record, Step]:
    """A miss at a commit that had been at target, or what else was to hold: marked flaky and tried once more; the second one
    blocks the task."""
    record = replace(record, flaky=record.flaky + 1, streak=0, streak_commit=None)
    if record.flaky >= MISSES:
        detail = f"twice it was {held} and then not, at the same commit, in a clean checkout"
        return record, Step(Next.BLOCK, Reason.FLAKY, detail)
    return record, Step(Next.AGENT, detail=f"it was {held} and then not, at the same commit, in a clean checkout")


def resealed(record: Record, digest: str) -> Record:
    """The evaluator is sealed as `digest`. Numbers another one measured can't be compared with, so they are dropped."""
    if record.seal == digest:
        return record
    fresh = replace(record, seal=digest, streak=0, streak_commit=None)
    return fresh if record.seal is None else _unmeasured(fresh)


def _unmeasured(record: Record) -> Record:
    return replace(record, baseline={}, best={}, values={}, best_commit=None, samples={}, noisy=())


def given_up(record: Record) -> Record:
    """No agent resolves the conflict any more: the task branch is to hold the verified work again, and no marker."""
    found = record.resolving
    return replace(record, resolving=None, restart=Restart(found.tip, found.began)) if found else record


def requeued(record: Record) -> Record:
    """Queued again by a person (`retry`, or a move by hand): counted afresh; the history, the branch and its commits stay. What
    is on the base is measured anew there: whatever became of the base since, its old number is nothing to beat. What was undone
    begins anew at the commit that took it back: to merge its commits again would bring nothing."""
    return replace(
        _anew(given_up(record)),
        failures=0,
        tried=0,
        conflicts=0,
        flaky=0,
        streak=0,
        streak_commit=None,
        doubt=None,
        backoffs=0,
        not_before=None,
        stage=None,
        reason=None,
        detail=None,
        landed=None,
        earlier=_earlier(record),
        pull=record.pull and replace(record.pull, rounds=0),
        review=None,
        pauses={},
        session=None,
    )


def _anew(record: Record) -> Record:
    landed = record.landed
    if landed is None or landed.how not in ON_BASE:
        return record
    undone = landed.undone
    return replace(_unmeasured(record), restart=Restart(undone, undone) if undone else record.restart)


def _earlier(record: Record) -> Landed | None:
    """What the task has merged so far, if that was not taken back: its next claim may find nothing more to do."""
    landed = record.landed
    if landed is None:
        return record.earlier
    return landed if landed.how == "merge" and not landed.undone else None


def backoff(n: int, first: float, ceiling: float) -> float:
    """The wait after `n` waits in a row: `first`, then double each time, at most `ceiling`."""
    return min(ceiling, first * 2.0 ** min(max(n, 0), 64))


def _unresolved(record: Record, found: Resolving) -> Step:
    last = record.history[-1]
    told = f"{_attempts(resolving.TRIES)} to resolve it failed; the last one: {last.detail or last.result}"
    return Step(Next.BLOCK, Reason.CONFLICT, f"conflicts with newer commits on {record.base} in {found.named}; {told}")


def _exhausted(record: Record, why: str) -> Step:
    last = record.history[-1] if record.history else None
    if last is None:
        return Step(Next.BLOCK, Reason.EXHAUSTED, why)
    told = f"{why}; the last one: {last.detail or last.result}"
    return Step(Next.BLOCK, TYPED.get(last.result, Reason.EXHAUSTED), told)


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"
