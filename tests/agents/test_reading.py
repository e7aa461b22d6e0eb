from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents import reading
from orchestrator.agents.protocol import EventKind, Stream

NOW = 1795172430.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.sampled_from("ab"), inner, max_size=4),
)


def test_a_line_that_holds_an_object_is_read() -> None:
    assert reading.record(b' {"a": "gr\xc3\xbcn"}\r') == {"a": "grün"}


@pytest.mark.parametrize(
    "line",
    [b"", b"plain text", b"[1]", b"null", b'{"a": ', b"{}{}", b"\xff\xfe{}", b'{"a":' * 100_000, b'{"a": ' + b"9" * 5000 + b"}"],
)
def test_a_line_that_holds_none_is_none(line: bytes) -> None:
    assert reading.record(line) is None


def test_bytes_that_are_no_utf8_do_not_hide_the_rest_of_a_line() -> None:
    assert reading.record(b'{"text": "a\xffb"}') == {"text": "a�b"}


@given(st.binary())
def test_no_bytes_raise(line: bytes) -> None:
    assert isinstance(reading.record(line), dict | None)
    reading.notice(line)


@given(JSON, st.lists(st.sampled_from("ab"), max_size=3))
def test_no_shape_of_data_raises_and_each_getter_keeps_its_type(data: Any, path: list[str]) -> None:
    assert isinstance(reading.string(data, *path), str)
    assert isinstance(reading.number(data, *path), float | None)
    assert isinstance(reading.whole(data, *path), int | None)
    assert isinstance(reading.tables(data, *path), list)
    reading.table(data, *path).keys()
    json.dumps(dict(reading.tool("x", data).data))


def test_half_of_a_surrogate_pair_can_be_written_afterwards() -> None:
    assert reading.string(reading.record(rb'{"a": "x\ud800"}'), "a") == "x?"


def test_numbers_are_finite_and_truth_is_no_number() -> None:
    data = reading.record(b'{"yes": true, "inf": Infinity, "nan": NaN, "big": 1e999, "some": 3.9}')
    assert [reading.number(data, key) for key in ("yes", "inf", "nan", "big", "none")] == [None] * 5
    assert reading.whole(data, "some") == 3


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("API Error: 401 invalid x-api-key", EventKind.AUTH),
        ("Not logged in · Please run /login", EventKind.AUTH),
        ("unexpected status 403 Forbidden", EventKind.AUTH),
        ("OAuth token has expired", EventKind.AUTH),
        ("exceeded retry limit, last status: 429 Too Many Requests", EventKind.LIMIT),
        ("You’ve hit your usage limit.", EventKind.LIMIT),
        ("[API Error: You have exhausted your daily quota on this model.]", EventKind.LIMIT),
        ("API Error: 529 Overloaded.", EventKind.LIMIT),
        ("API Error: Can't reach the API server — check your internet or DNS (ENOTFOUND)", EventKind.LIMIT),
        ("request failed, reason: connect ECONNREFUSED 10.0.0.1:443", EventKind.LIMIT),
        ("error sending request: Temporary failure in name resolution", EventKind.LIMIT),
        ("Prompt is too long", EventKind.CONTEXT),
        ('400: {"code":"context_length_exceeded"}', EventKind.CONTEXT),
        ("Codex ran out of room in the model's context window.", EventKind.CONTEXT),
        ("API Error: 500 Internal server error", EventKind.ERROR),
        ("model: no-such-model", EventKind.ERROR),
        ("Claude's response exceeded the 128000 output token maximum.", EventKind.ERROR),
        ("stream disconnected before completion", EventKind.ERROR),
        ("", EventKind.ERROR),
    ],
)
def test_the_words_of_a_failure_tell_what_it_is(message: str, kind: EventKind) -> None:
    assert reading.failure(message).kind is kind


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("error: unknown option", EventKind.ERROR),
        ("2026-11-27T13:55:41Z ERROR core: could not write", EventKind.ERROR),
        ("WARNING: proceeding, even though we could not create PATH aliases", EventKind.NOTICE),
        ("2026-11-27T13:55:41Z  WARN core: failed to refresh models", EventKind.NOTICE),
        ("[warning] no such file was not found", EventKind.NOTICE),
        ("information could not be read", EventKind.ERROR),
    ],
)
def test_a_complaint_beside_the_events_is_an_error_and_a_warning_is_none(line: str, kind: EventKind) -> None:
    (event,) = reading.words(line.encode(), Stream.ERR)
    assert event.kind is kind


@pytest.mark.parametrize(
    ("status", "kind"), [(401, EventKind.AUTH), (429, EventKind.LIMIT), (529, EventKind.LIMIT), (500, EventKind.ERROR)]
)
def test_a_status_beside_the_words_goes_before_them(status: int, kind: EventKind) -> None:
    assert reading.failure("It failed.", status).kind is kind


def test_a_limit_carries_its_end_where_it_is_told_or_said() -> None:
    assert reading.failure("429", reset=5.0).data == {"reset_at": 5.0}
    assert reading.failure("429: retry after 60s", now=NOW).data == {"reset_at": NOW + 60}
    assert reading.failure("429: try again later", now=NOW).data == {}


def test_a_tool_says_on_one_line_what_it_is_about_and_counts_as_running_only_with_an_id() -> None:
    event = reading.tool("Bash", {"description": "look", "command": "ls\n  -l"}, "t1")
    assert (event.text, event.data["id"]) == ("Bash ls -l", "t1")
    assert "id" not in reading.tool("Bash", {"command": "ls"}).data


def test_a_whole_file_given_to_a_tool_is_cut_in_the_event() -> None:
    event = reading.tool(
        "Write", {"file_path": "a", "content": "x" * 1_000_000, "deep": [[[[[["y"]]]]]], "many": list(range(1000))}
    )
    assert len(json.dumps(dict(event.data))) < 5000


def test_usage_leaves_out_what_is_not_known_and_is_nothing_where_nothing_is() -> None:
    assert reading.usage() == ()
    (event,) = reading.usage(sent=5, cached=0, received=None, usd=0.0, total=True)
    assert event.data == {"input_tokens": 5, "cached_tokens": 0, "usd": 0.0, "total": True}


def test_a_program_that_is_missing_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    missing = reading.installed("claude", install="npm i -g x")
    assert (missing.installed, missing.fix) == (False, "npm i -g x")
