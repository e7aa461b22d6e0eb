"""Keys that stand in the prose, where only the agent reads them: front matter that is none, `**Review:** required`, `## Base`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from orchestrator.core.spec import MEANT, RESERVED
from orchestrator.errors import SpecError
from orchestrator.store import validation
from orchestrator.store.header import MOST, Header, read_header, shorten
from orchestrator.store.model import FrontMatter
from orchestrator.store.sections import EMPTY, Body, Line, bullet_text, heading_of, words_of

# What people, editors and models write for front matter that is none: below the title or a remark, in smart dashes, in TOML's
# marks, in a fence.
MISPLACED = re.compile(
    r"(?P<remark>(?!%).*\n\s*)??(?:%.*\n)?(?:-{3,}|[–—]{1,3}-?|\+{3}|(?P<fence>`{3,})[ \t]*(?:ya?ml|markdown|md))[ \t]*\n"
    r"(?:---[ \t]*\n)?\s*(?P<key>[a-z_]+)[ \t]*[:=]|\{\s*\"(?P<json>[a-z_]+)\"\s*:"
)
# A key as a label, such as people write below a title because `**Model:**` is read there.
LABEL = re.compile(
    r"\s*(?:[-*+]\s+)?\*\*(?P<key>[A-Za-z][\w -]{2,30})(?::\*\*|\*\*\s*:)\s*(?P<value>`?[^\s,`]+(?:, [^\s,`]+)*`?)\s*"
)
COMMAND = re.compile(r"`([a-z][^` ]* [^`]+)`")
MEANT_AS_KEYS = FrontMatter.model_fields.keys() - RESERVED - {"title", "goal", "labels", "benchmark", "setup"}
READ = {"model", "effort", "max_failures", "scope", "off_limits", "metric"}  # as labels, or told elsewhere
AS_LABELS = MEANT_AS_KEYS - READ - {"repo", "skills"}  # in prose, those are what a project and a person have
ORDINARY = frozenset({"branch", "needs", "requires", "after"})  # a task's own branch is no base, and it may need a tool
# What begins a body as front matter does whose marks were left out, or that goes on behind them.
UNMARKED = re.compile(r"(?P<key>[a-z_]+):(?: +(?:\S+|[\[{].*)[ \t]*$|(?:\n *(?:- |\w+:).*)+)", re.MULTILINE)
BEGINS = "front matter begins in the first line, with three hyphens"


def header(front: Header, body: Body) -> Iterator[str]:
    """What the first words of the body ask for in vain: `review: required` below the title lets all work land. Of who knows
    where front matter goes, a block of code is a quotation; and what is said below a title is no remark about the file."""
    lines = body.parts[0].lines
    first = "\n".join(line.text for line in lines).strip()
    begun, titled = front.body_line > 1, bool(lines) and lines[0].number > front.body_line
    if match := MISPLACED.match(first):
        key = match["key"] or match["json"]
        if key in FrontMatter.model_fields and not (match["fence"] and begun) and not (match["remark"] and titled):
            yield f"`{key}` is read as prose: {BEGINS}.{MEANT.format('---')}"
    elif not titled and (match := UNMARKED.match(first)) and match["key"] in MEANT_AS_KEYS and _understood(match[0]):
        line = shorten(match[0].partition("\n")[0])
        meant = f"{MEANT.format(line).rstrip('?')} above its end?" if begun else MEANT.format("---")
        yield f"`{match['key']}` is read as prose: {'the front matter has ended there' if begun else BEGINS}.{meant}"


def labels(front: Header, body: Body) -> Iterator[str]:
    """What a key would have understood and stands as a label before the first section, or as a section: `**Review:** required`
    lets all work land."""
    for line, label, said in islice((*_labels(body), *_sections(body)), MOST):
        key = _key(label)
        written = f"{key}: {f'[{said}]' if ', ' in said else said}"
        if key in AS_LABELS and key not in front.data and said.lower().rstrip(".") not in EMPTY and _understood(written):
            yield f"Line {line.number}: `{shorten(line.text.strip())}` is read as prose.{MEANT.format(shorten(written))}"


def _key(label: str) -> str:
    key = validation.folded(label.strip().replace(" ", "_"))
    return key if key in ORDINARY else validation.CALLED.get(key.replace("_", ""), key)


def _labels(body: Body) -> Iterator[tuple[Line, str, str]]:
    for line in body.parts[0].lines:
        if not line.code and (match := LABEL.fullmatch(line.text)):
            yield line, match["key"], match["value"].strip("`")


def _sections(body: Body) -> Iterator[tuple[Line, str, str]]:
    """The sections that we don't know and that hold one word, or a list of such; of gates the first command."""
    for part in body.parts:
        said = [bullet_text(line) or line.text.strip() for line in part.lines if line.text.strip()] if not part.name else []
        if part.heading and 0 < len(said) <= MOST:
            label = words_of(heading_of(part.heading.text)[1])
            command = next(filter(None, map(COMMAND.search, said)), None) if label == "gates" else None
            if command:
                yield part.heading, "gates", f"{{test: {command[1]}}}"
            elif not any(word.split()[1:] for word in said):
                yield part.heading, label, ", ".join(word.strip("`") for word in said)


def _understood(written: str) -> bool:
    """Whether front matter of this one line is right."""
    try:
        front = read_header(Path(), f"---\n{written}\n---\n")
        return any(value is not None for value in front.data.values()) and bool(validation.validated(Path(), front))
    except SpecError:
        return False
