"""`orchestrator init [DIR]`: everything a queue needs, and nothing overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import click

from orchestrator.cli import output
from orchestrator.cli.app import App, refuse_inner
from orchestrator.cli.options import common, pass_app
from orchestrator.core.task import State
from orchestrator.errors import Misuse, OrchestratorError, RepositoryError

CONFIG = "orchestrator.toml"
TEXT = """\
# Settings of the orchestrator for this project. What is commented out shows the default, or an example where there is none.
# `orchestrator --config` shows what is in force and why; a flag or an ORCH_ variable wins over this file.
# A loop that runs keeps the settings it began with: `orchestrator --stop`, then start it again.

# agent = "exec"                # who works on tasks that don't say; `orchestrator --check` lists agents
# agent_cmd = "my-agent"        # the shell command of the agent `exec`; it runs in the task's worktree
# model = "opus"                # the agent's model
# fallback = ["codex"]          # agents to take where that one is at a usage limit or not installed
# limit_wait = "7d"             # the longest wait for a usage limit to pass; 0: none, the attempt fails
# budget_usd_day = 20           # what all tasks together may cost in 24 hours
# parallel = 1                  # tasks at once; 0 is one per core
# converge = 3                  # samples in a row that must be at target
# max_failures = 5              # attempts in a row without improvement until a task is blocked
# verify_cmd = "make test"      # must succeed before work lands
# integration_cmd = "make e2e"  # looks at the base after a set of landings, and names who broke it
# base = "main"                 # the branch that work starts from and lands on
# timeout = "1h"                # one session of an agent
# benchmark_timeout = "2m"      # one run of a benchmark
# keep_converged = 100          # converged tasks kept; 0 is all

# [hooks]                       # shell commands around a task's work, run in its worktree
# after_create = "npm ci"

# [agents.claude]               # more words for an agent's command line
# args = ["--verbose"]
"""


@click.command(epilog="\b\nExample: cd my-project && orchestrator init")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@common(json=True)
@pass_app
def init(app: App, folder: Path | None) -> int:
    """Make the tasks folder and a configuration in DIR (default: here). Never overwrites; can be run again."""
    top = (folder or Path()).absolute()
    if top.exists() and not top.is_dir():
        raise Misuse(f"{top} is a file.", hint="Name a folder.")
    made = list(_make(app, top, named=folder is not None))
    if app.json:
        output.document({"schema": 1, "root": str(_root(app, top, named=folder is not None)), "made": made})
        return 0
    for line in made or ["Everything was there already."]:
        app.say(line)
    app.say(
        f"Next: {_way(app, top)}`orchestrator add NAME --goal … --benchmark …`, then `orchestrator`."
        " `orchestrator --check` says what is missing."
    )
    return 0


def _way(app: App, top: Path) -> str:
    """What has to come first where no command would find this queue by itself."""
    way = "" if top == Path.cwd() else f"`cd {quote(str(top))}`, "
    return f"{way}name the queue by ORCH_TASKS, or `tasks` in {CONFIG}, " if "tasks" in app.flags else way


def _root(app: App, top: Path, *, named: bool) -> Path:
    """Where the tasks go: in DIR where one is named, unless --tasks says otherwise; else where the settings say."""
    return refuse_inner(top / "tasks" if named and "tasks" not in app.flags else Path(app.settings.tasks))


def _make(app: App, top: Path, *, named: bool) -> Iterator[str]:
    from orchestrator.store.queue import Queue

    root = _root(app, top, named=named)
    missing = [state for state in State if not (root / state.value).is_dir()]
    queue = Queue(root)
    queue.ensure()
    if missing:
        yield f"made {root}/ with {', '.join(state.value for state in missing)}"
    config = top / CONFIG
    try:
        with config.open("x", encoding="utf-8") as file:
            file.write(TEXT)
        yield f"made {config}"
    except FileExistsError:
        pass
    except OSError as error:
        raise OrchestratorError(
            f"Can't write {config}: {error.strerror}.", hint="Give this user write permission there."
        ) from error
    yield from _hide(app, queue.root, top)


def _hide(app: App, root: Path, top: Path) -> Iterator[str]:
    """Keep queue and worktrees out of the repository's commits, where there is a repository."""
    from orchestrator.git import refs, repository
    from orchestrator.worker.findings import hide_queue

    try:
        repo = repository.discover(Path(app.settings.repo) if app.settings.repo else root.parent if root.parent.is_dir() else top)
    except repository.NoCommitYet as error:
        yield f"note: {error.told}"
        repo = error.repo  # hidden all the same: the first commit is often `git add -A`
    except RepositoryError as error:
        yield f"note: {error.told}"
        return
    path = repo.common / "info" / "exclude"
    before = refs.content(path)
    hide_queue(repo, root, app.settings.worktrees_of(repo.top))
    if refs.content(path) != before:
        yield f"added the tasks folder and .worktrees to {path}, git's own ignore list of this clone"
        if root.parent != repo.top and root.parent.is_relative_to(repo.top):
            yield f"note: benchmarks and agents begin in {repo.top}, the repository's top; so do the paths in `scope`"
