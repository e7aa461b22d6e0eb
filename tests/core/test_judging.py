from __future__ import annotations

import json

import pytest

from orchestrator.core import judging
from orchestrator.core.judging import Evidence

GOOD = {
    "verdict": "pass",
    "summary": "all\nis well",
    "evidence": [{"file": "a.py", "line": 3, "says": "x"}, {"file": "b", "says": "y"}],
}


def test_a_verdict_is_found_wherever_it_stands_and_the_last_one_counts() -> None:
    text = f'I looked at {{"this": 1}} and {{broken.\n```json\n{json.dumps({**GOOD, "verdict": "fail"})}\n```\n{json.dumps(GOOD)}\nDone.'
    said = judging.read(text)
    assert (said.passes, said.summary) == (True, "all is well")
    assert said.evidence == (Evidence("a.py", "x", 3), Evidence("b", "y"))
    assert [str(each) for each in said.evidence] == ["a.py:3: x", "b: y"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"verdict": "yes"}, "neither pass nor fail"),
        ({"verdict": True}, "neither pass nor fail"),
        ({"summary": " "}, "`summary` is missing"),
        ({"summary": 3}, "`summary` is missing"),
        ({"evidence": []}, "no evidence"),
        ({"evidence": None}, "no evidence"),
        ({"evidence": ["a.py"]}, "no list of"),
        ({"evidence": [{"file": "a.py"}]}, "`says` is missing"),
        ({"evidence": [{"file": "", "says": "x"}]}, "`file` is missing"),
        ({"evidence": [{"file": "a", "says": "x", "line": 0}]}, "the line '0'"),
        ({"evidence": [{"file": "a", "says": "x", "line": True}]}, "the line 'True'"),
    ],
)
def test_what_has_not_the_form_is_no_verdict(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        judging.read(json.dumps({**GOOD, **change}))


@pytest.mark.parametrize("text", ["", "pass", "[]", '{"verdict"', "{" * 100_000, '["verdict"]'])
def test_garbage_is_no_verdict(text: str) -> None:
    with pytest.raises(ValueError, match="no JSON object"):
        judging.read(text)


@pytest.mark.parametrize(
    ("piece", "times", "rest"),
    [('{"', 128_000, ""), ('{"\n', 85_000, ""), ('{"a":', 50_000, ""), ('{"a":', 900, f"[{'1,' * 120_000}")],
)
def test_what_begins_as_an_object_for_ever_is_given_up(piece: str, times: int, rest: str) -> None:
    """256 KB of it took a worker up to twenty seconds."""
    with pytest.raises(ValueError, match="begins as a JSON object and is none"):
        judging.read(piece * times + rest + json.dumps(GOOD))


def test_a_verdict_is_found_behind_much_that_is_none() -> None:
    """A table of a program's, as a command prints it before its verdict."""
    assert judging.read('{"x", 1},\n' * 20_000 + json.dumps(GOOD)).passes
