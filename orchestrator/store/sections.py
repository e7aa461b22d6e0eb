"""The markdown body of a spec: its title, its sections under their aliases, and the `**Model:**` lines of older folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.core.value import Value

ALIASES = {
    "goal": "goal",
    "objective": "goal",
    "metrics": "metrics",
    "metric": "metrics",
    "metric contract": "metrics",
    "acceptance criteria": "acceptance",
    "acceptance": "acceptance",
    "stop conditions": "acceptance",
    "scope": "scope",
    "files in scope": "scope",
    "off limits": "off_limits",
    "constraints": "constraints",
    "notes": "notes",
    "what's been tried": "notes",
}
HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t](.*)$")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
LABELLED = re.compile(r"^\s*(?:[-*+]\s+)?\*\*(Model|Reasoning|Retry limit)\s*(?::\*\*|\*\*\s*:)(.*)$", re.IGNORECASE)
BULLET = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s(.*)$")
CODE_SPANS = re.compile(r"^`[^`]+`(?:\s*(?:,|and)\s*`[^`]+`)*")
PREFIX = re.compile(r"^autoresearch\s*:\s*", re.IGNORECASE)
EMPTY = frozenset({"", "-", "default", "auto", "none", "n/a", "(default)", "(optional)"})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Line(Value):
    """One line of the body with its number in the file. `code`: inside a fenced block."""

    number: int
    text: str
    code: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Section(Value):
    """The lines below one heading, up to the next heading of its level or above."""

    number: int
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.lines).strip()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Labelled(Value):
    """A `**Model:** name` line."""

    label: str
    value: str
    number: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Body(Value):
    """What the prose says, by its section names of `measuring.md` (goal, metrics, acceptance, scope, off_limits …)."""

    title: str = ""
    preamble: str = ""
    sections: dict[str, Section] = field(default_factory=dict)
    labelled: tuple[Labelled, ...] = ()


def read_body(text: str, first_line: int = 1) -> Body:
    """The parts of `text`, which begins on line `first_line` of its file."""
    lines = tuple(_lines(text, first_line))
    title = ""
    preamble: list[Line] = []
    found: dict[str, list[Line]] = {}
    starts: dict[str, int] = {}
    current: list[Line] | None = preamble
    for line in lines:
        heading = None if line.code else HEADING.match(line.text)
        if heading is None or len(heading[1]) > 2:
            if current is not None:
                current.append(line)
        elif len(heading[1]) == 1:
            title = title or PREFIX.sub("", heading_text(heading[2])).strip()
            current = preamble if not found else None
        else:
            name = ALIASES.get(_plain(heading_text(heading[2])))
            current = found.setdefault(name, []) if name else None
            starts.setdefault(name or "", line.number)
            found.setdefault(name or "", [])
    sections = {name: Section(starts[name], tuple(part)) for name, part in found.items() if name}
    prose = "\n".join(line.text for line in preamble if not LABELLED.match(line.text)).strip()
    return Body(title, prose, sections, tuple(_labelled(lines)))


def heading_text(text: str) -> str:
    """What a heading says, without the `##` that may close it."""
    plain = text.strip()
    closed = plain.rstrip("#")
    return closed.rstrip() if closed != plain and (not closed or closed[-1].isspace()) else plain


def bullet_text(line: Line) -> str:
    """What an item of a list says; empty for every other line."""
    match = None if line.code else BULLET.match(line.text)
    return match[1].strip() if match else ""


def globs(section: Section) -> tuple[tuple[tuple[str, int], ...], tuple[Line, ...]]:
    """Path patterns of a Scope or Off limits list with their lines, and the items that are prose and name no path."""
    patterns: list[tuple[str, int]] = []
    prose: list[Line] = []
    for line in section.lines:
        text = line.text.strip() if line.code else bullet_text(line)
        if not text or FENCE.match(line.text):
            continue
        named = _patterns(text)
        patterns += [(pattern, line.number) for pattern in named]
        if not named:
            prose.append(line)
    return tuple(patterns), tuple(prose)


def _patterns(item: str) -> list[str]:
    if spans := CODE_SPANS.match(item):
        return re.findall(r"`([^`]+)`", spans[0])
    word = re.split(r" (?:—|–|-|#) |: ", " ".join(item.split()), maxsplit=1)[0]
    looks_like_path = re.search(r"[/*]|\.\w+$", word) and not re.search(r"\s", word)
    return [word] if looks_like_path else []


def _lines(text: str, first_line: int) -> Iterator[Line]:
    """The lines outside HTML comments; what stands between `<!--` and `-->` is a hint for the author, not a wish."""
    fence = ""
    comment = False
    for number, raw in enumerate(text.split("\n"), first_line):
        if fence:
            yield Line(number, raw, code=True)
            closing = FENCE.match(raw)
            if closing and closing[1].startswith(fence) and not raw.strip().strip(fence[0]):
                fence = ""
            continue
        kept, comment = _outside_comments(raw, comment)
        if kept is None:
            continue
        if opening := FENCE.match(kept):
            fence = opening[1]
            yield Line(number, kept, code=True)
        else:
            yield Line(number, kept)


def _outside_comments(line: str, inside: bool) -> tuple[str | None, bool]:
    """The line without comments (None where nothing but a comment was there), and whether a comment goes on after it."""
    if not inside and "<!--" not in line:
        return line, False
    kept: list[str] = []
    at = 0
    while at < len(line):
        end = line.find("-->" if inside else "<!--", at)
        if not inside:
            kept.append(line[at : end if end >= 0 else len(line)])
        if end < 0:
            break
        at = end + (3 if inside else 4)
        inside = not inside
    rest = "".join(kept)
    return (rest if rest.strip() else None), inside


def _labelled(lines: tuple[Line, ...]) -> Iterator[Labelled]:
    for line in lines:
        if not line.code and (match := LABELLED.match(line.text)):
            value = match[2].split(" #", 1)[0].strip().strip("`").strip()
            if value.lower() not in EMPTY and not value.startswith("<"):
                yield Labelled(match[1].lower(), value, line.number)


def _plain(heading: str) -> str:
    words = re.sub(r"^[^\w]+", "", heading.replace("’", "'").replace("-", " ").replace("*", ""))
    return " ".join(words.rstrip(":. ").casefold().split())
