"""A script says what it means or is refused with the place where it doesn't."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from orchestrator.errors import Misuse
from orchestrator.modelserver import script as module
from orchestrator.modelserver.conversation import Usage
from orchestrator.modelserver.script import Fault, Kind, Text, Write, load, parse

TOML = """
text = "bash"
side = "short"
usage = {input = 1}
[[turns]]
say = "I look."
run = "ls"
[[turns]]
write = {path = "a", content = "b"}
fault = {kind = "cut", count = 2}
[[turns]]
finish = true
[[scenes]]
when = "again"
turns = [{finish = "Over."}]
faults = [{kind = "huge", megabytes = 3}]
[[faults]]
kind = "usage-limit"
resets_in = 60
"""


def test_toml_and_json_say_the_same() -> None:
    script = load(TOML)
    assert load(json.dumps(tomllib.loads(TOML))) == script
    assert parse(tomllib.loads(TOML)) == script


def test_everything_a_script_says_is_kept() -> None:
    script = load(TOML)
    again, plain = script.scenes
    assert (script.text, script.side, script.usage) == (Text.BASH, "short", Usage(input=1))
    assert [(turn.say, turn.run, turn.write, turn.finish) for turn in plain.turns] == [
        ("I look.", "ls", None, None),
        ("", None, Write("a", "b"), None),
        ("", None, None, "Done."),
    ]
    assert again.when is not None
    assert again.when.pattern == "again"
    assert again.turns[0].finish == "Over."
    assert plain.turns[1].faults == (Fault(Kind.CUT, "script.turns[1].fault", count=2),)
    assert again.faults == (Fault(Kind.HUGE, "script.scenes[0].faults[0]", megabytes=3),)
    assert script.faults == (Fault(Kind.USAGE_LIMIT, "script.faults[0]", resets_in=60),)


def test_a_reset_is_an_epoch_whichever_way_it_is_told() -> None:
    assert Fault(Kind.USAGE_LIMIT, "", resets_in=60).reset(1000.7) == 1060
    assert Fault(Kind.USAGE_LIMIT, "", resets_at=5).reset(1000.7) == 5


def test_the_example_in_the_description_is_a_script() -> None:
    example = [line[4:] for line in (module.__doc__ or "").splitlines() if line.startswith("    ")]
    lines = [line.partition("  #")[0].rstrip() for line in example]
    top = next(at for at, line in enumerate(lines) if line.startswith("text ="))
    script = load("\n".join(lines[top:] + lines[:top]))
    assert len(script.scenes) == 2
    assert script.faults[0].kind is Kind.RATE_LIMIT


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"turn": []}, "'turn'"),
        ({"turns": [{"says": "x"}]}, "turns[0]"),
        ({"turns": [{"run": 5}]}, "In the model's script.turns[0], run is 5, not of type str."),
        ({"turns": [{"finish": 5}]}, "finish"),
        ({"turns": [{"run": "a", "finish": True}]}, "more than one thing"),
        ({"turns": [{"write": {"content": "b"}}]}, "no path"),
        ({"turns": [{"write": "a"}]}, "not a table"),
        ({"turns": {}}, "turns"),
        ({"faults": [{"kind": "bang"}]}, "usage-limit"),
        ({"faults": [{}]}, "known are"),
        ({"faults": [{"kind": "cut", "count": True}]}, "count"),
        ({"scenes": [{"when": "("}]}, "no regular expression"),
        ({"text": "html"}, "search-replace, bash"),
        ({"usage": {"inputs": 1}}, "'inputs'"),
    ],
)
def test_what_means_nothing_is_refused_with_its_place(given: dict[str, Any], words: str) -> None:
    with pytest.raises(Misuse) as refused:
        parse(given)
    assert words in refused.value.message
    assert refused.value.hint


def test_text_that_is_neither_toml_nor_json_is_refused() -> None:
    for text in ("{", "turns = ["):
        with pytest.raises(Misuse, match="neither TOML nor JSON"):
            load(text)
