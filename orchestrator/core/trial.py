"""Keep or discard: a candidate against the incumbent, both measured now, in pairs in the order A B B A.

A repeated median doesn't do it: the incumbent's luck is stored and beaten by nobody, or by everybody once the machine got faster.
Pairs taken in turns see the same machine. The numbers of it, and what they are worth, are in `docs/measuring.md`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core import noise, signflip
from orchestrator.core.confidence import median, median_bound
from orchestrator.core.metrics import widened
from orchestrator.core.spec import Direction, Kind, Metric
from orchestrator.core.value import Value

FUTILE_AFTER = 3
LOOKS = ((8, 0.4), (12, 0.3), (16, 0.3))  # pairs, and the share of alpha spent there: by Bonferroni no more than all of it
MOST = LOOKS[-1][0]
CONFIRMING = 4  # fresh pairs that only measure the effect: the block that won was chosen for its luck, too
TINIEST, LARGEST = sys.float_info.min, sys.float_info.max  # no ratio is beyond them, so that each has a logarithm
MANY = 1e6  # percent, from which on they are told in powers of ten
GUARD_ALLOWANCE = 0.05  # of a noisy guard of which nothing is said: no bound of noise is ever at 0


class Verdict(StrEnum):
    """What the pairs so far say."""

    MORE = "more"
    KEEP = "keep"
    FUTILE = "futile"  # not even the first three pairs are for it
    NOT_SHOWN = "not-shown"
    GUARD = "guard"  # the number is better, a guarded one is worse or may be


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pair(Value):
    """One sample of each, taken right after each other."""

    incumbent: Mapping[str, float]
    candidate: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Decision(Value):
    """`effect` is the median paired difference (see `differences`), `p` of the last look, `guard` the one that refused."""

    verdict: Verdict
    pairs: int = 0
    effect: float = 0.0
    p: float | None = None
    guard: str = ""


def detectable(samples: Mapping[str, Sequence[float]], noisy: Sequence[str], alpha: float) -> str:
    """What can be seen of a change of each noisy metric, by the samples of its baseline, in words; empty where none is known."""
    known = ((name, samples.get(name, ())) for name in noisy)
    looks = [pairs for pairs, _ in LOOKS]
    return " ".join(noise.told(name, taken, alpha, looks) for name, taken in known if len(taken) > 1)


def order(number: int) -> tuple[bool, bool]:
    """Of pair `number` (from 0): whether each of its two samples is the candidate's. A B, B A, A B, …: a drift cancels out."""
    return (False, True) if number % 2 == 0 else (True, False)


def decide(primary: Metric, guards: Sequence[Metric], pairs: Sequence[Pair], alpha: float) -> Decision:
    """What these pairs say. Asked after every pair, it decides only at the looks laid down before."""
    n = len(pairs)
    share = dict(LOOKS).get(n)
    if n != FUTILE_AFTER and share is None:
        return Decision(Verdict.MORE, n)
    effect = median(differences(primary, pairs))
    better = effect > least(primary, pairs)
    if share is None:
        return Decision(Verdict.MORE if better else Verdict.FUTILE, n, effect)
    p = signflip.p_value(differences(primary, pairs))
    if better and p <= share * alpha:
        refusing = next((guard.name for guard in guards if not guarded(guard, pairs)), "")
        kept = Verdict.GUARD if refusing and (n == MOST or worse(guards, pairs)) else Verdict.MORE if refusing else Verdict.KEEP
        return Decision(kept, n, effect, p, refusing)
    return Decision(Verdict.NOT_SHOWN if n == MOST else Verdict.MORE, n, effect, p)


def differences(metric: Metric, pairs: Sequence[Pair]) -> list[float]:
    """How much better the candidate was in each pair: the log of the ratio, where all values are above 0, else the difference."""
    sign = 1 if metric.direction is Direction.LOWER else -1
    values = [(pair.incumbent[metric.name], pair.candidate[metric.name]) for pair in pairs]
    if relative(metric, pairs):
        return [sign * math.log(min(max(before / after, TINIEST), LARGEST)) for before, after in values]
    return [max(-LARGEST, min(sign * (before - after), LARGEST)) for before, after in values]


def relative(metric: Metric, pairs: Sequence[Pair]) -> bool:
    """Whether differences are ratios."""
    return all(pair.incumbent[metric.name] > 0 and pair.candidate[metric.name] > 0 for pair in pairs)


def least(metric: Metric, pairs: Sequence[Pair]) -> float:
    """`min_effect` on the scale of `differences`."""
    if not relative(metric, pairs):
        return metric.min_effect * abs(median(pair.incumbent[metric.name] for pair in pairs))
    if metric.direction is Direction.HIGHER:
        return math.log1p(metric.min_effect)
    return -math.log1p(-metric.min_effect) if metric.min_effect < 1 else math.inf


def percent(metric: Metric, pairs: Sequence[Pair], effect: float) -> str:
    """An effect for people: `6.1 % better`, or in the metric's own unit where no ratio makes sense."""
    if not effect:
        return "no better"
    word = "better" if effect > 0 else "worse"
    if not relative(metric, pairs):
        return f"{abs(effect):.4g} {word}"
    change = -math.expm1(-effect) if metric.direction is Direction.LOWER else math.expm1(effect)
    return f"{_percents(100 * abs(change))} % {word}"


def _percents(share: float) -> str:
    """To a tenth, or two digits where it is less than one; what isn't all of it is never shown as that."""
    if share < 1:
        return f"{share:.2g}"
    return f"{min(share, 99.9) if share < 100 else share:.1f}" if share < MANY else f"{share:.3g}"


def guarded(guard: Metric, pairs: Sequence[Pair]) -> bool:
    """Whether the guard's median paired loss is within its allowance, by its one-sided 95 % bound."""
    bound = median_bound(_losses(guard, pairs), Direction.LOWER)
    return bound is not None and bound <= _allowance(guard, pairs)


def worse(guards: Sequence[Metric], pairs: Sequence[Pair]) -> bool:
    """Whether a guard is shown to have lost more than it may: more pairs won't help it."""
    bounds = ((median_bound(_losses(guard, pairs), Direction.HIGHER), _allowance(guard, pairs)) for guard in guards)
    return any(bound is not None and bound > allowed for bound, allowed in bounds)


def always_worse(guards: Sequence[Metric], pairs: Sequence[Pair]) -> str:
    """The first guard that lost more than it may in each of these pairs, where they are too few for a bound; empty for none."""
    return next((guard.name for guard in guards if min(_losses(guard, pairs)) > _allowance(guard, pairs)), "")


def _losses(guard: Metric, pairs: Sequence[Pair]) -> list[float]:
    """In the guard's own unit, since its tolerance is."""
    sign = 1 if guard.direction is Direction.LOWER else -1
    return [sign * (pair.candidate[guard.name] - pair.incumbent[guard.name]) for pair in pairs]


def _allowance(guard: Metric, pairs: Sequence[Pair]) -> float:
    before = abs(median(pair.incumbent[guard.name] for pair in pairs))
    unsaid = guard.kind is Kind.NOISY and not guard.tolerance and not guard.min_effect
    allowed = widened(guard.tolerance + (GUARD_ALLOWANCE if unsaid else guard.min_effect) * before, before)
    return allowed if guard.guard or guard.target is None else max(allowed, _room(guard, guard.target, pairs))


def _room(metric: Metric, target: float, pairs: Sequence[Pair]) -> float:
    """What a metric that is at its target may lose and still be there."""
    sign = 1 if metric.direction is Direction.LOWER else -1
    return sign * (target - median(pair.incumbent[metric.name] for pair in pairs)) + metric.tolerance
