"""`orchestrator logs`: pleasant on a terminal, plain in a pipe, and nothing lost while it follows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.commands import Project, wait

from orchestrator.cli import following
from orchestrator.cli.following import File, Follower
from orchestrator.cli.session_log import readable, tinted
from orchestrator.store.queue import Queue

STAMP = "2026-11-20T10:00:00.000Z"
LINES = (
    "-- claude starts",
    "Looking around.",
    "> $ make",
    "  failed 1.2 s  no rule",
    "! limit: come back later",
    "-- ended: failed",
)


def attempt(folder: Path, number: int, *lines: str) -> Path:
    made = folder / f".orch/attempts/{number:04d}"
    made.mkdir(parents=True, exist_ok=True)
    with (made / "agent.log").open("a") as file:
        file.writelines(f"{STAMP} {line}\n" for line in lines)
    return made


def texts(lines: object) -> list[str]:
    return [line[9:] if line[2:3] == ":" else line for line in lines]  # type: ignore[attr-defined]


def test_on_a_terminal_what_matters_has_a_color_and_no_color_is_obeyed(project: Project) -> None:
    attempt(project.drop("fix"), 1, *LINES)
    _, told = project.in_terminal("logs", "fix")
    assert "\x1b[36m> $ make\x1b[0m" in told
    assert "\x1b[31m  failed 1.2 s  no rule\x1b[0m" in told
    for plain in (project.in_terminal("logs", "fix", NO_COLOR="1")[1], project.in_terminal("logs", "fix", "--no-color")[1]):
        assert "> $ make" in plain
        assert "\x1b[" not in plain


def test_in_a_pipe_there_are_only_the_lines(project: Project) -> None:
    attempt(project.drop("fix"), 1, *LINES)
    done = project.run("logs", "fix")
    assert texts(done.stdout.splitlines()) == list(LINES)
    assert "attempt 1 of 1" in done.stderr


def test_an_agent_can_not_color_or_move_what_is_shown(project: Project) -> None:
    attempt(project.drop("fix"), 1, "\x1b[2Jgone \x1b]0;title\x07")
    assert "\x1b" not in project.run("logs", "fix").stdout


def test_json_holds_the_normalised_events_too(project: Project) -> None:
    made = attempt(project.drop("fix"), 1, "hello")
    (made / "agent.jsonl.1").write_text('{"at": "x", "kind": "session", "text": "s1"}\n')
    (made / "agent.jsonl").write_text('{"at": "x", "kind": "text", "text": "hello"}\n{"torn')
    assert [event["kind"] for event in project.json("logs", "fix")["session"]] == ["session", "text"]
    assert [event["kind"] for event in project.json("logs", "fix", "-n", "1")["session"]] == ["text"]


def test_what_a_limit_interrupted_is_shown_before_what_went_on_afterwards(project: Project) -> None:
    folder = project.drop("fix")
    for token, stamp, word in (("aa0000", "2026-11-20T11:00:00.000Z", "second"), ("bb0000", "2026-11-20T10:00:00.000Z", "first")):
        cut = folder / f".orch/attempts/0001.cut-{token}"
        cut.mkdir(parents=True)
        (cut / "agent.log").write_text(f"{stamp} {word}\n")
        (cut / "agent.jsonl").write_text(f'{{"kind": "text", "text": "{word}"}}\n')
    (attempt(folder, 1, "third") / "agent.jsonl").write_text('{"kind": "text", "text": "third"}\n')
    assert texts(project.run("logs", "fix").stdout.splitlines()) == ["first", "second", "third"]
    assert [event["text"] for event in project.json("logs", "fix")["session"]] == ["first", "second", "third"]
    follower = Follower(Queue(project.tasks), "fix", only_events=False)
    assert texts(follower.news(follower.where())) == ["first", "second", "third"]
    assert list(follower.news(follower.where())) == []


def test_a_file_that_is_moved_aside_while_followed_loses_no_line(tmp_path: Path) -> None:
    path, older, file = tmp_path / "agent.log", tmp_path / "agent.log.1", File()
    path.write_text("one\ntw")
    assert list(file.lines(path)) == ["one"]
    with path.open("a") as stream:
        stream.write("o\nthree\n")
    path.rename(older)
    assert list(file.lines(path)) == []
    path.write_text("four\n")
    assert list(file.lines(path)) == ["two", "three", "four"]
    assert list(file.lines(path)) == []


class Leaving(type(Path())):  # type: ignore[misc]
    """A log whose folder moves away as soon as it has been opened once."""

    def open(self, *args: object, **kwargs: object) -> object:
        file = super().open(*args, **kwargs)  # type: ignore[call-overload]
        self.unlink()
        return file


def test_a_folder_that_moves_while_its_log_is_looked_at_is_looked_at_again(tmp_path: Path) -> None:
    file = File()
    (tmp_path / "agent.log").write_text("one\n")
    assert list(file.lines(tmp_path / "agent.log")) == ["one"]
    assert list(file.lines(Leaving(tmp_path / "agent.log"))) == []


def test_what_was_moved_aside_before_is_read_first_and_what_went_by_twice_is_left_out(tmp_path: Path) -> None:
    path, older, file = tmp_path / "agent.log", tmp_path / "agent.log.1", File()
    older.write_text("one\n")
    path.write_text("two\n")
    assert list(file.lines(path)) == ["one", "two"]
    for text in ("three\n", "four\n"):
        path.rename(older)
        path.write_text(text)
    assert list(file.lines(path)) == ["four"]


def test_every_attempt_that_came_between_two_looks_is_told(project: Project) -> None:
    folder = project.drop("fix")
    attempt(folder, 1, "old")
    attempt(folder, 2, "one")
    queue = Queue(project.tasks)
    follower = Follower(queue, "fix", only_events=False)
    assert texts(follower.news(follower.where())) == ["one"]
    attempt(folder, 2, "more")
    attempt(folder, 3, "two")
    attempt(folder, 4, "three")
    assert texts(follower.news(follower.where())) == ["more", "─── attempt 3", "two", "─── attempt 4", "three"]


def test_following_goes_on_where_the_folder_moves_and_ends_with_why(project: Project) -> None:
    folder = project.drop("fix")
    attempt(folder, 1, "begun")
    process = project.start("logs", "-f", "fix")
    assert process.stdout is not None
    assert "begun" in process.stdout.readline()
    running = project.tasks / "running"
    running.mkdir(exist_ok=True)
    moved = folder.rename(running / "fix.abc123")
    attempt(moved, 1, "goes on")
    went = process.stdout.readline()
    assert "goes on" in went, process.communicate(timeout=60)
    facts = {"schema": 1, "id": "0" * 16, "name": "fix", "inode": moved.stat().st_ino, "slug": "fix", "updated": 1.0}
    (moved / ".orch/state.json").write_text(json.dumps({**facts, "reason": "exhausted", "detail": "five failures"}))
    blocked = project.tasks / "blocked"
    blocked.mkdir(exist_ok=True)
    moved.rename(blocked / "fix")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert err == "fix is blocked (exhausted: five failures).\n"


def test_a_folder_that_moves_between_two_looks_at_its_log_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "pending", tmp_path / "running"
    log = attempt(here, 1, "begun") / "agent.log"
    file, look = File(), following._known
    assert len(list(file.lines(log))) == 1

    def then_it_moves(path: Path) -> following.Known | None:
        found = look(path)
        if here.exists():
            here.rename(there)
        return found

    monkeypatch.setattr(following, "_known", then_it_moves)
    assert list(file.lines(log)) == []
    attempt(there, 1, "goes on")
    assert [line.split()[1:] for line in file.lines(there / log.relative_to(here))] == [["goes", "on"]]


def test_a_reader_that_goes_away_ends_the_following_quietly(project: Project) -> None:
    folder = project.drop("fix")
    made = attempt(folder, 1, "begun")
    process = project.start("logs", "-f", "fix")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()

    def speaks_on() -> bool:
        attempt(folder, 1, "more")
        return process.poll() is not None

    wait(speaks_on, "its end")
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert os.path.exists(made)  # noqa: PTH110


@pytest.mark.parametrize("line", ["", "no stamp at all", "x" * 40])
def test_any_line_can_be_shown(line: str) -> None:
    assert tinted(readable(line), color=False) == line
    assert line in tinted(readable(line), color=True)


def test_a_task_that_nobody_took_up_yet_has_no_log_and_that_is_said(project: Project) -> None:
    project.drop("fix")
    for told in (project.run("logs", "fix", code=0), project.run("logs", "--events", "fix", code=0)):
        assert (told.stdout, "Nothing has been done for 'fix' yet; `orchestrator why fix` says why." in told.stderr) == ("", True)
    assert project.run("logs", "-q", "fix", code=0).stderr == ""


def test_what_a_benchmark_printed_that_fails_on_the_base_is_shown(project: Project) -> None:
    folder = project.drop("x")
    (folder / "benchmark.sh").write_text("echo it needs the moon >&2\necho and more\nexit 3\n")
    project.agent("true")
    project.run(code=1)
    assert "`orchestrator logs --events x` shows what it printed" in project.run("why", "x").stdout
    for command in (("logs", "x"), ("logs", "--events", "x"), ("why", "-v", "x"), ("logs", "-f", "--events", "x")):
        assert "\n    it needs the moon\n" in project.run(*command).stdout.replace("\n      it", "\n    it")
