"""Values compare, hash and show themselves as dataclasses do."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from orchestrator.core.value import Value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pair(Value):
    one: int
    two: object = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Other(Value):
    one: int
    two: object = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Single(Value):
    only: str


@dataclass(frozen=True, slots=True)
class Plain:
    one: int
    two: object = None


def test_values_are_equal_where_their_class_and_fields_are() -> None:
    nan = float("nan")
    assert Pair(1, "x") == Pair(1, "x")
    assert Pair(1, nan) == Pair(1, nan)  # the same one, as in any tuple
    assert Pair(1, "x") != Pair(2, "x")
    assert Pair(1) != Other(1)
    assert Pair(1) != (1, None)
    assert len({Pair(1), Pair(1), Pair(2), Single("a"), Single("a")}) == 3


def test_a_value_shows_itself_as_a_dataclass_does() -> None:
    assert repr(Pair(1, "x")) == repr(Plain(1, "x")).replace("Plain", "Pair")
    assert repr(Single("a")) == "Single(only='a')"


def test_a_value_is_frozen_and_can_be_replaced() -> None:
    value = Pair(1, "x")
    with pytest.raises(FrozenInstanceError):
        value.one = 2  # type: ignore[misc]
    assert replace(value, one=2) == Pair(2, "x")
    assert not hasattr(value, "__dict__")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Pair(1, []))
