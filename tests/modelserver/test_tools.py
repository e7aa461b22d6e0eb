"""The client's own tools, as the real ones declare them (`declared/`, recorded and stripped of their prose)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.talk import Got, ask

from orchestrator.modelserver import serve
from orchestrator.modelserver.conversation import Ask, Entry, Form, Speaker, Tool
from orchestrator.modelserver.script import Write
from orchestrator.modelserver.tools import by_shell, filled, finisher, running, sensible, shell, writer, writing

DECLARED = Path(__file__).with_name("declared")
CONTENT = 'it\'s "two"\n  lines, $HOME `here` \\n é\n'
TURNS = [{"write": {"path": "sub dir/a.txt", "content": CONTENT}}, {"run": "echo a | cat"}, {"finish": "Over."}]
CLIENTS = {  # the tool that writes, the one that runs commands
    "claude": ("Write", "Bash"),
    "codex": ("apply_patch", "exec_command"),
    "copilot": ("create", "bash"),
    "gemini": ("write_file", "run_shell_command"),
    "mini": (None, "bash"),
    "opencode": ("write", "bash"),
    "openhands": ("file_editor", "terminal"),
    "pi": ("write", "bash"),
    "qwen": ("write_file", "run_shell_command"),
}
LINES = [f"+{line}" for line in CONTENT.splitlines()]
PATCH = "\n".join(["*** Begin Patch", "*** Add File: sub dir/a.txt", *LINES, "*** End Patch", ""])


def request(client: str, folder: Path, said: list[Any]) -> tuple[str, dict[str, Any]]:
    """The client's path, and its body with the conversation so far: what it declares, and where it says that it works."""
    declared = json.loads((DECLARED / f"{client}.json").read_text())
    where = declared["where"].replace("{folder}", str(folder))
    path, tools = declared["path"], declared["tools"]
    prompt = f"{where}\n\nDo it."
    if "generateContent" in path or "GenerateContent" in path:
        first = {"role": "user", "parts": [{"text": prompt}]}
        return path.replace("streamGenerateContent", "generateContent"), {"contents": [first, *said], "tools": tools}
    first = {"role": "user", "content": prompt}
    return path, {"model": "m", "input" if path.endswith("/responses") else "messages": [first, *said], "tools": tools}


def calls(got: Got) -> list[dict[str, Any]]:
    """The calls of an answer that came whole, as {name, arguments}, whatever the protocol."""
    answer = got.json
    if "candidates" in answer:
        parts = answer["candidates"][0]["content"]["parts"]
        return [
            {"name": part["functionCall"]["name"], "arguments": part["functionCall"]["args"]}
            for part in parts
            if "functionCall" in part
        ]
    if "choices" in answer:
        called = [call["function"] for call in answer["choices"][0]["message"].get("tool_calls", ())]
        return [{"name": call["name"], "arguments": json.loads(call["arguments"])} for call in called]
    if "output" in answer:
        items = [item for item in answer["output"] if item["type"].endswith("_call")]
        return [
            {"name": item["name"], "arguments": item["input"] if "input" in item else json.loads(item["arguments"])}
            for item in items
        ]
    return [{"name": block["name"], "arguments": block["input"]} for block in answer["content"] if block["type"] == "tool_use"]


def schema_of(client: str, name: str) -> dict[str, Any]:
    for tool in json.loads((DECLARED / f"{client}.json").read_text())["tools"]:
        for one in tool.get("functionDeclarations", [tool]):
            told = one.get("function", one)
            if told.get("name") == name:
                return next((told[key] for key in ("input_schema", "parameters", "parametersJsonSchema") if key in told), {})
    raise AssertionError(f"{client} declares no {name}")


def assert_accepted(schema: dict[str, Any], given: Any) -> None:
    """As far as the clients check it: nothing required is missing, types and choices are right."""
    kinds = {"string": str, "boolean": bool, "array": list, "object": dict, "integer": int, "number": (int, float)}
    assert set(schema.get("required", ())) <= set(given)
    for name, value in given.items():
        wanted = schema["properties"][name]
        kind = wanted.get("type", "string")
        assert isinstance(value, kinds[kind.lower()] if isinstance(kind, str) else (str, int, list, bool)), (name, value)
        assert value in wanted.get("enum", [value])


