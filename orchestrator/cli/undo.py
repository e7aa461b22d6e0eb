"""`orchestrator undo NAME`: a landed task taken back by a new, tested commit."""

from __future__ import annotations

import os
from shlex import quote

import click

from orchestrator.cli import output
from orchestrator.cli.app import App
from orchestrator.cli.options import common, pass_app
from orchestrator.cli.options import completing as names_of
from orchestrator.core.record import Record
from orchestrator.core.task import Place, State
from orchestrator.errors import OrchestratorError
from orchestrator.store import records
from orchestrator.worker import undoing
from orchestrator.worker.undoing import Undo, UndoEnd, UndoOutcome

EPILOG = """\b
Examples:
  orchestrator undo fix-auth
  orchestrator undo fix-auth && orchestrator queue fix-auth       and have it done again, on the same branch

A new commit on the base takes back what the task's merge brought; nothing is rewritten. ORCH_VERIFY_CMD and the [gates] of the
queue are asked about exactly that commit first, ORCH_INTEGRATION_CMD about the base afterwards. Checkouts of the base come
along as they do when work lands; where edits of yours are in the way, nothing is done.
"""
HINTS = {
    UndoEnd.CONFLICT: "Newer commits build on it. Revert it by hand (`git revert -m 1 COMMIT`), or undo those first.",
    UndoEnd.REJECTED: "Without it the rest does not pass. See what else needs it.",
    UndoEnd.WAITS: "Commit or move away what is named there, then undo again.",
    UndoEnd.MOVED: "Do it again.",
    UndoEnd.NOTHING: "`orchestrator show {name}` says where it went.",
}

UNTESTED = " Neither ORCH_VERIFY_CMD nor a gate in [gates] that may block is set, so nothing tested that commit."


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=names_of(State.CONVERGED, begun=True))
@common(json=True)
@pass_app
def undo(app: App, name: str) -> int:
    """Take a landed task back: one new commit on its base, tested before it lands. The task stays in converged and says so."""
    place = app.queue.find(name)
    outcome = _undo(app, place)
    if outcome.commit is None:
        said = output.clean(outcome.detail, lines=True)
        problem = f"{place.name!r} can't be undone ({outcome.end}): {said}. Nothing was changed."
        raise OrchestratorError(problem, hint=HINTS[outcome.end].format(name=quote(place.name)))
    if app.json:
        output.document({"schema": 1, "name": place.name, "undone": outcome.commit, "tested": outcome.tested})
    elif outcome.end is UndoEnd.ALREADY:
        app.say(f"{place.name} was undone already, by {outcome.commit[:10]}.")
    else:
        app.say(f"{place.name} is undone, by {outcome.commit[:10]}.{'' if outcome.tested else UNTESTED}")
    return 0


def _landed(app: App, place: Place) -> Record:
    """The record of what is to be undone. Raises OrchestratorError where the task has landed nothing of its own."""
    record = records.read(app.queue.path(place)) if place.state is State.CONVERGED else None
    if record is None or record.repo is None:
        hint = f"Only what has landed can be undone; `orchestrator why {quote(place.name)}` says where it is."
        raise OrchestratorError(f"{place.name!r} has not landed anything.", hint=hint)
    if (original := app.queue.original(place, record)) is not None:
        hint = f"`orchestrator undo {quote(original.name)}` takes back what that landed."
        raise OrchestratorError(f"{place.name!r} is a copy of {original.name!r}.", hint=hint)
    return record


def _undo(app: App, place: Place) -> UndoOutcome:
    from orchestrator.cli.worktrees import repository_of, root_of
    from orchestrator.store import clearing, secrets, specfile

    folder, record = app.queue.path(place), _landed(app, place)
    repo = repository_of(app, folder, record)
    spec = specfile.read_if_any(folder)
    settings = app.settings
    mask = secrets.collect(
        os.environ, (repo.top, app.queue.root.parent), commands=(settings.verify_cmd or "", settings.integration_cmd or "")
    )
    scratch = app.new_queue.scratch()
    try:
        what = Undo(folder, root_of(app, folder, record, repo), repo, spec, settings, mask, scratch)
        outcome = undoing.undo(what)
        if outcome.end is UndoEnd.UNDONE and (landed := what.record().landed) and landed.base:
            undoing.look(what, app.queue, landed.base)
        return outcome
    finally:
        clearing.remove(scratch)
