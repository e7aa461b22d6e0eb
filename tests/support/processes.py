"""Real programs for tests of what watches them, and waiting for a condition instead of sleeping."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.core.outcome import StopRequest
from orchestrator.proc import identity
from orchestrator.proc.command import Aside, Command, Finished, Limits
from orchestrator.proc.supervise import run

PATIENCE = 20.0


def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Return as soon as `condition` holds; fail after a while."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came true"
        time.sleep(0.005)


def pid_in(path: Path) -> int:
    """The pid that a program writes into `path`, once it is there."""
    until(lambda: path.exists() and path.read_text().endswith("\n"), f"a pid in {path.name}")
    return int(path.read_text())


def gone(pid: int) -> bool:
    return identity.started(pid) is None


class Run:
    """One supervised program: how it finished, and what it printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = bytearray()
        self.err = bytearray()
        self.aside = bytearray()
        self.pids: list[int] = []

    def __call__(
        self,
        script: str,
        limits: Limits | None = None,
        *,
        argv: tuple[str, ...] | None = None,
        pump: Callable[[], StopRequest | None] = lambda: None,
        stdin: bytes | None = None,
        separate: bool = False,
        tty: bool = False,
        aside: str | None = None,
        env: dict[str, str] | None = None,
    ) -> Finished:
        """Run `script` by bash in the folder, or `argv`."""
        command = Command(argv or ("bash", "-c", script), self.folder, env or dict(os.environ), stdin, tty)
        return run(
            command, limits or Limits(), sink=self.out.extend, err=self.err.extend if separate else None,
            pump=pump, on_start=self.pids.append, aside=Aside(aside, self.aside.extend) if aside else None,
        )  # fmt: skip

    def pid(self, name: str) -> int:
        """The pid that the program wrote into the file `name`."""
        return pid_in(self.folder / name)
