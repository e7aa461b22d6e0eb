"""What a task's evidence tells, from events as they may really lie there."""

from __future__ import annotations

import sys
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from orchestrator.core import evidence, plot, reporting
from orchestrator.core.evidence import Changed
from orchestrator.core.outcome import AgentEnd, Reason, Spend
from orchestrator.core.record import Attempt, Landed, Record, Result
from orchestrator.core.spec import Metric

LEFT = Metric("left", target=0.0)
MAX = sys.float_info.max
RECORD = Record(
    "1", "x", 1, "x",
    attempts=2, baseline={"left": 4.0}, values={"left": 0.0}, streak=3, seal="5ea1" * 16, reason=Reason.CONVERGED,
    spend=Spend(usd=0.5, seconds=3.0), landed=Landed("c0ffee", "main", "merge"),
    history=(
        Attempt(1, "exec", AgentEnd.FINISHED, Result.SCOPE_VIOLATION, "changed | README", {"left": 2.0}, "a1"),
        Attempt(2, "exec", AgentEnd.FINISHED, Result.CONVERGED, "", {"left": 0.0}, "a2"),
    ),
)  # fmt: skip
EVENTS = [
    {"event": "measured", "where": "baseline", "values": {"left": 4.0}, "defect": None, "attempt": 0},
    {"event": "environment", "system": "Linux", "cores": 2, "digest": "e" * 64},
    {"event": "discarded", "attempt": 1},
    *({"event": "measured", "where": "verify", "values": {"left": v}, "attempt": 2, "commit": "a2"} for v in (0.0, 2.0, 1.0)),
    {"event": "measured", "where": "verify", "values": {}, "defect": "It broke.", "attempt": 2, "commit": "a2"},
    {"event": "verdict", "gate": "checks", "ok": False, "reason": "no", "attempt": 1},
    {"event": "verdict", "gate": "checks", "ok": True, "reason": "passed", "attempt": 2},
    {"event": 7},
    {"foreign": True},
    *({"event": "measured", "where": "verify", "values": values} for values in ([1.0], {"left": "1"}, {"left": None})),
    {"event": "verdict", "gate": "checks", "ok": False, "attempt": []},
    {"event": "verdict", "gate": "checks", "ok": False, "attempt": 2, "commit": {}},
]


def found() -> evidence.Evidence:
    return evidence.gather("Empty it", "Make it so.", (LEFT,), RECORD, EVENTS)


def test_samples_at_one_commit_are_one_series_with_its_spread() -> None:
    verify = found().series[1]
    spread = evidence.spread(verify.values["left"])
    assert (verify.attempt, verify.where, verify.defects) == (2, "verify", ("It broke.",))
    assert spread == evidence.Spread(3, 0.0, 1.0, 2.0)


def test_what_was_measured_in_turns_is_told_apart() -> None:
    turns = [("incumbent", 4.0), ("candidate", 1.0), ("candidate", 2.0), ("incumbent", 5.0)]
    pairs = [{"event": "measured", "where": "pair", "values": {"left": v}, "attempt": 1, "of": of} for of, v in turns]
    series = evidence.gather("Empty it", "Make it so.", (LEFT,), RECORD, [*pairs, *EVENTS]).series[:2]
    told = {each.where: each.values["left"] for each in series}
    assert told == {"pair, incumbent": (4.0, 5.0), "pair, candidate": (1.0, 2.0)}


def test_of_an_optimum_without_a_target_the_best_is_told() -> None:
    record = replace(RECORD, best={"ms": 3.0}, values={"ms": 9.0}, baseline={"ms": 8.0})
    told = evidence.gather("Faster", "Make it so.", (Metric("ms", target=None),), record, [])
    assert reporting.short(told).splitlines()[0] == "ms 8 -> 3"


def test_attempts_that_the_record_no_longer_holds_are_counted_by_the_events() -> None:
    """A report of 1141 attempts said '50 kept, 0 discarded', and listed the files of those 50 only."""
    last = replace(RECORD.history[-1], number=60)
    events = [{"event": "kept" if number % 3 else "discarded", "attempt": number} for number in range(1, 61)]
    told = evidence.gather("Empty it", "", (LEFT,), replace(RECORD, attempts=60, history=(last,)), events)
    assert "Attempts: 60, 40 kept, 20 discarded." in reporting.short(told)
    assert "59 earlier ones are not listed." in reporting.page(told)
    assert [number for number, stays in told.stays.items() if stays][:3] == [1, 2, 4]


