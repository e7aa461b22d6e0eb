from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from orchestrator.core import metrics
from orchestrator.core.metrics import MetricReader, Reading
from orchestrator.core.spec import Direction, Kind, Metric

HIGHER = Direction.HIGHER
FAILURES = Metric("failures", target=0.0)


def read(output: bytes) -> Reading:
    reader = MetricReader()
    reader.feed(output)
    return reader.finish()


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"METRIC a=3", 3.0),
        (b"METRIC a=0.9", 0.9),
        (b"METRIC a=.5", 0.5),
        (b"METRIC a=5.", 5.0),
        (b"METRIC a=-1.5e-3", -0.0015),
        (b"METRIC a=+2E2", 200.0),
        (b"METRIC\ta=1\t ", 1.0),
        (b"METRIC  a=1\r", 1.0),
        (b"METRIC a=007", 7.0),
        (b"METRIC a=0.00e5", 0.0),
        (b"METRIC a=-0e-999", 0.0),
    ],
)
def test_every_dialect_of_a_metric_line_is_read(line: bytes, value: float) -> None:
    assert read(line + b"\n") == Reading({"a": value}, {"a": (value,)}, ())


@pytest.mark.parametrize(
    "line",
    [
        b"METRIC a=NaN",
        b"METRIC a=inf",
        b"METRIC a=-infinity",
        b"METRIC a=0x1F",
        b"METRIC a=1_000",
        b"METRIC a=1e999",
        b"METRIC a=1e-999",  # not 0, and nothing else that could be told
        b"METRIC a=-0.3e-400",
        b"METRIC a=1,5",
        b"METRIC a=",
        b"METRIC a = 1",
        b"METRIC a=1 ms",
        b"METRIC =1",
        b"METRIC a",
        b"METRIC ",
        b"METRIC a=1\r\r",
        b"METRIC __proto__=1",
        b"METRIC constructor=1",
        b"METRIC prototype=1",
        b"METRIC a=\xd9\xa3",  # an Arabic 3
        b"METRIC \xff=1",
        b"METRIC a=1" + b" " * metrics.LINE_LIMIT,
    ],
)
def test_a_line_that_begins_like_a_metric_and_is_none_is_kept_as_bad(line: bytes) -> None:
    reading = read(b"METRIC good=1\n" + line + b"\n")
    assert reading.values == {"good": 1.0}
    assert len(reading.bad_lines) == 1
    assert reading.bad_lines[0].startswith("METRIC")


@pytest.mark.parametrize(
    "line", [b"metric a=1", b" METRIC a=1", b"METRICS a=1", b"METRIC=1", b"the METRIC a=1", b"10%\rMETRIC a=1", b""]
)
def test_other_lines_are_no_metrics_and_no_defect(line: bytes) -> None:
    assert read(line + b"\n") == Reading()


def test_the_last_value_of_a_name_wins_and_all_are_kept() -> None:
    reading = read(b"METRIC a=3\nnoise\nMETRIC a=2\nMETRIC b=9\nMETRIC a=1")
    assert reading.values == {"a": 1.0, "b": 9.0}
    assert reading.samples == {"a": (3.0, 2.0, 1.0), "b": (9.0,)}


def test_a_name_may_be_any_text_without_blanks() -> None:
    assert read("METRIC größe_µs/p99=1\n".encode()).values == {"größe_µs/p99": 1.0}


@given(st.integers(0, 2**32))
def test_the_reading_does_not_depend_on_how_the_stream_is_cut(seed: int) -> None:
    chance = random.Random(seed)
    lines = [b"METRIC a=1", b"METRIC b=x", b"", b"\xff\xfe", b"x" * 70_000, b"METRIC c=2\r", b"METRIC c=" + b"1" * 70_000]
    output = b"\n".join(chance.choices(lines, k=12)) + chance.choice([b"", b"\n"])
    reader = MetricReader()
    place = 0
    while place < len(output):
        size = chance.choice([1, 7, 4096, 65_536])
        reader.feed(output[place : place + size])
        place += size
    assert reader.finish() == read(output)


