"""`orchestrator --status --watch`: the status, kept true while somebody looks."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from orchestrator.cli import output, view
from orchestrator.cli.app import App
from orchestrator.cli.status import lines
from orchestrator.cli.view import Look

if TYPE_CHECKING:
    from rich.live import Live

EVERY = 1.0
SHARE = 10  # looking takes at most a tenth of the time, however many tasks there are
AROUND = 10  # lines beside those of the tasks: header, counts, blank, table head, what was cut, four warnings, the hint
HINT = "Ctrl-C ends this view; nothing else is stopped."
ENDING = (signal.SIGTERM, signal.SIGQUIT)  # they end the view as Ctrl-C does, so that the terminal is given back
STDOUT = 1  # as a descriptor: a signal may come while rich writes
REDRAWN = (signal.SIGWINCH, signal.SIGCONT)  # the terminal has another size, or shows us again
GIVEN_BACK, TAKEN = b"\x1b[?1049l\x1b[?25h", b"\x1b[?1049h\x1b[?25l"  # the shell's screen and its cursor; ours, without one


def watch(app: App) -> int:
    """Show the status until Ctrl-C. Without a terminal: as plain text, again whenever it changed."""
    if not app.rich:
        return _print_changes(app)
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    for number in ENDING:
        signal.signal(number, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, REDRAWN)
    with Live(console=Console(no_color=not app.color, highlight=False), screen=True, auto_refresh=False) as live:
        signal.signal(signal.SIGTSTP, _suspend)
        live.update(Text(f"Reading {app.queue.root} …"), refresh=True)  # the first look parses every spec
        while True:
            begun = time.monotonic()
            seen = view.look(app.queue, app.settings)
            _draw(app, live, seen)
            _pause(begun, partial(_draw, app, live, seen))


def _draw(app: App, live: Live, seen: Look) -> None:
    """Show what was seen, fitted to the terminal as it is now."""
    from rich.text import Text

    size = shutil.get_terminal_size()
    shown = lines(seen, width=size.columns, color=app.color, most=max(3, size.lines - AROUND))
    hint = output.dim(HINT, color=app.color)
    live.update(Text.from_ansi("\n".join([*shown, hint]), no_wrap=True, overflow="ellipsis"), refresh=True)


def _suspend(number: int, _frame: object) -> None:
    """Ctrl-Z: the shell gets its own screen until `fg`."""
    os.write(STDOUT, GIVEN_BACK)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    signal.signal(number, _suspend)  # here it goes on
    os.write(STDOUT, TAKEN)


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


def _pause(begun: float, again: Callable[[], None] | None = None) -> None:
    """Until the next look is due; whatever was drawn is drawn again where the terminal changed."""
    due = time.monotonic() + max(EVERY, (time.monotonic() - begun) * SHARE)
    while (left := due - time.monotonic()) > 0:
        if signal.sigtimedwait(REDRAWN, left) and again:
            again()
