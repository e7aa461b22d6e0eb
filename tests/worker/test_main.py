from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.desk import DONE, LESS, Desk, me
from support.processes import until

from orchestrator.core.masking import Masker
from orchestrator.core.outcome import Reason
from orchestrator.core.task import State
from orchestrator.proc import spawn, tree
from orchestrator.store import events, records, room
from orchestrator.worker import main
from orchestrator.worker.work import Work
from orchestrator.worker.workspace import Workspace

TERM = f"kill -TERM {me()}; "
WAIT = "sleep 30"


@pytest.fixture(autouse=True)
def subreaper_for_now() -> Iterator[None]:
    """A worker takes in orphans for as long as it lives. The process that runs the tests must not: were one left to it (what forks
    our commands is one), each program that ends in a later test would be followed by a look at all processes."""
    with tree.subreaper():
        yield


def test_a_worker_that_comes_too_late_touches_nothing(desk: Desk) -> None:
    folder = desk.drop()
    before = sorted(folder.rglob("*"))
    assert main.main(str(desk.queue.root), "x", "abcdef") == 0
    assert sorted(folder.rglob("*")) == before


@pytest.mark.usefixtures("signals")
def test_a_worker_of_a_queue_that_is_gone_says_so_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(str(tmp_path / "gone"), "x", "abcdef") == 1
    assert capsys.readouterr().err.startswith("orchestrator: Can't open the lock ")


