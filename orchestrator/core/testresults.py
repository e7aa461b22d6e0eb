"""What a run of tests says of each of them: from JUnit's XML where there is one, else from the lines that runners print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from fnmatch import fnmatchcase

LARGEST = 16 * 1024 * 1024


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # also one that is expected to fail: it says nothing any more


WORDS = {
    **dict.fromkeys(("passed", "ok", "pass", "xpass"), Outcome.PASSED),
    **dict.fromkeys(("failed", "fail", "error", "not ok"), Outcome.FAILED),
    **dict.fromkeys(("skipped", "skip", "xfail", "ignored", "expected failure"), Outcome.SKIPPED),
}
# One line each: `pytest -rA`, `pytest -v`, `unittest -v`, TAP, `go test -v`, `cargo test`.
LINES = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"^(?P<word>PASSED|FAILED|ERROR|XFAIL|XPASS) (?P<id>\S+::.*?|\S+\.py)(?: - .*)?$",
        r"^(?P<id>\S+::.*?) (?P<word>PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)(?: \(.*\))?(?: +\[ *\d+%\])?$",
        r"^(?P<id>\w+ \([\w.]+\))(?:\n[^\n]*?)? \.\.\. (?:(?! \.\.\. )[\s\S]){0,4000}?"  # and what the test printed
        r"\b(?P<word>ok|FAIL|ERROR|skipped|expected failure)(?: ['\"][^\n]*)?$",
        r"^(?P<word>ok|not ok) \d+ (?:- )?(?P<id>[^#\n]+?)(?P<skip> *# *(?:SKIP|TODO).*)?$",
        r"^ *--- (?P<word>PASS|FAIL|SKIP): (?P<id>\S+) \([\d.]+s\)$",
        r"^test (?P<id>\S+) \.\.\. (?P<word>ok|FAILED|ignored)$",
    )
)
# A test that a change adds, by the kind of file it stands in.
ADDED = (
    (re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$|(?:^|/)tests?/.*\.py$"), re.compile(r"\s*(?:async )?def (test\w*)\(")),
    (re.compile(r"\.(?:test|spec)\.[cm]?[jt]sx?$"), re.compile(r"\s*(?:it|test)\(\s*(?:'([^']+)'|\"([^\"]+)\"|`([^`]+)`)")),
    (re.compile(r"_test\.go$"), re.compile(r"func (Test\w+)\(")),
)  # fmt: skip


def read(output: str, junit: bytes = b"") -> Mapping[str, Outcome]:
    """Each test's outcome by its id. A test told of twice has its worst one."""
    found: dict[str, Outcome] = {}
    for name, outcome in from_junit(junit) if junit.strip() else from_lines(output):
        if found.get(name) is not Outcome.FAILED:
            found[name] = outcome
    return found


def from_lines(output: str) -> Iterator[tuple[str, Outcome]]:
    """The outcomes in what a runner printed."""
    for pattern in LINES:
        for match in pattern.finditer(output):
            skipped = match.groupdict().get("skip")
            yield match["id"].strip(), Outcome.SKIPPED if skipped else WORDS[match["word"].lower()]


def from_junit(data: bytes) -> Iterator[tuple[str, Outcome]]:
    """The outcomes in a JUnit file; none where it is no such file."""
    if len(data) > LARGEST or b"<!" in data.replace(b"<![CDATA[", b"").replace(b"<!--", b""):
        return  # what declares entities can be made to grow without end
    from xml.etree import ElementTree

    try:
        root = ElementTree.fromstring(data)  # noqa: S314  nothing in it is declared, see above
    except (ElementTree.ParseError, ValueError):
        return
    for case in root.iter("testcase"):
        name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
        kinds = {child.tag for child in case}
        outcome = Outcome.FAILED if kinds & {"failure", "error"} else Outcome.SKIPPED if "skipped" in kinds else Outcome.PASSED
        yield name, outcome


def failures(results: Mapping[str, Outcome]) -> frozenset[str]:
    return frozenset(name for name, outcome in results.items() if outcome is Outcome.FAILED)


def ran(results: Mapping[str, Outcome]) -> frozenset[str]:
    return frozenset(name for name, outcome in results.items() if outcome is not Outcome.SKIPPED)


def gone(before: Mapping[str, Outcome], now: Mapping[str, Outcome], allow: Iterable[str] = ()) -> tuple[str, ...]:
    """The tests that ran before and don't any more, deleted, renamed or skipped, but for those that may."""
    return _but(ran(before) - ran(now), allow)


def silent(before: Mapping[str, Outcome], now: Mapping[str, Outcome], allow: Iterable[str] = ()) -> tuple[str, ...]:
    """The tests that ran before and of which nothing at all is said any more, but for those that may go."""
    return _but(ran(before) - now.keys(), allow)


def _but(names: Iterable[str], allow: Iterable[str]) -> tuple[str, ...]:
    patterns = tuple(allow)
    return tuple(name for name in sorted(names) if not any(fnmatchcase(name, pattern) for pattern in patterns))


def never_run(added: Iterable[tuple[str, str]], now: Mapping[str, Outcome], allow: Iterable[str] = ()) -> tuple[str, ...]:
    """Of the tests that a change adds (file, name), those that no runner has run."""
    patterns, names = tuple(allow), ran(now)
    found = []
    for path, name in added:
        word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        told = f"{path}::{name}"
        if not any(word.search(each) for each in names) and not any(fnmatchcase(told, pattern) for pattern in patterns):
            found.append(told)
    return tuple(found)


def added(patch: str) -> tuple[tuple[str, str], ...]:
    """The tests that a patch adds, as (file, name), by how they are written in Python, JavaScript and Go."""
    found: dict[tuple[str, str], None] = {}
    path = ""
    for line in patch.splitlines():
        if line.startswith("+++ "):
            path = line[4:].strip().strip('"').removeprefix("b/")
        elif line.startswith("+"):
            for file, test in ADDED:
                if file.search(path) and (match := test.match(line[1:])):
                    found[path, next(group for group in match.groups() if group)] = None
    return tuple(found)
