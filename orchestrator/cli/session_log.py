"""An attempt's logs as files and as lines for people: where they lie, what is in them, and their colors on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.cli import output
from orchestrator.cli.why import local_time
from orchestrator.errors import OrchestratorError
from orchestrator.store.events import parsed

FILE = "agent.log"
EVENTS = "agent.jsonl"
ATTEMPTS = ".orch/attempts"
RULE = "───"
CLOCK = 9  # columns of the time and the space behind it
COLORS = {"> ": "36", "  ok": "2", "  failed": "31", "! ": "1;33", "· ": "2", "-- ": "2", RULE: "1"}  # see agents.telling


def attempts(folder: Path) -> list[Path]:
    """The folders of a task's attempts, oldest first."""
    try:
        return sorted(path for path in (folder / ATTEMPTS).iterdir() if path.name.isdecimal())
    except OSError:
        return []


def log_of(folder: Path, attempt: int | None) -> Path | None:
    """The attempt that was asked for, or the last one that has a log. Raises OrchestratorError where it isn't there."""
    found = attempts(folder)
    if attempt is None:
        return next((path for path in reversed(found) if (path / FILE).exists()), None)
    wanted = next((path for path in found if int(path.name) == attempt), None)
    if wanted is None:
        numbers = ", ".join(str(int(path.name)) for path in found) or "none yet"
        raise OrchestratorError(f"There is no attempt {attempt}.", hint=f"There are: {numbers}.")
    return wanted


def interrupted(attempt: Path) -> list[Path]:
    """What was begun as this attempt before and did not count, oldest first: a limit was reached, or its worker died."""
    return sorted(attempt.parent.glob(f"{attempt.name}.cut-*"), key=lambda folder: next(_lines(folder / FILE), ""))


def read(attempt: Path) -> Iterator[str]:
    """The log's lines for people: times by the clock on the wall, nothing a terminal would obey."""
    for folder in (*interrupted(attempt), attempt):
        yield from map(readable, _lines(folder / FILE))


def events(attempt: Path) -> Iterator[dict[str, Any]]:
    """The same as normalised events; torn lines are left out."""
    return parsed(line for folder in (*interrupted(attempt), attempt) for line in _lines(folder / EVENTS))


def readable(line: str) -> str:
    """One line of a log with its UTC stamp turned into local time."""
    stamp, _, rest = line.rstrip("\n").partition(" ")
    told = local_time(stamp) if stamp.endswith("Z") and len(stamp) == 24 else ""
    return output.clean(f"{told[11:]} {rest}" if told[10:11] == " " else line.rstrip("\n"), lines=True)


def tinted(line: str, *, color: bool) -> str:
    """`line` with what it is in its color: tools, failures, what matters; the time and what matters least are faint."""
    if not color:
        return line
    clock, text = (line[:CLOCK], line[CLOCK:]) if line[2:3] == ":" and line[5:6] == ":" else ("", line)
    code = next((code for mark, code in COLORS.items() if text.startswith(mark)), "")
    return output.dim(clock, color=bool(clock)) + (f"\x1b[{code}m{text}\x1b[0m" if code else text)


def _lines(path: Path) -> Iterator[str]:
    for name in (f"{path.name}.1", path.name):  # rotated by size: the older half, then the newer
        try:
            with path.with_name(name).open(encoding="utf-8", errors="replace") as file:
                yield from file
        except OSError:
            continue
