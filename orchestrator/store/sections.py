"""The markdown body of a spec: its title, its sections under their aliases, and the `**Model:**` lines of older folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from orchestrator.core import scope
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
    "off limit": "off_limits",
    "offlimits": "off_limits",
    "constraints": "constraints",
    "notes": "notes",
    "what's been tried": "notes",
}
HEADING = re.compile(r"^ {0,3}(#{1,6})\s(.*)$")
GLUED = re.compile(r"^ {0,3}(#{2,6})([^\s#\d_].*)$")  # `##Scope`, for which markdown asks a blank
UNDERLINE = re.compile(r"^ {0,3}(?:(=)=+|--+)[ \t]*$")
NO_HEADING = re.compile(r"^(?:\s*$| {4}|\t|\s*(?:[-*+]\s|[>|]|--|==))")  # what no underline makes one of
RULE = re.compile(r"[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*")
EDGES = re.compile(rf"\A{RULE.pattern}(?:\n|\Z)|\n{RULE.pattern}\Z")
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
LABELLED = re.compile(r"^\s*(?:[-*+]\s+)?\*\*(Model|Reasoning|Retry limit)\s*(?::\*\*|\*\*\s*:)(.*)$", re.IGNORECASE)
BULLET = re.compile(r"^\s*(?:[-*+•‣▪◦●·]|\d{1,9}[.)])\s(.*)$")  # with those that word processors and chats put there
CODE_SPANS = (
    re.compile(  # what stands in other words between them, or behind remarks, counts where nothing but paths stands there
        r"^`[^`]+`(?:\s*\([^)]*\))?(?:\s*(?:[,;&+]|(?:, ?)?(?:and|or))\s*`[^`]+`(?:\s*\([^)]*\))?)*(?=[.;]?\s*$|:|\s+[—–#-]\s)"
        r"|^`[^`]+`(?:\s*(?:,|and)\s*`[^`]+`)*"
    )
)
SPANNED = re.compile(r"`([^`]+)`|\([^)]*\)")  # a path, or the remark behind one
AROUND = "` \"'<>“”‘’"  # of a path in a list
NO_PATH = re.compile(r"n/a\.?|https?://.*", re.IGNORECASE)
NO_PATTERN = re.compile(r"\*{3,}|\*{1,3}[^*/]+\*{1,3}\W?|<.*>")  # of a line of its own: a rule, words in bold, a tag of HTML
BOLD = re.compile(r"\*\*[^*/.]+\*\*:?")  # `**Parser**: the rules` names no path
CHECKBOX = re.compile(r"^\[[ xX]\]\s+")
STRONG = re.compile(r"^\*\*(`[^`]+`)\*\*")
LINK = re.compile(r"^\[(`?[^\]`]+`?)\]\([^)]*\)")
BARE = re.compile(r"`[^`]+`(?:\s*(?:,|and)\s*`[^`]+`)*|\S+")
PREFIX = re.compile(r"^autoresearch\s*:\s*", re.IGNORECASE)
NUMBER = re.compile(r"^(?:\d{1,3}(?:\.\d{1,3})*|[a-z](?=[.):])|[ivx]{1,4}(?=[.):]))\W+")
REMARK = re.compile(r"\s\([^()]*\)[^\w()]*$")
MARKS = re.compile(r"(?<=\w)[^\w?~]+$")  # behind a heading's words: a colon, an emoji; not what asks, or strikes them out
NO_LEVEL = 7  # below what no heading stands
EMPTY = frozenset({"", "-", "default", "auto", "none", "n/a", "nothing", "(default)", "(optional)"})


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
        return parted("\n".join(line.text for line in self.lines))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Labelled(Value):
    """A `**Model:** name` line."""

    label: str
    value: str
    number: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Part(Value):
    """The lines below one heading, or before the first one. `name` is empty where it is no section that we know."""

    name: str
    heading: Line | None = None
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Body(Value):
    """What the prose says, by its section names of `measuring.md` (goal, metrics, acceptance, scope, off_limits …).

    `parts` are all of it in the order of the file, the text before the first section first.
    """

    title: str = ""
    preamble: str = ""
    sections: dict[str, Section] = field(default_factory=dict)
    labelled: tuple[Labelled, ...] = ()
    parts: tuple[Part, ...] = ()


def read_body(text: str, first_line: int = 1) -> Body:
    """The parts of `text`, which begins on line `first_line` of its file."""
    lines = _headed(_spaced(tuple(_lines(text, first_line))))
    title, parts = _parts(lines)
    found: dict[str, list[Part]] = {}
    for part in parts:
        found.setdefault(part.name, []).append(part)
    sections = {name: _joined(same) for name, same in found.items() if name}
    prose = parted("\n".join(line.text for line in parts[0].lines if not LABELLED.match(line.text)))
    return Body(title, prose, sections, tuple(_labelled(lines)), parts)


def parted(text: str) -> str:
    """The text without the lines across the page that part it from the title and the next section."""
    return EDGES.sub("", text.strip()).strip()


def _parts(lines: tuple[Line, ...]) -> tuple[str, tuple[Part, ...]]:
    """The title and the parts. A heading that names a section is no title.

    A second one of a section with a remark, such as `Scope (phase 2)` below `Scope`, is no more of it.
    """
    parts: list[tuple[str, Line | None, list[Line]]] = [("", None, [])]
    title = ""
    seen: set[str] = set()
    level = NO_LEVEL
    for line in lines:
        depth, said = (0, "") if line.code else heading_of(line.text)
        name = section_name(said) if depth else ""
        name = "" if name in seen and REMARK.search(said) else name
        first = len(parts) == 1
        if depth == 1 and not name and not title:
            title, level = said, NO_LEVEL if first else 1
            parts += [] if first else [("", None, [])]
        elif depth and (depth <= max(level, 2) if name else _ends(depth, level) and not (first and depth == 1)):
            parts.append((name, line, []))
            seen.add(name)
            level = depth
        else:
            parts[-1][2].append(line)
    return PREFIX.sub("", title).strip(), tuple(Part(name, line, tuple(below)) for name, line, below in parts)


def _ends(depth: int, level: int) -> bool:
    """Whether a heading of this depth ends what a heading of that level began; in what none began only those of two count."""
    return depth <= (2 if level == NO_LEVEL else level)


def _joined(parts: list[Part]) -> Section:
    start = parts[0].heading
    return Section(start.number if start else 0, tuple(line for part in parts for line in part.lines))


def heading_of(text: str) -> tuple[int, str]:
    """The level of a heading, 0 of what is none, and what it says."""
    match = HEADING.match(text)
    return (len(match[1]), heading_text(match[2])) if match else (0, "")


def section_name(heading: str) -> str:
    """The section that a heading begins, however it is numbered or marked; empty for every other heading."""
    return ALIASES.get(words_of(heading), "")


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
    begins = True  # a plain line that goes on with a sentence, or an item, may end it with a path: "all but\n`src/gen.py`"
    for line in section.lines:
        plain = line.text.strip()
        text = plain if line.code else bullet_text(line)
        if FENCE.match(line.text):
            begins = True
            continue
        named = _patterns(text) if text else _bare(plain) if begins and not NO_PATTERN.fullmatch(plain) else []
        patterns += [(pattern, line.number) for pattern in named]
        if text and not named:
            prose.append(line)
        begins = not plain or plain.endswith(":") or bool(named and not text)
    return tuple(patterns), tuple(prose)


def bare_list(part: Part) -> frozenset[str] | None:
    """The path patterns of a list that has no word about them; None for every other."""
    found = globs(Section(0, part.lines))[0]
    read = {number for _, number in found}
    said = ((line.number, line.text.strip() if line.code else bullet_text(line) or line.text.strip()) for line in part.lines)
    bare = all(not text or FENCE.match(text) or (number in read and BARE.fullmatch(text)) for number, text in said)
    return frozenset(path for path, _ in found) if bare else None


def _patterns(item: str) -> list[str]:
    item = LINK.sub(r"\1", STRONG.sub(r"\1", CHECKBOX.sub("", item)))
    if spans := CODE_SPANS.match(item):
        return [path for path in SPANNED.findall(spans[0]) if path]
    words = re.split(r" (?:(?:—|–|-|#) |\()|: ", " ".join(item.split()), maxsplit=1)[0]
    return [] if BOLD.fullmatch(words) else _bare(words)


def _bare(words: str) -> list[str]:
    """The paths of a list that holds nothing else; an item or a line that says more is prose."""
    found = [word.strip(AROUND) for word in scope.LISTED.findall(words.strip())]
    named = all(scope.PATHLIKE.search(word) and not NO_PATH.fullmatch(word) and not re.search(r"\s", word) for word in found)
    return found if named else []


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


def _spaced(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The same with a blank behind the marks of headings, where some section's has none: `##foo` alone may be anything."""
    found = {at: match for at, line in enumerate(lines) if not line.code and (match := GLUED.match(line.text))}
    if not any(section_name(heading_text(match[2])) for match in found.values()):
        return lines
    return tuple(replace(line, text=f"{found[at][1]} {found[at][2]}") if at in found else line for at, line in enumerate(lines))


