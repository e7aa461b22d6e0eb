"""Options and arguments that many commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.cli.app import App
from orchestrator.core.task import Place, State, name_problem
from orchestrator.errors import Misuse

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from orchestrator.store.queue import Queue

F = TypeVar("F", bound=Callable[..., Any])
FLAGS = ("tasks", "repo")  # those that are settings


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


def _paths(kind: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem[str]]]:
    """For the shell: paths, which it knows itself. Without this it completes none where our script is."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type=kind)]

    return complete


folders, files = _paths("dir"), _paths("file")
TASKS = _flag("--tasks", metavar="DIR", shell_complete=folders, help="The tasks folder (ORCH_TASKS; default ./tasks).")
REPO = _flag("--repo", metavar="DIR", shell_complete=folders, help="The repository to work on (ORCH_REPO; default: found).")
ENTER = click.option(
    "-C",
    "enter",
    metavar="DIR",
    multiple=True,
    expose_value=False,
    is_eager=True,
    callback=_enter,
    shell_complete=folders,
    help="Begin in this folder.",
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


def by_commas(complete: Complete) -> Complete:
    """The same where several are separated by commas: the last is completed, what stands before it stays."""

    def last(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        before, comma, start = incomplete.rpartition(",")
        return [f"{before}{comma}{name}" for name in complete(ctx, param, start)]

    return last


def _names(queue: Queue, states: Iterable[State], start: str, *, begun: bool) -> set[str]:
    from orchestrator.store import records

    found = [place for place in queue.places(states) if place.name.startswith(start) and not name_problem(place.name)]
    return {place.name for place in found if not begun or (queue.path(place) / records.FILE).exists()}


def name_argument(*, begun: bool = False) -> Callable[[F], F]:
    """The task a command is about: its name, or the beginning of it that fits no other. `begun` as for `completing`."""
    return click.argument("name", shell_complete=completing(begun=begun))


def names_argument(*states: State, required: bool = True) -> Callable[[F], F]:
    """One task or several, of the states in which the command changes anything."""
    return click.argument("names", nargs=-1, required=required, metavar="NAME...", shell_complete=completing(*states))


def looked_at(app: App, name: str) -> Place:
    """The task called `name`, for whoever only looks: of several folders of that name the one that runs. Raises NoSuchTask."""
    running = [place for place in app.queue.places() if place.name == name and place.token]
    return running[0] if len(running) == 1 else app.queue.find(name)
