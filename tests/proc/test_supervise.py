"""One program under watch: how it ends is told exactly, whatever it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import Run, gone, until

from orchestrator.core.outcome import ProcessEnd, StopRequest
from orchestrator.proc import awake, tree
from orchestrator.proc.command import Command, Limits
from orchestrator.proc.supervise import run as supervise

IGNORING_TERM = "trap '' TERM; echo ready; : > up; while :; do sleep 0.05; done"


def once_ready(run: Run, *requests: StopRequest) -> Callable[[], StopRequest | None]:
    """A pump that begins to ask once the program ignores what it is asked."""
    asked = iter(requests)
    return lambda: next(asked, None) if run.out else None


def descriptors() -> set[int]:
    """What is open here; the one that lists them is among them both times."""
    with os.scandir("/proc/self/fd") as entries:
        return {int(entry.name) for entry in entries}


def test_a_program_that_ends_well_gives_its_output_and_code_0(run: Run) -> None:
    finished = run("echo out; echo err >&2")
    assert (finished.end, finished.code, finished.signal, finished.detail) == (ProcessEnd.EXITED, 0, None, "")
    assert bytes(run.out) == b"out\nerr\n"


def test_stderr_is_kept_apart_where_it_has_a_sink_of_its_own(run: Run) -> None:
    run("echo out; echo err >&2", separate=True)
    assert (bytes(run.out), bytes(run.err)) == (b"out\n", b"err\n")


def test_one_more_pipe_has_its_number_in_a_variable_and_what_is_written_there_is_kept_apart(run: Run) -> None:
    before = descriptors()
    run("echo out; echo aside >&$TOLD; (echo child >&$TOLD)", aside="TOLD")
    assert (bytes(run.out), bytes(run.aside)) == (b"out\n", b"aside\nchild\n")
    run("cat >&$TOLD", aside="TOLD", stdin=b"fed", separate=True)
    assert bytes(run.aside) == b"aside\nchild\nfed"
    assert descriptors() == before


def test_what_is_written_aside_is_output_and_counts_as_that(run: Run) -> None:
    finished = run("echo out; yes >&$TOLD", Limits(output=1000), aside="TOLD")
    assert (finished.end, len(run.out) + len(run.aside)) == (ProcessEnd.OUTPUT_LIMIT, 1000)
    assert run("exit 3", argv=("no-such-program",), aside="TOLD").end is ProcessEnd.NOT_STARTED


def test_time_in_which_its_watcher_stood_still_is_none_of_the_program(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that was paused, or a frozen cgroup: the program had stood still as well."""
    stood = 0.0
    goes_on = tmp_path / "goes on"

    def freeze() -> None:
        nonlocal stood
        if run.pids and not stood:
            stood = 3600.0
            goes_on.touch()

    monkeypatch.setattr(awake, "monotonic", lambda: time.monotonic() + stood)
    script = f"until [ -e '{goes_on}' ]; do sleep 0.05; done; sleep 0.5; echo done"
    finished = run(script, Limits(seconds=60, idle=60), pump=freeze)
    assert (finished.end, bytes(run.out)) == (ProcessEnd.EXITED, b"done\n")
    assert finished.seconds < 60


def test_an_exit_code_and_a_signal_are_told_apart(run: Run) -> None:
    failed = run("exit 3")
    assert (failed.end, failed.code, failed.signal, failed.detail) == (ProcessEnd.EXITED, 3, None, "it exited with 3")
    killed = run("kill -SEGV $$")
    assert (killed.end, killed.code, killed.signal) == (ProcessEnd.SIGNALLED, None, signal.SIGSEGV)
    assert killed.detail == "it was ended by SIGSEGV"


def test_a_real_time_signal_has_a_number_instead_of_a_name(run: Run) -> None:
    assert run("kill -40 $$").detail == "it was ended by signal 40"


def test_the_program_sees_its_folder_its_environment_and_no_other(run: Run) -> None:
    run("pwd; env", env={"PATH": os.environ["PATH"], "ONLY": "this"})
    seen = run.out.decode().splitlines()
    assert seen[0] == str(run.folder)
    assert {line.split("=")[0] for line in seen[1:]} <= {"PATH", "ONLY", "PWD", "SHLVL", "_", "OLDPWD"}


def test_stdin_is_at_its_end_unless_something_is_given(run: Run) -> None:
    run("cat; echo end")
    assert bytes(run.out) == b"end\n"


def test_stdin_larger_than_a_pipe_arrives_whole_while_output_flows(run: Run) -> None:
    data = os.urandom(1_500_000)
    assert run("cat", stdin=data).code == 0
    assert bytes(run.out) == data


