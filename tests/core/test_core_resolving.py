from __future__ import annotations

import pytest

from orchestrator.core.resolving import Resolving, marks_left

SIDES = (b"one\ntheirs\n", b"one\nmine\n")
CONFLICT = b"one\n<<<<<<< 1f\ntheirs\n=======\nmine\n>>>>>>> 2e\n"


@pytest.mark.parametrize(
    "text",
    [
        CONFLICT,
        CONFLICT.replace(b"\n", b"\r\n"),
        b"one\n=======\nmine\n",
        b"one\nmine\n>>>>>>> 2e",
        b"one\n<<<<<<<<<<<<<<<< 1f\nmine\n",
        b"one\n||||||| 0a\nmine\n",
    ],
)
def test_a_line_of_a_marker_that_no_side_has_is_one_that_was_left(text: bytes) -> None:
    assert marks_left(text, *SIDES)


@pytest.mark.parametrize("text", [b"one\nmine\ntheirs\n", b"", b"one\n====\nmine << theirs\n", b"  <<<<<<< shown, indented\n"])
def test_a_text_without_such_a_line_is_resolved(text: bytes) -> None:
    assert not marks_left(text, *SIDES)


def test_what_a_side_shows_for_good_reasons_may_stay_and_git_s_own_may_not() -> None:
    """A manual that explains conflicts, and has headings underlined by seven signs."""
    manual = b"Merging\n=======\n<<<<<<< HEAD\nyours\n=======\nours\n>>>>>>> topic\n"
    assert not marks_left(manual + b"mine\ntheirs\n", manual + b"mine\n", manual + b"theirs\n")
    assert marks_left(manual + b"<<<<<<< 1f\nmine\n", manual + b"mine\n", manual + b"theirs\n")


def test_files_are_named_and_the_many_are_counted() -> None:
    files = tuple(f"f{number}" for number in range(13))
    found = Resolving("k", "b", "t", "o", files, 3)
    assert found.named.endswith("f9 and 3 more")
    assert (found.tries((1, 2, 3)), found.tries((4, 5)), found.tries(())) == (0, 2, 0)
