"""Open pull requests looked at: what was merged or closed is written down, and what was said becomes the next attempt's task.

Nobody holds a converged task, so each step is a record and then one rename. A SIGKILL between them leaves a record that
says where the task belongs, and the next look, which begins by asking that, moves it there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.core import attention
from orchestrator.core.convergence import requeued
from orchestrator.core.outcome import Reason
from orchestrator.core.pull import Pull, Turn
from orchestrator.core.record import Record
from orchestrator.core.remarks import Look, demand, fresh, turn
from orchestrator.core.task import Place, State
from orchestrator.core.value import Value
from orchestrator.errors import OrchestratorError, StoreError
from orchestrator.git import belonging, remotes
from orchestrator.git.repository import Repository
from orchestrator.store import durable, events, locks, records, secrets
from orchestrator.store.queue import Queue
from orchestrator.trackers import registry
from orchestrator.trackers.protocol import Where
from orchestrator.worker import report

LOCK = "pulls.lock"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Seen(Value):
    """What was found out about one task's pull request. `problem`: it could not be looked at."""

    name: str
    url: str
    turn: Turn
    problem: str = ""


def attend(queue: Queue, named: str | None = None) -> Iterator[Seen]:
    """Look at every open pull request of the queue's tasks, one after the other. Another one who does just that is waited for,
    since it may be past what there is to see by now. `named`: the repository that the settings name."""
    with locks.acquire(queue.control / "locks" / LOCK):
        for place in queue.places((State.CONVERGED,)):
            if seen := look(queue, place, named):
                yield seen


def look(queue: Queue, place: Place, named: str | None = None) -> Seen | None:
    """Look at this task's pull request and act on it; None where it has none that is open."""
    record = records.peek(queue.path(place))
    if record is None or record.pull is None or not attention.attended(record, place):
        return None
    pull = record.pull
    try:
        if unfinished := attention.unfinished(record):
            _move(queue, place, record, unfinished)
            return Seen(place.name, pull.url, unfinished)
        repo = belonging.of_task(queue.path(place), record, named, queue.root.parent)
        found = _ask(repo, record, pull)
        found_turn = turn(pull, found)
        if found_turn is not Turn.WAIT:
            _act(queue, place, record, pull, found, found_turn)
        return Seen(place.name, pull.url, found_turn)
    except durable.Gone:  # a person moved it meanwhile
        return None
    except OrchestratorError as error:
        return Seen(place.name, pull.url, Turn.WAIT, error.told)


def _ask(repo: Repository, record: Record, pull: Pull) -> Look:
    remote = remotes.of(repo, record.base or "")
    return registry.find(pull.tracker).look(Where(repo.top, remote.address if remote else ""), pull.number)


def _act(queue: Queue, place: Place, record: Record, pull: Pull, found: Look, what: Turn) -> None:
    """The record first, then the folder's move that makes it true, then the event."""
    assert record.landed is not None
    ended = replace(record, landed=replace(record.landed, state=found.state.value, merged=found.commit))
    match what:
        case Turn.MERGED:
            _put(queue, place, ended)
            _tell(queue.path(place), record, "pull_merged", url=pull.url, commit=found.commit)
            _report(queue, queue.path(place), ended)
            return
        case Turn.CLOSED:
            after = replace(ended, reason=Reason.CLOSED, detail=f"its pull request was closed: {pull.url}")
        case Turn.ENOUGH:
            after = replace(record, reason=Reason.CLOSED, detail=f"{pull.rounds} attempts did not satisfy {pull.url}")
        case _:
            new = fresh(pull, found)
            answered = replace(pull, answered=(*pull.answered, *(each.id for each in new)), rounds=pull.rounds + 1)
            after = replace(requeued(record), demand=demand(new, pull.url), pull=answered)
    _put(queue, place, after)
    _move(queue, place, after, what)


def _put(queue: Queue, place: Place, record: Record) -> None:
    records.put(queue.path(place), replace(record, updated=time.time()))


def _move(queue: Queue, place: Place, record: Record, what: Turn) -> None:
    moved = queue.move(place, State.PENDING if what is Turn.ANSWER else State.BLOCKED)
    url = record.pull.url if record.pull else None
    _tell(queue.path(moved), record, "pull_answered" if what is Turn.ANSWER else "pull_closed", url=url)
    if what is not Turn.ANSWER:
        _report(queue, queue.path(moved), record)


def _report(queue: Queue, folder: Path, record: Record) -> None:
    """The page tells what became of the work, too."""
    report.renew(folder, record, secrets.collect(os.environ, (Path(record.repo or ""), queue.root.parent)))


def _tell(folder: Path, record: Record, event: str, url: str | None, commit: str | None = None) -> None:
    with suppress(StoreError):  # the record says it all
        events.append(folder, event, task=record.name, attempt=record.attempts, url=url, commit=commit)
