"""A recorded session plays again: the same bytes on the same streams at the same pace, the same changes, the same end."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.sessions import Stage

from orchestrator.agents import cassette, registry, replay
from orchestrator.agents.cassette import Recorder
from orchestrator.agents.protocol import AgentEvent, EventKind, Stream
from orchestrator.agents.scripted import Scripted
from orchestrator.core.outcome import AgentEnd
from orchestrator.proc.command import Command, Finished, Limits, ProcessEnd

PATCH = b"diff --git a/new.txt b/new.txt\nnew file mode 100644\n--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1 @@\n+hello\n"
NOISY = r"printf 'one\r\ntwo\n\377\376 three\n'; echo warned >&2; printf 'no end'"


def record(stage: Stage, script: str, *, mask: Any = bytes, limits: Limits | None = None, patch: bytes = b"", **env: str) -> Path:
    path = stage.root / "tapes" / "one.cassette.jsonl"
    recorder = Recorder(path, mask)
    stage.run("exec", stage.request(cmd=script, **env), recorder=recorder, raw=True, limits=limits)
    recorder.close(patch)
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def again(stage: Stage, path: Path, *, limits: Limits | None = None, **env: str) -> Any:
    for old in stage.logs.iterdir():
        old.unlink()
    request = stage.request(ORCH_SCENARIO=str(path), **env)
    agent = replay.played(registry.get("scripted"), request, registry.get)
    return stage.run(agent, request, raw=True, limits=limits)


def test_it_holds_what_was_started_what_was_said_and_how_it_ended(stage: Stage) -> None:
    path = record(stage, "echo hello; echo oh >&2; exit 3", patch=PATCH)
    first, *said, last = rows(path)
    assert (first["cassette"], first["agent"], first["argv"]) == (1, "exec", ["sh", "-c", "echo hello; echo oh >&2; exit 3"])
    assert "ORCH_TASK_DIR" in first["environment"]
    assert {row.get("out") or row.get("err") for row in said} == {"hello\n", "oh\n"}
    assert (last["end"], last["code"], last["patch"]) == ("exited", 3, PATCH.decode())


def test_it_plays_byte_for_byte(stage: Stage) -> None:
    path = record(stage, NOISY)
    outs = b"one\r\ntwo\n\xff\xfe three\nno end"
    again(stage, path)
    raw = (stage.logs / "agent.raw").read_bytes()
    assert raw.replace(b"warned\n", b"") == outs
    assert b"warned\n" in raw
    assert [event["text"] for event in stage.events() if event["kind"] == EventKind.NOTICE] == ["warned"]


def test_it_plays_at_its_pace_and_faster_on_request(stage: Stage) -> None:
    path = record(stage, "echo a; sleep 0.4; echo b")
    late = rows(path)[2]["at"]
    assert late >= 0.4
    began = time.monotonic()
    again(stage, path)
    assert time.monotonic() - began >= 0.4
    path.write_text(path.read_text().replace(f'"at": {late}', '"at": 3600'))
    assert again(stage, path, ORCH_REPLAY_SPEED="0").end is AgentEnd.FINISHED


def test_it_changes_the_files_and_ends_with_the_same_code(stage: Stage) -> None:
    path = record(stage, "exit 3", patch=PATCH)
    outcome = again(stage, path)
    assert (outcome.end, outcome.exit_code) == (AgentEnd.FAILED, 3)
    assert (stage.worktree / "new.txt").read_text() == "hello\n"


def test_a_patch_that_fits_no_more_is_a_failure_and_told(stage: Stage) -> None:
    (stage.worktree / "new.txt").write_text("there already\n")
    subprocess.run(["git", "init", "-q"], cwd=stage.worktree, check=True)
    outcome = again(stage, record(stage, "true", patch=PATCH))
    assert outcome.end is AgentEnd.FAILED
    assert "new.txt" in stage.log()


def test_a_signal_is_played_too(stage: Stage) -> None:
    assert again(stage, record(stage, "kill -USR1 $$")).end is AgentEnd.KILLED


def test_a_session_that_stalled_stalls_again(stage: Stage) -> None:
    path = record(stage, "echo a; sleep 60", limits=Limits(idle=0.3, grace=0.2))
    assert again(stage, path, limits=Limits(idle=0.3, seconds=20, grace=0.2)).end is AgentEnd.STALLED


def test_secrets_are_masked_in_every_part_and_whole_lines_are_masked(stage: Stage) -> None:
    def mask(data: bytes) -> bytes:
        return data.replace(b"sesame", b"***")

    path = record(stage, "echo ses''ame; printf ses; sleep 0.1; echo ame; : sesame", mask=mask, patch=b"+sesame\n")
    assert "sesame" not in path.read_text()
    assert path.read_text().count("***") == 4


def test_the_prompt_is_not_in_it(stage: Stage) -> None:
    recorder = Recorder(stage.root / "x.jsonl", bytes)
    recorder.begin("claude", stage.request(), Command(("claude", "-p", "Do it."), stage.worktree, {}))
    recorder.end(Finished(ProcessEnd.EXITED, 0, None, 0.1, ""))
    recorder.close(b"")
    assert rows(stage.root / "x.jsonl")[0]["argv"] == ["claude", "-p", "$PROMPT"]


def test_it_appears_only_when_it_is_complete(stage: Stage) -> None:
    recorder = Recorder(stage.root / "x.jsonl", bytes)
    recorder.begin("exec", stage.request(), Command(("true",), stage.worktree, {}))
    recorder.take(b"half", Stream.OUT)
    assert not (stage.root / "x.jsonl").exists()
    recorder.close(b"")
    assert list(stage.root.glob("x.jsonl*")) == []


def test_a_folder_that_cannot_be_written_ends_the_recording_and_not_the_session(stage: Stage) -> None:
    (stage.root / "tapes").write_text("a file")
    recorder = Recorder(stage.root / "tapes" / "x.jsonl", bytes)
    outcome = stage.run("exec", stage.request(cmd="echo hello"), recorder=recorder)
    recorder.close(b"")
    assert outcome.end is AgentEnd.FINISHED
    assert "can't be written" in recorder.problem


def test_a_scenario_names_a_cassette_beside_it_and_what_else_is_played(stage: Stage) -> None:
    path = record(stage, "echo from the tape; sleep 0.2", patch=PATCH)
    path.rename(stage.root / "copy" / "tape.jsonl")
    stage.scenario('steps = [{print = "before"}, {cassette = "tape.jsonl", speed = 1000}]')
    assert stage.run("scripted", stage.request()).end is AgentEnd.FINISHED
    texts = [event["text"] for event in stage.events()]
    assert texts[-2:] == ["before", "from the tape"]


def test_what_is_played_is_read_by_the_recorded_agents_own_adapter(stage: Stage) -> None:
    class Shouting(Scripted):
        def events(self, line: bytes, stream: Stream) -> tuple[AgentEvent, ...]:
            return (AgentEvent(EventKind.TEXT, line.decode().upper()),)

    path = record(stage, "echo hello")
    request = stage.request(ORCH_SCENARIO=str(path))
    played = replay.played(Scripted(), request, lambda name: Shouting())
    assert played.name == "scripted"
    assert [event.text for event in played.events(b"hello", Stream.OUT)] == ["HELLO"]
    assert [event.kind for event in played.events(b'@scripted {"kind": "auth"}', Stream.OUT)] == [EventKind.AUTH]


def test_a_recording_of_an_agent_that_is_not_here_plays_as_text(stage: Stage) -> None:
    path = stage.root / "x.jsonl"
    path.write_text('{"cassette": 1, "agent": "gone-plug-in"}\n{"at": 0, "out": "hello\\n"}\n{"end": "exited", "code": 0}\n')
    assert again(stage, path).end is AgentEnd.FINISHED
    assert [event["text"] for event in stage.events()] == ["hello"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"steps": []}'])
def test_what_is_no_cassette_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    assert cassette.agent_of(tmp_path / "x") is None
    assert cassette.agent_of(tmp_path / "missing") is None
