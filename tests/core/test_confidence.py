import math
import random

import pytest
from scipy.stats import binomtest

from orchestrator.core import confidence
from orchestrator.core.spec import Direction


@pytest.mark.parametrize(("n", "percent"), [(0, 100), (1, 95), (3, 63), (5, 45), (10, 26), (29, 10), (59, 5)])
def test_the_evidence_of_n_passes_is_what_the_table_says(n: int, percent: int) -> None:
    assert round(100 * confidence.pass_bound(n)) == percent


@pytest.mark.parametrize(("passed", "missed"), [(10, 2), (11, 1), (5, 0), (1, 0), (100, 30)])
def test_the_bound_is_the_exact_one_also_where_some_missed(passed: int, missed: int) -> None:
    exact = binomtest(missed, passed + missed, alternative="less").proportion_ci(0.95, method="exact").high
    assert confidence.pass_bound(passed, missed) == pytest.approx(exact)


def test_fewer_than_five_samples_cannot_bound_a_median() -> None:
    assert confidence.median_bound([], Direction.LOWER) is None
    assert confidence.median_bound([1.0] * 4, Direction.LOWER) is None
    assert confidence.median_bound([3.0, 1.0, 2.0, 5.0, 4.0], Direction.LOWER) == 5.0
    assert confidence.median_bound([3.0, 1.0, 2.0, 5.0, 4.0], Direction.HIGHER) == 1.0


@pytest.mark.parametrize("n", [5, 8, 13])
def test_the_bound_of_the_median_errs_in_at_most_five_percent(n: int) -> None:
    """A simulation of noise whose true median is 0: the upper bound must lie below it in at most 5 % of the draws."""
    chance = random.Random(20261120 + n)
    draws = 4000
    wrong = 0
    for _ in range(draws):
        bound = confidence.median_bound([chance.gauss(0, 1) for _ in range(n)], Direction.LOWER)
        wrong += bound is not None and bound < 0
    assert wrong / draws <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)
