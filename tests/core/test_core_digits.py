"""Numbers as people read them: two that differ never look alike where they stand together."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from orchestrator.core import digits

NUMBERS = some.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (3.0, "3"),
        (-0.0, "0"),
        (12345678901.0, "12345678901"),
        (1e15, "1e+15"),
        (0.1 + 0.2, "0.3"),
        (50.019208541234, "50.01920854"),
        (sys.float_info.max, "1.797693135e+308"),
    ],
)
def test_a_whole_number_has_all_its_digits_and_another_one_ten(value: float, told: str) -> None:
    assert digits.text(value) == told


def test_a_number_beside_one_that_would_look_like_it_has_as_many_as_it_takes() -> None:
    assert digits.beside(0.1 + 0.2, 0.3) == "0.30000000000000004"
    assert digits.beside(0.3, 0.1 + 0.2, None) == "0.3"
    assert [digits.enough((99.9999999, 100.0, None), digits.FEW), digits.enough((99.5, 100.0), digits.FEW)] == [10, 6]


@given(some.lists(NUMBERS, min_size=1, max_size=4, unique=True))
def test_what_differs_reads_differently(values: list[float]) -> None:
    least = digits.enough(values, digits.FEW)
    assert len({digits.text(value, least) for value in values}) == len(set(values))
