from __future__ import annotations

import random
from itertools import product

import pytest
from scipy import stats

from orchestrator.core.signflip import p_value


def enumerated(differences: list[float]) -> float:
    """The same by every one of the 2^n signs, on mid-ranks."""
    told = [difference for difference in differences if difference]
    ranks = stats.rankdata([abs(difference) for difference in told])
    seen = sum(rank for rank, difference in zip(ranks, told, strict=True) if difference > 0)
    sums = [sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign) for signs in product((0, 1), repeat=len(told))]
    return sum(total >= seen for total in sums) / len(sums)


@pytest.mark.parametrize("n", [3, 8, 12, 16, 25])
def test_without_ties_it_is_scipy_s_exact_wilcoxon_test(n: int) -> None:
    chance = random.Random(n)
    for shift in (-0.5, 0.0, 0.3, 1.0):
        differences = [chance.gauss(shift, 1) for _ in range(n)]
        oracle = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
        assert p_value(differences) == pytest.approx(oracle, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 8, 12])
def test_with_ties_and_zeros_it_is_what_all_signs_enumerate_to(n: int) -> None:
    chance = random.Random(n)
    for _ in range(10):
        differences = [float(chance.randint(-3, 4)) for _ in range(n)]
        assert p_value(differences) == pytest.approx(enumerated(differences), rel=1e-12)


# Critical values of the smaller rank sum at a one-sided 0.01 (Wilcoxon & Wilcox 1964, in every textbook's appendix).
TABLE = {7: 0, 8: 1, 9: 3, 10: 5, 11: 7, 12: 9, 13: 12, 14: 15, 15: 19, 16: 23}


@pytest.mark.parametrize(("n", "critical"), TABLE.items())
def test_it_agrees_with_the_published_table(n: int, critical: int) -> None:
    def with_against(total: int) -> list[float]:
        """Ranks 1 to n, of which `total` are against the change."""
        signed = []
        for rank in range(n, 0, -1):
            signed.append(float(-rank if rank <= total else rank))
            total -= rank if rank <= total else 0
        return signed

    assert p_value(with_against(critical)) <= 0.01 < p_value(with_against(critical + 1))


def test_nothing_and_all_alike() -> None:
    assert p_value([]) == p_value([0.0, 0.0]) == 1.0
    assert p_value([2.0] * 8) == 2**-8
    assert p_value([-1.0] * 8) == 1.0
