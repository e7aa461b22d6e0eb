"""Short commands whose whole output is wanted (git, probes), and programs started to live on without us."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.outcome import ProcessEnd
from orchestrator.core.value import Value
from orchestrator.proc.pipes import ends
from orchestrator.proc.spawn import NotStarted, spawn

NOT_FOUND = 127
TIMED_OUT = 124


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Captured(Value):
    """How a command ended and what it printed. `code` is negative for a signal, 127 where it could not be started
    (`detail` says why), 124 where it was ended for taking too long."""

    code: int
    stdout: bytes
    stderr: bytes
    end: ProcessEnd = ProcessEnd.EXITED
    detail: str = ""

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
    """Run `argv` to its end. Never raises for what the command does or for its absence; `env` None is our own.

    Files in memory take its output, not pipes: nothing has to be read while it runs, and a daemon that it left behind (ssh's, a
    credential cache's) may hold them for ever.
    """
    given, out, err = files = _memory(input), _memory(), _memory()
    try:
        in_time, code = _run(argv, cwd, env, files, timeout)
        said, told = _content(out), _content(err)
    except NotStarted as error:
        told = f"{error.message}\n".encode(errors="replace")
        return Captured(NOT_FOUND, b"", told, ProcessEnd.NOT_STARTED, error.message)
    finally:
        for file in (given, out, err):
            os.close(file)
    if not in_time:
        detail = f"{argv[0]!r} was ended: it took longer than {timeout:g} s."
        return Captured(TIMED_OUT, said, told, ProcessEnd.TIMED_OUT, detail)
    return Captured(code, said, told, ProcessEnd.SIGNALLED if code < 0 else ProcessEnd.EXITED)


def detach(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    log: Path | None = None,
    cwd: Path | None = None,
) -> int:
    """Start `argv` in its own session, its output appended to `log`, and leave it: the pid. Whoever wants its
    exit status calls `os.waitpid`; nothing here ever does. Raises NotStarted."""
    output = subprocess.DEVNULL if log is None else os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        child = spawn(argv, cwd=cwd, env=env, stdout=output, stderr=output, pass_fds=pass_fds)
    finally:
        if log is not None:
            os.close(output)
    child.returncode = 0  # else its object warns, and reaps the pid behind the back of whoever waits for it
    return child.pid


def _run(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None, files: tuple[int, int, int], timeout: float | None
) -> tuple[bool, int]:
    """Whether it ended in time, and its code."""
    child = spawn(argv, cwd=cwd, env=env, stdin=files[0], stdout=files[1], stderr=files[2])
    in_time = False
    try:
        in_time = ends(child.pid, timeout)
    finally:
        _end(child, kill=not in_time)
    return in_time, child.returncode


def _memory(data: bytes | None = None) -> int:
    """A descriptor of a file without a name that holds `data`, at its beginning."""
    try:
        file = os.memfd_create("captured")
    except (AttributeError, OSError):  # not Linux
        import tempfile

        with tempfile.TemporaryFile(buffering=0) as nameless:
            file = os.dup(nameless.fileno())
    if data:
        with open(file, "wb", closefd=False) as filled:
            filled.write(data)
        os.lseek(file, 0, os.SEEK_SET)
    return file


def _content(file: int) -> bytes:
    size = os.fstat(file).st_size
    if not size:
        return b""
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, "rb", closefd=False) as filled:
        return filled.read(size)


def _end(child: subprocess.Popen[bytes], *, kill: bool) -> None:
    if kill:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    child.wait()
