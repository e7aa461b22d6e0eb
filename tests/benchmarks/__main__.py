"""`python -m tests.benchmarks [NAME ...]`: every benchmark, or the named ones, as one table. Exit 1 where a target is missed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module

from tests.benchmarks.harness import Row, show

ALL = ("claims", "overhead", "parallel", "queue", "latency", "idle", "loops")


def rows(names: list[str]) -> Iterator[Row]:
    for name in names:
        yield from import_module(f"tests.benchmarks.bench_{name}").rows()


def main() -> int:
    names = sys.argv[1:] or list(ALL)
    if unknown := [name for name in names if name not in ALL]:
        print(f"There is no benchmark called {', '.join(unknown)}; there are {', '.join(ALL)}.", file=sys.stderr)
        return 2
    return 0 if show(rows(names)) else 1


if __name__ == "__main__":
    sys.exit(main())
