"""Any shell command as an agent: `ORCH_AGENT=exec ORCH_AGENT_CMD='…'`. It reads the prompt from `$ORCH_PROMPT_FILE`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.errors import AgentError
from orchestrator.proc.command import Command, Finished

FIX = "Set ORCH_AGENT_CMD to a shell command; it runs in the worktree and finds its prompt in $ORCH_PROMPT_FILE."
NOT_STARTED = {126: "is not executable", 127: "was not found"}  # what every shell says with these codes
ASSIGNMENT = re.compile(r"""[A-Za-z_]\w*=[^"'`$\\(]*""")  # what is quoted, or a command's output, may have blanks
PLAIN = re.compile(r"[\w./+-]+")
BUILTINS = ". : alias cd command eval exec exit export for if case read set shift trap ulimit umask unset until while"


class Exec:
    """Runs `sh -c $ORCH_AGENT_CMD` in the worktree. Exit 0: finished; 126 and 127: not started; anything else: failed."""

    name = "exec"
    traits = Traits()

    def check(self, *, cmd: str | None = None) -> Availability:
        if not cmd or not cmd.strip():
            return Availability(installed=False, detail="no command is set for the exec agent", fix=FIX)
        if missing := _missing(cmd):
            return Availability(installed=False, detail=f"{missing}, which ORCH_AGENT_CMD begins with, was not found", fix=FIX)
        return Availability(installed=True, detail=cmd)

    def command(self, request: Request) -> Command:
        if not request.cmd or not request.cmd.strip():
            raise AgentError("The exec agent has no command to run.", hint=FIX)
        return Command(argv=("sh", "-c", request.cmd), cwd=request.worktree, env=request.env, tty=request.tty)

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        text = line.decode(errors="replace")
        if stream is Stream.OUT:
            return (AgentEvent(EventKind.TEXT, text, {"joins": "\n"}),)  # where a message begins, nobody tells
        return (AgentEvent(EventKind.NOTICE, text),)

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        outcome = outcome_of(finished, closing)
        if outcome.end is AgentEnd.FAILED and finished.code in NOT_STARTED:
            detail = f"The agent's command {NOT_STARTED[finished.code]} (exit code {finished.code})."
            return AgentOutcome(AgentEnd.NOT_STARTED, detail, exit_code=finished.code, spend=outcome.spend)
        return outcome


def _missing(cmd: str) -> str | None:
    """The program that `cmd` begins with, where it is a plain name of something that isn't there; the shell knows the rest."""
    import shutil

    word = next((word for word in cmd.split() if not ASSIGNMENT.fullmatch(word)), "")
    if not PLAIN.fullmatch(word) or word in BUILTINS.split():
        return None
    return None if shutil.which(word) else word
