"""What `orchestrator --check` says of pull requests, where the configuration or a task asks for them: who opens them, and whether
that program is here and logged in. Nothing is asked over the net."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from orchestrator.cli import output
from orchestrator.cli.app import App
from orchestrator.cli.finding import MISSING, OK, WARNING, Finding
from orchestrator.core.spec import Land
from orchestrator.core.task import State
from orchestrator.errors import RepositoryError

NAME = "tracker"


def tracker(app: App) -> Iterator[Finding]:
    """One finding for each repository whose work is to go there by pull request; none where nobody asks for that."""
    if shutil.which("git") is None:
        return  # told already
    asking = dict(_asking(app))
    if app.settings.tracker and not asking:
        asking = {_default(app): ""}
    for path, task in asking.items():
        why = f", which {output.name_text(task)} asks for (land: pr)" if task else ""
        try:
            yield _finding(app, path, why)
        except RepositoryError:
            continue  # told as a finding of its own, or as that task's problem


def _asking(app: App) -> Iterator[tuple[Path, str]]:
    """The repositories of the tasks that ask for a pull request, each with the last one's name."""
    from orchestrator.store import snapshot

    root = Path(app.settings.tasks)
    if not root.is_dir():
        return
    for each in snapshot.read_all(app.queue, states=(State.PENDING, State.RUNNING), settle=app.settings.settle):
        if each.spec and each.spec.land is Land.PR:
            yield (root.parent / Path(each.spec.repo).expanduser() if each.spec.repo else _default(app)), each.name


def _default(app: App) -> Path:
    return Path(app.settings.repo) if app.settings.repo else Path(app.settings.tasks).parent


def _finding(app: App, path: Path, why: str) -> Finding:
    from orchestrator.git import remotes, repository
    from orchestrator.trackers import registry
    from orchestrator.trackers.protocol import TrackerError, Where

    repo = repository.discover(path)
    base = repository.base_branch(repo, app.settings.base)
    remote = remotes.of(repo, base)
    if remote is None:
        problem, fix = remotes.missing(repo, base)
        return Finding(NAME, WARNING, f"for a pull request{why}, {repo.top} has {problem}", fix)
    try:
        found = registry.find(app.settings.tracker) if app.settings.tracker else registry.of(remote.address)
        if found is None:
            known = "ORCH_TRACKER names who opens pull requests there: github, gitlab or a plug-in."
            return Finding(NAME, WARNING, f"nobody is known to open pull requests at {remote.address}{why}", known)
        found.check(Where(repo.top, remote.address))
    except TrackerError as error:
        return Finding(NAME, MISSING, f"{error.message.rstrip('.')}{why}", error.hint)
    return Finding(NAME, OK, f"{found.name} for {remote.name}{why}")
