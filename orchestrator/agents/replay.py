"""The scripted agent in another's part: a cassette is read by the adapter of the agent whose session it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from orchestrator.agents.player import MARK
from orchestrator.agents.protocol import Agent, AgentEvent, Availability, Closing, Request, Stream, Traits
from orchestrator.agents.scripted import Scripted
from orchestrator.core.outcome import AgentOutcome
from orchestrator.core.value import Value
from orchestrator.errors import AgentError
from orchestrator.proc.command import Command, Finished


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Replay(Value):
    """Plays as `player` does; what that prints and how it ends is understood as `original` would."""

    player: Scripted
    original: Agent
    name: str = Scripted.name

    @property
    def traits(self) -> Traits:
        return replace(self.original.traits, skills=())

    def check(self, *, cmd: str | None = None) -> Availability:
        return self.player.check(cmd=cmd)

    def command(self, request: Request) -> Command:
        return self.player.command(request)

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        return (self.player if line.startswith(MARK.encode()) else self.original).events(line, stream)

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        return self.original.outcome(finished, closing)


def played(agent: Agent, request: Request, get: Callable[[str], Agent]) -> Agent:
    """`agent`; where that is the scripted one and plays a cassette in this session, in the part of who was recorded."""
    recorded = agent.recorded(request) if isinstance(agent, Scripted) else None
    if not recorded:
        return agent
    try:
        return Replay(Scripted(), get(recorded))
    except AgentError:
        return agent  # a plug-in that isn't here: its output counts as text
