"""Start a program in a session of its own, and say in a sentence why one could not be started."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import OrchestratorError

REASONS = {
    errno.E2BIG: "its arguments and environment are too large for the system",
    errno.ENOEXEC: "it is neither a binary of this machine nor a script with a #! line",
    errno.ETXTBSY: "it is still open for writing",
    errno.EAGAIN: "the limit on processes of this user is reached",
    errno.ENOMEM: "there is no memory left",
    errno.EMFILE: "this process has too many files open",
    errno.ENFILE: "the system has too many files open",
}


class NotStarted(OrchestratorError):
    """A program that can't be started here: missing, not executable, or refused by the system."""


def spawn(
    argv: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """The running program, leading its own session: a Ctrl-C in our terminal doesn't reach it, and it can't ask
    questions on that terminal. Raises NotStarted."""
    if not argv:
        raise NotStarted("There is no command to run: it is empty.")
    try:
        return subprocess.Popen(
            tuple(argv), cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr,
            pass_fds=tuple(pass_fds), start_new_session=True, bufsize=0,
        )  # fmt: skip
    except OSError as error:
        raise NotStarted(explain(argv[0], cwd, env, error)) from error
    except ValueError as error:  # a NUL byte, a lone surrogate, an environment name with "="
        raise NotStarted(f"{argv[0]!r} can't be started: {error}.") from error


def explain(program: str, cwd: Path | None, env: Mapping[str, str] | None, error: OSError) -> str:
    """Why the system refused to start `program`, as a sentence."""
    if cwd is not None and not cwd.is_dir():
        return f"{program!r} can't be started: its working directory {cwd} does not exist."
    found = locate(program, cwd, env)
    if error.errno == errno.ENOENT and found is None:
        return f"{program!r} can't be started: no such program{'' if '/' in program else ' on PATH'}."
    if error.errno == errno.ENOENT:
        return f"{program!r} can't be started: the interpreter in its #! line, {_shebang(found)!r}, does not exist."
    if error.errno in {errno.EACCES, errno.EPERM}:
        kind = "it is a folder" if found is not None and found.is_dir() else "it is not executable"
        return f"{program!r} can't be started: {kind}."
    return f"{program!r} can't be started: {REASONS.get(error.errno or 0, error.strerror)}."


def locate(program: str, cwd: Path | None, env: Mapping[str, str] | None) -> Path | None:
    """The file that `program` means when started in `cwd` with `env`, executable or not; None where there is none."""
    if "/" in program:
        path = (cwd or Path()) / program
        return path if path.exists() else None
    search = os.get_exec_path(dict(env) if env is not None else None)
    return next((path for folder in search if (path := (cwd or Path()) / folder / program).exists()), None)


def _shebang(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open("rb") as stream:
            line = stream.readline(256)
    except OSError:
        return ""
    return line.removeprefix(b"#!").rstrip(b"\n").decode(errors="replace").strip(" \t")
