"""A candidate against the incumbent, each in a clean checkout of its own: is it better?

Nothing of it is written down but what each sample said. Whoever dies here has lost samples, and measures them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.core import metrics, trial
from orchestrator.core.confidence import median
from orchestrator.core.spec import Kind, Metric
from orchestrator.core.trial import Decision, Pair, Verdict
from orchestrator.core.value import Value
from orchestrator.worker import noisiness, verify
from orchestrator.worker.execution import Sample
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work


@dataclass(frozen=True, slots=True)
class Place:
    """Which commit to measure, and how to come by a checkout of it."""

    commit: str
    stand: Callable[[], Path]


Places = Mapping[bool, Place]  # by whether it is the candidate


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Compared(Value):
    """The answer, in words that tell why, and the candidate's numbers as they count from now on."""

    better: bool
    detail: str
    values: Mapping[str, float]


class Broken(Exception):
    """A sample that was to be compared has a defect; the text says which and how."""


def with_incumbent(work: Work, space: Space, incumbent: str, result: Sample) -> Compared:
    """Whether what lies on the task branch, of which `result` is the first sample, is better than the `incumbent` commit."""
    try:
        if not noisy(work):
            best = work.record.best or _incumbents(work, space, incumbent)
            if not metrics.improved(work.judged.metrics, result.values, best):
                return Compared(False, _unmoved(work, result.values, best), result.values)
            values = _repeated(work, space, result)
            if not noisy(work):
                better = metrics.improved(work.judged.metrics, values, best)
                return Compared(better, _unmoved(work, values, best), values)
        return _by_pairs(work, space, incumbent, result)
    except Broken as error:
        return Compared(False, str(error), result.values)


def as_good(work: Work, space: Space, incumbent: str, result: Sample) -> Compared:
    """Whether it is no worse than the incumbent (`better` says so): what answers a demand need not be better. Of a noisy number
    the bound has to show it, as of a guard, over the pairs of the first look."""
    try:
        if not noisy(work):
            lost = metrics.lost(work.judged.metrics, result.values, work.record.best)
            return Compared(not lost, lost or "no worse", result.values)
        places = _places(work, space, incumbent, space.tip)
        pairs = [_pair(work, places, number, "pair") for number in range(trial.LOOKS[0][0])]
    except Broken as error:
        return Compared(False, str(error), result.values)
    _find_out(work, pairs)
    metric, guards = _compared(work)
    worse = next((each.name for each in (metric, *guards) if not trial.guarded(each, pairs)), "")
    return Compared(not worse, f"{worse} is not shown to be as good as it was" if worse else "no worse", _counting(work, pairs))


def still_better(work: Work, space: Space, base: str, merged: str) -> str | None:
    """Why `merged` isn't better than the `base` it would land on, None where it is. For a noisy metric four pairs have to agree
    on it by their median, and all of them that a guard is worse: the change itself was shown before, this asks whether the merge
    took it away."""
    metric, guards = _compared(work)
    try:
        places = _places(work, space, base, merged)
        if not noisy(work):
            before, after = (_measured(work, places[which], "merged") for which in (False, True))
            return None if metrics.improved(work.judged.metrics, after, before) else _unmoved(work, after, before)
        pairs = [_pair(work, places, number, "merged") for number in range(trial.CONFIRMING)]
    except Broken as error:
        return str(error)
    effect = median(trial.differences(metric, pairs))
    if effect <= 0:
        return f"{metric.name} is {trial.percent(metric, pairs, effect)} than the base it would land on"
    worse = trial.always_worse(guards, pairs)
    return f"{worse} is worse than on the base it would land on" if worse else None


def noisy(work: Work) -> bool:
    """Whether one of the metrics that decide varies by itself."""
    return any(metric.kind is Kind.NOISY for metric in metrics.decisive(work.judged.metrics))


def _compared(work: Work) -> tuple[Metric, tuple[Metric, ...]]:
    known = work.judged.metrics
    return metrics.primary(known, work.record.best), metrics.watched(known, work.record.best)


def _incumbents(work: Work, space: Space, incumbent: str) -> Mapping[str, float]:
    """The incumbent's numbers, where a fresh base has made the ones on record worthless."""
    best = _measured(work, Place(incumbent, lambda: space.rival(work, incumbent)), "incumbent")
    work.note(best=dict(best))
    _begin_there(work, incumbent, best)
    return best


def _begin_there(work: Work, incumbent: str, values: Mapping[str, float]) -> None:
    """On a fresh base a task has begun anew: what others gained meanwhile is there, and none of its own."""
    if incumbent == work.record.base_commit:
        work.note(baseline=dict(values))


def _repeated(work: Work, space: Space, result: Sample) -> Mapping[str, float]:
    """The candidate's numbers, measured twice with the same values. Else the metrics that differ turn out to be noisy.

    The first sample was taken where the agent worked; should a clean checkout say otherwise, that has to repeat.
    """
    checkout = space.checkout(work, space.tip)
    place = Place(space.tip, lambda: checkout)
    seen = [result.values, _measured(work, place, "again")]
    if _differing(work, seen):
        seen = [seen[1], _measured(work, place, "again")]
    _reclassify(work, seen)
    return seen[1]


