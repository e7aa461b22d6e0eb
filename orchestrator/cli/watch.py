"""`orchestrator --status --watch`: the status, kept true while somebody looks."""

from __future__ import annotations

import shutil
import sys
import time

from orchestrator.cli import output, view
from orchestrator.cli.options import App
from orchestrator.cli.status import plain, renderable

EVERY = 1.0
SHARE = 10  # looking takes at most a tenth of the time, however many tasks there are
LINES_AROUND = 9  # header, counts, blank lines, table head, and a line for each kind that was cut


def watch(app: App) -> int:
    """Show the status until Ctrl-C. Without a terminal: as plain text, again whenever it changed."""
    if not app.rich:
        return _print_changes(app)
    from rich.console import Console
    from rich.live import Live

    console = Console(no_color=not app.color, highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            begun = time.monotonic()
            size = shutil.get_terminal_size()
            seen = view.look(app)
            live.update(renderable(seen, width=size.columns, most=max(3, size.lines - LINES_AROUND)), refresh=True)
            _pause(begun)


def _print_changes(app: App) -> int:
    shown: list[str] = []
    while True:
        begun = time.monotonic()
        lines = plain(view.look(app))
        if lines != shown:
            output.out("\n".join(["", *lines] if shown else lines))
            sys.stdout.flush()
            shown = lines
        _pause(begun)


def _pause(begun: float) -> None:
    time.sleep(max(EVERY, (time.monotonic() - begun) * SHARE))
