from __future__ import annotations

import math
import random

import pytest

from orchestrator.core import noise
from orchestrator.core.noise import Standing


def test_the_spread_is_relative_where_it_can_be() -> None:
    assert noise.spread([100.0, 110.0, 90.0, 105.0, 95.0]) == (pytest.approx(0.0792, abs=1e-3), True)
    assert noise.spread([-1.0, 0.0, 1.0]) == (1.0, False)
    assert noise.spread([5.0]) == (0.0, False)


@pytest.mark.parametrize(("pairs", "deviations"), [(3, 2.6), (8, 1.6), (16, 1.1)])
def test_the_minimum_detectable_effect_is_what_the_page_says(pairs: int, deviations: float) -> None:
    assert noise.detectable(1.0, pairs, 0.01) == pytest.approx(deviations, abs=0.05)


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ([100.0, 101.0, 99.0, 100.0, 100.0], "varies by 0.71 % (standard deviation of 5 samples"),
        ([10.0, 20.0, 40.0, 10.0, 20.0], "varies by a factor of 1.79 (standard deviation of 5 samples"),
        ([10.0, 20.0, 40.0, 10.0, 20.0], "by a factor of 2.51 is found about four times in five, one by a factor of 1.91 every"),
        ([1e-300, 1e300], "varies by a factor of 1.01e+304"),
        ([-1.0, 0.0, 1.0], "varies by 1 (standard deviation of 3 samples"),
        ([7.0, 7.0], "m gave the same value each of 2 times."),
    ],
)
def test_a_large_spread_is_told_as_a_factor_and_never_as_more_than_all_of_it(samples: list[float], told: str) -> None:
    assert told in noise.told("m", samples, 0.01, (8, 12, 16))


def test_five_of_five_show_a_noisy_target_and_later_at_most_two_of_twelve_may_miss() -> None:
    assert noise.standing([True] * 4, 3) is Standing.OPEN
    assert noise.standing([True] * 5, 3) is Standing.SHOWN
    one = [True, False, True, True, True]
    assert noise.standing(one, 3) is Standing.OPEN
    assert noise.standing([*one, *[True] * 7], 3) is Standing.SHOWN
    assert noise.standing([*one, False, *[True] * 6], 3) is Standing.SHOWN
    assert noise.standing([*one, False, False], 3) is Standing.NOT_SHOWN


@pytest.mark.parametrize("first", [5, 6, 8, 13, 29])
def test_a_median_that_is_not_at_its_target_passes_in_at_most_five_percent(first: int) -> None:
    """The worst case, a median right at it, by simulation; how many may miss is found exactly."""
    chance, draws, wrong = random.Random(first), 4000, 0
    for _ in range(draws):
        hits: list[bool] = []
        while (standing := noise.standing(hits, first)) is Standing.OPEN:
            hits.append(chance.random() < 0.5)
        wrong += standing is Standing.SHOWN
    assert wrong / draws <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_a_metric_that_misses_one_time_in_ten_is_shown_more_often_than_by_five_in_a_row() -> None:
    chance, draws, shown = random.Random(1), 2000, 0
    for _ in range(draws):
        hits: list[bool] = []
        while (standing := noise.standing(hits, 3)) is Standing.OPEN:
            hits.append(chance.random() < 0.9)
        shown += standing is Standing.SHOWN
    assert 0.9**5 < 0.6 < 0.85 < shown / draws


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e200, 1e308])
def test_the_spread_of_numbers_of_any_size_is_known(size: float) -> None:
    deviation, relative = noise.spread([-size, 0.0, size])
    assert (deviation / size, relative) == (pytest.approx(1.0), False)
