"""From a session that has no room left to the fresh one that goes on: what it said last, and what it had changed."""

from __future__ import annotations

import re

from orchestrator.agents.log import readable
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.worker import prompt
from orchestrator.worker.work import Work

FILE = "handover.md"
SAID = 4_000
FILES = 40
BEGIN = re.compile(rb"(?m)^diff --git (?:\"?a/)?(.+?)\"? \"?b/")


def write(work: Work, outcome: AgentOutcome, patch: bytes) -> None:
    """Keep the summary beside the attempt's logs: the session that needs it may be another claim's."""
    if outcome.end is not AgentEnd.CONTEXT:
        return
    said = readable(outcome.said).strip()[-SAID:]
    parts = [f"It said last:\n\n{prompt.fenced(said)}" if said else "It said nothing.", stat(patch)]
    work.beside(work.number, FILE, "\n\n".join(part for part in parts if part))


def read(work: Work) -> str:
    """What the attempt before left for this one; empty where it ended in any other way."""
    history = work.record.history
    if not history or history[-1].end is not AgentEnd.CONTEXT:
        return ""
    try:
        path = work.claim.control / f"attempts/{history[-1].number:04d}/{FILE}"
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def stat(patch: bytes) -> str:
    """The files that a patch changes, each with its lines: `src/a.py +12 -3`."""
    pieces = re.split(rb"(?m)^(?=diff --git )", patch)[1:]
    lines = [_line(piece) for piece in pieces[:FILES]]
    more = [f"- and {len(pieces) - FILES} more"] if len(pieces) > FILES else []
    return "\n".join(["It had changed:", "", *lines, *more]) if lines else ""


def _line(piece: bytes) -> str:
    match = BEGIN.match(piece)
    name = match[1].decode(errors="replace") if match else "?"
    body = piece.partition(b"\n@@")[2].split(b"\n")
    plus, minus = (sum(1 for line in body if line.startswith(sign)) for sign in (b"+", b"-"))
    return f"- `{name}` +{plus} -{minus}"
