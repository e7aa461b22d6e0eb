import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.reading import (
    BAD_LINE_SHOWN,
    BAD_LINES_SHOWN,
    LINE_LIMIT,
    NAMES_LIMIT,
    SAMPLES_LIMIT,
    MetricReader,
    Reading,
)


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
        b"METRIC a=1" + b" " * LINE_LIMIT,
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
        assert len(reader._tail) <= LINE_LIMIT + 1
    reader.feed(b"\nMETRIC a=1\n")
    assert reader.finish().values == {"a": 1.0}


def test_a_refused_line_is_shown_with_what_makes_it_none() -> None:
    """Windows' text mode, twice."""
    assert read(b"METRIC a=0\r\r\n").bad_lines == ("METRIC a=0\r\r",)


def test_a_flood_of_values_names_and_bad_lines_is_bounded() -> None:
    reader = MetricReader()
    reader.feed(b"METRIC a=1\n" * (SAMPLES_LIMIT + 5) + b"METRIC a=x\n" * 1000)
    reader.feed(b"".join(b"METRIC n%d=1\n" % number for number in range(NAMES_LIMIT + 5)))
    reading = reader.finish()
    assert len(reading.samples["a"]) == SAMPLES_LIMIT
    assert len(reading.values) == NAMES_LIMIT
    assert len(reading.bad_lines) == BAD_LINES_SHOWN


def test_one_name_too_many_is_a_bad_line() -> None:
    reading = read(b"".join(b"METRIC n%d=1\n" % number for number in range(NAMES_LIMIT + 1)))
    assert reading.bad_lines == (f"METRIC n{NAMES_LIMIT}=1",)


def test_a_long_bad_line_is_shown_shortened() -> None:
    (shown,) = read(b"METRIC a=" + b"x" * 1000).bad_lines
    assert len(shown) == BAD_LINE_SHOWN + 1
    assert shown.endswith("…")
