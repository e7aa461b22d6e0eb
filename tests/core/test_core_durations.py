from __future__ import annotations

import math

import pytest

from orchestrator.core import durations


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("90s", 90.0),
        ("15m", 900.0),
        ("2h", 7200.0),
        ("1d", 86400.0),
        ("250ms", 0.25),
        (" 1H30M ", 5400.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("2 m 5 s", 125.0),
        ("45", 45.0),
        ("0", 0.0),
        (45, 45.0),
        (0.5, 0.5),
    ],
)
def test_lengths_are_read_as_people_write_them(written: str | float, expected: float) -> None:
    assert durations.seconds(written) == pytest.approx(expected)


def test_a_bare_number_is_in_the_unit_of_its_source() -> None:
    assert durations.seconds("1500", bare="ms") == 1.5
    assert durations.seconds(1500, bare="ms") == 1.5
    assert durations.seconds("4s", bare="ms") == 4.0


@pytest.mark.parametrize(
    "written",
    [
        "",
        "soon",
        "-5s",
        "-5",
        "5 weeks",
        "1_000",
        "1e3",
        "inf",
        "nan",
        "٣s",
        "5s5",
        "s",
        "9" * 65,
        math.inf,
        math.nan,
        -1,
        True,
        None,
        [],
        10**400,
    ],
)
def test_what_is_no_length_is_refused_with_the_forms_to_write(written: object) -> None:
    with pytest.raises(ValueError, match='"90s", "15m", "2h" or "250ms"'):
        durations.seconds(written)  # type: ignore[arg-type]


def test_minutes_and_seconds_with_a_colon_are_refused_with_the_quoted_form_to_write() -> None:
    with pytest.raises(ValueError, match='for 1 min 30 s write "1m30s"'):
        durations.seconds("1:30")


def test_a_huge_refused_value_is_not_repeated_in_full() -> None:
    with pytest.raises(ValueError, match="is no duration") as caught:
        durations.seconds("x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (-1, "0 ms"),
        (0.25, "250 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (1, "1 s"),
        (4.25, "4.2 s"),
        (59.99, "1 min"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (93600, "1 d 2 h"),
    ],
)
def test_lengths_are_told_in_at_most_two_units(length: float, expected: str) -> None:
    assert durations.text(length) == expected
