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
