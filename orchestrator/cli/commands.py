"""`orchestrator` itself: its flags, and the table of its commands. A command's module is imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from orchestrator import __version__
from orchestrator.cli.app import App
from orchestrator.cli.options import common, completing, folders, pass_app
from orchestrator.cli.output import ReaderGone, out
from orchestrator.core.task import State
from orchestrator.errors import Misuse

COMMANDS = {
    "init": "orchestrator.cli.init:init",
    "add": "orchestrator.cli.add:add",
    "edit": "orchestrator.cli.edit:edit",
    "list": "orchestrator.cli.list:list_tasks",
    "show": "orchestrator.cli.show:show",
    "logs": "orchestrator.cli.logs:logs",
    "diff": "orchestrator.cli.diff:diff",
    "report": "orchestrator.cli.report:report",
    "why": "orchestrator.cli.why:why",
    "queue": "orchestrator.cli.verbs:queue",
    "retry": "orchestrator.cli.verbs:retry",
    "block": "orchestrator.cli.verbs:block",
    "cancel": "orchestrator.cli.verbs:cancel",
    "stop": "orchestrator.cli.verbs:stop",
    "pulls": "orchestrator.cli.pulls:pulls",
    "webhooks": "orchestrator.cli.webhooks:webhooks",
    "undo": "orchestrator.cli.undo:undo",
    "approve": "orchestrator.cli.review:approve",
    "reject": "orchestrator.cli.review:reject",
    "recover": "orchestrator.cli.recover:recover",
    "import": "orchestrator.cli.session:import_session",
    "export": "orchestrator.cli.session:export_session",
    "prune": "orchestrator.cli.prune:prune",
    "demo": "orchestrator.cli.demo:demo",
    "schema": "orchestrator.cli.schema:schema",
    "completions": "orchestrator.cli.completions:completions",
}
HIDDEN = {"work": "orchestrator.cli.verbs:work"}
MODES = {
    "loop": "orchestrator.cli.loop:loop",
    "once": "orchestrator.cli.loop:once",
    "task": "orchestrator.cli.loop:task",
    "status": "orchestrator.cli.status:status",
    "check": "orchestrator.cli.check:check",
    "config": "orchestrator.cli.config:config",
    "graph": "orchestrator.cli.graph:graph",
    "stop": "orchestrator.cli.loop:stop",
    "version": "orchestrator.cli.commands:version",
}
DRAIN = "orchestrator.cli.loop:drain"
CALLED = {  # what other programs call it; the nearest spelling of `run` is `prune`
    **dict.fromkeys(("run", "start"), "orchestrator --loop"),
    **dict.fromkeys(("rm", "remove", "delete"), "orchestrator cancel"),
    **dict.fromkeys(("new", "create"), "orchestrator add"),
    **dict.fromkeys(("resume", "unblock"), "orchestrator retry"),
    "pause": "orchestrator block",
    "doctor": "orchestrator --check",
    "ls": "orchestrator list",
}
IN_JSON = frozenset({"status", "check", "config", "graph"})
EPILOG = """\b
Examples:
  orchestrator init                          make the folders and a configuration here
  orchestrator add fix-auth --goal "All auth tests pass" --benchmark ./count-failures.sh
  orchestrator                               work until nothing more can be done
  orchestrator --loop --parallel 4           keep working on whatever is dropped into tasks/pending
  orchestrator --status --watch              look on
  orchestrator why fix-auth                  why it isn't running
  orchestrator demo                          see all of it once, without keys, in a scratch folder

A task is a folder in tasks/pending: an autoresearch.md that says what to reach, and a benchmark that prints
`METRIC name=value`. The folder it lies in is its state: pending, running, converged or blocked.

\b
Exit codes: 0 done · 1 something is blocked or failed · 2 not understood · 3 our own fault
            75 all that is left is parked, try later · 130 interrupted
"""


class Commands(click.Group):
    """Commands by a table; a word that is none of them never starts anything."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        found = COMMANDS.get(name) or HIDDEN.get(name)
        command: click.Command | None = _load(found) if found else None
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # click would exit with 1
            raise ReaderGone from error

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in COMMANDS and word not in HIDDEN and not word.startswith("-"):
            raise Misuse(f"There is no command {word!r}.", hint=_meant(word))
        return super().resolve_command(ctx, args)


