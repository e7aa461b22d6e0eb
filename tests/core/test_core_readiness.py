from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.core import readiness
from orchestrator.core.candidate import Candidate, Waiting, WaitingKind
from orchestrator.core.outcome import Reason
from orchestrator.core.pull import Pull
from orchestrator.core.readiness import World, ready, until, waiting_on
from orchestrator.core.record import Landed, Pause
from orchestrator.core.task import State

Make = Callable[..., Candidate]


def kinds(waiting: tuple[Waiting, ...]) -> list[str]:
    return [str(each.kind) for each in waiting]


def test_a_task_with_nothing_in_its_way_is_ready(task: Make) -> None:
    assert waiting_on(task("a"), World(), 0.0) == ()
    assert ready(task("a"), World(), 0.0)


@pytest.mark.parametrize("state", [State.RUNNING, State.BLOCKED, State.CONVERGED])
def test_only_a_pending_task_waits_or_is_ready(task: Make, state: State) -> None:
    assert waiting_on(task("a", state, draft=True), World(), 0.0) == ()
    assert not ready(task("a", state), World(), 0.0)


def test_every_problem_of_an_invalid_task_is_a_reason(task: Make) -> None:
    waiting = waiting_on(task("a", spec=None, problems=("line 3: a tab", "no benchmark")), World(), 0.0)
    assert waiting == (Waiting(WaitingKind.INVALID, "line 3: a tab"), Waiting(WaitingKind.INVALID, "no benchmark"))
    assert kinds(waiting_on(task("a", spec=None), World(), 0.0)) == ["invalid"]


def test_a_problem_beside_a_readable_spec_holds_the_task_too(task: Make) -> None:
    assert kinds(waiting_on(task("a", problems=("a second folder of this name: blocked/a",), draft=True), World(), 0.0)) == [
        "invalid",
        "draft",
    ]


def test_what_the_files_say_holds_a_task(task: Make) -> None:
    hold = Waiting(WaitingKind.EDITOR, "vim has it open")
    assert waiting_on(task("a", holds=(hold,)), World(), 0.0) == (hold,)


@pytest.mark.parametrize(
    ("states", "notes", "before", "told"),
    [
        ({"api": State.CONVERGED}, {}, (), None),
        ({}, {}, ("api",), None),
        ({}, {}, (), "no task is called api"),
        ({"api": State.PENDING}, {}, ("api",), "api is pending"),  # its name is in use again
        ({"api": State.RUNNING}, {}, (), "api is running"),
        ({"api": State.BLOCKED}, {}, (), "api is blocked"),
        ({"api": State.BLOCKED}, {"api": "exhausted"}, (), "api is blocked (exhausted)"),
        ({"api": State.PENDING}, {"api": "draft"}, (), "api is pending (draft)"),
    ],
)
def test_a_parent_releases_its_children_only_when_it_has_converged(
    task: Make, states: dict[str, State], notes: dict[str, str], before: tuple[str, ...], told: str | None
) -> None:
    world = World(states=states, notes=notes, converged_before=frozenset(before))
    waiting = waiting_on(task("docs", depends_on=("api",)), world, 0.0)
    assert waiting == (() if told is None else (Waiting(WaitingKind.DEPENDENCY, told),))


def test_a_parent_whose_pull_request_is_not_merged_keeps_its_children_waiting(task: Make) -> None:
    child = task("docs", depends_on=("api",))
    pull = Pull("github", "origin", 7, "https://forge.test/o/r/pull/7", "c0ffee")
    parent = task("api", State.CONVERGED, pull=pull, landed=Landed("c0ffee", "main", "pr", pull.url, state="open"))
    (waiting,) = waiting_on(child, readiness.world([parent, child]), 0.0)
    assert waiting.kind is WaitingKind.DEPENDENCY
    assert "its pull request https://forge.test/o/r/pull/7 has to be merged" in waiting.detail
    assert parent.record is not None
    merged = replace(parent, record=replace(parent.record, landed=Landed("c0ffee", "main", "pr", pull.url, state="merged")))
    assert ready(child, readiness.world([merged, child]), 0.0)


def test_each_missing_parent_is_a_reason_of_its_own(task: Make) -> None:
    world = World(states={"b": State.CONVERGED, "c": State.RUNNING})
    waiting = waiting_on(task("a", depends_on=("b", "c", "d")), world, 0.0)
    assert [each.detail for each in waiting] == ["c is running", "no task is called d"]


def test_a_cycle_is_named_to_its_members_and_to_those_behind_them(task: Make) -> None:
    world = readiness.world([task("a", depends_on=("b",)), task("b", depends_on=("a",)), task("c", depends_on=("a",))])
    assert waiting_on(task("a", depends_on=("b",)), world, 0.0)[0].detail == "cycle: a -> b -> a"
    assert waiting_on(task("c", depends_on=("a",)), world, 0.0)[0].detail == "a is in a cycle: a -> b -> a"


def test_a_task_that_depends_on_itself_is_a_cycle(task: Make) -> None:
    own = task("a", depends_on=("a",))
    assert waiting_on(own, readiness.world([own]), 0.0)[0].detail == "cycle: a -> a"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (None, "backoff"),
        (Reason.BACKOFF, "backoff"),
        (Reason.AGENT_LOST, "backoff"),
        (Reason.BASE_MOVED, "backoff"),
        (Reason.RATE_LIMITED, "limit"),
        (Reason.CHECKOUT, "checkout"),
    ],
)
def test_a_parked_task_waits_for_its_time_and_says_how_long(task: Make, reason: Reason | None, kind: str) -> None:
    parked = task("a", reason=reason, not_before=1012.0, updated=1000.0, detail="the agent crashed")
    (waiting,) = waiting_on(parked, World(), 1000.0)
    assert (str(waiting.kind), waiting.detail) == (kind, "next try in 12 s: the agent crashed")
    assert waiting_on(parked, World(), 1012.0) == ()


