"""Every fault, in each protocol's own words, as often as the script says."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

import pytest
from support.talk import Anthropic, Chat, Gemini, Got, Responses, Talk, ask

from orchestrator.modelserver import serve
from orchestrator.modelserver.script import Kind

TURNS: list[dict[str, Any]] = [{"say": "First.", "run": "echo 1"}, {"finish": "The end."}]
STATUS = {
    "auth": 401,
    "forbidden": 403,
    "no-model": 404,
    "rate-limit": 429,
    "usage-limit": 429,
    "overloaded": 529,
    "server-error": 500,
    "context": 400,
}
WORDS = {
    "auth": {"Anthropic": "authentication_error", "Gemini": "UNAUTHENTICATED"},
    "forbidden": {"Anthropic": "permission_error", "Gemini": "PERMISSION_DENIED"},
    "no-model": {"Anthropic": "not_found_error", "Gemini": "NOT_FOUND"},
    "rate-limit": {"Anthropic": "rate_limit_error", "Gemini": "RESOURCE_EXHAUSTED"},
    "usage-limit": {"Anthropic": "rate_limit_error", "Gemini": "RESOURCE_EXHAUSTED"},
    "overloaded": {"Anthropic": "overloaded_error", "Gemini": "UNAVAILABLE"},
    "server-error": {"Anthropic": "api_error", "Gemini": "INTERNAL"},
    "context": {"Anthropic": "prompt is too long", "Gemini": "exceeds the maximum number of tokens"},
}
OPENAI = {
    "auth": "invalid_api_key",
    "forbidden": "permission_denied",
    "no-model": "model_not_found",
    "rate-limit": "rate_limit_exceeded",
    "usage-limit": "usage_limit_reached",
    "overloaded": "server_is_overloaded",
    "server-error": "server_error",
    "context": "context_length_exceeded",
}


def faulty(**fault: Any) -> dict[str, Any]:
    return {"turns": TURNS, "faults": [fault]}


def send(protocol: type[Talk], streaming: bool = True, **fault: Any) -> Got:
    with serve(faulty(**fault)) as server:
        return protocol(server.port, "Do it.", streaming).send()


@pytest.mark.parametrize("kind", STATUS)
def test_a_refusal_has_its_status_and_the_providers_words(protocol: type[Talk], streaming: bool, kind: str) -> None:
    got = send(protocol, streaming, kind=kind)
    assert got.status == STATUS[kind]
    assert WORDS[kind].get(protocol.__name__, OPENAI[kind]) in json.dumps(got.json["error"])
    assert got.headers.get("retry-after") == ("3600" if kind == "usage-limit" else None)


def test_every_fault_is_either_tested_here_or_an_answer_of_its_own() -> None:
    rest = {"quota", "cut", "stall", "hang", "garbage", "empty", "max-tokens", "unknown-tool", "bad-arguments", "huge"}
    assert {kind.value for kind in Kind} == set(STATUS) | rest


def test_the_script_may_say_it_in_its_own_words(protocol: type[Talk]) -> None:
    assert "Not today." in send(protocol, kind="auth", message="Not today.").data.decode()


def test_a_fault_strikes_as_often_as_its_count_says(protocol: type[Talk]) -> None:
    with serve(faulty(kind="rate-limit", count=2, retry_after=7)) as server:
        talk = protocol(server.port, "Do it.")
        first, second = talk.send(), talk.send()
        assert [(got.status, got.headers["retry-after"]) for got in (first, second)] == [(429, "7")] * 2
        assert [said.text for said in talk.play()] == ["First.", "The end."]
        assert [asked.fault for asked in server.turns] == [Kind.RATE_LIMIT, Kind.RATE_LIMIT, None, None]


def test_a_fault_without_a_count_strikes_for_ever(protocol: type[Talk]) -> None:
    with serve(faulty(kind="overloaded")) as server:
        talk = protocol(server.port, "Do it.")
        assert [talk.send().status for _ in range(5)] == [529] * 5


def test_side_requests_are_spared(protocol: type[Talk]) -> None:
    with serve(faulty(kind="server-error", count=1)) as server:
        assert protocol(server.port, "Name this.", tools={}).next().text == "ok"
        assert protocol(server.port, "Do it.").send().status == 500


def test_a_fault_of_a_turn_waits_for_its_turn(protocol: type[Talk]) -> None:
    turns = [TURNS[0], {**TURNS[1], "fault": {"kind": "context", "count": 1}}]
    with serve({"turns": turns}) as server:
        talk = protocol(server.port, "Do it.")
        call, name, _ = talk.next().calls[0]
        talk.result(call, name, "1")
        assert talk.send().status == 400
        assert talk.next().text == "The end."


def test_faults_of_a_scene_strike_there_only_and_one_after_the_other(protocol: type[Talk]) -> None:
    faults = [{"kind": "rate-limit", "count": 1}, {"kind": "overloaded", "count": 1}]
    with serve({"scenes": [{"when": "bad", "turns": TURNS, "faults": faults}], "turns": TURNS}) as server:
        assert protocol(server.port, "good").send().status == 200
        assert [protocol(server.port, "bad").send().status for _ in range(3)] == [429, 529, 200]


def test_parallel_clients_share_a_count_exactly() -> None:
    statuses: list[int] = []
    with serve(faulty(kind="server-error", count=7)) as server:
        threads = [threading.Thread(target=lambda: statuses.append(Chat(server.port, "x").send().status)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] * 13 + [500] * 7


# When a limit ends.


@pytest.mark.parametrize(("window", "short"), [("five_hour", "5h"), ("seven_day", "7d")])
def test_anthropic_tells_a_subscriptions_limit_in_headers(window: str, short: str) -> None:
    headers = send(Anthropic, kind="usage-limit", resets_at=1_800_000_000, window=window).headers
    prefix = "anthropic-ratelimit-unified"
    assert headers[f"{prefix}-status"] == "rejected"
    assert headers[f"{prefix}-reset"] == headers[f"{prefix}-{short}-reset"] == "1800000000"
    assert headers[f"{prefix}-representative-claim"] == window


@pytest.mark.parametrize("protocol", [Chat, Responses])
def test_openai_tells_it_in_the_body(protocol: type[Talk]) -> None:
    before = int(time.time())
    error = send(protocol, kind="usage-limit", resets_in=3600).json["error"]
    assert (error["type"], error["plan_type"]) == ("usage_limit_reached", "plus")
    assert before + 3600 <= error["resets_at"] <= time.time() + 3600
    assert error["resets_in_seconds"] == 3600


def test_gemini_tells_it_in_the_details() -> None:
    details = {
        detail["@type"].rpartition(".")[2]: detail
        for detail in send(Gemini, kind="usage-limit", resets_in=90).json["error"]["details"]
    }
    assert details["RetryInfo"]["retryDelay"] == "90s"
    assert "PerDay" in details["QuotaFailure"]["violations"][0]["quotaId"]
    minute = {d["@type"].rpartition(".")[2]: d for d in send(Gemini, kind="rate-limit", retry_after=5).json["error"]["details"]}
    assert minute["RetryInfo"]["retryDelay"] == "5s"
    assert "PerMinute" in minute["QuotaFailure"]["violations"][0]["quotaId"]


def test_an_empty_purse_is_no_limit_that_ends(protocol: type[Talk]) -> None:
    got = send(protocol, kind="quota")
    assert got.status == (400 if protocol is Anthropic else 429)
    assert "resets" not in got.data.decode()


# Answers that come whole and are of no use.


def test_an_empty_answer_says_nothing_and_ends(protocol: type[Talk], streaming: bool) -> None:
    with serve(faulty(kind="empty", count=1)) as server:
        talk = protocol(server.port, "Do it.", streaming)
        said = talk.next()
        assert (said.text, said.calls, said.end) == ("", [], "said")
        assert talk.next().text == "First."


def test_an_answer_cut_off_at_the_most_tokens_says_so_and_is_no_turn(protocol: type[Talk], streaming: bool) -> None:
    with serve(faulty(kind="max-tokens", count=1)) as server:
        talk = protocol(server.port, "Do it.", streaming)
        said = talk.next()
        assert (said.text, said.calls, said.end) == ("Fir", [], "length")
        talk.say("Continue.")
        assert talk.next().text == "First."


def test_a_tool_that_is_not_there_is_called_and_the_turn_comes_again(protocol: type[Talk], streaming: bool) -> None:
    with serve(faulty(kind="unknown-tool", count=1)) as server:
        talk = protocol(server.port, "Do it.", streaming)
        call, name, _ = talk.next().calls[0]
        assert name == "tool_that_is_not_there"
        talk.result(call, name, "no such tool", failed=True)
        assert [said.text for said in talk.play()] == ["First.", "The end."]


def test_broken_arguments_are_no_json_or_lack_what_is_needed(protocol: type[Talk], streaming: bool) -> None:
    with serve(faulty(kind="bad-arguments", count=1)) as server:
        talk = protocol(server.port, "Do it.", streaming)
        structured = protocol is Gemini or (protocol is Anthropic and not streaming)
        if structured:
            assert talk.next().calls[0][2] == {}
        else:
            with pytest.raises(json.JSONDecodeError):
                talk.next()


@pytest.mark.parametrize("megabytes", [1, 5])
def test_huge_output_is_as_large_as_the_script_says(protocol: type[Talk], streaming: bool, megabytes: int) -> None:
    with serve(faulty(kind="huge", megabytes=megabytes)) as server:
        said = protocol(server.port, "Do it.", streaming).next()
    assert megabytes * 1_000_000 <= len(said.text) < megabytes * 1_000_000 + 100
    assert said.calls == []


# Faults of the connection.


def test_a_cut_stream_ends_without_its_end(protocol: type[Talk], streaming: bool) -> None:
    with serve(faulty(kind="cut", count=1)) as server:
        talk = protocol(server.port, "Do it.", streaming)
        with pytest.raises(http.client.IncompleteRead) as broken:
            talk.send()
        assert broken.value.partial != b""
        assert talk.next().text == "First."


def test_garbage_is_no_protocol_at_all(protocol: type[Talk], streaming: bool) -> None:
    got = send(protocol, streaming, kind="garbage")
    assert got.status == 200
    assert b"{not json" in got.data
    with pytest.raises(UnicodeDecodeError):
        got.data.decode()


@pytest.mark.parametrize("kind", ["hang", "stall"])
def test_silence_lasts_until_the_client_gives_up(protocol: type[Talk], streaming: bool, kind: str) -> None:
    with serve(faulty(kind=kind, count=1)) as server:
        talk = protocol(server.port, "Do it.", streaming)
        with pytest.raises(TimeoutError):
            ask(server.port, talk.path, talk.body(), seconds=0.3)
        assert talk.next().text == "First."


def test_a_stall_comes_half_way_a_hang_before_the_head() -> None:
    with serve({"turns": TURNS, "faults": [{"kind": "stall", "count": 1}, {"kind": "hang", "count": 1}]}) as server:
        talk = Anthropic(server.port, "Do it.")
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", talk.path, json.dumps(talk.body()))
        answer = connection.getresponse()
        assert answer.readline() == b"event: message_start\n"
        connection.close()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.3)
        connection.request("POST", talk.path, json.dumps(talk.body()))
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
