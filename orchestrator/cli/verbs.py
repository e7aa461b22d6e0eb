"""Moving tasks by name: `queue retry block cancel stop`. A move is one rename; where a task is running, its worker follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from shlex import quote

import click

from orchestrator.cli import hold, output
from orchestrator.cli.app import App
from orchestrator.cli.options import common, names_argument, pass_app
from orchestrator.core.convergence import requeued
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Record
from orchestrator.core.task import Place, State
from orchestrator.core.value import Value
from orchestrator.errors import Misuse, OrchestratorError
from orchestrator.store import inbox, ledger, records, specfile
from orchestrator.store.ledger import Ledger


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Done(Value):
    """What a verb did with one task."""

    name: str
    state: State
    text: str


Verb = Callable[[App, Place], Done]


@click.command(epilog="\b\nExample: orchestrator queue fix-auth")
@names_argument(State.PENDING, State.BLOCKED, State.CONVERGED)
@common(json=True)
@pass_app
def queue(app: App, names: tuple[str, ...]) -> int:
    """Hand tasks to the queue: a draft loses `draft: true`; a blocked or converged one goes back to pending and begins anew."""
    return _each(app, names, _queue)


@click.command(epilog="\b\nExample, for all that are blocked: orchestrator retry $(orchestrator list --state blocked --names)")
@names_argument(State.BLOCKED, State.PENDING)
@common(json=True)
@pass_app
def retry(app: App, names: tuple[str, ...]) -> int:
    """Try blocked tasks again: counters begin anew, branch and commits stay. Ends the wait of a parked one."""
    return _each(app, names, _retry)


@click.command(epilog="\b\nExample: orchestrator block fix-auth")
@names_argument(State.PENDING, State.RUNNING)
@common(json=True)
@pass_app
def block(app: App, names: tuple[str, ...]) -> int:
    """Take tasks out of the queue, to blocked. A running one is stopped; its work is saved. `retry` undoes it."""
    return _each(app, names, lambda app, place: _stop(app, place, Reason.STOPPED))


@click.command(epilog="\b\nExample: orchestrator stop fix-auth")
@names_argument(State.PENDING, State.RUNNING, required=False)
@common(json=True)
@pass_app
def stop(app: App, names: tuple[str, ...]) -> int:
    """Stop tasks: the same as `block`. All loops are stopped by `orchestrator --stop`."""
    if not names:
        raise Misuse(
            "Which task should be stopped?", hint="`orchestrator stop NAME` stops a task, `orchestrator --stop` stops every loop."
        )
    return _each(app, names, lambda app, place: _stop(app, place, Reason.STOPPED))


@click.command(epilog="\b\nExample: orchestrator cancel fix-auth")
@names_argument(State.PENDING, State.RUNNING, State.BLOCKED)
@common(json=True)
@pass_app
def cancel(app: App, names: tuple[str, ...]) -> int:
    """Give tasks up: to blocked, and the worktree is removed. Every commit stays (`recover`); `retry` undoes it."""
    return _each(app, names, lambda app, place: _stop(app, place, Reason.CANCELLED))


@click.command(hidden=True)
@click.argument("arguments", nargs=-1)
def work(arguments: tuple[str, ...]) -> int:
    """What an executor starts: orchestrator work ROOT NAME TOKEN. Not for people."""
    raise Misuse(
        f"`work` wants ROOT NAME TOKEN, not {len(arguments)} arguments.",
        hint="It is what a loop starts; `orchestrator --task NAME` is for people.",
    )


def _each(app: App, names: tuple[str, ...], verb: Verb) -> int:
    """Do it for every name. One that can't be done doesn't keep the others from it; the worst exit code counts."""
    done: list[Done] = []
    code = 0
    for name in dict.fromkeys(names):
        try:
            done.append(verb(app, _own(app, app.queue.find(name))))
        except OrchestratorError as error:
            output.error(error.message, error.hint)
            code = max(code, error.exit_code)
            continue
        app.say(f"{output.name_text(done[-1].name)} {done[-1].text}")
    if app.json:
        output.document(
            {"schema": 1, "tasks": [{"name": each.name, "state": each.state.value, "done": each.text} for each in done]}
        )
    return code


def _own(app: App, place: Place) -> Place:
    """The same place, unless it is a link: what a verb writes into a record would lie in a folder that is not the queue's."""
    if (path := app.queue.path(place)).is_symlink():
        raise OrchestratorError(f"{path} is a symbolic link and no task.", hint="Remove it, or put the folder itself there.")
    return place


