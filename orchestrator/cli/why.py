"""`orchestrator why NAME`: every reason a task is where it is, and what a person can do about it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click

from orchestrator.cli import output, view, words
from orchestrator.cli.app import App
from orchestrator.cli.options import common, looked_at, name_argument, pass_app
from orchestrator.cli.view import Look
from orchestrator.core import outcome
from orchestrator.core.candidate import Candidate, WaitingKind
from orchestrator.core.record import Record
from orchestrator.core.spec import Spec
from orchestrator.core.task import Place, State
from orchestrator.core.value import Value
from orchestrator.errors import NoSuchTask
from orchestrator.store import events

NEXT = {
    WaitingKind.DEPENDENCY: "`orchestrator --graph` shows who waits for whom; `retry` a blocked parent, `queue` an undone one,"
    " merge its pull request, or change `depends_on`.",
    WaitingKind.BACKOFF: "It goes on by itself; `orchestrator retry {name}` ends the wait.",
    WaitingKind.LIMIT: "It goes on by itself; `orchestrator retry {name}` ends the wait, `fallback:` names agents to stand in.",
    WaitingKind.PAUSED: "Do what is named and `orchestrator retry` the blocked task; the others go on then.",
    WaitingKind.BUDGET: "It goes on by itself as the day's use gets less; or raise the day's budget (`orchestrator --config`).",
    WaitingKind.CHECKOUT: "Commit or move away what is in the way; it is tried again by itself,"
    " by `orchestrator retry {name}` at once.",
    WaitingKind.REVIEW: "`orchestrator diff {name}` shows it; `orchestrator approve {name}` lets it land,"
    " `orchestrator reject {name} --note …` sends it back.",
    WaitingKind.DRAFT: "`orchestrator queue {name}` when it is complete.",
    WaitingKind.INVALID: "Mend what is named; the folder is read again at once.",
    WaitingKind.CAPACITY: "A slot has to get free, or start the loop with a higher --parallel.",
    WaitingKind.SETTLING: "It becomes ready by itself once nobody changes the folder.",
    WaitingKind.EDITOR: "Close the editor, or delete its left-over file.",
    WaitingKind.STOPPING: "It becomes ready by itself within seconds.",
}
RECORD = "Mend that file: nothing else tells what was done and where it went. The next claim sets it aside and begins afresh."
EVENTS = 10
NUMBERS = 20  # of an event that are shown in its line
TOLD_APART = frozenset({"schema", "at", "task", "event", "attempt", "detail", "output"})
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reason(Value):
    """One reason, by kind, with what to do about it."""

    kind: str
    detail: str
    next: str = ""


@click.command(
    epilog="\b\nExample: orchestrator why fix-auth\n\n"
    "\b\nWith -v also: the last events, and which of your environment variables agents and benchmarks don't get."
)
@name_argument()
@common(json=True)
@pass_app
def why(app: App, name: str) -> int:
    """Why a task isn't running, or is blocked, or where it went: every reason, and what to do."""
    place = looked_at(app, name)
    seen = view.look(app.queue, app.settings)
    candidate = same(seen, place)
    found = list(reasons(seen, candidate))
    if app.json:
        output.document(_document(app, seen, candidate, found))
        return 0
    output.out(f"{output.name_text(candidate.name)} is {_state_text(seen, candidate)}")
    for reason in found:
        output.out(f"  {reason.kind}: {output.clean(reason.detail)}")
        if reason.next:
            output.out(f"    -> {output.clean(reason.next)}")
    for warning in candidate.spec.warnings if candidate.spec else ():
        output.out(f"  warning: {output.clean(warning)}")
    if app.verbose:
        _tell_more(app, seen, candidate)
    return 0


def same(seen: Look, place: Place) -> Candidate:
    """The task of `place` in this look, wherever it has moved since. Raises NoSuchTask where it went away."""
    found = [candidate for candidate in seen.candidates if candidate.name == place.name]
    exact = [candidate for candidate in found if candidate.place == place]
    if not found:
        raise NoSuchTask(f"{place.name!r} went away while it was looked at.", hint="`orchestrator list` shows what there is.")
    return (exact or found)[0]


