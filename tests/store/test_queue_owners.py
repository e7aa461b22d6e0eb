"""Who is alive, and whose tasks are taken over: by the kernel's word on one host, by patience for another."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import psutil
import pytest

from orchestrator.core.lease import Lease
from orchestrator.core.task import State
from orchestrator.errors import ClaimLost, OrchestratorError, StoreError
from orchestrator.proc import identity
from orchestrator.store import durable, leases
from orchestrator.store.claim import Claim
from orchestrator.store.owners import FORGET_AFTER, Kind
from orchestrator.store.queue import Queue, Seen
from tests.support.queues import claimed, die, drop, names, new_queue, only, other_host, where

HOLDER = """
import sys, time
from pathlib import Path
from orchestrator.core.lease import Lease
from orchestrator.store.queue import Queue
queue = Queue(Path(sys.argv[1]))
claim = queue.take("fix")
claim.begin(Lease(claim.token, queue.me()))
print(claim.token, flush=True)
time.sleep(600)
"""


def reclaimable(queue: Queue, now: float, seen: Seen) -> list[str]:
    return [place.name for place in queue.reclaimable(now, seen)]


def test_a_living_owner_keeps_its_task_however_old_the_lease(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    os.utime(claim.control / "lease.json", (0, 0))
    seen: Seen = {}
    assert [reclaimable(queue, now, seen) for now in (0.0, 1e6)] == [[], []]


@pytest.mark.parametrize(("has", "told"), [("", "/proc is not mounted"), ("self", "/proc has nothing but processes")])
def test_without_proc_nobody_becomes_an_owner_and_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: str, told: str
) -> None:
    """A container without procfs, or with half of it: a file of the owners' folder was said to be missing."""
    queue = new_queue(tmp_path)
    (tmp_path / "no-proc" / has).mkdir(parents=True)
    monkeypatch.setattr(identity, "PROC", tmp_path / "no-proc")
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "no-proc"))
    with pytest.raises(OrchestratorError, match=told):
        queue.owners.acquire(Kind.LOOP)
    assert queue.owners.tokens() == []


