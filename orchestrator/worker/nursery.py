"""`orchestrator nursery FD`: imports all that a worker needs, once, and has a worker ready whenever the loop asks for one.

One thread, no lock, no open file but the link to the loop: what is forked is as good as a fresh interpreter. It ends when the
loop does; the workers it bore live on. Of their ends it tells the loop, which is not their parent and can't wait for them.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import NoReturn

from orchestrator.worker import spares
from orchestrator.worker.spares import Family, Order

NEEDED = (  # the worker, and what it imports only when it needs it, which is nearly always
    "orchestrator.worker.main", "ctypes", "orchestrator.agents.exec", "pathspec", "shlex", "string",
)  # fmt: skip


def main(descriptor: int) -> int:
    """Bear workers until the loop has gone. A worker comes through here, too, and ends with its own code."""
    prepare()
    link = socket.socket(fileno=descriptor)
    link.set_inheritable(False)
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _ignore)
    order = attend(link, read, os.getppid())
    if order is None:
        end(0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(read)
    os.close(write)
    return work(link, order)


def prepare() -> None:
    """Import everything, look up what stays as it is, and leave all of it out of garbage collections: these would copy the shared
    memory page by page."""

    from orchestrator.git import command
    from orchestrator.proc import identity

    for name in NEEDED:
        import_module(name)
    command.program(os.environ.get("PATH"))
    identity.boot()
    gc.collect()
    gc.freeze()


def attend(link: socket.socket, read: int, loop: int) -> Order | None:
    """Answer the loop. Returns in every worker, with what it has to do; in the nursery itself with None, at the end."""
    family = Family()
    order = family.ahead()
    while order is None:
        ready, _, _ = select.select([link.fileno(), read], [], [], family.patience)
        if not ready:
            order = family.rest()
        try:
            if read in ready:
                tell_ends(link, read, loop, family)
            if link.fileno() in ready:
                data, rights, _, _ = socket.recv_fds(link, spares.LARGEST, 1)
                if not data:
                    return None
                order = give(link, family, data, rights[0])
        except OSError:  # the loop has gone
            return None
    return order


def give(link: socket.socket, family: Family, data: bytes, lock: int) -> Order | None:
    """Hand an order to the one who waits for it, or to one who is born now. Returns in that one, too, with its order."""
    if not family.take(data, lock):
        if order := family.ahead():
            os.close(lock)  # inherited; its own came with the order
            return order
        if not family.take(data, lock):
            link.send(b'{"pid": 0}')
    os.close(lock)
    return None


def work(link: socket.socket, order: Order) -> int:
    """Be the worker. It tells its pid itself, and does not begin where nobody hears it: the loop has gone, or waited in vain and
    had the claim worked on by another. One that is killed before, or can't open its log, has not begun either."""
    root, name, token = order.claim
    become(name, order.log)
    os.environ["ORCH_OWNER_FD"] = str(order.lock)
    try:
        link.send(json.dumps({"pid": os.getpid()}).encode())
    except OSError:
        end(0)
    link.close()
    from orchestrator.worker.main import main as worker

    return end(worker(root, name, token))


def end(code: int) -> NoReturn:
    """End without taking the interpreter apart: that costs a worker five times its fork, in pages copied to no use."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def become(name: str, log: str | None) -> None:
    """A session of its own, output into the log, and a name by which `ps` and `top` tell workers apart."""
    os.setsid()
    if log is not None:
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.dup2(file, sys.stdout.fileno())
        os.dup2(file, sys.stderr.fileno())
        os.close(file)
    with suppress(OSError):
        Path("/proc/self/comm").write_text(f"orch {name}".encode()[:15].decode(errors="ignore"), encoding="utf-8")


def tell_ends(link: socket.socket, read: int, loop: int, family: Family) -> None:
    """Report every worker that has ended, before its number is free again, and wake the loop as its own children would."""
    with suppress(BlockingIOError):
        while os.read(read, 4096):
            pass
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if not family.bury(ended.si_pid):  # it only waited, and the loop doesn't know of it
                continue
            code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
            link.send(json.dumps({"ended": ended.si_pid, "code": code}).encode())
            os.waitpid(ended.si_pid, 0)
            if os.getppid() == loop:
                os.kill(loop, signal.SIGCHLD)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """A handler must exist for the wake-up byte to be written."""
