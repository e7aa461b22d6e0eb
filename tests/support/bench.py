"""A real agent's program, driven by its adapter through a session against a scripted model."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orchestrator.agents import registry
from orchestrator.agents.protocol import Agent, Request
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.modelserver import serve
from orchestrator.modelserver.server import Server
from orchestrator.proc import tree
from orchestrator.proc.command import Limits
from orchestrator.proc.table import MARK
from support import clis, sessions

Table = Mapping[str, Any]
TURNS: Sequence[Table] = (
    {"say": "I write the file.", "write": {"path": "hello.txt", "content": "hello\n"}},
    {"run": "echo ran > ran.txt"},
    {"finish": "All done."},
)
USAGE: Table = {"input": 1000, "cached": 200, "output": 50}
LIMITS = Limits(seconds=120, grace=2.0)


@dataclass(frozen=True)
class Bench:
    """A worktree for one real program to change, and an environment made from nothing. `env` points it at the model: `@URL` in
    it is the server's address; `options` are fields of every Request."""

    name: str
    stage: sessions.Stage
    program: Path
    mark: str
    env: Mapping[str, str]
    options: Table
    files: Mapping[str, str]  # below its HOME

    def request(self, server: Server, **options: Any) -> Request:
        home = self.stage.root / "home"
        home.mkdir(exist_ok=True)
        (self.stage.root / "temporary").mkdir(exist_ok=True)
        prompt_file = self.stage.root / "prompt.md"
        merged = {"prompt": "Write hello.txt, then stop.", **self.options, **options}
        prompt_file.write_text(merged["prompt"])
        base = {
            "HOME": str(home),
            "PATH": f"{self.program.parent}:{clis.search_path()}",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "TMPDIR": str(self.stage.root / "temporary"),
            MARK: self.mark,
        }
        for path, text in self.files.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_text(text.replace("@URL", server.url.rstrip("/")))
        named = {**self.env, **merged.pop("env", {})}
        filled = {name: value.replace("@URL", server.url.rstrip("/")) for name, value in named.items()}
        return Request(prompt_file=prompt_file, worktree=self.stage.worktree, env={**base, **filled}, **merged)

    def run(self, request: Request, *, agent: Agent | None = None, limits: Limits = LIMITS) -> AgentOutcome:
        outcome = self.stage.run(agent or registry.get(self.name), request, limits=limits)
        running = [process for process in tree.marked(self.mark) if process.pid != os.getpid()]
        assert running == [], "something of the session still runs"
        return outcome

    def edits(self, **options: Any) -> AgentOutcome:
        """A session that changes a file and ends as finished. What came of it, to look at more."""
        with serve(script()) as server:
            outcome = self.run(self.request(server, **options))
        assert outcome.end is AgentEnd.FINISHED, (outcome, self.stage.log())
        assert self.wrote("hello.txt") == "hello\n"
        assert self.wrote("ran.txt") == "ran\n"
        return outcome

    def meets(self, fault: Table, *, agent: Agent | None = None, limits: Limits = LIMITS, **options: Any) -> AgentOutcome:
        """A session whose every request meets `fault`. What came of it: no edit."""
        with serve(script(fault)) as server:
            outcome = self.run(self.request(server, **options), agent=agent, limits=limits)
        assert self.wrote("hello.txt") is None
        return outcome

    def impatient(self) -> Agent:
        """The adapter, of which no silence is forgiven."""
        agent = registry.get(self.name)
        return type("Impatient", (type(agent),), {"traits": replace(agent.traits, silence=0.0)})()

    def wrote(self, name: str) -> str | None:
        path = self.stage.worktree / name
        return path.read_text() if path.exists() else None

    def kinds(self) -> set[str]:
        return {event["kind"] for event in self.stage.events()}


def bench(name: str, root: Path, env: Mapping[str, str], files: Mapping[str, str] | None = None, **options: Any) -> Bench:
    """Skips the test where the program isn't installed."""
    program = clis.needed(name)
    stage = sessions.stage(root)
    subprocess.run(["git", "init", "-q", "."], cwd=stage.worktree, check=True)
    (stage.worktree / "README.md").write_text("first\n")
    return Bench(name, stage, program, f"bench-{uuid.uuid4().hex}", env, options, files or {})


def script(*faults: Table, turns: Sequence[Table] = TURNS) -> dict[str, Any]:
    return {"turns": list(turns), "faults": list(faults), "usage": USAGE}
