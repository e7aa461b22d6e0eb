"""The metric as three places may tell of it: front matter, a pi-style `## Metrics` section, the session log's config line.

Each place fills what the others leave open. Two that disagree are an error with both places named, not a guess.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.core import reading
from orchestrator.core.spec import Direction
from orchestrator.core.value import Value
from orchestrator.errors import Problem
from orchestrator.store.sections import CHECKBOX, Body, Line, Section, bullet_text
from orchestrator.store.specfile import careful

MAX_LOG = 16 * 1024 * 1024
LONGEST = 1000  # characters of an item that are looked at
ROLE = re.compile(r"^\**(Primary|Secondary|Monitor|Tradeoff|Guard)s?(?: metrics?)?\**\s*:\**\s*(.+)$", re.IGNORECASE)
NAMED = re.compile(r"^\**`?([^\s`*(,=]+)`?\**\s*(?:\(([^)]*)\))?")
# What stands where a number should: what follows its first digit is part of it, so that `1,000` is not taken for 1.
NUMBER = r" ?([-+−–~≈]?\.?\d[^\s(—;]*(?:(?<=\d) \d[^\s(—;]*)*)"
SIGN = r"<=|>=|≤|≥|<|>|at least|at most"
AIM = rf"[ :*`]{{0,4}}(?:is |of )?({SIGN}|=|less than|more than|under|below|above|max|min)?{NUMBER}"
ENDED = re.compile(r"[\s*`_]*(?:$|[,;()—–])")  # what stands behind a number that is all that is said
# Right behind a name. "must be < 1" asks for 0.
BOUND = re.compile(rf"`?\**\s*(?:\([^)]*\))?\s*(?:(?:must|should) be (?=[<>]=|[≤≥a]))?({SIGN}){NUMBER}", re.IGNORECASE)
# A number behind a name of which nothing says what it is.
BARE = re.compile(r"`?\**\s*(?:\([^)]*\))?\s*(?:[=:→]|->)?\s*(?:at (?:least|most) )?(\d+(?:\.\d+)?)(?![\w%])")
TARGET = re.compile(rf"\btarget\b{AIM}", re.IGNORECASE)
# In prose, a goal is rarely a number for the metric, and the 95th of something is none.
GOAL = re.compile(rf"\b(?:target|goal(?!\W*\d+(?:st|nd|rd|th)\b))\b{AIM}", re.IGNORECASE)
PLAIN = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
AROUND = ".,:!?)]*`_"  # what a sentence or markdown puts behind a number
COMMA = r",(?!(?<=\d,)\d)"  # of a list; one between digits may be a number's
DIRECTION = re.compile(
    r"\b(lower|smaller|less|fewer|higher|bigger|larger|greater|more)(?:(?: \w+)?[ -](?:is|are)[ -]|[ -]the[ -]| ?= ?| )better\b"
    r"|^\W*(?:direction\W+)?(lower|higher|minimi[sz]e|maximi[sz]e)\W*$",
    re.IGNORECASE,
)
# The same in a clause that says nothing else; with more words, as in "↑ from 80", it may be about something else.
WISHED = re.compile(r"\W*(?:(?:should |to )?(?:be )?(decrease|increase|as (?:low|high) as possible)|([↓⬇↑⬆]))\W*", re.IGNORECASE)
LOWER = frozenset({"lower", "smaller", "less", "fewer", "minimise", "minimize", "decrease", "as low as possible", "↓", "⬇"})
# In front of a target, where nothing else says the direction.
UPWARDS = frozenset({">=", "≥", ">", "at least", "more than", "above", "min"})
# Names of what gets better as it grows; not `missing_coverage`, or `score`, which may be one of errors.
GROWING = re.compile(
    r"(?:(?:test|line|branch|code|mutation|total|mean|val)s?[_.-])?"
    r"(?:coverage|accuracy|throughput|passed|passing|pass_rate|recall|precision|speedup)(?:_(?:pct|percent|rate))?",
    re.IGNORECASE,
)
STRICT = frozenset({"<", ">", "less than", "more than", "under", "below", "above"})
CLAUSE = re.compile(rf"{COMMA}|[;()]|\s[—–-]\s")
# What is said of a metric that isn't to reach just 0.
AIMED = re.compile(
    r"\btarget\b|\bbetter\b|[<>≤≥]=? *\d|\b(?:below|under|above|at least|at most|(?:less|more|fewer) than|reach|down to) \d",
    re.IGNORECASE,
)
ABOUT = re.compile(r"\bmetrics?\b", re.IGNORECASE)
CRITERIA = re.compile(r"\b(?:criteri(?:a|on)|acceptance|stop conditions|targets?|kpis?)\b", re.IGNORECASE)
# A line that names a metric: by a label (`**metric:** p95`, or a table's row), or with what is better behind a name.
LABEL = re.compile(
    r"\*\*[Mm]etric\**\s*:\**\s*`?[^\s`]+`?\.?$|\|\s*\*\*[Mm]etric\*\*\s*\|\s*`[^`]+`"
    rf"|(?:\*\*)?Metrics?\**\s*:.*(?:{AIMED.pattern})|(?:\*\*)?`?\w+`?(?:\*\*)? \((?:[^()]*\W)?(?:lower|higher) is better\W"
)
DETAIL = re.compile(r"^\**(?:Direction|Target)\**\s*:\**\s*.+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Said(Value):
    """What one place says of one metric: `values` holds only what it really says; `doubt` is a target that is no plain number,
    `strict` the sign in front of one that is not to be reached itself, `meant` what most likely was to be one and isn't read."""

    name: str
    path: Path
    line: int
    primary: bool
    values: dict[str, Any] = field(default_factory=dict)
    doubt: str = ""
    strict: str = ""
    meant: str = ""

    @property
    def where(self) -> str:
        return f"{self.path.name}:{self.line}"