def _meant(word: str) -> str:
    """The command that `word` may have been meant for, in a sentence."""
    import difflib

    if word in CALLED:
        return f"Did you mean `{CALLED[word]}`?"
    names = {**{mode: f"--{mode}" for mode in (*MODES, "help")}, **{name: name for name in COMMANDS}}
    if close := difflib.get_close_matches(word, names, n=1):
        return f"Did you mean `orchestrator {names[close[0]]}`?"
    return "`orchestrator --help` lists the commands; `orchestrator show NAME` shows a task, `--task NAME` works on it."


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--loop", is_flag=True, help="Watch and work until told to stop (--stop, or Ctrl-C).")
@click.option("--once", is_flag=True, help="One tick: claim one task, make one attempt, put it down.")
@click.option(
    "--task",
    metavar="NAME",
    multiple=True,
    shell_complete=completing(State.PENDING),
    help="Work on this task now, whatever its priority or back-off.",
)
@click.option("--status", is_flag=True, help="What every task is doing.")
@click.option("--watch", is_flag=True, help="With --status: keep showing it.")
@click.option("--check", is_flag=True, help="Whether everything that is needed is there, and how to get what is not.")
@click.option("--config", is_flag=True, help="The effective settings, and where each comes from.")
@click.option("--graph", is_flag=True, help="Which task waits for which.")
@click.option("--stop", is_flag=True, help="Stop every loop on this tasks folder; their tasks go back to pending.")
@click.option("--parallel", type=int, metavar="N", help="How many tasks at once; 0 is one per core (ORCH_PARALLEL; default 1).")
@click.option("--agent", metavar="NAME", help="Who works on tasks that don't say (ORCH_AGENT).")
@click.option("--model", metavar="MODEL", help="The agent's model, where the task doesn't say (ORCH_MODEL).")
@click.option("--effort", metavar="LEVEL", help="The agent's reasoning effort, where the task doesn't say (ORCH_EFFORT).")
@click.option(
    "--fallback", metavar="NAMES", help="Agents to take at a usage limit, or where one isn't installed (ORCH_FALLBACK)."
)
@click.option(
    "--record",
    metavar="DIR",
    shell_complete=folders,
    help="Keep each session there as a cassette, for the agent `scripted` (ORCH_RECORD).",
)
@common(json=True)
@click.option("--version", is_flag=True, help="Show the version and exit.")
@pass_app
@click.pass_context
def root(ctx: click.Context, app: App, /, watch: bool, **options: Any) -> int | None:
    """Works through a queue of task folders: sends a coding agent at each, in a git worktree, until its benchmark
    holds the target, then merges the tested commit. Without a command or option: work until nothing more can be done.
    """
    for name in ("parallel", "agent", "model", "effort", "fallback", "record"):
        if options[name] is not None:
            app.flags[name] = options[name]
    modes = [name for name in MODES if options[name]]
    _refuse_mixtures(ctx, app, modes, watch=watch)
    if options["task"][1:]:
        raise Misuse("--task is one task.", hint="Give one name; `orchestrator` works on all tasks.")
    if ctx.invoked_subcommand:
        return None
    if not modes:
        code: int | None = _load(DRAIN)(app)
        return code
    mode = modes[0]
    extra = {"task": options["task"], "status": (watch,)}.get(mode, ())
    result: int | None = _load(MODES[mode])(app, *extra)
    return result


def _knows_json(name: str) -> bool:
    command: click.Command = _load(COMMANDS.get(name) or HIDDEN[name])
    return any("--json" in param.opts for param in command.params)


def version(_app: App) -> int:
    """Say which version this is."""
    out(f"orchestrator {__version__}")
    return 0


def _refuse_mixtures(ctx: click.Context, app: App, modes: list[str], *, watch: bool) -> None:
    """Two things to do at once, or an option that belongs to something else, are a mistake and start nothing."""
    if ctx.invoked_subcommand and (modes or watch):
        word = modes[0] if modes else "watch"
        raise Misuse(f"--{word} and the command {ctx.invoked_subcommand!r} don't go together.", hint="Give one of the two.")
    if app.json and ctx.invoked_subcommand and not _knows_json(ctx.invoked_subcommand):
        raise Misuse(f"--json has nothing to print for {ctx.invoked_subcommand!r}.", hint="Leave it out.")
    if len(modes) > 1:
        raise Misuse(f"--{modes[0]} and --{modes[1]} don't go together.", hint="Give one of the two.")
    if watch and modes != ["status"]:
        raise Misuse("--watch goes with --status.", hint="orchestrator --status --watch")
    if watch and app.json:
        raise Misuse("--watch shows a changing table, --json prints one document.", hint="Leave out one of the two.")
    if app.json and not ctx.invoked_subcommand and not IN_JSON & set(modes):
        raise Misuse(
            "--json has nothing to print here.", hint="It goes with --status, --check, --config, --graph and most commands."
        )
