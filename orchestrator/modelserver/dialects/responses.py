"""OpenAI's Responses."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.modelserver.conversation import Answer, Ask, Call, End, Entry, Form, Sent, Speaker, Tool, Usage
from orchestrator.modelserver.dialects.openai import refuse
from orchestrator.modelserver.wire import arguments_text, event, fresh, pieces

__all__ = ["read", "refuse", "stream", "whole"]

CALLS = ("function_call", "custom_tool_call", "local_shell_call")
OUTPUTS = tuple(f"{call}_output" for call in CALLS)


def read(sent: Sent) -> Ask:
    body = sent.body
    given = body.get("input") or ()
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    choice = body.get("tool_choice")
    return Ask(
        model=body.get("model", ""),
        streaming=bool(body.get("stream")),
        system="\n".join([body.get("instructions") or "", *(_text(item) for item in items if _instructs(item))]),
        entries=tuple(entry for item in items if (entry := _entry(item))),
        tools=tuple(_tools(body.get("tools") or ())),
        schema=((body.get("text") or {}).get("format") or {}).get("schema"),
        forced=choice.get("name", "") if isinstance(choice, Mapping) else "",
        size=sent.size,
    )


def whole(answer: Answer, ask: Ask) -> dict[str, Any]:
    output = [_message(answer.text, fresh("msg_"))] if answer.text else []
    output += [_call(call, fresh("fc_"), broken=answer.broken) for call in answer.calls]
    return _response(answer, ask, fresh("resp_"), output)


def stream(answer: Answer, ask: Ask) -> Iterator[bytes]:
    events = _numbered(answer, ask)
    return (event({**told, "sequence_number": number}, str(told["type"])) for number, told in enumerate(events))


def _numbered(answer: Answer, ask: Ask) -> Iterator[dict[str, Any]]:
    final = whole(answer, ask)
    started = {**final, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    for at, item in enumerate(final["output"]):
        yield {"type": "response.output_item.added", "output_index": at, "item": _begun(item)}
        yield from _growing(at, item)
        yield {"type": "response.output_item.done", "output_index": at, "item": item}
    yield {"type": f"response.{final['status']}", "response": final}


def _growing(at: int, item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The events by which an item's text or arguments come piece by piece."""
    where = {"item_id": item["id"], "output_index": at}
    if item["type"] == "message":
        part, where = item["content"][0], {**where, "content_index": 0}
        yield {"type": "response.content_part.added", **where, "part": {**part, "text": ""}}
        yield from ({"type": "response.output_text.delta", **where, "delta": piece} for piece in pieces(part["text"]))
        yield {"type": "response.output_text.done", **where, "text": part["text"]}
        yield {"type": "response.content_part.done", **where, "part": part}
    elif key := {"function_call": "arguments", "custom_tool_call": "input"}.get(item["type"]):
        name = "function_call_arguments" if key == "arguments" else "custom_tool_call_input"
        yield from ({"type": f"response.{name}.delta", **where, "delta": piece} for piece in pieces(item[key]))
        yield {"type": f"response.{name}.done", **where, key: item[key]}


def _begun(item: Mapping[str, Any]) -> dict[str, Any]:
    empty = {"content": [], "arguments": "", "input": ""}
    return {**item, "status": "in_progress", **{key: empty[key] for key in empty if key in item}}


def _entry(item: Mapping[str, Any]) -> Entry | None:
    kind = item.get("type", "message")
    if kind in CALLS:
        return Entry(Speaker.MODEL, calls=(item.get("call_id") or item.get("id", ""),))
    if kind in OUTPUTS:
        return Entry(Speaker.TOOL, _text({"content": item.get("output")}), call=item.get("call_id", ""))
    if kind != "message" or _instructs(item):
        return None
    return Entry(Speaker.MODEL if item.get("role") == "assistant" else Speaker.USER, _text(item))


def _instructs(item: Mapping[str, Any]) -> bool:
    return item.get("role") in ("system", "developer")


def _text(item: Mapping[str, Any]) -> str:
    content = item.get("content")
    if isinstance(content, list):
        return "\n".join(part.get("text", "") for part in content)
    return content if isinstance(content, str) else ""


def _tools(declared: Any, group: str = "") -> Iterator[Tool]:
    for tool in declared:
        words = tool.get("description") or ""
        if tool.get("type") == "namespace":
            yield from _tools(tool.get("tools") or (), tool.get("name", ""))
        elif tool.get("type") == "local_shell":
            yield Tool("local_shell", form=Form.LOCAL_SHELL)
        elif tool.get("type") == "custom":
            yield Tool(tool["name"], form=Form.CUSTOM, description=words, group=group)
        elif tool.get("type") == "function":
            yield Tool(tool["name"], tool.get("parameters") or {}, description=words, group=group)


def _response(answer: Answer, ask: Ask, name: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    cut = answer.end is End.LENGTH
    return {
        "id": name,
        "object": "response",
        "created_at": int(time.time()),
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": ask.model,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": _usage(answer.usage),
    }


def _message(text: str, name: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": name, "status": "completed", "role": "assistant", "content": content}


def _call(call: Call, name: str, *, broken: bool) -> dict[str, Any]:
    told: dict[str, Any] = {"id": name, "call_id": call.id, "status": "completed"}
    if call.tool.form is Form.LOCAL_SHELL:
        action = {"type": "exec", **(call.arguments if isinstance(call.arguments, Mapping) else {}), "env": {}}
        return {"type": "local_shell_call", **told, "action": action}
    told |= {"name": call.tool.name, **({"namespace": call.tool.group} if call.tool.group else {})}
    text = arguments_text(call.arguments, broken=broken)
    if call.tool.form is Form.CUSTOM:
        return {"type": "custom_tool_call", **told, "input": text}
    return {"type": "function_call", **told, "arguments": text}


def _usage(usage: Usage) -> dict[str, Any]:
    given, made = usage.input + usage.cached, usage.output + usage.reasoning
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": given + made,
    }
