"""A place to run agent sessions in: a worktree, a task folder's copy, a folder for the logs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.agents import registry, session
from orchestrator.agents.log import SessionLog
from orchestrator.agents.protocol import Agent, Answer, Request
from orchestrator.core.outcome import AgentOutcome, StopRequest
from orchestrator.proc.command import Limits


@dataclass(frozen=True)
class Stage:
    root: Path

    @property
    def worktree(self) -> Path:
        return self.root / "worktree"

    @property
    def logs(self) -> Path:
        return self.root / "task.abc123" / "attempt"

    def request(
        self, *, cmd: str | None = None, attempt: int = 1, tty: bool = False, answers: tuple[Answer, ...] = (), **env: str
    ) -> Request:
        prompt_file = self.root / "prompt.md"
        prompt_file.write_text("Do it.")
        complete = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "ORCH_TASK_DIR": str(self.root / "copy"),
            "ORCH_PROMPT_FILE": str(prompt_file),
            "ORCH_ATTEMPT": str(attempt),
            **env,
        }
        return Request("Do it.", prompt_file, self.worktree, complete, attempt=attempt, cmd=cmd, tty=tty, answers=answers)

    def scenario(self, text: str) -> None:
        (self.root / "copy" / "scenario.toml").write_text(text)

    def run(
        self,
        agent: str | Agent,
        request: Request,
        *,
        limits: Limits | None = None,
        pump: Callable[[], StopRequest | None] = lambda: None,
        log_bytes: int = 10 << 20,
        raw: bool = False,
        **options: Any,
    ) -> AgentOutcome:
        return session.run(
            registry.get(agent) if isinstance(agent, str) else agent,
            request,
            SessionLog(self.logs, max_bytes=log_bytes, raw=raw, root=str(request.worktree)),
            limits=limits or Limits(seconds=30, grace=0.2),
            pump=pump,
            **options,
        )

    def log(self) -> str:
        return (self.logs / "agent.log").read_text()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.logs / "agent.jsonl").read_text().splitlines()]


def stage(root: Path) -> Stage:
    for folder in ("worktree", "copy", "task.abc123", "task.abc123/attempt"):
        (root / folder).mkdir()
    return Stage(root)