def _reclassify(work: Work, seen: Sequence[Mapping[str, float]]) -> None:
    if differing := _differing(work, seen):
        noisiness.reclassify(work, {name: tuple(dict.fromkeys(values[name] for values in seen))[:2] for name in differing})


def _differing(work: Work, seen: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """The metrics that decide, passed for exact, and were not the same each time."""
    exact = (metric.name for metric in metrics.decisive(work.judged.metrics) if metric.kind is not Kind.NOISY)
    return tuple(name for name in exact if any(values[name] != seen[0][name] for values in seen))


def _by_pairs(work: Work, space: Space, incumbent: str, result: Sample) -> Compared:
    places = _places(work, space, incumbent, space.tip)
    pairs: list[Pair] = []
    decision = Decision(Verdict.MORE)
    while decision.verdict is Verdict.MORE:
        pairs.append(_pair(work, places, len(pairs), "pair"))
        _find_out(work, pairs)
        metric, guards = _compared(work)
        decision = trial.decide(metric, guards, pairs, work.alpha)
    if not work.record.best:
        _begin_there(work, incumbent, _medians(work, [pair.incumbent for pair in pairs]))
    if decision.verdict is not Verdict.KEEP:
        return _told(work, metric, pairs, decision, Compared(False, _why(metric, pairs, decision), result.values))
    fresh = [_pair(work, places, number, "confirm") for number in range(trial.CONFIRMING)]
    _find_out(work, fresh)
    effect = median(trial.differences(metric, fresh))
    detail = (
        f"{metric.name} {trial.percent(metric, fresh, effect)} in {trial.CONFIRMING} fresh pairs "
        f"(shown by {decision.pairs}, p = {decision.p:.2g})"
    )
    return _told(work, metric, fresh, replace(decision, effect=effect), Compared(True, detail, _counting(work, fresh)))


def _find_out(work: Work, pairs: Sequence[Pair]) -> None:
    """What turns out to be noisy beside a number that is known to be: five samples of the baseline were alike by chance."""
    for seen in ([pair.incumbent for pair in pairs], [pair.candidate for pair in pairs]):
        _reclassify(work, seen)


def _counting(work: Work, pairs: Sequence[Pair]) -> Mapping[str, float]:
    """The candidate's numbers as a clean checkout gave them."""
    return _medians(work, [pair.candidate for pair in pairs])


def _medians(work: Work, seen: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """What samples of one commit said: the median of a noisy metric, the last word of any other."""
    return {**seen[-1], **{name: median(values[name] for values in seen) for name in work.record.noisy}}


def _told(work: Work, metric: Metric, pairs: Sequence[Pair], decision: Decision, answer: Compared) -> Compared:
    """`pairs`: those that the effect was taken from, on their scale. With what it was judged by, which may be set otherwise by
    the time that somebody counts again."""
    facts = {"verdict": decision.verdict.value, "pairs": decision.pairs, "p": decision.p, "effect": decision.effect}
    scale = {"relative": trial.relative(metric, pairs), "min_effect": metric.min_effect, "alpha": work.alpha}
    work.event("compared", metric=metric.name, **scale, detail=answer.detail, **facts)
    return answer


def _places(work: Work, space: Space, incumbent: str, candidate: str) -> Places:
    """Both checkouts, asked for anew before each sample: what one leaves there must not make the next one faster."""
    rival, own = lambda: space.rival(work, incumbent), lambda: space.checkout(work, candidate)
    return {False: Place(incumbent, rival), True: Place(candidate, own)}


def _pair(work: Work, places: Places, number: int, where: str) -> Pair:
    """One sample of each, in the order that is this pair's. Raises Broken."""
    values = {
        candidate: _measured(work, places[candidate], where, number, candidate=candidate) for candidate in trial.order(number)
    }
    return Pair(values[False], values[True])


def _measured(
    work: Work, place: Place, where: str, number: int | None = None, *, candidate: bool | None = None
) -> Mapping[str, float]:
    result = verify.sample(work, place.stand())
    facts = {} if number is None else {"pair": number + 1, "of": "candidate" if candidate else "incumbent"}
    verify.tell(work, where, result, commit=place.commit, **facts)
    if result.defect:
        work.feedback = result.output
        raise Broken(f"{'the incumbent' if candidate is False else 'in a clean checkout'}: {result.defect}")
    return result.values


def _unmoved(work: Work, values: Mapping[str, float], best: Mapping[str, float]) -> str:
    """Both numbers of each metric that decides, in words; where a guard is worse, that it is what refuses the others."""
    known = metrics.decisive(work.judged.metrics)
    if worse := metrics.worsened(known, values, best):
        led = [metric for metric in known if not metric.guard]
        return f"{metrics.changes(led, best, values)}; {worse}"
    return metrics.changes(known, best, values)


def _why(metric: Metric, pairs: list[Pair], decision: Decision) -> str:
    found = f"{metric.name} {trial.percent(metric, pairs, decision.effect)} in the median of {decision.pairs} pairs"
    match decision.verdict:
        case Verdict.GUARD:
            return f"{found}, but {decision.guard} is not shown to be as good as it was"
        case Verdict.NOT_SHOWN if decision.effect > trial.least(metric, pairs):
            return f"{found}, which may be chance (p = {decision.p:.2g})"
    if decision.effect <= 0:
        return found
    return f"{found}, no more than its least effect"
