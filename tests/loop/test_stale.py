"""What a loop remembers gives way to what the files say, also where something failed, or changed without a trace in a name."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.stage import Stage

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Pause
from orchestrator.core.selection import choose
from orchestrator.core.task import State
from orchestrator.errors import StoreError
from orchestrator.loop.index import Index
from orchestrator.loop.wakeup import Wakeup
from orchestrator.loop.watch import Watch
from orchestrator.store import records, snapshot, specfile
from orchestrator.store.cache import SpecCache
from orchestrator.store.ledger import Ledger
from orchestrator.store.queue import Queue


def made(queue: Queue) -> Index:
    cache = SpecCache()
    return Index(queue, lambda place, double: snapshot.candidate(queue, place, cache, time.time() + 9, double=double))


def ready(index: Index) -> list[str]:
    world = index.world(time.time())
    return [each.name for each in choose(index.hopeful(world), world, time.time(), 99)]


def test_a_state_folder_that_cannot_be_listed_for_a_while_loses_nothing(stage: Stage) -> None:
    index = made(stage.queue)
    index.refresh(0.0, full=True)
    blocked = stage.queue.folder(State.BLOCKED)
    stage.task("a")
    blocked.rename(blocked.with_name("aside"))
    blocked.touch()
    with pytest.raises(StoreError):
        index.refresh(1.0)
    blocked.unlink()
    blocked.with_name("aside").rename(blocked)
    index.refresh(2.0)
    assert ready(index) == ["a"]
    place = stage.place("a")
    assert place is not None
    stage.queue.move(place, State.BLOCKED)
    index.refresh(3.0)
    assert ready(index) == []


def test_that_a_blocked_task_no_longer_waits_for_a_login_is_seen(stage: Stage) -> None:
    stage.task("a", state=State.BLOCKED)
    place = stage.place("a")
    assert place is not None
    folder = stage.queue.path(place)
    claim_free = replace(stage_record(stage, folder), reason=Reason.AUTH, pauses={"exec": Pause(1.0, None)})
    records.put(folder, claim_free)
    ledger = Ledger(stage.queue)
    assert [record.reason for _, record in ledger.records([place])] == [Reason.AUTH]
    records.put(folder, replace(claim_free, reason=Reason.CANCELLED))
    assert [record.reason for _, record in ledger.records([place])] == [Reason.CANCELLED]


def stage_record(stage: Stage, folder: Path) -> records.Record:
    """A record of a task that nobody has claimed yet."""
    stage.task("other")
    claim = stage.queue.take("other")
    assert claim is not None
    record = claim.fresh_record()
    claim.release(State.PENDING)
    return replace(record, name=folder.name, inode=folder.stat().st_ino)


def test_a_full_look_sees_an_edit_of_the_spec_of_another_layout(stage: Stage) -> None:
    folder = stage.task("a")
    (folder / ".auto").mkdir()
    spec = folder / ".auto/prompt.md"
    spec.write_text("---\ndepends_on: [nobody]\nmetric: {name: left, target: 0}\n---\n# a\n")
    index = made(stage.queue)
    index.refresh(0.0, full=True)
    assert ready(index) == []
    spec.write_text("---\nmetric: {name: left, target: 0}\n---\n# a\n")
    index.refresh(31.0, full=True)
    assert ready(index) == ["a"]


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_an_error_that_passes_is_not_remembered(stage: Stage, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    stage.task("a")
    cache = SpecCache()
    index = Index(stage.queue, lambda place, double: snapshot.candidate(stage.queue, place, cache, time.time() + 9))

    def fails(path: str, flags: int) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(specfile, "careful", fails)
        index.refresh(0.0, full=True)
        assert [each.name for each in index.invalid] == ["a"]
    index.refresh(31.0, full=True)
    assert (ready(index), index.invalid) == (["a"], [])


def test_a_link_that_was_replaced_by_what_it_led_to_is_none_any_more(stage: Stage, tmp_path: Path) -> None:
    folder = stage.task("a")
    real = tmp_path / "elsewhere"
    real.mkdir()
    (real / "prompt.md").write_text("---\nmetric: {name: left, target: 0}\n---\n# a\n")
    (folder / ".auto").symlink_to(real)
    index = made(stage.queue)
    index.refresh(0.0, full=True)
    assert [each.name for each in index.invalid] == ["a"]
    (folder / ".auto").unlink()
    real.rename(folder / ".auto")
    index.refresh(31.0, full=True)
    assert ready(index) == ["a"]


def test_another_folder_in_the_place_of_a_followed_one_is_followed(stage: Stage) -> None:
    folder = stage.task("a", front="draft: true")
    folders = {state: stage.queue.folder(state) for state in State}
    wakeup = Wakeup()
    watch = Watch(folders, stage.queue.control, wakeup, print)
    watch.start()
    watch.follow({"a": folder})
    folder.rename(stage.top / "away")
    other = stage.task("a", front="draft: true")
    watch.heard()
    watch.follow({"a": other})
    watch.heard()
    (stage.top / "away/autoresearch.md").write_text("# nobody's\n")
    assert watch.heard() == (False, frozenset())
    (other / "autoresearch.md").write_text("# a\n")
    assert watch.heard() == (True, frozenset({"a"}))
    watch.close()
    wakeup.close()


@pytest.mark.parametrize("theirs", ["hers", "hers/.orch"])
def test_a_folder_that_may_not_be_moved_or_claimed_is_shown_so_and_keeps_no_other_from_running(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    stage.task("hers", front="priority: 9")
    stage.task("mine")

    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith(f"/{theirs}") and allowed(path, mode))
    index = made(stage.queue)
    index.refresh(0.0, full=True)
    while index.unread:
        index.refresh(0.1)
    assert ready(index) == ["mine"]
    assert "found a folder that you may not write to" in " ".join(index.invalid[0].problems)


def test_one_name_that_cannot_be_put_right_keeps_no_other_from_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        stage.task(name).rename(stage.queue.folder(State.RUNNING) / name)

    def move(self: Queue, place: object, target: State, real: object = Queue.move) -> object:
        if getattr(place, "name", "") == "b":
            raise StoreError("Can't move b.", hint="")
        return real(self, place, target)  # type: ignore[operator]

    monkeypatch.setattr(Queue, "move", move)
    with pytest.raises(StoreError, match="Can't move b"):
        stage.queue.settle_names()
    assert [stage.state(name) for name in ("a", "b", "c")] == [State.PENDING, State.RUNNING, State.PENDING]


def test_a_parent_that_was_removed_satisfies_a_child_at_once(stage: Stage) -> None:
    stage.task("parent", state=State.CONVERGED)
    index = made(stage.queue)
    index.refresh(0.0, full=True)
    place = stage.place("parent")
    assert place is not None
    stage.queue.removed.add("parent")
    stage.queue.discard(place)
    stage.task("child", front="depends_on: [parent]")
    index.refresh(1.0)
    assert ready(index) == ["child"]


def test_the_end_of_a_pause_that_a_pending_task_tells_of_is_waited_for(stage: Stage) -> None:
    now = time.time()
    stage.task("a", front="draft: true")
    claim = stage.queue.take("a")
    assert claim is not None
    claim.release(State.PENDING, replace(claim.fresh_record(), pauses={"exec": Pause(now, now + 7)}, reason=Reason.RATE_LIMITED))
    index = made(stage.queue)
    index.refresh(0.0, full=True)
    assert index.next_due(now) == now + 7