def test_a_killed_process_loses_its_task_at_once(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(queue.root)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        token = holder.stdout.readline().strip()
        assert reclaimable(queue, 0.0, {}) == []
        holder.send_signal(signal.SIGKILL)
    assert not queue.owner_alive(token)
    (place,) = queue.reclaimable(0.0, {})
    claim = queue.reclaim(place)
    assert claim is not None
    assert claim.token != token
    assert claim.previous is not None
    assert claim.previous.token == token
    assert where(queue) == only(State.RUNNING, f"fix.{claim.token}")


def test_a_claim_whose_owner_died_before_its_lease_is_taken_over_at_once(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = queue.take("fix")
    assert claim is not None
    die(claim)
    assert reclaimable(queue, 0.0, {}) == ["fix"]


def test_one_of_two_reclaimers_wins_and_the_first_holder_is_fenced_off(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    zombie = claimed(queue, "fix")
    die(zombie)
    (place,) = queue.reclaimable(0.0, {})
    winner = queue.reclaim(place)
    assert winner is not None
    assert Queue(queue.root).reclaim(place) is None
    with pytest.raises(ClaimLost):
        zombie.save(zombie.fresh_record())
    with pytest.raises(ClaimLost):
        zombie.release(State.CONVERGED)
    assert winner.held()


def test_a_reclaimer_that_dies_before_its_lease_is_reclaimed_in_turn(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    first = claimed(queue, "fix")
    die(first)
    second = queue.reclaim(queue.find("fix"))
    assert second is not None
    assert reclaimable(queue, 0.0, {}) == []
    assert leases.read(second.folder) is None  # the old holder's lease is none of this claim
    die(second)
    assert reclaimable(queue, 0.0, {}) == ["fix"]


def test_a_folder_whose_earlier_owner_still_lives_is_left_alone(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    living = claimed(queue, "fix")
    living.folder.rename(living.folder.with_name("fix.000000"))  # a token by hand
    assert reclaimable(queue, 0.0, {}) == []
    die(living)
    assert reclaimable(queue, 0.0, {}) == ["fix"]


def test_another_hosts_task_is_taken_over_only_after_its_lease_stayed_unchanged_for_its_time_to_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = new_queue(tmp_path)
    other = other_host(queue, monkeypatch)
    drop(queue, "fix")
    claim = other.take("fix")
    assert claim is not None
    claim.begin(Lease(claim.token, other.me(), ttl=60.0))
    die(claim)  # locks of that host are not seen here
    os.utime(claim.control / "lease.json", (0, 0))  # however old by any clock
    seen: Seen = {}
    assert reclaimable(queue, 1000.0, seen) == []
    assert reclaimable(queue, 1059.9, seen) == []
    claim.heartbeat()
    assert reclaimable(queue, 1061.0, seen) == []
    assert reclaimable(queue, 1120.9, seen) == []
    assert reclaimable(queue, 1121.1, seen) == ["fix"]


def test_another_hosts_claim_without_a_lease_has_half_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = new_queue(tmp_path)
    other = other_host(queue, monkeypatch)
    drop(queue, "fix")
    claim = other.take("fix")
    assert claim is not None
    die(claim)
    seen: Seen = {}
    assert reclaimable(queue, 0.0, seen) == []
    assert reclaimable(queue, leases.STARTING - 0.1, seen) == []
    assert reclaimable(queue, leases.STARTING, seen) == ["fix"]
    assert reclaimable(other, 0.0, {}) == ["fix"]


def test_another_hosts_lease_that_goes_while_it_is_read_is_no_reason_to_take_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(other_host(queue, monkeypatch), "fix")
    die(claim)
    read = leases.last

    def gone_at_once(folder: Path) -> Lease | None:
        lease = read(folder)
        (claim.control / "lease.json").unlink(missing_ok=True)
        return lease

    monkeypatch.setattr(leases, "last", gone_at_once)
    assert reclaimable(queue, 0.0, {}) == []


def test_a_worker_that_an_executor_still_starts_has_half_a_minute_to_take_the_lock(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = queue.take("fix")
    assert claim is not None
    claim.begin(Lease(claim.token, queue.me(), starting_until=30.0))
    claim.detach()
    seen: Seen = {}
    assert reclaimable(queue, 0.0, seen) == []
    assert reclaimable(queue, 29.9, seen) == []
    worker = Claim.adopt(queue, "fix", claim.token, None)
    assert reclaimable(queue, 31.0, seen) == []
    assert worker.lease is not None
    worker.begin(replace(worker.lease, starting_until=None))
    die(worker)
    assert reclaimable(queue, 32.0, seen) == ["fix"]


def test_what_was_seen_of_a_task_is_forgotten_when_it_moves_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = new_queue(tmp_path)
    other = other_host(queue, monkeypatch)
    drop(queue, "fix")
    claim = claimed(other, "fix")
    die(claim)
    seen: Seen = {}
    reclaimable(queue, 0.0, seen)
    assert list(seen) == [claim.folder.name]
    claim.folder.rename(queue.folder(State.PENDING) / "fix")
    reclaimable(queue, 1.0, seen)
    assert seen == {}


@pytest.mark.parametrize(
    "lease",
    [
        *(b"", b"garbage", b"[]", b"{}", b'{"token": 3, "owner": {}}', b'{"token": "abcdef", "owner": {"host": 1}}'),
        b'{"token": 3, "owner": {"host": "here", "pid": 1, "start": 1, "boot": ""}}',
        b'{"token": "abcdef", "owner": {"host": "here", "pid": 1, "start": 1, "boot": ""}, "settings": []}',
    ],
)
def test_a_lease_that_is_none_counts_as_missing(tmp_path: Path, lease: bytes) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    (claim.control / "lease.json").write_bytes(lease)
    assert leases.read(claim.folder) is None
    die(claim)
    assert reclaimable(queue, 0.0, {}) == ["fix"]


def test_a_lease_comes_back_as_it_was_written(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = queue.take("fix")
    assert claim is not None
    lease = Lease(claim.token, queue.me(), "local", "4711", 12.5, None, {"parallel": 2}, once=True, agent=queue.me())
    claim.begin(lease)
    assert leases.read(claim.folder) == lease
    assert Claim.adopt(queue, "fix", claim.token, os.dup(claim.fileno())).lease == lease
    age = leases.age(claim.folder, queue.now())
    assert age is not None
    assert 0.0 <= age < 60.0
    assert leases.age(tmp_path, queue.now()) is None


def test_a_heartbeat_renews_the_lease_and_restores_one_that_was_removed(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claim = claimed(queue, "fix")
    file = claim.control / "lease.json"
    os.utime(file, (0, 0))
    claim.heartbeat()
    assert file.stat().st_mtime > 0
    file.unlink()
    claim.heartbeat()
    assert leases.read(claim.folder) == claim.lease


def test_the_loops_that_live_are_known_oldest_first(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    claimed(queue, "fix")
    first = queue.owners.acquire(Kind.LOOP)
    second = queue.owners.acquire(Kind.LOOP)
    os.utime(queue.control / "owners" / first.token, (1, 1))
    assert [loop.token for loop in queue.owners.loops()] == [first.token, second.token]
    assert queue.owners.loops()[0].identity == queue.me()
    first.close()
    assert [loop.token for loop in queue.owners.loops()] == [second.token]
    second.drop()
    assert queue.owners.loops() == ()


def test_a_sweep_removes_dead_owners_that_no_folder_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = new_queue(tmp_path)
    other = other_host(queue, monkeypatch)
    for name in ("dead", "alive"):
        drop(queue, name)
    dead, alive = claimed(queue, "dead"), claimed(queue, "alive")
    die(dead)
    lost, foreign, loop = queue.owners.acquire(), other.owners.acquire(), queue.owners.acquire(Kind.LOOP)
    lost.close()
    foreign.close()
    queue.sweep()
    assert set(queue.owners.tokens()) == {dead.token, alive.token, foreign.token, loop.token}
    os.utime(queue.control / "owners" / foreign.token, (1, 1))
    queue.owners.sweep(lambda: frozenset({dead.token}), FORGET_AFTER + 2)
    assert set(queue.owners.tokens()) == {dead.token, alive.token, loop.token}


def test_a_sweep_removes_what_a_crash_left_in_the_scratch_folder_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = new_queue(tmp_path)
    folder = queue.scratch()
    (folder / "file").touch()
    (queue.control / "tmp" / "file").touch()
    (queue.control / ".stop.1234.tmp").touch()
    (queue.control / "tmp" / "link").symlink_to("nowhere")
    queue.sweep()
    assert set(names(queue.control / "tmp")) >= {folder.name, "file"}
    later = queue.now() + 90_000
    monkeypatch.setattr(queue, "now", lambda: later)
    queue.sweep()
    assert names(queue.control / "tmp") == [".clock", "link"]  # it leads nowhere, so nobody knows how old it is
    assert not (queue.control / ".stop.1234.tmp").exists()


def test_who_takes_over_removes_what_the_dead_owner_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    for name in ("dead", "alive"):
        drop(queue, name)
    dead, alive = claimed(queue, "dead"), claimed(queue, "alive")
    for claim in (dead, alive):
        (queue.scratch(claim.token) / "locked").mkdir(mode=0)
    die(dead)
    successor = queue.reclaim(queue.find("dead"))
    queue.reclaim(queue.find("alive"))  # which nobody does; its owner lives
    assert successor is not None
    assert not (queue.control / "tmp" / dead.token).exists()
    assert (queue.control / "tmp" / alive.token / "locked").is_dir()
    assert not queue.owners.known(dead.token)
    assert queue.owner_alive(alive.token)


def test_a_sweep_of_a_scratch_folder_that_somebody_has_just_removed_finds_nothing(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    rmtree(queue.control / "tmp")
    queue.sweep()


def test_a_scratch_folder_that_can_not_be_listed_is_named(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    rmtree(queue.control / "tmp")
    (queue.control / "tmp").touch()
    with pytest.raises(StoreError, match=re.escape(str(queue.control / "tmp"))):
        queue.sweep()


def test_a_sweep_removes_the_scratch_of_dead_workers_at_once_and_of_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = new_queue(tmp_path)
    other = other_host(queue, monkeypatch)
    drop(queue, "dead")
    dead = claimed(queue, "dead")  # still named by its folder: whoever takes it over removes it
    gone, alive, foreign = queue.owners.acquire(), queue.owners.acquire(), other.owners.acquire()
    for token in (dead.token, gone.token, alive.token, foreign.token):
        (queue.scratch(token) / "file").touch()
    for lock in (gone, foreign):
        lock.close()
    die(dead)
    later = queue.now() + 90_000
    monkeypatch.setattr(queue, "now", lambda: later)
    queue.sweep()
    assert set(names(queue.control / "tmp")) == {".clock", dead.token, alive.token, foreign.token}
    durable.rename(queue.running + f"/dead.{dead.token}", queue.pending + "/dead", point="test")
    queue.sweep()
    assert set(names(queue.control / "tmp")) == {".clock", alive.token, foreign.token}


def test_what_can_not_be_buried_now_keeps_nobody_from_taking_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = new_queue(tmp_path)
    drop(queue, "fix")
    dead = claimed(queue, "fix")
    die(dead)
    with monkeypatch.context() as patch:
        patch.setattr(durable, "unlink", _refuse)
        assert queue.reclaim(queue.find("fix")) is not None
    assert queue.owners.known(dead.token)
    queue.sweep()
    assert not queue.owners.known(dead.token)


def _refuse(path: object, *, point: str) -> bool:
    raise StoreError(f"Can't remove {path} at {point}.", hint="A test.")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"kind": "other", "owner": {}}', b"\x00" * 600])
def test_an_owners_file_that_says_nothing_is_still_a_lock(tmp_path: Path, content: bytes) -> None:
    queue = new_queue(tmp_path)
    lock = queue.owners.acquire()
    (queue.control / "owners" / lock.token).write_bytes(content)
    assert queue.owner_alive(lock.token)
    assert queue.owners.read(lock.token) is None
    lock.close()
    assert not queue.owner_alive(lock.token)
    queue.sweep()
    assert queue.owners.tokens() == []


def test_the_file_systems_clock_goes_forward(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    before = queue.now()
    (tmp_path / "file").touch()
    assert before <= (tmp_path / "file").stat().st_mtime <= queue.now()


def test_a_forked_child_is_its_own_owner(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    queue.owners.prepare()
    mine, (spare,) = queue.me(), queue.owners.tokens()
    child = os.fork()
    if child == 0:
        lock = queue.owners.acquire()
        os._exit(0 if queue.me().pid == os.getpid() != mine.pid and lock.token != spare else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert queue.owners.acquire().token == spare
