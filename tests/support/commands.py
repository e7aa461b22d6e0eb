"""A project as a person has it, and the real command line run in it as a subprocess."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import resource
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from support import forks

COUNT = "#!/bin/sh\necho METRIC left=$(grep -c . todo.txt)\n"
PATIENCE = 60.0  # seconds; where tests share two cores, several interpreters that start take some twenty of them
QUICK = {"ORCH_BACKOFF": "100ms", "ORCH_SETTLE": "1ms", "ORCH_STOP_GRACE": "300ms"}


class Project:
    """A repository with a todo.txt of three lines in it, and the queue in its tasks/."""

    def __init__(self, top: Path, home: Path) -> None:
        self.top = top
        self.tasks = top / "tasks"
        scratch = home / "scratch"  # what a command keeps for a person in the folder for temporary files
        scratch.mkdir(parents=True, exist_ok=True)
        own = {"XDG_STATE_HOME": str(home / "state"), "TMPDIR": str(scratch), "COLUMNS": "100"}
        self.env = {**os.environ, **QUICK, **own}
        self.started: list[subprocess.Popen[str]] = []

    def git(self, *args: str) -> str:
        done = subprocess.run(["git", *args], cwd=self.top, capture_output=True, text=True, check=True, env=self.env)
        return done.stdout.rstrip("\n")

    def run(self, *args: str, code: int | None = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """One command to its end; `code` is what it must exit with, None for anything."""
        done = forks.run(args, cwd=self.top, env={**self.env, **env}, timeout=2 * PATIENCE)
        assert code is None or done.returncode == code, f"{args} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def json(self, *args: str, code: int | None = 0, **env: str) -> Any:
        """What a command prints with --json: exactly one document."""
        return json.loads(self.run(*args, "--json", code=code, **env).stdout)

    def refused(self, *args: str, code: int = 2, **env: str) -> str:
        """What a command says that must refuse: on stderr, nothing on stdout."""
        done = self.run(*args, code=code, **env)
        assert done.stdout == ""
        return done.stderr

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """A command in the background, ended after the test."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = forks.start(args, cwd=self.top, env={**self.env, **env}, start_new_session=True, **pipes)
        self.started.append(process)
        return process

    def drop(
        self,
        name: str,
        front: str = "metric: {name: left, target: 0}",
        *,
        state: str = "pending",
        record: dict[str, Any] | None = None,
        goal: str = "Empty it.",
    ) -> Path:
        """A task folder, complete and ready at once."""
        folder = self.tasks / state / name
        (folder / ".orch").mkdir(parents=True)
        (folder / "autoresearch.md").write_text(
            f"---\n{front}\n---\n# About {name}\n\n## Goal\n\n{goal}\n" if front else f"# {name}\n"
        )
        (folder / "benchmark.sh").write_text(COUNT)
        (folder / ".orch" / "ready").touch()
        if record is not None:
            facts = {
                "schema": 1,
                "id": "0" * 16,
                "name": name,
                "inode": folder.stat().st_ino,
                "slug": name,
                "updated": time.time(),
            }
            (folder / ".orch" / "state.json").write_text(json.dumps({**facts, **record}))
        return folder

    def event(self, folder: Path, event: str, **fields: Any) -> None:
        with (folder / ".orch" / "events.jsonl").open("a") as file:
            file.write(
                json.dumps({"schema": 1, "at": "2026-11-20T10:00:00.000Z", "task": folder.name, "event": event, **fields}) + "\n"
            )

    def agent(self, script: str) -> None:
        """The agent is this shell script from now on."""
        self.env |= {"ORCH_AGENT": "exec", "ORCH_AGENT_CMD": script}

    def task(self, name: str) -> dict[str, Any]:
        return next(task for task in self.json("--status")["tasks"] if task["name"] == name)

    def state(self, name: str) -> str | None:
        for state in ("pending", "running", "converged", "blocked"):
            for entry in (self.tasks / state).glob("*"):
                if entry.name == name or (state == "running" and entry.name.rpartition(".")[0] == name):
                    return state
        return None

    def end(self) -> None:
        """Stop what was started, and fail where anything of this project still runs."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        deadline = time.monotonic() + PATIENCE / 2
        while (left := self.survivors()) and time.monotonic() < deadline:
            time.sleep(0.02)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not left, f"processes were left running: {left}"

    def survivors(self) -> list[int]:
        """Processes that work on this project: they carry its path in their environment."""
        mark = os.fsencode(self.top) + b"/"
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    environ = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if b"ORCH_" in environ and mark in environ:
                    found.append(int(entry.name))
        return found

    def in_terminal(
        self, *args: str, columns: int = 80, lines: int = 24, typed: Sequence[tuple[str, bytes]] = (), **env: str
    ) -> tuple[int, str]:
        """The command on a terminal of that size: its exit code and all it wrote. Of each pair in `typed`, the keys are typed
        once the text was seen behind what the pair before it waited for."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        settings = {name: value for name, value in self.env.items() if name != "COLUMNS"}
        process = subprocess.Popen(
            [*forks.PROGRAM, *args],
            cwd=self.top,
            env={**settings, "TERM": "xterm-256color", "PYTHONFAULTHANDLER": "1", **env},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=_own_terminal,  # noqa: PLW1509 - one thread
        )
        os.close(slave)
        output = b""
        deadline = time.monotonic() + PATIENCE
        waiting = list(typed)
        seen = 0
        while time.monotonic() < deadline:
            if waiting and (found := output.find(waiting[0][0].encode(), seen)) >= 0:
                seen = found + len(waiting[0][0])
                os.write(master, waiting.pop(0)[1])
            if select.select([master], [], [], 0.05)[0]:
                try:
                    data = os.read(master, 65536)
                except OSError:
                    break
                output += data
                if not data:
                    break
        else:
            raise AssertionError(f"it goes on after …{output[-500:].decode(errors='replace')!r}\n{_halted(process, master)}")
        code = process.wait(PATIENCE)
        os.close(master)
        return code, output.decode()


def _halted(process: subprocess.Popen[bytes], master: int) -> str:
    """Where a process is that should have ended, by what its interpreter tells when it is aborted."""
    process.send_signal(signal.SIGABRT)
    told = b""
    while select.select([master], [], [], 1)[0]:
        with suppress(OSError):
            if data := os.read(master, 65536):
                told += data
                continue
        break
    process.kill()
    process.wait()
    return told.decode(errors="replace")


def _own_terminal() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def wait(condition: Callable[[], Any], what: str = "it") -> Any:
    """The value of `condition` as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come true")
