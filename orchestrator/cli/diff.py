"""`orchestrator diff NAME`: what was changed for a task."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from orchestrator.cli import output
from orchestrator.cli.app import App
from orchestrator.cli.options import common, name_argument, pass_app
from orchestrator.cli.worktrees import repository_of
from orchestrator.core.record import Record
from orchestrator.core.task import Place
from orchestrator.errors import OrchestratorError
from orchestrator.git import changes, kept, ranges, repository
from orchestrator.git.ranges import Range
from orchestrator.git.repository import Repository

NOTHING: dict[str, object] = {"repo": None, "old": None, "new": None, "files": [], "patch": ""}


@click.command(epilog="\b\nExample: orchestrator diff fix-auth | less")
@name_argument(begun=True)
@click.option("--attempt", metavar="LABEL", help="What one attempt left: its number, or a label of `orchestrator recover NAME`.")
@click.option("--stat", is_flag=True, help="Only which files, and how much.")
@common(json=True)
@pass_app
def diff(app: App, name: str, attempt: str | None, stat: bool) -> int:
    """Print what has been committed for a task so far: from where it began to its branch, or what it landed."""
    place = app.queue.find(name)
    found = range_of(app, place, attempt)
    if app.json:
        output.document({"schema": 1, "name": place.name, **(_document(found) if found else NOTHING)})
    elif found is None:
        output.err(f"Nothing has been done for {place.name!r} yet; `orchestrator why {quote(place.name)}` says why.")
    elif stat:
        output.out(output.clean(changes.stat(found.repo, found.old, found.new), lines=True).rstrip("\n"))
    else:
        _print(app, found)
    return 0


def range_of(app: App, place: Place, attempt: str | None) -> Range | None:
    """The commits to compare; None where nothing has been done yet. Raises OrchestratorError where there is no such attempt."""
    folder, name = app.queue.path(place), place.name
    record = app.queue.record(place)
    if record is None or record.repo is None or record.base_commit is None:
        if attempt is None:
            return None
        raise OrchestratorError(f"Nothing has been done for {name!r} yet.", hint=f"`orchestrator why {quote(name)}` says why.")
    repo = _repository(app, folder, record)
    if attempt is not None:
        commit = _labelled(repo, record.slug, attempt)
        return Range(repo, kept.began(repo, commit, record.base, record.base_commit), commit)
    found = ranges.of(repo, record)
    assert found is not None
    return found


def _repository(app: App, folder: Path, record: Record) -> Repository:
    try:
        return repository_of(app, folder, record)
    except repository.NotARepository as error:
        raise OrchestratorError(
            f"{record.repo} has no git: there is nothing to compare.", hint="The work lies there, as it is."
        ) from error


def _labelled(repo: Repository, slug: str, label: str) -> str:
    wanted = f"{int(label):04d}" if label.isdecimal() else label
    refs = kept.attempts(repo, slug)
    found = next((each.commit for each in refs if each.label == wanted), None)
    if found is None:
        labels = ", ".join(each.label for each in refs) or "none yet"
        raise OrchestratorError(f"There is nothing kept as {label!r}.", hint=f"There are: {labels}.")
    return found


def _print(app: App, found: Range) -> None:
    git = found.repo.git.run("diff", "--no-color", "--no-ext-diff", "--no-textconv", found.old, found.new)
    if git.stdout:
        output.patch(git.stdout, color=app.color)
    elif not app.quiet:
        output.err("No difference.")


def _document(found: Range) -> dict[str, object]:
    git = found.repo.git
    commits = [git.text("rev-parse", commit) for commit in (found.old, found.new)]
    files = [{"path": each.path, "status": each.status.value} for each in changes.changed(found.repo, *commits)]
    patch = changes.patch(found.repo, *commits).decode(errors="replace")
    return {
        "repo": str(found.repo.top),
        "old": commits[0],
        "new": commits[1],
        "files": files,
        "patch": patch,
    }
