"""One line per happening, none per look."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.candidate import Candidate
from orchestrator.core.integration import Red
from orchestrator.core.masking import Masker
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Landed, Record
from orchestrator.core.task import Place, State
from orchestrator.loop.voice import SHOWN, Voice, ending
from orchestrator.store.queue import Queue

RECORD = Record(id="1", name="t", inode=1, slug="t", attempts=2)
MERGED = replace(RECORD, reason=Reason.CONVERGED, landed=Landed("a" * 40, "main", "merge"))
KEPT = replace(RECORD, attempts=1, reason=Reason.CONVERGED, landed=Landed("b" * 40, "main", "branch"))


@pytest.fixture
def said() -> list[str]:
    return []


def voice(tmp_path: Path, said: list[str], level: str = "normal") -> Voice:
    queue = Queue(tmp_path / "tasks")
    queue.ensure()
    return Voice(queue, said.append, level, Masker())


def invalid(*names: str, problem: str = "no goal") -> list[Candidate]:
    return [Candidate(Place(name, State.PENDING, name, None, 1), None, problems=(problem,)) for name in names]


def test_an_invalid_task_is_shown_once_for_each_version_of_it(tmp_path: Path, said: list[str]) -> None:
    speaker = voice(tmp_path, said)
    for problem in ("no goal", "no goal", "bad metric", "bad metric"):
        speaker.invalid(invalid("t", problem=problem))
    assert said == ["t: invalid: no goal", "t: invalid: bad metric"]


def test_a_red_base_is_said_once_for_each_commit_and_that_it_is_green_again(tmp_path: Path, said: list[str]) -> None:
    speaker = voice(tmp_path, said, "quiet")
    red = Red("/repo", "/repo/.git", "main", "a" * 40, "9" * 40, "It ended with 1.", culprit="c" * 40, tasks=("fix it",))
    for found in ([red], [red], [replace(red, commit="b" * 40)], []):
        speaker.bases(found)
    told = "main is red at {}, since task fix it, commit cccccccccc: It ended with 1. `orchestrator undo 'fix it'` takes it back."
    assert said == [told.format("a" * 10), told.format("b" * 10)]
    speaker = voice(tmp_path, said)
    for found in ([red], []):
        speaker.bases(found)
    assert said[-1] == "main is green again."


def test_many_invalid_tasks_are_counted_not_listed(tmp_path: Path, said: list[str]) -> None:
    voice(tmp_path, said).invalid(invalid(*(f"t{number}" for number in range(SHOWN + 5))))
    assert len(said) == SHOWN + 1
    assert said[-1] == "5 more tasks are invalid; `orchestrator list` shows them."


def test_a_problem_is_said_once_until_a_look_without_it(tmp_path: Path, said: list[str]) -> None:
    speaker = voice(tmp_path, said)
    for _ in range(3):
        speaker.problem("the disk is full")
        speaker.mended()
    assert said == ["the disk is full"]
    speaker.mended()
    speaker.problem("the disk is full")
    assert said == ["the disk is full", "Working again.", "the disk is full"]


def test_a_quiet_loop_says_only_what_needs_a_person_and_logs_everything(tmp_path: Path, said: list[str]) -> None:
    speaker = voice(tmp_path, said, "quiet")
    speaker.tell("t", "started", "claimed", token="abc123")
    speaker.note("a note")
    speaker.tell("t", "blocked", "ended", urgent=True)
    assert said == ["t: blocked"]
    events = [json.loads(line) for line in (tmp_path / "tasks/.orch/daemon.jsonl").read_text().splitlines()]
    assert [(event["event"], event.get("task")) for event in events] == [("claimed", "t"), ("note", None), ("ended", "t")]
    assert events[0]["token"] == "abc123"


def test_what_a_spec_leaves_open_is_said_once_for_each_version_of_it(tmp_path: Path, said: list[str]) -> None:
    speaker = voice(tmp_path, said)
    for lines in ((), ("0 is taken",), ("0 is taken",), (), ("0 is taken", "unknown key"), ("0 is taken", "unknown key")):
        speaker.warnings("t", lines)
    assert said == ["t: 0 is taken", "t: 0 is taken", "t: unknown key"]


@pytest.mark.parametrize(("state", "record", "line"), [
    (None, None, "is gone from the queue; what was done of it is kept, and `orchestrator recover` lists it"),
    (State.CONVERGED, None, "converged: moved there by hand, nothing was verified or landed"),
    (State.CONVERGED, replace(RECORD, reason=Reason.EXHAUSTED, detail="5 failures"), "converged: moved there by hand, nothing was verified or landed"),
    (State.CONVERGED, replace(RECORD, reason=Reason.CONVERGED, attempts=0), "converged, nothing to land"),
    (State.CONVERGED, MERGED, "converged after 2 attempts, merged into main as aaaaaaaaaa"),
    (State.CONVERGED, KEPT, "converged after 1 attempt, left on its branch at bbbbbbbbbb"),
    (State.CONVERGED, replace(MERGED, attempts=0, landed=Landed("c", "main", "none")), "converged, nothing to land: main was at target already"),
    (State.CONVERGED, replace(KEPT, landed=Landed("b" * 40, "main", "none")), "converged after 1 attempt, left on its branch at bbbbbbbbbb"),
    (State.CONVERGED, replace(KEPT, landed=Landed("b" * 40, "main", "none", merged="b" * 40)), "converged after 1 attempt, nothing to land: main has it at bbbbbbbbbb"),
    (State.CONVERGED, replace(KEPT, landed=Landed(None, None, "none")), "converged after 1 attempt, changed in place, in a folder without git"),
    (State.BLOCKED, replace(RECORD, reason=Reason.CONFLICT, detail="a.py"), "blocked (conflict): a.py"),
    (State.BLOCKED, None, "blocked: moved there by hand"),
    (State.BLOCKED, RECORD, "blocked: moved there by hand"),
    (State.BLOCKED, replace(RECORD, reason=Reason.BACKOFF, detail="it crashed"), "blocked: moved there by hand"),
    (State.BLOCKED, replace(RECORD, reason=Reason.CONVERGED), "blocked: moved there by hand"),
    (State.PENDING, RECORD, "is pending again"),
    (State.PENDING, replace(RECORD, not_before=5.0), "is pending again"),
    (
        State.PENDING,
        replace(RECORD, not_before=5.0, reason=Reason.BACKOFF, detail="No space left on device"),
        "is pending again (backoff): No space left on device",
    ),
    (State.RUNNING, RECORD, "runs on"),
])  # fmt: skip
def test_each_way_a_claim_ends_has_its_line(state: State | None, record: Record | None, line: str) -> None:
    assert ending(state, record, now=10.0) == line


def test_a_parked_task_says_until_when_and_why() -> None:
    parked = replace(RECORD, reason=Reason.RATE_LIMITED, detail="daily limit", not_before=1_000_000.0)
    assert ending(State.PENDING, parked, now=10.0).endswith("(rate-limited): daily limit")
    assert ending(State.PENDING, parked, now=10.0).startswith("waits until ")


def test_a_wait_that_ends_on_another_day_names_that_day() -> None:
    """A weekly limit's read as if it were over tonight."""
    noon = time.mktime((2026, 11, 20, 12, 0, 0, 0, 0, -1))
    told = [ending(State.PENDING, replace(RECORD, not_before=noon + hours * 3600), now=noon) for hours in (3, 27)]
    assert told == ["waits until 15:00:00", "waits until 2026-11-21 15:00:00"]