def from_section(path: Path, section: Section) -> Iterator[Said]:
    """Metrics of lines such as `- **Primary**: total_ms (ms, lower is better) — the sum`."""
    for line, role, text in _told(section):
        primary = role == "primary"
        for part in [text] if primary else re.split(rf"{COMMA}\s*(?![^(]*\))", re.split(r"\s+[—–]\s+", text)[0]):
            if said := _said(path, line, part, primary, guard=role == "guard"):
                yield said


def _told(section: Section) -> list[tuple[int, str, str]]:
    """Line, role and words of each item that tells of metrics. What a primary's own items say below it belongs to it."""
    told: list[tuple[int, str, str]] = []
    for line in section.lines:
        item = " ".join(bullet_text(line).split())[:LONGEST]
        if role := ROLE.match(item):
            told.append((line.number, role[1].lower(), role[2]))
        elif told and told[-1][1] == "primary" and DETAIL.match(item):
            told[-1] = (*told[-1][:2], f"{told[-1][2]} ; {item}")
    return told


def unread(body: Body) -> Line | None:
    """Where the prose most likely tells of a metric: below a heading such as `Success metrics`, or by a `Primary:` line."""
    for part in body.parts:
        prose = [line for line in part.lines if not line.code]
        told = part.lines if part.name == "metrics" else prose
        said = part.heading.text if part.heading else ""
        if ABOUT.search(said) and any(map(AIMED.search, (said.partition(":")[2], *(line.text for line in told)))):
            return part.heading
        if CRITERIA.search(said) and (found := next(filter(_aims, prose), None)):
            return found
        for line in prose:
            said = (bullet_text(line) or line.text.strip())[:LONGEST]
            role = ROLE.match(said)
            if LABEL.match(said) or (role and role[1].lower() == "primary" and AIMED.search(said)):
                return line
    return None


def _aims(line: Line) -> bool:
    """Whether an item is about nothing else than a number that isn't to reach 0: `p95_ms <= 100`, not `Python >= 3.11`."""
    item = CHECKBOX.sub("", bullet_text(line)[:LONGEST])
    named = NAMED.match(item)
    bound = BOUND.match(item, named.end(1)) if named and not named[1][0].isupper() else None
    return bound is not None and bound[2].strip(AROUND) != "0" and not item[bound.end() :].strip(AROUND)


def _said(path: Path, line: int, text: str, primary: bool, *, guard: bool) -> Said | None:
    if (match := NAMED.match(text.strip())) is None or match[1].startswith("<"):
        return None
    values: dict[str, Any] = {"guard": True} if guard else {}
    aim = None
    for item in re.split(rf"{COMMA}|;", match[2] or ""):
        if DIRECTION.search(item) or WISHED.fullmatch(item):
            continue
        if (found := GOAL.search(item)) and _alone(found, values.get("unit", "")):
            aim = found
        elif (unit := item.strip()) and unit.lower() != "unitless" and len(unit) <= 20:
            values.setdefault("unit", unit)
    found = TARGET.search(text) or (BOUND.match(text.strip(), match.end(1)) if primary else None)
    aim = aim or (found if found and _alone(found, values.get("unit", "")) else None)
    if direction := _direction(text.strip(), match.end(1), aim[1] if aim else None):
        values["direction"] = direction
    strict = aim[1] if aim and (aim[1] or "").lower() in STRICT else ""
    meant = "" if aim else _meant(text.strip(), match.end(1))
    said = Said(match[1].rstrip(":;"), path, line, primary, values, strict=strict, meant=meant)
    return _aimed(said, aim[2].rstrip(AROUND) if aim else "")


def _meant(text: str, behind: int) -> str:
    """The target that was most likely meant: the number behind a metric's name, or some number where a target is spoken of."""
    if (found := BARE.match(text, behind)) and float(found[1]):
        return f"target {found[1]}"
    return "target NUMBER" if re.search(r"\btarget\b", text, re.IGNORECASE) else ""


