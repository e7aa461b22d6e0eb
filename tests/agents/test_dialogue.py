"""An agent at a terminal: known prompts are answered once the screen rests, everything else is a person's."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.sessions import Stage, stage

from orchestrator.agents.dialogue import Dialogue, spoken, typed
from orchestrator.agents.exec import Exec
from orchestrator.agents.protocol import Answer, Terminal, Traits
from orchestrator.core.outcome import AgentEnd
from orchestrator.proc import awake
from orchestrator.proc.command import Keyboard, Limits

TRUST = (Answer(r"> No, exit\n(?:Yes, I trust)", "\x1b[B"), Answer(r"No, exit\n> Yes, I trust", "\r"))


class Desk:
    """A dialogue with a clock and a keyboard of the test's own."""

    def __init__(self, *answers: Answer, idle: float | None = 100.0, reads: bool = False) -> None:
        self.now = 0.0
        self.typed: list[bytes] = []
        self.notes: list[str] = []
        self.rows: list[str] = []
        self.dialogue = Dialogue(answers, idle=idle, note=self.notes.append, row=self.rows.append, clock=lambda: self.now)
        self.dialogue.connect(Keyboard(self.typed.append, lambda: reads))

    def after(self, seconds: float, data: bytes = b"") -> str | None:
        """What `look` says, called every quarter of a second."""
        if data:
            self.dialogue.take(data)
        end = self.now + seconds
        while self.now < end:
            if question := self.dialogue.look():
                return question
            self.now += 0.25
        return self.dialogue.look()


def test_a_menu_is_answered_step_by_step_by_where_its_mark_stands() -> None:
    desk = Desk(*TRUST)
    assert desk.after(1, b"\x1b[2J\x1b[HDo you trust it?\r\n > No, exit\r\n   Yes, I trust it\r\n") is None
    assert desk.typed == [b"\x1b[B"]
    assert desk.after(1, b"\x1b[2;1H   No, exit  \r\n > Yes, I trust it\r\n") is None
    assert desk.typed == [b"\x1b[B", b"\r"]
    assert "answered" in desk.notes[0]
    assert "<down>" in desk.notes[0]


def test_nothing_is_typed_while_the_screen_still_changes() -> None:
    desk = Desk(*TRUST)
    for number in range(20):
        desk.after(0.25, b"\x1b[2J\x1b[H%d\r\n> No, exit\r\nYes, I trust it" % number)
    assert desk.typed == []


def test_a_screen_that_rested_only_because_we_stood_still_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that was paused for an hour while an agent at its terminal was thinking."""
    seconds = [0.0]
    monkeypatch.setattr(awake, "monotonic", lambda: seconds[0])
    dialogue = Dialogue((), idle=100.0, note=print, row=print)
    dialogue.take(b"\x1b[2J\x1b[HThinking\r\n")
    for passed in (1.0, 1.0, 3600.0, 1.0):
        assert dialogue.look() is None
        seconds[0] += passed
    assert dialogue.look() is None


def test_an_answer_that_is_not_taken_becomes_a_question_and_is_not_typed_for_ever() -> None:
    desk = Desk(Answer(r"Go on\? \[y\]", "y\r"))
    assert desk.after(60, b"Go on? [y]") == "Go on? [y]"
    assert desk.typed == [b"y\r", b"y\r"]


def test_the_same_question_again_later_is_answered_again() -> None:
    desk = Desk(Answer(r"Allow\? $|Allow\?$", "y\r"))
    for number in range(5):
        assert desk.after(2, b"Allow?") is None
        assert desk.after(2, b" y\r\nworking %d\r\n" % number) is None
    assert len(desk.typed) == 5


@pytest.mark.parametrize(
    "asked",
    [
        b"Delete everything? [y/N] ", b"Overwrite (yes/no)?", b"Which file?", b"Password: ", b"Passphrase for key '/x': ",
        b"\x1b[2J\x1b[HHow shall I go on?\r\n> 1. Drop the table\r\n  2. Keep it\r\n", b"What's new? (Y)es/(N)o [Yes]: ",
    ],
)  # fmt: skip
def test_an_unknown_prompt_is_a_question_after_a_while_and_nothing_is_typed(asked: bytes) -> None:
    desk = Desk(*TRUST)
    assert desk.after(4, b"some work\r\n" + asked) is None
    question = desk.after(3)
    assert question is not None
    assert question.split()[-1] in asked.decode()
    assert desk.typed == []


def test_a_painted_screen_that_shows_what_was_said_before_and_rests_is_at_work_for_a_while() -> None:
    screen = "\x1b[2J\x1b[H❯ Write hello.txt\r\n● Write(hello.txt)\r\n  wrote 1 line\r\n❯\r\n  ? for shortcuts".encode()
    assert Desk().after(70, screen) is None
    assert Desk().after(80, screen) is not None


@pytest.mark.parametrize("said", [b"Compiling...", b"Is it good? Yes, it is.\r\n", b"What next?\r\n", b"75% |#####   |"])
def test_silent_work_is_no_question(said: bytes) -> None:
    assert Desk().after(74, said) is None


def test_whoever_only_reads_is_a_question_shortly_before_it_would_count_as_stalled() -> None:
    assert Desk(reads=True).after(74, b"ready.\r\n") is None
    assert Desk(reads=True).after(80, b"ready.\r\n") == "ready."


def test_with_a_short_silence_limit_the_question_still_comes_first() -> None:
    assert Desk(idle=2.0).after(1.75, b"Which file?") == "Which file?"


def test_continuing_is_agreed_to_where_that_is_the_default_only() -> None:
    desk = Desk()
    desk.after(1, b"Press Enter to continue")
    desk.after(1, b"\r\nProceed with it? [Y/n] ")
    assert desk.typed == [b"\r", b"y\r"]
    assert Desk().after(10, b"Proceed? [y/N] ") == "Proceed? [y/N]"


def test_a_painted_screen_is_told_row_by_row_each_once_and_without_frames() -> None:
    desk = Desk()
    desk.after(1, "\x1b[2J\x1b[H╭──╮\r\n│ one │\r\n╰──╯".encode())
    desk.after(1, "\x1b[2;1H│ two │\r\n".encode())
    assert desk.rows == ["one", "two"]


def test_keys_in_words_and_back() -> None:
    assert spoken("\x1b[By\r") == "<down>y<enter>"
    assert typed("<down>y<enter>") == "\x1b[By\r"


class Painter(Exec):
    traits = Traits(terminal=Terminal.ALWAYS, answers=TRUST)


class Shy(Exec):
    traits = Traits(terminal=Terminal.NEVER)


MENU = r"""
import os, sys, termios, tty
tty.setraw(0)
choice, options = 0, ("No, exit", "Yes, I trust it")
while True:
    print("\x1b[2J\x1b[HTrust it?\r\n" + "\r\n".join((" > " if n == choice else "   ") + text for n, text in enumerate(options)), flush=True)
    key = os.read(0, 8)
    if key == b"\r":
        break
    choice = 1 if key == b"\x1b[B" else 0
