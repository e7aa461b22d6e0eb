"""Which process is meant, for good: a pid alone is reused, so its start time and the machine's boot belong to it."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from orchestrator.core.lease import Identity
from orchestrator.errors import OrchestratorError

PROC = Path("/proc")
DEAD = ("Z", "X", "x")
STOPPED = "T"
MOUNT = "Mount it (mount -t proc proc /proc), or start the container with it."
WHOLE = "Mount the whole of it; in a systemd unit that is ProcSubset=all."


def here() -> Identity:
    """The identity of this process."""
    found = of(os.getpid())
    return found if found is not None else Identity(host(), os.getpid(), 0.0, boot())


def of(pid: int) -> Identity | None:
    """The identity of the living process `pid` on this host; None where there is none (a zombie is none)."""
    start = started(pid)
    return None if start is None else Identity(host(), pid, start, boot())


def alive(identity: Identity) -> bool:
    """Whether exactly this process lives here. Of a process on another host nothing is known: False."""
    if identity.host != host() or identity.boot != boot():
        return False
    return started(identity.pid) == identity.start


def stopped(identity: Identity) -> bool:
    """Whether exactly this process lives here and was stopped (SIGSTOP, Ctrl-Z): it hears nothing until it gets a SIGCONT."""
    if not alive(identity):
        return False
    try:
        return stat_fields(PROC.joinpath(str(identity.pid), "stat").read_bytes())[0] == STOPPED
    except (OSError, ValueError):
        return False


def may_signal(pid: int) -> bool:
    """Whether the system lets this user end that process: in a queue that a group shares it may be another's."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


def host() -> str:
    """This host's name. ORCH_HOST overrides it, so that tests can be another host."""
    return os.environ.get("ORCH_HOST") or os.uname().nodename


def boot() -> str:
    """What changes when the machine starts anew."""
    try:
        return _boot_id(PROC)
    except OSError:
        import psutil

        try:
            return f"{psutil.boot_time():.0f}"
        except OSError as error:
            raise _untold() from error


def _untold() -> OrchestratorError:
    if (PROC / "self").exists():
        return OrchestratorError("Processes can't be told apart: /proc has nothing but processes here (subset=pid).", hint=WHOLE)
    return OrchestratorError("Processes can't be told apart: /proc is not mounted here.", hint=MOUNT)


@functools.cache
def _boot_id(proc: Path) -> str:
    """The kernel's own name for it, which no process sees change."""
    return (proc / "sys/kernel/random/boot_id").read_text().strip()


def started(pid: int) -> float | None:
    """When the living process `pid` started: ticks since boot on Linux, epoch seconds elsewhere."""
    try:
        with open(f"{PROC}/{pid}/stat", "rb") as file:  # noqa: PTH123 - of every process, in a table
            state, *rest = stat_fields(file.read())
    except (OSError, ValueError):
        return None if (PROC / "self/stat").exists() else _started_elsewhere(pid)
    return None if state in DEAD else float(rest[18])


def stat_fields(line: bytes) -> list[str]:
    """The fields of a /proc/PID/stat after the program's name, which may itself hold spaces and parentheses."""
    fields = line[line.rindex(b")") + 2 :].decode().split()
    if len(fields) < 20:
        raise ValueError("a cut line")
    return fields


def _started_elsewhere(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.Error:
        return None
