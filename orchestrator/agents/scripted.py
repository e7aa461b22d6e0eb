"""An agent that replays a scenario file: our test double, and the demo's agent. `player` says what a scenario may do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from orchestrator.agents import cassette
from orchestrator.agents.player import MARK, load, steps_of
from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentOutcome
from orchestrator.errors import AgentError
from orchestrator.proc.command import Command, Finished

PLAYER = Path(__file__).with_name("player.py")
SCENARIO = "ORCH_SCENARIO"
FIX = f"Put a scenario.toml into the task folder, or name one in {SCENARIO}."


class Scripted:
    """Plays `$ORCH_SCENARIO`, else `scenario.toml` of the task folder. Needs no model, no key and no network."""

    name = "scripted"
    traits = Traits(cost=True, resume=True)

    def check(self, *, cmd: str | None = None) -> Availability:
        return Availability(installed=True, detail="ships with the orchestrator; replays a scenario.toml")

    def command(self, request: Request) -> Command:
        scenario = _scenario(request)
        if not scenario.is_file():
            raise AgentError(f"The scripted agent has no scenario to play: {scenario} is no file.", hint=FIX)
        # By path and isolated: a worktree that holds a package of our name must not be imported, and it starts faster.
        argv = (sys.executable, "-I", "-S", str(PLAYER))
        env = {**request.env, SCENARIO: str(scenario), **({"ORCH_RESUME": request.resume} if request.resume else {})}
        return Command(argv=argv, cwd=request.worktree, env=env, tty=request.tty)

    def recorded(self, request: Request) -> str | None:
        """Whose session this one plays, where its first cassette is of one."""
        try:
            steps = steps_of(load(_scenario(request)), request.attempt)
        except (OSError, ValueError, TypeError, AttributeError):
            return None  # the player says what is wrong with it
        names = (cassette.agent_of(Path(str(step["cassette"]))) for step in steps if "cassette" in step)
        return next(filter(None, names), None)

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        text = line.decode(errors="replace")
        if text.startswith(MARK):
            return (_event(text.removeprefix(MARK)),)
        return (AgentEvent(EventKind.TEXT if stream is Stream.OUT else EventKind.NOTICE, text),)

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        return outcome_of(finished, closing)


def _scenario(request: Request) -> Path:
    """A relative one is looked for where the person named it (a worker stays in its loop's folder), then in the worktree."""
    if not (named := request.env.get(SCENARIO)):
        return request.worktree / request.env.get("ORCH_TASK_DIR", ".") / "scenario.toml"
    here = Path(named).absolute()
    return here if here.is_file() else request.worktree / named


def _event(text: str) -> AgentEvent:
    try:
        data = json.loads(text)
        return AgentEvent(EventKind(data["kind"]), str(data.get("text", "")), dict(data.get("data") or {}))
    except (ValueError, KeyError, TypeError):
        return AgentEvent(EventKind.NOTICE, MARK + text)
