"""What a terminal obeys instead of showing it. Names and logs come from anywhere, and must not talk to the terminal."""

from __future__ import annotations

CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
BREAKS = r"\t\n\u2028\u2029"  # what ends a line, or leaves a gap in it
TURNS = r"\u202a-\u202e\u2066-\u2069"  # what reverses the text behind it
# Of a title or another string without an end in its line only the beginning counts: else it would hide all that follows.
ESCAPE = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]*[0-~])"


def obeyed(*kept: str) -> str:
    """A regular expression for one such character, but for those `kept`."""
    return f"[{''.join(kind for kind in (CONTROLS, BREAKS, TURNS) if kind not in kept)}]"
