"""What is known of how a task came to its number: the series of measurements, the verdicts, the changed files. Pure data.

Nothing decides by it. It is gathered from the record and the events, which tell all claims of a task.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core import metrics
from orchestrator.core.confidence import median
from orchestrator.core.gates import Mode
from orchestrator.core.record import STAYING, Record
from orchestrator.core.spec import Metric
from orchestrator.core.value import Value

KEPT, DISCARDED, CONFLICT = "kept", "discarded", "conflict"
VERIFY = "verify"
HEADER = re.compile(rb'^diff --git "?a/.* "?b/(.*?)"?$')


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Series(Value):
    """The samples that were taken one after another at one place of the flow, as one attempt's (0: before the first one).
    `values` hold every clean sample by metric; `defects` are what was wrong with the others."""

    attempt: int
    where: str
    commit: str | None
    values: Mapping[str, tuple[float, ...]]
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Spread(Value):
    """Where the samples of one metric lie."""

    count: int
    low: float
    middle: float
    high: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Answer(Value):
    """One gate's answer, given in an attempt. `mode` is what a no of it means (`core.gates.Mode`)."""

    attempt: int
    gate: str
    ok: bool
    reason: str
    mode: str = Mode.BLOCK.value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Fate(Value):
    """What became of one attempt's commits: `kept` on the task branch or not, and why."""

    attempt: int
    kept: bool
    result: str
    commit: str | None
    detail: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Changed(Value):
    """How much of one file was changed; None where lines can't be counted."""

    path: str
    added: int | None
    removed: int | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evidence(Value):
    """All of it. `metrics` are those the spec declares; `standing` are the answers on what was verified last, of all `answers`;
    `environment` is where the baseline was measured."""

    title: str
    goal: str
    metrics: tuple[Metric, ...]
    record: Record
    series: tuple[Series, ...] = ()
    answers: tuple[Answer, ...] = ()
    standing: tuple[Answer, ...] = ()
    fates: tuple[Fate, ...] = ()  # of the last attempts, as many as the record holds
    stays: Mapping[int, bool] = field(default_factory=dict)  # of all attempts: whether its commits are on the task branch
    changes: tuple[Changed, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[str, ...] = ()  # what a person should look at

    @property
    def shown(self) -> tuple[Metric, ...]:
        """The metrics to tell of: the declared ones, else all that the benchmark prints."""
        names = dict.fromkeys((*self.record.baseline, *self.record.values))
        return self.metrics or metrics.deciding((), names)


def gather(title: str, goal: str, declared: tuple[Metric, ...], record: Record, events: Iterable[Mapping[str, Any]]) -> Evidence:
    """What the record and the events of a task tell. Events of other kinds, and fields they lack, are passed over."""
    told = [event for event in events if _ours(event)]
    fates = _fates(record, told)
    return Evidence(
        title or record.name,
        goal,
        declared,
        record,
        series=_series(event for event in told if event["event"] == "measured"),
        answers=tuple(_answer(event) for event in told if event["event"] == "verdict"),
        standing=_standing(record, told),
        fates=fates,
        stays=_stays(record, told, fates),
        environment=next((event for event in reversed(told) if event["event"] == "environment"), {}),
        findings=tuple(dict.fromkeys(str(event.get("detail", "")) for event in told if event["event"] == "finding")),
    )


def _ours(event: Mapping[str, Any]) -> bool:
    """Whether it is of the shape that we write. Others write to the file, too, and no work may be kept from landing by that."""
    words = (event.get(key) for key in ("where", "of", "commit"))
    values = event.get("values") or {}
    return (
        isinstance(event.get("event"), str)
        and isinstance(event.get("attempt"), int | None)
        and all(word is None or isinstance(word, str) for word in words)
        and isinstance(values, Mapping)
        and all(isinstance(value, int | float) for value in values.values())
    )


def spread(values: Iterable[float]) -> Spread | None:
    """Least, median and greatest of the values; None of none."""
    known = sorted(values)
    if not known:
        return None
    return Spread(len(known), known[0], median(known), known[-1])


def points(evidence: Evidence, metric: str) -> tuple[tuple[int, float, bool], ...]:
    """The metric's way over the attempts: number (0 is the baseline), value, and whether the commits stayed."""
    kept = {fate.attempt: fate.kept for fate in evidence.fates}
    start = [(0, evidence.record.baseline[metric], True)] if metric in evidence.record.baseline else []
    return (
        *start,
        *((a.number, a.values[metric], kept.get(a.number, True)) for a in evidence.record.history if metric in a.values),
    )


def files(patches: Iterable[bytes]) -> tuple[Changed, ...]:
    """The files that git's patches change, their lines added up: what is known of a change without asking git again."""
    counts: dict[str, list[int | None]] = {}
    for patch in patches:
        _count(patch, counts)
    return tuple(Changed(path, *lines) for path, lines in sorted(counts.items()))


def _count(patch: bytes, counts: dict[str, list[int | None]]) -> None:
    current: list[int | None] = [0, 0]
    inside = False
    for line in patch.split(b"\n"):
        if header := HEADER.match(line):
            current, inside = counts.setdefault(header[1].decode(errors="replace"), [0, 0]), False
        elif line.startswith(b"@@"):
            inside = True
        elif line.startswith((b"GIT binary patch", b"Binary files")):
            current[:] = None, None
        elif inside and line[:1] in (b"+", b"-"):
            side = 0 if line[:1] == b"+" else 1
            current[side] = None if (lines := current[side]) is None else lines + 1


def _series(measured: Iterable[Mapping[str, Any]]) -> tuple[Series, ...]:
    """In order. What was measured in turns (`of`: the candidate or the incumbent) makes two series side by side, as it was."""
    found: list[tuple[tuple[int, str, str | None], dict[str, list[float]], list[str]]] = []
    for event in measured:
        of = event.get("of")
        where = f"{event.get('where', '')}{f', {of}' if of else ''}"
        key = (int(event.get("attempt") or 0), where, event.get("commit"))
        entry = next((each for each in found[-2 if of else -1 :] if each[0] == key), None)
        if entry is None:
            found.append(entry := (key, {}, []))
        for name, value in (event.get("values") or {}).items():
            entry[1].setdefault(name, []).append(value)
        if event.get("defect"):
            entry[2].append(str(event["defect"]))
    return tuple(
        Series(attempt, where, commit, {name: tuple(samples) for name, samples in values.items()}, tuple(bad))
        for (attempt, where, commit), values, bad in found
    )


def _answer(event: Mapping[str, Any]) -> Answer:
    attempt, gate, reason = event.get("attempt") or 0, event.get("gate", ""), event.get("reason", "")
    return Answer(int(attempt), str(gate), bool(event.get("ok")), str(reason), str(event.get("mode") or Mode.BLOCK.value))


def _standing(record: Record, told: Iterable[Mapping[str, Any]]) -> tuple[Answer, ...]:
    """Every round of samples in a clean checkout, and every other commit, has all gates asked anew that there are by then. What
    they say of a batch is of this task only if it landed so."""
    landed = record.landed.commit if record.landed else None
    batches, commit, found = set[Any](), None, dict[str, Answer]()
    for event in told:
        match event["event"]:
            case "batch":
                batches.add(event.get("commit"))
            case "measured" if event.get("where") == VERIFY:
                commit, found = event.get("commit"), {}
            case "verdict" if event.get("commit") == landed or event.get("commit") not in batches:
                answer = _answer(event)
                again = event.get("commit") != commit or answer.gate in found
                commit, found = event.get("commit"), {**({} if again else found), answer.gate: answer}
    return tuple(found.values())


def _fates(record: Record, told: Iterable[Mapping[str, Any]]) -> tuple[Fate, ...]:
    """By the record's history, which is the truth; `kept` by the events, and where there is none by its result: of one that had
    converged, and that a person rejected since, nobody says that its commits stay."""
    kept = _kept(told)
    return tuple(
        Fate(a.number, kept.get(a.number, a.result in STAYING), a.result.value, a.commit, a.detail) for a in record.history
    )


def _stays(record: Record, told: Iterable[Mapping[str, Any]], fates: Iterable[Fate]) -> Mapping[int, bool]:
    """Of every attempt that counts. Events also tell the fate of commits that were there before the first one was counted."""
    counted = {number: kept for number, kept in _kept(told).items() if 0 < number <= record.attempts}
    return {**counted, **{fate.attempt: fate.kept for fate in fates}}


def _kept(told: Iterable[Mapping[str, Any]]) -> dict[int, bool]:
    """Whose commits are on the task branch, as far as events tell. What begins anew on a fresh base has none of them there."""
    kept: dict[int, bool] = {}
    for event in told:
        if event["event"] in (KEPT, DISCARDED):
            kept[int(event.get("attempt") or 0)] = event["event"] == KEPT
        elif event["event"] == CONFLICT and event.get("anew"):
            kept = dict.fromkeys(kept, False)
    return kept
