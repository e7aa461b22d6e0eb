"""What a person would see on a program's terminal. The emulator takes a microsecond a byte, so it is fed late and bounded."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Any

ROWS, COLUMNS = 40, 120
BACKLOG = 64 * 1024  # more than this between two looks is a flood: only its end is shown
# Colours, which nobody looks at here; and what the emulator doesn't know and would draw as text: DCS, APC and PM strings, CSI
# with a private mark other than `?`, and what asks for modes or for the keyboard's protocol.
SKIPPED = re.compile(
    rb"\x1b\[[\d;:]*m|\x1b[P_^X][^\x1b\x07]*(?:\x1b\\|\x07)|\x1b\[[<=>][0-?]*[ -/]*[@-~]|\x1b\[\?[0-?]*(?:\$[@-~]|[mnuSW])"
)
UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[P_^X\]][^\x1b\x07]*\x1b?)?\Z")
PARTS = re.compile(rb"(?=\x1b)")
QUERY = re.compile(rb"\x1b\[(?:[56]n|0?c)")  # a program that asks the terminal something waits for its answer
PAINTS = re.compile(rb"\x1b(?:\[(?:\?1049h|[\d;]*[Hf]|\d*J|\d*[ABEF]))")  # it moves about, instead of printing line by line


class Screen:
    """A terminal's screen. `reply` types what the terminal itself answers to a program's questions about it."""

    def __init__(self, reply: Callable[[bytes], None]) -> None:
        self._backlog = bytearray()
        self._stream: Any = None
        self._screen: Any = None
        self._reply = reply
        self.painted = False

    def take(self, data: bytes) -> None:
        """What the program wrote next."""
        self.painted = self.painted or PAINTS.search(data) is not None
        self._backlog += data
        if len(self._backlog) > 4 * BACKLOG:
            del self._backlog[: -2 * BACKLOG]
        if QUERY.search(data):
            self._show()

    def skim(self) -> bool:
        """Whether so much has come since the last look that this is no time for one; all but its end is forgotten then."""
        flooded = len(self._backlog) > BACKLOG
        del self._backlog[:-BACKLOG]
        return flooded

    def rows(self) -> tuple[str, ...]:
        """The screen's rows from the top, without the empty ones at the end, and without spaces at the end of each."""
        self._show()
        rows = [row.rstrip() for row in self._screen.display]
        while rows and not rows[-1]:
            rows.pop()
        return tuple(rows)

    @property
    def at_line_end(self) -> bool:
        """Whether the cursor stands behind the last text there is, as it does after a prompt."""
        rows = self.rows()
        cursor = self._screen.cursor
        return bool(rows) and cursor.y == len(rows) - 1 and cursor.x >= len(rows[-1])

    def _show(self) -> None:
        if self._screen is None:
            self._screen, self._stream = _emulator(self._reply)
        data = bytes(self._backlog[-BACKLOG:])
        unfinished = UNFINISHED.search(data)
        cut = unfinished.start() if unfinished and len(data) - unfinished.start() < BACKLOG // 2 else len(data)
        self._backlog = bytearray(data[cut:])
        for part in PARTS.split(SKIPPED.sub(b"", data[:cut])):
            with contextlib.suppress(Exception):  # an escape sequence with more arguments than it has; the next one may be fine
                self._stream.feed(part)


def _emulator(reply: Callable[[bytes], None]) -> tuple[Any, Any]:
    import pyte

    class Terminal(pyte.Screen):
        def write_process_input(self, data: str) -> None:
            reply(data.encode())

    screen = Terminal(COLUMNS, ROWS)
    return screen, pyte.ByteStream(screen)