def reasons(seen: Look, candidate: Candidate) -> Iterator[Reason]:
    """Every reason, those a person can mend first."""
    state = candidate.place.state
    if state in (State.PENDING, State.RUNNING) and (full := view.no_room(seen)):
        yield Reason("disk", full, view.FREE)
    if state is State.PENDING:
        yield from _pending(seen, candidate)
    elif state is State.RUNNING:
        yield from _running(seen, candidate)
    elif candidate.unread:
        yield Reason("record", candidate.unread, RECORD)
    elif state is State.BLOCKED:
        record = view.facts(candidate)
        kind = str(record.reason) if record and record.reason else "moved"
        yield Reason(kind, (record.detail if record else None) or words.what_text(seen, candidate), view.advice(candidate))
    else:
        yield Reason("converged", words.landed_text(candidate) or "its target was held, verified and landed")
        yield from _taken_off(seen, candidate)
    yield from _left(seen, candidate)
    yield from _doubt(candidate)
    if state is not State.PENDING:
        for problem in candidate.problems:
            yield Reason("invalid", problem, _mend(state))


def _taken_off(seen: Look, candidate: Candidate) -> Iterator[Reason]:
    """A person may have reset or rewritten the base since: then it has the landing no more. Asked of git, as an undo asks it."""
    record = view.facts(candidate)
    landed = record.landed if record else None
    if record is None or landed is None or landed.how != "merge" or landed.undone:
        return
    from shlex import quote

    from orchestrator.git import merge

    if merge.taken_off(_top(seen, candidate, record), str(landed.base), str(landed.commit)):
        again = f"`orchestrator queue {quote(candidate.name)}` lands it again, where what it is to reach is not there."
        yield Reason("gone", f"{landed.base} has that commit no more: it was reset or rewritten since", again)


def _left(seen: Look, candidate: Candidate) -> Iterator[Reason]:
    """Of a task that is through: why its worktree had to stay, as that is by now. Nobody else tells of it."""
    record = view.facts(candidate)
    cancelled = record is not None and record.reason is outcome.Reason.CANCELLED
    through = candidate.place.state is State.CONVERGED or (candidate.place.state is State.BLOCKED and cancelled)
    if record is None or record.branch is None or not through:
        return
    from shlex import quote

    from orchestrator.git import submodules

    top = _top(seen, candidate, record)
    for path, told in submodules.kept(top, record.id):
        away = f"`git -C {quote(str(top))} worktree remove --force {quote(str(path))}`"
        yield Reason("worktree", f"{path} stays: {told}", f"Push or copy what you want of it, then {away}.")


def _top(seen: Look, candidate: Candidate, record: Record) -> Path:
    from orchestrator.git import belonging

    project = seen.queue.root.parent
    return belonging.seen(record, belonging.named(candidate.spec or Spec(), seen.settings.repo, project), project)


def _doubt(candidate: Candidate) -> Iterator[Reason]:
    """What the next claim does not take for a person's. Of a blocked task its reason says so."""
    from shlex import quote

    record, state = view.facts(candidate), candidate.place.state
    if record is None or not record.doubt or state is State.BLOCKED:
        return
    name = quote(candidate.name)
    again = f"`orchestrator {'queue' if state is State.CONVERGED else 'retry'} {name}`"
    when = " once its worker has let it go" if state is State.RUNNING else ""
    yield Reason("doubt", record.doubt, f"If that was you, {again}{when} makes it count; if it wasn't, put it right before.")


def _mend(state: State) -> str:
    """What a broken spec does to a task that has been read before."""
    if state is State.RUNNING:
        return "Its worker goes on with what it read last; mend what is named, and the next attempt takes it up."
    return "Mend what is named; it counts from the next claim."


def _pending(seen: Look, candidate: Candidate) -> Iterator[Reason]:
    from shlex import quote

    waiting = seen.waiting(candidate)
    for told in words.conflict_text(candidate):
        yield Reason("conflict", told, f"An agent does that; `orchestrator diff {quote(candidate.name)}` shows how far it is.")
    for reason in waiting:
        detail = reason.detail + (_outdated(seen, candidate) if reason.kind is WaitingKind.REVIEW else "")
        yield Reason(reason.kind.value, detail, NEXT.get(reason.kind, "").format(name=quote(candidate.name)))
    if any(reason.kind is not WaitingKind.CAPACITY for reason in waiting):
        return
    if not seen.loops:
        yield Reason(
            "loop",
            "it is ready, and no loop is running to take it",
            "Start one: `orchestrator` works until nothing is left, `orchestrator --loop` for ever.",
        )
    elif not waiting:
        ahead = [each.name for each in seen.of(State.PENDING) if not seen.waiting(each)]
        turn = ahead.index(candidate.name) if candidate.name in ahead else 0
        yield Reason(
            "turn",
            f"it is ready, with {output.count(turn, 'task')} ahead of it" if turn else "it is ready and next",
            "`priority: N` in the spec moves it forward.",
        )
    if view.agent_of(candidate, seen.settings) is None:
        yield Reason(
            "agent",
            "neither it nor a setting says which agent works on it",
            "`orchestrator --check` lists agents; choose one with --agent, ORCH_AGENT or `agent:` in the spec.",
        )


