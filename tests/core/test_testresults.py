from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.core import testresults
from orchestrator.core.testresults import Outcome

P, F, S = Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED
CASES = """
import unittest

def test_good(): pass
def test_bad(): assert 0
class TestGroup(unittest.TestCase):
    def test_in(self): pass
    def test_fails(self): self.fail()
    @unittest.skip("not today")
    def test_not(self): pass
"""


def ran(folder: Path, *command: str) -> str:
    (folder / "test_it.py").write_text(CASES)
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_real_pytest_is_understood_by_its_summary_its_lines_and_its_file(tmp_path: Path) -> None:
    plain = ["pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist", "test_it.py"]
    group = "test_it.py::TestGroup::test_"
    expected = {"test_it.py::test_good": P, "test_it.py::test_bad": F, f"{group}in": P, f"{group}fails": F}
    assert testresults.read(ran(tmp_path, *plain, "-rA")) == expected
    assert testresults.read(ran(tmp_path, *plain[:1], "-v", *plain[2:])) == {**expected, f"{group}not": S}
    ran(tmp_path, *plain, "--junitxml=out.xml")
    assert testresults.read("PASSED forged.py::test", (tmp_path / "out.xml").read_bytes()) == {
        "test_it::test_good": P,
        "test_it::test_bad": F,
        "test_it.TestGroup::test_in": P,
        "test_it.TestGroup::test_fails": F,
        "test_it.TestGroup::test_not": S,
    }


def test_a_real_unittest_is_understood(tmp_path: Path) -> None:
    found = testresults.read(ran(tmp_path, "unittest", "-v", "test_it"))
    assert {name.split(" ")[0]: outcome for name, outcome in found.items()} == {"test_in": P, "test_fails": F, "test_not": S}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ok 1 - adds\nnot ok 2 - divides\nok 3 - later # SKIP not yet\n1..3", {"adds": P, "divides": F, "later": S}),
        ("--- PASS: TestA (0.00s)\n    --- FAIL: TestA/b (0.10s)\nok  \texample.org/x\t0.003s", {"TestA": P, "TestA/b": F}),
        ("test a::b ... ok\ntest c ... FAILED\ntest d ... ignored\n", {"a::b": P, "c": F, "d": S}),
        ("ERROR tests/test_x.py\nFAILED t.py::test_a[x - y] - assert 0\nXFAIL t.py::test_b", {"tests/test_x.py": F, "t.py::test_a[x": F, "t.py::test_b": S}),
        ("nothing to see\n", {}),
    ],
)  # fmt: skip
def test_lines_of_other_runners_are_understood(output: str, expected: dict[str, Outcome]) -> None:
    assert testresults.read(output) == expected


def test_a_file_that_would_grow_without_end_tells_nothing() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><testsuite><testcase name="&b;"/></testsuite>'
    assert testresults.read("", bomb) == {}
    assert testresults.read("", b"<testsuite><testcase") == {}


def test_what_was_there_and_is_skipped_or_gone_is_named_but_for_what_may_go() -> None:
    before = {"a": P, "b": F, "c": P, "d": S}
    assert testresults.gone(before, {"a": P, "c": S, "d": S}) == ("b", "c")
    assert testresults.gone(before, {"a": P}, allow=["[bc]"]) == ()


def test_a_new_test_counts_only_if_it_was_run() -> None:
    patch = (
        "--- a/tests/test_a.py\n+++ b/tests/test_a.py\n+def test_new():\n+    async def test_not(): ...\n def test_old():\n"
        "--- /dev/null\n+++ b/ui/x.test.ts\n+it('does a thing', () => {\n--- /dev/null\n+++ b/x_test.go\n+func TestGo(t *testing.T) {\n"
        "+++ b/src/app.py\n+def test_harness():\n"
    )
    added = testresults.added(patch)
    assert added == (
        ("tests/test_a.py", "test_new"), ("tests/test_a.py", "test_not"), ("ui/x.test.ts", "does a thing"), ("x_test.go", "TestGo"),
    )  # fmt: skip
    now = {"tests/test_a.py::test_new[1]": F, "tests/test_a.py::test_notable": P, "x does a thing": P, "TestGo": S}
    assert testresults.never_run(added, now) == ("tests/test_a.py::test_not", "x_test.go::TestGo")
    assert testresults.never_run(added, now, allow=["x_test.go::*", "*::test_not"]) == ()
