"""What an executor is: the answer to "where does this command line run?", and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from orchestrator.core.lease import Identity

OWNER_FD = "ORCH_OWNER_FD"  # tells a worker which descriptor holds its owner's lock


class Executor(Protocol):
    """Starts workers somewhere. A handle is the executor's own text for one of them; it outlives the loop in the lease.

    `passes_lock`: whether the owner's lock can be handed to the worker as an open descriptor. Where it can't, the lease
    carries a deadline until which the worker counts as starting.
    """

    name: str
    passes_lock: bool

    def start(self, argv: tuple[str, ...], *, lock_fd: int | None, log: Path | None, env: Mapping[str, str]) -> str:
        """Run `argv` in a session of its own, output into `log`; return its handle. Raises OrchestratorError where it can't."""
        ...

    def alive(self, handle: str) -> bool:
        """Whether that worker still exists. Also collects what is left of an ended one."""
        ...

    def exit_code(self, handle: str) -> int | None:
        """How an ended worker ended (negative: the signal), None where that isn't known."""
        ...

    def stop(self, handle: str, *, kill: bool) -> None:
        """Ask the worker to put its task back (asked twice, it doesn't wait for its agent), or `kill` it."""
        ...

    def handle_of(self, owner: Identity) -> str | None:
        """The handle of a worker known by its process only, None where this executor can't reach it from here."""
        ...
