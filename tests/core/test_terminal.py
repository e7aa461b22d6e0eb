import re

import pytest

from orchestrator.core.terminal import BREAKS, ESCAPE, TURNS, obeyed, visible, visible_line


@pytest.mark.parametrize(
    "sequence", ["\x1b[1;32m", "\x1b[?25l", "\x1b]0;title\x07", "\x1b]8;;\x1b\\", "\x1bP+q544e\x1b\\", "\x1b(B", "\x1b=", "\x1b7"]
)
def test_an_escape_sequence_is_found_from_its_beginning_to_its_end(sequence: str) -> None:
    assert re.sub(ESCAPE, "", f"a{sequence}b") == "ab"


@pytest.mark.parametrize(("text", "left"), [("\x1b]0;x and\nmore\x07", "0;x and\nmore\x07"), ("\x1b[3", "3"), ("\x1b", "\x1b")])
def test_a_sequence_without_an_end_hides_nothing_of_what_follows(text: str, left: str) -> None:
    assert re.sub(ESCAPE, "", text) == left


def test_characters_are_obeyed_but_for_those_that_are_kept() -> None:
    text = "\x07\x9b\x7f \t\n\u2028 \u202e\u2066"
    assert re.sub(obeyed(), "", text) == "  "
    assert re.sub(obeyed(BREAKS), "", text) == " \t\n\u2028 "
    assert re.sub(obeyed(BREAKS, TURNS), "", text) == " \t\n\u2028 \u202e\u2066"


def test_what_is_obeyed_can_be_written_out_and_nothing_else_is_changed() -> None:
    text = "a\x1b[31m\tb\r\n\u202ec\x7f é"
    assert visible(text) == "a\\x1b[31m\tb\\r\n\\u202ec\\x7f é"
    assert visible_line(text) == "a\\x1b[31m\\tb\\r\\n\\u202ec\\x7f é"
