"""Keep or discard by pairs: the rule, case by case. What it does in noise is in `test_false_keeps.py`."""

from __future__ import annotations

import math
import sys

import pytest

from orchestrator.core import trial
from orchestrator.core.spec import LEAST_ALPHA, Direction, Kind, Metric
from orchestrator.core.trial import Pair, Verdict

MS = Metric("ms", kind=Kind.NOISY)
RATE = Metric("rate", Direction.HIGHER, kind=Kind.NOISY)
ALPHA = 0.01


def pairs(n: int, before: float, after: float, name: str = "ms", **guards: tuple[float, float]) -> list[Pair]:
    old = {name: before, **{guard: values[0] for guard, values in guards.items()}}
    new = {name: after, **{guard: values[1] for guard, values in guards.items()}}
    return [Pair(old, new)] * n


def test_pairs_are_taken_in_the_order_a_b_b_a() -> None:
    assert [which for number in range(4) for which in trial.order(number)] == [False, True, True, False] * 2


def test_three_pairs_that_are_not_for_it_end_the_trial() -> None:
    assert trial.decide(MS, (), pairs(2, 100, 101), ALPHA).verdict is Verdict.MORE
    assert trial.decide(MS, (), pairs(3, 100, 101), ALPHA).verdict is Verdict.FUTILE
    assert trial.decide(MS, (), pairs(3, 100, 100), ALPHA).verdict is Verdict.FUTILE
    assert trial.decide(MS, (), pairs(3, 100, 99), ALPHA).verdict is Verdict.MORE


def test_eight_pairs_that_agree_are_enough_and_seven_never_are() -> None:
    assert trial.decide(MS, (), pairs(7, 100, 50), ALPHA).verdict is Verdict.MORE
    decision = trial.decide(MS, (), pairs(8, 100, 95), ALPHA)
    assert (decision.verdict, decision.p) == (Verdict.KEEP, 2**-8)
    assert decision.effect == pytest.approx(math.log(100 / 95))
    assert trial.decide(RATE, (), pairs(8, 95, 100, "rate"), ALPHA).verdict is Verdict.KEEP
    assert trial.decide(RATE, (), pairs(3, 100, 95, "rate"), ALPHA).verdict is Verdict.FUTILE


def test_one_pair_against_it_asks_for_twelve_and_doubt_ends_at_sixteen() -> None:
    eleven = [*pairs(1, 100, 120), *pairs(11, 100, 90)]
    assert trial.decide(MS, (), eleven[:8], ALPHA).verdict is Verdict.MORE
    assert trial.decide(MS, (), eleven, ALPHA).verdict is Verdict.MORE  # the largest of the ranks is against it
    assert trial.decide(MS, (), [*eleven[1:], *pairs(1, 100, 100.5)], ALPHA).verdict is Verdict.KEEP
    split = [*pairs(9, 100, 95), *pairs(7, 100, 106)]
    assert trial.decide(MS, (), split, ALPHA).verdict is Verdict.NOT_SHOWN


def test_the_least_alpha_that_may_be_set_still_keeps_what_is_always_better() -> None:
    always = [*pairs(8, 100, 90), *pairs(8, 100, 91)]
    assert trial.decide(MS, (), always, LEAST_ALPHA).verdict is Verdict.KEEP


def test_a_smaller_alpha_keeps_less() -> None:
    assert trial.decide(MS, (), pairs(8, 100, 95), 0.009).verdict is Verdict.MORE


@pytest.mark.parametrize(("after", "verdict"), [(94.9, Verdict.KEEP), (95.1, Verdict.FUTILE)])
def test_the_least_effect_is_relative_to_the_incumbent(after: float, verdict: Verdict) -> None:
    metric = Metric("ms", min_effect=0.05)
    n = 8 if verdict is Verdict.KEEP else 3
    assert trial.decide(metric, (), pairs(n, 100, after), ALPHA).verdict is verdict
    assert trial.least(Metric("r", Direction.HIGHER, min_effect=0.05), pairs(1, 1, 1, "r")) == pytest.approx(math.log(1.05))
    assert trial.least(Metric("ms", min_effect=1.0), pairs(1, 1, 1)) == math.inf


def test_where_a_value_is_not_above_zero_differences_are_taken_as_they_are() -> None:
    metric = Metric("delta", min_effect=0.1)
    decision = trial.decide(metric, (), pairs(8, -10, -12, "delta"), ALPHA)
    assert (decision.verdict, decision.effect) == (Verdict.KEEP, 2.0)
    assert trial.decide(metric, (), pairs(3, -10, -11, "delta"), ALPHA).verdict is Verdict.FUTILE
    assert trial.percent(metric, pairs(1, -10, -12, "delta"), 2.0) == "2 better"


def test_a_difference_beyond_the_largest_number_is_the_largest_number() -> None:
    """Infinity is no JSON: an event and `logs --json` hold the effect."""
    largest = sys.float_info.max
    assert trial.differences(Metric("delta"), pairs(1, 1e308, -1e308, "delta")) == [largest]
    assert trial.differences(Metric("delta"), pairs(1, -1e308, 1e308, "delta")) == [-largest]


