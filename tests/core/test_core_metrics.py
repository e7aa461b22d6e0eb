from __future__ import annotations

import pytest

from orchestrator.core import metrics
from orchestrator.core.reading import Reading
from orchestrator.core.spec import Direction, Kind, Metric

HIGHER = Direction.HIGHER
FAILURES = Metric("failures", target=0.0)


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
