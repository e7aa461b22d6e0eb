"""Start a program in a session of its own, and say in a sentence why one could not be started."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import OrchestratorError
from orchestrator.proc.command import Sink

EMPTY = "There is no command to run: it is empty."
REASONS = {
    errno.E2BIG: "its arguments and environment are too large for the system",
    errno.ENOEXEC: "it is neither a binary of this machine nor a script with a #! line",
    errno.ETXTBSY: "it is still open for writing",
    errno.EAGAIN: "the limit on processes is reached, of this user or of the container",
    errno.ENOMEM: "there is no memory left",
    errno.EMFILE: "this process has too many files open",
    errno.ENFILE: "the system has too many files open",
}


SHORT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})


class NotStarted(OrchestratorError):
    """A program that can't be started here: missing, not executable, or refused by the system."""


class Shortage(NotStarted):
    """The system has not what one more process takes: that passes, and says nothing of the program."""


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
        raise NotStarted(EMPTY)
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # inherited from who started us; the kernel would then reap
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        return subprocess.Popen(
            tuple(argv), cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr,
            pass_fds=tuple(pass_fds), start_new_session=True, bufsize=0,
        )  # fmt: skip
    except OSError as error:
        raise refused(argv[0], cwd, env, error) from error
    except ValueError as error:  # a NUL byte, a lone surrogate, an environment name with "="
        raise NotStarted(f"{argv[0]!r} can't be started: {error}.") from error


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Piped(Value):
    """A running program and our ends of its pipes, which the holder closes. `stderr` None: it goes where stdout goes; `aside`
    is a pipe beside them."""

    process: subprocess.Popen[bytes]
    stdout: int
    stderr: int | None
    stdin: int | None
    aside: int | None = None

    def reads(self, sink: Sink, err: Sink | None, aside: Sink | None = None) -> dict[int, Sink]:
        """Which descriptor goes into which sink."""
        pairs = ((self.stdout, sink), (self.stderr, err), (self.aside, aside))
        return {descriptor: into for descriptor, into in pairs if descriptor is not None and into is not None}

    def feed(self, data: bytes | None) -> tuple[int, bytes] | None:
        """The program's stdin with what is to be written to it."""
        return None if self.stdin is None else (self.stdin, data or b"")


def piped(
    argv: Sequence[str], *, cwd: Path | None, env: Mapping[str, str] | None, feed: bool, merge: bool, aside: str | None = None
) -> Piped:
    """The running program with pipes for its output, and for its input where it is to be fed. `aside` names the variable that
    tells it the number of one pipe more. Raises NotStarted."""
    wanted = {
        "aside": aside is not None,
        "out": True,
        "err": not merge,
        "in": feed,
    }  # lowest first: sh redirects to single digits only
    pipes: dict[str, tuple[int, int]] = {}
    try:
        pipes.update((name, os.pipe()) for name, needed in wanted.items() if needed)
        theirs = {name: pipe[0 if name == "in" else 1] for name, pipe in pipes.items()}
        if aside is not None:
            env = {**(os.environ if env is None else env), aside: str(theirs["aside"])}
        process = spawn(
            argv, cwd=cwd, env=env, stdout=theirs["out"], stderr=theirs.get("err", subprocess.STDOUT),
            stdin=theirs.get("in", subprocess.DEVNULL), pass_fds=[theirs["aside"]] if aside is not None else (),
        )  # fmt: skip
    except (OSError, NotStarted) as error:
        for descriptor in chain.from_iterable(pipes.values()):
            os.close(descriptor)
        raise error if isinstance(error, NotStarted) else refused(argv[0], cwd, env, error) from error
    for descriptor in theirs.values():
        os.close(descriptor)
    ours = {name: pipe[1 if name == "in" else 0] for name, pipe in pipes.items()}
    return Piped(process, ours["out"], ours.get("err"), ours.get("in"), ours.get("aside"))


def refused(program: str, cwd: Path | None, env: Mapping[str, str] | None, error: OSError) -> NotStarted:
    """What to raise where the system refused to start `program`."""
    if error.errno in SHORT:
        return Shortage(f"{program!r} can't be started: {REASONS[error.errno]}.", hint="It is tried again later.")
    return NotStarted(explain(program, cwd, env, error))


def explain(program: str, cwd: Path | None, env: Mapping[str, str] | None, error: OSError) -> str:
    """Why the system refused to start `program`, as a sentence."""
    if cwd is not None and not _enterable(cwd):
        return f"{program!r} can't be started: its working directory {cwd} is missing or closed to this user."
    found = locate(program, cwd, env)
    if error.errno == errno.ENOENT and found is None:
        return f"{program!r} can't be started: no such program{'' if '/' in program else ' on PATH'}."
    if error.errno == errno.ENOENT:
        return f"{program!r} can't be started: the interpreter in its #! line, {_interpreter(found)!r}, does not exist."
    if error.errno in {errno.EACCES, errno.EPERM}:
        kind = "it is a folder" if found is not None and _is_folder(found) else "it is not executable"
        return f"{program!r} can't be started: {kind}."
    return f"{program!r} can't be started: {REASONS.get(error.errno or 0, error.strerror)}."


def locate(program: str, cwd: Path | None, env: Mapping[str, str] | None) -> Path | None:
    """The file that `program` means when started in `cwd` with `env`: the first executable one, else the first there is."""
    if "/" in program:
        path = (cwd or Path()) / program
        return path if os.access(path, os.F_OK) else None
    search = os.get_exec_path(dict(env) if env is not None else None)
    found = [path for folder in search if os.access(path := (cwd or Path()) / folder / program, os.F_OK)]
    return next(filter(_executable, found), found[0] if found else None)


def spawnable(program: str, cwd: Path | None, env: Mapping[str, str] | None) -> Path:
    """The file that `program` means, looked at beforehand where a failed start would not be told. Raises NotStarted."""
    found = locate(program, cwd, env)
    refusal = None
    if found is None or (cwd is not None and not _enterable(cwd)):
        refusal = errno.ENOENT
    elif not _executable(found):
        refusal = errno.EACCES
    elif (interpreter := _interpreter(found)) and not os.access(interpreter, os.F_OK):
        refusal = errno.ENOENT
    if found is None or refusal is not None:
        raise NotStarted(explain(program, cwd, env, OSError(refusal, "")))
    return found


def check_words(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Refuse what no system call takes. Raises NotStarted."""
    if not argv:
        raise NotStarted(EMPTY)
    try:
        taken = all(b"\0" not in os.fsencode(word) for word in (*argv, *env.keys(), *env.values()))
    except UnicodeEncodeError as error:
        raise NotStarted(f"{argv[0]!r} can't be started: {error}.") from error
    if not taken or any("=" in name or not name for name in env):
        raise NotStarted(f"{argv[0]!r} can't be started: a NUL byte or an impossible name in its arguments or environment.")


def _executable(path: Path) -> bool:
    return os.access(path, os.X_OK) and not _is_folder(path)


def _enterable(path: Path) -> bool:
    return os.access(path, os.X_OK) and _is_folder(path)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _interpreter(path: Path | None) -> str:
    """The program named in a script's #! line; empty for a binary."""
    if path is None:
        return ""
    try:
        with path.open("rb") as stream:
            line = stream.readline(256)
    except OSError:
        return ""
    words = line.removeprefix(b"#!").rstrip(b"\n").decode(errors="replace").strip(" \t").split(" ")
    return words[0] if line.startswith(b"#!") else ""
