"""What the rule is worth, by simulation: the table of `docs/measuring.md`, from fixed seeds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from statistics import median

import pytest

from orchestrator.core import noise as noises
from orchestrator.core import trial
from orchestrator.core.spec import Kind, Metric
from orchestrator.core.trial import Pair, Verdict

pytestmark = pytest.mark.no_cover  # the lines are counted elsewhere; counting them a million times takes longer than the rest
MS = Metric("ms", kind=Kind.NOISY)
ALPHA = 0.01
NOOPS = 4000
SD = 0.03  # of one sample, relative

Noise = Iterator[float]  # the log of what each next sample is multiplied with


def gaussian(chance: random.Random) -> Noise:
    while True:
        yield chance.gauss(0, SD)


def heavy(chance: random.Random) -> Noise:
    """Student's t with two degrees of freedom: now and then a sample that is three times as slow."""
    while True:
        yield SD / 2 * chance.gauss(0, 1) / math.sqrt(chance.expovariate(1))


def drift(chance: random.Random) -> Noise:
    """The machine gets 5 % slower and faster again, over a few hundred samples."""
    for number in range(10**9):
        yield chance.gauss(0, SD / 3) + 0.05 * math.sin(number / 60)


def bimodal(chance: random.Random) -> Noise:
    """Two modes (turbo or not), each kept for a while."""
    slow = False
    while True:
        slow ^= chance.random() < 0.2
        yield chance.gauss(0, SD / 3) + 0.1 * slow


def autocorrelated(chance: random.Random) -> Noise:
    now = 0.0
    while True:
        now = 0.9 * now + chance.gauss(0, SD / 2)
        yield now


def spikes(chance: random.Random) -> Noise:
    """Something else runs in one sample of ten."""
    while True:
        yield abs(chance.gauss(0, SD / 3)) + (chance.expovariate(5) if chance.random() < 0.1 else 0)


def rounded(chance: random.Random) -> Noise:
    """A coarse clock: most samples are alike."""
    while True:
        yield math.log(round(50 * math.exp(chance.gauss(0, SD / 2))) / 50)


MODELS: dict[str, Callable[[random.Random], Noise]] = {
    each.__name__: each for each in (gaussian, heavy, drift, bimodal, autocorrelated, spikes, rounded)
}


def judged(noise: Noise, effect: float = 0.0, alpha: float = ALPHA) -> Verdict:
    """One candidate that is better by `effect`, through the whole trial."""
    pairs: list[Pair] = []
    while True:
        values = dict.fromkeys((False, True), 0.0)
        for candidate in trial.order(len(pairs)):
            values[candidate] = 100 * (1 - effect * candidate) * math.exp(next(noise))
        pairs.append(Pair({"ms": values[False]}, {"ms": values[True]}))
        if (verdict := trial.decide(MS, (), pairs, alpha).verdict) is not Verdict.MORE:
            return verdict


def kept_by_median_of_five(noise: Noise, candidates: int) -> int:
    """What most do: a median of five, compared with the stored one of the incumbent."""

    def measured() -> float:
        return median(next(noise) for _ in range(5))

    best, kept = measured(), 0
    for _ in range(candidates):
        if (value := measured()) < best:
            best, kept = value, kept + 1
    return kept


@pytest.mark.parametrize("model", MODELS)
def test_of_four_thousand_changes_that_do_nothing_at_most_one_percent_is_kept(model: str) -> None:
    noise = MODELS[model](random.Random(20261127))
    kept = sum(judged(noise) is Verdict.KEEP for _ in range(NOOPS))
    assert kept / NOOPS <= ALPHA


@pytest.mark.parametrize(
    ("model", "power"),
    [
        ("gaussian", 0.8), ("heavy", 0.8), ("drift", 0.99), ("bimodal", 0.7),
        ("autocorrelated", 0.95), ("spikes", 0.7), ("rounded", 0.99),
    ],
)  # fmt: skip
def test_a_change_of_five_percent_is_found(model: str, power: float) -> None:
    noise = MODELS[model](random.Random(5))
    assert sum(judged(noise, 0.05) is Verdict.KEEP for _ in range(300)) / 300 >= power


