"""`orchestrator demo`: all of it once, in a scratch folder and without keys, by a scripted agent or a real one."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from shlex import quote

import click

from orchestrator.cli import output, status, view
from orchestrator.cli.app import App
from orchestrator.cli.loop import speaker
from orchestrator.cli.options import common, pass_app
from orchestrator.cli.show import lines as show_lines
from orchestrator.cli.why import same
from orchestrator.core.settings import Settings
from orchestrator.errors import Misuse
from orchestrator.git import identity
from orchestrator.git.command import Git
from orchestrator.loop.mode import Mode
from orchestrator.store import templates
from orchestrator.store.queue import Queue

PARALLEL = 2
SCRIPTED = "scripted"
TOLD = "describe-it"


@click.command(
    epilog="\b\nExamples:\n  orchestrator demo\n  orchestrator demo --agent claude    by its own program, and a scripted model"
)
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--agent", metavar="NAME", default=SCRIPTED, help="Have the program of this agent do it, by a scripted model.")
@common(queue=False)
@pass_app
def demo(app: App, folder: Path | None, agent: str) -> int:
    """Show everything once: a scratch repository with three tasks and a scripted agent. Needs no model and no key.

    It is made in DIR (default: a new temporary folder) and left there to look at. With --agent a real agent that is installed
    works on the tasks; the model it talks to is a script on this machine, and of your own logins and settings it sees nothing.
    """
    if agent != SCRIPTED:
        from orchestrator.cli import demomodel

        demomodel.must_be_here(agent)
    top = _folder(folder)
    settings = Settings(
        tasks=str(top / "tasks"), repo=str(top), agent=agent, parallel=PARALLEL, log_level="quiet" if app.quiet else "normal"
    )
    queue = Queue(Path(settings.tasks))
    _make(top, queue, agent)
    who = "A scripted agent" if agent == SCRIPTED else f"{agent}, talking to a scripted model,"
    app.say(f"A scratch project with three tasks is in {top}. {who} works on them now:\n")
    code = _scripted(app, settings) if agent == SCRIPTED else _by_model(app, settings)
    _show(app, queue, settings)
    app.say(f"\nLook around with `cd {top}`: {_called()} show fix-greeting, logs describe-it, diff smaller-page, recover.")
    app.say(f"Remove it with `rm -rf {top}`.")
    return code


def _called() -> str:
    """This program as it is called from elsewhere: by its name only where a shell finds it, as it rarely does one in a venv."""
    program = Path(sys.argv[0]).absolute()
    if program.name == "__main__.py":
        return f"{quote(sys.executable)} -m orchestrator"
    found = shutil.which(program.name)
    return program.name if found and Path(found).samefile(program) else quote(str(program))


def _scripted(app: App, settings: Settings) -> int:
    os.environ.pop("ORCH_SCENARIO", None)  # one of the user's own would be played instead of the demo's
    return _run(app, settings)


def _by_model(app: App, settings: Settings) -> int:
    from orchestrator.cli import demomodel

    template = templates.path("demo")
    with (
        tempfile.TemporaryDirectory(prefix="orchestrator-home-", ignore_cleanup_errors=True) as home,
        demomodel.model(settings.agent or "", Path(home), template / "tasks", template / "project") as client,
    ):
        return _run(app, replace(settings, model=client.model, env_pass=tuple(client.env)))


def _run(app: App, settings: Settings) -> int:
    from orchestrator.loop.run import run

    return run(settings, Mode.DRAIN, say=speaker(app))


def _folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="orchestrator-demo-")).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Misuse(f"{folder} isn't empty.", hint="Name a new folder, or none for a temporary one.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _make(top: Path, queue: Queue, agent: str) -> None:
    """The repository with its first commit, then the tasks, each by one rename."""
    template = templates.path("demo")
    shutil.copytree(template / "project", top, dirs_exist_ok=True)
    git = Git(top, author=identity.fallback())
    git.run("init", "-q", "-b", "main")
    (top / "orchestrator.toml").write_text(f'agent = "{agent}"\n', encoding="utf-8")
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
