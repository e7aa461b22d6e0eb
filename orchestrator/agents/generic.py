"""Any program as an agent, from the configuration alone: what is run and what its lines mean; see `described` for the words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator.agents import described, reading
from orchestrator.agents.described import PLACE, Words
from orchestrator.agents.protocol import AgentEvent, Availability, Closing, EventKind, Request, Stream, Traits, outcome_of
from orchestrator.core.outcome import AgentEnd, AgentOutcome
from orchestrator.proc.command import Command, Finished

SEEN = 64 * 1024  # characters of a line that patterns are searched in
MILLISECONDS = 1e11  # an epoch above it counts those


class Generic:
    """The agent `name` as `table` of the configuration describes it. Raises AgentError where that has a fault."""

    def __init__(self, name: str, table: Mapping[str, Any]) -> None:
        self.name = name
        self._said = described.parse(name, table)

    @property
    def traits(self) -> Traits:
        return self._said.traits

    def check(self, *, cmd: str | None = None) -> Availability:
        return reading.installed(self.traits.program, install=self.traits.install)

    def command(self, request: Request) -> Command:
        said, values = self._said, _values(request)
        words = said.resume if request.resume and said.resume else said.argv
        stdin = None if said.stdin is None else _filled(said.stdin, {**values, "prompt": request.prompt})
        return Command(
            (*_words(words, values), *request.args),
            cwd=request.worktree,
            env={**said.set, **request.env},
            stdin=None if stdin is None else stdin.encode("utf-8", errors="replace"),
            tty=request.tty,
        )

    def events(self, line: bytes, stream: Stream) -> Iterable[AgentEvent]:
        text = reading.plain(line)
        found = [(key, match) for key, pattern in self._said.patterns.items() if (match := pattern.search(text[:SEEN]))]
        events = [event for key, match in found for event in self._meant(key, match, text)]
        if found:
            return events
        speaks = stream is Stream.OUT and "text" not in self._said.patterns
        return reading.said(text, joins="\n") if speaks else reading.notice(text)

    def outcome(self, finished: Finished, closing: Closing) -> AgentOutcome:
        outcome = outcome_of(finished, closing, closes=self.traits.closes)
        told = None if finished.code is None else self._said.exits.get(finished.code)
        return replace(outcome, end=told) if told and outcome.end is AgentEnd.FAILED else outcome

    def _meant(self, key: str, match: re.Match[str], line: str) -> tuple[AgentEvent, ...]:
        groups = {name: value for name, value in match.groupdict().items() if value is not None}
        text = groups.get("text", match[0])
        match key:
            case "session" | "model":
                return (AgentEvent(EventKind(key), groups.get(key, text).strip()),)
            case "text":
                return reading.said(text, joins="\n")  # of a line: a message may have several
            case "tool":
                return (reading.tool(groups.get("name", text), groups.get("input"), groups.get("id", "")),)
            case "result":
                return (reading.result(groups.get("id", ""), text, ok="failed" not in groups),)
            case "usage" | "cost":
                return _used(groups, total=self._said.totals)
            case "limit":
                return (_limit(groups, line),)
            case "end" | "failed":
                return (reading.end(ok=key == "end", text=text),)
        return (reading.failure(text) if key == "error" else AgentEvent(EventKind(key), text),)


def _values(request: Request) -> dict[str, str]:
    """What the words may ask for; a value that there isn't is empty."""
    given: dict[str, Any] = {
        "prompt": reading.argument(request), "prompt_file": request.prompt_file, "worktree": request.worktree,
        "model": request.model, "effort": request.effort, "session": request.resume, "attempt": request.attempt,
        "usd": request.usd, "minutes": request.minutes,
    }  # fmt: skip
    return {
        name: "" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for name, value in given.items()
    }


def _words(words: Words, values: Mapping[str, str]) -> list[str]:
    """The words with their values. A list of words in their midst is left out where one of its values is missing."""
    filled: list[str] = []
    for word in words:
        part = (word,) if isinstance(word, str) else word
        if isinstance(word, str) or all(values[place] for text in part for place in PLACE.findall(text)):
            filled += [_filled(text, values) for text in part]
    return filled


def _filled(text: str, values: Mapping[str, str]) -> str:
    return PLACE.sub(lambda place: values[place[1]], text)


def _used(groups: Mapping[str, str], *, total: bool) -> tuple[AgentEvent, ...]:
    counts = {name: count for name, text in groups.items() if (count := _number(text)) is not None}
    used = {name: count if name == "usd" else int(count) for name, count in counts.items()}
    return (AgentEvent(EventKind.USAGE, "", {**used, **({"total": True} if total else {})}),) if used else ()


def _limit(groups: Mapping[str, str], line: str) -> AgentEvent:
    text = groups.get("text", line)
    epoch, seconds = _number(groups.get("epoch")), _number(groups.get("seconds"))
    if epoch is not None:
        return reading.limit(text, reset=epoch / 1000 if epoch > MILLISECONDS else epoch)
    told = f"retry after {seconds} s" if seconds is not None else f"resets {groups['reset']}" if "reset" in groups else text
    return replace(reading.limit(told), text=text)


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").replace(",", "").replace("_", ""))
    except ValueError:
        return None
