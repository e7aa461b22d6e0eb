"""How a model is scripted. This is the one place that tells what may stand in a script; TOML and JSON say the same.

    [[turns]]                                   # one answer of the model each; the first for a new conversation
    say = "I look around first."                # text, alone or before what the turn does
    run = "ls"                                  # a shell command
    [[turns]]
    write = {path = "hello.txt", content = "hi\\n"}   # the whole file, whatever it held
    [[turns]]
    finish = "All done."                        # the end; also what is said where turns run out. true: "Done."

    [[scenes]]                                  # other turns, for the prompts that `when` (a regular expression) finds
    when = "attempt 2"                          # a later prompt of the same session may switch to another scene
    turns = [{say = "Again."}, {finish = true}]

    [[faults]]                                  # also inside a scene, or inside a turn (`fault = {...}`)
    kind = "rate-limit"                         # see Kind
    count = 1                                   # the first so many requests; left out: for ever
    retry_after = 2                             # seconds; left out: with usage-limit until the reset, else no such header
    resets_in = 3600                            # seconds from the answer, or resets_at = an epoch, with usage-limit
    window = "five_hour"                        # or "seven_day", with usage-limit
    megabytes = 10                              # with huge
    message = "..."                             # instead of the provider's own words

    text = "search-replace"                     # or "bash": what a client without tools is told; left out: seen from its words
    side = "ok"                                 # the answer to titles, summaries and other requests that can't act
    usage = {input = 1200, cached = 800, output = 90, reasoning = 0}    # of each answer, or inside a turn; left out: estimated

Which turn comes is read from the conversation in the request, so clients in parallel and retried requests don't disturb
each other; only a fault's count is the server's.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.errors import Misuse
from orchestrator.modelserver.conversation import Usage

HINT = "What may stand in a script is told in orchestrator/modelserver/script.py."
DONE = "Done."


class Kind(StrEnum):
    """What can go wrong: refused by status, broken while it is sent, or sent whole and of no use."""

    AUTH = "auth"
    FORBIDDEN = "forbidden"
    NO_MODEL = "no-model"
    RATE_LIMIT = "rate-limit"
    USAGE_LIMIT = "usage-limit"
    QUOTA = "quota"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server-error"
    CONTEXT = "context"
    CUT = "cut"
    STALL = "stall"
    HANG = "hang"
    GARBAGE = "garbage"
    EMPTY = "empty"
    MAX_TOKENS = "max-tokens"
    UNKNOWN_TOOL = "unknown-tool"
    BAD_ARGUMENTS = "bad-arguments"
    HUGE = "huge"


class Text(StrEnum):
    """How a client without tools reads what the model wants done."""

    SEARCH_REPLACE = "search-replace"
    BASH = "bash"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; `place` tells it from its equals, so that each is counted by itself."""

    kind: Kind
    place: str
    count: int | None = None
    retry_after: int | None = None
    resets_in: int = 3600
    resets_at: int | None = None
    window: str = "five_hour"
    megabytes: int = 1
    message: str = ""

    def reset(self, now: float) -> int:
        """The epoch at which the limit ends."""
        return self.resets_at if self.resets_at is not None else int(now) + self.resets_in


@dataclass(frozen=True, slots=True)
class Write:
    """A file to write, its path from the client's working folder."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: text and at most one of `write`, `run` and `finish`."""

    say: str = ""
    write: Write | None = None
    run: str | None = None
    finish: str | None = None
    usage: Usage | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def words(self) -> str:
        """What the model says in this turn, beside what it does."""
        return "\n\n".join(filter(None, (self.say, self.finish)))


@dataclass(frozen=True, slots=True)
class Scene:
    """Turns for the prompts that `when` finds; none: for all others."""

    when: re.Pattern[str] | None
    turns: tuple[Turn, ...]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """What the model says to whom."""

    scenes: tuple[Scene, ...]
    faults: tuple[Fault, ...] = ()
    text: Text | None = None
    side: str = "ok"
    usage: Usage | None = None


def load(text: str) -> Script:
    """A script from TOML or JSON. Misuse tells what is wrong with it."""
    try:
        return parse(json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text))
    except (ValueError, RecursionError) as wrong:
        raise Misuse(f"The script is neither TOML nor JSON: {wrong}.", hint=HINT) from wrong


