"""Changing a spec's text: only the touched lines change, comments and order stay.

Every edit is checked by reading the result: it says what was asked for and nothing else, or it is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from orchestrator.core.gates import Mode, with_mode
from orchestrator.errors import OrchestratorError
from orchestrator.store.page import NOWHERE, Page, Steps, refusal
from orchestrator.store.sections import LABELLED, PREFIX, RULE, Body, Section, read_body
from orchestrator.store.yamltext import whole


def edit(text: str, changes: Mapping[str, object], path: Path = NOWHERE) -> str:
    """`text`, the spec at `path`, with these keys set; None removes one. `metric.target` reaches inside, and
    `metric.…` the first of `metrics`.

    A goal or title that stands in the body is changed there. Raises SpecError where the front matter can't be read as
    it is, OrchestratorError where a change can't be made without touching more.
    """
    bom, plain = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    Page.of(plain, path)
    for key in sorted(changes, key=lambda key: not key.endswith(".name")):
        plain = _change(plain, key, changes[key])
    return bom + plain


def _change(text: str, key: str, value: object) -> str:
    page = Page.of(text)
    value = whole(value) if isinstance(value, str) else value
    if key in ("goal", "title") and key not in page.data and value is not None and (edited := _in_body(page, key, str(value))):
        return edited
    steps, value = _mode_alone(page, _steps(page, key), value)
    wanted = _applied(page.data, steps, value)
    if wanted == page.data:
        return text
    if value is None:
        texts: Iterator[str] = iter([page.removed(steps)])
    else:  # a block of lines would swallow an indented comment that comes after it
        texts = (page.with_value(steps, value, wanted, block=block) for block in (True, False))
    for edited in texts:
        if _reads_as(edited, wanted, page.body):
            return edited
    raise refusal(key)


def _reads_as(text: str, data: dict[str, Any], body: str) -> bool:
    try:
        page = Page.of(text)
    except OrchestratorError:
        return False
    return page.data == data and page.body == body


def _steps(page: Page, key: str) -> Steps:
    parts = key.split(".")
    if parts[0] == "metric" and len(parts) > 1 and "metric" not in page.data and isinstance(page.data.get("metrics"), list):
        return ("metrics", 0, *parts[1:])
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _mode_alone(page: Page, steps: Steps, value: object) -> tuple[Steps, object]:
    """What is said of a gate, and where: a mode leaves its command, or what else is said of it, as it is."""
    said = page.data.get("gates")
    is_mode = isinstance(value, str) and value in set(Mode)
    if steps[0] != "gates" or len(steps) != 2 or not is_mode or not isinstance(said, dict):
        return steps, value
    before = said.get(str(steps[1]))
    if isinstance(before, dict):
        return (*steps, "mode"), value
    return steps, with_mode(str(steps[1]), before, str(value))


def _applied(data: dict[str, Any], steps: Steps, value: object) -> dict[str, Any]:
    """What the front matter must read as afterwards. A metric given as a bare name becomes a mapping."""
    after = copy.deepcopy(data)
    holder: Any = after
    for step, following in pairwise(steps):
        inner = _item(holder, step)
        if isinstance(inner, str) and following != "name" and step in ("metric", 0):
            inner = {"name": inner}
        elif not isinstance(inner, dict | list):
            inner = {}
        holder[_key(holder, step)] = inner
        holder = inner
    last = _key(holder, steps[-1])
    if value is not None:
        holder[last] = list(value) if isinstance(value, tuple) else value
    elif isinstance(holder, dict):
        holder.pop(last, None)
        if not holder and len(steps) > 1:
            return _applied(data, steps[:-1], None)
    else:
        raise refusal(str(last))
    return after


def _key(holder: Any, step: str | int) -> Any:
    """`step` as a key of a mapping, or as the place of an item that a list has."""
    if isinstance(holder, dict):
        return str(step)
    if isinstance(step, int) and step < len(holder):
        return step
    raise refusal(str(step))


def _item(holder: Any, step: str | int) -> Any:
    key = _key(holder, step)
    return holder.get(key) if isinstance(holder, dict) else holder[key]


def _in_body(page: Page, key: str, value: str) -> str | None:
    """The text with the goal or title changed where the body says it; None where it doesn't, or can't say the new one."""
    start = page.body_start
    body = "\n".join(page.lines[start:]).replace("\r", "")
    told = read_body(body, start)
    edited = _body_goal(page, told, value) if key == "goal" else _body_title(page, told, value)
    if edited is None:
        return None
    after = Page.of(edited)
    read = read_body("\n".join(after.lines[start:]).replace("\r", ""), start)
    said = _goal(read).text if key == "goal" else read.title
    return edited if said == value.strip() and _others(read, key) == _others(told, key) and after.data == page.data else None


def _others(body: Body, key: str) -> object:
    sections = {name: section.text for name, section in body.sections.items() if name != key}
    before = "" if key == "goal" and "goal" not in body.sections else body.preamble
    labelled = [(line.label, line.value) for line in body.labelled]
    return (sections, before, labelled, None if key == "title" else body.title)


def _goal(body: Body) -> Section:
    """Where the body says the goal: in its section, else below the title, where lines such as `**Model:** m` are none of it."""
    below = (line for line in body.parts[0].lines if not LABELLED.match(line.text))
    return body.sections.get("goal") or Section(0, tuple(below))


def _body_goal(page: Page, told: Body, value: str) -> str | None:
    section = _goal(told)
    if not section.text:
        return None
    first, last = _filled(section)
    new = [line + page.ending for line in value.strip().split("\n")]
    together = [line.number for line in section.lines if first <= line.number <= last] == list(range(first, last + 1))
    return "\n".join([*page.lines[:first], *new, *page.lines[last + 1 :]]) if together else None


def _filled(section: Section) -> tuple[int, int]:
    """The first and last line that say something. Two sections of one name, or a comment amid the words, leave a gap there."""
    filled = [line for line in section.lines if line.text.strip()]
    edges = (filled[0], filled[-1])
    said = [line.number for line in filled if not (line in edges and RULE.fullmatch(line.text))]
    return said[0], said[-1]


def _body_title(page: Page, told: Body, value: str) -> str | None:
    if not told.title or "\n" in value.strip():
        return None
    for number in range(page.body_start, len(page.lines)):
        line = page.lines[number]
        heading = line.lstrip().removeprefix("#").strip()
        if line.lstrip()[:2] in ("# ", "#\t") and PREFIX.sub("", heading).rstrip("# ").strip() == told.title:
            prefix = PREFIX.match(heading)
            ending = "\r" if line.endswith("\r") else ""
            new = f"# {prefix[0] if prefix else ''}{value.strip()}{ending}"
            return "\n".join([*page.lines[:number], new, *page.lines[number + 1 :]])
    return None
