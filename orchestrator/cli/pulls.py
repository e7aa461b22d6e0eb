"""`orchestrator pulls`: every open pull request looked at now. A loop starts the same once in a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli import output
from orchestrator.cli.app import App
from orchestrator.cli.options import common, pass_app
from orchestrator.core.pull import Turn

if TYPE_CHECKING:
    from orchestrator.worker.attending import Seen

WORDS = {
    Turn.WAIT: "is open",
    Turn.MERGED: "is merged",
    Turn.CLOSED: "was closed: the task is blocked",
    Turn.ANSWER: "has remarks: the task is pending again, and its next attempt answers them",
    Turn.ENOUGH: "has remarks once more: the task is blocked, for a person to decide",
}


def tell(app: App, seen: Seen) -> None:
    """One line for one pull request; what could not be looked at is said with --quiet, too."""
    where = f"{output.name_text(seen.name)}: {seen.url}"
    if seen.problem:
        output.error(f"{where} can't be looked at: {seen.problem}")
    else:
        app.say(f"{where} {WORDS[seen.turn]}.")


@click.command(epilog="\b\nExample, where no loop runs: orchestrator pulls && orchestrator")
@common(json=True)
@pass_app
def pulls(app: App) -> int:
    """Look at the open pull requests of tasks with `land: pr`: merged, closed, or with remarks that an attempt has to answer."""
    from orchestrator.worker import attending

    found = []
    for seen in attending.attend(app.new_queue, app.settings.repo):
        found.append(seen)
        tell(app, seen)
    if app.json:
        items = [{"name": s.name, "url": s.url, "turn": s.turn.value, "problem": s.problem or None} for s in found]
        output.document({"schema": 1, "pulls": items})
    elif not found:
        app.say("No task has an open pull request.")
    return 1 if any(seen.problem for seen in found) else 0
