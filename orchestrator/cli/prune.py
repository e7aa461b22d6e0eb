"""`orchestrator prune`: disk use shown, and what nobody needs any more given back."""

from __future__ import annotations

from collections.abc import Collection

import click

from orchestrator.cli import output, reclaim
from orchestrator.cli.app import App
from orchestrator.cli.options import common, pass_app
from orchestrator.cli.reclaim import Item
from orchestrator.core import durations
from orchestrator.errors import Misuse, OrchestratorError

EPILOG = """\b
Examples:
  orchestrator prune --dry-run                    what uses disk, and what would go
  orchestrator prune --older-than 90d

Idle worktrees go, and what was left of converged tasks' worktrees once everything in them is kept; attempts' commits and
agents' logs of tasks that landed longer ago than --older-than, and the branches and names of those among them that were
removed from converged. Nothing of a task that is not converged goes, and nothing whose owner is not known.
Git gives the commits' space back when it collects them (`git gc`).
"""
UNITS = ("B", "kB", "MB", "GB", "TB")
older_than = click.option("--older-than", "age", default="30d", metavar="TIME", show_default=True, help="How long they stay.")
dry_run = click.option("--dry-run", is_flag=True, help="Only show it.")


@click.command(epilog=EPILOG)
@older_than
@dry_run
@common(json=True)
@pass_app
def prune(app: App, age: str, dry_run: bool) -> int:
    """Show what uses disk, and give back what nobody needs any more. Whatever is unknown stays."""
    return carry_out(app, reclaim.find(app, seconds(age)), dry_run=dry_run)


def seconds(age: str) -> float:
    """The duration that `--older-than` says. Raises Misuse."""
    try:
        return durations.seconds(age)
    except ValueError as error:
        raise Misuse(f"--older-than: {error}.", hint="For example: --older-than 30d") from error


def carry_out(app: App, items: list[Item], *, dry_run: bool) -> int:
    """Remove what may go, one after the other, and tell of all. One that can't go keeps no other from it. 1 where one stayed
    that should have gone."""
    going = [] if dry_run else [item for item in items if item.remove]
    done = reclaim.forget(going)
    failed = {id(item): why for item in going if id(item) not in done and (why := _remove(item))}
    gone = {id(item) for item in items if item.remove and id(item) not in failed}
    if app.json:
        told = [_plain(item, failed.get(id(item)), gone=id(item) in gone) for item in items]
        output.document({"schema": 1, "dry_run": dry_run, "items": told, "bytes": _bytes(items, gone)})
    else:
        _tell(app, items, gone, failed, dry_run=dry_run)
    return 1 if failed else 0


def _remove(item: Item) -> str | None:
    assert item.remove is not None
    try:
        return item.remove()
    except (OrchestratorError, OSError) as error:
        return str(error)


def _plain(item: Item, failed: str | None, *, gone: bool) -> dict[str, object]:
    return {"kind": item.kind, "what": item.what, "bytes": item.size, "why": failed or item.why, "reclaimed": gone}


def _bytes(items: list[Item], gone: Collection[int]) -> int:
    return sum(item.size for item in items if id(item) in gone)


def _tell(app: App, items: list[Item], gone: Collection[int], failed: dict[int, str], *, dry_run: bool) -> None:
    words = ("would go", "stays") if dry_run else ("gone", "stays")
    rows = [
        (item.kind, words[id(item) not in gone], size_text(item.size), failed.get(id(item), item.why), output.clean(item.what))
        for item in items
    ]
    for line in output.table(("KIND", "", "SIZE", "WHY", "WHAT"), rows) if rows else ():
        app.say(line)
    whole = size_text(_bytes(items, gone))
    app.say(f"{whole} {'would be' if dry_run else 'were'} given back." if gone else "There is nothing to give back.")
    if any(item.why == reclaim.STRANGE for item in items):
        app.say("A worktree of a task whose folder you removed, and that no other queue has, goes by `git worktree remove PATH`.")


def size_text(size: float) -> str:
    """Bytes for people: `0 B`, `4.1 kB`, `12 MB`; nothing for what can't be measured by itself."""
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            return f"{size:.3g} {unit}" if size < 1000 else f"{size:.0f} {unit}"
        size /= 1000
    raise AssertionError
