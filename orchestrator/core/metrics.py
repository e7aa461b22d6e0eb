"""Which metrics decide, when one is at its target, when it is better or worse, and all of that in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.core import digits
from orchestrator.core.reading import Reading
from orchestrator.core.spec import Direction, Kind, Metric

TOLD = 5  # metrics that a sentence names
BINARY = 4  # units in the last place by which a difference of decimal numbers is off in binary, at most


def deciding(metrics: Sequence[Metric], values: Iterable[str]) -> tuple[Metric, ...]:
    """The metrics whose targets make a task converge. None declared: every printed one must reach 0, as existing folders mean."""
    if not metrics:
        return tuple(Metric(name=name, direction=Direction.LOWER, target=0.0) for name in values)
    return tuple(metric for metric in metrics if metric.target is not None)


NOTHING = "The benchmark printed no METRIC line; expected 'METRIC name=number' on a line of its own, on standard output."


def defect(metrics: Sequence[Metric], reading: Reading, known: Iterable[str] = ()) -> str | None:
    """What is wrong with a benchmark's output, as a sentence with the line; None where nothing is. `known` are the names that it
    gave on the base: where none is declared these are expected, or whoever breaks half of a benchmark would reach its target."""
    if reading.bad_lines:
        line = reading.bad_lines[0]
        return f"The benchmark printed {line!r}, which is no METRIC line; expected 'METRIC name=number', finite and decimal."
    if reading.again:
        return (
            f"The metric {reading.again[0]} was printed again, with another value, after the benchmark had ended: something it "
            "started still writes."
        )
    if not reading.values:
        return NOTHING
    expected = [metric.name for metric in metrics] or known
    missing = [name for name in expected if name not in reading.values]
    if missing:
        printed = ", ".join(list(reading.values)[:5])
        return f"The benchmark printed no line 'METRIC {missing[0]}=number'; it printed: {printed}."
    return None


def reached(metric: Metric, value: float) -> bool:
    """Whether `value` is at the metric's target, its tolerance included. Never without a target."""
    if metric.target is None:
        return False
    short = value - metric.target if metric.direction is Direction.LOWER else metric.target - value
    return short <= widened(metric.tolerance, value, metric.target)


def widened(by: float, *numbers: float) -> float:
    """How much these numbers may differ where `by` is allowed: with what they are off in binary, in which 85.4 is more than 0.1
    above 85.3. Where nothing is allowed, nothing is."""
    return by + BINARY * math.ulp(max(by, *map(abs, numbers))) if by else 0.0


def at_target(metrics: Sequence[Metric], values: Mapping[str, float]) -> bool:
    """Whether every deciding metric is there and at target. Where nothing decides, nothing is ever at target."""
    decisive = deciding(metrics, values)
    return bool(decisive) and all(metric.name in values and reached(metric, values[metric.name]) for metric in decisive)


def foremost(metrics: Sequence[Metric], values: Mapping[str, float], most: int) -> tuple[Metric, ...]:
    """All of them, and where that is more than the `most` that are shown, those that are not at their targets first."""
    if len(metrics) > most:
        metrics = sorted(metrics, key=lambda metric: metric.name in values and reached(metric, values[metric.name]))
    return tuple(metrics)


def shortfall(metrics: Sequence[Metric], values: Mapping[str, float]) -> str:
    """What is missing to the target, for people: `failures is 3, target <= 0`; empty at target."""
    decisive = deciding(metrics, values)
    if not decisive:
        return "no metric has a target"
    return _told(
        f"{metric.name} is {_number(values.get(metric.name), metric.target)}, target {_goal(metric, values.get(metric.name))}"
        for metric in decisive
        if metric.name not in values or not reached(metric, values[metric.name])
    )


def way(metrics: Sequence[Metric], baseline: Mapping[str, float], values: Mapping[str, float]) -> str:
    """Where the deciding metrics began and where they are, for people: `failures 12 -> 3, target <= 0`; empty where nothing
    was measured."""
    return _told(
        f"{metric.name} {_change(baseline.get(metric.name), values.get(metric.name), metric.target)}, "
        f"target {_goal(metric, baseline.get(metric.name), values.get(metric.name))}"
        for metric in foremost(deciding(metrics, baseline), values, TOLD)
        if values and metric.name in baseline
    )


def way_of(metrics: Sequence[Metric], baseline: Mapping[str, float], values: Mapping[str, float]) -> str:
    """The same of what is optimized, with or without targets: `comparators 28 -> 19`."""
    return _told(f"{metric.name} {_change(baseline.get(metric.name), values.get(metric.name))}" for metric in _leading(metrics))