def test_a_wait_without_words_is_told_by_its_length(task: Make) -> None:
    (waiting,) = waiting_on(task("a", not_before=90.0, updated=0.0), World(), 0.0)
    assert waiting.detail == "next try in 1 min 30 s"


def test_a_task_that_a_person_queued_again_waits_no_longer(task: Make) -> None:
    assert ready(task("a", reason=Reason.EXHAUSTED, not_before=1e12), World(), 0.0)


def test_a_clock_that_was_set_back_ends_a_wait(task: Make) -> None:
    parked = task("a", reason=Reason.BACKOFF, not_before=100_005.0, updated=100_000.0)
    assert not ready(parked, World(), 99_950.0)
    assert ready(parked, World(), 50_000.0)


def test_a_record_without_a_wait_holds_nothing(task: Make) -> None:
    assert ready(task("a", attempts=3), World(), 0.0)


def test_a_paused_agent_holds_the_tasks_that_would_use_it(task: Make) -> None:
    limited = World(paused={"claude": Pause(90.0, 3700.0, "weekly limit")})
    mine, chained = replace(task("a"), accounts=("claude",)), replace(task("a"), accounts=("claude", "codex"))
    words = "claude is held up by its provider, next try in 1 h: weekly limit"
    assert waiting_on(mine, limited, 100.0) == (Waiting(WaitingKind.LIMIT, words),)
    assert ready(mine, limited, 3700.0)
    assert ready(chained, limited, 100.0)  # another agent may stand in
    assert ready(task("a"), limited, 100.0)
    assert until(mine, limited, 100.0) == 3700.0
    both = World(paused={**limited.paused, "codex": Pause(95.0, None, "not logged in")})
    assert kinds(waiting_on(chained, both, 100.0)) == ["limit"]
    assert waiting_on(replace(mine, accounts=("codex",)), both, 100.0) == (
        Waiting(WaitingKind.PAUSED, "codex needs a person: not logged in"),
    )


def test_a_person_who_sends_a_task_on_ends_its_wait_for_what_was_found_before(task: Make) -> None:
    limited = World(paused={"claude": Pause(90.0, 3700.0)})
    for said, is_ready in ((80.0, False), (90.0, True), (95.0, True)):
        assert ready(replace(task("a", forced=said), accounts=("claude",)), limited, 100.0) is is_ready
    assert ready(replace(task("a", reason=Reason.AUTH), accounts=("claude",)), limited, 100.0)


def test_a_parked_task_is_told_its_own_wait_once(task: Make) -> None:
    world = World(paused={"claude": Pause(90.0, 3700.0)})
    parked = replace(task("a", reason=Reason.RATE_LIMITED, not_before=3700.0, updated=100.0), accounts=("claude",))
    assert kinds(waiting_on(parked, world, 100.0)) == ["limit"]


def test_an_exhausted_budget_of_the_day_holds_every_task(task: Make) -> None:
    assert waiting_on(task("a"), World(overspent="enough"), 0.0) == (Waiting(WaitingKind.BUDGET, "enough"),)


def test_no_free_slot_is_a_reason_only_where_there_is_no_other(task: Make) -> None:
    assert kinds(waiting_on(task("a"), World(capacity=0), 0.0)) == ["capacity"]
    assert kinds(waiting_on(task("a", draft=True), World(capacity=0), 0.0)) == ["draft"]
    assert waiting_on(task("a"), World(capacity=1), 0.0) == ()
    assert ready(task("a"), World(capacity=0), 0.0)


def test_force_sets_time_and_capacity_aside_and_nothing_else(task: Make) -> None:
    held = task(
        "a",
        depends_on=("b",),
        not_before=50.0,
        holds=(Waiting(WaitingKind.SETTLING, "just dropped"), Waiting(WaitingKind.STOPPING, "its last owner is still stopping")),
    )
    assert kinds(waiting_on(held, World(), 0.0)) == ["settling", "stopping", "dependency", "backoff"]
    assert kinds(waiting_on(held, World(), 0.0, force=True)) == ["stopping", "dependency"]
    assert waiting_on(task("a"), World(capacity=0), 0.0, force=True) == ()


def test_the_world_of_a_scan_knows_states_reasons_and_cycles(task: Make) -> None:
    world = readiness.world(
        [
            task("done", State.CONVERGED, depends_on=("done",)),
            task("stuck", State.BLOCKED, reason=Reason.EXHAUSTED),
            task("moved", State.BLOCKED),
            task("broken", spec=None, problems=("x",)),
            task("sketch", draft=True),
            task("a", depends_on=("stuck",)),
        ],
        converged_before=frozenset({"old"}),
        capacity=2,
    )
    assert world.states["done"] is State.CONVERGED
    assert world.notes == {"stuck": "exhausted", "broken": "invalid", "sketch": "draft"}
    assert world.cycles == {}
    assert (world.capacity, world.satisfied("old"), world.satisfied("done")) == (2, True, True)


def test_a_name_in_two_states_counts_as_the_least_finished(task: Make) -> None:
    both = [task("api", State.CONVERGED), task("api", State.PENDING)]
    for order in (both, both[::-1]):
        world = readiness.world(order)
        assert world.states == {"api": State.PENDING}
        assert not world.satisfied("api")
