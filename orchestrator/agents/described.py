"""An agent that the configuration alone describes, as `generic` runs it. This is the one place that tells what may be said.

    [agents.mybot]
    argv = ["mybot", "run", ["--model", "{model}"], "{prompt}"]   # an inner list only where all its words have a value
    resume = ["mybot", "resume", "{session}", "{prompt}"]         # for a session that goes on; left out: none can
    stdin = "{prompt}"                                            # left out: nothing can be read there
    set = {MYBOT_QUIET = "1"}                                     # variables
    environment = ["MYBOT_*"]                                     # names and families passed on to it
    exits = {41 = "auth"}                                         # exit codes that tell how it ended
    totals = true                                                 # `usage` counts from the session's start
    [agents.mybot.patterns]                                       # regular expressions, searched in each line
    session = 'Session: (?P<session>\\S+)'
    usage = '(?P<input_tokens>[\\d,]+) in, (?P<output_tokens>[\\d,]+) out'
    limit = 'Limit reached, (?P<reset>try again .*)'              # or seconds, or epoch
    end = '^Done\\.$'                                             # with it, a session that didn't print it is not finished

Words may hold {prompt} {prompt_file} {worktree} {model} {effort} {session} {attempt} {usd} {minutes}. Also: terminal ("never",
"optional", "always"), silence ("10m"), answers ([{pattern, keys}]), secrets, models, efforts, skills, leaves, credentials,
program, install, login, as `protocol.Traits` explains them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from orchestrator.agents.dialogue import typed
from orchestrator.agents.protocol import Answer, Terminal, Traits
from orchestrator.core import durations
from orchestrator.core.outcome import COUNTED, AgentEnd
from orchestrator.core.value import Value
from orchestrator.errors import AgentError

Words = tuple[str | tuple[str, ...], ...]
Found = TypeVar("Found")
PLACES = frozenset({"prompt", "prompt_file", "worktree", "model", "effort", "session", "attempt", "usd", "minutes"})
PLACE = re.compile(r"\{([a-z_]+)\}")
# What each pattern may name; where it names nothing, all that it found is meant. In the order in which they are looked for.
PATTERNS: Mapping[str, frozenset[str]] = {
    "session": frozenset({"session"}),
    "model": frozenset({"model"}),
    "notice": frozenset({"text"}),
    "text": frozenset({"text"}),
    "tool": frozenset({"name", "input", "id"}),
    "result": frozenset({"text", "id", "failed"}),
    "usage": frozenset(COUNTED),
    "cost": frozenset({"usd"}),
    "question": frozenset({"text"}),
    "limit": frozenset({"text", "reset", "seconds", "epoch"}),
    "auth": frozenset({"text"}),
    "context": frozenset({"text"}),
    "error": frozenset({"text"}),
    "failed": frozenset({"text"}),
    "end": frozenset({"text"}),
}
EFFORTS = ("low", "medium", "high")  # where a word asks for one and none are named
LISTS = ("models", "efforts", "environment", "secrets", "skills", "leaves", "credentials")
KEYS = ("argv", "resume", "stdin", "set", "patterns", "exits", "totals", "terminal", "silence", "answers", *LISTS)
TEXTS = ("program", "install", "login")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Description(Value):
    """What was said of one agent, understood."""

    argv: Words
    traits: Traits
    resume: Words = ()
    stdin: str | None = None
    set: Mapping[str, str] = field(default_factory=dict)
    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    exits: Mapping[int, AgentEnd] = field(default_factory=dict)
    totals: bool = False


def parse(name: str, table: Mapping[str, Any]) -> Description:
    """What `table` says of the agent `name`. Raises AgentError with the key and what is expected."""
    said = _Said(name, table)
    said.known()
    argv, resume = said.words("argv"), said.words("resume")
    if not argv or not isinstance(argv[0], str):
        raise said.wrong("argv", "a list of words, the program first")
    patterns = said.patterns()
    return Description(
        argv,
        _traits(said, argv, resume, patterns),
        resume,
        said.stdin(),
        said.variables(),
        patterns,
        said.exits(),
        said.flag("totals"),
    )


def places(words: Words) -> set[str]:
    """The names of the values that the words ask for."""
    flat = [part for word in words for part in ((word,) if isinstance(word, str) else word)]
    return {place for word in flat for place in PLACE.findall(word)} & PLACES


def answers(name: str, table: Mapping[str, Any]) -> tuple[Answer, ...]:
    """The `answers` of one table alone. Raises AgentError."""
    return _Said(name, table).answers()


def _traits(said: _Said, argv: Words, resume: Words, patterns: Mapping[str, re.Pattern[str]]) -> Traits:
    asked, counted = places(argv), {group for key in ("usage", "cost") if key in patterns for group in patterns[key].groupindex}
    program = said.text("program") or str(argv[0])
    return Traits(
        models=said.texts("models"),
        efforts=said.texts("efforts") or (EFFORTS if "effort" in asked else ()),
        resume=bool(resume),
        budgets=frozenset(asked & {"usd", "minutes"}),
        cost="usd" in counted,
        closes="end" in patterns,
        terminal=said.terminal(),
        environment=said.texts("environment"),
        secrets=said.texts("secrets"),
        skills=said.texts("skills"),
        leaves=said.texts("leaves"),
        silence=said.silence(),
        answers=said.answers(),
        program=program,
        install=said.text("install") or f"Put {program} on PATH.",
        login=said.text("login") or "",
        credentials=said.texts("credentials"),
    )


class _Said:
    """One table, read key by key."""

    def __init__(self, name: str, table: Mapping[str, Any]) -> None:
        self._name, self._table = name, table

    def wrong(self, key: str, expected: str, found: Any = None) -> AgentError:
        """What is said where a value can't be used; `found` is the part that is wrong, else the key's value."""
        found = self._table.get(key.partition(".")[0]) if found is None else found
        shown = "nothing" if found is None else repr(found)
        message = f"agents.{self._name}.{key}: found {shown[:200]}, expected {expected}."
        return AgentError(
            message, hint="`orchestrator --config` says where it stands; what may be said, orchestrator/agents/described.py."
        )

    def known(self) -> None:
        """Raises for a key that means nothing: it would be left out without a word."""
        for key in self._table:
            if key not in KEYS and key not in TEXTS:
                near = difflib.get_close_matches(key, (*KEYS, *TEXTS), 1)
                raise self.wrong(key, f"the key {near[0]!r}" if near else f"one of {', '.join((*KEYS, *TEXTS))}", found=key)

    def words(self, key: str) -> Words:
        value = self._get(key, list, "a list of words", [])
        words = [tuple(word) if isinstance(word, list) else word for word in value]
        for part in (part for word in words for part in (word if isinstance(word, tuple) else (word,))):
            if not isinstance(part, str):
                raise self.wrong(key, "words in quotes, or lists of such words", found=part)
            self._places(key, part)
        return tuple(words)

    def stdin(self) -> str | None:
        text = self.text("stdin")
        self._places("stdin", text or "")
        return text

    def text(self, key: str) -> str | None:
        value: str | None = self._get(key, str, "a text in quotes", None)
        return value

    def flag(self, key: str) -> bool:
        return bool(self._get(key, bool, "true or false", False))

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key, list, "a list of texts", [])
        for item in value:
            if not isinstance(item, str):
                raise self.wrong(key, "a list of texts in quotes", found=item)
        return tuple(value)

    def variables(self) -> dict[str, str]:
        value = self._get("set", dict, 'variables, as {NAME = "value"}', {})
        for name, text in value.items():
            if not isinstance(text, str):
                raise self.wrong(f"set.{name}", "a text in quotes", found=text)
        return dict(value)

    def exits(self) -> dict[int, AgentEnd]:
        ends = ", ".join(sorted(AgentEnd))
        value = self._get("exits", dict, 'exit codes, as {41 = "auth"}', {})
        return {self._code(code): self._one(f"exits.{code}", AgentEnd, end, f"one of {ends}") for code, end in value.items()}

    def patterns(self) -> dict[str, re.Pattern[str]]:
        value = self._get("patterns", dict, "a table of regular expressions", {})
        for key in value:
            if key not in PATTERNS:
                raise self.wrong(f"patterns.{key}", f"one of {', '.join(PATTERNS)}", found=key)
        return {key: self._pattern(f"patterns.{key}", value[key], PATTERNS[key]) for key in PATTERNS if key in value}

    def terminal(self) -> Terminal:
        return self._one("terminal", Terminal, self._table.get("terminal", Terminal.OPTIONAL), '"never", "optional" or "always"')

    def silence(self) -> float:
        return self._one("silence", durations.seconds, self._table.get("silence", 0), 'a length of time, as "10m"')

    def answers(self) -> tuple[Answer, ...]:
        expected = 'what is typed at a prompt, as [{pattern = "Continue\\\\?", keys = "y<enter>"}]'
        value = self._get("answers", list, expected, [])
        for answer in value:
            if not isinstance(answer, dict) or set(answer) != {"pattern", "keys"} or not isinstance(answer["keys"], str):
                raise self.wrong("answers", expected, found=answer)
            self._pattern("answers.pattern", answer["pattern"], None)
        return tuple(Answer(answer["pattern"], typed(answer["keys"])) for answer in value)

    def _get(self, key: str, kind: type, expected: str, default: Any) -> Any:
        if key not in self._table:
            return default
        value = self._table[key]
        if not isinstance(value, kind):
            raise self.wrong(key, expected)
        return value

    def _one(self, key: str, make: Callable[[Any], Found], value: Any, expected: str) -> Found:
        try:
            return make(value)
        except ValueError:
            raise self.wrong(key, expected, found=value) from None

    def _code(self, code: str) -> int:
        return self._one(f"exits.{code}", int, code, "an exit code, a whole number")

    def _places(self, key: str, text: str) -> None:
        for place in PLACE.findall(text):
            if place not in PLACES:
                raise self.wrong(key, f"one of {', '.join(f'{{{place}}}' for place in sorted(PLACES))}", found=f"{{{place}}}")

    def _pattern(self, key: str, text: Any, groups: frozenset[str] | None) -> re.Pattern[str]:
        if not isinstance(text, str):
            raise self.wrong(key, "a regular expression in quotes", found=text)
        try:
            pattern = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise self.wrong(key, f"a regular expression ({error})", found=text) from None
        for group in pattern.groupindex:
            if groups is not None and group not in groups:
                raise self.wrong(key, f"groups of the names {', '.join(sorted(groups))}", found=f"(?P<{group}>…)")
        return pattern