def test_a_program_that_does_not_read_its_stdin_is_no_error(run: Run) -> None:
    assert run("exec 0<&-; echo ok", stdin=b"x" * 1_000_000).code == 0
    assert bytes(run.out) == b"ok\n"


def test_a_deadline_ends_it_with_term(run: Run) -> None:
    script = "trap 'echo bye; exit 7' TERM; : > up; while :; do sleep 0.05; done"
    finished = run(script, Limits(seconds=0.3), separate=True, ready="up")
    assert (finished.end, finished.code) == (ProcessEnd.TIMED_OUT, 7)
    assert bytes(run.out) == b"bye\n"
    assert finished.detail == "ended after its time limit of 0.3 s"


def test_one_that_ignores_term_is_killed_after_its_grace(run: Run) -> None:
    finished = run(IGNORING_TERM, Limits(seconds=0.3, grace=0.2), ready="up")
    assert (finished.end, finished.signal) == (ProcessEnd.TIMED_OUT, signal.SIGKILL)
    assert finished.seconds >= 0.5


def test_a_stopped_process_is_ended_too(run: Run) -> None:
    finished = run("kill -STOP $$", Limits(seconds=0.3, grace=60))
    assert (finished.end, finished.signal) == (ProcessEnd.TIMED_OUT, signal.SIGTERM)
    assert finished.seconds < 30


def test_silence_ends_it_and_output_keeps_it_alive(run: Run) -> None:
    script = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.4; done; sleep 60"
    finished = run(script, Limits(idle=2))
    assert finished.end is ProcessEnd.STALLED
    assert bytes(run.out).split()[-1] == b"6"
    assert finished.detail == "ended after 2 s without output"


def test_a_pump_slower_than_the_idle_limit_does_not_make_a_talking_program_silent(run: Run) -> None:
    def slow() -> None:
        time.sleep(1.2)

    assert run("for i in {1..20}; do echo $i; sleep 0.1; done", Limits(idle=1), pump=slow).end is ProcessEnd.EXITED


def test_output_over_the_limit_ends_it_and_not_a_byte_more_gets_through(run: Run) -> None:
    finished = run("head -c 1000000000 /dev/zero; sleep 60", Limits(output=16 * 1024 * 1024))
    assert finished.end is ProcessEnd.OUTPUT_LIMIT
    assert len(run.out) == 16 * 1024 * 1024
    assert "16777216 bytes" in finished.detail


def test_the_limit_counts_both_streams_together(run: Run) -> None:
    finished = run("head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; sleep 60", Limits(output=100_000), separate=True)
    assert finished.end is ProcessEnd.OUTPUT_LIMIT
    assert len(run.out) + len(run.err) == 100_000


def test_one_that_prints_too_much_and_ends_at_once_is_still_over_the_limit(run: Run) -> None:
    assert run("head -c 5000 /dev/zero", Limits(output=4999)).end is ProcessEnd.OUTPUT_LIMIT
    assert run("head -c 4999 /dev/zero", Limits(output=4999)).end is ProcessEnd.EXITED


def test_output_beyond_memory_limits_streams_through(run: Run) -> None:
    total = 0

    def count(data: bytes) -> None:
        nonlocal total
        total += len(data)

    command = Command(("head", "-c", "200000000", "/dev/zero"), run.folder, dict(os.environ))
    assert supervise(command, Limits(), sink=count, pump=lambda: None).code == 0
    assert total == 200_000_000


def test_a_stop_request_is_followed_within_half_a_second(run: Run) -> None:
    requests = iter([None, StopRequest.RELEASE])
    finished = run("sleep 60", pump=lambda: next(requests, None))
    assert (finished.end, finished.request, finished.signal) == (ProcessEnd.STOPPED, StopRequest.RELEASE, signal.SIGTERM)
    assert finished.seconds < 20


def test_a_kill_request_leaves_no_grace(run: Run) -> None:
    finished = run(IGNORING_TERM, Limits(grace=60), pump=once_ready(run, StopRequest.KILL))
    assert (finished.end, finished.signal, finished.request) == (ProcessEnd.STOPPED, signal.SIGKILL, StopRequest.KILL)


def test_a_second_request_to_kill_shortens_the_grace_of_the_first(run: Run) -> None:
    requests = [StopRequest.RELEASE, StopRequest.RELEASE, StopRequest.KILL]
    finished = run(IGNORING_TERM, Limits(grace=60), pump=once_ready(run, *requests))
    assert (finished.signal, finished.request) == (signal.SIGKILL, StopRequest.RELEASE)


def test_a_request_before_the_start_starts_nothing(run: Run) -> None:
    finished = run("touch started", pump=lambda: StopRequest.BLOCK)
    assert (finished.end, finished.request, finished.code) == (ProcessEnd.STOPPED, StopRequest.BLOCK, None)
    assert not (run.folder / "started").exists()
    assert run.pids == []


