"""What reaches the person: plain text that is safe on a terminal, one JSON document, or an error of one sentence."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TextIO

from orchestrator.core.terminal import ESCAPE, visible, visible_line

ESCAPES = re.compile(ESCAPE)
LAST_STREAM = 2  # descriptors up to that are stdin, stdout and stderr
WITHOUT_COLUMN = frozenset({"Mn", "Me", "Cf"})  # marks above and below a letter, and what only joins or directs letters
EMOJI = "\ufe0f"  # of these the one that makes a sign as wide as a picture
PATCH_COLORS = {"+": "32", "-": "31", "@": "36"}
WIDE = 100  # columns assumed where there is no terminal to ask


class ReaderGone(Exception):
    """Whoever read our stdout has gone: there is nobody left to tell anything."""


def prepare() -> None:
    """Let stdout and stderr take any text: a name may hold bytes that are no UTF-8, a locale may lack a letter. Where whoever
    started us closed one, its number is taken: a lock or a link that got it would be lost to every program started with it."""
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= LAST_STREAM:
            pass
        os.close(number)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def out(text: str = "") -> None:
    """One line (or more) to stdout."""
    sys.stdout.write(text + "\n")


def err(text: str) -> None:
    """One line to stderr, where there is one."""
    if sys.stderr is not None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def patch(data: bytes, *, color: bool) -> None:
    """A patch, byte for byte, since it may be applied. On a terminal nothing in it is obeyed or left out: by what is seen
    there a person lets work land."""
    sys.stdout.flush()
    if not sys.stdout.isatty():
        sys.stdout.buffer.write(data)
        return
    lines = visible(data.decode(errors="backslashreplace")).rstrip("\n").split("\n")
    out("\n".join(_colored(lines) if color else lines))


def _colored(lines: Iterable[str]) -> Iterator[str]:
    """The lines of a patch in git's colors. What a file says stands behind a sign, so no line of it begins with `diff`."""
    head = True
    for line in lines:
        head = line.startswith("diff ") or (head and not line.startswith("@@"))
        code = "1" if head else PATCH_COLORS.get(line[:1])
        yield f"\x1b[{code}m{line}\x1b[0m" if code else line


def document(data: Any) -> None:
    """The one JSON document of `--json`. Whoever reads it in a terminal gets it indented."""
    indent = 2 if terminal(sys.stdout) else None
    sys.stdout.write(json.dumps(data, indent=indent, default=str) + "\n")


def error(message: str, hint: str = "") -> None:
    """A sentence for what happened and one for what to do next."""
    err("orchestrator: " + clean(message, lines=True))
    if hint:
        err("  " + clean(hint, lines=True))


def clean(text: object, *, lines: bool = False) -> str:
    """`text` without anything a terminal would obey. Without `lines` it becomes one line."""
    plain = str(text)
    if "\x1b" in plain:
        plain = ESCAPES.sub("", plain)
    if lines:
        return visible(plain.replace("\r\n", "\n"))
    return visible_line(" ".join(plain.split()) if "\n" in plain or "\t" in plain else plain)


def name_text(name: str) -> str:
    """A task's name as it can be shown: control characters and broken bytes visible, and nothing that isn't there."""
    return visible_line(name.encode(errors="surrogateescape").decode(errors="backslashreplace"))


def terminal(stream: TextIO) -> bool:
    """Whether a person looks at `stream` through a terminal that can do more than print."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def color_wanted(stream: TextIO, *, no_color: bool) -> bool:
    """Whether to color: a terminal, and neither --no-color nor NO_COLOR."""
    return not no_color and not os.environ.get("NO_COLOR") and terminal(stream)


def width() -> int:
    """Columns of the terminal, or a readable number where there is none."""
    import shutil

    return shutil.get_terminal_size((WIDE, 24)).columns


def dim(text: str, *, color: bool) -> str:
    return f"\x1b[2m{text}\x1b[0m" if color else text


def columns(text: str) -> int:
    """How many columns `text` takes on a terminal: wide letters take two, marks none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(letter: str) -> int:
    if unicodedata.category(letter) in WITHOUT_COLUMN and letter != EMOJI:
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, most: int) -> str:
    """`text` in at most `most` columns, with an ellipsis where something is left out."""
    if columns(text) <= most:
        return text
    kept = ""
    used = 0
    for letter in text:
        used += _columns(letter)
        if used >= most:
            break
        kept += letter
    return kept + "…"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, most: Sequence[int | None] = ()) -> list[str]:
    """Rows as aligned lines, for a pipe or a log. The last column is never padded; `most` limits a column's width."""
    limits = list(most) + [None] * (len(head) - len(most))
    cells = [[cut(cell, limit) if limit else cell for cell, limit in zip(row, limits, strict=True)] for row in (head, *rows)]
    widths = [max(columns(row[index]) for row in cells) for index in range(len(head))]
    return [
        "  ".join(cell + " " * (size - columns(cell)) for cell, size in zip(row, widths, strict=True)).rstrip() for row in cells
    ]


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 task`, `2 tasks`, `5,000 tasks`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