@pytest.mark.parametrize(
    ("model", "least", "most"),
    [("gaussian", 0, 0.05), ("heavy", 0, 0.05), ("spikes", 0, 0.05), ("drift", 0.35, 0.5), ("bimodal", 0.2, 0.35), ("autocorrelated", 0.3, 0.45)],
)  # fmt: skip
def test_a_median_right_at_its_target_passes_as_often_as_the_page_says(model: str, least: float, most: float) -> None:
    """In at most 5 % where samples don't depend on each other, and much more often where they do: nothing is taken in turns."""
    chance = random.Random(9)
    noise = MODELS[model](chance)
    middle = median(next(noise) for _ in range(50_000))
    assert least <= sum(shown(noise, middle, chance) for _ in range(3000)) / 3000 <= most + 0.01


def shown(noise: Noise, middle: float, chance: random.Random) -> bool:
    """Whether samples from here on show their median at its target, at some other time than the ones before."""
    for _ in range(chance.randrange(40)):
        next(noise)
    hits: list[bool] = []
    while (standing := noises.standing(hits, 3)) is noises.Standing.OPEN:
        hits.append(next(noise) <= middle)
    return standing is noises.Standing.SHOWN


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.1])
def test_what_is_told_of_what_can_be_seen_is_so(alpha: float) -> None:
    """`noise.told`: the smallest change that is found four times in five, and the one that is about every second time."""
    noise = gaussian(random.Random(8))
    found = {
        pairs: sum(judged(noise, -math.expm1(-effect), alpha) is Verdict.KEEP for _ in range(600)) / 600
        for pairs in (8, 16)
        for effect in [noises.detectable(SD, pairs, alpha)]
    }
    assert 0.74 < found[8] < 0.88
    assert 0.3 < found[16] < 0.58


@pytest.mark.parametrize("model", ["gaussian", "heavy", "drift", "bimodal"])
def test_a_median_of_five_against_a_stored_one_keeps_several_times_as_much(model: str) -> None:
    chance = random.Random(20261127)
    noise = MODELS[model](chance)
    stored = sum(kept_by_median_of_five(MODELS[model](chance), 100) for _ in range(10))
    paired = sum(judged(noise) is Verdict.KEEP for _ in range(1000))
    assert stored > 2 * paired


def test_most_of_what_does_nothing_costs_three_pairs() -> None:
    noise = gaussian(random.Random(3))
    verdicts = [judged(noise) for _ in range(500)]
    assert verdicts.count(Verdict.FUTILE) / 500 > 0.4


def test_under_a_slow_drift_pairs_get_further_than_stored_medians() -> None:
    """A campaign in which one candidate of four is 2 % faster and the others 1 % slower, while the machine drifts by 5 %."""
    chance = random.Random(93)
    stored, paired = [], []
    for _ in range(10):
        stored.append(campaign(drift(chance), random.Random(1), by_pairs=False))
        paired.append(campaign(drift(chance), random.Random(1), by_pairs=True))
    assert median(paired) < median(stored) - 2


def campaign(noise: Noise, chance: random.Random, *, by_pairs: bool) -> float:
    """The true value that 40 candidates lead to, from 100."""
    true, best = 100.0, median(100.0 * math.exp(next(noise)) for _ in range(5))
    for _ in range(40):
        effect = 0.02 if chance.random() < 0.25 else -0.01
        if by_pairs:
            true *= 1 - effect * (judged(noise, effect) is Verdict.KEEP)
        elif (value := median(true * (1 - effect) * math.exp(next(noise)) for _ in range(5))) < best:
            true, best = true * (1 - effect), value
    return true
