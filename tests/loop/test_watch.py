"""Changes are heard of at once; where that fails the loop looks every second, and one line says so."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.processes import until
from support.stage import Stage

from orchestrator.core.outcome import Reason
from orchestrator.core.task import State
from orchestrator.loop.wakeup import Wakeup
from orchestrator.loop.watch import FOLLOWED, Watch
from orchestrator.store import control
from orchestrator.store.queue import Queue


class Ears:
    def __init__(self, top: Path) -> None:
        self.queue = Queue(top / "tasks")
        self.queue.ensure()
        self.wakeup = Wakeup()
        self.said: list[str] = []
        self.folders = {state: self.queue.folder(state) for state in State}
        self.watch = self.made()

    def made(self, *, portable: bool = False) -> Watch:
        return Watch(self.folders, self.queue.control, self.wakeup, self.said.append, portable=portable)

    def arrive(self, name: str, state: State = State.PENDING) -> None:
        folder = self.queue.scratch()
        folder.rename(self.queue.folder(state) / name)


@pytest.fixture
def ears(tmp_path: Path) -> Iterator[Ears]:
    made = Ears(tmp_path)
    yield made
    made.watch.close()
    made.wakeup.close()


def test_an_arrival_in_any_state_folder_wakes(ears: Ears) -> None:
    ears.watch.start()
    for state in State:
        ears.arrive("t.abcdef", state)
        began = time.monotonic()
        ears.wakeup.wait(60.0)
        assert time.monotonic() - began < 50.0
        assert ears.watch.heard() == (True, frozenset({"t.abcdef"} if state is State.PENDING else ()))
    assert ears.said == []


def test_a_task_that_is_taken_and_put_back_is_named(ears: Ears) -> None:
    ears.arrive("t")
    ears.arrive("other")
    ears.watch.start()
    pending, running = ears.folders[State.PENDING] / "t", ears.folders[State.RUNNING] / "t.abcdef"
    pending.rename(running)
    running.rename(pending)
    assert ears.watch.heard(("abcdef",)) == (True, frozenset({"t"}))


def test_what_came_before_the_watch_is_looked_for_once_more(ears: Ears) -> None:
    control.request_stop(ears.queue, "before anybody listened")
    ears.watch.start()
    assert ears.wakeup.wait(0)
    assert not ears.wakeup.wait(0)


def test_what_gives_nobody_work_wakes_nobody(ears: Ears) -> None:
    ears.arrive("t")
    ears.watch.start()
    (ears.folders[State.PENDING] / "t").rename(ears.folders[State.RUNNING] / "t.abcdef")  # our own claim
    with (ears.folders[State.RUNNING] / "t.abcdef" / "log").open("a") as log:
        log.write("a line\n")
    os.utime(ears.folders[State.RUNNING] / "t.abcdef")
    control.log(ears.queue, "note", detail="a line in the loops' own log")
    (ears.queue.control / "owners" / "abcdef").touch()
    assert ears.watch.heard(own={"abcdef"}) == (False, frozenset())


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_request_to_stop_wakes(ears: Ears, by_hand: bool) -> None:
    lock = control.register_loop(ears.queue)
    ears.watch.start()
    if by_hand:
        (ears.queue.control / "stop").touch()
    else:
        control.request_stop(ears.queue, "a test")
    assert ears.watch.heard() == (True, frozenset())
    lock.drop()


def test_a_change_inside_a_followed_folder_names_it(ears: Ears) -> None:
    ears.arrive("draft")
    ears.arrive("other")
    folder = ears.folders[State.PENDING] / "draft"
    ears.watch.start()
    ears.watch.follow({"draft": folder, "gone": folder.with_name("gone")})
    (folder / "autoresearch.md").write_text("# t\n")
    (folder.with_name("other") / "autoresearch.md").write_text("# t\n")
    assert ears.watch.heard() == (True, frozenset({"draft"}))
    ears.watch.follow({})
    (folder / "autoresearch.md").write_text("# u\n")
    assert ears.watch.heard() == (False, frozenset())


def test_what_a_link_leads_to_is_not_followed(ears: Ears, tmp_path: Path) -> None:
    elsewhere = tmp_path / "busy"
    elsewhere.mkdir()
    link = ears.folders[State.PENDING] / "linked"
    link.symlink_to(elsewhere)
    ears.watch.start()
    ears.watch.follow({"linked": link})
    (elsewhere / "x").touch()
    assert ears.watch.heard() == (False, frozenset())
    assert not ears.watch.polling


def test_a_followed_folder_that_is_removed_is_forgotten(ears: Ears) -> None:
    ears.arrive("draft")
    folder = ears.folders[State.PENDING] / "draft"
    ears.watch.start()
    ears.watch.follow({"draft": folder})
    folder.rmdir()
    assert ears.watch.heard() == (True, frozenset({"draft"}))
    ears.arrive("draft")
    ears.watch.heard()
    ears.watch.follow({"draft": folder})
    (folder / "x").touch()
    assert ears.watch.heard() == (True, frozenset({"draft"}))


def test_only_so_many_folders_are_followed(ears: Ears) -> None:
    ears.watch.start()
    folders = {}
    for number in range(FOLLOWED + 1):
        folders[f"t{number}"] = folder = ears.folders[State.PENDING] / f"t{number}"
        folder.mkdir()
    ears.watch.heard()
    ears.watch.follow(folders)
    for folder in folders.values():
        (folder / "x").touch()
    assert len(ears.watch.heard()[1]) == FOLLOWED


def test_without_a_free_descriptor_it_polls_says_so_once_and_tries_again(ears: Ears) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        ears.watch.start()
        ears.watch.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ears.watch.polling
    assert len(ears.said) == 1
    assert "Too many open files: raise fs.inotify.max_user_instances): looking every second instead." in ears.said[0]
    ears.watch.start()
    assert not ears.watch.polling


def test_an_overflow_of_the_kernels_queue_makes_it_poll_until_it_starts_again(ears: Ears) -> None:
    ears.watch.start()
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    first, second = ears.folders[State.PENDING] / "a", ears.folders[State.PENDING] / "b"
    first.mkdir()
    for _ in range(limit // 2 + 10):
        first.rename(second)
        second.rename(first)
    assert ears.watch.heard() == (True, frozenset())
    assert ears.watch.polling
    assert "events were dropped" in ears.said[0]
    ears.watch.start()
    ears.arrive("t")
    assert ears.watch.heard() == (True, frozenset({"t"}))


def test_a_state_folder_that_is_removed_makes_it_poll(ears: Ears) -> None:
    ears.watch.start()
    ears.folders[State.BLOCKED].rmdir()
    assert ears.watch.heard() == (True, frozenset())
    assert ears.watch.polling
    ears.watch.start()  # still missing
    assert ears.watch.polling
    ears.folders[State.BLOCKED].mkdir()
    ears.watch.start()
    assert not ears.watch.polling


@pytest.mark.parametrize("moved", ["pending", ".orch"])
def test_a_folder_that_is_replaced_by_another_is_heard_of_and_the_new_one_watched(ears: Ears, moved: str) -> None:
    ears.watch.start()
    folder = ears.queue.root / moved
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()
    ears.wakeup.wait(5.0)
    assert ears.watch.heard() == (True, frozenset())
    assert ears.watch.polling
    assert f"{folder} was moved or removed" in ears.said[0]
    ears.watch.start()
    (folder / "stop").mkdir()
    assert ears.watch.heard()[0]


def test_without_inotify_the_portable_observer_wakes(ears: Ears) -> None:
    ears.watch = ears.made(portable=True)
    ears.watch.start()
    assert not ears.watch.polling
    ears.arrive("t")
    assert ears.wakeup.wait(60.0)
    lock = control.register_loop(ears.queue)
    control.request_stop(ears.queue, "a test")
    until(lambda: ears.wakeup.wait(0.1), "the stop being heard")
    lock.drop()


def test_a_portable_observer_that_died_makes_it_poll(ears: Ears) -> None:
    ears.watch = ears.made(portable=True)
    ears.watch.start()
    observer = ears.watch._observed
    assert observer is not None
    observer.close()
    ears.watch.heard()
    assert ears.watch.polling
    assert "its thread has ended" in ears.said[0]


def test_a_loop_that_polls_still_finds_what_is_dropped(stage: Stage) -> None:
    loop = stage.loop("loop")
    stage.until(stage.registered, "the loop")
    stage.task("first")
    stage.until(lambda: stage.state("first") is State.CONVERGED, "a claim while watching")
    stage.queue.folder(State.BLOCKED).rmdir()
    stage.until(lambda: "looking every second instead" in stage.said(), "the line")
    stage.task("second")
    stage.until(lambda: stage.state("second") is State.CONVERGED, "a claim while polling")
    assert stage.said().count("looking every second") == 1
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def test_a_loop_that_polls_sees_that_a_task_was_taken_and_put_back(stage: Stage) -> None:
    stage.task("t")
    parked(stage, "t", time.time() + 600)
    stage.task("first")
    loop = stage.loop("loop")
    stage.until(lambda: stage.state("first") is State.CONVERGED, "a claim while watching")
    stage.queue.folder(State.BLOCKED).rmdir()
    stage.until(lambda: "looking every second instead" in stage.said(), "the line")
    loop.send_signal(signal.SIGSTOP)
    parked(stage, "t", None)
    loop.send_signal(signal.SIGCONT)
    stage.until(lambda: stage.state("t") is State.CONVERGED, "a claim")
    loop.send_signal(signal.SIGTERM)
    assert stage.code(loop) == 0


def parked(stage: Stage, name: str, until: float | None) -> None:
    claim = stage.queue.take(name)
    assert claim is not None
    record = claim.record() or claim.fresh_record()
    claim.release(State.PENDING, replace(record, not_before=until, reason=Reason.BACKOFF if until else None))


def test_wait_is_ended_from_another_thread_by_a_child_and_by_a_signal(ears: Ears) -> None:
    import threading

    with ears.wakeup.listening():
        threading.Timer(0.05, ears.wakeup.wake).start()
        assert ears.wakeup.wait(60.0)
        pid = os.posix_spawn("/bin/true", ["true"], {})
        assert ears.wakeup.wait(60.0)
        os.waitpid(pid, 0)
        os.kill(os.getpid(), signal.SIGHUP)
        assert ears.wakeup.wait(60.0)
        assert ears.wakeup.stops == (signal.SIGHUP,)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
