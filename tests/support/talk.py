"""A client of the model server for each protocol, as small as one can be: it keeps the conversation as real clients do."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

SCHEMA = {
    "type": "object",
    "required": ["path", "content"],
    "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
}
COMMAND = {"type": "object", "required": ["command"], "properties": {"command": {"type": "string"}}}
TOOLS = {"write_file": SCHEMA, "bash": COMMAND}


@dataclass(frozen=True)
class Got:
    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Server-sent events as (name, data); the name is empty where the protocol gives none."""
        found = []
        for block in self.data.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            if "data" in fields:
                found.append(
                    (fields.get("event", ""), fields["data"] if fields["data"] == "[DONE]" else json.loads(fields["data"]))
                )
        return found


def ask(port: int, path: str, body: Any = None, *, method: str = "POST", seconds: float = 30) -> Got:
    """One request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        return Got(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class Said:
    """An answer, the same for every protocol."""

    text: str
    calls: list[tuple[str, str, Any]]  # id, name, arguments
    end: str
    usage: Mapping[str, int]


@dataclass
class Talk:
    """A conversation; each subclass knows one protocol."""

    port: int
    prompt: str
    streaming: bool = True
    tools: Mapping[str, Any] = field(default_factory=lambda: dict(TOOLS))
    history: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.say(self.prompt)

    path: ClassVar[str] = ""
    ENDS: ClassVar[Mapping[str, str]] = {}

    def say(self, text: str) -> None:
        raise NotImplementedError

    def body(self) -> dict[str, Any]:
        raise NotImplementedError

    def whole(self, got: Got) -> Any:
        """The answer as it is when it isn't streamed, put together from a stream where there is one."""
        raise NotImplementedError

    def heard(self, answer: Any) -> Said:
        """What the answer says; it becomes a part of the conversation."""
        raise NotImplementedError

    def result(self, call: str, name: str, text: str, *, failed: bool = False) -> None:
        raise NotImplementedError

    def send(self) -> Got:
        return ask(self.port, self.path, self.body())

    def next(self) -> Said:
        return self.heard(self.whole(self.send()))

    def play(self, most: int = 20) -> list[Said]:
        """All answers until one calls no tool; every call is answered with "fine"."""
        said: list[Said] = []
        while len(said) < most:
            said.append(self.next())
            if not said[-1].calls:
                return said
            for call, name, _ in said[-1].calls:
                self.result(call, name, "fine")
        raise AssertionError("the conversation doesn't end")


class Anthropic(Talk):
    path: ClassVar[str] = "/v1/messages"
    ENDS: ClassVar[Mapping[str, str]] = {"end_turn": "said", "tool_use": "called", "max_tokens": "length"}

    def say(self, text: str) -> None:
        self.history.append({"role": "user", "content": [{"type": "text", "text": text}]})

    def body(self) -> dict[str, Any]:
        tools = [{"name": name, "input_schema": schema} for name, schema in self.tools.items()]
        return {"model": "m", "max_tokens": 100, "stream": self.streaming, "messages": self.history, "tools": tools}

    def whole(self, got: Got) -> Any:
        if not self.streaming:
            return got.json
        message: dict[str, Any] = {}
        for name, data in got.events:
            assert name == data["type"]
            if name == "message_start":
                message = {**data["message"], "content": []}
            elif name == "content_block_start":
                assert data["index"] == len(message["content"])
                message["content"].append({**data["content_block"], "partial": ""})
            elif name == "content_block_delta":
                block, delta = message["content"][data["index"]], data["delta"]
                if delta["type"] == "text_delta":
                    block["text"] += delta["text"]
                else:
                    block["partial"] += delta["partial_json"]
            elif name == "content_block_stop":
                block = message["content"][data["index"]]
                if partial := block.pop("partial"):
                    block["input"] = json.loads(partial)
            elif name == "message_delta":
                message |= {"stop_reason": data["delta"]["stop_reason"], "usage": {**message["usage"], **data["usage"]}}
        assert got.events[-1][0] == "message_stop"
        return message

    def heard(self, answer: Any) -> Said:
        self.history.append({"role": "assistant", "content": answer["content"]})
        text = "".join(block["text"] for block in answer["content"] if block["type"] == "text")
        calls = [(block["id"], block["name"], block["input"]) for block in answer["content"] if block["type"] == "tool_use"]
        usage = answer["usage"]
        told = {"input": usage["input_tokens"], "cached": usage["cache_read_input_tokens"], "output": usage["output_tokens"]}
        return Said(text, calls, self.ENDS[answer["stop_reason"]], told)

    def result(self, call: str, name: str, text: str, *, failed: bool = False) -> None:
        block = {"type": "tool_result", "tool_use_id": call, "content": text, "is_error": failed}
        self.history.append({"role": "user", "content": [block]})


