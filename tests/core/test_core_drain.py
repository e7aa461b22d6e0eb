from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.core import readiness
from orchestrator.core.candidate import Candidate, Waiting, WaitingKind
from orchestrator.core.drain import Drain, verdict
from orchestrator.core.outcome import Reason
from orchestrator.core.pull import Pull, PullState
from orchestrator.core.record import Landed
from orchestrator.core.task import State

Make = Callable[..., Candidate]
NOW = 1000.0
PULL = Pull("github", "origin", 1, "https://example.org/1", "c")


def ask(*tasks: Candidate) -> Drain:
    return verdict(tasks, readiness.world(tasks), NOW)


def test_an_empty_or_converged_queue_is_done_and_well(task: Make) -> None:
    assert ask() == Drain(True, 0)
    assert ask(task("a", State.CONVERGED)) == Drain(True, 0)


def test_a_ready_task_keeps_a_drain_going_at_once(task: Make) -> None:
    assert ask(task("a"), task("b", State.BLOCKED)) == Drain(False, wait_until=NOW)


def test_what_runs_keeps_a_drain_going(task: Make) -> None:
    assert not ask(task("a", State.RUNNING)).done
    assert not ask(task("child", depends_on=("a",)), task("a", State.RUNNING)).done


def test_a_wait_within_a_minute_is_waited_for(task: Make) -> None:
    soon = task("soon", not_before=NOW + 60, updated=NOW, reason=Reason.BACKOFF)
    sooner = task("sooner", not_before=NOW + 5, updated=NOW, reason=Reason.CHECKOUT)
    assert ask(soon, sooner) == Drain(False, wait_until=NOW + 5)


def test_a_longer_wait_ends_the_drain_as_parked(task: Make) -> None:
    assert ask(task("later", not_before=NOW + 61, updated=NOW, reason=Reason.RATE_LIMITED)) == Drain(True, 75)


@pytest.mark.parametrize("kind", [WaitingKind.SETTLING, WaitingKind.STOPPING])
def test_what_ends_by_itself_in_a_moment_is_waited_for(task: Make, kind: WaitingKind) -> None:
    assert ask(task("a", holds=(Waiting(kind, "a moment"),))) == Drain(False, wait_until=NOW + 1)


@pytest.mark.parametrize("kind", [WaitingKind.EDITOR, WaitingKind.REVIEW, WaitingKind.CHECKOUT])
def test_what_only_a_person_ends_is_parked(task: Make, kind: WaitingKind) -> None:
    assert ask(task("a", holds=(Waiting(kind, "somebody must look"),))) == Drain(True, 75)


def test_drafts_do_not_count(task: Make) -> None:
    assert ask(task("a", draft=True)) == Drain(True, 0)
    assert ask(task("a", draft=True, depends_on=("nowhere",))) == Drain(True, 0)


def test_a_child_of_a_draft_is_parked(task: Make) -> None:
    assert ask(task("a", draft=True), task("child", depends_on=("a",))) == Drain(True, 75)


def test_a_parked_parent_parks_its_child(task: Make) -> None:
    parent = task("a", not_before=NOW + 3600, updated=NOW, reason=Reason.RATE_LIMITED)
    assert ask(parent, task("child", depends_on=("a",))) == Drain(True, 75)


@pytest.mark.parametrize("more", [{}, {"not_before": NOW + 3600, "updated": NOW}])
def test_a_blocked_task_ends_a_drain_with_one(task: Make, more: dict[str, float]) -> None:
    parked = task("p", not_before=NOW + 3600, updated=NOW, reason=Reason.RATE_LIMITED)
    assert ask(task("a", State.BLOCKED, **more), parked) == Drain(True, 1)


def test_an_invalid_task_ends_a_drain_with_one(task: Make) -> None:
    assert ask(task("a", spec=None, problems=("line 1: a tab",))) == Drain(True, 1)
    assert ask(task("a", problems=("a second folder of this name",))) == Drain(True, 1)
    assert ask(task("a", State.CONVERGED, problems=("edited later",))) == Drain(True, 0)


def test_what_can_never_start_ends_a_drain_with_one(task: Make) -> None:
    assert ask(task("a", depends_on=("nowhere",))) == Drain(True, 1)
    assert ask(task("a", depends_on=("b",)), task("b", depends_on=("a",))) == Drain(True, 1)
    assert ask(task("child", depends_on=("a",)), task("a", draft=True, depends_on=("nowhere",))) == Drain(True, 1)


def test_a_child_of_what_was_undone_ends_a_drain_with_one_and_of_an_open_pull_request_is_parked(task: Make) -> None:
    child = task("child", depends_on=("a",))
    assert ask(task("a", State.CONVERGED, landed=Landed("c", "main", "merge")), child) == Drain(False, wait_until=NOW)
    assert ask(task("a", State.CONVERGED, landed=Landed("c", "main", "merge", undone="u")), child) == Drain(True, 1)
    asked = Landed("c", "main", "pr", state=PullState.OPEN.value)
    assert ask(task("a", State.CONVERGED, landed=asked, pull=PULL), child) == Drain(True, 75)
