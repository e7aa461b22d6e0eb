"""`orchestrator logs NAME`: what the agent said, attempt by attempt, and what happened to the task."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.cli import output
from orchestrator.cli.options import App, common, name_argument, one, pass_app
from orchestrator.cli.why import event_text, local_time
from orchestrator.core.task import Place, State
from orchestrator.errors import Misuse, NoSuchTask, OrchestratorError
from orchestrator.store import events
from orchestrator.store.queue import Queue

LOG = "agent.log"
ATTEMPTS = ".orch/attempts"
POLL = 0.25
ALL_EVENTS = 100_000


@click.command()
@name_argument()
@click.option(
    "-f", "--follow", is_flag=True, help="Keep printing what is added, over all attempts, until the task stops running."
)
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@click.option("--attempt", type=click.IntRange(min=1), metavar="N", help="That attempt's log instead of the last one's.")
@click.option("--events", "only_events", is_flag=True, help="What happened to the task, instead of what its agent said.")
@common(json=True)
@pass_app
def logs(app: App, name: str, follow: bool, lines: int | None, attempt: int | None, only_events: bool) -> int:
    """Print an agent's log: of the last attempt, or of the one asked for. Without any attempt: the task's events."""
    if follow and (app.json or attempt):
        raise Misuse("-f goes on for ever, over all attempts.", hint="Leave out --json and --attempt.")
    place = one(app, name)
    if app.json:
        output.document(_document(app.queue, place, attempt, lines))
    elif follow:
        _follow(app, place, lines, only_events=only_events)
    else:
        _print(app, place, attempt, lines, only_events=only_events)
    return 0


def _print(app: App, place: Place, attempt: int | None, lines: int | None, *, only_events: bool) -> None:
    folder = app.queue.path(place)
    found = None if only_events else log_of(folder, attempt)
    if found is None:
        for event in events.tail(folder, ALL_EVENTS if lines is None else lines):
            output.out(event_text(event))
        return
    if not app.quiet:
        output.err(f"{output.name_text(place.name)}, attempt {int(found.name)} of {len(attempts(folder))}, {place.state}:")
    for line in _tail(list(read(found)), lines):
        output.out(line)


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
        return next((path for path in reversed(found) if (path / LOG).exists()), None)
    wanted = next((path for path in found if int(path.name) == attempt), None)
    if wanted is None:
        numbers = ", ".join(str(int(path.name)) for path in found) or "none yet"
        raise OrchestratorError(f"There is no attempt {attempt}.", hint=f"There are: {numbers}.")
    return wanted


def read(attempt: Path) -> Iterator[str]:
    """The log's lines for people: times by the clock on the wall, nothing a terminal would obey."""
    for name in (f"{LOG}.1", LOG):  # rotated by size: the older half, then the newer
        try:
            with (attempt / name).open(encoding="utf-8", errors="replace") as file:
                yield from (readable(line) for line in file)
        except OSError:
            continue


def readable(line: str) -> str:
    """One line of a log with its UTC stamp turned into local time."""
    stamp, _, rest = line.rstrip("\n").partition(" ")
    told = local_time(stamp) if stamp.endswith("Z") and len(stamp) == 24 else ""
    return output.clean(f"{told[11:]} {rest}" if told[10:11] == " " else line.rstrip("\n"), lines=True)


def _tail(lines: list[str], most: int | None) -> list[str]:
    return lines if most is None else lines[-most:] if most else []


def _follow(app: App, place: Place, lines: int | None, *, only_events: bool) -> None:
    """Print on while the task runs, or waits to; ends when it is blocked or converged, with a word on how."""
    queue = app.queue
    if not only_events:
        found = log_of(queue.path(place), None)
        for line in _tail(list(read(found)), lines) if found else ():
            output.out(line)
    follower = Follower(queue, place.name, only_events=only_events)
    if only_events:
        for event in events.tail(queue.path(place), ALL_EVENTS if lines is None else lines):
            output.out(event_text(event))
    while True:
        where = _where(queue, place.name)
        for line in follower.news(where):
            output.out(line)
        sys.stdout.flush()
        if where is None or where.state in (State.BLOCKED, State.CONVERGED):
            output.err(f"{output.name_text(place.name)} {'has gone' if where is None else f'is {where.state}'}.")
            return
        time.sleep(POLL)


class Follower:
    """What was added to a task's log since the last look, wherever the task lies and whichever attempt it is in."""

    def __init__(self, queue: Queue, name: str, *, only_events: bool) -> None:
        self._queue = queue
        self._file = events.FILE if only_events else LOG
        self._only_events = only_events
        where = _where(queue, name)
        self._attempt = self._current(queue.path(where)) if where else None
        self._offset = self._size(queue.path(where)) if where else 0
        self._rest = b""

    def news(self, where: Place | None) -> Iterator[str]:
        """The new lines. A new attempt begins with a line that says so."""
        if where is None:
            return
        folder = self._queue.path(where)
        yield from self._added(folder)
        current = self._current(folder)
        if current != self._attempt and current is not None:
            self._attempt, self._offset, self._rest = current, 0, b""
            yield f"--- attempt {int(current)} ---"
            yield from self._added(folder)

    def _current(self, folder: Path) -> str | None:
        if self._only_events:
            return None
        found = log_of(folder, None)
        return found.name if found else None

    def _path(self, folder: Path) -> Path | None:
        if self._only_events:
            return folder / self._file
        return folder / ATTEMPTS / self._attempt / LOG if self._attempt else None

    def _size(self, folder: Path) -> int:
        path = self._path(folder)
        try:
            return path.stat().st_size if path else 0
        except OSError:
            return 0

    def _added(self, folder: Path) -> Iterator[str]:
        path = self._path(folder)
        if path is None:
            return
        if self._size(folder) < self._offset:  # rotated
            self._offset = 0
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        self._offset += len(data)
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        for line in whole.decode(errors="replace").split("\n") if newline else ():
            yield from self._line(line)

    def _line(self, line: str) -> Iterator[str]:
        import json

        if not self._only_events:
            yield readable(line)
            return
        try:
            yield event_text(json.loads(line))
        except (ValueError, AttributeError):
            return


def _where(queue: Queue, name: str) -> Place | None:
    """Where exactly this task is; looked for once more, since a folder that moves during the scan is seen in neither state."""
    for _ in range(3):
        try:
            place = queue.find(name)
        except NoSuchTask:
            time.sleep(POLL / 10)
            continue
        if place.name == name:
            return place
    return None


def _document(queue: Queue, place: Place, attempt: int | None, lines: int | None) -> dict[str, object]:
    folder = queue.path(place)
    found = log_of(folder, attempt)
    return {
        "schema": 1,
        "name": place.name,
        "state": place.state.value,
        "attempts": [int(path.name) for path in attempts(folder)],
        "attempt": int(found.name) if found else None,
        "lines": _tail(list(read(found)), lines) if found else [],
        "events": list(events.tail(folder, ALL_EVENTS)),
    }
