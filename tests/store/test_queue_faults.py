"""A disk that is full, folders that can't be read, races that a test must arrange: an error that says so, and nothing leaks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.task import State
from orchestrator.errors import ClaimLost, StoreError
from orchestrator.store import durable, inbox, records
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue
from tests.support.queues import claimed, die, drop, names, new_queue, only, where


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return new_queue(tmp_path)


def failing(code: int, when: Callable[..., bool], real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, except where `when` says so: there the system refuses."""

    def act(*args: Any, **kwargs: Any) -> Any:
        if when(*args):
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    return act


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_claim_on_a_full_disk_fails_and_leaves_neither_file_nor_descriptor(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(queue, "fix")
    queue.me()
    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(errno.ENOSPC, lambda *_: True, os.pwrite))
        with pytest.raises(StoreError) as caught:
            queue.take("fix")
    assert "disk is full" in caught.value.hint
    assert where(queue) == only(State.PENDING, "fix")
    assert queue.owners.tokens() == []
    assert descriptors() == before
    assert queue.take("fix") is not None


def test_a_claim_is_handed_over_also_where_the_next_one_can_not_be_prepared(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has started by then: `--once` would have gone on to a second task."""
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(errno.ENOSPC, lambda *_: True, os.pwrite))
        claim.detach()
    assert claim.fileno() == -1
    assert queue.owners.tokens() == [claim.token]


def test_a_claim_whose_rename_is_refused_leaves_no_lock(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(queue, "fix")
    with monkeypatch.context() as patch:
        patch.setattr(durable, "_rename_new", failing(errno.EACCES, lambda *_: True, durable._rename_new))
        with pytest.raises(StoreError, match="Permission denied"):
            queue.take("fix")
    assert queue.owners.tokens() == []


def test_a_release_on_a_full_disk_keeps_the_claim_for_another_try(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    record = claim.fresh_record()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(errno.ENOSPC, lambda *_: True, os.write))
        with pytest.raises(StoreError):
            claim.release(State.CONVERGED, record)
    assert claim.held()
    assert queue.owner_alive(claim.token)
    claim.release(State.CONVERGED, record)
    assert records.read(queue.root / "converged" / "fix") is not None


def test_a_release_whose_event_is_refused_has_happened(queue: Queue) -> None:
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    (claim.control / "events.jsonl").mkdir()
    claim.release(State.BLOCKED, claim.fresh_record())
    assert where(queue) == only(State.BLOCKED, "fix")
    assert not queue.owner_alive(claim.token)


def test_a_state_folder_that_can_not_be_read_is_an_error_and_not_an_empty_queue(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(queue, "fix")
    monkeypatch.setattr(os, "scandir", failing(errno.EIO, lambda path: "blocked" in str(path), os.scandir))
    with pytest.raises(StoreError, match="blocked"):
        queue.places()
    assert [place.name for place in queue.places((State.PENDING,))] == ["fix"]


def test_an_owners_file_that_can_not_be_opened_is_not_taken_for_a_dead_owner(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    monkeypatch.setattr(os, "open", failing(errno.EMFILE, lambda path, *_: claim.token in str(path), os.open))
    with pytest.raises(StoreError, match="Too many open files"):
        queue.reclaimable(0.0, {})


def test_a_folder_that_can_not_be_looked_at_is_not_taken_for_a_lost_claim(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    monkeypatch.setattr(os, "stat", failing(errno.EIO, lambda path, *_: claim.token in str(path), os.stat))
    with pytest.raises(StoreError, match="Can't look at"):
        claim.held()


@pytest.mark.parametrize("file", ["fix/.orch/state.json", "converged.jsonl"])
def test_a_file_that_can_not_be_read_is_an_error_and_not_an_empty_one(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    import builtins

    folder = drop(queue, "fix")
    (folder / ".orch").mkdir()
    (folder / ".orch/state.json").write_text("{}")
    queue.removed.add("old")
    real = builtins.open
    monkeypatch.setattr("io.open", failing(errno.EIO, lambda path, *_: str(path).endswith(file), real))
    monkeypatch.setattr(builtins, "open", failing(errno.EIO, lambda path, *_: str(path).endswith(file), real))
    with pytest.raises(StoreError, match="Can't read"):
        records.read(folder) if "state" in file else queue.removed.names()


def test_a_token_that_exists_already_is_not_used_twice(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    first = queue.owners.acquire()
    tokens = iter([bytes.fromhex(first.token), b"\x01\x02\x03"])
    monkeypatch.setattr(os, "urandom", lambda _size: next(tokens))
    assert queue.owners.acquire().token == "010203"


def test_a_lock_file_swept_between_its_making_and_its_lock_is_made_again(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    real = durable.open_lock
    made: list[str] = []

    def swept_once(path: str, *, point: str, new: bool) -> int:
        descriptor = real(path, point=point, new=new)
        made.append(path)
        if len(made) == 1:
            queue.sweep()
        return descriptor

    monkeypatch.setattr(durable, "open_lock", swept_once)
    lock = queue.owners.acquire()
    assert len(made) == 2
    assert queue.owners.tokens() == [lock.token]
    assert queue.owner_alive(lock.token)


def test_an_adoption_waits_for_a_prober_and_not_for_an_owner(queue: Queue) -> None:
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    die(claim)
    other = queue.owners.adopt(claim.token, None)
    with pytest.raises(ClaimLost):
        queue.owners.adopt(claim.token, None)
    other.close()
    assert Claim.adopt(queue, "fix", claim.token, None).held()


def test_a_request_that_another_took_is_not_handed_out(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    inbox.put(claim.folder, "stop")
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*real(path), "0-gone.json"])
    assert claim.requests() == ({"kind": "stop"},)


def test_a_move_that_nobody_can_finish_does_not_hide_the_others(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        drop(queue, name, State.RUNNING)
    real = queue.places()

    def seen_before_it_moved(*_: object) -> list[Any]:
        return real

    (queue.folder(State.RUNNING) / "a").rename(queue.folder(State.BLOCKED) / "a")
    monkeypatch.setattr(queue, "places", seen_before_it_moved)
    assert [after.name for _, after in queue.settle_names()] == ["b"]
    assert names(queue.folder(State.PENDING)) == ["b"]


def test_a_claim_that_came_too_early_and_can_not_be_put_back_is_reclaimed_later(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(queue, "fix")
    stopping = claimed(queue, "fix")
    stopping.folder.rename(queue.folder(State.PENDING) / "fix")
    real = durable._rename_new

    def somebody_drops_another(source: str, target: str) -> None:
        real(source, target)
        if "running" in target:
            drop(queue, "fix")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "_rename_new", somebody_drops_another)
        assert queue.take("fix") is None
    assert names(queue.folder(State.PENDING)) == ["fix"]
    assert len(names(queue.folder(State.RUNNING))) == 1
    assert queue.reclaimable(0.0, {}) == []  # its first worker still stops
    die(stopping)
    assert len(queue.reclaimable(0.0, {})) == 1
