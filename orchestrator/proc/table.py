"""The system's table of processes: who is whose child, and who carries a mark."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orchestrator.core.value import Value
from orchestrator.proc import identity as identities

MARK = "ORCH_MARK"
NEWEST = 8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Process(Value):
    """One line of the process table. `start` tells two processes of one pid apart."""

    pid: int
    parent: int
    group: int
    session: int
    start: float
    zombie: bool


def table() -> dict[int, Process]:
    """Every process there is, by pid."""
    if not identities.PROC.joinpath("self/stat").exists():
        return _table_elsewhere()
    with os.scandir(identities.PROC) as entries:
        found = [_read(int(entry.name)) for entry in entries if entry.name.isdecimal()]
    found += [_read(pid) for pid in _newest()]
    return {process.pid: process for process in found if process is not None}


def descendants(pid: int, known: Mapping[int, Process] | None = None, *, exclude: Collection[int] = ()) -> tuple[Process, ...]:
    """Everything below `pid`, parents first; nothing of what is below an excluded one."""
    below: dict[int, list[Process]] = {}
    for process in (table() if known is None else known).values():
        below.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    waiting = [pid]
    while waiting:
        for process in below.pop(waiting.pop(), ()):
            if process.pid not in exclude:
                found.append(process)
                waiting.append(process.pid)
    return tuple(found)


def members(group: int) -> tuple[Process, ...]:
    """The living processes of a process group."""
    return tuple(process for process in table().values() if process.group == group and not process.zombie)


def carries(pid: int, mark: str) -> bool:
    """Whether a process of this user was started with `ORCH_MARK` set to `mark`."""
    folder = identities.PROC / str(pid)
    try:
        if folder.stat().st_uid != os.geteuid():
            return False
        return f"{MARK}={mark}".encode() in folder.joinpath("environ").read_bytes().split(b"\0")
    except FileNotFoundError:
        return False if identities.PROC.joinpath("self/stat").exists() else _carries_elsewhere(pid, mark)
    except OSError:
        return False


def _newest() -> range:
    """The last pids given out. What forks and dies for ever is always younger than the listing that was just read."""
    last = int(identities.PROC.joinpath("loadavg").read_text().split()[-1])
    return range(max(1, last - NEWEST), last + 1)


def _read(pid: int) -> Process | None:
    try:
        fields = identities.stat_fields(identities.PROC.joinpath(str(pid), "stat").read_bytes())
    except (OSError, ValueError):
        return None
    parent, group, session = map(int, fields[1:4])
    return Process(pid, parent, group, session, float(fields[19]), fields[0] in identities.DEAD)


def _table_elsewhere() -> dict[int, Process]:
    import psutil

    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            zombie = process.status() == psutil.STATUS_ZOMBIE
            pid, parent = process.pid, process.ppid()
            found[pid] = Process(pid, parent, os.getpgid(pid), os.getsid(pid), process.create_time(), zombie)
    return found


def _carries_elsewhere(pid: int, mark: str) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return process.uids().effective == os.geteuid() and process.environ().get(MARK) == mark
    except (psutil.Error, OSError):
        return False
