"""What all values are like: equal where their fields are, hashed and shown by them.

A dataclass compiles these three for itself, which took a fifth of a `--status`' time for the forty classes that one loads.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any


class Value:
    """Base of a dataclass that is made with `frozen=True, slots=True, eq=False, repr=False`."""

    __slots__ = ()
    __match_args__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return self._fields() == other._fields() if isinstance(other, Value) and type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in zip(self.__match_args__, self._fields(), strict=True))
        return f"{type(self).__qualname__}({shown})"

    def _fields(self) -> tuple[Any, ...]:
        names = self.__match_args__
        return attrgetter(*names)(self) if len(names) > 1 else tuple(getattr(self, name) for name in names)


def plain(value: Any) -> Any:
    """`value` as JSON can say it, Values as their fields by name. No mapping is copied, which is most of what `asdict` costs."""
    if isinstance(value, Value):
        return {name: plain(getattr(value, name)) for name in value.__match_args__}
    return [plain(each) for each in value] if isinstance(value, tuple) else value
