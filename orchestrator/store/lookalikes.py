"""What reads like a Scope or Off limits section of a spec, names paths, and is none: nobody would hold the work to it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from orchestrator.core.scope import PATHLIKE, Scope
from orchestrator.core.spec import MEANT
from orchestrator.store.header import shorten
from orchestrator.store.sections import Body, Line, Section, bullet_text, globs, heading_of, section_name

LABEL = re.compile(r"\s*(?:[-*+]\s+)?(?:\*\*([^*`]{2,60})\*\*|([A-Z][\w /'-]{1,40}:))\s*:?\s*(.*)")
LIKE = {
    "off_limits": re.compile(
        r"\bout of scope\b|\boff.?limits?\b"
        r"|\b(?:(?:do|may|must|should) not|don't|never|not to)(?: be)? (?:touch|modif|chang|edit)"
        r"|\b(?:forbidden|protected|read.?only) (?:files|paths)\b"
    ),
    "scope": re.compile(  # scopes are what a token has
        r"\bscope\b|\b(?:allowed|editable|writable) (?:files|paths)\b"
        r"|\b(?:files|paths) (?:you|that) (?:may|can)(?: be)? (?:touch|modif|chang|edit)"
    ),
}
INNER = {  # what the parts of a Scope are called
    **dict.fromkeys(("in", "included", "include", "allowed"), "scope"),
    **dict.fromkeys(("out", "excluded", "exclude", "except", "not included", "not allowed", "forbidden"), "off_limits"),
}
SPAN = re.compile(r"`([^`\s]+)`|(?<![\w`</.:~@*-])([\w.*-]+/[\w.*/-]*)")
NAMING = re.compile(r"/$|\*|\.\w+$")  # of what stands in a sentence without backticks: `src/` and `a/b.py`, not `and/or`
# What an item begins with that forbids the files behind it, and not only something in them.
FORBIDS = re.compile(
    r"(?:do not|don't|never|must not) (?:touch|modify|change|edit) "
    r"(?:(?:any|anything|everything|the|files?|folders?|director(?:y|ies)|in|under|below|inside|within|of) )*(?=[`\w.*])(.*)",
    re.IGNORECASE,
)
WHOLE = re.compile(r"`?(?:\s+(?:or|and)\b|\s*(?:$|[.,;:!(—–]|-\s))")  # behind a file that is forbidden itself, not its format
FILE = re.compile(r"(?!/)(?:.*[/*].*|.*\.(?:py|[jt]sx?|sh|md|json|toml|ya?ml|lock|txt|[ch]|cpp|go|rs|java|rb|php|css|html|sql))$")
OURS = re.compile(
    r"(?:.*/)?(?:(?:benchmark|autoresearch|checks|measure)\.\w+|tasks/.*|\.auto/.*)$"
)  # no task may change these anyway
OTHERS = frozenset({"score", "slope", "files in score", "soft limits"})  # as near as a slip of the pen, and words of their own
MOST = 200  # headings and labels that are looked at
NAMES = {"scope": "Scope", "off_limits": "Off limits"}


def lookalikes(body: Body, said: Iterable[str], scope: tuple[str, ...]) -> Iterator[str]:
    """One sentence for each of the two that nothing says, and that this is most likely meant for. `said` are keys; `scope` is
    what is enforced."""
    missing = set(NAMES) - set(said) - set(body.sections)
    within = [(part.name, line) for part in body.parts for line in (part.heading, *part.lines) if line]
    lines = [line for _, line in within]
    begun = ((number, *_begun(line)) for number, line in enumerate(lines) if missing)
    for number, words, rest in islice((each for each in begun if each[1]), MOST):
        name, line = _meant(words, within[number][0]), lines[number]
        if name in missing and _paths(line, rest, lines[number + 1 :]):
            missing.remove(name)
            yield f"Line {line.number}: `{shorten(line.text.strip())}` is read as prose.{MEANT.format(f'## {NAMES[name]}')}"
    text = "\n".join(line.text for line in lines).lower() if "off_limits" in missing else ""
    if any(verb in text for verb in ("touch", "modify", "change", "edit")):  # of most specs that is all there is to look at
        yield from _forbidden(lines, scope)


def _forbidden(lines: Sequence[Line], scope: tuple[str, ...]) -> Iterator[str]:
    """One sentence where items of other sections forbid files, as "Don't modify `tests/**`" among constraints does, and nothing
    else keeps the work from them."""
    found: dict[str, int] = {}
    for line in lines:
        said = "" if line.code else (bullet_text(line) or line.text.strip()).replace("’", "'")
        first = spans([replace(line, text=match[1])])[:1] if (match := FORBIDS.match(said)) else []
        head, path, rest = match[1].partition(first[0]) if match and first else ("", "", "")
        if not head.strip("`") and FILE.match(path) and not OURS.match(path) and WHOLE.match(rest):
            found.setdefault(path, line.number)
    outside = Scope(scope).violations([path.rstrip("/*") for path in found]) if found and scope else {}
    found = {path: number for path, number in found.items() if path.rstrip("/*") not in outside}
    if found:
        meant = MEANT.format(shorten(f"off_limits: [{', '.join(found)}]"))
        yield f"Line {min(found.values())}: only the agent is told, and nobody holds the work to it.{meant}"


def spans(prose: Sequence[Line]) -> list[str]:
    """The paths in the middle of what items say: "Don't touch `tests/**`"."""
    found = ((span, bare.rstrip(".")) for line in prose for span, bare in SPAN.findall(line.text))
    said = (span if PATHLIKE.search(span) else bare if NAMING.search(bare) else "" for span, bare in found)
    return [path for path in said if path]


def fenced(body: Body) -> Iterator[str]:
    """One sentence where all headings stand in a block of code, as in a file that is an answer's ```markdown block. Below a title
    it is a quotation, and `# notes` a script's comment."""
    lines = () if body.title or body.sections else (line for part in body.parts for line in part.lines if line.code)
    if found := next((line for line in lines if section_name(heading_of(line.text)[1])), None):
        heading = shorten(found.text.strip())
        prose = f"Line {found.number}: `{heading}` is in a block of code and read as prose."
        yield f"{prose} Did you mean `{heading}` without the block?"