def _queue(app: App, place: Place) -> Done:
    if place.state is State.RUNNING:
        return _runs(app, place)
    undrafted = _undraft(app, place)
    if place.state is State.PENDING and not undrafted and _waits(app, place):
        return _retry(app, place)
    if place.state in (State.BLOCKED, State.CONVERGED):
        kept = _kept(app, place)
        moved = app.queue.move(place, State.PENDING)
        return Done(place.name, moved.state, f"is pending again; it begins anew{kept}")
    return Done(place.name, place.state, "is no draft any more, and pending" if undrafted else "is pending already")


def _undraft(app: App, place: Place) -> bool:
    """Take `draft: true` out of the spec; whether it was there."""
    from orchestrator.cli import specs
    from orchestrator.store import editing

    folder = app.queue.path(place)
    path = specfile.path_of(folder)
    if path is None or not specfile.read(folder).draft:
        return False
    text = specfile.as_written(path)
    specs.put(app.queue, place.name, editing.edit(text, {"draft": None}, path), seen=specfile.key_of(path))
    return True


def _retry(app: App, place: Place) -> Done:
    if place.state is State.RUNNING:
        return _runs(app, place)
    if place.state is State.CONVERGED:
        raise OrchestratorError(
            f"{place.name!r} has converged; there is nothing to retry.",
            hint=f"`orchestrator queue {quote(place.name)}` runs it once more.",
        )
    if place.state is State.BLOCKED:
        kept = _kept(app, place)
        moved = app.queue.move(place, State.PENDING)
        return Done(place.name, moved.state, f"is pending again; its counters begin anew{kept}")
    record = records.peek(app.queue.path(place))
    if not _waits(app, place) and (record is None or not (record.reason or record.failures or record.doubt)):
        return Done(place.name, place.state, "is pending already")
    doubt = _doubt(record, place)
    with hold.claimed(app.queue, place) as claim:
        fresh = requeued(claim.record() or claim.fresh_record())
        claim.release(State.PENDING, replace(fresh, forced=time.time()))
    return Done(place.name, State.PENDING, f"need not wait any longer; its counters begin anew{doubt}")


def _runs(app: App, place: Place) -> Done:
    lost = place.token is None or hold.dead(app.queue, place)
    told = "lies in running, its worker has died; the next loop goes on with it" if lost else "is running already"
    return Done(place.name, place.state, told)


def _kept(app: App, place: Place) -> str:
    """What its next claim goes on with. What a copy brought along is another task's, and that claim sets it aside."""
    record = records.peek(app.queue.path(place))
    if record is None or app.queue.elsewhere(record, place.name, place.inode):
        return ""
    return f"{', on the same branch' if record.branch else ''}{_doubt(record, place)}"


def _doubt(record: Record | None, place: Place) -> str:
    """What the task's next run takes for a person's own from now on, though an agent may have done it."""
    if record is None or not record.doubt:
        return ""
    return (
        f". Taken for yours from now on: {record.doubt}. If it isn't, `orchestrator block {quote(place.name)}` and put it right"
    )


def _waits(app: App, place: Place) -> bool:
    """Whether a wait may hold this pending task: its own, or one for an account that refuses work."""
    record = records.peek(app.queue.path(place))
    if record is not None and record.not_before is not None:
        return True
    told = Ledger(app.queue).records(app.queue.places((State.PENDING, State.RUNNING, State.BLOCKED)))
    return bool(ledger.paused(told, time.time()))


def _stop(app: App, place: Place, reason: Reason) -> Done:
    """To blocked with this reason: by its worker where one lives, else by us."""
    words = "stopped" if reason is Reason.STOPPED else "cancelled"
    if place.state is State.CONVERGED:
        raise OrchestratorError(
            f"{place.name!r} has converged; there is nothing to stop.",
            hint=f"`orchestrator show {quote(place.name)}` says where it went.",
        )
    if place.state is State.RUNNING:
        held = hold.ask(app.queue, place, inbox.Kind.CANCEL if reason is Reason.CANCELLED else inbox.Kind.BLOCK, reason)
        told = f"; {held.value}" if reason is Reason.STOPPED or held is hold.Held.FOLLOWED else ""
        text = f"is {words} and lies in blocked{told}"
    elif place.state is State.PENDING:
        hold.block(app.queue, place, reason)
        text = f"is {words} and lies in blocked"
    elif reason is Reason.CANCELLED:
        hold.give_reason(app.queue, place, reason)
        text = "lay in blocked and is cancelled now"
    else:
        text = "was blocked already"
    if reason is Reason.CANCELLED:
        from orchestrator.cli.worktrees import remove

        text += remove(app, place.name)
    return Done(place.name, State.BLOCKED, text)