@pytest.mark.parametrize("client", CLIENTS)
def test_a_file_is_written_by_the_clients_own_tool(client: str, tmp_path: Path) -> None:
    tool, runs = CLIENTS[client]
    with serve({"turns": TURNS}) as server:
        (call,) = calls(ask(server.port, *request(client, tmp_path, [])))
    if tool is None:
        assert call == {"name": runs, "arguments": {"command": by_shell(Write("sub dir/a.txt", CONTENT))}}
    elif tool == "apply_patch":
        assert call == {"name": tool, "arguments": PATCH}
    else:
        assert call["name"] == tool
        assert_accepted(schema_of(client, tool), call["arguments"])
        assert str(tmp_path / "sub dir/a.txt") in call["arguments"].values()
        assert CONTENT in call["arguments"].values()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_command_is_run_by_the_clients_own_shell(client: str, tmp_path: Path) -> None:
    with serve({"turns": TURNS[1:]}) as server:
        (call,) = calls(ask(server.port, *request(client, tmp_path, [])))
    assert call["name"] == CLIENTS[client][1]
    assert_accepted(schema_of(client, call["name"]), call["arguments"])
    assert "echo a | cat" in call["arguments"].values()


@pytest.mark.parametrize("client", CLIENTS)
def test_the_end_is_told_as_the_client_waits_for_it(client: str, tmp_path: Path) -> None:
    with serve({"turns": TURNS[2:]}) as server:
        got = ask(server.port, *request(client, tmp_path, []))
    if client == "openhands":
        assert calls(got) == [{"name": "finish", "arguments": {"message": "Over."}}]
    else:
        assert calls(got) == []
        assert "Over." in got.data.decode()


def test_a_client_that_waits_for_a_printed_word_gets_the_command_that_prints_it(tmp_path: Path) -> None:
    with serve({"turns": [{"finish": "It's over."}]}) as server:
        path, body = request("mini", tmp_path, [])
        body["messages"][0]["content"] += "\nTo end, run `echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT`."
        (call,) = calls(ask(server.port, path, body))
    done = subprocess.run(["sh", "-c", call["arguments"]["command"]], capture_output=True, text=True, check=True)
    assert done.stdout == "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\nIt's over.\n"


@pytest.mark.parametrize("content", [CONTENT, "", "no end of line", "a\r\nb", "-n", "%s\\"], ids=repr)
def test_a_shell_writes_exactly_the_content(content: str, tmp_path: Path) -> None:
    for path in ("a.txt", "deep er/it's.txt"):
        subprocess.run(["sh", "-c", by_shell(Write(path, content))], cwd=tmp_path, check=True)
        assert (tmp_path / path).read_bytes() == content.encode()


@pytest.mark.parametrize("content", ["", "no end of line", "a\r\nb\n"], ids=repr)
def test_what_no_patch_can_tell_exactly_is_written_by_the_shell(content: str, tmp_path: Path) -> None:
    with serve({"turns": [{"write": {"path": "a.txt", "content": content}}]}) as server:
        (call,) = calls(ask(server.port, *request("codex", tmp_path, [])))
    assert (call["name"], call["arguments"]["cmd"]) == ("exec_command", by_shell(Write("a.txt", content)))


def test_a_patch_in_a_function_is_one_all_the_same() -> None:
    tool = Tool("apply_patch", {"properties": {"patchText": {"type": "string"}}, "required": ["patchText"]})
    assert writer([tool]) is tool
    assert writing(tool, Write("sub dir/a.txt", CONTENT), Ask("m", False)) == {"patchText": PATCH}


def test_openais_own_shell_takes_words_and_needs_no_schema() -> None:
    with serve({"turns": [{"run": "echo a | cat"}]}) as server:
        body = {"input": "Do it.", "tools": [{"type": "local_shell"}]}
        (item,) = ask(server.port, "/v1/responses", body).json["output"]
        stream = ask(server.port, "/v1/responses", {**body, "stream": True}).events
    assert item["type"] == "local_shell_call"
    assert item["action"] == {"type": "exec", "command": ["bash", "-c", "echo a | cat"], "env": {}}
    assert stream[-1][1]["response"]["output"][0]["action"] == item["action"]


def test_a_shell_that_wants_words_gets_words() -> None:
    tool = Tool("shell", {"type": "object", "properties": {"command": {"type": "array", "items": {"type": "string"}}}})
    assert running(tool, "echo a | cat") == {"command": ["bash", "-c", "echo a | cat"]}


