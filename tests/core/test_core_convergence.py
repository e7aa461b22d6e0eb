from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import convergence
from orchestrator.core.budget import Budget
from orchestrator.core.convergence import Next, Step, after_attempt, before_attempt, counted
from orchestrator.core.limits import Limits, task_limits
from orchestrator.core.outcome import AgentEnd, Reason, Spend
from orchestrator.core.record import HISTORY, Attempt, Landed, Record, Restart, Result
from orchestrator.core.resolving import Resolving
from orchestrator.core.settings import Settings
from orchestrator.core.spec import Mode, Spec

FRESH = Record(id="1", name="fix", inode=1, slug="fix", baseline={"failures": 9.0}, best={"failures": 9.0}, best_commit="base")
LIMITS = Limits()


def attempt(result: Result = Result.UNCHANGED, end: AgentEnd = AgentEnd.FINISHED, **more: object) -> Attempt:
    return Attempt(**{"number": 1, "agent": "exec", "end": end, "result": result, "commit": "c1", **more})


def lived(
    record: Record, result: Result, end: AgentEnd = AgentEnd.FINISHED, *, improved: bool = False, limits: Limits = LIMITS
) -> tuple[Record, Step]:
    """The record and the step after one more attempt."""
    done = replace(attempt(result, end), number=record.attempts + 1)
    record = counted(record, done, improved=improved, values={"failures": 9.0})
    return record, after_attempt(record, done, limits)


def test_an_attempt_without_improvement_is_a_failure() -> None:
    record = counted(replace(FRESH, failures=1), attempt(), improved=False, values={"failures": 9.0})
    assert (record.attempts, record.tried, record.failures) == (1, 1, 2)
    assert (record.best, record.best_commit, record.values) == ({"failures": 9.0}, "base", {"failures": 9.0})
    assert [each.result for each in record.history] == [Result.UNCHANGED]


def test_an_improvement_ends_the_failures_and_the_waits_and_is_the_new_best() -> None:
    before = replace(FRESH, failures=4, backoffs=3, attempts=7, tried=4)
    record = counted(before, attempt(Result.IMPROVED, AgentEnd.TIMED_OUT), improved=True, values={"failures": 3.0})
    assert (record.attempts, record.tried, record.failures, record.backoffs) == (8, 5, 0, 0)
    assert (record.best, record.best_commit, record.values) == ({"failures": 3.0}, "c1", {"failures": 3.0})


def test_an_improvement_without_a_commit_keeps_the_commit_of_the_best() -> None:
    record = counted(FRESH, attempt(Result.IMPROVED, commit=None), improved=True, values={"failures": 3.0})
    assert record.best_commit == "base"


def test_an_attempt_that_measured_nothing_leaves_the_values_alone() -> None:
    record = counted(replace(FRESH, values={"failures": 4.0}), attempt(Result.DEFECT), improved=False, values={})
    assert record.values == {"failures": 4.0}
    assert record.failures == 1


@pytest.mark.parametrize("result", [Result.SCOPE_VIOLATION, Result.TAMPERED])
def test_numbers_got_by_a_refused_attempt_are_a_failure_and_no_best(result: Result) -> None:
    record = counted(replace(FRESH, failures=1), attempt(result), improved=True, values={"failures": 0.0})
    assert (record.failures, record.best) == (2, {"failures": 9.0})


def test_the_history_holds_the_last_fifty() -> None:
    record = FRESH
    for number in range(HISTORY + 5):
        record = counted(record, attempt(number=number), improved=False, values={})
    assert [each.number for each in record.history] == list(range(5, HISTORY + 5))
    assert record.attempts == HISTORY + 5


def test_attempts_that_end_normally_follow_each_other_until_the_fifth_failure_blocks() -> None:
    record, steps = FRESH, []
    for _ in range(5):
        record, step = lived(record, Result.UNCHANGED)
        steps.append(step)
    assert [step.next for step in steps] == [Next.AGENT] * 4 + [Next.BLOCK]
    assert steps[-1].reason is Reason.EXHAUSTED
    assert steps[-1].detail == "5 attempts in a row brought no improvement; the last one: no-improvement"


