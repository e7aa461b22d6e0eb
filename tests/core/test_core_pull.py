"""What a look at a pull request asks for, and what a record remembers of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import attention, retention
from orchestrator.core.outcome import Reason
from orchestrator.core.pull import Pull, PullState, Turn
from orchestrator.core.record import Landed, Record, from_dict, to_dict
from orchestrator.core.remarks import ROUNDS, Look, Remark, demand, turn
from orchestrator.core.task import Place, State
from orchestrator.trackers import program, registry
from orchestrator.trackers.protocol import TrackerError
from orchestrator.worker.proposing import issue

PULL = Pull("github", "origin", 7, "https://forge.test/o/r/pull/7", "c0ffee", answered=("a",))
OPEN = Look(PullState.OPEN, "c0ffee")
REMARK = Remark("b", "ada", "Why?")
RECORD = Record("1", "x", 1, "x", landed=Landed("c0ffee", "main", "pr", PULL.url, state="open"), pull=PULL)


@pytest.mark.parametrize(
    ("pull", "look", "wanted"),
    [
        (PULL, OPEN, Turn.WAIT),
        (PULL, replace(OPEN, remarks=(replace(REMARK, id="a"),)), Turn.WAIT),
        (PULL, replace(OPEN, remarks=(REMARK,)), Turn.ANSWER),
        (replace(PULL, rounds=ROUNDS), replace(OPEN, remarks=(REMARK,)), Turn.ENOUGH),
        (PULL, replace(OPEN, state=PullState.MERGED, remarks=(REMARK,)), Turn.MERGED),
        (PULL, replace(OPEN, state=PullState.CLOSED), Turn.CLOSED),
    ],
)
def test_remarks_are_answered_once_and_not_for_ever(pull: Pull, look: Look, wanted: Turn) -> None:
    assert turn(pull, look) is wanted


def test_an_attempt_is_told_who_said_what_and_not_without_end() -> None:
    told = demand((REMARK, replace(REMARK, text="x" * 100_000)), PULL.url)
    assert PULL.url in told
    assert "ada:\nWhy?" in told
    assert len(told) < 7000


def test_a_record_with_a_pull_request_is_read_as_it_was_written() -> None:
    assert from_dict(to_dict(replace(RECORD, demand="more"))) == replace(RECORD, demand="more")


def test_a_record_without_one_says_nothing_of_it() -> None:
    data = to_dict(Record("1", "x", 1, "x", landed=Landed("c0ffee", "main", "merge")))
    assert not {"pull", "demand"} & data.keys()
    assert data["landed"] == {"commit": "c0ffee", "base": "main", "how": "merge", "url": None}


def test_only_an_open_one_is_looked_at_and_what_was_begun_is_finished() -> None:
    place = Place("x", State.CONVERGED, "x", None, RECORD.inode)
    assert attention.attended(RECORD, place)
    assert attention.attended(RECORD, replace(place, name="renamed"))
    assert attention.attended(RECORD, replace(place, inode=2))
    assert not attention.attended(RECORD, replace(place, name="copy", inode=2))
    assert not attention.attended(None, place)
    merged = replace(RECORD, landed=Landed("c0ffee", "main", "pr", state="merged"))
    assert not attention.attended(merged, place)
    assert attention.unfinished(replace(merged, reason=Reason.CLOSED)) is Turn.CLOSED
    assert attention.unfinished(replace(RECORD, landed=None, demand="more")) is Turn.ANSWER


def test_refs_stay_while_a_pull_request_is_open() -> None:
    assert retention.why_kept(State.CONVERGED, RECORD, 1e12, 0) == "its work waits in a pull request"


@pytest.mark.parametrize(
    ("address", "found", "tracker"),
    [
        ("https://github.com/o/r.git", ("github.com", "o/r"), "github"),
        ("git@github.com:o/r.git", ("github.com", "o/r"), "github"),
        ("ssh://git@gitlab.example.org:2222/g/sub/r.git", ("gitlab.example.org", "g/sub/r"), "gitlab"),
        ("https://token:x@GitHub.com/o/r", ("github.com", "o/r"), "github"),
        ("/srv/r.git", None, None),
        ("file:///srv/github/r.git", None, None),
        ("https://code.example.org/o/r", ("code.example.org", "o/r"), None),
    ],
)
def test_a_remote_s_address_says_whose_it_is(address: str, found: tuple[str, str] | None, tracker: str | None) -> None:
    assert program.host_and_name(address) == found
    claimed = registry.of(address)
    assert (claimed.name if claimed else None) == tracker


def test_a_broken_tracker_plug_in_claims_nothing_and_is_named_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    plugged = {"mine": "orchestrator.trackers.github:GitHub", "broken": "no.such.module:Tracker"}
    monkeypatch.setattr(registry, "_plugged", lambda: plugged)
    assert registry.find("mine").owns("https://github.com/o/r")
    assert registry.of("/srv/r.git") is None
    with pytest.raises(TrackerError, match=r"broken.*no\.such\.module"):
        registry.find("broken")
    with pytest.raises(TrackerError) as error:
        registry.find("other")
    assert "broken, github, gitlab, mine" in error.value.hint


@pytest.mark.parametrize(
    ("named", "closes"), [("12", "#12"), ("#12", "#12"), ("o/r#12", "o/r#12"), (None, None), ("https://x/1", "https://x/1")]
)
def test_an_issue_is_closed_as_it_was_named(named: str | None, closes: str | None) -> None:
    assert issue(named) == closes
