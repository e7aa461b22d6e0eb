"""Programs that insist on a terminal get one, through pexpect. It forks, so only in the single-threaded worker."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from orchestrator.proc import table
from orchestrator.proc.command import Child, Command, Keyboard, Sink
from orchestrator.proc.identity import PROC
from orchestrator.proc.screen import COLUMNS, ROWS
from orchestrator.proc.spawn import check_words, refused, spawnable

END_OF_INPUT = b"\x04"
TERMINALS = ("/dev/pts/", "/dev/tty")
READ = {"x86_64": "0", "aarch64": "63", "riscv64": "63"}  # the system call's number
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
        raise refused(command.argv[0], command.cwd, env, error) from error
    feed = None if command.stdin is None else (os.dup(terminal.child_fd), _typed(command.stdin))
    keyboard = Keyboard(lambda keys: _type(terminal, keys), lambda: awaited(terminal.pid))
    return Child(terminal.pid, {os.dup(terminal.child_fd): sink}, feed, lambda: _reap(terminal), keyboard)


def awaited(session: int) -> bool:
    """Whether a process of `session` is blocked reading from its terminal. What polls it instead can't be told."""
    return any(process.session == session and _reads_terminal(process.pid) for process in table.table().values())


def _reads_terminal(pid: int) -> bool:
    try:
        call, descriptor, *_ = (PROC / str(pid) / "syscall").read_text().split()
        if call != READ.get(os.uname().machine):
            return False
        return str((PROC / str(pid) / "fd" / str(int(descriptor, 16))).readlink()).startswith(TERMINALS)
    except (OSError, ValueError):  # gone, running, or closed to us
        return False


def _type(terminal: Any, keys: bytes) -> None:
    """Keys for a program that still has its terminal; what it doesn't take in is lost, as on a real one."""
    if not terminal.ptyproc.closed:
        with contextlib.suppress(OSError):
            os.write(terminal.ptyproc.fd, keys)


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
