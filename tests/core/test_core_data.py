"""The data types: names, tokens, slugs, records, spends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import record as records
from orchestrator.core import task as tasks
from orchestrator.core.outcome import AgentEnd, Reason, Spend
from orchestrator.core.record import Attempt, Intent, Landed, Record, Result
from orchestrator.core.spec import Land, Metric, Spec, live_edit
from orchestrator.errors import GitError, Misuse

# What version 1 of the format wrote. It must load for ever.
OLD = """{"schema": 1, "id": "7c9e", "name": "fix-auth", "inode": 42, "slug": "fix-auth", "attempts": 2, "failures": 1,
 "baseline": {"failures": 12.0}, "best": {"failures": 3.0}, "reason": "exhausted", "detail": "five failures",
 "landed": {"commit": "abc", "base": "main", "how": "merge", "url": null}, "intent": {"base": "main", "old": "a", "new": "b"},
 "spend": {"usd": 0.5, "input_tokens": null, "output_tokens": 7, "seconds": 88.5},
 "history": [{"number": 1, "agent": "exec", "end": "timed-out", "result": "no-improvement", "detail": "",
   "values": {"failures": 3.0}, "commit": null, "seconds": 60.0}],
 "created": 1.0, "updated": 2.0, "colour": "blue"}"""


def test_an_old_record_loads_and_keeps_what_it_does_not_know() -> None:
    record = records.from_dict(json.loads(OLD))
    assert record.reason is Reason.EXHAUSTED
    assert record.ended
    assert record.landed == Landed("abc", "main", "merge")
    assert record.intent == Intent("main", "a", "b")
    assert record.spend == Spend(0.5, None, 7, 88.5)
    assert record.history == (Attempt(1, "exec", AgentEnd.TIMED_OUT, Result.UNCHANGED, values={"failures": 3.0}, seconds=60.0),)
    assert record.extra == {"colour": "blue"}
    assert json.loads(json.dumps(records.to_dict(record)))["colour"] == "blue"


def test_a_record_survives_its_file() -> None:
    first = records.from_dict(json.loads(OLD))
    assert records.from_dict(json.loads(json.dumps(records.to_dict(first)))) == first
    fresh = Record(id="1", name="a", inode=1, slug="a")
    assert records.from_dict(json.loads(json.dumps(records.to_dict(fresh)))) == fresh
    assert not fresh.ended


@pytest.mark.parametrize(
    "data", [{}, {"id": 1}, {**json.loads(OLD), "reason": "tired"}, {**json.loads(OLD), "history": [{"end": "x"}]}]
)
def test_what_is_no_record_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        records.from_dict(data)


def test_a_parked_reason_does_not_end_a_task() -> None:
    assert not Record(id="1", name="a", inode=1, slug="a", reason=Reason.RATE_LIMITED).ended
    assert {reason for reason in Reason if not reason.terminal} == {
        Reason.RATE_LIMITED,
        Reason.AGENT_LOST,
        Reason.BACKOFF,
        Reason.CHECKOUT,
        Reason.BASE_MOVED,
        Reason.REVIEW,
    }


def test_an_unknown_spend_is_not_nothing() -> None:
    assert Spend() + Spend() == Spend()
    assert Spend(usd=0.0) + Spend(input_tokens=3, seconds=1.0) == Spend(usd=0.0, input_tokens=3, seconds=1.0)
    assert Spend(usd=1.0, output_tokens=2) + Spend(usd=0.5, output_tokens=3) == Spend(usd=1.5, output_tokens=5)


@pytest.mark.parametrize("name", ["a", "fix auth", "größe", "x" * 200, "a.b", "日本", "a..b"])
def test_names_that_a_folder_can_have_are_allowed(name: str) -> None:
    assert tasks.name_problem(name) is None
    assert tasks.check_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 201, "ü" * 101, ".", "..", ".a", "-a", "a/b", "a\nb", "a\x7f", "a\0", "a\udcff"])
def test_names_that_would_make_trouble_are_refused_with_the_reason(name: str) -> None:
    assert tasks.name_problem(name)
    with pytest.raises(Misuse, match="can't be a task's name"):
        tasks.check_name(name)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("fix.c7f3a1", ("fix", "c7f3a1")),
        ("fix.c7f3a1.000000", ("fix.c7f3a1", "000000")),
        ("fix", ("fix", None)),
        ("fix.c7f3a", ("fix.c7f3a", None)),
        ("fix.C7F3A1", ("fix.C7F3A1", None)),
        (".c7f3a1", (".c7f3a1", None)),
    ],
)
def test_a_token_is_six_hex_digits_at_the_end_of_a_folders_name(folder: str, expected: tuple[str, str | None]) -> None:
    assert tasks.split_token(folder) == expected


def test_a_plain_name_is_its_own_slug() -> None:
    assert tasks.slug("fix-auth_2.x", "id") == "fix-auth_2.x"


@given(st.text(min_size=1, max_size=120), st.text(min_size=1))
def test_a_slug_is_always_a_name_that_git_and_file_systems_accept(name: str, task_id: str) -> None:
    slug = tasks.slug(name, task_id)
    assert 1 <= len(slug) <= tasks.SLUG_LENGTH
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert ".." not in slug
    assert not slug.startswith(".")
    assert not slug.endswith((".lock", "."))


def test_two_names_that_need_a_changed_slug_never_meet() -> None:
    assert tasks.slug("a b", "1") != tasks.slug("a/b", "2")
    assert tasks.slug("x.lock", "1").startswith("x-lock-")
    assert tasks.slug("x.verify", "1").startswith("x-verify-")  # where x is verified


def test_a_failed_git_command_tells_what_was_run_and_why_it_failed() -> None:
    error = GitError(("status", "-z"), 128, "fatal: no\n")
    assert str(error) == "git status -z ended with 128: fatal: no"
    assert str(GitError(("gc",), 1, " ")) == "git gc ended with 1: no message"


def test_a_live_edit_changes_prose_and_budget_and_leaves_what_is_sealed() -> None:
    sealed = Spec(goal="old", metrics=(Metric("m", target=0.0),), scope=("src",), land=Land.NONE)
    edited = Spec(
        goal="new",
        model="m2",
        fallback=("b",),
        budget_attempts=3,
        budget_usd=2.0,
        metrics=(),
        scope=(),
        land=Land.MERGE,
        converge=1,
    )
    assert live_edit(sealed, edited) == replace(
        sealed, goal="new", model="m2", fallback=("b",), budget_attempts=3, budget_usd=2.0
    )


def test_the_mark_of_a_worker_names_its_queue_and_its_claim() -> None:
    assert tasks.mark("/q/tasks", "c7f3a1") != tasks.mark("/other/tasks", "c7f3a1")
