"""Edits of a spec: only the touched lines change, and the result says exactly what was asked for."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import Misuse, OrchestratorError, SpecError
from orchestrator.store.editing import edit
from orchestrator.store.header import read_header

TEXT = """---
# about this task
title: "A b"   # why
priority: 5  # high
labels:   # found by
  - a   # first
  - b
  # end of labels

metric:
  name: failures
  target: 0   # zero
env: {A: x, "B": y}
goal: |
  one
  two

empty:   # nothing yet
folded: >
  some
  words
last: 'it''s'
---
# T

body # not a comment
"""


def changed(text: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went, and those that came."""
    lines = list(difflib.ndiff(text.split("\n"), after.split("\n")))
    return [line[2:] for line in lines if line.startswith("- ")], [line[2:] for line in lines if line.startswith("+ ")]


def data_of(text: str) -> dict[str, object]:
    return read_header(Path("x"), text).data


@pytest.mark.parametrize(
    ("changes", "gone", "new"),
    [
        ({"priority": 7}, ["priority: 5  # high"], ["priority: 7  # high"]),
        ({"title": "no"}, ['title: "A b"   # why'], ["title: 'no'   # why"]),
        ({"labels": ["x", "1:30"]}, ["labels:   # found by", "  - a   # first", "  - b"], ["labels: [x, '1:30'] # found by"]),
        ({"metric.target": 1.5}, ["  target: 0   # zero"], ["  target: 1.5   # zero"]),
        ({"metric.direction": "higher"}, [], ["  direction: higher"]),
        ({"env.A": None}, ['env: {A: x, "B": y}'], ['env: {"B": y}']),
        ({"env.B": None}, ['env: {A: x, "B": y}'], ["env: {A: x}"]),
        ({"env.C": "3000"}, ['env: {A: x, "B": y}'], ["env: {A: x, \"B\": y, C: '3000'}"]),
        ({"env.A": "z", "env.B": None}, ['env: {A: x, "B": y}'], ["env: {A: z}"]),
        ({"goal": "new"}, ["goal: |", "  one", "  two"], ["goal: new"]),
        ({"goal": "one\nmore"}, ["goal: |", "  two"], ["goal: |-", "  more"]),
        ({"empty": [1, 2]}, ["empty:   # nothing yet"], ["empty: [1, 2]   # nothing yet"]),
        ({"folded": "short"}, ["folded: >", "  some", "  words"], ["folded: short"]),
        ({"last": True}, ["last: 'it''s'"], ["last: true"]),
        ({"priority": None}, ["priority: 5  # high"], []),
        ({"labels": None}, ["labels:   # found by", "  - a   # first", "  - b", "  # end of labels"], []),
        ({"labels": "x\ny"}, ["labels:   # found by", "  - a   # first", "  - b"], ['labels: "x\\ny" # found by']),
        ({"goal": None}, ["goal: |", "  one", "  two"], []),
        ({"metric": None}, ["metric:", "  name: failures", "  target: 0   # zero"], []),
        ({"metric.target": None, "metric.name": "x"}, ["  name: failures", "  target: 0   # zero"], ["  name: x"]),
        ({"metric.target": None, "metric.name": None}, ["metric:", "  name: failures", "  target: 0   # zero"], []),
        ({"scope": ["src/**", "*.py"]}, [], ["scope: [src/**, '*.py']"]),
        ({"budget.minutes": 5}, [], ["budget: {minutes: 5}"]),
        ({"notes": "a: b\n\n# c"}, [], ["notes: |-", "  a: b", "", "  # c"]),
        ({"priority": 5, "metric.target": 0, "nothing": None}, [], []),
    ],
)
def test_only_the_touched_lines_change(changes: dict[str, object], gone: list[str], new: list[str]) -> None:
    assert changed(TEXT, edit(TEXT, changes)) == (gone, new)


def test_a_bare_metric_becomes_a_mapping_when_more_is_said_of_it() -> None:
    after = edit("---\nmetric: failures  # count\n---\n# T\n", {"metric.target": 3})
    assert after == "---\nmetric: {name: failures, target: 3}  # count\n---\n# T\n"