def own(section: Section, name: str) -> Section:
    """The items of the section without those below "Out of scope" in a Scope, or the other way round; "In scope" is no item."""
    kept, mine = [], True
    for line in section.lines:
        words, rest = _begun(line)
        meant = _meant(words, name) if words else None
        mine = meant in (None, name) if words else mine
        if mine and (rest or meant is None):
            listed = replace(line, text=f"- {rest}")
            kept.append(listed if meant and globs(Section(0, (listed,)))[0] else line)
    return Section(section.number, tuple(kept))


def _begun(line: Line) -> tuple[str, str]:
    """What a line that begins something calls it, and what else it says: a heading, or a label such as `**Scope:** src/`."""
    if not line.code and heading_of(line.text)[0]:
        return heading_of(line.text)[1], ""
    label = None if line.code else LABEL.fullmatch(line.text)
    return (label[1] or label[2], label[3]) if label else ("", "")


def _meant(words: str, within: str) -> str | None:
    """The section that it reads like, or the part of one that it stands in."""
    if name := section_name(words):
        return name
    plain = shorten(words).casefold().replace("’", "'").strip(" :")
    if within == "scope" and plain in INNER:
        return INNER[plain]
    like = next((name for name, pattern in LIKE.items() if pattern.search(plain)), None)
    near = [] if plain in OTHERS else ["scope", "files in scope", "off limits"]
    close = difflib.get_close_matches(plain, near, n=1, cutoff=0.8)
    return like or (section_name(close[0]) if close else None)


def _paths(line: Line, rest: str, below: Iterable[Line]) -> bool:
    """Whether paths stand behind it, or below it up to the next one of its kind."""
    listed = [Line(line.number, f"- {part}") for part in rest.split(",")]
    for each in below:
        if _begun(each)[0]:
            break
        listed.append(each)
    return bool(globs(Section(line.number, tuple(listed)))[0])