print("\x1b[2J\x1b[Hchosen: " + options[choice] + "\r\n", flush=True)
sys.exit(choice == 0)
"""


@pytest.fixture
def here(tmp_path: Path) -> Stage:
    return stage(tmp_path)


def test_a_program_that_insists_on_a_terminal_gets_one_and_its_answers(here: Stage) -> None:
    (here.worktree / "menu.py").write_text(MENU)
    outcome = here.run(Painter(), here.request(cmd="python3 menu.py"), limits=Limits(seconds=30, idle=20, grace=0.2))
    assert outcome.end is AgentEnd.FINISHED
    assert "chosen: Yes, I trust it" in here.log()
    assert "answered '> No, exit' with <down>" in here.log()


def test_an_unknown_prompt_ends_the_session_with_its_text(here: Stage) -> None:
    command = "printf 'Which of the two? '; read answer; echo $answer > answered"
    outcome = here.run("exec", here.request(cmd=command, tty=True), limits=Limits(seconds=30, idle=5, grace=0.2))
    assert (outcome.end, outcome.prompt) == (AgentEnd.NEEDS_INPUT, "Which of the two?")
    assert not (here.worktree / "answered").exists()


def test_one_that_reads_without_a_word_needs_input_too_and_one_that_hangs_is_stalled(here: Stage) -> None:
    outcome = here.run("exec", here.request(cmd="echo up; cat", tty=True), limits=Limits(seconds=30, idle=5, grace=0.2))
    assert (outcome.end, outcome.prompt) == (AgentEnd.NEEDS_INPUT, "up")
    outcome = here.run("exec", here.request(cmd="echo up; exec sleep 99", tty=True), limits=Limits(seconds=30, idle=3, grace=0.2))
    assert outcome.end is AgentEnd.STALLED


def test_answers_of_the_request_count_beside_those_of_the_agent(here: Stage) -> None:
    command = "printf 'Shall I? '; read answer; test $answer = sure"
    request = here.request(cmd=command, tty=True, answers=(Answer(r"Shall I\?$", "sure\r"),))
    assert here.run("exec", request, limits=Limits(seconds=30, idle=20, grace=0.2)).end is AgentEnd.FINISHED


def test_an_agent_that_would_ask_on_a_terminal_gets_none(here: Stage) -> None:
    outcome = here.run(Shy(), here.request(cmd="test ! -t 1", tty=True))
    assert outcome.end is AgentEnd.FINISHED
