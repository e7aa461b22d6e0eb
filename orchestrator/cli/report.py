"""`orchestrator report NAME`: what a task's number is worth, made from its folder and its repository as they are now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shlex import quote

import click

from orchestrator.cli import output
from orchestrator.cli.app import App
from orchestrator.cli.options import common, name_argument, pass_app
from orchestrator.core import plot, reporting
from orchestrator.core.evidence import Evidence, points
from orchestrator.core.spec import Spec
from orchestrator.core.task import Place
from orchestrator.errors import Misuse, OrchestratorError, SpecError
from orchestrator.store import dossier, seal, specfile
from orchestrator.worker.report import changed

EPILOG = """\b
Examples:
  orchestrator report fix-auth
  orchestrator report fix-auth --json
  orchestrator report fix-auth --svg fix-auth.svg        its metric over the attempts, as a picture
"""


@click.command(epilog=EPILOG)
@name_argument(begun=True)
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Draw the metric over the attempts into this file.")
@common(json=True)
@pass_app
def report(app: App, name: str, svg: Path | None) -> int:
    """Print a task's evidence: its measurements with their spread, what was kept, the gates, the spend, what it is worth."""
    found = of(app, app.queue.find(name))
    if svg is not None:
        _draw(found, svg)
        app.say(f"Drawn into {svg}.")
    if app.json:
        output.document(reporting.document(found))
    elif svg is None:
        output.out(output.clean(reporting.page(found), lines=True).rstrip("\n"))
    return 0


def of(app: App, place: Place) -> Evidence:
    """The task's evidence, with the changed files as git counts them. Raises OrchestratorError where nothing was done yet."""
    folder = app.queue.path(place)
    record = app.queue.record(place, running=True)
    if record is None:
        raise OrchestratorError(
            f"Nothing has been done for {place.name!r} yet.", hint=f"`orchestrator why {quote(place.name)}` says why."
        )
    judged = seal.judged(folder, record.seal) if record.seal else None  # the spec may have been edited since
    spec = _spec(folder) or judged or Spec()  # the numbers are in the record; only what was asked may be missing
    found = dossier.read(folder, record, title=spec.title, goal=spec.goal, metrics=(judged or spec).metrics)
    return replace(found, changes=changed(folder, found))


def _spec(folder: Path) -> Spec | None:
    try:
        return specfile.read(folder)
    except (SpecError, OSError):
        return None


def _draw(found: Evidence, path: Path) -> None:
    metric = next((each for each in found.shown if points(found, each.name)), None)
    if metric is None:
        raise OrchestratorError("No attempt has a number yet.", hint="See `orchestrator report` for what there is.")
    try:
        path.write_text(plot.svg(f"{found.title}: {metric.name}", points(found, metric.name), metric.target))
    except OSError as error:
        raise Misuse(f"Can't write {path}: {error.strerror}.", hint="Name a file in a folder that you may write to.") from error