def test_so_few_pairs_as_a_merge_has_show_a_guard_that_is_worse_in_each_of_them() -> None:
    size, kb = Metric("size", guard=True), Metric("kb", guard=True, kind=Kind.NOISY, tolerance=1.0)
    assert trial.always_worse((size, kb), pairs(4, 100, 90, size=(5.0, 5.0), kb=(10.0, 10.5))) == ""
    assert trial.always_worse((size, kb), pairs(4, 100, 90, size=(5.0, 5.5), kb=(10.0, 10.5))) == "size"
    assert trial.always_worse((kb,), pairs(4, 100, 90, kb=(10.0, 11.5))) == "kb"
    assert trial.always_worse((kb,), [*pairs(3, 100, 90, kb=(10.0, 11.5)), *pairs(1, 100, 90, kb=(10.0, 10.5))]) == ""


def test_an_effect_is_told_as_people_count_it() -> None:
    assert trial.percent(MS, pairs(1, 100, 90), math.log(100 / 90)) == "10.0 % better"
    assert trial.percent(RATE, pairs(1, 90, 100, "rate"), math.log(1.1)) == "10.0 % better"
    assert trial.percent(MS, pairs(1, 100, 110), math.log(100 / 110)) == "10.0 % worse"
    assert trial.percent(MS, pairs(1, 10000, 9998), math.log(10000 / 9998)) == "0.02 % better"
    assert trial.percent(MS, pairs(1, 10000, 1), math.log(10000)) == "99.9 % better"
    assert trial.percent(RATE, pairs(1, 1, 10000, "rate"), math.log(10000)) == "999900.0 % better"
    assert trial.percent(MS, pairs(1, 1, 1e300), -math.log(1e300)) == "1e+302 % worse"
    assert trial.percent(MS, pairs(1, 100, 100), 0.0) == "no better"


@pytest.mark.parametrize(
    ("guard", "after", "verdict"),
    [
        (Metric("kb", guard=True), 100.0, Verdict.KEEP),
        (Metric("kb", guard=True), 100.1, Verdict.GUARD),
        (Metric("kb", guard=True, tolerance=5.0), 105.0, Verdict.KEEP),
        (Metric("kb", guard=True, tolerance=0.7), 100.7, Verdict.KEEP),
        (Metric("kb", guard=True, min_effect=0.02), 102.1, Verdict.GUARD),
        (Metric("kb", Direction.HIGHER, guard=True), 99.0, Verdict.GUARD),
        (Metric("kb", Direction.HIGHER, guard=True), 130.0, Verdict.KEEP),
        (Metric("kb", guard=True, kind=Kind.NOISY), 104.9, Verdict.KEEP),  # unsaid, a noisy one may lose 5 %
        (Metric("kb", guard=True, kind=Kind.NOISY), 105.1, Verdict.GUARD),
        (Metric("kb", guard=True, kind=Kind.NOISY, tolerance=1.0), 101.1, Verdict.GUARD),
    ],
)
def test_a_guard_that_lost_more_than_it_may_refuses_a_better_number(guard: Metric, after: float, verdict: Verdict) -> None:
    decision = trial.decide(MS, (guard,), pairs(8, 100, 90, kb=(100.0, after)), ALPHA)
    assert (decision.verdict, decision.guard) == (verdict, "kb" if verdict is Verdict.GUARD else "")


def test_a_guard_that_is_not_shown_to_be_within_its_tolerance_asks_for_more_pairs_and_then_refuses() -> None:
    guard = Metric("kb", guard=True, tolerance=5.0)
    unsure = [*pairs(6, 100, 90, kb=(100.0, 100.0)), *pairs(2, 100, 90, kb=(100.0, 110.0))]
    assert trial.decide(MS, (guard,), unsure, ALPHA).verdict is Verdict.MORE
    assert trial.decide(MS, (guard,), [*unsure, *pairs(4, 100, 90, kb=(100.0, 100.0))], ALPHA).verdict is Verdict.KEEP
    assert trial.decide(MS, (guard,), [*unsure, *unsure], ALPHA).verdict is Verdict.KEEP
    assert trial.decide(MS, (guard,), [*unsure[2:], *unsure[2:], *unsure[4:]], ALPHA).verdict is Verdict.GUARD


def test_values_that_lie_as_far_apart_as_numbers_can_still_decide() -> None:
    assert trial.decide(MS, (), pairs(3, 1e-300, 1e300), ALPHA).verdict is Verdict.FUTILE
    assert trial.decide(MS, (), pairs(8, 1e300, 1e-300), ALPHA).verdict is Verdict.KEEP


@pytest.mark.parametrize(("size", "verdict"), [(5, Verdict.KEEP), (9, Verdict.KEEP), (50, Verdict.GUARD)])
def test_what_is_at_its_target_already_may_get_worse_only_up_to_that(size: float, verdict: Verdict) -> None:
    """The guard is a metric with a target of its own, declared before the one that is to get better."""
    mb = Metric("mb", target=10.0, kind=Kind.NOISY)
    assert trial.decide(MS, (mb,), pairs(8, 100, 80, mb=(5, size)), ALPHA).verdict is verdict
