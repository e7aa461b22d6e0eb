"""A project on disk, driven as a person would: real folders, real git, the real command line as a subprocess."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from support import forks

PATIENCE = 60.0  # seconds; where tests share two cores, several interpreters that start take some twenty of them
QUICK = {"ORCH_BACKOFF": "100ms", "ORCH_SETTLE": "1ms", "ORCH_STOP_GRACE": "300ms"}

COUNT = """#!/bin/sh
# how many lines of todo.txt are left
echo "METRIC left=$(grep -c . todo.txt)"
"""

EVENTS = r"""
say() { printf '@scripted {"kind": "%s", "text": "%s", "data": %s}\n' "$1" "$2" "${3:-{\}}"; }
use() { say usage "" "$1"; }
limit() { say limit "limit reached" "{\"reset_at\": $(( $(date +%s) + $1 ))}"; exit 1; }
"""


class Project:
    """`top` holds the repository `repo/` and the queue `tasks/`; `env` is what every command sees."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.tasks = top / "tasks"
        self.repo = top / "repo"
        self.env: dict[str, str] = {**os.environ, **QUICK, "ORCH_TASKS": str(self.tasks), "ORCH_REPO": str(self.repo)}
        self.fresh = forks.FRESH  # whether each command is an interpreter of its own
        self.started: list[subprocess.Popen[str]] = []

    # --- what a person does -----------------------------------------------------------------------------------------

    def git(self, *args: str, cwd: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(["git", *args], cwd=cwd or self.repo, capture_output=True, text=True, check=False, env=self.env)
        assert not check or done.returncode == 0, f"git {args}: {done.stderr}"
        return done.stdout.rstrip("\n")

    def make_repo(self, files: Mapping[str, str], where: Path | None = None) -> Path:
        repo = where or self.repo
        repo.mkdir(parents=True)
        self.git("init", "-q", "-b", "main", cwd=repo)
        self.commit(files, "start", repo)
        return repo

    def commit(self, files: Mapping[str, str], message: str = "a person's change", repo: Path | None = None) -> str:
        where = repo or self.repo
        for name, text in files.items():
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            (where / name).write_text(text)
        self.git("add", "-A", cwd=where)
        self.git("commit", "-q", "--allow-empty", "-m", message, cwd=where)
        return self.git("rev-parse", "HEAD", cwd=where)

    def drop(
        self,
        name: str,
        *,
        front: str = "",
        benchmark: str = COUNT,
        state: str = "pending",
        files: Mapping[str, str] | None = None,
    ) -> Path:
        """A task folder, put down the way `mv` does: built elsewhere, renamed in."""
        built = self.top / f"building-{name}"
        built.mkdir()
        (built / "autoresearch.md").write_text(
            f"---\n{front}\n---\n# {name}\n\n## Goal\n\nMake it so.\n" if front else f"# {name}\n\n## Goal\n\nMake it so.\n"
        )
        (built / "benchmark.sh").write_text(benchmark)
        for path, text in (files or {}).items():
            (built / path).write_text(text)
        (self.tasks / state).mkdir(parents=True, exist_ok=True)
        return built.rename(self.tasks / state / name)

    def scripted(self, name: str, script: str, *, front: str = "") -> Path:
        """A task of the scripted agent, whose session is this shell script. In it `say KIND TEXT DATA` is an event, `use DATA` what
        it has used so far, and `limit SECONDS` a limit that ends it."""
        path = self.top / f"{name}.sh"
        path.write_text(EVENTS + script + "\n")
        scenario = f"steps = [{{run = {json.dumps(f'sh {path}')}}}]\n"
        return self.drop(name, front=f"agent: scripted\n{front}".strip(), files={"scenario.toml": scenario})

    def agent(self, script: str) -> None:
        """The agent is this shell script, run in the worktree."""
        self.env["ORCH_AGENT"] = "exec"
        self.env["ORCH_AGENT_CMD"] = script

    def run(
        self, *args: str, timeout: float = 2 * PATIENCE, code: int | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """One command to its end. `code` is asserted where given."""
        done = forks.run(args, fresh=self.fresh, cwd=self.top, env={**self.env, **env}, timeout=timeout)
        if code is not None:
            assert done.returncode == code, f"{args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.story()}"
        return done

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """A command in the background, its output in `<top>/out-N.txt`. Ended after the test."""
        with self._output() as out:
            given = {"stdout": out, "stderr": subprocess.STDOUT, "start_new_session": True}
            process = forks.start(args, fresh=self.fresh, cwd=self.top, env={**self.env, **env}, **given)
        self.started.append(process)
        return process

    def start_as(self, prefix: Sequence[str], *args: str, **env: str) -> subprocess.Popen[str]:
        """The same in a fresh interpreter, by way of a program that goes before it (`unshare …`)."""
        with self._output() as out:
            process = subprocess.Popen(
                [*prefix, *forks.PROGRAM, *args],
                cwd=self.top,
                env={**self.env, **env},
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def _output(self) -> TextIO:
        return (self.top / f"out-{len(self.started)}.txt").open("w")

    # --- what a person sees -----------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        done = self.run("--status", "--json", code=0)
        data: dict[str, Any] = json.loads(done.stdout)
        return data

    def task(self, name: str) -> dict[str, Any]:
        return next(task for task in self.status()["tasks"] if task["name"] == name)

    def where(self, name: str) -> str | None:
        """The state folder the task is in; None while it is between two."""
        for state in ("pending", "running", "converged", "blocked"):
            folder = self.tasks / state
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.name == name or (state == "running" and path.name.rpartition(".")[0] == name):
                    return state
        return None

    def folder(self, name: str) -> Path:
        found = [
            path
            for state in ("pending", "running", "converged", "blocked")
            for path in (self.tasks / state).glob("*")
            if path.name == name or path.name.rpartition(".")[0] == name
        ]
        assert len(found) == 1, f"{name} is at {found}"
        return found[0]

    def record(self, name: str) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.folder(name) / ".orch/state.json").read_text())
        return data

    def events(self, name: str) -> list[dict[str, Any]]:
        path = self.folder(name) / ".orch/events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def worker_pid(self, name: str) -> int:
        lease = json.loads((self.folder(name) / ".orch/lease.json").read_text())
        return int(lease["owner"]["pid"])

    def wait(self, what: Callable[[], Any], timeout: float = PATIENCE, why: str = "") -> Any:
        """Until `what` is true; its value. A file that is just moving counts as not yet."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if value := what():
                    return value
            except (FileNotFoundError, AssertionError, StopIteration, json.JSONDecodeError, KeyError, TypeError):
                pass
            time.sleep(0.02)
        raise AssertionError(f"not within {timeout} s: {why}\n{self.story()}")

    def story(self) -> str:
        """Everything that helps to see why a test failed."""
        lines = []
        for path in sorted(self.top.glob("out-*.txt")):
            lines += [f"--- {path.name}", path.read_text()]
        for path in sorted(self.tasks.glob("*/*/.orch/events.jsonl")):
            lines += [f"--- {path.relative_to(self.tasks)}", path.read_text()[-3000:]]
        for path in sorted(self.tasks.glob(".orch/**/*.log")):
            lines += [f"--- {path.relative_to(self.tasks)}", path.read_text()[-3000:]]
        return "\n".join(lines)

    # --- the end ----------------------------------------------------------------------------------------------------

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(PATIENCE)

    def survivors(self) -> dict[int, str]:
        """Processes that this project's commands left behind, by what they are: they carry its queue's path in their environment.
        Whoever ends at this moment has the time for it."""
        deadline = time.monotonic() + PATIENCE / 2
        while (found := self._marked()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return found

    def _marked(self) -> dict[int, str]:
        mark = f"ORCH_TASKS={self.tasks}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                        found[int(entry.name)] = words
        return found
