"""Google's Gemini."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.modelserver.conversation import Answer, Ask, Call, End, Entry, Sent, Speaker, Tool, Usage
from orchestrator.modelserver.faults import STATUS, Refusal, wait, waiting
from orchestrator.modelserver.script import Fault, Kind
from orchestrator.modelserver.wire import event, fresh, pieces

MODEL = re.compile(r"models/([^:/]+):(\w+)")
TYPES = "type.googleapis.com/google.rpc"
ERRORS = {
    Kind.AUTH: ("UNAUTHENTICATED", "API key not valid. Please pass a valid API key."),
    Kind.FORBIDDEN: ("PERMISSION_DENIED", "The caller does not have permission"),
    Kind.NO_MODEL: ("NOT_FOUND", "models/no-such-model is not found for API version v1beta"),
    Kind.RATE_LIMIT: ("RESOURCE_EXHAUSTED", "This request would exceed your rate limit. Please try again later."),
    Kind.USAGE_LIMIT: ("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."),
    Kind.QUOTA: ("RESOURCE_EXHAUSTED", "You exceeded your current quota"),
    Kind.OVERLOADED: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    Kind.SERVER_ERROR: ("INTERNAL", "An internal error has occurred."),
    Kind.CONTEXT: (
        "INVALID_ARGUMENT",
        "The input token count (1250000) exceeds the maximum number of tokens allowed (1048576).",
    ),
}


def read(sent: Sent) -> Ask:
    body = sent.body
    found, settings = MODEL.search(sent.path), body.get("generationConfig") or {}
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    return Ask(
        model=found[1] if found else "",
        streaming=bool(found and found[2] == "streamGenerateContent"),
        system=_text(body.get("systemInstruction") or {}),
        entries=tuple(entry for content in body.get("contents") or () for entry in _entries(content)),
        tools=tuple(_tools(body.get("tools") or ())),
        schema=settings.get("responseJsonSchema") or settings.get("responseSchema"),
        forced=next(iter(calling.get("allowedFunctionNames") or ()), ""),
        size=sent.size,
    )


def whole(answer: Answer, ask: Ask) -> dict[str, Any]:
    parts = [{"text": answer.text}] if answer.text else []
    return _response(parts + [_part(call, answer) for call in answer.calls], answer, ask, fresh(""), last=True)


def stream(answer: Answer, ask: Ask) -> Iterator[bytes]:
    name = fresh("")
    for piece in pieces(answer.text):
        yield event(_response([{"text": piece}], answer, ask, name))
    for call in answer.calls:
        yield event(_response([_part(call, answer)], answer, ask, name))
    yield event(_response([{"text": ""}], answer, ask, name, last=True))


def refuse(fault: Fault, now: float) -> Refusal:
    status, words = ERRORS[fault.kind]
    code = STATUS[fault.kind]
    error = {"code": code, "message": fault.message or words, "status": status, "details": _details(fault, now)}
    return Refusal(code, {"error": error}, waiting(fault, now))


def counted(size: int) -> dict[str, Any]:
    """The answer to a request that only wants its tokens counted."""
    return {"totalTokens": size // 4 + 1}


def _details(fault: Fault, now: float) -> list[dict[str, Any]]:
    """Which quota it was, and after how many seconds to ask again."""
    daily = fault.kind in (Kind.USAGE_LIMIT, Kind.QUOTA)
    seconds = wait(fault, now)
    window = "PerDay" if daily else "PerMinute"
    quota = {"quotaMetric": "generate_content_requests", "quotaId": f"GenerateRequests{window}PerProjectPerModel"}
    details: list[dict[str, Any]] = []
    if STATUS[fault.kind] == 429:
        details.append({"@type": f"{TYPES}.QuotaFailure", "violations": [quota]})
    if seconds is not None:
        details.append({"@type": f"{TYPES}.RetryInfo", "retryDelay": f"{seconds}s"})
    return details


def _entries(content: Mapping[str, Any]) -> Iterator[Entry]:
    parts = content.get("parts") or ()
    if content.get("role") == "model":
        calls = tuple(part["functionCall"].get("id", "") for part in parts if "functionCall" in part)
        yield Entry(Speaker.MODEL, _text(content), calls)
        return
    for part in parts:
        if result := part.get("functionResponse"):
            said = result.get("response") or {}
            yield Entry(Speaker.TOOL, str(said.get("output", said)), call=result.get("id", ""), failed="error" in said)
    if text := _text(content):
        yield Entry(Speaker.USER, text)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content.get("parts") or () if part.get("text") and not part.get("thought"))


def _tools(declared: Any) -> Iterator[Tool]:
    for group in declared:
        for tool in group.get("functionDeclarations") or ():
            schema = tool.get("parametersJsonSchema") or tool.get("parameters") or {}
            yield Tool(tool["name"], schema, description=tool.get("description", ""))


def _part(call: Call, answer: Answer) -> dict[str, Any]:
    """Arguments are no text here: broken ones are those that lack what the tool needs."""
    return {"functionCall": {"id": call.id, "name": call.tool.name, "args": {} if answer.broken else call.arguments}}


def _response(parts: list[dict[str, Any]], answer: Answer, ask: Ask, name: str, *, last: bool = False) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if last:
        candidate["finishReason"] = "MAX_TOKENS" if answer.end is End.LENGTH else "STOP"
    usage = _usage(answer.usage)
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": ask.model, "responseId": name}


def _usage(usage: Usage) -> dict[str, Any]:
    prompt = usage.input + usage.cached
    return {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": usage.output,
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": prompt + usage.output + usage.reasoning,
    }