def test_a_line_without_end_is_read_in_bounded_memory() -> None:
    reader = MetricReader()
    for _ in range(200):
        reader.feed(b"x" * 65_536)
        assert len(reader._tail) <= metrics.LINE_LIMIT + 1
    reader.feed(b"\nMETRIC a=1\n")
    assert reader.finish().values == {"a": 1.0}


def test_a_refused_line_is_shown_with_what_makes_it_none() -> None:
    """Windows' text mode, twice."""
    assert read(b"METRIC a=0\r\r\n").bad_lines == ("METRIC a=0\r\r",)


def test_a_flood_of_values_names_and_bad_lines_is_bounded() -> None:
    reader = MetricReader()
    reader.feed(b"METRIC a=1\n" * (metrics.SAMPLES_LIMIT + 5) + b"METRIC a=x\n" * 1000)
    reader.feed(b"".join(b"METRIC n%d=1\n" % number for number in range(metrics.NAMES_LIMIT + 5)))
    reading = reader.finish()
    assert len(reading.samples["a"]) == metrics.SAMPLES_LIMIT
    assert len(reading.values) == metrics.NAMES_LIMIT
    assert len(reading.bad_lines) == metrics.BAD_LINES_SHOWN


def test_one_name_too_many_is_a_bad_line() -> None:
    reading = read(b"".join(b"METRIC n%d=1\n" % number for number in range(metrics.NAMES_LIMIT + 1)))
    assert reading.bad_lines == (f"METRIC n{metrics.NAMES_LIMIT}=1",)


def test_a_long_bad_line_is_shown_shortened() -> None:
    (shown,) = read(b"METRIC a=" + b"x" * 1000).bad_lines
    assert len(shown) == metrics.BAD_LINE_SHOWN + 1
    assert shown.endswith("…")


def test_with_no_metric_declared_every_printed_one_must_reach_zero() -> None:
    assert [(each.name, each.target, each.direction) for each in metrics.deciding((), {"a": 1, "b": 2})] == [
        ("a", 0.0, Direction.LOWER),
        ("b", 0.0, Direction.LOWER),
    ]
    assert metrics.at_target((), {"a": 0.0, "b": -1.0})
    assert not metrics.at_target((), {"a": 0.0, "b": 0.9})
    assert not metrics.at_target((), {})


def test_a_declared_metric_without_a_target_is_shown_and_never_decides() -> None:
    shown = Metric("seconds")
    assert metrics.deciding((FAILURES, shown), {}) == (FAILURES,)
    assert metrics.at_target((FAILURES, shown), {"failures": 0.0, "seconds": 1e9})
    assert not metrics.at_target((shown,), {"seconds": 0.0})
    assert metrics.shortfall((shown,), {"seconds": 0.0}) == "no metric has a target"


def test_defects_are_told_with_the_line_or_the_name() -> None:
    assert metrics.defect((), Reading({"a": 1.0})) is None
    assert metrics.defect((FAILURES,), Reading({"failures": 1.0})) is None
    assert "'METRIC a=NaN'" in (metrics.defect((), Reading({"b": 1.0}, bad_lines=("METRIC a=NaN", "x"))) or "")
    assert "no METRIC line" in (metrics.defect((), Reading()) or "")
    told = metrics.defect((FAILURES,), Reading({"fails": 1.0})) or ""
    assert "METRIC failures=number" in told
    assert "fails" in told


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        (Metric("m", target=5.0), 5.0, True),
        (Metric("m", target=5.0), 5.1, False),
        (Metric("m", target=5.0, tolerance=0.5), 5.5, True),
        (Metric("m", HIGHER, target=5.0), 5.0, True),
        (Metric("m", HIGHER, target=5.0), 4.9, False),
        (Metric("m", HIGHER, target=5.0, tolerance=0.5), 4.5, True),
        (Metric("m", target=0.0), 0.9, False),
        (Metric("m"), 0.0, False),
    ],
)
def test_a_target_is_reached_with_its_direction_and_tolerance(metric: Metric, value: float, expected: bool) -> None:
    assert metrics.reached(metric, value) is expected
    assert metrics.at_target((metric,), {"m": value}) is expected


