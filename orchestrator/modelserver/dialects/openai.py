"""What OpenAI's two protocols have in common: their errors."""

from __future__ import annotations

from typing import Any

from orchestrator.modelserver.faults import STATUS, Refusal, waiting
from orchestrator.modelserver.script import Fault, Kind

ERRORS = {
    Kind.AUTH: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    Kind.FORBIDDEN: ("permission_error", "permission_denied", "You do not have access to this resource."),
    Kind.NO_MODEL: ("invalid_request_error", "model_not_found", "The model `no-such-model` does not exist."),
    Kind.RATE_LIMIT: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    Kind.USAGE_LIMIT: ("usage_limit_reached", None, "The usage limit has been reached"),
    Kind.QUOTA: ("insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    Kind.OVERLOADED: ("server_error", "server_is_overloaded", "The server is overloaded. Please try again later."),
    Kind.SERVER_ERROR: ("server_error", "server_error", "The server had an error while processing your request."),
    Kind.CONTEXT: (
        "invalid_request_error",
        "context_length_exceeded",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
}


def refuse(fault: Fault, now: float) -> Refusal:
    return Refusal(STATUS[fault.kind], {"error": error(fault, now)}, waiting(fault, now))


def error(fault: Fault, now: float) -> dict[str, Any]:
    kind, code, words = ERRORS[fault.kind]
    return {"message": fault.message or words, "type": kind, "param": None, "code": code, **_limit(fault, now)}


def _limit(fault: Fault, now: float) -> dict[str, Any]:
    """A subscription's limit says when it ends."""
    if fault.kind is not Kind.USAGE_LIMIT:
        return {}
    reset = fault.reset(now)
    return {"plan_type": "plus", "resets_at": reset, "resets_in_seconds": max(reset - int(now), 0)}