def _alone(aim: re.Match[str], unit: str) -> bool:
    """Whether a number behind words is the target: with more behind it, it may be of something else, as in "at least 3 runs"."""
    if not (aim[1] or "")[:1].isalpha():
        return True
    rest = aim.string[aim.end() :].lstrip().removeprefix(unit)
    return PLAIN.fullmatch(aim[2].rstrip(AROUND)) is not None and (aim[2][-1:] in AROUND or ENDED.match(rest) is not None)


def _direction(text: str, behind: int, sign: str | None) -> Direction | None:
    """The direction that the first clause says which says one, or that is wished for behind the name; else a target with `>=`
    does."""
    found = next(filter(None, map(DIRECTION.search, CLAUSE.split(text))), None)
    found = found or next(filter(None, map(WISHED.fullmatch, CLAUSE.split(text[behind:]))), None)
    if found:
        return Direction.LOWER if (found[1] or found[2]).lower() in LOWER else Direction.HIGHER
    return Direction.HIGHER if sign and sign.lower() in UPWARDS else None


def _aimed(said: Said, target: str) -> Said:
    """What it says with its target: a plain decimal number, or a doubt."""
    if not target:
        return said
    value = reading.number(target) if PLAIN.fullmatch(target) else math.nan
    if not math.isfinite(value):
        return replace(said, doubt=target)
    return replace(said, values={**said.values, "target": value})


def from_log(path: Path) -> Said | None:
    """The metric of the last config line in a session log; lines that are none are skipped, whatever they hold."""
    found = None
    for number, line in enumerate(_log_lines(path), 1):
        if b'"config"' not in line:
            continue
        try:
            data = json.loads(line)
        except ValueError:
            continue
        if isinstance(data, dict) and data.get("type") == "config" and isinstance(data.get("metricName"), str):
            found = _config(path, number, data)
    return found


def _config(path: Path, number: int, data: dict[str, Any]) -> Said | None:
    name = data["metricName"].strip()
    if not name or any(character.isspace() or character == "=" for character in name):
        return None
    values: dict[str, Any] = {}
    if data.get("bestDirection") in ("lower", "higher"):
        values["direction"] = Direction(data["bestDirection"])
    if isinstance(data.get("metricUnit"), str) and data["metricUnit"].strip():
        values["unit"] = data["metricUnit"].strip()
    target = data.get("target_value", data.get("targetValue"))
    if isinstance(target, int | float) and not isinstance(target, bool) and abs(target) < 1e300:
        values["target"] = float(target)
    return Said(name, path, number, True, values)


def _log_lines(path: Path) -> list[bytes]:
    try:
        with open(path, "rb", opener=careful) as file:  # Path.open takes no opener
            return file.read(min(os.fstat(file.fileno()).st_size, MAX_LOG)).split(b"\n")
    except OSError:
        return []


def upside_down(said: Said) -> bool:
    """Whether nobody says of a metric which way is better, so that lower is, though its name tells that higher was meant."""
    grows = GROWING.fullmatch(said.name)
    decides = said.primary or said.values.get("guard") or said.values.get("target")
    return bool(grows and decides) and "direction" not in said.values and said.values.get("target") != 0


def merge(sources: Sequence[Sequence[Said]]) -> tuple[list[Said], list[Problem]]:
    """One entry per metric, the first source's order kept, and every disagreement."""
    problems: list[Problem] = []
    merged: dict[str, Said] = {}
    for said in (said for source in sources for said in source):
        known = merged.get(said.name)
        if known is None:
            problems += _second_primary(said, list(merged.values()))
            merged[said.name] = said
            continue
        problems += [_disagree(known, said, key) for key, value in said.values.items() if known.values.get(key, value) != value]
        merged[said.name] = Said(
            known.name, known.path, known.line, known.primary or said.primary, {**said.values, **known.values}, meant=said.meant
        )
    doubted = (said for source in sources for said in source if said.doubt and "target" not in merged[said.name].values)
    return list(merged.values()), [*problems, *map(_doubtful, doubted)]


def _doubtful(said: Said) -> Problem:
    found = f"the target `{said.doubt}` of `{said.name}`"
    return Problem(said.path, said.line, 1, found, "a plain decimal number in the metric's own unit, like 1000 or 0.5")


def _second_primary(said: Said, known: list[Said]) -> list[Problem]:
    first = next((other for other in known if other.primary), None)
    if not said.primary or first is None or first.where == said.where:
        return []
    return [Problem(said.path, said.line, 1, f"the primary metric `{said.name}`", f"`{first.name}`, as {first.where} says")]


def _disagree(first: Said, second: Said, key: str) -> Problem:
    found = f"{key} {_show(second.values[key])} for `{second.name}`"
    return Problem(second.path, second.line, 1, found, f"{_show(first.values[key])}, as {first.where} says (or change it there)")


def _show(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