def _headed(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """The same with underlined headings written as others are. `---` below a sentence may be a rule across the page: it is none
    unless the text underlines some section."""
    found = {number: mark for number in range(len(lines) - 1) if (mark := _underline(lines, number))}
    if not any(section_name(lines[number].text) for number in found):
        found = {number: mark for number, mark in found.items() if mark == "#"}
    headed = (replace(line, text=f"{found[at]} {line.text.strip()}") if at in found else line for at, line in enumerate(lines))
    return tuple(line for at, line in enumerate(headed) if at - 1 not in found)


def _underline(lines: tuple[Line, ...], number: int) -> str:
    """The mark of a heading that this line is by the one below it: a line of its own, as a paragraph would be."""
    line, below = lines[number : number + 2]
    mark = None if line.code or below.code or NO_HEADING.match(line.text) else UNDERLINE.match(below.text)
    before = lines[number - 1].text if number else ""
    alone = not before.strip() or heading_of(before)[0] or UNDERLINE.match(before)
    return ("#" if mark[1] else "##") if mark and alone and not heading_of(line.text)[0] else ""


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


def words_of(heading: str) -> str:
    """What a heading says without its number, marks and remarks, in small letters."""
    words = re.sub(r"[-*_`]", " ", REMARK.sub("", heading.replace("’", "'"))).casefold()
    words = NUMBER.sub("", re.sub(r"^\W+", "", words))
    return " ".join(MARKS.sub("", words).split())
