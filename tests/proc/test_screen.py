"""What stands on a program's terminal, whatever it sends there, and what the terminal itself answers."""

from __future__ import annotations

import time

import pytest

from orchestrator.proc.screen import BACKLOG, Screen


def screen() -> tuple[Screen, list[bytes]]:
    replies: list[bytes] = []
    return Screen(replies.append), replies


def test_a_menu_that_is_painted_in_steps_reads_as_a_person_sees_it() -> None:
    seen, _ = screen()
    for part in (
        b"\x1b[2J\x1b[H\x1b[1mTrust?\x1b[0m\r\n  No\r\n",
        b"\x1b[3;1H\xe2\x9d",
        b"\xaf Yes\x1b[2;1H\xe2\x9d\xaf No\x1b[3;1H  Yes",
    ):
        seen.take(part)
    assert seen.rows() == ("Trust?", "❯ No", "  Yes")
    assert seen.painted


def test_lines_printed_one_after_the_other_are_no_painting_and_a_prompt_is_at_the_end() -> None:
    seen, _ = screen()
    seen.take(b"\x1b[32mone\x1b[0m\r\nName: ")
    assert (seen.rows(), seen.painted, seen.at_line_end) == (("one", "Name:"), False, True)
    seen.take(b"x\r\n")
    assert (seen.rows(), seen.at_line_end) == (("one", "Name: x"), False)


def test_a_program_that_asks_where_the_cursor_is_gets_its_answer_at_once() -> None:
    seen, replies = screen()
    seen.take(b"ab\x1b[6n\x1b[c")
    assert replies == [b"\x1b[1;3R", b"\x1b[?6c"]


@pytest.mark.parametrize(
    "noise",
    [
        b"\x1b[>4;2m", b"\x1b[>1u", b"\x1b[<u", b"\x1b[?u", b"\x1b[=0;1u", b"\x1b[?2026$p", b"\x1b[38:2::1:2:3m", b"\x1bP+q544e\x1b\\",
        b"\x1b_Gi=1;AAAA\x1b\\", b"\x1b]11;?\x07", b"\x1b]0;a title\x1b\\", b"\x1b[1;2;3;4H", b"\x1b[1;2;3A", b"\x1b[5;5;5r", b"\x1b[?25l",
        b"\x1b[>q", b"\x1b(B", b"\x1b=", b"\x1b[?6n",
    ],
)  # fmt: skip
def test_what_the_emulator_does_not_know_is_neither_drawn_nor_raised(noise: bytes) -> None:
    for cut in range(len(noise) + 1):
        seen, _ = screen()
        seen.take(b"a" + noise[:cut])
        seen.rows()
        seen.take(noise[cut:] + b"\x1b[2;1Hb")
        rows = seen.rows()
        assert [row.strip() for row in rows if row.strip()] == ["a", "b"]


def test_bytes_that_are_no_text_do_no_harm() -> None:
    seen, _ = screen()
    seen.take(bytes(range(256)) * 20)
    assert len(seen.rows()) <= 40


def test_a_flood_costs_little_and_only_its_end_is_shown() -> None:
    seen, _ = screen()
    began = time.process_time()
    for _ in range(1000):
        seen.take(b"x" * 65_534 + b"\r\n")
    assert seen.skim()
    seen.take(b"\x1b[2J\x1b[Hthe end")
    assert not seen.skim() or not seen.skim()
    assert seen.rows() == ("the end",)
    assert time.process_time() - began < 5
    assert len(seen._backlog) <= 4 * BACKLOG