def test_the_pump_is_called_all_along_also_under_a_flood_of_output(run: Run) -> None:
    requests = iter([None] * 5)
    finished = run("yes", Limits(seconds=60), pump=lambda: next(requests, StopRequest.RELEASE))
    assert finished.end is ProcessEnd.STOPPED
    assert finished.seconds < 20  # five times 0.25 s, and what a noisy machine adds to it


@pytest.mark.parametrize("callback", ["sink", "pump", "on_start"])
def test_an_exception_from_a_callback_ends_the_program_and_is_passed_on(run: Run, callback: str) -> None:
    pids: list[int] = []

    def fail(*_: object) -> None:
        if pids:
            raise LookupError(callback)

    def started(pid: int) -> None:
        pids.append(pid)
        if callback == "on_start":
            fail()

    command = Command(("bash", "-c", "echo hi; sleep 60 & sleep 61"), run.folder, dict(os.environ))
    calls = {"sink": lambda _: None, "pump": lambda: None} | ({callback: fail} if callback != "on_start" else {})
    with pytest.raises(LookupError, match=callback):
        supervise(command, Limits(), on_start=started, **calls)  # type: ignore[arg-type]
    assert gone(pids[0])


def test_one_that_closes_its_output_and_lives_on_is_waited_for(run: Run) -> None:
    finished = run("exec >&- 2>&-; sleep 0.3; exit 5")
    assert (finished.end, finished.code) == (ProcessEnd.EXITED, 5)
    assert finished.seconds >= 0.3


def test_one_that_closed_its_output_still_has_a_deadline(run: Run) -> None:
    assert run("exec >&- 2>&-; sleep 60", Limits(seconds=0.2)).end is ProcessEnd.TIMED_OUT


def test_the_last_words_of_a_process_substitution_are_heard(run: Run) -> None:
    run("exec > >(sleep 0.1; cat); echo METRIC left=1")
    assert bytes(run.out) == b"METRIC left=1\n"


def test_a_grandchild_that_keeps_the_pipe_open_holds_nobody_up(run: Run) -> None:
    finished = run("sleep 60 & echo $! > stray; echo done")
    assert (finished.end, finished.code, finished.strays) == (ProcessEnd.EXITED, 0, 1)
    assert finished.seconds < 10
    assert bytes(run.out) == b"done\n"
    assert gone(run.pid("stray"))
    assert finished.detail == "it left 1 process behind, now ended"


def test_a_grandchild_that_never_stops_printing_holds_nobody_up(run: Run) -> None:
    finished = run("yes & exit 0", Limits(output=10**12))
    assert finished.end is ProcessEnd.EXITED
    assert finished.seconds < 15


def test_the_rest_of_a_group_has_the_same_grace_after_its_leader_ended(run: Run) -> None:
    script = "(trap 'sleep 0.3; echo saved > saved; exit' TERM; : > up; while :; do sleep 0.02; done) & echo up; wait"
    finished = run(script, Limits(idle=0.3, grace=20), ready="up")
    assert finished.end is ProcessEnd.STALLED
    assert (run.folder / "saved").exists()
    assert finished.seconds < 15


@pytest.mark.parametrize(
    ("make", "argv", "sentence"),
    [
        (None, ("no-such-program",), "no such program on PATH"),
        (None, ("./missing",), "no such program"),
        (None, (), "There is no command"),
        (None, ("/",), "it is a folder"),
        (("plain", "#!/bin/sh\n", 0o644), ("./plain",), "it is not executable"),
        (("bad", "#!/no/such/interpreter -x\n", 0o755), ("./bad",), "'/no/such/interpreter', does not exist"),
        (("dos", "#!/bin/sh\r\necho hi\r\n", 0o755), ("./dos",), r"'/bin/sh\r', does not exist"),
        (("odd", "no shebang\n", 0o755), ("./odd",), "neither a binary of this machine nor a script"),
        (None, ("true", "a\0b"), "null byte"),
        (None, ("true", "\ud800"), "surrogates not allowed"),
        (None, ("true", "x" * 3_000_000), "too large for the system"),
    ],
)
def test_what_can_not_be_started_is_a_result_with_a_sentence(
    run: Run, make: tuple[str, str, int] | None, argv: tuple[str, ...], sentence: str
) -> None:
    if make:
        (run.folder / make[0]).write_text(make[1])
        (run.folder / make[0]).chmod(make[2])
    finished = supervise(
        Command(argv, run.folder, dict(os.environ)), Limits(), sink=run.out.extend, pump=lambda: None, on_start=run.pids.append
    )
    assert (finished.end, finished.code) == (ProcessEnd.NOT_STARTED, None)
    assert sentence in finished.detail
    assert run.pids == []


