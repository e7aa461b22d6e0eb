"""`orchestrator --status --watch`: the status, kept true while somebody looks."""

from __future__ import annotations

import shutil
import sys
import time

from orchestrator.cli import output, view
from orchestrator.cli.app import App
from orchestrator.cli.status import lines

EVERY = 1.0
SHARE = 10  # looking takes at most a tenth of the time, however many tasks there are
AROUND = 10  # lines beside those of the tasks: header, counts, blank, table head, what was cut, four warnings, the hint
HINT = "Ctrl-C ends this view; nothing else is stopped."


def watch(app: App) -> int:
    """Show the status until Ctrl-C. Without a terminal: as plain text, again whenever it changed."""
    if not app.rich:
        return _print_changes(app)
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(no_color=not app.color, highlight=False), screen=True, auto_refresh=False) as live:
        live.update(Text(f"Reading {app.queue.root} …"), refresh=True)  # the first look parses every spec
        while True:
            begun = time.monotonic()
            size = shutil.get_terminal_size()
            shown = lines(
                view.look(app.queue, app.settings), width=size.columns, color=app.color, most=max(3, size.lines - AROUND)
            )
            hint = output.dim(HINT, color=app.color)
            live.update(Text.from_ansi("\n".join([*shown, hint]), no_wrap=True, overflow="ellipsis"), refresh=True)
            _pause(begun)


def _print_changes(app: App) -> int:
    shown: list[str] = []
    while True:
        begun = time.monotonic()
        now = lines(view.look(app.queue, app.settings), width=None, color=False)
        if now != shown:
            output.out("\n".join(["", *now] if shown else now))
            sys.stdout.flush()
            shown = now
        _pause(begun)


def _pause(begun: float) -> None:
    time.sleep(max(EVERY, (time.monotonic() - begun) * SHARE))
