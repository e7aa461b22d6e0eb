"""What a claim's holder keeps in `.orch`: the record, attempts, events, requests."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.outcome import AgentEnd, Reason, Spend
from orchestrator.core.record import Attempt, Intent, Landed, Record, Result
from orchestrator.core.task import State
from orchestrator.errors import ClaimLost
from orchestrator.store import durable, events, inbox, records
from orchestrator.store.claim import Claim
from orchestrator.store.durable import Gone
from orchestrator.store.queue import Queue
from tests.support.queues import claimed, drop, names, new_queue


def untimed(record: Record | None) -> Record:
    """Without the time and the number of its last save."""
    assert record is not None
    return replace(record, updated=0.0, serial=0)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return new_queue(tmp_path)


@pytest.fixture
def claim(queue: Queue) -> Claim:
    drop(queue, "fix")
    return claimed(queue, "fix")


def append(file: Path, data: bytes) -> None:
    """What a crash, or another program, left at the end of a file."""
    with file.open("ab") as opened:
        opened.write(data)


# The record


def test_a_new_task_has_no_record(claim: Claim) -> None:
    assert claim.record() is None


def test_a_record_comes_back_as_it_was_saved_with_the_token_of_its_writer(claim: Claim) -> None:
    attempt = Attempt(1, "exec", AgentEnd.FINISHED, Result.IMPROVED, "it did", {"m": 1.5}, "c0ffee", 2.0)
    record = replace(
        claim.fresh_record(),
        attempts=3,
        streak=1,
        baseline={"m": 3},
        best={"m": 1.5},
        reason=Reason.CHECKOUT,
        landed=Landed("c", "main", "merge"),
        intent=Intent("main", "a", "b"),
        spend=Spend(0.5, 1, None, 3.0),
        history=(attempt,),
        extra={"of_a_newer_version": [1]},
    )
    claim.save(record)
    assert untimed(claim.record()) == untimed(replace(record, token=claim.token))


def test_a_record_tells_when_it_was_saved_last(claim: Claim) -> None:
    record = replace(claim.fresh_record(), created=1.0, updated=1.0)
    before = time.time()
    claim.save(record)
    saved = claim.record()
    assert saved is not None
    assert saved.created == 1.0
    assert before <= saved.updated <= time.time()


def test_a_fresh_record_is_of_this_task_and_of_no_other(claim: Claim) -> None:
    one, two = claim.fresh_record(), claim.fresh_record()
    assert one.id != two.id
    assert (one.name, one.inode, one.slug) == ("fix", claim.folder.stat().st_ino, "fix")


GARBAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a list": lambda data: [data],
    "null": lambda data: None,
    "no id": lambda data: {key: data[key] for key in data if key != "id"},
    "a streak in words": lambda data: {**data, "streak": "99"},
    "a true streak": lambda data: {**data, "streak": True},
    "negative failures": lambda data: {**data, "failures": -1},
    "no name": lambda data: {**data, "name": None},
    "an unknown reason": lambda data: {**data, "reason": "because"},
    "landed as text": lambda data: {**data, "landed": "yes"},
    "a metric as text": lambda data: {**data, "best": {"m": "1"}},
    "metrics as a list": lambda data: {**data, "values": [1]},
    "a time in words": lambda data: {**data, "not_before": "tomorrow"},
    "history of numbers": lambda data: {**data, "history": [1]},
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_a_record_that_is_none_is_set_aside_with_an_event(claim: Claim, kind: str) -> None:
    claim.save(claim.fresh_record())
    file = claim.control / "state.json"
    file.write_text(json.dumps(GARBAGE[kind](json.loads(file.read_bytes()))))
    assert claim.record() is None
    assert names(claim.control) == ["events.jsonl", "lease.json", "state.json.bad-1"]
    assert events.tail(claim.folder, 1)[0]["event"] == "record_set_aside"


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b'{"id": ', b"[" * 100_000, b'{"id": NaN}', b" " * (records.LARGEST + 1)])
def test_bytes_that_are_no_json_are_set_aside_and_the_next_one_beside_them(claim: Claim, data: bytes) -> None:
    for number in (1, 2):
        (claim.control / "state.json").write_bytes(data)
        assert records.peek(claim.folder) is None
        assert claim.record() is None
        assert (claim.control / f"state.json.bad-{number}").read_bytes() == data


def test_a_folder_in_the_place_of_the_record_is_set_aside(claim: Claim) -> None:
    (claim.control / "state.json").mkdir()
    assert claim.record() is None
    claim.save(claim.fresh_record())
    assert claim.record() is not None


def test_a_number_that_json_does_not_have_is_refused_and_the_old_record_stays(claim: Claim) -> None:
    record = claim.fresh_record()
    claim.save(record)
    with pytest.raises(ValueError, match="JSON"):
        claim.save(replace(record, best={"m": float("nan")}))
    assert untimed(claim.record()) == untimed(record)


def test_progress_is_a_record_of_its_own_until_the_next_fact(queue: Queue, claim: Claim) -> None:
    record = claim.fresh_record()
    claim.save(replace(record, attempts=1))
    claim.save(replace(record, attempts=1, stage="agent"), durable=False)
    latest = claim.record()
    assert latest is not None
    assert latest.stage == "agent"
    claim.save(replace(latest, attempts=2, stage=None))
    assert untimed(claim.record()).attempts == 2
    assert untimed(claim.record()).stage is None
    claim.release(State.CONVERGED, latest)
    assert not (queue.root / "converged/fix/.orch/progress.jsonl").exists()


@pytest.mark.parametrize("torn", [b'{"id": "', b"\0" * 40, b"\xff\n\n", b"[]\n"])
def test_torn_progress_takes_nothing_with_it_that_was_said_before(claim: Claim, torn: bytes) -> None:
    record = replace(claim.fresh_record(), attempts=4, branch="orchestrator/fix")
    claim.save(record)
    file = claim.control / "progress.jsonl"
    file.write_bytes(torn)
    assert untimed(claim.record()) == untimed(record)
    claim.save(replace(record, stage="verify", streak=2), durable=False)
    assert untimed(claim.record()).streak == 2
    file.write_bytes(file.read_bytes() + torn)
    assert untimed(claim.record()).streak == 2


def test_progress_does_not_outlive_a_newer_fact(claim: Claim) -> None:
    record = claim.fresh_record()
    claim.save(replace(record, stage="agent"), durable=False)
    claim.save(replace(record, attempts=1))
    assert (claim.control / "progress.jsonl").exists()
    assert (untimed(claim.record()).attempts, untimed(claim.record()).stage) == (1, None)


def test_a_record_that_is_put_beside_a_killed_holders_progress_counts(claim: Claim) -> None:
    record = replace(claim.fresh_record(), failures=3)
    claim.save(record)
    for streak in (1, 2, 3):
        claim.save(replace(record, stage="measure", streak=streak), durable=False)
    last = records.latest(claim.folder)
    assert last is not None
    records.put(claim.folder, replace(last, failures=0))
    found = untimed(claim.record())
    assert (found.failures, found.stage, found.streak) == (0, "measure", 3)
    records.put(claim.folder, replace(record, failures=1))  # whoever has read the facts only
    assert untimed(claim.record()).failures == 1


def test_a_line_that_a_holder_added_when_the_claim_was_lost_already_is_passed_over(queue: Queue, claim: Claim) -> None:
    record = claim.fresh_record()
    claim.save(replace(record, attempts=1))
    claim.save(replace(record, attempts=1, stage="agent"), durable=False)
    file = claim.control / "progress.jsonl"
    stray = file.read_bytes().replace(b'"agent"', b'"land"').replace(b'"serial": 2', b'"serial": 9')
    assert untimed(claim.record()).stage == "agent"
    moved = claim.folder.rename(queue.root / "running/fix.aaaaaa")
    assert untimed(records.latest(moved)).stage == "agent"  # of the holder before, as long as the new one has said nothing
    mine = file.read_bytes() if file.exists() else (moved / ".orch/progress.jsonl").read_bytes()
    own = mine.replace(claim.token.encode(), b"aaaaaa").replace(b'"agent"', b'"verify"').replace(b'"serial": 2', b'"serial": 3')
    (moved / ".orch/progress.jsonl").write_bytes(mine + own + stray)
    assert untimed(records.latest(moved)).stage == "verify"
    with pytest.raises(ClaimLost):
        claim.save(replace(record, stage="land"), durable=False)


def test_a_claim_that_is_lost_while_a_line_is_added_is_lost(queue: Queue, claim: Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    append = durable.append

    def late(*args: Any, **options: Any) -> None:
        append(*args, **options)
        claim.folder.rename(queue.root / "running/fix.aaaaaa")

    monkeypatch.setattr(durable, "append", late)
    with pytest.raises(ClaimLost):
        claim.save(claim.fresh_record(), durable=False)


def test_progress_that_has_become_long_begins_anew(claim: Claim) -> None:
    record = replace(claim.fresh_record(), detail="long " * 1000)
    for streak in range(200):
        claim.save(replace(record, streak=streak), durable=False)
    assert untimed(claim.record()).streak == 199
    assert (claim.control / "progress.jsonl").stat().st_size < 300_000


def test_a_renamed_task_keeps_its_record(queue: Queue, claim: Claim) -> None:
    record = claim.fresh_record()
    claim.release(State.CONVERGED, record)
    queue.path(queue.find("fix")).rename(queue.folder(State.PENDING) / "other")
    assert untimed(claimed(queue, "other").record()) == untimed(replace(record, name="other"))


def test_a_task_put_back_from_a_copy_keeps_its_record(queue: Queue, claim: Claim, tmp_path: Path) -> None:
    record = claim.fresh_record()
    claim.release(State.BLOCKED, record)
    shutil.copytree(queue.root / "blocked/fix", tmp_path / "fix")
    shutil.rmtree(queue.root / "blocked/fix")
    (tmp_path / "keeps the inode from being used again").touch()
    shutil.copytree(tmp_path / "fix", queue.root / "pending/fix")
    again = claimed(queue, "fix")
    assert untimed(again.record()) == untimed(replace(record, inode=again.folder.stat().st_ino))


@pytest.mark.parametrize("first", ["fix", "fix.old"])
def test_a_copy_under_the_old_name_of_a_renamed_task_starts_afresh_whichever_is_claimed_first(
    queue: Queue, claim: Claim, first: str
) -> None:
    record = claim.fresh_record()
    claim.release(State.BLOCKED, record)
    (queue.root / "blocked/fix").rename(queue.root / "pending/fix.old")
    shutil.copytree(queue.root / "pending/fix.old", queue.root / "pending/fix")
    found = {name: claimed(queue, name).record() for name in sorted(("fix", "fix.old"), key=lambda name: name != first)}
    assert found["fix"] is None
    assert untimed(found["fix.old"]) == untimed(replace(record, name="fix.old"))


def test_a_copy_under_another_name_starts_afresh_and_its_baggage_is_kept(queue: Queue, claim: Claim) -> None:
    claim.attempt_folder(1)
    claim.event("claimed")
    claim.release(State.CONVERGED, claim.fresh_record())
    original = {path.name for path in (queue.root / "converged/fix/.orch").iterdir()}
    shutil.copytree(queue.root / "converged/fix", queue.root / "pending/copy")
    copy = claimed(queue, "copy")
    assert copy.record() is None
    assert names(copy.control) == [f"copied-{copy.token}", "events.jsonl", "lease.json"]
    assert set(names(copy.control / f"copied-{copy.token}")) == original - {"lease.json"}
    assert events.tail(copy.folder, 1)[0]["origin"] == "fix"
    copy.save(copy.fresh_record())
    assert copy.record() is not None


def test_a_copy_of_a_copy_does_not_nest_what_was_set_aside(queue: Queue, claim: Claim) -> None:
    claim.release(State.BLOCKED, claim.fresh_record())
    shutil.copytree(queue.root / "blocked/fix", queue.root / "pending/one")
    one = claimed(queue, "one")
    assert one.record() is None
    one.release(State.BLOCKED, one.fresh_record())
    shutil.copytree(queue.root / "blocked/one", queue.root / "pending/two")
    two = claimed(queue, "two")
    assert two.record() is None
    assert [name for name in names(two.control) if name.startswith("copied-")] == sorted(
        [f"copied-{one.token}", f"copied-{two.token}"]
    )


def test_the_control_folder_is_made_again_where_somebody_removed_it(claim: Claim) -> None:
    shutil.rmtree(claim.control)
    record = claim.fresh_record()
    claim.save(record)
    assert untimed(claim.record()) == untimed(record)
    shutil.rmtree(claim.control)
    claim.event("measured")
    assert names(claim.control) == ["events.jsonl"]


# Attempts and files


def test_an_attempt_gets_a_folder_of_its_own(claim: Claim) -> None:
    folder = claim.attempt_folder(7)
    assert folder == claim.control / "attempts" / "0007"
    assert names(folder) == []
    assert claim.attempt_folder(7) == folder  # nothing in it yet: nothing to keep
    assert names(folder.parent) == ["0007"]


def test_what_an_attempt_left_unfinished_is_set_aside(claim: Claim) -> None:
    for _ in range(3):
        folder = claim.attempt_folder(1)
        (folder / "agent.log").touch()
    assert names(folder.parent) == ["0001", f"0001.cut-{claim.token}", f"0001.cut-{claim.token}-2"]


def test_files_are_written_below_the_control_folder(claim: Claim) -> None:
    folder = claim.mkdir("attempts")
    claim.write("attempts/report.md", b"one")
    claim.write("attempts/report.md", b"two")
    assert (folder / "report.md").read_bytes() == b"two"
    assert names(folder) == ["report.md"]


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "."])
def test_a_path_out_of_the_control_folder_is_refused(claim: Claim, path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        claim.write(path, b"")


def test_a_file_in_a_folder_that_is_missing_is_an_error_and_no_lost_claim(claim: Claim) -> None:
    with pytest.raises(Gone):
        claim.write("nowhere/file", b"")
    assert claim.held()


# Events


def test_events_carry_task_time_and_fields(claim: Claim) -> None:
    claim.event("measured", attempt=2, values={"m": 1.0}, path=Path("/x"))
    (event,) = events.tail(claim.folder, 10)
    assert event.pop("at").endswith("Z")
    assert event == {"schema": 1, "task": "fix", "event": "measured", "attempt": 2, "values": {"m": 1.0}, "path": "/x"}


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    assert events.stamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert events.stamp(1_795_171_200.1239) == "2026-11-20T10:40:00.123Z"


def test_a_torn_line_loses_only_itself(claim: Claim) -> None:
    claim.event("one")
    append(claim.control / "events.jsonl", b'{"event": "torn')
    claim.event("two")
    append(claim.control / "events.jsonl", b"3\n\xff\xfe\n")
    assert [event["event"] for event in events.tail(claim.folder, 10)] == ["one", "two"]


def test_the_end_of_a_long_file_is_read_without_the_rest(claim: Claim) -> None:
    for number in range(300):
        claim.event("measured", number=number, filler="x" * 2000)
    assert [event["number"] for event in events.tail(claim.folder, 3)] == [297, 298, 299]
    assert [event["number"] for event in events.tail(claim.folder, 200)] == list(range(100, 300))
    assert len(events.tail(claim.folder, 1000)) == 300
    assert events.tail(claim.folder, 0) == ()


def test_events_of_a_task_that_has_none_are_none(tmp_path: Path) -> None:
    assert events.tail(tmp_path, 5) == ()


def test_a_full_disk_loses_an_event_and_not_the_work(claim: Claim) -> None:
    (claim.control / "events.jsonl").symlink_to("/dev/full")  # a link: refused like any error of the disk
    claim.event("measured")
    assert claim.held()


# Requests


def test_requests_are_handed_out_once_in_their_order(claim: Claim) -> None:
    inbox.put(claim.folder, "block")
    inbox.put(claim.folder, "answer", text="yes")
    assert claim.requests() == ({"kind": "block"}, {"kind": "answer", "text": "yes"})
    assert claim.requests() == ()
    assert names(claim.control / "inbox") == []


def test_what_is_no_request_is_removed(claim: Claim) -> None:
    inbox.put(claim.folder, "stop")
    for name, content in {
        "1.json": b"{",
        "2.json": b"[]",
        "3.json": b'{"kind": 3}',
        "4.json": b"\xff",
        ".5.json.taken": b"",
    }.items():
        (claim.control / "inbox" / name).write_bytes(content)
    assert claim.requests() == ({"kind": "stop"},)
    assert names(claim.control / "inbox") == []


def test_a_request_still_being_written_is_left_for_the_next_look(claim: Claim) -> None:
    claim.mkdir("inbox")
    (claim.control / "inbox" / ".1.json.abcd.tmp").touch()
    assert claim.requests() == ()
    assert names(claim.control / "inbox") == [".1.json.abcd.tmp"]


def test_an_unknown_request_is_refused_and_one_to_a_folder_that_moved_is_gone(claim: Claim) -> None:
    with pytest.raises(ValueError, match="dance"):
        inbox.put(claim.folder, "dance")
    folder = claim.folder
    claim.release(State.BLOCKED)
    with pytest.raises(Gone):
        inbox.put(folder, "stop")
    assert claim.requests() == ()


def test_a_record_of_today_loads_from_its_sample() -> None:
    sample = Path(__file__).parent / "samples" / "state-1.json"
    record = records.parse(sample.read_bytes(), str(sample))
    assert record.reason is Reason.EXHAUSTED
    assert record.history[0].result is Result.DEFECT
    assert asdict(record)["landed"] is None
    assert json.loads(records.render(record)) == json.loads(sample.read_bytes())
