"""`orchestrator list`: every task, one line each."""

from __future__ import annotations

import click

from orchestrator.cli import output, view, words
from orchestrator.cli.app import App
from orchestrator.cli.options import common, pass_app
from orchestrator.cli.table import task_table
from orchestrator.core.candidate import Candidate
from orchestrator.core.task import State
from orchestrator.errors import Misuse


@click.command("list", epilog="\b\nExample: orchestrator retry $(orchestrator list --state blocked --names)")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in State]),
    help="Only tasks in this state; may be repeated.",
)
@click.option("--label", "labels", multiple=True, metavar="LABEL", help="Only tasks with this label; may be repeated.")
@click.option("--names", is_flag=True, help="Names only, one a line.")
@common(json=True)
@pass_app
def list_tasks(app: App, states: tuple[str, ...], labels: tuple[str, ...], names: bool) -> int:
    """List all tasks: running, blocked, pending in the order they are taken up, converged."""
    if names and app.json:
        raise Misuse("--names prints names, --json a document.", hint="Leave out one of the two.")
    seen = view.look(app.queue, app.settings)
    found = [candidate for candidate in seen.candidates if _wanted(candidate, states, labels)]
    if app.json:
        output.document({"schema": 1, "root": str(seen.queue.root), "tasks": [view.task(seen, candidate) for candidate in found]})
    elif names:
        for candidate in found:
            output.out(output.name_text(candidate.name))
    elif found:
        rows = words.rows(seen, found)
        for line in task_table(rows, width=output.width() if app.rich else None, color=app.color):
            output.out(line)
        for line in words.misspelt(found) if not app.quiet else ():
            output.err(line)
    elif not app.quiet:
        output.err("No tasks." if not (states or labels) else "No such tasks.")
    return 0


def _wanted(candidate: Candidate, states: tuple[str, ...], labels: tuple[str, ...]) -> bool:
    if states and candidate.place.state.value not in states:
        return False
    return not labels or (candidate.spec is not None and bool(set(labels) & set(candidate.spec.labels)))
