"""Faults that need no protocol: the status each has, its plain words, and answers that come whole and are of no use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from orchestrator.modelserver.conversation import Answer, Call, End, Tool
from orchestrator.modelserver.script import Fault, Kind

LINE = "A line of output that goes on and on, as only a model can. "
MISSING = Tool("tool_that_is_not_there")
STATUS: Mapping[Kind, int] = MappingProxyType(
    {
        Kind.AUTH: 401,
        Kind.FORBIDDEN: 403,
        Kind.NO_MODEL: 404,
        Kind.RATE_LIMIT: 429,
        Kind.USAGE_LIMIT: 429,
        Kind.QUOTA: 429,
        Kind.OVERLOADED: 529,
        Kind.SERVER_ERROR: 500,
        Kind.CONTEXT: 400,
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is an error: its status, the provider's headers, the provider's body."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def refuses(fault: Fault) -> bool:
    """Is this fault a status of its own, so that nothing of the answer is sent?"""
    return fault.kind in STATUS


def wait(fault: Fault, now: float) -> int | None:
    """After how many seconds to ask again: as the script says, or until the limit ends."""
    if fault.retry_after is None and fault.kind is Kind.USAGE_LIMIT:
        return max(fault.reset(now) - int(now), 0)
    return fault.retry_after


def waiting(fault: Fault, now: float) -> dict[str, str]:
    """The header that tells so, where there is anything to tell."""
    seconds = wait(fault, now)
    return {} if seconds is None else {"retry-after": str(seconds)}


def altered(answer: Answer, fault: Fault, again: str) -> Answer:
    """The answer with the fault in it. `again` is the id of a call after which the same turn comes once more."""
    if fault.kind is Kind.EMPTY:
        return Answer()
    if fault.kind is Kind.MAX_TOKENS:
        return Answer(answer.text[: len(answer.text) // 2] or "And so", end=End.LENGTH)
    if fault.kind is Kind.UNKNOWN_TOOL:
        return Answer(answer.text, (Call(again, MISSING, {"path": "."}),), end=End.CALLED)
    if fault.kind is Kind.BAD_ARGUMENTS:
        return replace(answer, calls=tuple(replace(call, id=again) for call in answer.calls), broken=True)
    if fault.kind is Kind.HUGE:
        return Answer(LINE * (fault.megabytes * 1_000_000 // len(LINE) + 1))
    return answer