def test_a_worker_takes_the_lock_that_it_was_handed_and_works(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.drop()
    desk.agent(DONE)
    claim = desk.claim()
    assert claim.lock is not None
    monkeypatch.setenv("ORCH_OWNER_FD", str(os.dup(claim.fileno())))
    claim.lock.close()
    assert main.main(str(desk.queue.root), "x", claim.token) == 0
    assert desk.state() is State.CONVERGED
    assert "ORCH_OWNER_FD" not in os.environ


def test_a_worker_whose_task_is_taken_away_leaves_quietly_and_its_work_is_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.drop()
    running, blocked = desk.queue.folder(State.RUNNING), desk.queue.folder(State.BLOCKED)
    desk.agent(f"{LESS}; mv {running}/x.?????? {blocked}/x; {WAIT}")
    claim = desk.claim()
    assert claim.lock is not None
    monkeypatch.setenv("ORCH_OWNER_FD", str(os.dup(claim.fileno())))
    claim.lock.close()
    assert main.main(str(desk.queue.root), "x", claim.token) == 0
    assert desk.state() is State.BLOCKED
    assert desk.show("todo.txt", "orchestrator/x") == "two\nthree"


def test_asked_to_stop_a_worker_saves_the_work_and_puts_the_task_back_uncounted(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"{LESS}; {TERM}{WAIT}")
    assert desk.serve() == 0
    record = desk.record()
    assert (desk.state(), record.attempts, record.failures, record.reason) == (State.PENDING, 0, 0, None)
    assert desk.show("todo.txt", "orchestrator/x") == "two\nthree"
    desk.agent(DONE)
    desk.serve()
    assert (desk.state(), desk.record().attempts) == (State.CONVERGED, 1)


def test_asked_twice_to_stop_a_worker_still_puts_its_task_back(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"trap '' TERM; {LESS}; {TERM}sleep 0.3; {TERM}{WAIT}")
    assert desk.serve() == 0
    assert (desk.state(), desk.record().attempts) == (State.PENDING, 0)
    assert not desk.queue.owner_alive(desk.lease().token)


def test_stopped_with_work_out_of_scope_and_a_setup_command_the_task_still_goes_back(desk: Desk) -> None:
    desk.drop(front="scope: [todo.txt]\nsetup: touch ready.ignored")
    desk.agent(f"echo > elsewhere; {TERM}{WAIT}")
    assert desk.serve() == 0
    assert desk.state() is State.PENDING
    desk.agent(f"test -f ready.ignored && {DONE}")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert any("elsewhere" in desk.git("ls-tree", "--name-only", commit) for commit in desk.refs().values())


@pytest.mark.parametrize(("kind", "reason"), [("stop", Reason.STOPPED), ("block", Reason.STOPPED), ("cancel", Reason.CANCELLED)])
def test_a_person_may_stop_a_task_for_good(desk: Desk, kind: str, reason: Reason) -> None:
    desk.drop()
    inbox = f"{desk.queue.folder(State.RUNNING)}/x.*/.orch"
    ask = f"""for o in {inbox}; do mkdir -p $o/inbox; echo '{{"kind": "{kind}"}}' > $o/inbox/1.json; done; """
    desk.agent(f"{LESS}; {ask}{WAIT}")
    assert desk.serve() == 0
    assert (desk.state(), desk.record().reason, desk.record().attempts) == (State.BLOCKED, reason, 0)
    assert desk.show("todo.txt", "orchestrator/x") == "two\nthree"


def test_a_spec_that_breaks_between_the_look_and_the_claim_blocks_with_its_place(desk: Desk) -> None:
    (desk.drop() / "autoresearch.md").write_text("---\nconverge: many\n---\n# x\n")
    assert desk.serve() == 0
    record = desk.record()
    assert (desk.state(), record.reason) == (State.BLOCKED, Reason.BENCHMARK_DEFECT)
    assert "autoresearch.md:2" in (record.detail or "")


def test_a_task_folder_that_can_not_be_sealed_blocks_and_names_the_file(desk: Desk) -> None:
    os.mkfifo(desk.drop() / "pipe")
    assert desk.serve() == 0
    record = desk.record()
    assert (desk.state(), record.reason) == (State.BLOCKED, Reason.BENCHMARK_DEFECT)
    assert "pipe" in (record.detail or "")


def test_work_that_can_not_be_saved_now_is_told_and_left_where_it_lies(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk is full when a worker that was asked to stop saves what its agent has not committed."""
    desk.drop()
    desk.agent(f"{LESS}; {TERM}{WAIT}")
    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "save_cut", _no_space)
        assert desk.serve() == 0
    assert "could not be saved yet" in capsys.readouterr().err
    assert (desk.state(), desk.record().attempts) == (State.PENDING, 0)
    assert (desk.worktree() / "todo.txt").read_text() == "two\nthree\n"


def _no_space(space: Workspace, work: Work) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_agent_that_nobody_knows_blocks_with_what_to_do(desk: Desk) -> None:
    desk.drop(front="agent: nobody-knows")
    assert desk.serve() == 0
    record = desk.record()
    assert (desk.state(), record.reason) == (State.BLOCKED, Reason.SETUP)
    assert "nobody-knows" in (record.detail or "")


def test_no_agent_at_all_blocks_and_says_what_to_set(desk: Desk) -> None:
    desk.drop()
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.SETUP)
    assert "ORCH_AGENT" in (desk.record().detail or "")


def test_the_agent_exec_without_a_command_blocks_at_once_and_uses_no_attempt(desk: Desk) -> None:
    desk.drop()
    desk.set(agent="exec")
    desk.serve()
    record = desk.record()
    assert (desk.state(), record.reason, record.attempts) == (State.BLOCKED, Reason.SETUP, 0)
    assert "Set ORCH_AGENT_CMD" in (record.detail or "")


def short_of(monkeypatch: pytest.MonkeyPatch, number: int, program: str) -> None:
    """The system has no process, memory or descriptor left for `program`."""
    started = subprocess.Popen

    def refuse(argv: tuple[str, ...], **given: Any) -> subprocess.Popen[bytes]:
        if program in " ".join(argv):
            raise OSError(number, os.strerror(number), argv[0])
        return started(argv, **given)

    monkeypatch.setattr(spawn.subprocess, "Popen", refuse)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
@pytest.mark.parametrize("program", ["rev-parse", "worktree", "benchmark.sh", "the-agent", "the-setup"])
def test_a_short_lack_of_processes_is_waited_for_and_counts_as_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int, program: str
) -> None:
    desk.drop(front="setup: ': the-setup'")
    desk.agent(f": the-agent; {DONE}")
    with monkeypatch.context() as patch:
        short_of(patch, number, program)
        assert desk.serve() == 0
    record = desk.record()
    assert (desk.state(), record.reason, record.attempts) == (State.PENDING, Reason.BACKOFF, 0)
    assert "can't be started" in (record.detail or "")
    assert "Install" not in (record.detail or "")
    desk.serve()
    assert (desk.state(), desk.record().attempts) == (State.CONVERGED, 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE])
def test_a_short_lack_of_room_in_the_repository_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    desk.drop()
    desk.agent(DONE)
    opened = open

    def refuse(path: Any, *given: Any, **named: Any) -> Any:
        if str(path).startswith(f"{desk.repo}/.git/") and str(path).endswith(".tmp"):
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        assert desk.serve() == 0
    record = desk.record()
    assert (desk.state(), record.reason) == (State.PENDING, Reason.BACKOFF)
    assert f"{desk.repo}/.git/" in (record.detail or "")
    desk.serve()
    assert desk.state() is State.CONVERGED


def test_a_repository_that_is_gone_blocks(desk: Desk) -> None:
    desk.drop(front="repo: nowhere")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.REPO)


def test_what_may_pass_by_itself_waits_each_time_twice_as_long(desk: Desk) -> None:
    (desk.drop() / ".orch").mkdir()
    (desk.folder() / ".orch/sealed").touch()
    desk.set(backoff=10.0, backoff_max=1000.0)
    waits = []
    for _ in range(3):
        assert desk.serve() == 0
        record = desk.record()
        assert (desk.state(), record.reason) == (State.PENDING, Reason.BACKOFF)
        assert record.not_before is not None
        waits.append(record.not_before - record.updated)
    assert [round(wait) for wait in waits] == [10, 20, 40]


def test_what_the_system_refuses_is_a_wait_and_no_fault_of_ours(desk: Desk) -> None:
    desk.drop()
    desk.agent(f"rm -rf {desk.queue.control}/tmp/*; chmod 000 {desk.queue.control}/tmp")
    if os.geteuid() == 0:
        desk.agent(f"rm -rf {desk.queue.control}/tmp; touch {desk.queue.control}/tmp")
    try:
        assert desk.serve() == 0
    finally:
        (desk.queue.control / "tmp").chmod(0o755)
    assert (desk.state(), desk.record().reason) == (State.PENDING, Reason.BACKOFF)


def test_what_the_system_refuses_is_told_with_its_place(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*error: Any) -> str:
        ending, _ = main.ending_of(OSError(*error), None, desk.settings, Masker())
        return ending.detail

    refused = (errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert told(*refused, "/there/x") == "No space left on device: /there/x"
    assert told(errno.EIO, os.strerror(errno.EIO)) == "Input/output error"
    monkeypatch.setattr(tempfile, "tempdir", str(desk.top))
    with monkeypatch.context() as patch:
        patch.setattr(room, "is_full", lambda place: place == str(desk.repo))
        assert told(*refused) == f"No space left on device: {desk.repo}"
    assert told(*refused) == f"No space left on device: one of {desk.queue.root}, {desk.repo}, {desk.top}"


def test_a_fault_of_ours_parks_the_task_and_says_so(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.drop()
    desk.agent(DONE)
    claim = desk.claim()
    assert claim.lease is not None
    claim.begin(replace(claim.lease, settings={**claim.lease.settings, "converge": "two"}))
    assert main.serve(claim) == 3
    assert (desk.state(), desk.record().reason) == (State.PENDING, Reason.BACKOFF)
    assert "fault of the orchestrator" in (desk.record().detail or "")
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_ours_that_comes_again_and_again_needs_a_person(desk: Desk) -> None:
    desk.drop()
    desk.agent(DONE)
    for _ in range(main.FAULTS + 1):
        assert desk.state() is State.PENDING
        claim = desk.claim()
        assert claim.lease is not None
        claim.begin(replace(claim.lease, settings={**claim.lease.settings, "converge": "two"}))
        assert main.serve(claim) == 3
    assert (desk.state(), desk.record().reason, desk.record().attempts) == (State.BLOCKED, Reason.FAULT, 0)


def test_a_destination_that_is_taken_is_tried_again_until_it_is_free(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.drop()
    taken = desk.queue.folder(State.CONVERGED) / "x"
    desk.agent(f"{DONE}; mkdir {taken}")
    claim = desk.claim()

    def make_room() -> None:
        word = claim.folder / ".orch/state.json"
        until(lambda: (record := records.peek(claim.folder)) is not None and record.reason is not None, "the last word")
        first = word.stat().st_mtime_ns
        until(lambda: word.stat().st_mtime_ns != first, "another try")
        taken.rename(desk.top / "aside")

    person = threading.Thread(target=make_room)
    person.start()
    assert main.serve(claim) == 0
    person.join()
    assert desk.state() is State.CONVERGED
    assert "already" in capsys.readouterr().err


def test_a_worker_whose_log_is_on_the_full_disk_too_holds_its_claim(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.drop()
    taken = desk.queue.folder(State.CONVERGED) / "x"
    desk.agent(f"{DONE}; mkdir {taken}")
    claim = desk.claim()

    def make_room() -> None:
        until(lambda: any("let go of" in str(each.get("detail")) for each in events.tail(claim.folder, 9)), "the notice")
        taken.rename(desk.top / "aside")

    person = threading.Thread(target=make_room)
    person.start()
    with Path("/dev/full").open("wb", buffering=0) as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", io.TextIOWrapper(full, write_through=True))  # type: ignore[type-var]
        code = main.serve(claim)
        sys.stderr.detach()  # type: ignore[attr-defined]
    person.join()
    assert (code, desk.state()) == (0, State.CONVERGED)
    assert any("can't be let go of yet" in event["detail"] for event in desk.events(event="notice"))


def test_asked_to_stop_while_its_destination_is_taken_a_worker_lets_go_and_its_word_stands(desk: Desk) -> None:
    desk.drop()
    taken = desk.queue.folder(State.CONVERGED) / "x"
    desk.agent(f"{DONE}; mkdir {taken}")
    claim = desk.claim()

    def stop() -> None:
        until(lambda: (record := records.peek(claim.folder)) is not None and record.reason is not None, "the last word")
        os.kill(me(), signal.SIGTERM)

    person = threading.Thread(target=stop)
    person.start()
    assert main.serve(claim) == 0
    person.join()
    desk.die(claim)
    taken.rmdir()
    merged = desk.main
    assert [place.token for place in desk.queue.reclaimable(0.0, {})] == [claim.token]
    assert desk.serve() == 0
    assert (desk.state(), desk.main) == (State.CONVERGED, merged)


def test_a_dead_workers_wait_stands(desk: Desk) -> None:
    desk.drop()
    claim = desk.claim()
    claim.save(replace(claim.fresh_record(), reason=Reason.BACKOFF, detail="later", not_before=1e12))
    desk.die(claim)
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().not_before) == (State.PENDING, Reason.BACKOFF, 1e12)


@pytest.mark.parametrize(("reason", "state"), [(Reason.CONVERGED, State.CONVERGED), (Reason.EXHAUSTED, State.BLOCKED)])
def test_a_dead_workers_verdict_is_made_true_and_nobody_is_sent(desk: Desk, reason: Reason, state: State) -> None:
    desk.drop()
    claim = desk.claim()
    claim.save(replace(claim.fresh_record(), reason=reason, detail="so it was"))
    desk.die(claim)
    desk.agent(desk.call)
    desk.serve()
    assert (desk.state(), desk.record().reason, desk.record().detail, desk.calls()) == (state, reason, "so it was", 0)
