"""The four protocols, streamed and whole: a client that knows only the protocol comes through a script."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.talk import Anthropic, Chat, Gemini, Responses, Talk, ask

from orchestrator.modelserver import serve

LONG = "A sentence that takes several pieces of a stream. " * 5
SCRIPT: dict[str, Any] = {
    "turns": [
        {"say": LONG, "write": {"path": "a.txt", "content": "one\ntwo “three”\n"}},
        {"run": "ls -l"},
        {"finish": "That was all."},
    ],
    "usage": {"input": 1000, "cached": 200, "output": 50, "reasoning": 7},
}


def test_a_script_is_played_to_its_end(protocol: type[Talk], streaming: bool) -> None:
    with serve(SCRIPT) as server:
        said = protocol(server.port, "Do it.", streaming).play()
    assert [(answer.text, [(name, given) for _, name, given in answer.calls], answer.end) for answer in said] == [
        (LONG, [("write_file", {"path": "a.txt", "content": "one\ntwo “three”\n"})], "called"),
        ("", [("bash", {"command": "ls -l"})], "called"),
        ("That was all.", [], "said"),
    ]


def test_tokens_are_told_in_the_protocols_own_way(protocol: type[Talk], streaming: bool) -> None:
    with serve(SCRIPT) as server:
        assert protocol(server.port, "Do it.", streaming).next().usage == {"input": 1000, "cached": 200, "output": 57}


def test_tokens_that_no_script_tells_grow_with_the_conversation(protocol: type[Talk], streaming: bool) -> None:
    with serve({"turns": SCRIPT["turns"]}) as server:
        said = protocol(server.port, "Do it.", streaming).play()
    inputs = [answer.usage["input"] for answer in said]
    assert inputs == sorted(set(inputs))
    assert all(answer.usage["output"] > 0 for answer in said)


def test_a_session_that_goes_on_after_the_end_hears_the_last_words_again(protocol: type[Talk], streaming: bool) -> None:
    with serve(SCRIPT) as server:
        talk = protocol(server.port, "Do it.", streaming)
        talk.play()
        talk.say("And now?")
        assert talk.next().text == "That was all."


def test_what_was_asked_can_be_looked_up(protocol: type[Talk], streaming: bool) -> None:
    with serve(SCRIPT) as server:
        protocol(server.port, "Do it.", streaming).next()
        (asked,) = server.turns
    assert asked.ask is not None
    assert asked.ask.model == "m"
    assert asked.ask.streaming is streaming
    assert "Do it." in asked.ask.words
    assert asked.headers["content-type"] == "application/json"
    assert asked.dialect == protocol.__name__.lower()


def test_a_prompt_may_be_a_plain_text_where_the_protocol_allows_it() -> None:
    tool = {"type": "function", "name": "bash", "parameters": {"properties": {"command": {"type": "string"}}}}
    with serve({"scenes": [{"when": "^begin", "turns": [{"finish": "Found."}]}]}) as server:
        body: dict[str, Any] = {"model": "m", "input": "begin", "tools": [tool]}
        assert ask(server.port, "/v1/responses", body).json["output"][0]["content"][0]["text"] == "Found."
        body = {"messages": [{"role": "user", "content": "begin"}], "tools": [{**tool, "input_schema": tool["parameters"]}]}
        assert ask(server.port, "/v1/messages", body).json["content"] == [{"type": "text", "text": "Found."}]


def test_streams_are_marked_as_such(protocol: type[Talk]) -> None:
    with serve(SCRIPT) as server:
        assert protocol(server.port, "Do it.", True).send().headers["content-type"] == "text/event-stream"
        assert protocol(server.port, "Do it.", False).send().headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "key"), [("/v1/messages/count_tokens", "input_tokens"), ("/v1beta/models/m:countTokens", "totalTokens")]
)
def test_tokens_are_counted_without_an_answer(path: str, key: str) -> None:
    with serve(SCRIPT) as server:
        few, many = (ask(server.port, path, {"messages": "x" * size}).json[key] for size in (100, 10_000))
        assert 0 < few < many
        assert server.turns == []


def test_the_small_calls_that_clients_make_are_answered() -> None:
    with serve(SCRIPT) as server:
        assert ask(server.port, "/", method="GET").status == 200
        assert ask(server.port, "/", method="HEAD").data == b""
        for path in ("/v1/models", "/models?client_version=1", "/v1beta/models"):
            assert ask(server.port, path, method="GET").json["data"] == []
        assert ask(server.port, "/api/event_logging/batch", {"events": []}).status == 404
        assert ask(server.port, "/v1/traces", method="GET").status == 404
        assert [asked.main for asked in server.requests] == [False] * 7


@pytest.mark.parametrize("raw", [b"not json", b"[1, 2]", b"\xff\xfe"], ids=["text", "list", "bytes"])
def test_a_body_that_is_no_object_does_no_harm(raw: bytes) -> None:
    import http.client

    with serve(SCRIPT) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/telemetry", raw)
        assert connection.getresponse().read() != b""
        connection.close()
        assert Chat(server.port, "Do it.").next().calls


def test_one_connection_carries_many_requests(protocol: type[Talk], streaming: bool) -> None:
    import http.client

    with serve(SCRIPT) as server:
        talk = protocol(server.port, "Do it.", streaming)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        answers = []
        for _ in range(3):
            connection.request("POST", talk.path, json.dumps(talk.body()))
            answer = connection.getresponse()
            answers.append((answer.status, bool(answer.read())))
        connection.close()
    assert answers == [(200, True)] * 3


def test_a_wanted_schema_is_filled() -> None:
    """Clients ask for JSON in side requests: who speaks next, a title in a field."""
    schema = {
        "type": "object",
        "required": ["who", "sure"],
        "properties": {"who": {"enum": ["user", "model"]}, "sure": {"type": "boolean"}},
    }
    wanted = '{"who": "user", "sure": false}'
    with serve(SCRIPT) as server:
        chat = {"messages": [], "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
        assert ask(server.port, Chat.path, chat).json["choices"][0]["message"]["content"] == wanted
        answer = ask(server.port, Responses.path, {"input": "?", "text": {"format": {"type": "json_schema", "schema": schema}}})
        assert answer.json["output"][0]["content"][0]["text"] == wanted
        gemini = {"contents": [], "generationConfig": {"responseJsonSchema": schema}}
        answer = ask(server.port, Gemini(server.port, "", streaming=False).path, gemini)
        assert answer.json["candidates"][0]["content"]["parts"] == [{"text": wanted}]
        anthropic = {"messages": [], "output_config": {"format": {"type": "json_schema", "schema": schema}}}
        assert ask(server.port, Anthropic.path, anthropic).json["content"][0]["text"] == wanted
        assert server.turns == []


def test_a_tool_that_the_client_insists_on_is_called() -> None:
    schema = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string"}}}
    with serve(SCRIPT) as server:
        talk = Chat(server.port, "Name this.", streaming=False, tools={"respond": schema})
        forced = {**talk.body(), "tool_choice": {"type": "function", "function": {"name": "respond"}}}
        said = talk.heard(ask(server.port, talk.path, forced).json)
        assert [(name, list(given)) for _, name, given in said.calls] == [("respond", ["title"])]
        anthropic = Anthropic(server.port, "Name this.", streaming=False, tools={"respond": schema})
        forced = {**anthropic.body(), "tool_choice": {"type": "tool", "name": "respond"}}
        assert anthropic.heard(ask(server.port, anthropic.path, forced).json).calls[0][1] == "respond"