def test_a_missing_metric_is_never_at_target() -> None:
    assert not metrics.at_target((FAILURES, Metric("other", target=1.0)), {"failures": 0.0})


def test_the_shortfall_names_what_is_missing_to_the_target() -> None:
    declared = (FAILURES, Metric("coverage", HIGHER, target=90.0, tolerance=0.5))
    told = metrics.shortfall(declared, {"failures": 3.0, "coverage": 80.25})
    assert told == "failures is 3, target <= 0; coverage is 80.25, target >= 90 (tolerance 0.5)"
    assert metrics.shortfall(declared, {"failures": 0.0}) == "coverage is missing, target >= 90 (tolerance 0.5)"
    assert metrics.shortfall(declared, {"failures": 0.0, "coverage": 90.0}) == ""


@pytest.mark.parametrize(
    ("metric", "value", "best", "expected"),
    [
        (Metric("m", target=0.0), 4.0, 5.0, True),
        (Metric("m", target=0.0), 5.0, 5.0, False),
        (Metric("m", target=0.0), 6.0, 5.0, False),
        (Metric("m", HIGHER, target=9.0), 6.0, 5.0, True),
        (Metric("m", HIGHER, target=9.0), 4.0, 5.0, False),
        (Metric("m", target=0.0, min_effect=0.1), 95.0, 100.0, False),
        (Metric("m", target=0.0, min_effect=0.1), 90.0, 100.0, False),
        (Metric("m", target=0.0, min_effect=0.1), 89.0, 100.0, True),
        (Metric("m", target=-9.0, min_effect=0.1), -6.0, -5.0, True),
        (Metric("m", HIGHER, target=9.0, min_effect=0.1), 0.1, 0.0, True),
        (Metric("m"), 4.0, 5.0, True),
        (Metric("m", target=5.0), 3.0, 4.0, False),  # beyond the target: more than was asked for
    ],
)
def test_better_means_by_more_than_the_least_effect_in_its_direction(
    metric: Metric, value: float, best: float, expected: bool
) -> None:
    assert metrics.improved((metric,), {"m": value}, {"m": best}) is expected


def test_nothing_improves_on_an_unknown_best_or_with_a_metric_missing() -> None:
    assert not metrics.improved((FAILURES,), {"failures": 0.0}, {})
    assert not metrics.improved((FAILURES,), {}, {"failures": 5.0})
    assert not metrics.improved((), {}, {"failures": 5.0})


def test_with_no_metric_declared_the_printed_ones_improve_too() -> None:
    assert metrics.improved((), {"a": 1.0}, {"a": 2.0})
    assert not metrics.improved((), {"a": 2.0}, {"a": 2.0})


def test_a_later_metric_counts_once_the_first_stays_as_good_as_it_was() -> None:
    declared = (FAILURES, Metric("seconds", target=1.0))
    best = {"failures": 0.0, "seconds": 9.0}
    assert metrics.improved(declared, {"failures": 0.0, "seconds": 8.0}, best)
    assert not metrics.improved(declared, {"failures": 1.0, "seconds": 1.0}, best)
    assert metrics.improved(declared, {"failures": 1.0, "seconds": 99.0}, {"failures": 2.0, "seconds": 1.0})


def test_a_metric_without_a_target_counts_only_where_none_has_one() -> None:
    shown = Metric("seconds")
    assert not metrics.improved((shown, FAILURES), {"seconds": 1.0, "failures": 5.0}, {"seconds": 2.0, "failures": 5.0})
    assert metrics.improved((shown, Metric("other")), {"seconds": 1.0, "other": 9.0}, {"seconds": 2.0, "other": 1.0})


def test_a_guard_that_gets_worse_undoes_an_improvement() -> None:
    declared = (FAILURES, Metric("size", guard=True, tolerance=5.0, min_effect=0.1))
    best = {"failures": 3.0, "size": 100.0}
    assert metrics.improved(declared, {"failures": 2.0, "size": 115.0}, best)
    assert not metrics.improved(declared, {"failures": 2.0, "size": 116.0}, best)
    assert not metrics.improved(declared, {"failures": 3.0, "size": 1.0}, best)
    assert metrics.improved(declared, {"failures": 2.0, "size": 1e9}, {"failures": 3.0})


