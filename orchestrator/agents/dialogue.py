"""A program at a terminal: what it asks there is answered from an allow-list or becomes a question to a person, never a guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from orchestrator.agents.protocol import Answer
from orchestrator.proc.awake import AwakeClock
from orchestrator.proc.command import Keyboard
from orchestrator.proc.screen import Screen

REST = 0.6  # seconds without a change before the screen is read: a menu is painted in several steps
ASKS = 5.0  # what looks like an unknown prompt has rested this long: it is one
PATIENCE = 0.75  # of the silence limit: whoever only waits for input is told apart from who hangs before that is over
TRIES = 2  # the same screen after this many answers doesn't take them
ACTS = 3.0  # seconds it gets to take an answer
SNAPSHOT = 10.0  # seconds between two looks at a screen that never rests, for the log
TAIL = 24  # rows from the end in which a prompt is looked for
PROMPT = 8  # of them are told to a person
FRAME = re.compile("[\u2500-\u259f]")  # boxes and blocks drawn with characters
COMMON = (
    Answer(r"(?i)press (?:enter|return|any key)\b[^\n]*$", "\r"),
    Answer(r"(?i)\b(?:continue|proceed)\b[^\n]*[\[(]Y/n[\])]\W*$", "y\r"),  # the capital is what it takes for an empty answer
)
LOOKS_ASKING = re.compile(
    r"(?ix) [\[(] y(?:es)? \s?/\s? n(?:o)? [\])] \W*$ | \(y\)es/\(n\)o | \? \s* (?:[>:] \s*)? $ "
    r"| (?:password|passphrase|token|code|username|login) [^\n]* : \s* $ "
    r"| \b enter \s (?:to\s)? (?:confirm|select|continue|choose) \b"
)
MENU = re.compile(r"(?m)^[❯›▸●>] \d+[.)] \S[^\n]*\n\d+[.)] \S|^\d+[.)] \S[^\n]*\n[❯›▸●>] \d+[.)] \S")
HINTS = 3  # rows at the end of a painted screen in which it says which keys it takes


class Dialogue:
    """Takes what a program writes to its terminal; `look`, called several times a second, answers or says what it asks.

    `idle` is the silence after which the session would count as stalled. `row` gets the rows of a program that paints its screen,
    once each has come to rest; of one that prints line by line nothing.
    """

    def __init__(
        self,
        answers: Sequence[Answer],
        *,
        idle: float | None,
        note: Callable[[str], None],
        row: Callable[[str], None],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._answers = [(re.compile(answer.pattern, re.MULTILINE), answer.keys) for answer in (*answers, *COMMON)]
        self._patience = (idle or float("inf")) * PATIENCE
        self._note, self._row, self._clock = note, row, clock or AwakeClock()
        self._screen = Screen(self._type)
        self._keyboard: Keyboard | None = None
        self._fresh = False  # something came since the last look
        self._rows: tuple[str, ...] = ()
        self._told: tuple[str, ...] = ()  # what was told last, and the rows of it
        self._shown: frozenset[str] = frozenset()
        self._shown_at = self._changed_at = self._clock()
        self._answered: list[str] = []  # the same screen, as often as it was answered
        self._answered_at = 0.0

    @property
    def painted(self) -> bool:
        """Whether the program paints its screen, so that what it writes can't be read line by line."""
        return self._screen.painted

    def connect(self, keyboard: Keyboard) -> None:
        """The program has started: this types to it."""
        self._keyboard = keyboard

    def take(self, data: bytes) -> None:
        """What the program wrote."""
        self._screen.take(data)
        self._fresh = True

    def look(self) -> str | None:
        """Answer a known prompt at rest. The text of one that only a person can answer; None while there is none."""
        now = self._clock()
        if self._fresh and not self._screen.skim():
            self._fresh = False
            rows = self._screen.rows()
            if rows != self._rows:
                self._rows, self._changed_at = rows, now
        rest = 0.0 if self._fresh else now - self._changed_at
        if rest >= REST or now - self._shown_at >= SNAPSHOT:
            self.show()
        if rest < REST or not self._rows:
            return None
        text = tail(self._rows)
        return None if self._answer(text, now) else self._question(text, rest)

    def show(self) -> None:
        """Tell the rows that are new on a painted screen."""
        self._shown_at = self._clock()
        if self._fresh:
            self._rows = self._screen.rows()
        if not self.painted or self._rows == self._told:
            return
        self._told = self._rows
        rows = [row for line in self._rows if (row := plain(line))]
        for row in rows:
            if row not in self._shown:
                self._row(row)
        self._shown = frozenset(rows)

    def _answer(self, text: str, now: float) -> bool:
        """Whether this screen was answered, now or just before."""
        if text in self._answered and now - self._answered_at < ACTS:
            return True
        for pattern, keys in self._answers:
            if (found := self._current(pattern, text)) and self._answered.count(text) < TRIES:
                self._answered = [*self._answered, text] if text in self._answered else [text]
                self._answered_at = now
                self._note(f"answered {found[0].splitlines()[0]!r} with {spoken(keys)}")
                self._type(keys.encode())
                return True
        return False

    def _current(self, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
        """Where `pattern` stands on the screen; what is printed line by line asks in its last line only."""
        last = text.rfind("\n") + 1
        return next((found for found in pattern.finditer(text) if self.painted or found.end() > last), None)

    def _question(self, text: str, rest: float) -> str | None:
        """Whether the program waits for a person: by how its last lines read, or because it only reads or only rests for long."""
        last = text.splitlines()[-HINTS if self.painted else -1 :]
        asking = any(map(LOOKS_ASKING.search, last)) or MENU.search(text) or text in self._answered
        asking = asking and (self.painted or self._screen.at_line_end)
        patience = min(ASKS, self._patience) if asking else self._patience
        if rest < patience or not (asking or self.painted or self._reads()):
            return None
        return "\n".join(text.splitlines()[-PROMPT:])

    def _reads(self) -> bool:
        return self._keyboard is not None and self._keyboard.awaited()

    def _type(self, keys: bytes) -> None:
        if self._keyboard is not None:
            self._keyboard.type(keys)


def tail(rows: Sequence[str]) -> str:
    """The last rows of a screen, for patterns: without frames, empty rows and the spaces around each row."""
    return "\n".join([row for line in rows if (row := plain(line))][-TAIL:])


def plain(row: str) -> str:
    """A row without frames and the spaces around it; a space that doesn't break is one all the same."""
    return FRAME.sub(" ", row).replace("\xa0", " ").strip()


KEYS = {"\r": "enter", "\x1b[A": "up", "\x1b[B": "down", "\x1b": "escape", "\t": "tab", " ": "space"}
NAMED = {f"<{name}>": keys for keys, name in KEYS.items()}


def spoken(keys: str) -> str:
    """Keys in words, for the log."""
    for code, name in sorted(KEYS.items(), key=lambda pair: -len(pair[0])):
        if code != " ":
            keys = keys.replace(code, f"<{name}>")
    return keys


def typed(text: str) -> str:
    """The reverse: `<down><enter>` as a configuration says it, in keys."""
    for name, keys in NAMED.items():
        text = text.replace(name, keys)
    return text
