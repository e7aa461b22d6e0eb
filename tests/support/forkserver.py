"""`python -m support.forkserver FD`: imports all of the product once and becomes its command line by `fork`, as often as asked.

The product's own nursery, for its commands: what starts is a process of its own, with its own number, session, environment and
open files, and runs the program's only door. Two thirds of what a test of a command costs are the imports before it.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import coverage

import orchestrator
from orchestrator import __main__ as door
from orchestrator.executors import nursery
from orchestrator.proc import memory
from orchestrator.store import failpoints
from orchestrator.worker import nursery as bearer
from support.forks import MEASURE, PRODUCT

LARGEST = 1 << 20
ASIDE = 500  # descriptors from here on are in nobody's way
HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGWINCH, signal.SIGUSR1, signal.SIGUSR2)
measured = coverage.Coverage.current()  # since this interpreter began
fresh = nursery.detach  # how the product starts its nursery: as a fresh interpreter


def main(descriptor: int) -> NoReturn:
    """Serve in the background until nobody holds the other end. A command comes through here, too, and ends with its own code."""
    if os.fork():
        os._exit(0)  # who started this waits for no more
    ours = (module.name for module in pkgutil.walk_packages(orchestrator.__path__, "orchestrator."))
    for name in (*ours, *bearer.NEEDED):
        importlib.import_module(name)
    sys.path[0] = ""
    nursery.detach = forked_nursery  # type: ignore[assignment]
    memory.make_own = lambda: None  # of more than a nursery has: that costs more than it brings
    if measured:  # what the imports have covered is told once
        measured.stop()
        measured.save()
    gc.collect()
    gc.freeze()
    link = socket.socket(fileno=descriptor)
    link.set_inheritable(False)
    end(serve(link))


def serve(link: socket.socket) -> Callable[[], Any]:
    """Fork a command for each order. Returns in each of these, with what it has to run, and in the server itself at its end."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    reports: dict[int, int] = {}  # where the end of a command is told
    while True:
        ready, _, _ = select.select([link, read], [], [])
        if read in ready:
            _tell_ends(read, reports)
        if link in ready:
            data, rights, _, _ = socket.recv_fds(link, LARGEST, 16)
            if not data:
                return lambda: None
            if (pid := os.fork()) == 0:
                _forget(link.detach(), read, write, rights[-1], *reports.values())
                return _command(json.loads(data), *rights[:-1])
            reports[pid] = rights.pop()
            _forget(*rights)
            link.send(str(pid).encode())


def _tell_ends(read: int, reports: dict[int, int]) -> None:
    with suppress(BlockingIOError):
        while os.read(read, 4096):
            pass
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            report = reports.pop(ended[0])
            os.write(report, str(ended[1]).encode())
            os.close(report)


def _forget(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _command(order: dict[str, Any], *rights: int) -> Callable[[], None]:
    """Be this command: everything that a new process would have been given, each file under the number it is known by."""
    if order["session"]:
        os.setsid()
    aside = [fcntl.fcntl(given, fcntl.F_DUPFD_CLOEXEC, ASIDE) for given in rights]
    _forget(*rights)
    for number, given in zip((0, 1, 2, *order["keep"]), aside, strict=True):
        os.dup2(given, number)
    _forget(*aside)
    os.chdir(order["cwd"])
    module, *_ = argv = order["argv"]
    become(argv, order["env"])
    return door.main if module == PRODUCT else importlib.import_module(module).main


def become(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Arguments, environment, signals, output and what is remembered as in a process that has just begun."""
    signal.set_wakeup_fd(-1)
    for number in HANDLED:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(env)
    _show(argv, env)
    sys.argv = [door.__file__, *argv[1:]]
    time.tzset()
    failpoints._plan.cache_clear()
    buffering = 1 if env.get("PYTHONUNBUFFERED") else -1
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering, closefd=False), os.fdopen(2, "w", 1, closefd=False)
    sys.stdin = os.fdopen(0, closefd=False)
    _measure(MEASURE in env)


def _show(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Let `ps` and /proc tell what this process is, not what the server was: they read the very memory that a program is given
    its arguments and its environment in (proc(5), `arg_start` to `env_end`), which nothing points to any more."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    arg, arg_end, own, own_end = map(int, fields[45:49])
    words = [sys.executable, "-m", *argv], [f"{name}={value}" for name, value in env.items()]
    for (begin, stop), texts in zip(((arg, arg_end), (own, own_end)), words, strict=True):
        room = stop - begin
        ctypes.memmove(begin, b"".join(os.fsencode(text) + b"\0" for text in texts)[: room - 1].ljust(room, b"\0"), room)


def forked_nursery(argv: tuple[str, ...], *, env: Mapping[str, str], pass_fds: tuple[int, ...]) -> int:
    """In place of `detach`, in a command of ours: its nursery has imported everything already. The pid. A loop that watches by
    a thread and needs another one starts an interpreter."""
    if argv[-2] != nursery.COMMAND or threading.active_count() > 1:
        return fresh(argv, env=env, pass_fds=pass_fds)
    pid = os.fork()
    if not pid:
        _be_nursery(argv, env, pass_fds[0])
    return pid


def _be_nursery(argv: tuple[str, ...], env: Mapping[str, str], link: int) -> NoReturn:
    os.setsid()
    void = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(void, number)
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number > 2 and number != link:
            with suppress(OSError):
                os.close(number)
    become(argv[argv.index("orchestrator") :], env)
    end(lambda: sys.exit(bearer.main(link)))


def _measure(wanted: bool) -> None:
    """Go on measuring what runs, or never tell. To begin anew would take five times as long as a command, and to list all files
    that weren't run as long: whoever started the tests does that once."""
    if measured is None:
        return
    measured.stop()
    if wanted:
        measured._inorout.find_possibly_unexecuted_files = tuple  # type: ignore[method-assign, union-attr, assignment]
        measured.start()
    else:
        atexit.unregister(measured._atexit)


def end(run: Callable[[], Any]) -> NoReturn:
    """Run it, and end as an interpreter would that runs nothing else."""
    code: object = 1
    try:
        run()
        code = 0
    except SystemExit as asked:
        code = asked.code or 0
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - shown and ended with, as an interpreter does
        traceback.print_exc()
    bearer.end(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
