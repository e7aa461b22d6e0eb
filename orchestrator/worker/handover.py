"""From one session to the next: its last words, and of one that had no room left what it had changed, too.

An agent knows what it tried and why it gave up; of that, an attempt's numbers tell the next one nothing.
"""

from __future__ import annotations

import re

from orchestrator.agents.log import readable
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.worker import prompt
from orchestrator.worker.work import Work

FILE = "handover.md"
SAID_FILE = "said.md"
SAID = 4_000
FILES = 40
BEGIN = re.compile(rb"(?m)^diff --git (?:\"?a/)?(.+?)\"? \"?b/")


def write(work: Work, outcome: AgentOutcome, patch: bytes) -> None:
    """Keep it beside the attempt's logs: the session that needs it may be another claim's."""
    said = prompt.fenced(readable(outcome.said).strip()[-SAID:])
    if outcome.end is AgentEnd.CONTEXT:
        parts = [f"It said last:\n\n{said}" if said else "It said nothing.", stat(patch)]
        work.beside(work.number, FILE, "\n\n".join(part for part in parts if part))
    elif said:
        work.beside(work.number, SAID_FILE, said)


def read(work: Work) -> str:
    """What the attempt before left for this one; empty where it ended in any other way."""
    return _left(work, FILE) if _was_full(work) else ""


def last_words(work: Work) -> str:
    """What the attempt before said in the end; empty where it said nothing, or left more than that (`read`)."""
    return "" if _was_full(work) else _left(work, SAID_FILE)


def _was_full(work: Work) -> bool:
    return bool(work.record.history) and work.record.history[-1].end is AgentEnd.CONTEXT


def _left(work: Work, file: str) -> str:
    if not work.record.history:
        return ""
    try:
        path = work.claim.control / f"attempts/{work.record.history[-1].number:04d}/{file}"
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
