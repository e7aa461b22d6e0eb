"""Recorded sessions of agents, below tests/agents/samples, and how an adapter reads them.

`<agent>.ok.jsonl` (or `.ok.txt`) is the whole stdout of a good session. `<agent>.cases.jsonl` holds one faulty session a line:
its last lines (`out`, `err`), its exit code (none: it was still running and was ended) and how it is to be judged (`ends`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.agents.protocol import Agent, AgentEvent, Closing, Stream
from orchestrator.core.outcome import AgentEnd, AgentOutcome, ProcessEnd
from orchestrator.proc.command import Finished

SAMPLES = Path(__file__).parent.parent / "agents" / "samples"
Line = tuple[bytes, Stream]


@dataclass(frozen=True)
class Case:
    agent: str
    name: str
    exit: int | None
    ends: AgentEnd
    lines: tuple[Line, ...]
    reset_at: float | None = None

    @property
    def finished(self) -> Finished:
        """The end of its process; one that had to be ended had been silent for too long."""
        return process(self.exit)


def good(agent: str) -> tuple[Line, ...]:
    """The lines of a good session of that agent."""
    (path,) = SAMPLES.glob(f"{agent}.ok.*")
    return tuple((line, Stream.OUT) for line in path.read_bytes().split(b"\n") if line)


def speaks_json(agent: str) -> bool:
    return (SAMPLES / f"{agent}.ok.jsonl").exists()


def cases(agent: str) -> list[Case]:
    path = SAMPLES / f"{agent}.cases.jsonl"
    return [_case(agent, line) for line in path.read_text().splitlines()] if path.exists() else []


def _case(agent: str, line: str) -> Case:
    data = json.loads(line)
    lines = [(text.encode(), stream) for stream in Stream for text in data[stream]]
    return Case(agent, data["case"], data["exit"], AgentEnd(data["ends"]), tuple(lines), data.get("reset_at"))


def process(code: int | None) -> Finished:
    if code is None:
        return Finished(ProcessEnd.STALLED, None, 15, 60.0, "ended after 60 s without output")
    return Finished(ProcessEnd.EXITED, code, None, 1.0, "")


def events(agent: Agent, lines: Iterable[Line]) -> list[AgentEvent]:
    return [event for line, stream in lines for event in agent.events(line, stream)]


def folded(agent: Agent, lines: Iterable[Line]) -> Closing:
    closing = Closing()
    for event in events(agent, lines):
        closing = closing.after(event)
    return closing


def judged(agent: Agent, lines: Iterable[Line], code: int | None = 0) -> AgentOutcome:
    """How the adapter judges a session that printed `lines` and exited with `code`."""
    return agent.outcome(process(code), folded(agent, lines))