def test_a_broken_benchmark_at_an_agents_commit_is_just_a_failure() -> None:
    record, step = lived(FRESH, Result.DEFECT)
    assert record.failures == 1
    assert step.next is Next.AGENT
    _, step = lived(replace(FRESH, failures=4), Result.DEFECT)
    assert step.reason is Reason.EXHAUSTED


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Result.SCOPE_VIOLATION, Reason.SCOPE_VIOLATION),
        (Result.TAMPERED, Reason.TAMPERED),
        (Result.GATE, Reason.GATE),
        (Result.UNCHANGED, Reason.EXHAUSTED),
        (Result.FLAKY, Reason.EXHAUSTED),
    ],
)
def test_the_last_failure_names_the_reason_a_task_is_blocked_by(result: Result, reason: Reason) -> None:
    _, step = lived(replace(FRESH, failures=4), result)
    assert (step.next, step.reason) == (Next.BLOCK, reason)


def test_a_conflict_has_its_own_tries_whatever_failed_before() -> None:
    record, step = lived(replace(FRESH, failures=4), Result.CONFLICT)
    assert (record.failures, step.next) == (5, Next.AGENT)
    resolving = replace(record, resolving=Resolving("k", "fresh", "tip", "began", ("f",), record.attempts))
    assert lived(resolving, Result.UNCHANGED)[1].next is Next.AGENT
    assert lived(record, Result.UNCHANGED)[1].reason is Reason.EXHAUSTED
    again, step = lived(record, Result.CONFLICT)
    assert (again.conflicts, step.reason) == (2, Reason.CONFLICT)


def test_a_ceiling_that_a_conflict_reaches_names_the_conflict() -> None:
    _, step = lived(FRESH, Result.CONFLICT, limits=Limits(max_failures=5, max_attempts=1))
    assert (step.next, step.reason) == (Next.BLOCK, Reason.CONFLICT)


def test_a_ceiling_ends_a_task_that_improves_for_ever() -> None:
    record, step, count = FRESH, Step(Next.AGENT), 0
    while step.next is Next.AGENT:
        record, step = lived(record, Result.IMPROVED, improved=True, limits=Limits(max_failures=2, max_attempts=8))
        count += 1
    assert count == 8
    assert (step.next, step.reason) == (Next.BLOCK, Reason.EXHAUSTED)
    assert "8 attempts since it was queued" in step.detail


def test_without_a_limit_nothing_is_ever_exhausted() -> None:
    _, step = lived(
        replace(FRESH, failures=999, tried=999), Result.UNCHANGED, limits=Limits(max_failures=None, max_attempts=None)
    )
    assert step.next is Next.AGENT


def test_a_result_that_verification_overturns_is_counted_once() -> None:
    """The worker counts again from the record before the attempt, with what verification found."""
    first = counted(FRESH, attempt(Result.CONVERGED), improved=True, values={"failures": 0.0})
    again = counted(FRESH, attempt(Result.GATE), improved=True, values={"failures": 0.0})
    assert (first.attempts, again.attempts) == (1, 1)
    assert [each.result for each in again.history] == [Result.GATE]
    assert after_attempt(again, again.history[-1], LIMITS).next is Next.AGENT


@pytest.mark.parametrize("end", sorted(convergence.ABNORMAL))
def test_after_an_agent_that_could_not_work_the_task_waits(end: AgentEnd) -> None:
    record, step = lived(FRESH, Result.UNCHANGED, end)
    assert record.failures == 1
    assert (step.next, step.wait) == (Next.PARK, 5.0)
    assert step.reason is (Reason.AGENT_LOST if end is AgentEnd.LOST else Reason.BACKOFF)
    assert str(end) in step.detail


def test_waits_double_while_the_agent_keeps_crashing_and_then_the_task_is_blocked() -> None:
    record, waits = FRESH, []
    for _ in range(5):
        record, step = lived(record, Result.UNCHANGED, AgentEnd.FAILED)
        record = replace(record, backoffs=record.backoffs + 1)  # as whoever parks it does
        waits.append(step.wait)
    assert waits == [5.0, 10.0, 20.0, 40.0, 0.0]
    assert (step.next, step.reason, record.failures) == (Next.BLOCK, Reason.EXHAUSTED, 5)


def test_a_normal_end_forgets_earlier_waits() -> None:
    record, _ = lived(replace(FRESH, backoffs=3), Result.UNCHANGED)
    assert record.backoffs == 0


