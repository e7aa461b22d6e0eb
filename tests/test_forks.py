"""A command that is forked from the server of the tests is in everything a test can see what a fresh interpreter is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import forks
from support.processes import until

BOTH = pytest.mark.parametrize("fresh", [False, True], ids=["forked", "fresh"])


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tasks/pending").mkdir(parents=True)
    return {**os.environ, "ORCH_TASKS": str(tmp_path / "tasks"), "FORKED": "so"}


@pytest.fixture
def loop(tmp_path: Path, env: dict[str, str], fresh: bool) -> Iterator[subprocess.Popen[str]]:
    """A loop with nothing to do, that has said so."""
    process = forks.start(
        ["--loop"], fresh=fresh, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert f"Watching {tmp_path}/tasks/pending." in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("args", "code"), [(["--version"], 0), (["list"], 0), (["show", "nobody"], 1), (["--nonsense"], 2), (["--help"], 0)]
)
def test_it_prints_and_ends_as_a_fresh_one_does(tmp_path: Path, env: dict[str, str], args: list[str], code: int) -> None:
    forked, fresh = (forks.run(args, fresh=fresh, cwd=tmp_path, env=env, timeout=60) for fresh in (False, True))
    assert (forked.returncode, forked.stdout, forked.stderr) == (code, fresh.stdout, fresh.stderr)
    assert fresh.returncode == code
    assert forked.stdout or forked.stderr


@BOTH
def test_the_system_shows_its_own_environment_arguments_folder_and_session(tmp_path: Path, loop: subprocess.Popen[str]) -> None:
    place = Path(f"/proc/{loop.pid}")
    assert {f"ORCH_TASKS={tmp_path}/tasks".encode(), b"FORKED=so"} <= set((place / "environ").read_bytes().split(b"\0"))
    assert {b"orchestrator", b"--loop"} <= set((place / "cmdline").read_bytes().split(b"\0"))
    assert (place / "cwd").readlink() == tmp_path
    assert os.getsid(loop.pid) == loop.pid


@BOTH
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_how_a_signal_ends_it(loop: subprocess.Popen[str], number: int, code: int) -> None:
    assert loop.poll() is None
    loop.send_signal(number)
    assert loop.wait(60) == code
    assert loop.poll() == code


@BOTH
def test_who_waits_too_short_is_told(loop: subprocess.Popen[str]) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        loop.wait(0.01)
    loop.terminate()
    assert loop.wait(60) == 0


@BOTH
def test_a_file_that_is_handed_over_keeps_its_number(tmp_path: Path, env: dict[str, str], fresh: bool) -> None:
    with (tmp_path / "kept").open("w") as kept:
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "pass_fds": (kept.fileno(),)}
        with forks.start(["--loop"], fresh=fresh, cwd=tmp_path, env=env, **given) as process:
            assert process.stdout is not None
            process.stdout.readline()
            until(lambda: Path(f"/proc/{process.pid}/fd/{kept.fileno()}").readlink() == tmp_path / "kept", "the file")
            process.kill()


INTERRUPTED = """
import coverage, os
measured = coverage.Coverage(config_file="pyproject.toml", data_file=None)
measured.start()
measured._collector.data_lock.acquire()  # as an interrupt leaves it that comes between the taking and the giving back
import orchestrator.core.limits
print("goes on", flush=True)
os._exit(0)
"""


def test_what_is_measured_goes_on_after_an_interrupt() -> None:
    top = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=top, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("goes on\n", "")