@pytest.mark.parametrize("number", [0, 3, None])
def test_a_fate_of_what_counted_as_no_attempt_is_none_of_the_attempts(number: int | None) -> None:
    """What a session left that was cut short, refused before an attempt was counted: 'Attempts: 2, 1 kept, 2 discarded'."""
    told = evidence.gather("Empty it", "", (LEFT,), RECORD, [*EVENTS, {"event": "discarded", "attempt": number}])
    assert "Attempts: 2, 1 kept, 1 discarded." in reporting.short(told)
    assert "not listed" not in reporting.page(told)


def test_a_gate_s_last_answer_is_the_one_that_stands() -> None:
    assert [(answer.gate, answer.ok) for answer in found().standing] == [("checks", True)]


def said(gate: str, commit: str, *, ok: bool = True) -> dict[str, object]:
    return {"event": "verdict", "gate": gate, "ok": ok, "reason": "so", "attempt": 1, "commit": commit}


SAMPLE = {"event": "measured", "where": "verify", "values": {"left": 0.0}, "attempt": 1, "commit": "a2"}
OWN = [SAMPLE, said("style", "a2", ok=False), said("test", "a2")]


@pytest.mark.parametrize(
    ("events", "standing"),
    [
        ([*OWN, SAMPLE, said("test", "a2")], [("test", True)]),  # `style` is asked no more
        ([*OWN, SAMPLE], []),
        ([*OWN, said("style", "a2"), said("test", "a2")], [("style", True), ("test", True)]),
        ([*OWN, said("style", "m1")], [("style", True)]),  # the merged commit
        ([*OWN, {"event": "batch", "commit": "b1"}, said("test", "b1", ok=False)], [("style", False), ("test", True)]),
        ([*OWN, {"event": "batch", "commit": "c0ffee"}, said("test", "c0ffee")], [("test", True)]),  # which landed
    ],
)
def test_only_what_was_said_of_what_was_verified_last_stands(
    events: list[dict[str, object]], standing: list[tuple[str, bool]]
) -> None:
    told = evidence.gather("Empty it", "Make it so.", (LEFT,), RECORD, events)
    assert [(answer.gate, answer.ok) for answer in told.standing] == standing


def test_an_attempt_s_fate_is_the_event_s_and_else_follows_from_its_result() -> None:
    assert [(fate.attempt, fate.kept) for fate in found().fates] == [(1, False), (2, True)]
    rejected = replace(RECORD, history=(replace(RECORD.history[1], result=Result.GATE),))
    assert [fate.kept for fate in evidence.gather("", "", (LEFT,), rejected, []).fates] == [True]


def test_the_page_says_what_the_evidence_is_worth_and_by_which_evaluator() -> None:
    page = reporting.page(found())
    for words in ("left 4 -> 0", "only to 63%", "5ea1" * 16, "e" * 16, "Gate checks: passed", "c0ffee", "0.50 USD", "2, 1 kept"):
        assert words in page
    assert "changed \\| README" in page
    assert "○" in page
    assert "●" in page


def test_the_short_form_has_no_line_that_reads_as_a_trailer_block() -> None:
    lines = reporting.short(found()).splitlines()
    assert lines[0] == "left 4 -> 0, target <= 0"
    assert "" not in lines


def test_the_document_is_plain_data() -> None:
    import json

    data = json.loads(json.dumps(reporting.document(found())))
    assert data["metrics"][0]["points"] == [
        {"attempt": 0, "value": 4.0, "kept": True},
        {"attempt": 1, "value": 2.0, "kept": False},
        {"attempt": 2, "value": 0.0, "kept": True},
    ]
    assert [each["ok"] for each in data["gates"]] == [False, True]
    assert [each["attempt"] for each in data["standing"]] == [2]
    assert data["evidence"] == {"samples": 3, "misses": 0, "miss_rate_bound_95": 1 - 0.05 ** (1 / 3)}


