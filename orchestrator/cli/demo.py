"""`orchestrator demo`: all of it once, in a scratch folder, with a scripted agent and no keys."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import click

from orchestrator.cli import output, status, view
from orchestrator.cli.loop import speaker
from orchestrator.cli.options import App, common, pass_app
from orchestrator.cli.show import lines as show_lines
from orchestrator.cli.why import same
from orchestrator.core.settings import Settings
from orchestrator.errors import Misuse, OrchestratorError
from orchestrator.git import identity
from orchestrator.git.command import Git
from orchestrator.store.queue import Queue
from orchestrator.store.templates import PACKAGE

PARALLEL = 2
TOLD = "describe-it"


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@common(queue=False)
@pass_app
def demo(app: App, folder: Path | None) -> int:
    """Show everything once: a scratch repository with three tasks and a scripted agent. Needs no model and no key.

    It is made in DIR (default: a new temporary folder) and left there to look at.
    """
    from orchestrator.loop.parts import Mode
    from orchestrator.loop.run import run

    top = _folder(folder)
    settings = Settings(
        tasks=str(top / "tasks"), repo=str(top), agent="scripted", parallel=PARALLEL, log_level="quiet" if app.quiet else "normal"
    )
    queue = Queue(Path(settings.tasks))
    _make(top, queue)
    os.environ.pop("ORCH_SCENARIO", None)  # one of the user's own would be played instead of the demo's
    app.say(f"A scratch project with three tasks is in {top}. A scripted agent works on them now:\n")
    code = run(settings, Mode.DRAIN, say=speaker(app))
    _show(app, queue, settings)
    app.say(f"\nLook around with `cd {top}`: orchestrator show fix-greeting, logs describe-it, diff smaller-page, recover.")
    app.say(f"Remove it with `rm -rf {top}`.")
    return code


def _folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="orchestrator-demo-")).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Misuse(f"{folder} isn't empty.", hint="Name a new folder, or none for a temporary one.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _template() -> Path:
    for place in (PACKAGE / "templates", PACKAGE.parent / "templates"):
        if (place / "demo").is_dir():
            return place / "demo"
    raise OrchestratorError("The demo's files are missing from this installation.", hint="Install the orchestrator again.")


def _make(top: Path, queue: Queue) -> None:
    """The repository with its first commit, then the tasks, each by one rename."""
    template = _template()
    shutil.copytree(template / "project", top, dirs_exist_ok=True)
    git = Git(top, author=identity.fallback())
    git.run("init", "-q", "-b", "main")
    (top / "orchestrator.toml").write_text('agent = "scripted"\n', encoding="utf-8")
    git.run("add", "-A")
    git.run("commit", "-q", "-m", "A greeter that doesn't greet yet")
    queue.ensure()
    for task in sorted((template / "tasks").iterdir()):
        built = queue.scratch()
        shutil.copytree(task, built, dirs_exist_ok=True)
        (built / ".orch").mkdir()
        (built / ".orch" / "ready").touch()
        queue.publish(built, task.name)


def _show(app: App, queue: Queue, settings: Settings) -> None:
    """What came of it: the status, the task whose first attempt claimed a success it hadn't, and the commits on main."""
    if app.quiet:
        return
    seen = view.look(queue, settings)
    output.out("\n$ orchestrator --status")
    for line in status.lines(seen, width=output.width() if app.rich else None, color=app.color):
        output.out(line)
    output.out(f"\n$ orchestrator show {TOLD}")
    candidate = same(seen, queue.find(TOLD))
    for line in show_lines(seen, candidate, candidate.spec):
        output.out(line)
    output.out("\n$ git log --graph --oneline")
    output.out(Git(queue.root.parent).text("log", "--graph", "--oneline"))
