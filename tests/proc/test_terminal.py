"""A program that insists on a terminal has one, under the same watch. Each test in a process of its own: it forks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HARNESS = """
import dataclasses, json, os, sys
from pathlib import Path
from orchestrator.core.outcome import StopRequest
from orchestrator.proc import tree
from orchestrator.proc.command import Command, Limits
from orchestrator.proc.supervise import run
given = json.loads(sys.argv[1])
out = bytearray()
stdin = given["stdin"].encode() if given["stdin"] is not None else None
request = iter([None] + [StopRequest(given["request"])] * 9 if given["request"] else [])
fds = len(os.listdir("/proc/self/fd"))
finished = run(
    Command(tuple(given["argv"]), Path(given["cwd"]), dict(os.environ), stdin, tty=True), Limits(**given["limits"]),
    sink=out.extend, pump=lambda: next(request, None),
)
told = {**dataclasses.asdict(finished), "out": out.decode(), "left": sorted(tree.children())}
print(json.dumps({**told, "leaked": len(os.listdir("/proc/self/fd")) - fds}))
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Any:
    def run(*argv: str, stdin: str | None = None, request: str | None = None, **limits: float) -> dict[str, Any]:
        given = {"argv": argv, "cwd": str(tmp_path), "stdin": stdin, "limits": limits, "request": request}
        harness = [sys.executable, "-W", "error", "-c", HARNESS, json.dumps(given)]
        done = subprocess.run(harness, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        told: dict[str, Any] = json.loads(done.stdout)
        assert (told["left"], told["leaked"]) == ([], 0)
        return told

    return run


def test_the_program_has_a_terminal_of_a_known_kind_and_size(terminal: Any, tmp_path: Path) -> None:
    told = terminal("bash", "-c", "test -t 0 && test -t 1 && stty size && echo $TERM && pwd; exit 3")
    assert (told["end"], told["code"]) == ("exited", 3)
    assert told["out"] == f"40 120\r\nxterm-256color\r\n{tmp_path}\r\n"


@pytest.mark.parametrize("typed", ["two\nlines\n", "no line end", ""])
def test_what_is_typed_arrives_without_echo_and_ends(terminal: Any, typed: str) -> None:
    told = terminal("cat", stdin=typed)
    assert (told["end"], told["code"]) == ("exited", 0)
    assert told["out"] == typed.replace("\n", "\r\n")


def test_a_path_with_spaces_and_no_arguments_is_one_program(terminal: Any, tmp_path: Path) -> None:
    program = tmp_path / "my agent"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    assert terminal("./my agent")["out"] == "hello\r\n"


def test_one_that_waits_for_input_stalls(terminal: Any) -> None:
    told = terminal("cat", idle=0.3)
    assert (told["end"], told["signal"]) == ("stalled", 15)


def test_a_deadline_a_request_and_the_output_limit_hold(terminal: Any) -> None:
    assert terminal("sleep", "300", seconds=0.3)["end"] == "timed-out"
    assert terminal("sleep", "300", request="release")["end"] == "stopped"
    told = terminal("yes", output=10_000)
    assert (told["end"], len(told["out"])) == ("output-limit", 10_000)


def test_what_it_leaves_behind_is_ended(terminal: Any) -> None:
    told = terminal(
        "bash", "-c", "trap '' HUP; setsid sh -c 'echo > up; exec sleep 300' & sleep 300 & until [ -e up ]; do sleep 0.01; done"
    )
    assert (told["end"], told["strays"]) == ("exited", 2)


def test_a_broken_pipe_ends_a_program_there_as_it_does_in_a_shell(terminal: Any) -> None:
    assert terminal("bash", "-c", "yes | head -1; echo ${PIPESTATUS[0]}")["out"] == "y\r\n141\r\n"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["no-such-program"], "no such program on PATH"),
        (["/"], "it is a folder"),
        (["./plain"], "it is not executable"),
        (["./bad"], "'/no/such', does not exist"),
        (["true", "a\0b"], "a NUL byte"),
        (["true", "\ud800"], "surrogates not allowed"),
        ([], "There is no command"),
    ],
)
def test_what_can_not_be_started_is_told_and_no_second_worker_lives_on(
    terminal: Any, tmp_path: Path, argv: list[str], sentence: str
) -> None:
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "bad").write_text("#!/no/such\n")
    (tmp_path / "bad").chmod(0o755)
    told = terminal(*argv)
    assert told["end"] == "not-started"
    assert sentence in told["detail"]
