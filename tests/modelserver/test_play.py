"""Where a conversation stands is read from the conversation: retries, parallel sessions and side requests change nothing."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from support.talk import Anthropic, Chat, Talk, ask

from orchestrator.modelserver import serve

TURNS: list[dict[str, Any]] = [
    {"say": "First.", "run": "echo 1"},
    {"run": "echo 2"},
    {"write": {"path": "a.txt", "content": "a\n"}},
    {"finish": "The end."},
]


def commands(talk: Talk) -> list[str]:
    """What each answer does: the command, the path, or its words."""
    return [next((given.get("command") or given["path"] for _, _, given in said.calls), said.text) for said in talk.play()]


def test_the_same_request_gets_the_same_turn(protocol: type[Talk], streaming: bool) -> None:
    with serve({"turns": TURNS}) as server:
        talk = protocol(server.port, "Do it.", streaming)
        for _ in range(3):
            talk.send()
        assert commands(talk) == ["echo 1", "echo 2", "a.txt", "The end."]
        assert [asked.play.place.turn for asked in server.turns if asked.play] == [0, 0, 0, 0, 1, 2, 3]


def test_twenty_conversations_at_once_each_come_through(protocol: type[Talk]) -> None:
    heard: list[list[str]] = []
    with serve({"turns": TURNS}) as server:
        threads = [threading.Thread(target=lambda: heard.append(commands(protocol(server.port, "Do it.")))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.turns) == 80
    assert heard == [["echo 1", "echo 2", "a.txt", "The end."]] * 20


def test_requests_that_cannot_act_are_answered_shortly_and_count_for_nothing(protocol: type[Talk], streaming: bool) -> None:
    with serve({"turns": TURNS, "side": "A title"}) as server:
        talk = protocol(server.port, "Do it.", streaming)
        assert protocol(server.port, "Name this: do it.", streaming, tools={}).next().text == "A title"
        talk.result(talk.next().calls[0][0], "bash", "1")
        search = {"grep": {"type": "object", "properties": {"pattern": {"type": "string"}}}}
        assert protocol(server.port, "Look.", streaming, tools=search).next().text == "A title"
        assert talk.next().calls[0][2] == {"command": "echo 2"}
        assert [asked.main for asked in server.requests] == [False, True, False, True]


def test_a_refused_file_is_written_by_the_shell(protocol: type[Talk]) -> None:
    with serve({"turns": TURNS[2:]}) as server:
        talk = protocol(server.port, "Do it.")
        call, name, _ = talk.next().calls[0]
        talk.result(call, name, "The file already exists.", failed=True)
        call, name, given = talk.next().calls[0]
        assert (name, given) == ("bash", {"command": "printf %s 'a\n' > a.txt"})
        talk.result(call, name, "fine")
        assert talk.next().text == "The end."


def test_a_command_that_fails_is_not_repeated(protocol: type[Talk]) -> None:
    with serve({"turns": TURNS}) as server:
        talk = protocol(server.port, "Do it.")
        call, name, _ = talk.next().calls[0]
        talk.result(call, name, "It failed.", failed=True)
        assert talk.next().calls[0][2] == {"command": "echo 2"}


def test_a_client_that_gives_calls_its_own_ids_comes_through() -> None:
    with serve({"turns": TURNS[:2] + TURNS[3:]}) as server:
        talk = Chat(server.port, "Do it.")
        for at, wanted in enumerate(["echo 1", "echo 2"]):
            assert talk.next().calls[0][2] == {"command": wanted}
            talk.history[-1]["tool_calls"][0]["id"] = f"own{at}"
            talk.result(f"own{at}", "bash", "fine")
        assert talk.next().text == "The end."


def test_what_is_left_of_a_broken_stream_is_no_turn(protocol: type[Talk]) -> None:
    """Some clients keep the text they had got and ask again."""
    with serve({"turns": TURNS}) as server:
        talk = protocol(server.port, "Do it.")
        said = talk.next()
        talk.history[1:] = talk.history[1:2]
        kept = talk.history[1]
        if "content" in kept and "tool_calls" not in kept and talk.path != "/v1/responses":
            kept["content"] = kept["content"][:1]
        kept.pop("tool_calls", None)
        if "parts" in kept:
            kept["parts"] = [part for part in kept["parts"] if "text" in part]
        assert said.text == "First."
        assert talk.next().calls[0][2] == {"command": "echo 1"}


def test_a_session_that_was_broken_off_goes_on_where_it_stood(protocol: type[Talk]) -> None:
    with serve({"turns": TURNS}) as server:
        talk = protocol(server.port, "Do it.")
        call, name, _ = talk.next().calls[0]
        talk.result(call, name, "fine")
    with serve({"turns": TURNS}) as another:
        talk.port = another.port
        talk.say("Continue.")
        assert talk.next().calls[0][2] == {"command": "echo 2"}


SCENES: dict[str, Any] = {
    "scenes": [
        {"when": "(?i)fix .*tests", "turns": [{"run": "fix"}, {"finish": "Fixed."}]},
        {"when": "review", "turns": [{"finish": "Looks good."}]},
    ],
    "turns": [{"finish": "What?"}],
}


def test_the_prompt_chooses_the_scene(protocol: type[Talk]) -> None:
    with serve(SCENES) as server:
        assert commands(protocol(server.port, "FIX the tests.")) == ["fix", "Fixed."]
        assert commands(protocol(server.port, "Please review.")) == ["Looks good."]
        assert commands(protocol(server.port, "Hello.")) == ["What?"]


def test_a_later_prompt_of_the_session_begins_its_own_scene(protocol: type[Talk]) -> None:
    with serve(SCENES) as server:
        talk = protocol(server.port, "Please review.")
        assert talk.next().text == "Looks good."
        talk.say("fix the tests, then")
        assert commands(talk) == ["fix", "Fixed."]


def test_what_a_tool_printed_chooses_no_scene(protocol: type[Talk]) -> None:
    with serve(SCENES) as server:
        talk = protocol(server.port, "fix the tests")
        call, name, _ = talk.next().calls[0]
        talk.result(call, name, "review")
        assert talk.next().text == "Fixed."


def test_a_prompt_that_no_scene_waits_for_is_told_so(protocol: type[Talk]) -> None:
    with serve({"scenes": SCENES["scenes"]}) as server:
        assert protocol(server.port, "Hello.").next().text == "The script has nothing for this prompt."


# Clients without tools.

EDITOR = "Answer with *SEARCH/REPLACE blocks*."


def edited(folder: Path, text: str) -> None:
    """Apply every block, as strictly as an editor of this kind does: what is searched for must be there, whole."""
    for path, old, new in re.findall(r"^(\S+)\n```\n<<<<<<< SEARCH\n(.*?)=======\n(.*?)>>>>>>> REPLACE$", text, re.M | re.S):
        file = folder / path
        held = file.read_text() if file.exists() else ""
        assert held == "" or old
        assert old in held
        file.write_text(held.replace(old, new, 1))


def editor(port: int, *shown: str) -> Chat:
    """A client that shows files and has given the model an example of what it wants."""
    talk = Chat(port, "Change f() in x.py.", streaming=False, tools={})
    talk.history.insert(0, {"role": "system", "content": EDITOR})
    talk.history.append({"role": "assistant", "content": "x.py\n```\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```"})
    for files in shown:
        talk.say(f"These files:\n\n{files}")
        talk.history.append({"role": "assistant", "content": "Ok."})
    talk.say("Do it.")
    return talk


def test_an_editor_without_tools_gets_all_edits_in_one_answer(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("was\nhere\n")
    turns = [{"write": {"path": path, "content": f"new {path}"}} for path in ("new.txt", "old.txt")]
    with serve({"turns": [*turns, {"finish": "Written."}]}) as server:
        said = editor(server.port, "old.txt\n```\nwas\nhere\n```\n").next()
    edited(tmp_path, said.text)
    assert (tmp_path / "new.txt").read_text() == "new new.txt\n"
    assert (tmp_path / "old.txt").read_text() == "new old.txt\n"
    assert said.text.endswith("Written.")


def test_an_editor_that_asks_again_with_the_file_gets_the_edit_of_that_file(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("was\nhere\n")
    with serve({"turns": [{"write": {"path": "old.txt", "content": "is\n"}}, {"finish": "Written."}]}) as server:
        talk = editor(server.port)
        talk.next()
        talk.say("I added these files:\n\nold.txt\n```\nwas\nhere\n```\n")
        edited(tmp_path, talk.next().text)
        assert (tmp_path / "old.txt").read_text() == "is\n"
        talk.say("Applied.")
        assert talk.next().text == "Written."


SHELL = "Answer with one command:\n```mswea_bash_command\nls\n```\nTo end: `echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT`."


def test_a_client_that_runs_a_block_of_text_gets_one_command_at_a_time(tmp_path: Path) -> None:
    turns = [{"say": "I write.", "write": {"path": "it's.txt", "content": "it's\n"}}, {"run": "cat *.txt"}, {"finish": "Over."}]
    with serve({"turns": turns}) as server:
        talk = Chat(server.port, "Do it.", streaming=False, tools={})
        talk.history.insert(0, {"role": "system", "content": SHELL})
        printed = []
        for _ in turns:
            (command,) = re.findall(r"```mswea_bash_command\n(.*?)\n```", talk.next().text, re.S)
            done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
            printed.append(done.stdout)
            talk.say(f"Output: {done.stdout}")
    assert printed == ["", "it's\n", "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\nOver.\n"]


@pytest.mark.parametrize(("text", "wanted"), [("search-replace", "<<<<<<< SEARCH"), ("bash", "```bash\nprintf")])
def test_the_script_may_name_the_form_itself(text: str, wanted: str) -> None:
    with serve({"turns": TURNS[2:], "text": text}) as server:
        said = Anthropic(server.port, "Do it.", tools={}).next()
        assert wanted in said.text
        assert server.turns


def test_a_client_that_declares_tools_is_answered_with_them_whatever_the_form() -> None:
    with serve({"turns": TURNS, "text": "bash"}) as server:
        assert Chat(server.port, EDITOR + SHELL).next().calls


def test_a_script_without_turns_ends_at_once(protocol: type[Talk]) -> None:
    with serve({}) as server:
        assert protocol(server.port, "Hello.").next().end == "said"
        assert ask(server.port, "/", method="GET").status == 200