def test_a_conflict_gets_one_more_attempt_then_blocks() -> None:
    record, step = lived(FRESH, Result.CONFLICT, improved=True)
    assert (record.conflicts, step.next) == (1, Next.AGENT)
    record, step = lived(record, Result.CONFLICT, improved=True)
    assert (step.next, step.reason) == (Next.BLOCK, Reason.CONFLICT)


RESOLVING = Resolving("k", "fresh", "tip", "began", ("a.py",), 1)


def test_a_conflict_that_is_resolved_is_one_conflict_and_gets_two_tries() -> None:
    record, _ = lived(FRESH, Result.CONFLICT)
    record, step = lived(replace(record, resolving=RESOLVING), Result.CONFLICT)
    assert (record.conflicts, step.next) == (1, Next.AGENT)
    record, step = lived(record, Result.GATE)
    assert (record.conflicts, step.next, step.reason) == (1, Next.BLOCK, Reason.CONFLICT)
    assert step.detail.endswith("in a.py; 2 attempts to resolve it failed; the last one: gate")
    assert before_attempt(record, LIMITS).reason is Reason.CONFLICT  # told also by whoever comes after a kill


def test_an_agent_that_was_killed_has_not_tried_to_resolve_a_conflict() -> None:
    record, _ = lived(FRESH, Result.CONFLICT)
    record, step = lived(replace(record, resolving=RESOLVING), Result.CONFLICT)
    record, step = lived(record, Result.CONFLICT, AgentEnd.LOST)
    assert (record.tries, step.next) == (1, Next.PARK)


def test_queued_again_what_is_on_the_base_is_unmeasured_and_what_was_undone_begins_where_it_was_taken_back() -> None:
    done = replace(FRESH, landed=Landed("merge", "main", "merge", undone="undo"))
    again = convergence.requeued(done)
    assert (again.restart, again.landed) == (Restart("undo", "undo"), None)
    assert (again.baseline, again.best, again.best_commit) == ({}, {}, None)
    for how in ("merge", "none"):
        again = convergence.requeued(replace(done, landed=Landed("commit", "main", how)))
        assert (again.restart, again.baseline) == (None, {})
    for how in ("branch", "pr"):
        assert convergence.requeued(replace(done, landed=Landed("commit", "main", how))).baseline == FRESH.baseline


def test_whoever_gives_a_resolution_up_or_queues_the_task_again_goes_back_to_the_verified_work() -> None:
    for again in (convergence.given_up, convergence.requeued):
        record = again(replace(FRESH, resolving=RESOLVING, base_commit="fresh"))
        assert (record.resolving, record.restart) == (None, Restart("tip", "began"))
    assert convergence.requeued(FRESH).restart is None


def test_a_budget_of_attempts_blocks_when_it_is_used_up() -> None:
    limits = Limits(budget=Budget(attempts=2))
    record, step = lived(FRESH, Result.IMPROVED, improved=True, limits=limits)
    assert step.next is Next.AGENT
    record, step = lived(record, Result.IMPROVED, improved=True, limits=limits)
    assert (step.next, step.reason, step.detail) == (Next.BLOCK, Reason.BUDGET, "its budget of 2 attempts is used up")
    assert before_attempt(convergence.requeued(record), limits).next is Next.AGENT


def test_a_budget_of_minutes_counts_the_time_since_the_task_was_queued() -> None:
    limits = Limits(budget=Budget(minutes=2.0), max_failures=None, max_attempts=None)
    old = replace(FRESH, history=(attempt(seconds=9000.0),), attempts=1, spend=Spend(seconds=9000.0))
    assert before_attempt(old, limits).next is Next.AGENT
    record = counted(old, attempt(seconds=119.0), improved=False, values={})
    assert before_attempt(record, limits).next is Next.AGENT
    record = counted(record, attempt(seconds=1.0), improved=False, values={})
    assert before_attempt(record, limits).reason is Reason.BUDGET


def test_a_budget_of_minutes_falls_back_to_the_whole_spend_when_the_history_is_too_short() -> None:
    record = replace(FRESH, tried=HISTORY + 1, spend=Spend(seconds=120.0))
    assert (
        before_attempt(record, Limits(budget=Budget(minutes=2.0), max_failures=None, max_attempts=None)).reason is Reason.BUDGET
    )


