"""agent.log as a person reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.recordings import good

from orchestrator.agents import registry
from orchestrator.agents.log import SessionLog
from orchestrator.agents.protocol import AgentEvent, EventKind, Stream
from orchestrator.agents.telling import GIST, Teller, used
from orchestrator.core.masking import Masker
from orchestrator.core.outcome import Spend


def told(*events: AgentEvent, root: str = "", step: float = 0.0) -> list[str]:
    teller = Teller(root)
    lines = [line for index, event in enumerate(events) for line in teller.lines(event, index * step)]
    return [*lines, *teller.rest()]


def tool(name: str, gist: str, identity: str = "1") -> AgentEvent:
    return AgentEvent(EventKind.TOOL, f"{name} {gist}", {"name": name, "id": identity})


def result(text: str = "", identity: str = "1", *, ok: bool = True) -> AgentEvent:
    return AgentEvent(EventKind.RESULT, text, {"id": identity, "ok": ok})


def test_a_tool_is_told_with_its_short_argument_and_how_it_ended() -> None:
    assert told(tool("Write", "/w/src/a.py"), result("File created at /w/src/a.py"), root="/w", step=1.5) == [
        "> Write src/a.py",
        "  ok 1.5 s  File created at src/a.py",
    ]
    assert told(tool("Bash", "make"), result("no rule\nto make\nit", ok=False)) == ["> $ make", "  failed  no rule (+2 lines)"]


def test_a_command_is_told_without_the_shell_around_it() -> None:
    assert told(tool("command_execution", "/bin/bash -lc 'cat hello.txt'")) == ["> $ cat hello.txt"]


def test_of_several_tools_at_once_the_result_says_whose_it_is() -> None:
    assert told(tool("Read", "a"), tool("Grep", "b", "2"), result("one"), result("two", "2")) == [
        "> Read a", "> Grep b", "  ok Read  one", "  ok  two",
    ]  # fmt: skip


def test_what_it_says_stays_as_it_is_and_pieces_become_lines() -> None:
    assert told(AgentEvent(EventKind.TEXT, "one\n  two")) == ["one", "  two"]
    pieces = [AgentEvent(EventKind.TEXT, text, {"joins": ""}) for text in ("Wri", "ting.\nAnd ", "on")]
    assert told(*pieces, tool("Read", "a")) == ["Writing.", "And on", "> Read a"]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (EventKind.LIMIT, "! limit: x"), (EventKind.AUTH, "! not logged in: x"), (EventKind.QUESTION, "! it asks: x"),
        (EventKind.ERROR, "! x"), (EventKind.CONTEXT, "! context full: x"), (EventKind.NOTICE, "· x"), (EventKind.MODEL, "-- model: x"),
    ],
)  # fmt: skip
def test_what_matters_stands_out(kind: EventKind, line: str) -> None:
    assert told(AgentEvent(kind, "x")) == [line]


def test_counts_and_the_closing_event_are_no_lines() -> None:
    assert told(AgentEvent(EventKind.USAGE, "", {"input_tokens": 1}), AgentEvent(EventKind.END, "success", {"ok": True})) == []


def test_what_was_used_is_one_line_and_what_is_unknown_is_left_out() -> None:
    assert (
        used(Spend(0.0213, 6000, 270, cached_tokens=2400)) == "used: 6,000 tokens in (2,400 from cache), 270 tokens out, $0.0213"
    )
    assert used(Spend(None, 100, None)) == "used: 100 tokens in"
    assert used(Spend()) == ""


def test_a_long_argument_is_cut() -> None:
    (line,) = told(tool("Bash", "x" * 1000))
    assert len(line) == GIST + 2


def test_a_secret_said_in_pieces_is_masked_once_they_are_one_line(tmp_path: Path) -> None:
    log = SessionLog(tmp_path, max_bytes=10_000, raw=False, mask=Masker({"ghp_12345678": "T"}))
    for text in ("it is ghp_1", "2345678."):
        log.event(AgentEvent(EventKind.TEXT, text, {"joins": ""}))
    log.note("ended")
    log.flush()
    assert "it is ***." in (tmp_path / "agent.log").read_text()


@pytest.mark.parametrize("name", [name for name in registry.OURS if name not in {"exec", "scripted"}])
def test_a_real_session_reads_well(name: str) -> None:
    agent, teller = registry.get(name), Teller()
    lines = [line for data, stream in good(name) for event in agent.events(data, stream) for line in teller.lines(event, 0.0)]
    lines += teller.rest()
    assert not any("{'" in line or '{"' in line for line in lines), lines
    assert any(line.startswith("> ") for line in lines)
    assert any("All done" in line or "hello" in line for line in lines)


def test_files_that_codex_changes_are_named() -> None:
    changes = [{"path": "/w/src/a.py", "kind": "add"}, {"path": "/w/b.md", "kind": "update"}]
    item = {"id": "item_1", "type": "file_change", "changes": changes, "status": "in_progress"}
    line = json.dumps({"type": "item.started", "item": item}).encode()
    assert told(*registry.get("codex").events(line, Stream.OUT), root="/w") == ["> file_change src/a.py b.md"]


def test_what_claude_says_of_a_tool_beside_its_start_and_end_is_no_line() -> None:
    for subtype, lines in (("task_started", []), ("compact_boundary", ["· compact_boundary"])):
        data = {"type": "system", "subtype": subtype} | ({} if lines else {"tool_use_id": "t1", "description": "sleep 3"})
        assert told(*registry.get("claude").events(json.dumps(data).encode(), Stream.OUT)) == lines


def test_a_key_that_claude_finds_refused_is_told_without_its_own_retries() -> None:
    retry = {"type": "system", "subtype": "api_retry", "attempt": 1, "retry_delay_ms": 582, "error_status": 401}
    lines = [json.dumps(retry | {"error": "authentication_failed", "attempt": attempt}).encode() for attempt in (1, 2)]
    assert [line for data in lines for line in told(*registry.get("claude").events(data, Stream.OUT))] == [
        "· authentication_failed, retry 1 in 0.582 s", "! not logged in: authentication_failed (401)",
    ]  # fmt: skip
