"""Programs that insist on a terminal get one, through pexpect. It forks, so only in the single-threaded worker."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from orchestrator.proc.command import Child, Command, Sink
from orchestrator.proc.spawn import NotStarted, check_words, explain, spawnable

ROWS, COLUMNS = 40, 120
END_OF_INPUT = b"\x04"
# The shell changes folder and becomes the program: pexpect would split a lone path at its spaces, and what fails between
# its fork and its exec would leave a second copy of this worker running.
ENTER = 'cd -- "$0" && exec "$@"'


def start(command: Command, sink: Sink) -> Child:
    """The program of `command` on a terminal of its own: xterm, 120x40, no echo. Raises NotStarted.

    `stdin` is typed, then the end of input; None types nothing. A terminal cuts lines over 4 KiB unless its program
    reads raw, so a long prompt belongs in a file or an argument.
    """
    env = {**command.env, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    check_words(command.argv, env)
    program = spawnable(command.argv[0], command.cwd, env)
    import pexpect

    words = ["-c", ENTER, str(command.cwd.absolute()), str(program.absolute()), *command.argv[1:]]
    try:
        terminal = pexpect.spawn(
            "/bin/sh", words, env=env, timeout=None, echo=False, dimensions=(ROWS, COLUMNS), preexec_fn=_restore_signals
        )
    except OSError as error:  # no terminal is left, or the arguments are too large
        raise NotStarted(explain(command.argv[0], command.cwd, env, error)) from error
    feed = None if command.stdin is None else (os.dup(terminal.child_fd), _typed(command.stdin))
    return Child(terminal.pid, {os.dup(terminal.child_fd): sink}, feed, lambda: _reap(terminal))


def _typed(data: bytes) -> bytes:
    """`data` and the end of input, which counts as one only at the beginning of a line."""
    flush = b"" if not data or data.endswith(b"\n") else END_OF_INPUT
    return data + flush + END_OF_INPUT


def _restore_signals() -> None:
    """What subprocess does for its children: Python ignores these, programs expect them."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def _reap(terminal: Any) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(terminal.pid, os.WNOHANG)
    process = terminal.ptyproc
    process.terminated, process.delayafterclose = True, 0  # else it signals the pid, or sleeps, when it closes
    process.close()
