"""What the gates said last of a task, as its worker wrote it beside the attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.cli import output
from orchestrator.cli.output import clean
from orchestrator.core.record import Record

PLACES = 5
LARGEST = 16 << 20


def latest(folder: Path, record: Record | None) -> tuple[int, Sequence[Mapping[str, Any]]]:
    """The newest attempt that has verdicts, and these; none where they can't be read."""
    for number in range(record.attempts if record else 0, 0, -1):
        path = folder / ".orch" / "attempts" / f"{number:04d}" / "verdicts.json"
        try:
            with path.open("rb") as file:
                return number, [each for each in json.loads(file.read(LARGEST))["verdicts"] if isinstance(each, dict)]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            return number, ()
    return 0, ()


def lines(attempt: int, verdicts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A table of them, below the attempt they are about; then where the ones that said no point to, or how their output ended."""
    if not verdicts:
        return
    yield ""
    yield f"Of attempt {attempt}:"
    yield from output.table(("GATE", "SAYS", "WHY"), [_row(each) for each in verdicts], most=(None, None, 200))
    for each in verdicts:
        if not each.get("ok"):
            yield from _no(each)


def _no(verdict: Mapping[str, Any]) -> Iterator[str]:
    gate, places = clean(verdict.get("gate")), verdict.get("places") or []
    said = places[:PLACES] or [line for line in str(verdict.get("output") or "").splitlines() if line.strip()][-PLACES:]
    yield from (f"  {gate}: {clean(line)}" for line in said)
    if len(places) > PLACES:
        yield f"  … and {len(places) - PLACES} more of {gate}"


def _row(verdict: Mapping[str, Any]) -> tuple[str, str, str]:
    says = "yes" if verdict.get("ok") else "a warning" if verdict.get("mode") == "warn" else "no"
    return clean(verdict.get("gate")), says, clean(verdict.get("reason"))
