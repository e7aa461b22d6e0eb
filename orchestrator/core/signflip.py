"""The exact one-sided sign-flip test on signed ranks (Wilcoxon 1945; exact for any ties, since the ties are in what is counted).

Under the null hypothesis a change does nothing, so that each paired difference was as likely to come out with the other sign.
"""

from __future__ import annotations

from collections.abc import Sequence


def p_value(differences: Sequence[float]) -> float:
    """How often chance alone gives a rank sum at least this good: over all 2^n signs, not an approximation. Better is > 0.

    Zeros say nothing and are dropped; equal sizes share the mean of their ranks. Nothing left is a p of 1.
    """
    told = [difference for difference in differences if difference]
    ranks = _doubled_ranks([abs(difference) for difference in told])
    seen = sum(rank for rank, difference in zip(ranks, told, strict=True) if difference > 0)
    ways = _ways(ranks)
    return sum(ways[seen:]) / float(2 ** len(ranks))


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the mid-rank of each size, so that ties stay whole numbers."""
    ordered = sorted(sizes)
    first = {size: place for place, size in reversed(list(enumerate(ordered, 1)))}
    last = {size: place for place, size in enumerate(ordered, 1)}
    return [first[size] + last[size] for size in sizes]


def _ways(ranks: Sequence[int]) -> list[int]:
    """By each sum: how many choices of signs give it. One rank after the other, instead of every choice by itself."""
    ways = [1] + [0] * sum(ranks)
    for rank in ranks:
        ways = [ways[total] + (ways[total - rank] if total >= rank else 0) for total in range(len(ways))]
    return ways
