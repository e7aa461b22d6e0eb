"""Whatever a program starts is found and ended, however it tried to get away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.processes import Run, gone, pid_in, until

from orchestrator.core.outcome import ProcessEnd
from orchestrator.proc import identity, tree
from orchestrator.proc.command import Limits
from orchestrator.proc.table import descendants, members, table

Start = Callable[..., subprocess.Popen[bytes]]

ESCAPES = {
    "in the background": "sleep 300 & echo $! > stray",
    "in its own session": "setsid bash -c 'echo $$ > stray; exec sleep 300' >/dev/null 2>&1 &",
    "by a double fork": "(setsid bash -c '(echo $BASHPID > stray; exec sleep 300) & exit 0' &) >/dev/null 2>&1",
    "ignoring every signal it can": "setsid bash -c 'trap \"\" TERM HUP INT; echo $$ > stray; while :; do sleep 300; done' &",
    "with an empty environment": "env -i setsid sh -c 'echo $$ > stray; exec sleep 300' >/dev/null 2>&1 &",
    "below a parent of its own": "setsid bash -c 'bash -c \"echo \\$\\$ > stray; sleep 300; :\"; :' &",
    "stopped": "setsid bash -c 'echo $$ > stray; kill -STOP $$' &",
}
DAEMON = """
import os, sys, time
for _ in range(2):
    if os.fork(): os._exit(0)
    os.setsid()
for d in range(3): os.close(d)
open(sys.argv[1], "w").write(f"{os.getpid()}\\n")
time.sleep(300)
"""
BREEDER = """
import os, time
end = time.monotonic() + 30
while time.monotonic() < end:  # every one leaves its group, forks and dies
    os.setsid() if os.getpid() != os.getsid(0) else None
    if os.fork(): os._exit(0)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a bash script in a session of its own; whatever is left of it is killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def launch(script: str, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["bash", "-c", script], cwd=tmp_path, env={**os.environ, **env}, start_new_session=True, stderr=subprocess.DEVNULL
        )
        started.append(process)
        return process

    yield launch
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("how", ESCAPES)
def test_no_descendant_outlives_its_program(run: Run, how: str) -> None:
    finished = run(ESCAPES[how] + "\nuntil [ -s stray ]; do sleep 0.01; done; exit 9")
    assert (finished.end, finished.code) == (ProcessEnd.EXITED, 9)
    assert finished.strays >= 1
    assert gone(run.pid("stray"))


def test_a_daemon_is_ended(run: Run) -> None:
    wait = f"until [ -s {run.folder}/stray ]; do sleep 0.01; done"
    finished = run(f"{sys.executable} -S -c '{DAEMON}' {run.folder}/stray; {wait}")
    assert finished.strays == 1
    assert gone(run.pid("stray"))


def test_strays_are_ended_after_a_time_out_too(run: Run) -> None:
    limits = Limits(seconds=0.5, grace=0.1)
    finished = run(ESCAPES["ignoring every signal it can"] + "\nsleep 300", limits, ready="stray")
    assert finished.end is ProcessEnd.TIMED_OUT
    assert gone(run.pid("stray"))


def test_a_hundred_forked_children_are_ended(run: Run) -> None:
    finished = run("for i in $(seq 100); do sleep 300 & done; exit 0")
    assert finished.strays == 100
    assert finished.seconds < 60


def test_one_that_forks_and_dies_for_ever_is_caught(run: Run) -> None:
    finished = run(f"{sys.executable} -S -c '{BREEDER}' & sleep 0.3")
    assert finished.end is ProcessEnd.EXITED
    assert finished.seconds < 30


def test_a_sweep_with_nothing_to_do_finds_nothing() -> None:
    assert tree.sweep(exclude=tree.children()) == tree.Swept()


def test_descendants_are_listed_parents_first_and_without_the_excluded(start: Start, tmp_path: Path) -> None:
    process = start("bash -c 'sleep 300 & echo $! > inner; wait' & echo $! > outer; wait")
    inner, outer = pid_in(tmp_path / "inner"), pid_in(tmp_path / "outer")
    assert [child.pid for child in descendants(process.pid)] == [outer, inner]
    assert descendants(process.pid, exclude={outer}) == ()
    assert process.pid in tree.children()
    assert {member.pid for member in members(process.pid)} == {process.pid, outer, inner}


