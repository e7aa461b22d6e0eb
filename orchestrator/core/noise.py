"""How much a number varies by itself, what can be seen in spite of it, and when a noisy number is at its target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from functools import cache

from orchestrator.core.confidence import FEWEST

SAMPLES = 5  # of the baseline, which tell whether a metric is noisy
POWER = 0.8
FURTHER = 7  # else so many more are taken, of which all but a few must be there
ERROR = 0.05
SMALL, LARGEST = 0.1, 700.0  # of differences of logarithms: up to which one is as good as a percentage, or has a factor at all


def spread(samples: Sequence[float]) -> tuple[float, bool]:
    """The standard deviation, and whether it is relative (of the logarithms; all samples are above 0) or in the metric's unit."""
    if len(samples) < 2:
        return 0.0, False
    if min(samples) > 0:
        return _deviation([math.log(sample) for sample in samples]), True
    return _deviation(samples), False


def _deviation(values: Sequence[float]) -> float:
    largest = max(map(abs, values)) or 1.0  # the square of a large number is infinite, so all are made at most 1
    parts = [value / largest for value in values]
    mean = math.fsum(parts) / len(parts)
    return largest * math.sqrt(math.fsum((part - mean) ** 2 for part in parts) / (len(parts) - 1))


def detectable(deviation: float, pairs: int, alpha: float) -> float:
    """The effect that one test of so many pairs finds four times in five, where a sample has this standard deviation.

    (z(1 - alpha) + z(0.8)) * sd * sqrt(2 / n), the normal approximation for a paired difference (Cohen 1988, 2.3); for
    alpha 0.01 that is 2.6 sd at 3 pairs, 1.6 at 8, 1.1 at 16. The trial shares alpha among its looks and gives up early: it
    finds that of 8 pairs as often all the same, since two more looks follow, and that of 16 about every second time.
    """
    from statistics import NormalDist

    normal = NormalDist()
    return (normal.inv_cdf(1 - alpha) + normal.inv_cdf(POWER)) * deviation * math.sqrt(2 / pairs)


def told(name: str, samples: Sequence[float], alpha: float, pairs: Sequence[int]) -> str:
    """What can be seen of a change, for people and agents, before one is paid for."""
    deviation, relative = spread(samples)
    if not deviation:
        return f"{name} gave the same value each of {len(samples)} times."
    few, many = (detectable(deviation, n, alpha) for n in (min(pairs), max(pairs)))
    return (
        f"{name} varies by {_amount(deviation, relative)} (standard deviation of {len(samples)} samples of one commit). In up to "
        f"{max(pairs)} pairs of samples a change by {_amount(few, relative)} is found about four times in five, one by "
        f"{_amount(many, relative)} every second time at best; a smaller one most likely isn't told from chance."
    )


def _amount(value: float, relative: bool) -> str:
    """A difference of logarithms is a percentage only where it is small: one by 150 % would be less than nothing."""
    if not relative:
        return f"{value:.3g}"
    return f"{100 * value:.2g} %" if value < SMALL else f"a factor of {math.exp(min(value, LARGEST)):.3g}"


class Standing(StrEnum):
    """Whether a noisy metric's median is at its target."""

    SHOWN = "shown"
    OPEN = "open"
    NOT_SHOWN = "not-shown"


def standing(hits: Sequence[bool], first: int) -> Standing:
    """What these samples, at target or not, say: a sign test of the median with two looks, wrong in at most 5 % together where
    samples don't depend on each other.

    All of the first (`first`, at least five) are at target, or all but a few (`misses`) of these and seven more.
    """
    first = max(first, FEWEST)
    missed = len(hits) - sum(hits)
    if missed > misses(first):
        return Standing.NOT_SHOWN
    done = len(hits) >= first + FURTHER or (len(hits) >= first and not missed)
    return Standing.SHOWN if done else Standing.OPEN


@cache
def misses(first: int) -> int:
    """How many of `first` + 7 samples may miss the target, so that a median right at it passes in at most 5 % of cases.

    It passes at the first look with all, or at the second one with up to so many misses of which one was among the first.
    """
    ways, allowed = 0, 0
    while True:
        ways += math.comb(first + FURTHER, allowed + 1) - math.comb(FURTHER, allowed + 1)
        if 0.5**first + ways / 2 ** (first + FURTHER) > ERROR:
            return allowed
        allowed += 1
