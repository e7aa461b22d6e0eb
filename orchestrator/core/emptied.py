"""Tests that still stand there and check nothing any more: assertions are counted before and after, as text or by Python's own
grammar. A guess about code that nobody runs for it, so it names only what had assertions and has none."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from orchestrator.core.testresults import ADDED

PYTHON = ".py"
# What a call that checks something is called, in Python; a helper of the test's own file counts where it checks something itself.
CHECKING = re.compile(r"assert|expect|raises|warns|fail$|^(?:check|verify|ensure|should|must|match)")
# The same in JavaScript and Go, whose tests are read as text.
TEXTUAL = re.compile(
    r"\bexpect\b|\bassert\b|\bassert[A-Z.]|\bshould\b|\bverify\w*\(|\bcheck\w*\("
    r"|\bt\.(?:Error|Fatal|Fail|is|ok|equal|deepEqual|true|false|throws)|\brequire\.[A-Z]|\bcmp\.Diff"
)
COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'])//[^\n]*", re.DOTALL)


def emptied(revised: Iterable[tuple[str, str, str]], allow: Iterable[str] = ()) -> tuple[str, ...]:
    """The tests (`file::name`) that lost all their assertions, of files as they were and are, but for those that may."""
    patterns = tuple(allow)
    lost = (f"{path}::{name}" for path, before, after in revised for name in _lost(path, before, after))
    return tuple(told for told in lost if not any(fnmatchcase(told, pattern) for pattern in patterns))


def holds_tests(path: str) -> bool:
    """Whether tests of a kind that is known here may stand in this file."""
    return any(file.search(path) for file, _ in ADDED)


def _lost(path: str, before: str, after: str) -> Iterator[str]:
    count = _python if path.endswith(PYTHON) else lambda text: _textual(path, text)
    now = count(after)
    yield from (name for name, held in count(before).items() if held and now.get(name) == 0)


def _python(text: str) -> Mapping[str, int]:
    """How many assertions each test function has; nothing of a text that is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    functions = dict(_functions(tree))
    helpers = {name.rpartition("::")[2] for name, function in functions.items() if _count(function, frozenset())}
    tests = {name: each for name, each in functions.items() if name.rpartition("::")[2].startswith("test")}
    return {name: _count(function, frozenset(helpers)) for name, function in tests.items()}


def _functions(tree: ast.AST, owner: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in getattr(tree, "body", ()):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{owner}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{owner}{node.name}::")


def _count(function: ast.FunctionDef | ast.AsyncFunctionDef, helpers: frozenset[str]) -> int:
    """Up to where it always returns."""
    reached = 0
    for statement in function.body:
        if isinstance(statement, ast.Return) and statement.value is None:
            break
        reached += sum(_checks(node, helpers) for node in ast.walk(statement))
    return reached


def _checks(node: ast.AST, helpers: frozenset[str]) -> bool:
    """Whether it can fail a test: an assertion of something that isn't constant."""
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant)
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
    constant = bool(node.args) and all(isinstance(each, ast.Constant) for each in node.args)
    return name in helpers or (bool(CHECKING.search(name)) and not (constant and name.startswith("assert")))


def _textual(path: str, text: str) -> Mapping[str, int]:
    """How many assertions stand between each test's first line and the next one's."""
    begins = [pattern for file, pattern in ADDED if file.search(path)]
    counts: dict[str, int] = {}
    current = ""
    for line in COMMENT.sub("", text).splitlines():
        if match := next(filter(None, (pattern.match(line) for pattern in begins)), None):
            current = next(group for group in match.groups() if group)
            counts.setdefault(current, 0)
        if current:
            counts[current] += len(TEXTUAL.findall(line))
    return counts