def test_the_metric_of_a_list_is_its_first_one() -> None:
    text = "---\nmetrics:\n  - name: a\n    target: 1\n  - {name: b}\n---\n# T\n"
    assert "target: 2" in edit(text, {"metric.target": 2})
    assert data_of(edit(text, {"metrics.1.target": 5}))["metrics"] == [{"name": "a", "target": 1}, {"name": "b", "target": 5}]
    assert data_of(edit("---\nmetrics: [a, b]\n---\n# T\n", {"metric.target": 2}))["metrics"] == [{"name": "a", "target": 2}, "b"]


def test_front_matter_is_made_where_there_is_none() -> None:
    assert edit("# T\n", {"priority": 2}) == "---\npriority: 2\n---\n# T\n"
    assert edit("", {"metric.name": "m", "metric.target": 2}) == "---\nmetric: {name: m, target: 2}\n---\n"
    assert data_of(edit("---\n---\n# T\n", {"draft": True})) == {"draft": True}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_and_a_byte_order_mark_stay(newline: str) -> None:
    text = ("\ufeff" + TEXT).replace("\n", newline)
    after = edit(text, {"priority": 9, "goal": "a\nb", "labels": None, "new": "x\ny", "metric.kind": "noisy"})
    assert after.startswith("\ufeff---" + newline)
    assert after.count("\n") == after.count(newline)
    assert data_of(after.removeprefix("\ufeff").replace("\r\n", "\n"))["goal"] == "a\nb"


def test_a_comment_after_the_goal_stays_where_it_is_when_the_goal_changes() -> None:
    text = "# X\n\n## Goal\n\nold\n\n<!--\nHow to\n-->\n"
    assert edit(text, {"goal": "new"}) == text.replace("old", "new")


def test_goal_and_title_are_changed_where_the_body_says_them() -> None:
    text = "---\npriority: 1\n---\n# Autoresearch: X\n\n## Goal\n\nold\n\nmore\n\n## Notes\nx\n"
    after = edit(text, {"goal": "new\n\nlines", "title": "Y"})
    assert after == "---\npriority: 1\n---\n# Autoresearch: Y\n\n## Goal\n\nnew\n\nlines\n\n## Notes\nx\n"


def test_a_goal_below_the_title_is_changed_there_and_not_said_twice() -> None:
    """What is below a title beside another goal is told to the agent, too: it would have read the old one after the new one."""
    assert edit("# T\n\nold\n\n## Notes\nn\n", {"goal": "new"}) == "# T\n\nnew\n\n## Notes\nn\n"
    assert edit("# T\n\n**Model:** m\n\nold\n", {"goal": "new"}) == "# T\n\n**Model:** m\n\nnew\n"
    assert edit("# T\nold\n- **Model:** m\n", {"goal": "new"}) == "# T\nnew\n- **Model:** m\n"
    kept = "# T\n\nold\n**Model:** m\nolder\n"
    assert edit(kept, {"goal": "new"}) == f"---\ngoal: new\n---\n{kept}"


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("# T\n\n## Goal\nold\n", {"goal": "a\n## Notes\nb"}),  # a heading would end the section
        ("# T\n\n## Goal\nold\n", {"goal": "a <!-- b"}),
        ("# T\n\n## Goal\nold\n## Other\n\n## Goal\nagain\n", {"goal": "a"}),  # two sections
        ("# T\n\n## Goal\n", {"goal": "a"}),
        ("no heading\n", {"title": "a"}),
        ("# T\n", {"title": "two\nlines"}),
    ],
)
def test_what_the_body_cannot_say_becomes_a_key(text: str, changes: dict[str, object]) -> None:
    after = edit(text, changes)
    assert data_of(after) == changes
    assert after.endswith(text)


