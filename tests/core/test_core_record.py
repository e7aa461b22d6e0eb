from __future__ import annotations

import json
from dataclasses import replace

from orchestrator.core.outcome import Spend
from orchestrator.core.record import Channel, Record, Session, from_dict, to_dict
from orchestrator.core.resolving import Resolving

SPENT = Spend(input_tokens=3600, cached_tokens=600, output_tokens=150, usd=0.5, seconds=3.0)


def through_a_file(record: Record) -> Record:
    return from_dict(json.loads(json.dumps(to_dict(record))))


def test_an_interrupted_session_is_kept_with_what_it_had_used() -> None:
    session = Session("codex", "01a1", "/repo/.worktrees/x", SPENT)
    assert through_a_file(Record(id="1", name="a", inode=1, slug="a", session=session)).session == session


def test_a_conflict_that_is_resolved_is_kept_and_takes_no_room_where_there_is_none() -> None:
    record = Record(id="1", name="a", inode=1, slug="a")
    found = Resolving("k", "b", "t", "o", ("a.py", "odd\udcff"), 3)
    assert through_a_file(replace(record, resolving=found)).resolving == found
    assert "resolving" not in to_dict(record)


def test_a_session_written_before_that_was_kept_had_used_what_nobody_knows() -> None:
    data = to_dict(Record(id="1", name="a", inode=1, slug="a", session=Session("codex", "01a1", "/w", SPENT)))
    del data["session"]["spent"]
    session = from_dict(data).session
    assert session == replace(Session("codex", "01a1", "/w"), spent=Spend())


def test_how_a_baseline_s_numbers_came_is_kept_and_a_record_from_before_there_were_two_ways_means_the_file() -> None:
    record = Record(id="1", name="a", inode=1, slug="a", private=Channel.DESCRIPTOR)
    assert through_a_file(record).private is Channel.DESCRIPTOR
    assert from_dict({**to_dict(record), "private": True}).private is Channel.FILE
    assert "private" not in to_dict(replace(record, private=None))
