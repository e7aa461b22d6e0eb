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
    return _choices(ranks, seen) / float(2 ** len(ranks))


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the mid-rank of each size, so that ties stay whole numbers."""
    ordered = sorted(sizes)
    first = {size: place for place, size in reversed(list(enumerate(ordered, 1)))}
    last = {size: place for place, size in enumerate(ordered, 1)}
    return [first[size] + last[size] for size in sizes]


def _choices(ranks: Sequence[int], least: int) -> int:
    """How many choices of signs give a sum of at least `least`: the coefficients of the product of all 1 + x^rank, each in a
    field of one long number that has room for their total. The rest of a division by 2^width - 1 adds the fields up."""
    width = len(ranks) + 2
    ways = 1
    for rank in ranks:
        ways += ways << rank * width
    return (ways >> least * width) % ((1 << width) - 1)
