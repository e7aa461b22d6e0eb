"""The real command line as processes of its own, forked from one that has imported all of it (`support.forkserver`).

With ORCH_TEST_FRESH=1 each is a fresh interpreter, as it is for a test that asks for it or sets what an interpreter reads.
"""

from __future__ import annotations

import array
import atexit
import functools
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PRODUCT = "orchestrator"
PROGRAM = (sys.executable, "-m", PRODUCT)
TESTS = Path(__file__).parents[1]
MEASURE = "COVERAGE_PROCESS_CONFIG"  # by which the processes that a test starts know that they are measured
GIVEN = {name: value for name, value in os.environ.items() if name in (MEASURE, "ORCH_TEST_FRESH")}  # before tests lose them
FRESH = "ORCH_TEST_FRESH" in GIVEN or sys.platform != "linux"
ROOM = 16384  # bytes for what a fork shows of its arguments and its environment


def start(
    args: Sequence[str], *, env: Mapping[str, str], fresh: bool = FRESH, module: str = PRODUCT, **given: Any
) -> subprocess.Popen[str]:
    """The command `orchestrator args`, or that of a `module` of ours, started; `given` is what `subprocess.Popen` takes."""
    own = any(name.startswith("PYTHON") and env.get(name) != os.environ.get(name) for name in {*env, *os.environ})
    chosen = subprocess.Popen if fresh or own else Fork
    if chosen is subprocess.Popen and module != PRODUCT:
        env = {**env, "PYTHONPATH": str(TESTS)}
    return chosen([sys.executable, "-m", module, *args], env=env, text=True, **given)


def run(args: Sequence[str], *, timeout: float, fresh: bool = FRESH, **given: Any) -> subprocess.CompletedProcess[str]:
    """The same to its end, and all that it wrote. Raises TimeoutExpired, the command killed."""
    with start(args, fresh=fresh, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **given) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


class Fork(subprocess.Popen[str]):
    """A command that the server forked. Pipes, text and waiting are Popen's own: only how it begins and ends is told by the
    server, which is its parent."""

    _report: int

    def wait(self, timeout: float | None = None) -> int:
        """Wake up when it ends, where Popen would look every 50 ms."""
        if self.returncode is None and not select.select([self._report], [], [], timeout)[0]:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return super().wait()

    def _execute_child(  # type: ignore[override]
        self, args: Any, _executable: Any, _preexec: Any, _close: bool, keep: Any, cwd: Any, env: Any, _info: Any, _flags: int,
        _shell: bool, stdin: int, feed: int, read: int, stdout: int, read_err: int, stderr: int, *rest: Any,
    ) -> None:  # fmt: skip
        session = bool(rest[5])
        self._report, report = os.pipe2(os.O_CLOEXEC)
        descriptors = [number if given == -1 else given for number, given in enumerate((stdin, stdout, stderr))]
        order = {"argv": args[2:], "cwd": os.fspath(cwd), "env": dict(env), "session": session, "keep": list(keep)}
        self.pid = server().fork(order, [*descriptors, *keep, report])
        self._child_created = True
        theirs = {given for given, ours in ((stdin, feed), (stdout, read), (stderr, read_err)) if ours != -1}
        for number in {report, *theirs, getattr(self, "_devnull", report)}:
            os.close(number)

    def _try_wait(self, flags: int) -> tuple[int, int]:
        """Its raw status, as `waitpid` would tell it."""
        if flags & os.WNOHANG and not select.select([self._report], [], [], 0)[0]:
            return 0, 0
        status = int(os.read(self._report, 32) or "9")  # a server that is killed takes nothing with it, but tells no more
        os.close(self._report)
        return self.pid, status

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None:
            pid, status = self._try_wait(os.WNOHANG)
            if pid:
                self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode


class Server:
    """Our end of the server; it ends when this process does. It is no child of ours: whoever has one looks through all processes
    of the machine when a program has ended, a sixth of what the tests of workers would cost."""

    def __init__(self) -> None:
        self._link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            descriptor = theirs.fileno()
            subprocess.run(
                [sys.executable, "-m", "support.forkserver", str(descriptor), " " * ROOM], check=True,
                cwd=TESTS, env={**os.environ, **GIVEN, "ROOM": " " * ROOM}, pass_fds=(descriptor,), stdin=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(self.end)

    def fork(self, order: Mapping[str, Any], descriptors: Sequence[int]) -> int:
        """The pid of the command that begins with `order`, its standard files and where its end is told."""
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        self._link.sendmsg([json.dumps(order).encode()], [rights])
        return int(self._link.recv(32))

    def end(self) -> None:
        self._link.shutdown(socket.SHUT_WR)
        self._link.settimeout(10)
        self._link.recv(1)
        self._link.close()


@functools.cache
def server() -> Server:
    """The server of this process, which is one of several that run tests."""
    return Server()
