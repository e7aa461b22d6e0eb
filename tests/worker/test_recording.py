"""`record` keeps a cassette of each session in a folder, and a task can be worked on by playing it."""

from __future__ import annotations

import json
from pathlib import Path

from support.desk import LESS, Desk

from orchestrator.core.task import State


def test_each_session_leaves_a_cassette_with_what_that_session_changed(desk: Desk) -> None:
    desk.drop(front="phases: [do-task, review-task]")
    desk.set(record=str(desk.top / "tapes"))
    desk.agent(desk.call + f"echo session $n; {LESS}; [ $n = 1 ] || {{ : > todo.txt; echo new > new.txt; }}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    tapes = sorted((desk.top / "tapes").iterdir())
    assert [path.name for path in tapes] == ["x-0001-do-task.cassette.jsonl", "x-0001-review-task.cassette.jsonl"]
    first, second = (json.loads(path.read_text().splitlines()[-1])["patch"] for path in tapes)
    assert "-one" in first
    assert "-two" not in first
    assert "-one" not in second
    assert "new.txt" in second


def test_a_task_converges_by_its_recording_alone(desk: Desk) -> None:
    desk.drop()
    desk.set(record=str(desk.top / "tapes"))
    desk.agent("echo working; : > todo.txt; git add -A; git commit -qm mine")
    desk.serve()
    desk.git("update-ref", "refs/heads/main", desk.git("rev-list", "--max-parents=0", "main"))
    desk.git("reset", "-q", "--hard")
    tape = desk.top / "tapes/x-0001.cassette.jsonl"
    desk.set(record=None)
    desk.drop(
        "again",
        front="agent: scripted",
        files={"scenario.toml": 'steps = [{cassette = "tape.jsonl"}]', "tape.jsonl": tape.read_text()},
    )
    desk.serve("again")
    assert desk.state("again") is State.CONVERGED
    assert "working" in (desk.folder("again") / ".orch/attempts/0001/agent.log").read_text()


def test_a_folder_that_cannot_be_written_is_told_and_the_work_goes_on(desk: Desk) -> None:
    (desk.top / "tapes").write_text("a file")
    desk.drop()
    desk.set(record=str(desk.top / "tapes"))
    desk.agent(": > todo.txt")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert "can't be written" in desk.events(event="recorded")[0]["problem"]
    assert Path(desk.events(event="recorded")[0]["cassette"]).name == "x-0001.cassette.jsonl"
