"""Short commands: everything they print, however they end, and never an exception."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.processes import gone, pid_in, until, waits_for

from orchestrator.core.outcome import ProcessEnd
from orchestrator.proc.capture import capture, detach
from orchestrator.proc.spawn import NotStarted


def test_both_streams_and_the_code_come_back() -> None:
    done = capture(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (done.code, done.stdout, done.stderr, done.end, done.ok) == (3, b"out\n", b"err\n", ProcessEnd.EXITED, False)
    assert capture(["true"]).ok


def test_input_and_output_larger_than_a_pipe_do_not_lock_up() -> None:
    data = os.urandom(1_000_000)
    assert capture(["tee", "/dev/stderr"], input=data).stderr == data


def test_without_input_stdin_is_at_its_end() -> None:
    assert capture(["cat"], timeout=20) == capture(["true"])


def test_folder_and_environment_are_as_given(tmp_path: Path) -> None:
    done = capture(["sh", "-c", 'echo "$PWD $WORD"'], cwd=tmp_path, env={"WORD": "hi", "PATH": os.environ["PATH"]})
    assert done.stdout.decode() == f"{tmp_path} hi\n"


def test_a_signal_is_told_as_one() -> None:
    done = capture(["sh", "-c", "kill -9 $$"])
    assert (done.code, done.end, done.ok) == (-9, ProcessEnd.SIGNALLED, False)


@pytest.mark.parametrize("argv", [["no-such-program"], [], ["a\0b"]])
def test_a_missing_program_is_a_result_with_a_sentence(argv: list[str]) -> None:
    done = capture(argv)
    assert (done.code, done.end, done.ok) == (127, ProcessEnd.NOT_STARTED, False)
    assert done.detail
    assert done.stderr.decode() == f"{done.detail}\n"


def test_too_long_is_ended_with_what_it_said_so_far_and_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits_for(tmp_path / "pid", monkeypatch)
    done = capture(["bash", "-c", "sleep 300 & echo so far; echo $! > pid; wait"], cwd=tmp_path, timeout=0.5)
    assert (done.code, done.end, done.stdout) == (124, ProcessEnd.TIMED_OUT, b"so far\n")
    assert "longer than 0.5 s" in done.detail
    until(lambda: gone(pid_in(tmp_path / "pid")))


def test_a_daemon_that_keeps_the_pipes_holds_nobody_up(tmp_path: Path) -> None:
    began = time.monotonic()
    done = capture(["bash", "-c", "sleep 300 & echo $! > pid; echo done"], cwd=tmp_path, timeout=60)
    assert (done.code, done.stdout) == (0, b"done\n")
    assert time.monotonic() - began < 10
    daemon = pid_in(tmp_path / "pid")
    assert not gone(daemon)  # ssh's and credential daemons are meant to stay
    os.kill(daemon, signal.SIGKILL)
    until(lambda: gone(daemon), "the daemon's end")


def test_it_has_no_terminal_to_ask_a_question_on() -> None:
    assert capture(["sh", "-c", "cat < /dev/tty"], timeout=20).code != 0


def test_an_interrupt_ends_the_command(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt(*_: object) -> None:
        if pid.exists() and pid.read_text().endswith("\n"):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            capture(["bash", "-c", "echo $$ > pid; exec sleep 300"], cwd=tmp_path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert gone(pid_in(pid))


def test_a_detached_program_leads_its_session_and_writes_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    pid = detach(["bash", "-c", "echo out; echo err >&2; ps -o sid= -p $$ | tr -d ' '"], log=log)
    assert os.waitpid(pid, 0)[1] == 0
    assert log.read_text() == f"before\nout\nerr\n{pid}\n"


def test_a_detached_program_gets_the_descriptors_it_is_to_hold_and_no_other(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    pid = detach(["bash", "-c", f"echo held >&{writing}; ls /proc/self/fd > {tmp_path}/fds"], pass_fds=[writing])
    os.close(writing)
    assert os.waitpid(pid, 0)[1] == 0
    assert os.read(reading, 99) == b"held\n"
    assert str(reading) not in (tmp_path / "fds").read_text().split()
    os.close(reading)


def test_the_exit_status_of_a_detached_program_is_left_to_whoever_waits_for_it() -> None:
    pid = detach(["sh", "-c", "exit 5"])
    until(lambda: gone(pid))
    subprocess.run(["true"], check=True)  # subprocess reaps forgotten children of its own at each start
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5


def test_a_detached_program_that_can_not_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotStarted, match="no such program"):
        detach(["no-such-program"], log=tmp_path / "log")