def _outdated(seen: Look, candidate: Candidate) -> str:
    from orchestrator.cli.review import outdated

    edited = outdated(seen.queue.path(candidate.place), candidate.record)
    return "; what decides on it was edited since, so that it is measured anew once approved" if edited else ""


def _running(seen: Look, candidate: Candidate) -> Iterator[Reason]:
    from shlex import quote

    if words.lost(seen, candidate):
        yield Reason("lost", "its worker has died", "A running loop takes it over within seconds; `orchestrator` starts one.")
        return
    lease = candidate.lease
    owner = f"worker {lease.owner.pid} on {lease.owner.host}" if lease else "a worker that is starting"
    age = f", heard from {candidate.heartbeat_age:.0f} s ago" if candidate.heartbeat_age is not None else ""
    follow = f"`orchestrator logs -f {quote(candidate.name)}` follows its agent."
    yield Reason("running", f"{words.what_text(seen, candidate)}; {owner}{age}", follow)


def _state_text(seen: Look, candidate: Candidate) -> str:
    state = candidate.place.state
    return f"pending ({words.pending_word(seen, candidate)})" if state is State.PENDING else state.value


def _withheld(app: App) -> tuple[str, ...]:
    from orchestrator.proc.environment import withheld

    return withheld(os.environ, app.settings.env_pass)


def _tell_more(app: App, seen: Look, candidate: Candidate) -> None:
    found = events.tail(seen.queue.path(candidate.place), EVENTS)
    if found:
        output.out("last events:")
        for event in found:
            for line in event_lines(event):
                output.out(f"  {line}")
    names = _withheld(app)
    output.out(f"not passed to agents and benchmarks (ORCH_ENV_PASS=NAME,… passes one): {', '.join(names) or 'nothing'}")


def event_lines(event: dict[str, object]) -> Iterator[str]:
    """One event, and below it what was printed there."""
    yield event_text(event)
    printed = event.get("output")
    yield from (f"    {output.clean(line)}" for line in printed.splitlines()) if isinstance(printed, str) else ()


def event_text(event: dict[str, object]) -> str:
    """One event as a line: local time, attempt, what happened, what goes with it, and its words last."""
    rest = {key: value for key, value in event.items() if key not in TOLD_APART and value not in (None, "", [], {})}
    told = " ".join(f"{key}={_value(value)}" for key, value in rest.items())
    attempt = f"#{event['attempt']} " if event.get("attempt") else ""
    detail = f": {event['detail']}" if event.get("detail") else ""
    line = f"{local_time(str(event.get('at', '')))}  {attempt}{event.get('event', '?')}{f' ({told})' if told else ''}{detail}"
    return output.clean(line)


def _value(value: object) -> str:
    if isinstance(value, dict):
        more = f",… and {len(value) - NUMBERS:,} more" if len(value) > NUMBERS else ""
        return ",".join(f"{key}:{_value(each)}" for key, each in islice(value.items(), NUMBERS)) + more
    if isinstance(value, str) and COMMIT.fullmatch(value):
        return value[:10]
    return words.number(value) if isinstance(value, float) else str(value)


def local_time(stamp: str) -> str:
    """An event's UTC time as the clock on the wall."""
    import calendar

    try:
        moment = calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return stamp
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _document(app: App, seen: Look, candidate: Candidate, found: list[Reason]) -> dict[str, object]:
    return {
        "schema": 1,
        "name": candidate.name,
        "state": candidate.place.state.value,
        "reasons": [{"kind": reason.kind, "detail": reason.detail, "next": reason.next or None} for reason in found],
        "warnings": list(candidate.spec.warnings) if candidate.spec else [],
        "withheld": list(_withheld(app)),
        "events": list(events.tail(seen.queue.path(candidate.place), EVENTS)),
    }
