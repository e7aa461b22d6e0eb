"""Loops and how they are asked to stop, locks between processes, and the failpoints themselves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import StoreError
from orchestrator.store import control, failpoints, locks
from orchestrator.store.owners import Kind
from tests.support.queues import names, new_queue

HOLD = """
import sys
from pathlib import Path
from orchestrator.store import locks
with locks.acquire(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
HITS = "from orchestrator.store.failpoints import hit\nfor label in 'abab': hit(label)\nprint('lived')"


def test_a_loop_registers_and_is_known_until_it_ends(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    loop = control.register_loop(queue)
    data = json.loads((queue.control / "loop.json").read_bytes())
    assert (data["pid"], data["token"], data["started"]) == (os.getpid(), loop.token, loop.started)
    assert [owner.token for owner in queue.owners.loops()] == [loop.token]
    loop.drop()
    assert queue.owners.loops() == ()


@pytest.mark.parametrize("put_back", [False, True])
def test_a_loop_whose_folder_was_taken_away_registers_again_under_its_token(tmp_path: Path, put_back: bool) -> None:
    queue = new_queue(tmp_path)
    loop = control.register_loop(queue)
    queue.control.rename(tmp_path / "away")
    if put_back:
        shutil.copytree(tmp_path / "away", queue.control)  # the file is there, and nobody holds it
    queue.ensure()
    assert queue.owners.loops() == ()
    control.register_again(queue, loop)
    assert [(owner.token, owner.kind) for owner in queue.owners.loops()] == [(loop.token, Kind.LOOP)]
    assert json.loads((queue.control / "loop.json").read_bytes())["token"] == loop.token
    loop.drop()
    assert queue.owners.loops() == ()


def test_a_stop_reaches_the_loops_that_live_and_none_that_come_later(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    old = [control.register_loop(queue) for _ in range(2)]
    assert not control.stop_requested(queue, old[0])
    assert set(control.request_stop(queue, "a person")) == {loop.token for loop in old}
    later = control.register_loop(queue)
    assert all(control.stop_requested(queue, loop) for loop in old)
    assert not control.stop_requested(queue, later)


def test_a_stop_is_heard_however_the_clock_jumps(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    loop = control.register_loop(queue)
    control.request_stop(queue)
    os.utime(queue.control / "stop", (0, 0))
    assert control.stop_requested(queue, loop)


def test_a_stop_with_no_loop_running_asks_nobody(tmp_path: Path) -> None:
    queue = new_queue(tmp_path)
    assert control.request_stop(queue) == ()
    assert not (queue.control / "stop").exists()


@pytest.mark.parametrize("content", [b"", b"stop please", b"[]", b'{"loops": 3}'])
def test_a_stop_file_made_by_hand_stops_the_loops_started_before_it(tmp_path: Path, content: bytes) -> None:
    queue = new_queue(tmp_path)
    loop = control.register_loop(queue)
    (queue.control / "stop").write_bytes(content)
    assert control.stop_requested(queue, loop)
    os.utime(queue.control / "stop", (0, 0))
    assert not control.stop_requested(queue, loop)


def test_the_loops_log_is_kept_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = new_queue(tmp_path)
    monkeypatch.setattr(control, "LOG_LARGEST", 1000)
    for number in range(60):
        control.log(queue, "claimed", task="fix", number=number)
    lines = (queue.control / "daemon.jsonl").read_bytes().splitlines()
    assert json.loads(lines[-1])["number"] == 59
    assert sum(path.stat().st_size for path in queue.control.glob("daemon.jsonl*")) < 3000


def test_a_lock_waits_for_its_holder_and_pumps_meanwhile(tmp_path: Path) -> None:
    lock = tmp_path / "landing.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        waits: list[float] = []

        def pump(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 20:
                holder.kill()
                holder.wait()

        with locks.acquire(lock, pump) as proof:
            assert proof == locks.LockProof(lock)
    assert waits[0] == locks.FIRST_WAIT
    assert waits[19] == locks.LONGEST_WAIT
    assert waits == sorted(waits)


def test_whatever_the_pump_raises_ends_the_waiting(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    def stop(_seconds: float) -> None:
        raise KeyboardInterrupt

    with locks.acquire(lock), pytest.raises(KeyboardInterrupt), locks.acquire(lock, stop):
        pytest.fail("two holders")
    with locks.acquire(lock, stop):
        pass


def test_who_shares_a_repository_shares_its_locks(tmp_path: Path) -> None:
    before = os.umask(0o002)  # as people have it who work in one group
    try:
        with locks.acquire(tmp_path / "lock"):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o664
    finally:
        os.umask(before)


def test_a_lock_in_a_folder_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="lock"), locks.acquire(tmp_path / "no" / "lock"):
        pytest.fail("held nothing")


def test_a_short_lock_gives_up_with_a_sentence(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with locks.short(lock) as proof, pytest.raises(StoreError, match="held by another"), locks.short(lock, timeout=0.01):
        pytest.fail(f"two holders: {proof}")


def run(environment: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HITS], env={**os.environ, **environment}, cwd=tmp_path, capture_output=True, text=True, check=False
    )


def test_failpoints_do_nothing_unless_asked(tmp_path: Path) -> None:
    assert run({}, tmp_path).stdout == "lived\n"
    assert run({"ORCH_FAILPOINT": "c"}, tmp_path).stdout == "lived\n"
    assert run({"ORCH_FAILPOINT": "a#3"}, tmp_path).stdout == "lived\n"
    assert names(tmp_path) == []


@pytest.mark.parametrize(("point", "before"), [("a", ""), ("a#1", ""), ("b", "a"), ("a#2", "ab"), ("b#2", "aba")])
def test_a_failpoint_kills_at_its_hit(tmp_path: Path, point: str, before: str) -> None:
    trace = tmp_path / "trace"
    ended = run({"ORCH_FAILPOINT": point, "ORCH_FAILPOINT_TRACE": str(trace)}, tmp_path)
    assert ended.returncode == -signal.SIGKILL
    assert trace.read_text().split() == [*before, point[0]]
    assert run({"ORCH_FAILPOINT": point}, tmp_path).returncode == -signal.SIGKILL


def test_with_a_trace_a_point_kills_one_process_and_spares_those_after_it(tmp_path: Path) -> None:
    environment = {"ORCH_FAILPOINT": "b#2", "ORCH_FAILPOINT_TRACE": str(tmp_path / "trace")}
    assert [run(environment, tmp_path).returncode for _ in range(3)] == [-signal.SIGKILL, 0, 0]


def test_failpoints_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    failpoints.hit("x")
    monkeypatch.setenv("ORCH_FAILPOINT", "x")
    failpoints.hit("x")  # this process was not asked when it started
