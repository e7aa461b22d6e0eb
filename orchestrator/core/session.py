"""The session log of the autoresearch family: what one holds, and the lines that a task's evidence adds to it. Pure.

Lines are only ever added. Ours carry the key `orchestrator`, which their readers skip, so that a log is brought up to date any
number of times without a line coming twice. `confidence` is their column, computed as they do; nothing of ours decides by it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.confidence import median
from orchestrator.core.evidence import Evidence
from orchestrator.core.record import Attempt, Result
from orchestrator.core.spec import Direction
from orchestrator.core.value import Value

OURS = "orchestrator"
SHORT = 7
KEEP, DISCARD, CRASH, CHECKS = "keep", "discard", "crash", "checks_failed"
KEPT = frozenset({KEEP, "kept", "baseline"})
CRASHED = frozenset({CRASH, "failed"})
FEWEST = 3  # numbers that a deviation says anything about


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Log(Value):
    """What a log holds: how many runs, and of its last segment the numbers (`kept`: of those, the kept ones).
    `told`: which attempts of which tasks (by id) are in it; 0 is a baseline."""

    runs: int = 0
    segment: int = -1
    numbers: tuple[float, ...] = ()
    kept: tuple[float, ...] = ()
    told: frozenset[tuple[str, int]] = frozenset()


def read(data: bytes) -> Log:
    """The log in `data`. Lines that are no runs, other types and foreign text are passed over; segments are counted anew."""
    log = Log()
    for line in data.splitlines():
        log = _with(log, _parsed(line))
    return log


def lines(evidence: Evidence, log: Log) -> Iterator[str]:
    """The lines that bring the log up to date: its config where there is none, the baseline, and each attempt."""
    metric = next((each for each in evidence.shown if not each.guard), None)
    if metric is None:
        return
    if log.segment < 0:
        facts = {"name": evidence.title, "metricName": metric.name, "metricUnit": metric.told_unit or ""}
        config = {"type": "config", **facts, "bestDirection": metric.direction.value}
        log = _with(log, config)
        yield _line(config)
    for run in _runs(evidence, metric.name):
        if (evidence.record.id, run["attempt"]) in log.told:
            continue
        told = _run(run, log, metric.name, metric.direction, evidence.record.id)
        log = _with(log, told)
        yield _line(told)


def status(attempt: Attempt, *, kept: bool) -> str:
    """Their word for what became of an attempt."""
    match attempt.result:
        case Result.CONVERGED | Result.IMPROVED:
            return KEEP if kept else DISCARD
        case Result.GATE | Result.FLAKY:
            return CHECKS
        case Result.DEFECT:
            return CRASH
    return DISCARD


def _runs(evidence: Evidence, metric: str) -> Iterator[dict[str, Any]]:
    record = evidence.record
    if metric in record.baseline:
        values = {"values": record.baseline, "status": KEEP, "description": "baseline", "at": record.created}
        yield {"attempt": 0, "commit": record.base_commit, **values}
    kept = {fate.attempt: fate.kept for fate in evidence.fates}
    for each in record.history:
        facts = {"commit": each.commit, "values": each.values, "at": each.at}
        description = each.detail or each.result.value
        yield {
            "attempt": each.number,
            **facts,
            "status": status(each, kept=kept.get(each.number, True)),
            "description": description,
        }


def _run(run: Mapping[str, Any], log: Log, metric: str, direction: Direction, task: str) -> dict[str, Any]:
    """One run line, its keys in the order that their tools write them."""
    value = run["values"].get(metric)
    state = CRASH if value is None and run["status"] == KEEP else run["status"]
    shown = 0 if value is None else value  # their crash lines say 0, and their readers take that for nothing
    others = {name: each for name, each in run["values"].items() if name != metric}
    numbers = log.numbers if value is None else (*log.numbers, value)
    kept = (*log.kept, value) if value is not None and state == KEEP else log.kept
    return {
        "run": log.runs + 1,
        "commit": (run["commit"] or "")[:SHORT],
        "metric": shown,
        "metrics": others,
        "status": state,
        "description": " ".join(run["description"].split()),
        "timestamp": round(run["at"] * 1000),
        "segment": log.segment,
        "confidence": _confidence(numbers, kept, direction),
        OURS: {"task": task, "attempt": run["attempt"]},
    }


def _confidence(numbers: tuple[float, ...], kept: tuple[float, ...], direction: Direction) -> float | None:
    """|best kept - baseline| by the median absolute deviation of all numbers of the segment, unscaled."""
    if len(numbers) < FEWEST or not kept:
        return None
    middle = median(numbers)
    deviation = median(abs(each - middle) for each in numbers)
    best = min(kept) if direction is Direction.LOWER else max(kept)
    return round(abs(best - numbers[0]) / deviation, 4) if deviation else None


def _with(log: Log, data: Mapping[str, Any]) -> Log:
    if data.get("type") == "config":
        return Log(log.runs, log.segment + 1, (), (), log.told)
    if "type" in data or not isinstance(data.get("run"), int):
        return log
    number, word = data.get("metric"), data.get("status")
    value = None if word in CRASHED else _number(number)
    counts = value is not None
    numbers = log.numbers if value is None else (*log.numbers, value)
    kept = (*log.kept, numbers[-1]) if counts and word in KEPT else log.kept
    return Log(log.runs + 1, max(log.segment, 0), numbers, kept, log.told | _told(data.get(OURS)))


def _number(said: Any) -> float | None:
    """A finite number as such; whatever else stands there tells nothing."""
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    try:
        return float(said) if math.isfinite(said) else None
    except OverflowError:
        return None


def _told(data: Any) -> frozenset[tuple[str, int]]:
    try:
        return frozenset({(str(data["task"]), int(data["attempt"]))})
    except (KeyError, TypeError, ValueError):
        return frozenset()


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _line(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
