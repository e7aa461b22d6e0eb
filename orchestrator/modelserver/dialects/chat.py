"""OpenAI's Chat Completions, which many other providers speak too."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.modelserver.conversation import Answer, Ask, Call, End, Entry, Form, Sent, Speaker, Tool, Usage
from orchestrator.modelserver.dialects.openai import refuse
from orchestrator.modelserver.wire import arguments_text, event, fresh, pieces

__all__ = ["read", "refuse", "stream", "whole"]

STOPS = {End.SAID: "stop", End.CALLED: "tool_calls", End.LENGTH: "length"}


def read(sent: Sent) -> Ask:
    body = sent.body
    messages = body.get("messages") or ()
    return Ask(
        model=body.get("model", ""),
        streaming=bool(body.get("stream")),
        system="\n".join(_text(message) for message in messages if message.get("role") in ("system", "developer")),
        entries=tuple(_entry(message) for message in messages if message.get("role") in ("user", "assistant", "tool")),
        tools=tuple(_tool(tool) for tool in body.get("tools") or ()),
        schema=_schema(body.get("response_format") or {}),
        forced=_forced(body.get("tool_choice")),
        size=sent.size,
    )


def whole(answer: Answer, ask: Ask) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.calls:
        message["tool_calls"] = [_call(call, broken=answer.broken) for call in answer.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": STOPS[answer.end]}
    return {**_head(ask, "chat.completion"), "choices": [choice], "usage": _usage(answer.usage)}


def stream(answer: Answer, ask: Ask) -> Iterator[bytes]:
    head = _head(ask, "chat.completion.chunk")
    yield _chunk(head, {"role": "assistant", "content": ""})
    for piece in pieces(answer.text):
        yield _chunk(head, {"content": piece})
    for at, call in enumerate(answer.calls):
        told = _call(call, broken=answer.broken)
        part, key = ("custom", "input") if call.tool.form is Form.CUSTOM else ("function", "arguments")
        text = told[part][key]
        yield _chunk(head, {"tool_calls": [{"index": at, **told, part: {**told[part], key: ""}}]})
        for piece in pieces(text):
            yield _chunk(head, {"tool_calls": [{"index": at, part: {key: piece}}]})
    yield _chunk(head, {}, STOPS[answer.end])
    # Clients that never asked for the usage have been seen to need it all the same; none minds it.
    yield event({**head, "choices": [], "usage": _usage(answer.usage)})
    yield event("[DONE]")


def _entry(message: Mapping[str, Any]) -> Entry:
    if message["role"] == "tool":
        return Entry(Speaker.TOOL, _text(message), call=message.get("tool_call_id", ""))
    calls = tuple(call.get("id", "") for call in message.get("tool_calls") or ())
    return Entry(Speaker(message["role"]) if message["role"] == "user" else Speaker.MODEL, _text(message), calls)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""


def _tool(tool: Mapping[str, Any]) -> Tool:
    if tool.get("type") == "custom":
        return Tool(tool["custom"]["name"], form=Form.CUSTOM, description=tool["custom"].get("description", ""))
    function = tool.get("function") or {}
    return Tool(function.get("name", ""), function.get("parameters") or {}, description=function.get("description", ""))


def _schema(wanted: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if wanted.get("type") == "json_object":
        return {}
    found: Mapping[str, Any] | None = (wanted.get("json_schema") or {}).get("schema")
    return found


def _forced(choice: Any) -> str:
    return str((choice.get("function") or {}).get("name", "")) if isinstance(choice, Mapping) else ""


def _head(ask: Ask, kind: str) -> dict[str, Any]:
    return {"id": fresh("chatcmpl-"), "object": kind, "created": int(time.time()), "model": ask.model}


def _call(call: Call, *, broken: bool) -> dict[str, Any]:
    text = arguments_text(call.arguments, broken=broken)
    if call.tool.form is Form.CUSTOM:
        return {"id": call.id, "type": "custom", "custom": {"name": call.tool.name, "input": text}}
    return {"id": call.id, "type": "function", "function": {"name": call.tool.name, "arguments": text}}


def _chunk(head: Mapping[str, Any], delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    return event({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})


def _usage(usage: Usage) -> dict[str, Any]:
    prompt, completion = usage.input + usage.cached, usage.output + usage.reasoning
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
