"""`orchestrator add NAME`: a new task, complete and ready when it appears."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from orchestrator.cli import output, specs
from orchestrator.cli.app import App
from orchestrator.cli.keys import front_matter, spec_options
from orchestrator.cli.options import common, files, pass_app
from orchestrator.core.spec import Spec

EPILOG = """\b
Examples:
  orchestrator add fix-auth --goal "All auth tests pass" --metric failures --target 0 --benchmark ./count-failures.sh
  orchestrator add smaller --goal "The bundle has at most 200 kB" --metric kb --target 200 --scope 'src/**' \\
      --benchmark 'npm run -s build && echo METRIC kb=$(du -k dist/main.js | cut -f1)'
  orchestrator add idea --goal "Something vague yet" --draft

The benchmark is a file, which is copied into the task, or a command, which the shell runs in the worktree. It prints
`METRIC name=value`. Without one a stub is written and the task is a draft: write it, then `orchestrator queue NAME`.
"""


@click.command(epilog=EPILOG)
@click.argument("name")
@click.option(
    "--benchmark",
    metavar="FILE|CMD",
    shell_complete=files,
    help="What measures it: a file or a command that prints METRIC name=value.",
)
@click.option(
    "--holdout", metavar="FILE|CMD", shell_complete=files, help="A second, hidden benchmark that has to hold after a win."
)
@click.option("--checks", metavar="FILE", type=click.Path(path_type=Path), help="A script that must succeed before it lands.")
@click.option("--acceptance", metavar="TEXT", help="Acceptance criteria, for the agent.")
@click.option("--constraints", metavar="TEXT", help="What the agent has to keep to.")
@click.option("--notes", metavar="TEXT", help="What else it should know.")
@click.option("--draft", is_flag=True, help="Not to be worked on yet; `orchestrator queue NAME` releases it.")
@spec_options
@common(json=True, repo=False)
@pass_app
def add(app: App, /, name: str, **given: Any) -> int:
    """Add a task. It is built out of sight and appears complete."""
    from orchestrator.store import scaffold

    keys = front_matter(given)
    if given["draft"]:
        keys["draft"] = True
    sections = {key: text for key in ("acceptance", "constraints", "notes") if (text := given[key])}
    task = scaffold.NewTask(
        name=name,
        goal=given["goal"] or "",
        title=given["title"] or "",
        keys=keys,
        sections=sections,
        benchmark=given["benchmark"],
        holdout=given["holdout"],
        checks=given["checks"],
    )
    queue = app.new_queue
    place, spec = scaffold.create(queue, task, cwd=Path.cwd())
    folder = queue.path(place)
    if app.json:
        output.document({"schema": 1, "name": place.name, "state": place.state.value, "path": str(folder), "draft": spec.draft})
        return 0
    app.say(f"{folder} is {'a draft' if spec.draft else 'pending'}.")
    for line in (*_next(place.name, given, spec), *specs.doubts(app, spec)):
        app.say(line)
    return 0


def _no_file(benchmark: str | None) -> str | None:
    """A path that leads nowhere from here: mistyped, or a program that only the worktree has."""
    looks_so = benchmark and "/" in benchmark and len(benchmark.split()) == 1
    return benchmark if looks_so and benchmark and not Path(benchmark).expanduser().is_file() else None


def _next(name: str, given: dict[str, Any], spec: Spec) -> list[str]:
    """What is left to do."""
    steps = [f"warning: {warning}" for warning in spec.warnings]
    if not given["goal"]:
        steps.append(f"Say what to reach: `orchestrator edit {quote(name)}`.")
    if missing := _no_file(given["benchmark"]):
        steps.append(f"warning: there is no file {missing}; it is taken for a command that the shell runs in the worktree")
    if given["benchmark"] is None:
        steps.append("Write its benchmark.sh, which measures it.")
    return [*steps, f"Then `orchestrator queue {quote(name)}`."] if spec.draft else steps