def test_crlf_body_keeps_its_line_ends() -> None:
    text = "# T\r\n\r\n## Goal\r\n\r\nold\r\n"
    assert edit(text, {"goal": "a\nb", "title": "U"}) == "# U\r\n\r\n## Goal\r\n\r\na\r\nb\r\n"


@pytest.mark.parametrize(
    "text",
    [
        "---\na: &x 1\nb: *x\n---\n",
        "---\npriority: 1\n# T\n",
        "---\n{priority: 1}\n---\n",
        "---\nmetrics: {a: 1}\nlabels: [x]\nlabels.deep: 1\n---\n",
    ],
)
def test_what_cannot_be_changed_in_place_is_refused(text: str) -> None:
    with pytest.raises(OrchestratorError):
        edit(text, {"draft": True, "labels.7": 3})


@pytest.mark.parametrize("key", ["title", "goal", "agent"])
@pytest.mark.parametrize("text", [TEXT, "# T\n\n## Goal\n\nold\n"])
def test_text_that_no_file_can_hold_is_refused(text: str, key: str) -> None:
    with pytest.raises(Misuse, match="not valid UTF-8"):
        edit(text, {key: "a\udcff"})


def test_a_front_matter_that_is_broken_is_refused_with_its_place() -> None:
    with pytest.raises(SpecError, match=":3:1: found"):
        edit("---\na: [\n---\n", {"priority": 1})


ANY = "priority title goal labels metric.name metric.target env.A env.Z empty fresh budget.minutes"
KEYS = st.sampled_from(ANY.split())
ODD = "no|1:30|0x1|1e3|~|- a|a: b| #x|a\n\n b\n|a\n|'|---|a\n---\nb|a\tb\nc|\x85\U00010000|a\u2028b\nc|"
TRAPS = st.sampled_from(ODD.split("|"))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30) | TRAPS
NUMBERS = st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.none() | st.booleans() | NUMBERS | TEXTS | st.lists(TEXTS, max_size=3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(KEYS, VALUES, max_size=3), st.booleans())
def test_an_edit_says_what_was_asked_for_and_leaves_all_else(changes: dict[str, object], windows: bool) -> None:
    text = TEXT.replace("\n", "\r\n") if windows else TEXT
    after = edit(text, changes)
    data, before = data_of(after.replace("\r\n", "\n")), data_of(TEXT)
    for key, value in changes.items():
        head, _, inner = key.partition(".")
        found = data.get(head)
        found = found.get(inner) if inner and isinstance(found, dict) else found if not inner else None
        assert found == value
    touched = {key.partition(".")[0] for key in changes}
    assert {k: v for k, v in data.items() if k not in touched} == {k: v for k, v in before.items() if k not in touched}
    comments = [line for line in text.split("\n") if line.startswith(("# about", "body #"))]
    assert [line for line in after.split("\n") if line in comments] == comments


@pytest.mark.parametrize(
    ("gates", "mode", "after"),
    [
        ("  lint: ruff check  # ours\n", "warn", {"lint": {"command": "ruff check", "mode": "warn"}}),
        ("  lint: ruff check\n", "off", {"lint": {"command": "ruff check", "mode": "off"}}),
        ("  lint:  # ours\n    command: ruff check\n", "warn", {"lint": {"command": "ruff check", "mode": "warn"}}),
        ("  lint: {command: ruff check, mode: warn}\n", "block", {"lint": {"command": "ruff check", "mode": "block"}}),
        ("  judge: claude\n", "warn", {"judge": {"agent": "claude", "mode": "warn"}}),
        ("  lint: warn\n", "block", {"lint": "block"}),
        ("  other: x\n", "block", {"other": "x", "lint": "block"}),
    ],
)
def test_a_mode_leaves_a_gate_its_command(gates: str, mode: str, after: dict[str, object]) -> None:
    name = "judge" if "judge" in gates else "lint"
    edited = edit(f"---\ngates:\n{gates}---\nBody\n", {f"gates.{name}": mode})
    assert read_header(Path("x"), edited).data["gates"] == after
    assert ("# ours" in edited) == ("# ours" in gates)
