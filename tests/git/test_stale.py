from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.git import stale


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "index.lock"
    path.touch()
    os.utime(path, (1000, 1000))
    return path


def test_a_lock_that_is_gone_is_cleared(tmp_path: Path) -> None:
    assert stale.clear(tmp_path / "none")


def test_an_old_one_of_nobody_is_removed(lock: Path) -> None:
    assert stale.clear(lock, now=1000 + stale.OLD_ENOUGH)
    assert not lock.exists()


def test_a_young_one_stays(lock: Path) -> None:
    assert not stale.clear(lock, now=1000 + stale.OLD_ENOUGH - 1)
    assert lock.exists()


def test_one_from_a_clock_that_was_set_back_is_removed(lock: Path) -> None:
    """Its age would be less than ten seconds for as long as the clock had been ahead."""
    assert stale.clear(lock, now=1000 - stale.FUTURE)
    assert not lock.exists()


def test_one_of_a_disk_whose_clock_is_a_little_ahead_is_young(lock: Path) -> None:
    assert not stale.clear(lock, now=1000 - stale.FUTURE + 1)


def test_without_proc_it_stays(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stale, "PROC", tmp_path / "none")
    assert not stale.clear(lock)


def test_an_old_one_stays_while_a_git_is_at_work_in_the_checkout(lock: Path, top: Path) -> None:
    """`git commit` closes its lock while the person writes the message."""
    (top / "one").write_text("edited")
    environment = {**os.environ, "GIT_EDITOR": "echo ready; cat >&2; false"}
    person = subprocess.Popen(
        ["git", "commit", "-a"],
        cwd=top,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert person.stdout is not None
    assert person.stdin is not None
    assert b"ready" in person.stdout.readline()
    theirs = top / ".git" / "index.lock"
    assert theirs.exists()
    os.utime(theirs, (1000, 1000))
    assert not stale.clear(theirs, near=top)
    person.stdin.close()
    person.stdout.read()
    person.stdout.close()
    person.wait()
    assert stale.clear(lock, near=top)


def test_a_program_whose_name_is_no_text_is_none_of_git_s(lock: Path, top: Path) -> None:
    """The kernel cuts names after 15 bytes, in the middle of a letter too."""
    named = "open('/proc/self/comm', 'wb').write(b'orch fix-t\\xc3'); print('ready', flush=True); input()"
    program = subprocess.Popen([sys.executable, "-c", named], cwd=top, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert program.stdout is not None
    assert b"ready" in program.stdout.readline()
    try:
        assert stale.clear(lock, near=top)
    finally:
        program.communicate(b"\n")
