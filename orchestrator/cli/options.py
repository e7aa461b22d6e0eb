"""Options that many commands share, and what they come to: settings, the queue, how to print."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.cli import output
from orchestrator.core.task import State
from orchestrator.errors import Misuse

if TYPE_CHECKING:
    from orchestrator.core.settings import Settings
    from orchestrator.store.config import Config
    from orchestrator.store.queue import Queue

F = TypeVar("F", bound=Callable[..., Any])
FLAGS = ("tasks", "repo", "parallel", "agent", "model", "effort", "fallback", "record")  # those that are settings


@dataclass
class App:
    """One invocation: what the flags said, and what follows from them, found out when it is asked for."""

    flags: dict[str, object] = field(default_factory=dict)
    json: bool = False
    no_color: bool = False
    quiet: bool = False
    verbose: bool = False

    @cached_property
    def config(self) -> Config:
        """The effective configuration. Its warnings are told once, on stderr. Raises Misuse for a value that can't be."""
        from orchestrator.store import config

        loaded = config.load(self._settings_flags(), os.environ, Path.cwd())
        for warning in loaded.warnings if not self.quiet else ():
            output.err(f"orchestrator: {output.clean(warning)}")
        return loaded

    @property
    def settings(self) -> Settings:
        return self.config.settings

    @cached_property
    def queue(self) -> Queue:
        """The queue as it is. Raises Misuse where there is none, so that a wrong folder is noticed."""
        from orchestrator.store.queue import Queue

        root = Path(self.settings.tasks)
        if not root.is_dir():
            from shlex import quote

            above = next((folder for folder in Path.cwd().parents if (folder / "tasks/pending").is_dir()), None)
            hint = "`orchestrator init` makes one here; --tasks DIR names another."
            found = f"There is one above: `orchestrator -C {quote(str(above))} …`."
            raise Misuse(f"There is no tasks folder at {root}.", hint=found if above else hint)
        return Queue(root)

    @cached_property
    def new_queue(self) -> Queue:
        """The queue, its folders made where they are missing: for commands that put something in."""
        from orchestrator.store.queue import Queue

        queue = Queue(Path(self.settings.tasks))
        queue.ensure()
        return queue

    @property
    def color(self) -> bool:
        return output.color_wanted(sys.stdout, no_color=self.no_color)

    @property
    def rich(self) -> bool:
        """Whether a person looks at a terminal, so that tables may fit themselves to it."""
        return output.terminal(sys.stdout)

    def say(self, text: str) -> None:
        """A line for people: not with --quiet, not into a JSON document."""
        if not self.quiet and not self.json:
            output.out(output.clean(text, lines=True))

    def _settings_flags(self) -> dict[str, object]:
        level = "quiet" if self.quiet else "verbose" if self.verbose else None
        flags = {name: value for name, value in self.flags.items() if value is not None}
        return {**flags, **({"log_level": level} if level else {})}


pass_app = click.make_pass_decorator(App, ensure=True)


def _store(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        if value is not None and value is not False:
            app = ctx.ensure_object(App)
            if name in FLAGS:
                app.flags[name] = value
            else:
                setattr(app, name, value)
        return value

    return callback


def _enter(_ctx: click.Context, _param: click.Parameter, folders: tuple[str, ...]) -> None:
    """Go there before anything relative is looked at; one after the other, as git does."""
    for folder in folders:
        try:
            os.chdir(folder)
        except OSError as error:
            raise Misuse(f"Can't go to {folder}: {error.strerror}.", hint="-C wants an existing folder.") from error


def _flag(*names: str, **attributes: Any) -> Callable[[F], F]:
    stored = names[-1].lstrip("-").replace("-", "_")
    return click.option(*names, expose_value=False, callback=_store(stored), **attributes)


TASKS = _flag("--tasks", metavar="DIR", help="The tasks folder (ORCH_TASKS; default ./tasks).")
REPO = _flag("--repo", metavar="DIR", help="The repository to work on (ORCH_REPO; default: found).")
ENTER = click.option(
    "-C", "enter", metavar="DIR", multiple=True, expose_value=False, is_eager=True, callback=_enter, help="Begin in this folder."
)
COMMON = (
    ENTER,
    _flag("--no-color", is_flag=True, help="No colors (also NO_COLOR=1)."),
    _flag("-q", "--quiet", is_flag=True, help="Only results and errors."),
)
VERBOSE = _flag("-v", "--verbose", is_flag=True, help="Tell more.")
JSON = _flag("--json", is_flag=True, help="One JSON document on stdout, nothing else.")


def common(*, json: bool = False, repo: bool = True, queue: bool = True) -> Callable[[F], F]:
    """Give a command the options that are the same everywhere. Without `queue`, those that are left to one that has a queue of
    its own."""
    after = (VERBOSE,) if queue else ()
    before = ((JSON, json), (TASKS, queue), (REPO, repo and queue))

    def decorate(function: F) -> F:
        for option in reversed([*(option for option, wanted in before if wanted), *COMMON, *after]):
            function = option(function)
        return function

    return decorate


Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def completing(*states: State, begun: bool = False) -> Complete:
    """For the shell: names of tasks that begin so, of those that the command takes. `begun`: something was done for them."""

    def complete(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        try:
            return sorted(_names(ctx.ensure_object(App).queue, states or tuple(State), incomplete, begun=begun))
        except Exception:  # noqa: BLE001 - whatever goes wrong, a completion must print nothing
            return []

    return complete


def _names(queue: Queue, states: Iterable[State], start: str, *, begun: bool) -> set[str]:
    from orchestrator.store import records

    found = [place for place in queue.places(states) if place.name.startswith(start)]
    return {place.name for place in found if not begun or (queue.path(place) / records.FILE).exists()}


def name_argument(*, required: bool = True, begun: bool = False) -> Callable[[F], F]:
    """The task a command is about: its name, or the beginning of it that fits no other. `begun` as for `completing`."""
    return click.argument("name", required=required, shell_complete=completing(begun=begun))


def names_argument(*states: State, required: bool = True) -> Callable[[F], F]:
    """One task or several, of the states in which the command changes anything."""
    return click.argument("names", nargs=-1, required=required, metavar="NAME...", shell_complete=completing(*states))


def one(app: App, name: str) -> Any:
    """The Place of the task called `name`. Raises NoSuchTask."""
    return app.queue.find(name)
