"""Real programs for tests of what watches them, and waiting for a condition instead of sleeping."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.core.outcome import StopRequest
from orchestrator.proc import capture, identity
from orchestrator.proc.command import Aside, Command, Finished, Limits
from orchestrator.proc.supervise import run

PATIENCE = 60.0  # for one that is on its way, on a busy machine
SOON = 20.0  # before a loop looks at everything anyway, or hurries its workers: what it should have heard at once


def until(condition: Callable[[], object], what: str = "the condition", within: float = PATIENCE) -> None:
    """Return as soon as `condition` holds; fail after a while."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came true"
        time.sleep(0.005)


def pid_in(path: Path) -> int:
    """The pid that a program writes into `path`, once it is there."""
    until(lambda: path.exists() and path.read_text().endswith("\n"), f"a pid in {path.name}")
    return int(path.read_text())


def waits_for(note: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No short command runs out of time before the pid is there that one of them writes into `note`, however slow the machine."""
    began = time.monotonic()
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() if note.exists() and note.read_text().endswith("\n") else began)
    monkeypatch.setattr(capture, "time", clock)


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
        ready: str | None = None,
    ) -> Finished:
        """Run `script` by bash in the folder, or `argv`. It is `ready` with a file of that name: no limit is judged before."""

        def started(pid: int) -> None:
            self.pids.append(pid)
            if ready:
                until((self.folder / ready).exists, f"a program that is ready and has made {ready}")

        command = Command(argv or ("bash", "-c", script), self.folder, env or dict(os.environ), stdin, tty)
        return run(
            command, limits or Limits(), sink=self.out.extend, err=self.err.extend if separate else None,
            pump=pump, on_start=started, aside=Aside(aside, self.aside.extend) if aside else None,
        )  # fmt: skip

    def pid(self, name: str) -> int:
        """The pid that the program wrote into the file `name`."""
        return pid_in(self.folder / name)