@pytest.mark.parametrize(
    ("direction", "target", "tolerance", "value", "there"),
    [
        (Direction.LOWER, 0.7, 0.1, 0.8, True),
        (Direction.LOWER, 0.7, 0.1, 0.8000001, False),
        (HIGHER, 85.4, 0.1, 85.3, True),
        (HIGHER, 85.4, 0.1, 85.2999999, False),
        (Direction.LOWER, 0.3, 0.0, 0.1 + 0.2, False),
        (Direction.LOWER, 0.0, 0.0, 5e-324, False),
        (Direction.LOWER, -1e308, 0.0, 1e308, False),
        (HIGHER, 1e308, 0.0, -1e308, False),
    ],
)
def test_a_value_that_is_off_by_exactly_its_tolerance_is_there_whatever_binary_makes_of_it(
    direction: Direction, target: float, tolerance: float, value: float, *, there: bool
) -> None:
    assert metrics.reached(Metric("m", direction, target=target, tolerance=tolerance), value) is there


def test_a_guard_that_lost_exactly_what_it_may_is_no_worse_and_an_effect_that_is_exactly_the_least_is_none() -> None:
    coverage = Metric("coverage", HIGHER, guard=True, tolerance=0.1)
    best = {"failures": 3.0, "coverage": 85.4}
    assert metrics.improved((FAILURES, coverage), {"failures": 2.0, "coverage": 85.3}, best)
    assert not metrics.improved((FAILURES, coverage), {"failures": 2.0, "coverage": 85.29}, best)
    assert metrics.worsened((coverage,), {"coverage": 85.3}, best) == ""
    assert metrics.lost((coverage,), {"coverage": 85.3}, best) == ""
    assert not metrics.improved((Metric("ms", min_effect=0.1),), {"ms": 0.63}, {"ms": 0.7})
    assert metrics.improved((Metric("ms", min_effect=0.1),), {"ms": 0.6299}, {"ms": 0.7})


def test_a_target_that_is_reached_is_not_given_up_for_the_next_one_by_however_little() -> None:
    both = (Metric("a", target=100.0, min_effect=0.1), Metric("b", target=0.0))
    assert not metrics.improved(both, {"a": 101.0, "b": 3.0}, {"a": 100.0, "b": 4.0})
    assert metrics.improved(both, {"a": 100.0, "b": 3.0}, {"a": 50.0, "b": 4.0})
    assert metrics.improved(both, {"a": 121.0, "b": 3.0}, {"a": 120.0, "b": 4.0})


def test_a_value_just_beside_its_target_does_not_read_as_if_it_were_there() -> None:
    known, near = (Metric("x", target=0.3),), {"x": 0.1 + 0.2}
    assert metrics.shortfall(known, near) == "x is 0.30000000000000004, target <= 0.3"
    assert metrics.way(known, near, {"x": 0.3}) == "x 0.30000000000000004 -> 0.3, target <= 0.3"
    count = (Metric("instructions", target=12345678900.0),)
    assert metrics.shortfall(count, {"instructions": 12345678901.0}) == "instructions is 12345678901, target <= 12345678900"
    assert metrics.changes(count, {"instructions": 12345678902.0}, {}) == "instructions 12345678902 -> missing"
    assert metrics.lost(known, {"x": 0.4}, near) == "x is 0.4, was 0.3 when it was kept"


def test_of_a_guard_that_varies_one_sample_undoes_nothing() -> None:
    declared = (FAILURES, Metric("ms", guard=True, kind=Kind.NOISY))
    assert metrics.improved(declared, {"failures": 2.0, "ms": 101.0}, {"failures": 3.0, "ms": 100.0})


@pytest.mark.parametrize(("n", "percent"), [(0, 100), (1, 95), (3, 63), (5, 45), (10, 26), (29, 10), (59, 5)])
def test_the_evidence_of_n_passes_is_what_the_table_says(n: int, percent: int) -> None:
    assert round(100 * metrics.pass_bound(n)) == percent


