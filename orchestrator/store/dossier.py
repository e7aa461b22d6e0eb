"""A task's evidence as its folder tells it: record, events, the patches beside its attempts."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core import evidence
from orchestrator.core.evidence import Changed, Evidence
from orchestrator.core.record import Record
from orchestrator.core.spec import Metric
from orchestrator.store import events

REPORT = "report.md"
EVENTS = 100_000  # the last ones are read; a task that has more was at it for months
PATCH = 4 * 1024 * 1024  # a longer one is cut (`git.changes`)


def read(folder: Path, record: Record, *, title: str, goal: str, metrics: tuple[Metric, ...]) -> Evidence:
    """What there is to report of the task in `folder`. What can't be read is left out: nothing decides by it."""
    return evidence.gather(title, goal, metrics, record, events.tail(folder, EVENTS))


def changed(folder: Path, found: Evidence) -> tuple[Changed, ...]:
    """The files changed by the attempts whose commits stayed, as their patches tell; none of one that was cut."""
    kept = (number for number, stays in found.stays.items() if stays)
    return evidence.files(_patch(folder / f".orch/attempts/{number:04d}/diff.patch") for number in kept)


def _patch(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            patch = file.read(PATCH + 1)
    except OSError:
        return b""
    return patch if len(patch) <= PATCH else b""
