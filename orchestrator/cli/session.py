"""`orchestrator import DIR` and `orchestrator export NAME DIR`: sessions of the autoresearch family as tasks, and back."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli import output, specs
from orchestrator.cli.app import App
from orchestrator.cli.options import common, name_argument, pass_app
from orchestrator.core.task import check_name


@click.command("import", epilog="\b\nExample: orchestrator import ../parser --name faster-parser")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", help="The task's name (default: the folder's).")
@common(json=True)
@pass_app
def import_session(app: App, folder: Path, name: str | None) -> int:
    """Make a task of a session: autoresearch.md with autoresearch.sh, or a folder .auto/. Its log is kept as it is."""
    from orchestrator.store import sessions, specfile

    place = sessions.take_in(app.new_queue, folder, check_name(name or folder.resolve().name))
    path = app.queue.path(place)
    if app.json:
        output.document({"schema": 1, "name": place.name, "path": str(path)})
        return 0
    app.say(f"{output.name_text(str(path))} is pending.")
    for warning in specs.warnings(app, specfile.read_if_any(path)):
        app.say(output.clean(warning))
    return 0


@click.command("export", epilog="\b\nExample: orchestrator export faster-parser ../session")
@name_argument(begun=True)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@common(json=True)
@pass_app
def export_session(app: App, name: str, folder: Path) -> int:
    """Write a task as a session that tools of that family read. What lies there stays; a log there gets the lines it lacks."""
    from orchestrator.cli import report
    from orchestrator.store import sessions

    place = app.queue.find(name)
    done = sessions.put_out(app.queue.path(place), folder, report.of(app, place))
    if app.json:
        output.document({"schema": 1, "name": place.name, "path": str(done.folder), "lines": done.lines})
    app.say(f"{output.name_text(place.name)} is in {done.folder}; its log got {output.count(done.lines, 'line')}.")
    return 0
