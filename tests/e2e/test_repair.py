"""A small program with a dozen one-line bugs, and its tests: mended from n failures to none, and never by way of the tests."""

from __future__ import annotations

import sys

import pytest
from support.project import Project

# name, as it is, as it should be, what a test says of it
BUGS = (
    ("double", "x + x + 1", "x + x", "double(2) == 4"),
    ("half", "x // 3", "x // 2", "half(9) == 4"),
    ("last", "x[0]", "x[-1]", "last([1, 2]) == 2"),
    ("first_word", "x.split(',')[0]", "x.split()[0]", "first_word('a b') == 'a'"),
    ("is_even", "x % 2 == 1", "x % 2 == 0", "is_even(4)"),
    ("clamp", "max(x, 10)", "min(x, 10)", "clamp(11) == 10"),
    ("shout", "x.lower()", "x.upper()", "shout('a') == 'A'"),
    ("count_a", "x.count('b')", "x.count('a')", "count_a('aab') == 2"),
    ("backwards", "x[::1]", "x[::-1]", "backwards('ab') == 'ba'"),
    ("square", "x * 2", "x ** 2", "square(3) == 9"),
    ("sum_to", "sum(range(x))", "sum(range(x + 1))", "sum_to(3) == 6"),
    ("unique", "sorted(x)", "sorted(set(x))", "unique([2, 1, 2]) == [1, 2]"),
)
PROGRAM = "".join(f"def {name}(x):\n    return {wrong}\n\n\n" for name, wrong, _, _ in BUGS)
TESTS = "import unittest\nfrom program import *\n\n\nclass Tests(unittest.TestCase):\n" + "".join(
    f"    def test_{name}(self):\n        self.assertTrue({says})\n\n" for name, _, _, says in BUGS
)
COUNT = f"""#!/bin/sh
echo "METRIC failing=$({sys.executable} -B -m unittest -v test_program 2>&1 | grep -cE ' (FAIL|ERROR)$')"
"""
GATES = f"gates: {{test: '{sys.executable} -B -m unittest -v test_program', test-validator: block}}"
FRONT = f"metric: {{name: failing, target: 0}}\nmax_failures: 2\n{GATES}\n"


def mending(bugs: tuple[tuple[str, str, str, str], ...]) -> str:
    """A program that mends these bugs, each by its one line."""
    lines = [f"text = text.replace({f'def {name}(x):{chr(10)}    return {wrong}{chr(10)}'!r}, {f'def {name}(x):{chr(10)}    return {right}{chr(10)}'!r})"
             for name, wrong, right, _ in bugs]  # fmt: skip
    return "\n".join(
        ["from pathlib import Path", "text = Path('program.py').read_text()", *lines, "Path('program.py').write_text(text)"]
    )


def drop(project: Project, front: str = FRONT) -> str:
    before = project.commit({"program.py": PROGRAM, "test_program.py": TESTS})
    project.drop("repair", front=front, benchmark=COUNT)
    return before


def test_a_dozen_bugs_are_mended_over_attempts_until_no_test_fails(project: Project) -> None:
    drop(project, front=f"scope: [program.py]\n{FRONT}")
    for number in range(3):
        (project.top / f"mend-{number + 1}.py").write_text(mending(BUGS[4 * number : 4 * number + 4]))
    project.agent(f"{sys.executable} {project.top}/mend-$ORCH_ATTEMPT.py")
    project.run(code=0)
    record = project.record("repair")
    assert record["baseline"] == {"failing": len(BUGS)}
    assert [(each["result"], each["values"]["failing"]) for each in record["history"]] == [
        ("improved", 8), ("improved", 4), ("converged", 0),
    ]  # fmt: skip
    assert project.git("show", "main:test_program.py") == TESTS.rstrip("\n")


CHEATS = {
    "tests deleted": "sed -i '/def test_/,$d' test_program.py; echo '    pass' >> test_program.py",
    "tests skipped": "sed -i 's/    def test_/    @unittest.skip(\"later\")\\n&/' test_program.py",
    "tests emptied": "sed -i 's/self.assertTrue(.*/pass/' test_program.py",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_repair_by_way_of_the_tests_is_out_of_scope(project: Project, cheat: str) -> None:
    before = drop(project, front=f"scope: [program.py]\n{FRONT}")
    project.agent(CHEATS[cheat])
    project.run(code=1)
    record = project.record("repair")
    assert (record["reason"], record["history"][0]["result"]) == ("scope-violation", "scope-violation")
    assert project.git("rev-parse", "main") == before


@pytest.mark.parametrize("cheat", ["tests deleted", "tests skipped"])
def test_without_a_scope_the_validator_refuses_it(project: Project, cheat: str) -> None:
    before = drop(project)
    project.agent(CHEATS[cheat])
    project.run(code=1)
    record = project.record("repair")
    assert (record["reason"], record["history"][0]["result"]) == ("gate", "gate")
    assert "12 that ran before no longer run" in record["history"][0]["detail"]  # `test` says so where unittest itself fails
    assert project.git("rev-parse", "main") == before
