"""What a terminal obeys instead of showing it. Names and logs come from anywhere, and must not talk to the terminal."""

from __future__ import annotations

import re

CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
BREAKS = r"\t\n\u2028\u2029"  # what ends a line, or leaves a gap in it
TURNS = r"\u202a-\u202e\u2066-\u2069"  # what reverses the text behind it
# Of a title or another string without an end in its line only the beginning counts: else it would hide all that follows.
ESCAPE = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-~])"


def obeyed(*kept: str) -> str:
    """A regular expression for one such character, but for those `kept`."""
    return f"[{''.join(kind for kind in (CONTROLS, BREAKS, TURNS) if kind not in kept)}]"


UNSAFE = re.compile(obeyed(BREAKS))
UNSAFE_IN_LINE = re.compile(obeyed())


def visible(text: str) -> str:
    """`text` with all that a terminal would obey written out, and nothing left out: for whoever decides by what he reads."""
    return UNSAFE.sub(_written, text)


def visible_line(text: str) -> str:
    """The same where what ends a line, or leaves a gap in it, is written out, too."""
    return UNSAFE_IN_LINE.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    code = ord(match.group())
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return short or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
