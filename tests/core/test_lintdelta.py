from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.core import lintdelta
from orchestrator.core.lintdelta import Finding


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("a.py:3:1: F401 unused", Finding("a.py", 3, "F401 unused")),
        ("/top/src/a.py:3: error: Wrong  [code]", Finding("src/a.py", 3, "error: Wrong  [code]")),
        ("./a.c:3:1: warning: x", Finding("a.c", 3, "warning: x")),
        ("/top/a.js: line 3, col 7, Error - Missing semicolon. (semi)", Finding("a.js", 3, "Error - Missing semicolon. (semi)")),
        ("/top/a.js:3:7: Missing semicolon. [Error/semi]", Finding("a.js", 3, "Missing semicolon. [Error/semi]")),
        ("src/a.ts(3,5): error TS2304: Cannot find name", Finding("src/a.ts", 3, "error TS2304: Cannot find name")),
        ("F401 [*] unused\n --> a.py:3:8\n  |\n3 | import os", Finding("a.py", 3, "F401 [*] unused")),
    ],
)
def test_what_linters_print_is_understood(line: str, found: Finding) -> None:
    assert lintdelta.read(f"Checking …\n{line}\n\nFound 1 error.\n", "/top") == (found,)


def at(path: str, line: int, message: str, text: str = "") -> Finding:
    return Finding(path, line, message, text)


def test_a_line_that_moved_is_not_new_wherever_it_moved_to() -> None:
    before = [at("a.py", 3, "unused, see line 1", "import os"), at("a.py", 9, "long", "x = 1")]
    moved = [at("a.py", 30, "unused, see line 28", "import os"), at("b.py", 1, "long", "  x = 1")]
    assert lintdelta.new(before, moved) == ()


def test_a_second_one_of_the_kind_and_another_line_are_new() -> None:
    before = [at("a.py", 3, "unused", "import os")]
    again = at("b.py", 3, "unused", "import os")
    other = at("a.py", 4, "unused", "import re")
    assert lintdelta.new(before, [*before, again, other]) == (again, other)


def test_nothing_before_makes_all_of_it_new() -> None:
    now = (at("a.py", 3, "unused", "import os"),)
    assert lintdelta.new((), now) == now
    assert lintdelta.new(now, ()) == ()


@pytest.mark.parametrize("form", ["concise", "full", "pylint"])
def test_a_real_ruff_is_understood_in_its_formats(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.py").write_text("import os\nx = 1\n")
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F401", "--output-format", form, "."]
    done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = lintdelta.read(done.stdout, str(tmp_path))
    assert [(each.path, each.line) for each in found] == [("a.py", 1)]
    assert "F401" in found[0].message
