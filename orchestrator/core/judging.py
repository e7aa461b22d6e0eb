"""A judge's verdict: one JSON object of a known form, or none. What can't be read is no verdict, never a yes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.value import Value

LARGEST = 256 * 1024
BEGIN = re.compile(r'\{\s*"')  # of an object that says anything; a decoder that fails has looked through all that is before it
MOST = 256 * LARGEST  # characters that it may look through in vain, again and again: a second's work
SUMMARY = 2000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evidence(Value):
    """What a verdict rests on: something in a file."""

    file: str
    says: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.says}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Judgement(Value):
    passes: bool
    summary: str
    evidence: tuple[Evidence, ...]


def read(text: str) -> Judgement:
    """The verdict in what a judge wrote: the last JSON object that has one. Raises ValueError with what is wrong."""
    found = [data for data in _objects(text[-LARGEST:]) if "verdict" in data]
    if not found:
        raise ValueError("there is no JSON object with a `verdict` in what it said")
    data = found[-1]
    if data["verdict"] not in ("pass", "fail"):
        raise ValueError(f"`verdict` is {str(data['verdict'])[:40]!r}, neither pass nor fail")
    return Judgement(data["verdict"] == "pass", _text(data, "summary")[:SUMMARY], tuple(_evidence(data.get("evidence"))))


def _objects(text: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects in a text, those inside another one not. Raises ValueError where too much begins as one and is none."""
    decoder = json.JSONDecoder()
    looked = 0
    begin = BEGIN.search(text)
    while begin:
        try:
            data, end = decoder.raw_decode(text, begin.start())
        except (ValueError, RecursionError) as error:
            end = begin.start() + 1
            looked += _cost(error, begin.start())
            if looked > MOST:
                raise ValueError("too much of what it said begins as a JSON object and is none") from None
        else:
            yield data
        begin = BEGIN.search(text, end)


def _cost(error: Exception, begin: int) -> int:
    """What the decoder read; and it counts all lines before that for its error's words, at a sixty-fourth of the price."""
    place: int = getattr(error, "pos", begin + LARGEST)  # how far it came in what is nested too deep it doesn't say
    return 1 + place - begin + place // 64


def _evidence(said: object) -> Iterator[Evidence]:
    if not isinstance(said, list) or not said:
        raise ValueError("it gives no evidence")
    for each in said:
        if not isinstance(each, dict):
            raise ValueError("its evidence is no list of {file, line, says}")  # noqa: TRY004 - one kind of error for one reader
        line = each.get("line")
        if line is not None and (type(line) is not int or line < 1):
            raise ValueError(f"a piece of evidence names the line {str(line)[:40]!r}")
        yield Evidence(_text(each, "file"), _text(each, "says"), line)


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"its `{key}` is missing")
    return " ".join(value.split())
