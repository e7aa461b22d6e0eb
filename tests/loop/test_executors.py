"""The local executor: workers as processes that outlive us, known for good."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.processes import gone, pid_in, until

from orchestrator.core.lease import Identity
from orchestrator.errors import Misuse, OrchestratorError
from orchestrator.executors import registry
from orchestrator.executors.local import Local
from orchestrator.proc import identity


def test_a_worker_runs_in_a_session_of_its_own_with_the_lock_and_its_output_in_the_log(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    script = (
        "import os, sys; print(os.getsid(0) == os.getpid()); "
        f"print(os.path.samestat(os.fstat(int(os.environ['ORCH_OWNER_FD'])), os.stat({str(tmp_path / 'lock')!r}))); sys.exit(7)"
    )
    local = Local()
    handle = local.start((sys.executable, "-c", script), lock_fd=lock, log=tmp_path / "log", env=dict(os.environ))
    until(lambda: not local.alive(handle), "its end")
    assert (tmp_path / "log").read_text().split() == ["True", "True"]
    assert local.exit_code(handle) == 7
    assert not local.alive(handle)
    os.close(lock)


def test_a_worker_is_asked_to_stop_then_killed(tmp_path: Path) -> None:
    script = f"trap 'echo asked >> {tmp_path}/asked' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"
    local = Local()
    handle = local.start(("bash", "-c", script), lock_fd=None, log=None, env=dict(os.environ))
    pid = pid_in(tmp_path / "pid")
    local.stop(handle, kill=False)
    until((tmp_path / "asked").exists, "the request")
    assert local.alive(handle)
    local.stop(handle, kill=True)
    until(lambda: not local.alive(handle), "its end")
    assert gone(pid)
    assert local.exit_code(handle) == -9
    local.stop(handle, kill=True)  # nobody else gets it


def test_a_handle_of_a_reused_pid_means_nobody() -> None:
    me = identity.here()
    local = Local()
    mine = local.handle_of(me)
    assert mine is not None
    assert local.alive(mine)
    earlier = local.handle_of(Identity(me.host, me.pid, me.start - 1, me.boot))
    assert earlier is not None
    assert not local.alive(earlier)
    local.stop(earlier, kill=True)  # else this test has ended here
    assert local.handle_of(Identity("elsewhere", 1, 0.0, "")) is None


def test_a_worker_that_this_user_may_not_signal_is_none_to_answer_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)  # another user's, in a queue that a group shares
    assert Local().handle_of(identity.here()) is None


def test_a_worker_that_cannot_be_started_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OrchestratorError, match="no such program"):
        Local().start((str(tmp_path / "missing"),), lock_fd=None, log=None, env={})
    with pytest.raises(OrchestratorError, match="No such file or directory"):
        Local().start(("true",), lock_fd=None, log=tmp_path / "no/log", env={})


def test_a_log_that_cannot_be_written_is_told_as_that_and_not_as_a_lack_of_processes(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(OrchestratorError, match=f"Is a directory: {tmp_path}/log") as caught:
        Local().start(("true",), lock_fd=None, log=tmp_path / "log", env={})
    assert "write permission" in caught.value.hint


def test_an_unknown_executor_is_refused_with_those_that_exist() -> None:
    assert registry.find("local").name == "local"
    with pytest.raises(Misuse) as refused:
        registry.find("moon")
    assert "Known executors: local" in refused.value.hint
