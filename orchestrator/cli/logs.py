"""`orchestrator logs NAME`: what the agent said and did, attempt by attempt, and what happened to the task."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from shlex import quote

import click

from orchestrator.cli import output, session_log
from orchestrator.cli.app import App
from orchestrator.cli.following import POLL, Follower
from orchestrator.cli.options import common, looked_at, name_argument, pass_app
from orchestrator.cli.why import event_lines
from orchestrator.core.task import Place, State
from orchestrator.errors import Misuse
from orchestrator.store import events
from orchestrator.store.queue import Queue

ALL_EVENTS = 100_000
NOTHING: dict[str, object] = {"attempts": [], "attempt": None, "lines": [], "session": [], "events": []}


@click.command(
    epilog="\b\nExamples:\n"
    "  orchestrator logs -f fix-auth             look on, over all attempts\n"
    "  orchestrator logs fix-auth --attempt 2\n"
    "  orchestrator logs fix-auth --events       what happened to it, instead of what its agent said"
)
@name_argument()
@click.option(
    "-f", "--follow", is_flag=True, help="Keep printing what is added, over all attempts, until the task is done or blocked."
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
    place = looked_at(app, name)
    if app.json:
        output.document(_document(app.queue, place, attempt, lines))
    elif follow:
        _follow(app, place, lines, only_events=only_events)
    else:
        _print(app, place, attempt, lines, only_events=only_events)
    return 0


def _print(app: App, place: Place, attempt: int | None, lines: int | None, *, only_events: bool) -> None:
    folder = app.queue.path(place)
    if app.queue.tells_of_another(place):
        _say_nothing(app, place)
        return
    found = None if only_events else session_log.log_of(folder, attempt)
    if found is None:
        _print_events(app, place, lines)
        return
    if not app.quiet:
        count = len(session_log.attempts(folder))
        output.err(f"{output.name_text(place.name)}, attempt {int(found.name)} of {count}, {place.state}:")
    _show(app, _tail(list(session_log.read(found)), lines))


def _print_events(app: App, place: Place, lines: int | None) -> None:
    happened = list(events.tail(app.queue.path(place), ALL_EVENTS if lines is None else lines))
    for event in happened:
        for line in event_lines(event):
            output.out(line)
    if not happened and lines != 0:
        _say_nothing(app, place)


def _say_nothing(app: App, place: Place) -> None:
    if not app.quiet:
        output.err(f"Nothing has been done for {place.name!r} yet; `orchestrator why {quote(place.name)}` says why.")


def _follow(app: App, place: Place, lines: int | None, *, only_events: bool) -> None:
    """Print on while the task runs, or waits to; ends when it is blocked or converged, with a word on how."""
    follower = Follower(app.queue, place.name, only_events=only_events)
    _show(app, _tail(list(follower.news(follower.where())), lines))
    while True:
        where = follower.where()  # before the look: what is written until it has moved there is seen
        _show(app, follower.news(where))
        sys.stdout.flush()
        if where is None or where.state in (State.BLOCKED, State.CONVERGED):
            output.err(_ending(app.queue, place.name, where))
            return
        time.sleep(POLL)


def _ending(queue: Queue, name: str, where: Place | None) -> str:
    shown = output.name_text(name)
    if where is None:
        return f"{shown} has gone."
    record = queue.record(where) if where.state is State.BLOCKED else None
    why = ": ".join(filter(None, (record.reason, record.detail))) if record else ""
    return f"{shown} is {where.state}{f' ({output.clean(why)})' if why else ''}."


def _show(app: App, lines: Iterable[str]) -> None:
    for line in lines:
        output.out(session_log.tinted(line, color=app.color))


def _tail(lines: list[str], most: int | None) -> list[str]:
    return lines if most is None else lines[-most:] if most else []


def _document(queue: Queue, place: Place, attempt: int | None, lines: int | None) -> dict[str, object]:
    folder = queue.path(place)
    if queue.tells_of_another(place):
        return {"schema": 1, "name": place.name, "state": place.state.value, **NOTHING}
    found = session_log.log_of(folder, attempt)
    said = list(session_log.events(found)) if found else []
    return {
        "schema": 1,
        "name": place.name,
        "state": place.state.value,
        "attempts": [int(path.name) for path in session_log.attempts(folder)],
        "attempt": int(found.name) if found else None,
        "lines": _tail(list(session_log.read(found)), lines) if found else [],
        "session": said if lines is None else said[-lines:] if lines else [],
        "events": list(events.tail(folder, ALL_EVENTS)),
    }