class Chat(Talk):
    path: ClassVar[str] = "/v1/chat/completions"
    ENDS: ClassVar[Mapping[str, str]] = {"stop": "said", "tool_calls": "called", "length": "length"}

    def say(self, text: str) -> None:
        self.history.append({"role": "user", "content": text})

    def body(self) -> dict[str, Any]:
        tools = [{"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in self.tools.items()]
        return {"model": "m", "stream": self.streaming, "messages": self.history, **({"tools": tools} if tools else {})}

    def whole(self, got: Got) -> Any:
        if not self.streaming:
            return got.json
        message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": []}
        finish, usage = "", {}
        assert got.events[-1] == ("", "[DONE]")
        for _, data in got.events[:-1]:
            usage = data.get("usage") or usage
            for choice in data["choices"]:
                finish = choice["finish_reason"] or finish
                message["content"] += choice["delta"].get("content") or ""
                for part in choice["delta"].get("tool_calls") or ():
                    if "id" in part:
                        message["tool_calls"].append({key: part[key] for key in ("id", "type", "function")})
                    else:
                        message["tool_calls"][part["index"]]["function"]["arguments"] += part["function"]["arguments"]
        return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}

    def heard(self, answer: Any) -> Said:
        message, usage = answer["choices"][0]["message"], answer["usage"]
        self.history.append(message)
        calls = [
            (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        ]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        told = {"input": usage["prompt_tokens"] - cached, "cached": cached, "output": usage["completion_tokens"]}
        return Said(message["content"] or "", calls, self.ENDS[answer["choices"][0]["finish_reason"]], told)

    def result(self, call: str, name: str, text: str, *, failed: bool = False) -> None:
        self.history.append({"role": "tool", "tool_call_id": call, "content": f"Error: {text}" if failed else text})


class Responses(Talk):
    path: ClassVar[str] = "/v1/responses"

    def say(self, text: str) -> None:
        self.history.append({"role": "user", "content": [{"type": "input_text", "text": text}]})

    def body(self) -> dict[str, Any]:
        tools = [{"type": "function", "name": name, "parameters": schema} for name, schema in self.tools.items()]
        return {"model": "m", "stream": self.streaming, "input": self.history, "tools": tools}

    def whole(self, got: Got) -> Any:
        if not self.streaming:
            return got.json
        events = got.events
        assert [data["sequence_number"] for _, data in events] == list(range(len(events)))
        assert all(name == data["type"] for name, data in events)
        final = events[-1][1]["response"]
        done = [data["item"] for name, data in events if name == "response.output_item.done"]
        assert done == final["output"]
        grown = "".join(data["delta"] for name, data in events if name.endswith(".delta"))
        assert grown == "".join(_grown(item) for item in done)
        return final

    def heard(self, answer: Any) -> Said:
        self.history += answer["output"]
        messages = [item for item in answer["output"] if item["type"] == "message"]
        calls = [item for item in answer["output"] if item["type"] == "function_call"]
        end = "called" if calls else "said" if answer["status"] == "completed" else "length"
        usage = answer["usage"]
        cached = usage["input_tokens_details"]["cached_tokens"]
        told = {"input": usage["input_tokens"] - cached, "cached": cached, "output": usage["output_tokens"]}
        text = "".join(part["text"] for item in messages for part in item["content"])
        return Said(text, [(call["call_id"], call["name"], json.loads(call["arguments"])) for call in calls], end, told)

    def result(self, call: str, name: str, text: str, *, failed: bool = False) -> None:
        output = f"error: {text}" if failed else text
        self.history.append({"type": "function_call_output", "call_id": call, "output": output})


def _grown(item: Mapping[str, Any]) -> str:
    return item["content"][0]["text"] if item["type"] == "message" else item["arguments"]


class Gemini(Talk):
    ENDS: ClassVar[Mapping[str, str]] = {"STOP": "said", "MAX_TOKENS": "length"}

    @property
    def path(self) -> str:  # type: ignore[override]
        return "/v1beta/models/m:" + ("streamGenerateContent?alt=sse" if self.streaming else "generateContent")

    def say(self, text: str) -> None:
        self.history.append({"role": "user", "parts": [{"text": text}]})

    def body(self) -> dict[str, Any]:
        tools = [{"name": name, "parametersJsonSchema": schema} for name, schema in self.tools.items()]
        return {"contents": self.history, "tools": [{"functionDeclarations": tools}] if tools else []}

    def whole(self, got: Got) -> Any:
        if not self.streaming:
            return got.json
        chunks = [data for _, data in got.events]
        assert ["finishReason" in chunk["candidates"][0] for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
        last = chunks[-1]
        return {**last, "candidates": [{**last["candidates"][0], "content": {"role": "model", "parts": parts}}]}

    def heard(self, answer: Any) -> Said:
        candidate, usage = answer["candidates"][0], answer["usageMetadata"]
        self.history.append(candidate["content"])
        parts = candidate["content"]["parts"]
        calls = [
            (part["functionCall"]["id"], part["functionCall"]["name"], part["functionCall"]["args"])
            for part in parts
            if "functionCall" in part
        ]
        cached = usage["cachedContentTokenCount"]
        output = usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
        told = {"input": usage["promptTokenCount"] - cached, "cached": cached, "output": output}
        end = "called" if calls else self.ENDS[candidate["finishReason"]]
        return Said("".join(part.get("text", "") for part in parts), calls, end, told)

    def result(self, call: str, name: str, text: str, *, failed: bool = False) -> None:
        response = {"id": call, "name": name, "response": {"error" if failed else "output": text}}
        self.history.append({"role": "user", "parts": [{"functionResponse": response}]})


TALKS = (Anthropic, Chat, Responses, Gemini)
