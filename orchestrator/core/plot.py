"""A metric over the attempts, drawn small: with letters for a terminal and markdown, as SVG for everything else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from orchestrator.core import digits

Point = tuple[int, float, bool]  # attempt, value, whether its commits stayed
ROWS = 8
COLUMNS = 60
WIDTH, HEIGHT, EDGE = 480, 160, 24
LARGEST = sys.float_info.max
STAYED, WENT, AIM = "●", "○", "┄"


def letters(points: Sequence[Point], target: float | None) -> list[str]:
    """A plot of at most 60 columns: `●` commits that stayed, `○` discarded ones, a dotted line at the target."""
    points = points[-COLUMNS:]
    if len(points) < 2:
        return []
    low, high = _range(points, target)
    grid = [[" "] * (2 * len(points) - 1) for _ in range(ROWS)]
    if target is not None:
        grid[_row(target, low, high)] = [AIM] * (2 * len(points) - 1)
    for column, (_, value, stayed) in enumerate(points):
        grid[_row(value, low, high)][2 * column] = STAYED if stayed else WENT
    top, bottom = _ends(low, high)
    labels = [top, *[""] * (ROWS - 2), bottom]
    wide = max(map(len, labels))
    return [f"{label:>{wide}} │{''.join(row)}".rstrip() for label, row in zip(labels, grid, strict=True)]


def svg(name: str, points: Sequence[Point], target: float | None) -> str:
    """The same as one SVG document, without scripts or anything from elsewhere."""
    low, high = _range(points, target) if points else (0.0, 1.0)
    last = max(len(points) - 1, 1)
    places = [(EDGE + i * (WIDTH - 2 * EDGE) / last, _y(value, low, high), each) for i, (_, value, each) in enumerate(points)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    aim = "" if target is None else _aim(_y(target, low, high))
    top, bottom = _ends(low, high)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{"#2563eb" if stayed else "#fff"}" stroke="#2563eb">'
        f"<title>attempt {number}: {digits.text(value)}</title></circle>"
        for (x, y, stayed), (number, value, _) in zip(places, points, strict=True)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/><text x="{EDGE}" y="14">{_escaped(name)}</text>{aim}'
        f'<polyline points="{line}" fill="none" stroke="#93c5fd"/>{dots}'
        f'<text x="{EDGE}" y="{HEIGHT - 6}">{bottom} to {top}</text></svg>\n'
    )


def _ends(low: float, high: float) -> tuple[str, str]:
    least = digits.enough((low, high), digits.FEW)
    return digits.text(high, least), digits.text(low, least)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _aim(y: float) -> str:
    return f'<line x1="{EDGE}" x2="{WIDTH - EDGE}" y1="{y:.1f}" y2="{y:.1f}" stroke="#16a34a" stroke-dasharray="4 3"/>'


def _range(points: Sequence[Point], target: float | None) -> tuple[float, float]:
    values = [value for _, value, _ in points] + ([] if target is None else [target])
    low, high = min(values), max(values)
    if low < high:
        return low, high
    room = max(1.0, abs(low) / 1000)  # beside 1e16 a 1 is nothing
    return max(low - room, -LARGEST), min(high + room, LARGEST)


def _row(value: float, low: float, high: float) -> int:
    return round(_below(value, low, high) * (ROWS - 1))


def _y(value: float, low: float, high: float) -> float:
    return EDGE + _below(value, low, high) * (HEIGHT - 2 * EDGE)


def _below(value: float, low: float, high: float) -> float:
    """How far below the top it is, 0 to 1. In halves where what lies between is more than the largest number; half of the
    smallest is 0."""
    half = 2 if high - low > LARGEST else 1
    return (high / half - value / half) / (high / half - low / half)
