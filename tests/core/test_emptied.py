"""A test that stands there and checks nothing any more is named; one that checks in another way is not."""

from __future__ import annotations

import pytest

from orchestrator.core.emptied import emptied, holds_tests

CLASS = "class T(unittest.TestCase):\n    def test_a(self):\n        {}\n"
PLAIN = "def check_it(x):\n    assert x\n\n\ndef helped(x):\n    assert x\n\n\ndef test_a():\n    {}\n"
JS = "it('adds', () => {{\n  {}\n}});\nit('other', () => {{ expect(1).toBe(one) }});\n"
GO = "func TestA(t *testing.T) {{\n\t{}\n}}\nfunc TestB(t *testing.T) {{ t.Fatal(1) }}\n"


@pytest.mark.parametrize(
    ("path", "text", "before", "after", "lost"),
    [
        ("test_x.py", PLAIN, "assert f() == 1", "pass", "test_a"),
        ("test_x.py", PLAIN, "assert f() == 1", "f()", "test_a"),
        ("test_x.py", PLAIN, "assert f() == 1", "assert True", "test_a"),
        ("test_x.py", PLAIN, "assert f() == 1", "return\n    assert f() == 1", "test_a"),
        ("test_x.py", PLAIN, "with pytest.raises(ValueError): f()", "...", "test_a"),
        ("test_x.py", PLAIN, "check_it(f())", "'''it asserts'''", "test_a"),
        ("test_x.py", PLAIN, "helped(f())", "f()", "test_a"),
        ("test_x.py", PLAIN, "assert f() == 1", "assert f() == 2", None),
        ("test_x.py", PLAIN, "assert f() == 1", "helped(f())", None),
        ("test_x.py", PLAIN, "assert f() == 1", "verify_all(f())", None),
        ("test_x.py", PLAIN, "f()", "pass", None),
        ("test_x.py", PLAIN, "assert f() == 1", "is no python", None),
        ("tests/x.py", CLASS, "self.assertEqual(f(), 1)", "pass", "T::test_a"),
        ("tests/x.py", CLASS, "self.assertEqual(f(), 1)", "self.assertTrue(True)", "T::test_a"),
        ("tests/x.py", CLASS, "self.assertEqual(f(), 1)", "mock.assert_called_once()", None),
        ("x.test.ts", JS, "expect(add(1, 2)).toBe(3)", "add(1, 2)", "adds"),
        ("x.test.ts", JS, "expect(add(1, 2)).toBe(3)", "// expect(add(1, 2)).toBe(3)", "adds"),
        ("x.test.ts", JS, "expect(add(1, 2)).toBe(3)", "assert.equal(add(1, 2), 3)", None),
        ("x_test.go", GO, 'if f() != 1 { t.Errorf("x") }', "f()", "TestA"),
        ("x_test.go", GO, 'if f() != 1 { t.Errorf("x") }', "require.Equal(t, 1, f())", None),
    ],
)
def test_what_had_assertions_and_has_none_is_named(path: str, text: str, before: str, after: str, lost: str | None) -> None:
    assert holds_tests(path)
    assert emptied([(path, text.format(before), text.format(after))]) == ((f"{path}::{lost}",) if lost else ())


def test_what_went_is_told_elsewhere_and_what_may_go_is_not_told() -> None:
    before = PLAIN.format("assert f()")
    assert emptied([("test_x.py", before, "x = 1\n")]) == ()
    assert emptied([("test_x.py", before, PLAIN.format("pass"))], allow=["test_x.py::*"]) == ()
    assert not holds_tests("src/x.py")
