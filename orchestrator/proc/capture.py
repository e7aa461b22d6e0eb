"""Short commands whose whole output is wanted (git, probes), and programs started to live on without us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.outcome import ProcessEnd
from orchestrator.proc.pipes import Pipes
from orchestrator.proc.spawn import NotStarted, Shortage, piped, spawn

NOT_FOUND = 127
TIMED_OUT = 124
LINGER = 0.25  # a daemon that the command left behind (ssh's, a credential cache's) may hold its pipes for ever


@dataclass(frozen=True, slots=True)
class Captured:
    """How a command ended and what it printed. `code` is negative for a signal, 127 where it could not be started
    (`detail` says why; `shortage`: for want of what every process takes), 124 where it was ended for taking too long."""

    code: int
    stdout: bytes
    stderr: bytes
    end: ProcessEnd = ProcessEnd.EXITED
    detail: str = ""
    shortage: bool = False

    @property
    def ok(self) -> bool:
        return self.code == 0 and self.end is ProcessEnd.EXITED


def capture(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,  # noqa: A002 - subprocess calls it so
    timeout: float | None = None,
) -> Captured:
    """Run `argv` to its end. Never raises for what the command does or for its absence; `env` None is our own."""
    try:
        program = piped(argv, cwd=cwd, env=env, feed=input is not None, merge=False)
    except NotStarted as error:
        said = f"{error.message}\n".encode(errors="replace")
        return Captured(NOT_FOUND, b"", said, ProcessEnd.NOT_STARTED, error.message, isinstance(error, Shortage))
    out, err = bytearray(), bytearray()
    child = program.process
    pipes = Pipes(child.pid, program.reads(out.extend, err.extend), feed=program.feed(input))
    try:
        in_time = _finish(pipes, None if timeout is None else time.monotonic() + timeout)
    finally:
        _end(child, kill=not pipes.exited)
        pipes.close()
    if not in_time:
        detail = f"{argv[0]!r} was ended: it took longer than {timeout:g} s."
        return Captured(TIMED_OUT, bytes(out), bytes(err), ProcessEnd.TIMED_OUT, detail)
    code = child.returncode
    return Captured(code, bytes(out), bytes(err), ProcessEnd.SIGNALLED if code < 0 else ProcessEnd.EXITED)


def detach(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    log: Path | None = None,
) -> int:
    """Start `argv` in its own session, its output appended to `log`, and leave it: the pid. Whoever wants its
    exit status calls `os.waitpid`; nothing here ever does. Raises NotStarted."""
    output = subprocess.DEVNULL if log is None else os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        child = spawn(argv, cwd=None, env=env, stdout=output, stderr=output, pass_fds=pass_fds)
    finally:
        if log is not None:
            os.close(output)
    child.returncode = 0  # else its object warns, and reaps the pid behind the back of whoever waits for it
    return child.pid


def _finish(pipes: Pipes, deadline: float | None) -> bool:
    """Wait for the end of the child and of its output; False where the deadline came first."""
    linger: float | None = None
    while not pipes.exited or pipes.open:
        now = time.monotonic()
        if pipes.exited:
            linger = linger or now + LINGER
            if now >= linger and now - pipes.last_output >= LINGER:
                break
            pipes.wait(LINGER)
            continue
        if deadline is not None and now >= deadline:
            return False
        pipes.wait(60.0 if deadline is None else deadline - now)
    return True


def _end(child: subprocess.Popen[bytes], *, kill: bool) -> None:
    if kill:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    child.wait()
