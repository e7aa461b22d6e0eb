"""The table of tasks, fitted to the terminal it is shown on."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.cli import output
from orchestrator.cli.words import HEAD, Row

COLORS = {
    "running": "36",
    "blocked": "31",
    "invalid": "31",
    "lost": "31",
    "converged": "32",
    "review": "35",
    "parked": "33",
    "ready": "1",
    "waiting": "2",
    "draft": "2",
}
GAP = 2
NAME, METRIC, TRIES, FAILED, COST, WHAT = 1, 2, 3, 4, 5, 6
PIPED = (None, 40, 34, None, None, None, 240)  # most columns of a cell where nothing limits the line
STEPS = ((NAME, 28), (METRIC, 24), (NAME, 18), (METRIC, 14))  # what gets how narrow, in this order, where it is too wide
WANTED = 30  # columns the last cell should have


def task_table(rows: Sequence[Row], *, width: int | None, color: bool) -> list[str]:
    """Head and rows as lines, at most `width` columns each."""
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = _piped(cells) if width is None else _fitted(cells, width)
    lines = [_line(row, widths) for row in cells]
    if not color:
        return lines
    return [output.dim(lines[0], color=True), *(_colored(line, row.state) for line, row in zip(lines[1:], rows, strict=True))]


def _natural(cells: Sequence[Sequence[str]]) -> list[int]:
    """The widest cell of each column; a column with nothing but its head is left out."""
    return [max(map(output.columns, column)) if any(column[1:]) else 0 for column in zip(*cells, strict=True)]


def _piped(cells: Sequence[Sequence[str]]) -> list[int]:
    return [min(size, most) if most else size for size, most in zip(_natural(cells), PIPED, strict=True)]


def _fitted(cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Natural widths; where they don't fit, name and metric get narrower, then columns go."""
    widths = _natural(cells)
    widths[WHAT] = min(widths[WHAT], max(WANTED, width // 3))
    for index, least in STEPS:
        widths[index] = max(min(widths[index], least), widths[index] - max(0, _sum(widths) - width))
    for index in (TRIES, FAILED, COST, METRIC):
        if _sum(widths) > width:
            widths[index] = 0
    others = _sum([*widths[:WHAT], 0])
    widths[WHAT] = max(0, width - others - GAP) if any(row[WHAT] for row in cells[1:]) else 0
    return widths


def _sum(widths: Sequence[int]) -> int:
    shown = [size for size in widths if size]
    return sum(shown) + GAP * (len(shown) - 1)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [(output.cut(cell, size), size) for cell, size in zip(row, widths, strict=True) if size]
    return (" " * GAP).join(cell + " " * (size - output.columns(cell)) for cell, size in cells).rstrip()


def _colored(line: str, state: str) -> str:
    code = COLORS.get(state)
    return f"\x1b[{code}m{state}\x1b[0m{line.removeprefix(state)}" if code else line