def test_a_task_that_is_out_of_failures_gets_no_further_attempt_in_its_next_claim() -> None:
    step = before_attempt(replace(FRESH, failures=1), Limits(max_failures=1))
    assert (step.next, step.reason, step.detail) == (Next.BLOCK, Reason.EXHAUSTED, "1 attempt in a row brought no improvement")
    assert before_attempt(FRESH, LIMITS) == Step(Next.AGENT)


def test_one_miss_marks_a_task_flaky_and_the_second_blocks_it() -> None:
    record, step = convergence.missed(replace(FRESH, streak=2, streak_commit="c1"))
    assert (record.flaky, record.streak, record.streak_commit, step.next) == (1, 0, None, Next.AGENT)
    record, step = convergence.missed(record)
    assert (record.flaky, step.next, step.reason) == (2, Next.BLOCK, Reason.FLAKY)


def test_numbers_of_another_evaluator_are_dropped() -> None:
    sealed = convergence.resealed(FRESH, "d1")
    assert (sealed.seal, sealed.baseline) == ("d1", FRESH.baseline)
    assert convergence.resealed(sealed, "d1") is sealed
    other = convergence.resealed(replace(sealed, streak=2, values={"failures": 1.0}), "d2")
    assert (other.seal, other.streak, other.baseline, other.best, other.values, other.best_commit) == ("d2", 0, {}, {}, {}, None)


def test_queueing_again_resets_the_counters_and_keeps_history_and_branch() -> None:
    used = replace(
        counted(FRESH, attempt(), improved=False, values={}),
        conflicts=2, flaky=2, streak=1, streak_commit="c", backoffs=4, not_before=9.0, stage="agent", branch="orchestrator/fix",
        reason=Reason.EXHAUSTED, detail="so", landed=Landed("c", "main", "branch"),
    )  # fmt: skip
    again = convergence.requeued(used)
    assert (again.failures, again.tried, again.conflicts, again.flaky, again.streak, again.backoffs) == (0, 0, 0, 0, 0, 0)
    assert (again.streak_commit, again.not_before, again.stage, again.reason, again.detail, again.landed) == (None,) * 6
    assert (again.history, again.branch, again.attempts, again.best) == (used.history, "orchestrator/fix", 1, used.best)


def test_the_back_off_doubles_up_to_its_ceiling() -> None:
    assert [convergence.backoff(n, 5.0, 900.0) for n in (-1, 0, 1, 2, 7, 8, 10**9)] == [5.0, 5.0, 10.0, 20.0, 640.0, 900.0, 900.0]


def test_a_spec_overrules_the_settings_and_the_ceiling_follows() -> None:
    assert task_limits(Spec(), Settings()) == Limits()
    limits = task_limits(Spec(max_failures=2, budget_attempts=3, budget_minutes=1.5), Settings(max_failures=None, backoff=1.0))
    assert (limits.max_failures, limits.max_attempts, limits.budget.attempts, limits.budget.minutes, limits.backoff) == (
        2,
        8,
        3,
        1.5,
        1.0,
    )
    unlimited = task_limits(Spec(), Settings(max_failures=None))
    assert (unlimited.max_failures, unlimited.max_attempts) == (None, None)


def test_an_optimized_task_ends_at_its_plateau_or_budget_and_never_by_a_ceiling() -> None:
    spec = Spec(mode=Mode.OPTIMIZE, max_failures=1, budget_attempts=9)
    found = task_limits(spec, Settings(plateau=3))
    assert (found.max_failures, found.max_attempts, found.optimize) == (3, None, True)
    assert task_limits(replace(spec, plateau=2), Settings()).max_failures == 2
    assert convergence.before_attempt(replace(FRESH, failures=2, tried=8), found).next is Next.AGENT
    plateau = convergence.before_attempt(replace(FRESH, failures=3, tried=8), found)
    assert (plateau.next, plateau.reason) == (Next.FINISH, Reason.NO_IMPROVEMENT)
    over = convergence.before_attempt(replace(FRESH, failures=1, tried=9), found)
    assert (over.next, over.reason) == (Next.FINISH, Reason.BUDGET)