def changes(metrics: Sequence[Metric], before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """Both numbers of each of these, for people: `ms 12 -> 10, kb 3 -> 3`."""
    return ", ".join(f"{metric.name} {_change(before.get(metric.name), after.get(metric.name))}" for metric in metrics)


def improved(metrics: Sequence[Metric], values: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Whether `values` beat `best` (give the baseline while there is no best) by more than `min_effect`, no guard worse. Of a
    noisy guard no sample says so.

    Metrics count in their declared order: a later one decides only where all before it stayed as good as they were,
    so that a second metric's way to its target is progress once the first has arrived.
    """
    known = metrics if metrics else deciding(metrics, values)
    if any(metric.name not in values for metric in known):
        return False
    if any(_worse(metric, values[metric.name], best) for metric in _exact_guards(known)):
        return False
    for metric in _leading(known):
        gain = _gain(metric, values[metric.name], best)
        if gain is None or (gain < 0 and reached(metric, best[metric.name])):  # a target is not given up, by however little
            return False
        if abs(gain) > widened(_least(metric, best), values[metric.name], best[metric.name]):
            return gain > 0
    return False


def primary(metrics: Sequence[Metric], best: Mapping[str, float]) -> Metric:
    """The metric that a change has to make better: the first that leads and is not at its target yet."""
    led = _leading(metrics)
    return next((metric for metric in led if metric.name not in best or not reached(metric, best[metric.name])), led[0])


def watched(metrics: Sequence[Metric], best: Mapping[str, float]) -> tuple[Metric, ...]:
    """Those that a change must not make worse: the guards, and what is at its target already and leads before the primary one."""
    led, first = _leading(metrics), primary(metrics, best)
    return (*led[: led.index(first)], *(metric for metric in metrics if metric.guard))


def decisive(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Those that keep or discard a change; the others are only shown."""
    led = _leading(metrics)
    return tuple(metric for metric in metrics if metric.guard or metric in led)


def lost(metrics: Sequence[Metric], values: Mapping[str, float], best: Mapping[str, float]) -> str:
    """What of a number that was kept is gone, for people; empty where nothing is. Noisy ones vary by themselves: no sample of
    theirs says so."""
    return _told(
        f"{metric.name} is {_was(values.get(metric.name), best.get(metric.name))} when it was kept"
        for metric in decisive(metrics)
        if metric.kind is not Kind.NOISY and (metric.name not in values or _lost(metric, values[metric.name], best))
    )


def worsened(metrics: Sequence[Metric], values: Mapping[str, float], before: Mapping[str, float]) -> str:
    """The guards that are worse than they were `before`, for people; empty where none is. Of noisy ones no sample says so."""
    return _told(
        f"{metric.name} is {_was(values[metric.name], before[metric.name])} and {bound(metric)}"
        for metric in _exact_guards(metrics)
        if metric.name in values and _worse(metric, values[metric.name], before)
    )


def bound(guard: Metric) -> str:
    """What a guard is held to, for people."""
    allowed = [f"tolerance {digits.text(guard.tolerance)}"] if guard.tolerance else []
    allowed += [f"min_effect {digits.text(100 * guard.min_effect)} %"] if guard.min_effect else []
    return f"must not get worse ({', '.join(allowed)})" if allowed else "must not get worse"


def _exact_guards(metrics: Sequence[Metric]) -> Iterator[Metric]:
    return (metric for metric in metrics if metric.guard and metric.kind is not Kind.NOISY)


def _told(parts: Iterable[str]) -> str:
    """At most TOLD of them, and how many more there are: a benchmark may print thousands of numbers."""
    found = list(parts)
    more = [f"and {len(found) - TOLD:,} more"] if len(found) > TOLD else []
    return "; ".join([*found[:TOLD], *more])


def _lost(metric: Metric, value: float, best: Mapping[str, float]) -> bool:
    gain = _gain(metric, value, best)
    return gain is not None and -gain > widened(metric.tolerance, value, best[metric.name])


def _leading(metrics: Sequence[Metric]) -> tuple[Metric, ...]:
    """Metrics with a target lead; without one, the first that is no guard stands for all."""
    led = tuple(metric for metric in metrics if not metric.guard)
    return tuple(metric for metric in led if metric.target is not None) or led[:1]


def _gain(metric: Metric, value: float, best: Mapping[str, float]) -> float | None:
    """How much better `value` is; 0 where both are at target, since more than that was not asked for; None without a best."""
    if metric.name not in best:
        return None
    if reached(metric, value) and reached(metric, best[metric.name]):
        return 0.0
    return best[metric.name] - value if metric.direction is Direction.LOWER else value - best[metric.name]


def _least(metric: Metric, best: Mapping[str, float]) -> float:
    return metric.min_effect * abs(best[metric.name])


def _worse(metric: Metric, value: float, best: Mapping[str, float]) -> bool:
    gain = _gain(metric, value, best)
    return gain is not None and -gain > widened(metric.tolerance + _least(metric, best), value, best[metric.name])


def _number(value: float | None, *others: float | None) -> str:
    return "missing" if value is None else digits.beside(value, *others)


def _change(before: float | None, after: float | None, *others: float | None) -> str:
    return f"{_number(before, after, *others)} -> {_number(after, before, *others)}"


def _was(value: float | None, before: float | None) -> str:
    return f"{_number(value, before)}, was {_number(before, value)}"


def _goal(metric: Metric, *values: float | None) -> str:
    assert metric.target is not None, "deciding() lets no other through"
    sign = "<=" if metric.direction is Direction.LOWER else ">="
    return f"{sign} {_number(metric.target, *values)}" + (f" (tolerance {_number(metric.tolerance)})" if metric.tolerance else "")