def parse(given: Mapping[str, Any]) -> Script:
    """A script from a mapping, as a test writes it down."""
    table = _Table(given, "script")
    scenes = [_scene(scene) for scene in table.tables("scenes")]
    if turns := table.tables("turns"):
        scenes.append(Scene(None, tuple(_turn(turn) for turn in turns)))
    text = table.take("text", str)
    script = Script(
        scenes=tuple(scenes),
        faults=_faults(table),
        text=table.one_of(Text, text) if text is not None else None,
        side=table.take("side", str, "ok"),
        usage=_usage(table),
    )
    table.end()
    return script


class _Table:
    """A mapping that is emptied as it is read: what is left over at the end is a mistake."""

    def __init__(self, given: Any, where: str) -> None:
        if not isinstance(given, Mapping):
            raise Misuse(f"The model's {where} is {given!r}, not a table.", hint=HINT)
        self.rest = dict(given)
        self.where = where

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        value = self.rest.pop(key, None)
        if value is None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Misuse(f"In the model's {self.where}, {key} is {value!r}, not of type {kind.__name__}.", hint=HINT)
        return value

    def tables(self, key: str) -> list[_Table]:
        return [_Table(item, f"{self.where}.{key}[{at}]") for at, item in enumerate(self.take(key, list, []))]

    def table(self, key: str) -> _Table | None:
        value = self.rest.pop(key, None)
        return None if value is None else _Table(value, f"{self.where}.{key}")

    def one_of(self, words: type[Any], value: str | None) -> Any:
        known = [word.value for word in words]
        if value not in known:
            raise Misuse(f"The model's {self.where} says {value!r}; known are {', '.join(known)}.", hint=HINT)
        return words(value)

    def end(self) -> None:
        if self.rest:
            raise Misuse(f"The model's {self.where} has {', '.join(map(repr, self.rest))}, which means nothing.", hint=HINT)


def _scene(table: _Table) -> Scene:
    when = table.take("when", str)
    try:
        pattern = re.compile(when) if when else None
    except re.error as wrong:
        raise Misuse(f"In the model's {table.where}, `when` is no regular expression: {wrong}.", hint=HINT) from wrong
    scene = Scene(pattern, tuple(_turn(turn) for turn in table.tables("turns")), _faults(table))
    table.end()
    return scene


def _turn(table: _Table) -> Turn:
    if sum(key in table.rest for key in ("write", "run", "finish")) > 1:
        raise Misuse(f"The model's {table.where} does more than one thing; make it two turns.", hint=HINT)
    write = table.table("write")
    if table.rest.get("finish") is True:
        table.rest["finish"] = DONE
    turn = Turn(
        say=table.take("say", str, ""),
        write=_write(write) if write else None,
        run=table.take("run", str),
        finish=table.take("finish", str),
        usage=_usage(table),
        faults=_faults(table),
    )
    table.end()
    return turn


def _write(table: _Table) -> Write:
    write = Write(table.take("path", str, ""), table.take("content", str, ""))
    table.end()
    if not write.path:
        raise Misuse(f"The model's {table.where} has no path.", hint=HINT)
    return write


def _usage(table: _Table) -> Usage | None:
    if (numbers := table.table("usage")) is None:
        return None
    usage = Usage(**{key: numbers.take(key, int, 0) for key in ("input", "cached", "output", "reasoning")})
    numbers.end()
    return usage


def _faults(table: _Table) -> tuple[Fault, ...]:
    single = table.table("fault")
    return tuple(_fault(fault) for fault in [*table.tables("faults"), *([single] if single else [])])


def _fault(table: _Table) -> Fault:
    fault = Fault(
        kind=table.one_of(Kind, table.take("kind", str)),
        place=table.where,
        count=table.take("count", int),
        retry_after=table.take("retry_after", int),
        resets_in=table.take("resets_in", int, 3600),
        resets_at=table.take("resets_at", int),
        window=table.take("window", str, "five_hour"),
        megabytes=table.take("megabytes", int, 1),
        message=table.take("message", str, ""),
    )
    table.end()
    return fault
