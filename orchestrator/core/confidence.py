"""What so many samples show: their median, and the 95 % bounds of it and of a rate of failures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from orchestrator.core.spec import Direction

CONFIDENCE = 0.95
BISECTIONS = 50
FEWEST = 5  # samples, all at target, that put the one-sided bound of the median past it: 1 - 0.5^5 = 96.9 %


def pass_bound(passed: int, missed: int = 0) -> float:
    """The failure rate that so many samples still allow at 95 %: 3 passes of 3 63 %, 10 of 10 26 %, 59 of 59 5 %, 10 of 12 44 %.

    Clopper and Pearson's exact bound; where some missed it has no closed form and is closed in on.
    """
    if not missed or not passed:
        return 1.0 - (1.0 - CONFIDENCE) ** (1.0 / passed) if passed else 1.0
    low, high = 0.0, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(missed, passed + missed, middle) > 1.0 - CONFIDENCE else (low, middle)
    return high


def _at_most(missed: int, n: int, rate: float) -> float:
    """How likely no more than so many of n miss, where each does at this rate."""
    return math.fsum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(missed + 1))


def median(samples: Iterable[float]) -> float:
    """The middle one, or the mean of the two in the middle. (`statistics` costs a worker a fifth of its start.)"""
    ordered = sorted(samples)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else ordered[half - 1] / 2 + ordered[half] / 2  # their sum may be infinite


def median_bound(samples: Sequence[float], direction: Direction) -> float | None:
    """The one-sided 95 % bound of the median, by order statistics; None below five samples, which can't show it.

    A noisy metric is at target when this bound is: that some lucky samples were says little.
    """
    n = len(samples)
    below = 0.0
    for rank in range(n):
        below += math.comb(n, rank) / 2**n
        if below >= CONFIDENCE:
            return sorted(samples, reverse=direction is Direction.HIGHER)[rank]
    return None
