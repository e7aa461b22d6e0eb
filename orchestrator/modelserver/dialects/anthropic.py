"""Anthropic's Messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.modelserver.conversation import Answer, Ask, Call, End, Entry, Sent, Speaker, Tool, Usage
from orchestrator.modelserver.faults import STATUS, Refusal, waiting
from orchestrator.modelserver.script import Fault, Kind
from orchestrator.modelserver.wire import arguments_text, event, fresh, pieces

STOPS = {End.SAID: "end_turn", End.CALLED: "tool_use", End.LENGTH: "max_tokens"}
ERRORS = {
    Kind.AUTH: ("authentication_error", "invalid x-api-key"),
    Kind.FORBIDDEN: ("permission_error", "Your account does not have permission to use this resource."),
    Kind.NO_MODEL: ("not_found_error", "model: no-such-model"),
    Kind.RATE_LIMIT: ("rate_limit_error", "This request would exceed your rate limit. Please try again later."),
    Kind.USAGE_LIMIT: ("rate_limit_error", "The usage limit has been reached"),
    Kind.QUOTA: ("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    Kind.OVERLOADED: ("overloaded_error", "Overloaded"),
    Kind.SERVER_ERROR: ("api_error", "Internal server error"),
    Kind.CONTEXT: ("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum"),
}


def read(sent: Sent) -> Ask:
    body = sent.body
    choice = body.get("tool_choice") or {}
    return Ask(
        model=body.get("model", ""),
        streaming=bool(body.get("stream")),
        system=_text(body.get("system")),
        entries=tuple(entry for message in body.get("messages", ()) for entry in _entries(message)),
        tools=tuple(_tool(tool) for tool in body.get("tools") or () if "input_schema" in tool),
        schema=_schema(body),
        forced=choice.get("name", "") if choice.get("type") == "tool" else "",
        size=sent.size,
    )


def whole(answer: Answer, ask: Ask) -> dict[str, Any]:
    text = [{"type": "text", "text": answer.text}] if answer.text else []
    calls = [{**_block(call), "input": {} if answer.broken else call.arguments} for call in answer.calls]
    return {**_message(ask), "content": text + calls, "stop_reason": STOPS[answer.end], "usage": _usage(answer.usage)}


def stream(answer: Answer, ask: Ask) -> Iterator[bytes]:
    started = {**_message(ask), "usage": {**_usage(answer.usage), "output_tokens": 1}}
    yield _event("message_start", message=started)
    yield _event("ping")
    if answer.text:
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for piece in pieces(answer.text):
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        yield _event("content_block_stop", index=0)
    for at, call in enumerate(answer.calls, start=1 if answer.text else 0):
        yield _event("content_block_start", index=at, content_block=_block(call))
        for piece in pieces(arguments_text(call.arguments, broken=answer.broken)):
            yield _event("content_block_delta", index=at, delta={"type": "input_json_delta", "partial_json": piece})
        yield _event("content_block_stop", index=at)
    stop = {"stop_reason": STOPS[answer.end], "stop_sequence": None}
    yield _event("message_delta", delta=stop, usage=_usage(answer.usage))
    yield _event("message_stop")


def refuse(fault: Fault, now: float) -> Refusal:
    kind, words = ERRORS[fault.kind]
    request = fresh("req_")
    body = {"type": "error", "error": {"type": kind, "message": fault.message or words}, "request_id": request}
    limits = _limits(fault, now) if fault.kind is Kind.USAGE_LIMIT else {}
    status = 400 if fault.kind is Kind.QUOTA else STATUS[fault.kind]
    return Refusal(status, body, {"request-id": request, **waiting(fault, now), **limits})


def counted(size: int) -> dict[str, Any]:
    """The answer to a request that only wants its tokens counted."""
    return {"input_tokens": size // 4 + 1}


def _limits(fault: Fault, now: float) -> dict[str, str]:
    """The headers by which a subscription's client learns which limit it hit and until when."""
    window = "7d" if fault.window == "seven_day" else "5h"
    reset, prefix = str(fault.reset(now)), "anthropic-ratelimit-unified"
    return {
        f"{prefix}-status": "rejected",
        f"{prefix}-reset": reset,
        f"{prefix}-representative-claim": fault.window,
        f"{prefix}-{window}-status": "rejected",
        f"{prefix}-{window}-reset": reset,
        f"{prefix}-{window}-utilization": "1.0",
    }


def _entries(message: Mapping[str, Any]) -> Iterator[Entry]:
    content = message.get("content", "")
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    if message.get("role") == "assistant":
        yield Entry(Speaker.MODEL, _text(blocks), tuple(block["id"] for block in blocks if block.get("type") == "tool_use"))
        return
    for block in blocks:
        if block.get("type") == "tool_result":
            failed = bool(block.get("is_error"))
            yield Entry(Speaker.TOOL, _text(block.get("content")), call=block.get("tool_use_id", ""), failed=failed)
    if text := _text(blocks):
        yield Entry(Speaker.USER, text)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(block.get("text", "") for block in content if block.get("type") == "text")
    return content or ""


def _tool(tool: Mapping[str, Any]) -> Tool:
    return Tool(tool["name"], tool["input_schema"], description=tool.get("description", ""))


def _schema(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    wanted = body.get("output_format") or (body.get("output_config") or {}).get("format") or {}
    return wanted.get("schema") if wanted.get("type") == "json_schema" else None


def _message(ask: Ask) -> dict[str, Any]:
    empty: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
    return {"id": fresh("msg_"), "type": "message", "role": "assistant", "model": ask.model, **empty}


def _block(call: Call) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.tool.name, "input": {}}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output + usage.reasoning,
    }


def _event(name: str, **data: Any) -> bytes:
    return event({"type": name, **data}, name)
