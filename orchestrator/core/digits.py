"""Numbers as people read them: whole ones with all their digits, others with as many as it takes to tell them apart."""

from __future__ import annotations

from collections.abc import Iterable

WHOLE = 1e15  # below it every whole number is exact, and still short
FEW, MANY, ALL = 6, 10, 17


def text(value: float, digits: int = MANY) -> str:
    """A number with at most so many digits; ALL of them are as few as say exactly it."""
    if float(value).is_integer() and abs(value) < WHOLE:
        return str(int(value))
    return repr(float(value)) if digits >= ALL else f"{value:.{digits}g}"


def enough(values: Iterable[float | None], least: int = MANY) -> int:
    """How many digits show each of these that differ as another one: 99.9999999 is not shown as 100 beside a 100."""
    known = {value for value in values if value is not None}
    return next((digits for digits in (least, MANY) if len({text(value, digits) for value in known}) == len(known)), ALL)


def beside(value: float, *others: float | None) -> str:
    """`value` as it is told together with the others."""
    return text(value, enough((value, *others)))