@pytest.mark.parametrize(("passed", "missed"), [(10, 2), (11, 1), (5, 0), (1, 0), (100, 30)])
def test_the_bound_is_the_exact_one_also_where_some_missed(passed: int, missed: int) -> None:
    exact = binomtest(missed, passed + missed, alternative="less").proportion_ci(0.95, method="exact").high
    assert metrics.pass_bound(passed, missed) == pytest.approx(exact)


def test_fewer_than_five_samples_cannot_bound_a_median() -> None:
    assert metrics.median_bound([], Direction.LOWER) is None
    assert metrics.median_bound([1.0] * 4, Direction.LOWER) is None
    assert metrics.median_bound([3.0, 1.0, 2.0, 5.0, 4.0], Direction.LOWER) == 5.0
    assert metrics.median_bound([3.0, 1.0, 2.0, 5.0, 4.0], HIGHER) == 1.0


@pytest.mark.parametrize("n", [5, 8, 13])
def test_the_bound_of_the_median_errs_in_at_most_five_percent(n: int) -> None:
    """A simulation of noise whose true median is 0: the upper bound must lie below it in at most 5 % of the draws."""
    chance = random.Random(20261120 + n)
    draws = 4000
    wrong = 0
    for _ in range(draws):
        bound = metrics.median_bound([chance.gauss(0, 1) for _ in range(n)], Direction.LOWER)
        wrong += bound is not None and bound < 0
    assert wrong / draws <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / draws)


def test_what_is_optimized_is_the_first_number_that_leads_and_is_short_of_its_target() -> None:
    size = Metric("size", guard=True)
    assert metrics.primary((size, Metric("a"), Metric("b")), {}).name == "a"
    both = (Metric("a", target=1.0), Metric("b", target=1.0), size)
    assert metrics.primary(both, {"a": 1.0, "b": 5.0}).name == "b"
    assert metrics.primary(both, {"a": 1.0, "b": 1.0}).name == "a"
    assert [metric.name for metric in metrics.decisive((size, Metric("a"), Metric("b")))] == ["size", "a"]


def test_what_was_kept_is_lost_where_a_number_that_repeats_is_worse() -> None:
    known = (Metric("a", tolerance=0.5), Metric("shown"), Metric("size", guard=True), Metric("ms", guard=True, kind=Kind.NOISY))
    best = {"a": 3.0, "shown": 1.0, "size": 10.0, "ms": 5.0}
    assert metrics.lost(known, {**best, "a": 3.5, "shown": 9.0, "ms": 9.0}, best) == ""
    assert metrics.lost(known, {**best, "a": 4.0}, best) == "a is 4, was 3 when it was kept"
    assert metrics.lost(known, {"a": 3.0}, best) == "size is missing, was 10 when it was kept"


def test_the_way_of_what_is_optimized_needs_no_target() -> None:
    assert metrics.way_of((Metric("a"), Metric("b")), {"a": 28.0}, {"a": 19.0}) == "a 28 -> 19"


def test_what_is_at_its_target_is_watched_while_the_next_one_gets_better_and_the_one_after_that_is_not_yet() -> None:
    first, second, third = (Metric(name, target=10.0) for name in "abc")
    guard = Metric("d", guard=True)
    known = (guard, first, second, third)
    assert metrics.primary(known, {"a": 5, "b": 50, "c": 50, "d": 1}) is second
    assert metrics.watched(known, {"a": 5, "b": 50, "c": 50, "d": 1}) == (first, guard)
    assert metrics.watched(known, {"a": 50, "b": 5, "c": 50, "d": 1}) == (guard,)
    assert metrics.watched((Metric("a"), guard), {"a": 5, "d": 1}) == (guard,)


@pytest.mark.parametrize(
    ("name", "unit"),
    [("total_ms", "ms"), ("a_s", "s"), ("peak_kb", "kb"), ("x_mb", "mb"), ("total_µs", "µs"), ("failures", None), ("ms", None)],
)
def test_a_unit_that_nobody_said_is_what_the_name_ends_with(name: str, unit: str | None) -> None:
    assert Metric(name).told_unit == unit
    assert Metric(name, unit="ops").told_unit == "ops"
