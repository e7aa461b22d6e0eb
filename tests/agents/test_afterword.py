"""The file in which a program says how it ended, printed after it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.agents import reading


def told(file: Path | str, *argv: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(reading.told_after(str(file), *argv), cwd=cwd, capture_output=True, check=False)


def test_the_file_follows_as_one_line_with_its_long_texts_cut_and_the_exit_code_is_kept(tmp_path: Path) -> None:
    said = {"info": {"status": "done"}, "messages": [{"content": "x" * 100_000}], "traceback": "…"}
    (tmp_path / "said").write_text(json.dumps(said, indent=1))
    done = told(tmp_path / "out", "sh", "-c", "echo working; cp said out; exit 3", cwd=tmp_path)
    *before, last = done.stdout.splitlines()
    assert before[0] == b"working"
    assert json.loads(last) == {"info": {"status": "done"}, "messages": [{"content": "x" * 400}]}
    assert done.returncode == 3


def test_what_was_there_before_or_is_broken_is_not_told(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("{}")
    os.utime(old, (time.time() - 60, time.time() - 60))
    assert told(old, "true", cwd=tmp_path).stdout == b""
    assert told(tmp_path / "torn", "sh", "-c", "echo '{' > torn", cwd=tmp_path).stdout == b""
    assert told(tmp_path / "none", "true", cwd=tmp_path).stdout == b""


def test_of_several_the_newest_that_names_this_folder_is_told(tmp_path: Path) -> None:
    here = tmp_path.resolve()
    script = f'mkdir -p a b c; echo \'{{"in": "{here}"}}\' > a/s; sleep 0.02; echo \'{{"in": "/else"}}\' > b/s; echo no > c/s'
    done = told(tmp_path / "*" / "s", "sh", "-c", script, cwd=here)
    assert json.loads(done.stdout) == {"in": str(here)}


def test_a_program_that_is_not_there_and_one_that_was_killed_end_as_a_shell_would_say(tmp_path: Path) -> None:
    assert told(tmp_path / "x", "no-such-program", cwd=tmp_path).returncode == 127
    assert told(tmp_path / "x", sys.executable, "-c", "import os; os.kill(os.getpid(), 9)", cwd=tmp_path).returncode == 137