def test_a_missing_working_directory_is_named(run: Run) -> None:
    command = Command(("true",), run.folder / "nowhere", dict(os.environ))
    finished = supervise(command, Limits(), sink=run.out.extend, pump=lambda: None)
    assert finished.end is ProcessEnd.NOT_STARTED
    assert f"{run.folder}/nowhere is missing" in finished.detail


def test_no_descriptor_of_ours_is_open_in_the_program_or_left_open_here(run: Run, tmp_path: Path) -> None:
    ours = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(ours, True)
    before = descriptors()
    run("ls /proc/self/fd", stdin=b"")
    run("exit 1", separate=True)
    run("", argv=("no-such-program",), stdin=b"x")
    assert descriptors() == before
    os.close(ours)
    assert run.out.split() == [b"0", b"1", b"2", b"3"]  # 3 is the folder that ls reads


FULL = """
import os, resource, sys
from pathlib import Path
sys.path[:0] = %r
from support.processes import Run
from orchestrator.proc.spawn import Shortage
run = Run(Path.cwd())
run("cat", stdin=b"x", separate=True)  # imports what it needs while there are descriptors
before = sorted(os.listdir("/proc/self/fd"))
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
for spare in range(1, 15):
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, before)) + spare, hard))
    try:
        finished = run("cat", stdin=b"x", separate=True)
        print(finished.end, finished.code, finished.detail)
    except Shortage as error:
        print(error)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
assert sorted(os.listdir("/proc/self/fd")) == before
"""


def test_running_out_of_descriptors_is_no_result_and_leaks_none(run: Run) -> None:
    tests = [path for path in sys.path if path]
    argv = [sys.executable, "-W", "error", "-c", FULL % tests]
    done = subprocess.run(argv, cwd=run.folder, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    ends = done.stdout.splitlines()
    assert ends[0] == "'bash' can't be started: this process has too many files open."
    assert ends[-1] == "exited 0 "


def test_an_ignored_sigchld_does_not_lose_the_exit_code(run: Run) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run("exit 4").code == 4
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_children_from_before_the_run_are_left_alone(run: Run) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as mine:
        assert run("setsid sleep 60 & exit 0").strays == 1
        assert mine.poll() is None
        mine.kill()


def test_a_child_reaped_by_someone_else_in_this_process_is_told_as_unknown(run: Run) -> None:
    def thief(_: bytes) -> None:
        os.waitpid(run.pids[0], 0)

    command = Command(("bash", "-c", "(sleep 0.1; echo) & exit 3"), run.folder, dict(os.environ))
    finished = supervise(command, Limits(), sink=thief, pump=lambda: None, on_start=run.pids.append)
    assert (finished.end, finished.code, finished.signal) == (ProcessEnd.EXITED, None, None)
    assert "unknown status" in finished.detail


def test_orphans_that_die_while_the_program_runs_are_reaped_then(run: Run) -> None:
    """In a session of an hour they would fill the table of processes."""
    told = run.folder / "orphans"
    born = f"for n in 1 2 3 4 5 6 7 8 9; do (sh -c 'echo $$ >> {told}' &); done; until [ $(grep -c . {told}) = 9 ]; do sleep 0.05; done"
    script = f"touch {told}; {born}; for pid in $(cat {told}); do while [ -e /proc/$pid ]; do sleep 0.05; done; done"
    with subprocess.Popen(["true"]) as other:  # dead already, and somebody will ask for its code
        until(lambda: os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG), "it is dead")
        finished = run(script, Limits(seconds=60))
    assert (finished.end, finished.strays, other.returncode) == (ProcessEnd.EXITED, 0, 0)


def test_being_a_subreaper_ends_with_the_run(run: Run) -> None:
    tree._prctl(tree.PR_SET_CHILD_SUBREAPER, 0)  # a worker that ran in this process before has left it one
    before = tree.children()
    run("true")
    with tree.subreaper() as can:
        assert can
    orphan = run.folder / "orphan"
    subprocess.run([sys.executable, "-S", "-c", f"import os\nif not os.fork(): open({str(orphan)!r}, 'w')"], check=True)
    assert not tree.children() - before


def test_the_end_is_told_once_with_all_that_was_written_before_it_and_nothing_of_later(tmp_path: Path) -> None:
    heard: list[bytes] = []
    ends: list[bytes] = []
    late = "(until grep -q '^State:.Z' /proc/$$/status; do :; done; sleep 0.05; echo late) & yes | head -c 60000"
    command = Command(("sh", "-c", late), cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    supervise(command, Limits(), sink=heard.append, pump=lambda: None, on_exit=lambda: ends.append(b"".join(heard)))
    assert ends == [b"y\n" * 30000]
    assert b"".join(heard).endswith(b"late\n")
