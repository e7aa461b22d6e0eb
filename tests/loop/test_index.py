"""What the loop remembers of the queue agrees with what a fresh look says."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.processes import until
from support.stage import Stage

from orchestrator.agents.routing import Router
from orchestrator.core.candidate import Candidate, Waiting, WaitingKind
from orchestrator.core.graph import cycles
from orchestrator.core.outcome import Reason
from orchestrator.core.readiness import world as fresh_world
from orchestrator.core.selection import choose, order_key
from orchestrator.core.settings import Settings
from orchestrator.core.task import Place, State
from orchestrator.loop.index import Index
from orchestrator.loop.reading import Reader
from orchestrator.store import snapshot
from orchestrator.store.cache import SPARE, SpecCache
from orchestrator.store.queue import Queue

STATES = (State.PENDING, State.CONVERGED, State.BLOCKED)


def reader(queue: Queue, reads: list[str] | None = None) -> Callable[[Place, str | None], Candidate]:
    cache = SpecCache()

    def read(place: Place, double: str | None) -> Candidate:
        if reads is not None:
            reads.append(place.folder)
        return snapshot.candidate(queue, place, cache, queue.now(), double=double)

    return read


def agrees(index: Index, queue: Queue, moment: float) -> None:
    looked = snapshot.read_all(queue, SpecCache())
    world = fresh_world(looked, converged_before=queue.removed.names())
    expected = sorted((each for each in looked if each.place.state is State.PENDING), key=order_key)
    assert [each.place for each in index.candidates] == [each.place for each in expected]
    mine = index.world()
    assert mine.states == world.states
    assert mine.cycles == cycles({each.name: each.spec.depends_on for each in expected if each.spec and each.spec.depends_on})
    ready = [each.name for each in choose(expected, world, moment, 99)]
    assert [each.name for each in choose(index.hopeful(mine), mine, moment, 99)] == ready
    assert {each.name for each in index.invalid} == {each.name for each in expected if each.problems}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_after_any_moves_the_index_says_what_a_fresh_look_says(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stage = Stage(tmp_path_factory.mktemp("queue"))
    index = Index(stage.queue, reader(stage.queue))
    names = ["a", "b", "c", "d"]
    for step in range(data.draw(st.integers(1, 12))):
        moment = stage.queue.now()
        until(lambda moment=moment: stage.queue.now() > moment)  # seconds lie between two steps: a folder's time has to show it
        name = data.draw(st.sampled_from(names))
        place = stage.place(name)
        parents = data.draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
        front = f"priority: {data.draw(st.integers(-1, 1))}\ndepends_on: [{', '.join(parents)}]"
        if place is None:
            stage.task(
                name, front=front if data.draw(st.booleans()) else "priority: broken", state=data.draw(st.sampled_from(STATES))
            )
        elif data.draw(st.booleans()):
            stage.queue.move(place, data.draw(st.sampled_from(STATES)))
        elif data.draw(st.booleans()):
            stage.queue.discard(place)
        else:
            stage.fill(stage.queue.path(place), name, front=front)
            index.refresh(float(step), touched=[place.folder])
        index.refresh(float(step), full=data.draw(st.booleans()))
        while index.unread:  # on a busy machine two tasks may be more than a slice of time allows
            index.refresh(float(step))
        agrees(index, stage.queue, stage.queue.now())


def test_many_arrivals_at_once_are_ordered_like_single_ones(stage: Stage) -> None:
    index = Index(stage.queue, reader(stage.queue))
    for number in range(120):
        stage.task(f"t{number}", front=f"priority: {number % 7}")
    index.refresh(0.0)
    while index.unread:
        index.refresh(0.0)
    agrees(index, stage.queue, stage.queue.now())


class Slow:
    """A reader that takes 10 ms of a clock of its own for each task."""

    def __init__(self, queue: Queue) -> None:
        self.now = 0.0
        self.reads: list[str] = []
        self._read = reader(queue, self.reads)

    def clock(self) -> float:
        return self.now

    def __call__(self, place: Place, double: str | None) -> Candidate:
        self.now += 0.01
        return self._read(place, double)


def test_a_queue_that_nobody_has_read_yet_is_read_in_slices_the_most_urgent_first(stage: Stage) -> None:
    for number in range(60):
        stage.task(f"t{number}", front=f"labels: [x]\npriority: {number}")
    slow = Slow(stage.queue)
    index = Index(stage.queue, slow, clock=slow.clock)
    index.refresh(0.0, full=True)
    assert next(each.name for each in index.candidates) == slow.reads[0] == "t59"
    assert len(slow.reads) < 30
    stage.task("new", front="priority: 99")
    index.refresh(0.1)
    assert next(each.name for each in index.candidates) == "new"  # one that comes meanwhile doesn't wait for the rest
    while index.unread:
        index.refresh(0.2)
    assert sorted(slow.reads) == sorted({*slow.reads})
    agrees(index, stage.queue, stage.queue.now())


def test_of_two_drops_the_later_one_is_never_the_first_to_have_settled(stage: Stage) -> None:
    read = Reader(stage.queue, 2.0, pytest.fail, Router(Settings()))
    for number in (1, 2):
        scratch = stage.queue.scratch()
        stage.fill(scratch, f"t{number}")
        stage.queue.publish(scratch, f"t{number}", State.PENDING)
    first, second = sorted(stage.queue.places(), key=lambda place: place.name)
    read.look()
    assert read(first).holds
    until(lambda: stage.queue.now() - (stage.queue.path(second) / "act").stat().st_ctime > 2.2, "both have settled")
    assert read(second).holds  # as of the same moment, however long the first one's reading took
    read.look()
    assert not read(first).holds
    assert not read(second).holds


def test_however_many_have_to_rest_a_look_at_all_of_them_ends(stage: Stage) -> None:
    for number in range(20):
        stage.task(f"t{number}")
    slow = Slow(stage.queue)

    def resting(place: Place, double: str | None) -> Candidate:
        return replace(slow(place, double), holds=(Waiting(WaitingKind.SETTLING, "it changed just now"),))

    index = Index(stage.queue, resting, clock=slow.clock)
    looks = iter(range(50))
    index.refresh(0.0, full=True)
    while index.unread:
        index.refresh(float(next(looks)))
    assert (index.restless, len(slow.reads)) == (True, 20)
    index.refresh(50.0)
    assert index.unread == 19  # and the next one is at all of them again


def test_an_urgent_folder_that_settles_is_read_again_before_all_others_are(stage: Stage) -> None:
    for number in range(20):
        stage.task(f"t{number:02}", front=f"priority: {number}")
    slow = Slow(stage.queue)

    def resting(place: Place, double: str | None) -> Candidate:
        return replace(slow(place, double), holds=(Waiting(WaitingKind.SETTLING, "it changed just now"),))

    index = Index(stage.queue, resting, clock=slow.clock)
    index.refresh(0.0, full=True)
    index.refresh(0.1)
    slow.now += 2.0
    index.refresh(2.0)
    assert slow.reads == ["t19", "t18", "t19"]


def test_folders_that_settle_for_long_keep_none_from_being_read(stage: Stage) -> None:
    for number in range(20):
        stage.task(f"t{number:02}", front=f"priority: {number}")
    slow = Slow(stage.queue)

    def resting(place: Place, double: str | None) -> Candidate:
        slow.now += 1.0  # as long as fifty take on a busy machine
        return replace(slow(place, double), holds=(Waiting(WaitingKind.SETTLING, "it changed just now"),))

    index = Index(stage.queue, resting, settle=60.0, clock=slow.clock)
    index.refresh(0.0, full=True)
    for _ in range(19):
        index.refresh(0.0)
    assert len({*slow.reads}) == 20


def test_no_number_of_folders_that_editors_hold_keeps_one_from_being_looked_at(stage: Stage) -> None:
    for number in range(1000):
        (stage.queue.folder(State.PENDING) / f"t{number}").mkdir()
    reads: list[str] = []

    def held(place: Place, _double: str | None) -> Candidate:
        reads.append(place.folder)
        return Candidate(place, None, holds=(Waiting(WaitingKind.EDITOR, "an editor has a file of it open"),))

    index = Index(stage.queue, held)
    for moment in (0.0, 1.0):
        reads.clear()
        index.refresh(moment)
        while index.unread:
            index.refresh(moment)
        assert len({*reads}) == 1000


def test_the_one_task_that_is_wanted_is_read_before_all_others(stage: Stage) -> None:
    for number in range(60):
        stage.task(f"t{number}", front=f"priority: {number}")
    slow = Slow(stage.queue)
    index = Index(stage.queue, slow, first="t3", clock=slow.clock)
    index.refresh(0.0, full=True)
    assert "t3" in slow.reads


def test_what_goes_away_before_it_was_read_is_not_waited_for(stage: Stage) -> None:
    for number in range(60):
        stage.task(f"t{number}")
    slow = Slow(stage.queue)
    index = Index(stage.queue, slow, clock=slow.clock)
    index.refresh(0.0, full=True)
    for place in stage.queue.places():
        stage.queue.discard(place)
    index.refresh(0.1)
    assert (index.unread, list(index.candidates)) == (0, [])


def test_between_full_looks_only_what_is_new_is_read(stage: Stage) -> None:
    reads: list[str] = []
    index = Index(stage.queue, reader(stage.queue, reads))
    for name in ("a", "b"):
        stage.task(name)
    index.refresh(0.0, full=True)
    stage.task("c")
    for moment in (0.1, 0.2, 9.0, 10.0):
        index.refresh(moment)
    index.refresh(40.0, full=True)
    assert sorted(reads) == ["a", "b", "c"]


def test_a_full_look_finds_an_edit_that_nothing_told_of(stage: Stage) -> None:
    folder = stage.task("a")
    index = Index(stage.queue, reader(stage.queue))
    index.refresh(0.0, full=True)
    (folder / "autoresearch.md").write_text("---\npriority: 7\n---\n# a\n")
    index.refresh(1.0)
    assert [order_key(each)[0] for each in index.candidates] == [0]
    index.refresh(31.0, full=True)
    assert [order_key(each)[0] for each in index.candidates] == [-7]


@pytest.mark.parametrize("look", [{"full": True}, {"touched": ["a"]}], ids=["full", "told"])
def test_a_task_that_was_taken_and_put_back_between_two_looks_is_read_again(stage: Stage, look: dict[str, Any]) -> None:
    """Its name, its folder and its spec are what they were: whether it may start by now, its record tells."""
    now = time.time()
    stage.task("a")
    claim = stage.queue.take("a")
    assert claim is not None
    claim.release(State.PENDING, replace(claim.fresh_record(), not_before=now + 60, reason=Reason.BACKOFF))
    index = Index(stage.queue, reader(stage.queue))
    index.refresh(0.0, full=True)
    assert not list(choose(index.hopeful(index.world()), index.world(), now, 9))
    claim = stage.queue.take("a")
    assert claim is not None
    record = claim.record()
    assert record is not None
    claim.release(State.PENDING, replace(record, not_before=None, reason=None))
    index.refresh(1.0, **look)
    assert [each.name for each in choose(index.hopeful(index.world()), index.world(), now, 9)] == ["a"]


def test_a_change_within_one_tick_of_the_file_systems_clock_is_seen(stage: Stage) -> None:
    index = Index(stage.queue, reader(stage.queue))
    index.refresh(0.0)
    folder = stage.queue.folder(State.PENDING)
    before = folder.stat()
    stage.task("a")
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if it had come in the same tick
    index.refresh(0.1)
    assert index.names.where("a") is not None


def test_a_moved_task_keeps_its_token_only_where_the_files_say_so(stage: Stage, tmp_path: Path) -> None:
    index = Index(stage.queue, reader(stage.queue))
    stage.task("report.abc123")
    stage.task("t")
    claim = stage.queue.take("t")
    assert claim is not None
    (claim.folder).rename(stage.queue.folder(State.BLOCKED) / claim.folder.name)
    claim.abandon()
    index.refresh(0.0)
    assert not index.names.odd  # the owner's file has gone: nothing says that this is a token
    assert {name: place.token for name in index.names.states if (place := index.names.where(name))} == {
        "report.abc123": None,
        f"t.{claim.token}": None,
    }


def test_a_loop_that_lives_on_forgets_the_specs_of_tasks_that_have_gone(stage: Stage) -> None:
    specs = Reader(stage.queue, 0.0, lambda name: pytest.fail(f"no task names {name}"), Router(Settings()))
    index = Index(stage.queue, specs)
    waits = stage.task("waits")
    for number in range(2 * SPARE):
        stage.task(f"t-{number}")
    until(lambda: _known_specs(stage, specs, index) > 2 * SPARE)
    for number in range(2 * SPARE):
        stage.queue.discard(stage.queue.find(f"t-{number}"))
    index.refresh(31.0, full=True)
    specs.save(stage.queue.places())
    assert _cached(stage).keys() == {str((waits / "autoresearch.md").stat().st_ino)}


def _known_specs(stage: Stage, specs: Reader, index: Index) -> int:
    """How many specs the loop knows so well that it keeps them for the next process: not those written a moment ago."""
    specs.look()
    index.refresh(0.0, full=True, touched=[place.folder for place in stage.queue.places()])
    while index.unread:
        index.refresh(0.0)
    specs.save(stage.queue.places())
    return len(_cached(stage))


def _cached(stage: Stage) -> dict[str, Any]:
    path = stage.queue.control / "cache/specs.json"
    entries: dict[str, Any] = json.loads(path.read_bytes())["entries"] if path.exists() else {}
    return entries