def test_a_program_name_full_of_parentheses_does_not_confuse_the_table(start: Start, tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to("/bin/sleep")
    process = start(f"exec '{odd}' 300")
    until(lambda: b") R 1 (" in Path(f"/proc/{process.pid}/stat").read_bytes())
    found = table()[process.pid]
    assert (found.parent, found.group, found.session) == (os.getpid(), process.pid, process.pid)


def test_what_a_dead_owner_left_is_found_by_its_mark_with_all_below_it(start: Start, tmp_path: Path) -> None:
    mark = tmp_path.name
    script = "setsid sleep 300 & echo $! > tool; env -i sh -c 'echo $$ > bare; exec sleep 300' & wait"
    owner = start(script, ORCH_MARK=mark)
    other = start("echo $$ > other; exec sleep 300", ORCH_MARK=mark + "2")
    pids = {owner.pid, pid_in(tmp_path / "tool"), pid_in(tmp_path / "bare")}
    pid_in(tmp_path / "other")
    ended = tree.end_marked(mark)
    assert pids <= set(ended)
    assert all(gone(pid) for pid in pids)
    assert not gone(other.pid)
    assert tree.end_marked(mark) == ()


def test_one_that_is_dying_and_shows_no_mark_any_more_is_waited_for(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start("echo $$ > up; exec sleep 300", ORCH_MARK=tmp_path.name)
    pid_in(tmp_path / "up")
    found = iter([tree.marked(tmp_path.name)])
    monkeypatch.setattr(tree, "marked", lambda _mark: next(found, ()))
    monkeypatch.setattr(tree, "_kill", lambda living, kill=tree._kill: living and threading.Timer(0.3, kill, [living]).start())
    assert tree.end_marked(tmp_path.name, seconds=60) == (process.pid,)
    assert gone(process.pid)


def test_an_orphan_of_a_marked_session_is_found_though_it_dropped_the_mark(start: Start, tmp_path: Path) -> None:
    start("(env -i sh -c 'echo $$ > orphan; exec sleep 300' &); sleep 300", ORCH_MARK=tmp_path.name)
    orphan = pid_in(tmp_path / "orphan")
    assert orphan in tree.end_marked(tmp_path.name)
    assert gone(orphan)


def test_a_process_that_carries_the_mark_itself_spares_itself_and_those_above() -> None:
    script = "import os; from orchestrator.proc import tree; print(tree.end_marked('own'), flush=True)"
    argv = ["bash", "-c", f'{sys.executable} -c "{script}"; echo survived']
    done = subprocess.run(argv, env={**os.environ, "ORCH_MARK": "own"}, capture_output=True, check=True, timeout=60)
    assert done.stdout == b"()\nsurvived\n"


def test_ending_a_process_gives_it_its_grace(start: Start, tmp_path: Path) -> None:
    process = start("trap 'echo 1 > saved; exit 0' TERM; echo $$ > up; while :; do sleep 0.02; done")
    who = identity.of(pid_in(tmp_path / "up"))
    assert who is not None
    assert tree.end_process(who, grace=20)
    assert (tmp_path / "saved").exists()
    assert process.wait() == 0


def test_ending_a_process_that_ignores_term_takes_its_tools_with_it(start: Start, tmp_path: Path) -> None:
    process = start("trap '' TERM; setsid sleep 300 & echo $! > tool; while :; do sleep 300; done")
    tool, who = pid_in(tmp_path / "tool"), identity.of(process.pid)
    assert who is not None
    assert tree.end_process(who, grace=0.1)
    assert process.wait() == -signal.SIGKILL
    until(lambda: gone(tool))


@pytest.mark.parametrize("change", [{"start": 1.0}, {"boot": "another"}, {"host": "elsewhere"}])
def test_another_process_of_the_same_pid_is_never_touched(start: Start, change: dict[str, object]) -> None:
    process = start("exec sleep 300")
    who = identity.of(process.pid)
    assert who is not None
    ended = tree.end_process(replace(who, **change), grace=0)  # type: ignore[arg-type]
    assert ended is ("host" not in change)
    assert process.poll() is None


def test_a_system_without_proc_is_read_through_psutil(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start("echo $$ > up; exec sleep 300", ORCH_MARK="elsewhere")
    pid_in(tmp_path / "up")
    monkeypatch.setattr(identity, "PROC", tmp_path / "no-proc")
    found = table()[process.pid]
    assert (found.parent, found.group, found.zombie) == (os.getpid(), process.pid, False)
    assert [carrier.pid for carrier in tree.marked("elsewhere")] == [process.pid]
    assert identity.of(process.pid) == identity.of(process.pid) is not None
    assert identity.of(2**22 + 1) is None
    assert tree.end_marked("elsewhere") == (process.pid,)
    assert process.wait() == -signal.SIGKILL


def test_where_there_are_no_handles_for_processes_pids_serve(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    process = start("trap '' TERM; echo $$ > up; while :; do sleep 0.05; done")
    who = identity.of(pid_in(tmp_path / "up"))
    assert who is not None
    assert tree.end_process(who, grace=0.1)
    assert process.wait() == -signal.SIGKILL
    finished = run("setsid sleep 300 & echo hi; exit 6")
    assert (finished.code, finished.strays, bytes(run.out)) == (6, 1, b"hi\n")


def test_where_orphans_are_not_handed_over_the_mark_finds_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "_prctl", lambda *_: False)
    env = {**os.environ, "ORCH_MARK": run.folder.name}
    finished = run(ESCAPES["in its own session"] + "\nuntil [ -s stray ]; do sleep 0.01; done", env=env)
    stray = run.pid("stray")
    assert finished.strays >= 1
    until(lambda: gone(stray))


def test_a_sweep_does_not_wait_for_ever(start: Start) -> None:
    began = time.monotonic()
    start("exec sleep 300")
    assert tree.sweep(exclude=tree.children(), seconds=0.0).left == ()
    assert time.monotonic() - began < 5