def test_lines_are_counted_from_patches_and_added_up() -> None:
    patch = b"diff --git a/x y b/x y\n--- a/x y\n+++ b/x y\n@@ -1,2 +1 @@\n-one\n-two\n+--- three\n"
    binary = b"diff --git a/z b/z\nindex 1..2\nGIT binary patch\nliteral 3\n+abc\n"
    assert evidence.files([patch, patch, binary]) == (Changed("x y", 2, 4), Changed("z", None, None))


def test_a_plot_shows_best_and_worst_and_nothing_for_a_single_point() -> None:
    drawn = plot.letters([(0, 4.0, True), (1, 2.0, False), (2, 0.0, True)], 0.0)
    assert drawn[0] == "4 │●"
    assert drawn[-1].startswith("0 │┄┄┄┄●")
    assert plot.letters([(0, 4.0, True)], 0.0) == []


@pytest.mark.parametrize("most", [5e-324, 1e-323, 1e308, 1.7976931348623157e308])
def test_the_smallest_and_the_largest_numbers_are_drawn_too(most: float) -> None:
    for low in (0.0, -most):
        points = [(0, most, True), (1, low, True)]
        drawn = plot.letters(points, None)
        assert (drawn[0][-1], drawn[-1][-1]) == ("●", "●")
        assert 'cy="24.0"' in (picture := plot.svg("n", points, None))
        assert 'cy="136.0"' in picture


def test_the_picture_is_well_formed_whatever_the_metric_is_called() -> None:
    for points in ([], [(0, 1.0, True)], [(0, 1.0, True), (1, 1.0, False)]):
        picture = ElementTree.fromstring(plot.svg("<left> & right", points, None))
        assert len(picture.findall(".//{*}circle")) == len(points)


@pytest.mark.parametrize(
    ("metric", "noisy", "told"),
    [
        (Metric("ms", target=0), (), "3 of 3 samples on a clean checkout were at target"),
        (Metric("ms"), (), "3 of 3 samples on a clean checkout were as good as when it was kept"),
        (Metric("ms"), ("ms",), "3 of 3 samples on a clean checkout were without a defect"),
    ],
)
def test_what_has_no_target_is_not_said_to_be_there(metric: Metric, noisy: tuple[str, ...], told: str) -> None:
    assert told in reporting.worth(replace(RECORD, streak=3, noisy=noisy), (metric,))


@pytest.mark.parametrize("values", [(2e16, 2e16), (1e300, 1e300), (MAX, MAX), (-MAX, MAX), (-MAX, -MAX)])
def test_numbers_of_any_size_can_be_drawn(values: tuple[float, float]) -> None:
    points = [(number, value, True) for number, value in enumerate(values)]
    assert sum(line.count(plot.STAYED) for line in plot.letters(points, None)) == 2
    assert "nan" not in plot.svg("ms", points, None)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("plain", "plain"), ("a\n```\ncode\n```\nb", "b"), ("```python\ncode", "\n```"), ("~~~~\n```\n~~~\ncode", "\n~~~~"),
        ("````\n```\n````\n```x", "\n```"), ("```\n```no end\n", "\n```"),
    ],
)  # fmt: skip
def test_a_code_block_ends_where_its_text_does(text: str, end: str) -> None:
    closed = reporting.closed(text)
    assert closed.startswith(text)
    assert closed.endswith(end)
    assert reporting.closed(closed) == closed


def test_a_goal_that_is_cut_in_a_code_block_leaves_the_rest_of_the_page_as_it_is() -> None:
    page = reporting.page(evidence.gather("x", f"See:\n```\n{'code ' * 1000}\n```", (LEFT,), RECORD, EVENTS))
    assert page.index("\n```\n\n- Result: converged") < page.index("## Measurements")


def test_a_gate_that_only_warns_is_told_as_one() -> None:
    no = {"event": "verdict", "gate": "lint", "ok": False, "mode": "warn", "reason": "1 new finding", "attempt": 2}
    found = evidence.gather("x", "", (LEFT,), RECORD, [*EVENTS, no])
    assert "Gate lint: 1 new finding (a warning)" in reporting.page(found)
    assert "Gate lint: 1 new finding (a warning)" in reporting.short(found)
    assert reporting.document(found)["gates"][-1]["mode"] == "warn"