def test_tools_in_a_namespace_are_called_with_it() -> None:
    inner = {"type": "function", "name": "bash", "parameters": {"properties": {"command": {"type": "string"}}}}
    with serve({"turns": [{"run": "ls"}]}) as server:
        body = {"input": "Do it.", "tools": [{"type": "namespace", "name": "box", "tools": [inner]}]}
        (item,) = ask(server.port, "/v1/responses", body).json["output"]
    assert (item["name"], item["namespace"]) == ("bash", "box")


def test_a_tool_with_a_path_and_a_command_is_an_editor_and_no_shell() -> None:
    editor = Tool("str_replace_editor", {"properties": {"command": {"enum": ["view", "create"]}, "path": {}, "file_text": {}}})
    assert shell([editor]) is None
    assert writing(editor, Write("a", "b"), Ask("m", False)) == {"path": "a", "file_text": "b", "command": "create"}


def test_an_editor_that_only_replaces_is_no_writer() -> None:
    assert writer([Tool("Edit", {"properties": {"file_path": {}, "old_string": {}, "new_string": {}}})]) is None


def test_the_plainest_writer_wins_whatever_the_order() -> None:
    whole = Tool("Write", {"properties": {"file_path": {}, "content": {}}})
    other = Tool("create_file", {"properties": {"path": {}, "content": {}}})
    patch = Tool("apply_patch", form=Form.CUSTOM)
    assert writer([patch, other, whole]) is whole
    assert writer([patch, other]) is other
    assert finisher([whole, patch]) is None


def test_a_folder_is_believed_only_where_it_is_one(tmp_path: Path) -> None:
    """Prompts speak of folders in examples: what is no folder here would have files written all over the machine."""
    tool = Tool("write", {"properties": {"path": {}, "content": {}}})
    for words, path in {
        f"Current working directory: {tmp_path}": str(tmp_path / "a"),
        f"like /docs, not the current working directory /docs.md. cwd: {tmp_path}": str(tmp_path / "a"),
        "Working directory: /no/such/folder": "a",
        "Working directory: /": "a",
        "nothing": "a",
    }.items():
        given = writing(tool, Write("a", ""), Ask("m", False, entries=(Entry(Speaker.USER, words),)))
        assert given == {"path": path, "content": ""}, words


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "what the script says"),
        ({"type": "STRING", "enum": ["low", "high"]}, "low"),
        ({"type": "boolean"}, False),
        ({"type": ["null", "array"]}, []),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "number"}, 1),
        ({"type": "string", "default": "sync"}, "sync"),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, False),
        ({"type": "object", "required": ["a"], "properties": {"a": {"type": "boolean"}}}, {"a": False}),
    ],
)
def test_what_a_schema_insists_on_is_filled_sensibly(schema: dict[str, Any], value: Any) -> None:
    assert sensible(schema) == value
    assert filled({"required": ["x", "y"], "properties": {"x": schema, "z": {}}}, {"y": 1})["x"] == value


@pytest.mark.parametrize("streaming", [True, False])
def test_a_tool_of_plain_text_in_chat_gets_plain_text(streaming: bool) -> None:
    with serve({"turns": [{"write": {"path": "sub dir/a.txt", "content": CONTENT}}]}) as server:
        message = {"role": "user", "content": [{"type": "text", "text": "Do it."}]}
        body = {"messages": [message], "tools": [{"type": "custom", "custom": {"name": "apply_patch"}}], "stream": streaming}
        got = ask(server.port, "/v1/chat/completions", body)
    if streaming:
        deltas = [choice["delta"] for _, data in got.events[:-1] for choice in data["choices"]]
        parts = [part for delta in deltas for part in delta.get("tool_calls", ())]
        told = {"name": parts[0]["custom"]["name"], "input": "".join(part["custom"]["input"] for part in parts)}
    else:
        told = got.json["choices"][0]["message"]["tool_calls"][0]["custom"]
    assert told == {"name": "apply_patch", "input": PATCH}


def test_gemini_may_write_its_instructions_either_way(tmp_path: Path) -> None:
    tool = {
        "name": "write_file",
        "parameters": {"type": "OBJECT", "properties": {"path": {"type": "STRING"}, "content": {"type": "STRING"}}},
    }
    with serve({"turns": TURNS}) as server:
        for told in (f"cwd: {tmp_path}", {"parts": [{"text": f"cwd: {tmp_path}"}]}):
            body = {"systemInstruction": told, "contents": [], "tools": [{"functionDeclarations": [tool]}]}
            (call,) = calls(ask(server.port, "/v1beta/models/m:generateContent", body))
            assert call["arguments"]["path"] == str(tmp_path / "sub dir/a.txt")
