"""`orchestrator --status`: what needs a look first, and numbers for the rest, so that 5 and 5,000 tasks are both readable."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.cli import output, view
from orchestrator.cli.options import App
from orchestrator.cli.output import clean
from orchestrator.cli.view import Look
from orchestrator.core import durations
from orchestrator.core.candidate import Candidate, WaitingKind
from orchestrator.core.task import State

if TYPE_CHECKING:
    from rich.console import RenderableType

HEAD = ("STATE", "TASK", "METRIC", "TRIES", "WHAT")
NAME_WIDTH = 40
METRIC_WIDTH = 34
WHAT_WIDTH = 240
SHOWN = {State.RUNNING: 100, State.BLOCKED: 20, State.PENDING: 10, State.CONVERGED: 5}
COLORS = {
    "running": "cyan",
    "blocked": "red",
    "invalid": "red",
    "converged": "green",
    "parked": "yellow",
    "ready": "bold",
    "waiting": "dim",
    "draft": "dim",
    "lost": "red",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One task in five short texts."""

    state: str
    name: str
    metric: str
    tries: str
    what: str

    def cells(self) -> tuple[str, ...]:
        return (self.state, self.name, self.metric, self.tries, self.what)


def status(app: App, watch: bool) -> int:
    """Show every task's state; 0 where that could be told, whatever it is."""
    if watch:
        from orchestrator.cli.watch import watch as keep_showing

        return keep_showing(app)
    seen = view.look(app)
    if app.json:
        output.document(view.document(seen))
    elif app.rich:
        from rich.console import Console

        console = Console(no_color=not app.color, highlight=False, soft_wrap=False)
        console.print(renderable(seen, width=console.width))
    else:
        sys.stdout.write("\n".join(plain(seen)) + "\n")
    return 0


def plain(look: Look) -> list[str]:
    """The whole status as lines for a pipe."""
    rows, left_out = chosen(look)
    lines = [*header(look), ""]
    if rows:
        cells = [row.cells() for row in rows]
        lines += output.table(HEAD, cells, most=(None, NAME_WIDTH, METRIC_WIDTH, None, WHAT_WIDTH))
    return [*lines, *left_out] if rows else [*lines[:-1], *left_out]


def renderable(look: Look, *, width: int, most: int | None = None) -> RenderableType:
    """The whole status for a terminal, at most `most` rows of tasks."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    rows, left_out = chosen(look, most)
    top, *others = header(look)
    parts: list[RenderableType] = [Text(top, style="dim", no_wrap=True, overflow="ellipsis")]
    parts += [Text(line, no_wrap=True, overflow="ellipsis") for line in others]
    if rows:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=False, show_edge=False)
        for title, cap in zip(HEAD, (None, max(12, width // 4), max(14, width // 4), None, None), strict=True):
            table.add_column(title, no_wrap=True, overflow="ellipsis", max_width=cap, ratio=None)
        for row in rows:
            table.add_row(Text(row.state, style=COLORS.get(row.state, "")), *(Text(cell) for cell in row.cells()[1:]))
        parts += [Text(), table]
    return Group(*parts, *(Text(line, style="dim") for line in left_out))


def header(look: Look) -> list[str]:
    """Where this is, who works on it, and how many tasks are where."""
    return [f"{clean(look.queue.root)}  ·  {loops_text(look)}", counts_text(look)]


def loops_text(look: Look) -> str:
    if not look.loops:
        alive = sum(
            1 for each in look.of(State.RUNNING) if each.lease and each.place.token and look.queue.owner_alive(each.place.token)
        )
        left = f", though {output.count(alive, 'worker')} of an ended one still work{'s' if alive == 1 else ''}" if alive else ""
        return f"no loop is running{left}"
    names = [f"pid {owner.identity.pid}, since {durations.text(max(0.0, look.now - owner.since))}" for owner in look.loops]
    return (f"loop running ({names[0]})") if len(names) == 1 else f"{len(names)} loops running ({'; '.join(names[:3])})"


def counts_text(look: Look) -> str:
    found = view.counts(look.candidates)
    if not look.candidates:
        return "No tasks. `orchestrator add NAME` makes one; a folder dropped into pending/ is one too."
    parts = [f"{found[state.value]:,} {state.value}" for state in view.SHOWN_FIRST if found[state.value]]
    return " · ".join(parts) + _pending_parts(look)


def _pending_parts(look: Look) -> str:
    words: dict[str, int] = {}
    for candidate in look.of(State.PENDING):
        word = pending_word(look, candidate)
        words[word] = words.get(word, 0) + 1
    inside = [f"{number:,} {word}" for word, number in words.items()]
    return f"  (pending: {', '.join(inside)})" if inside else ""


def chosen(look: Look, most: int | None = None) -> tuple[list[Row], list[str]]:
    """The rows worth showing, and a line for each kind that was cut short. Invalid tasks come before other pending ones."""
    groups = _groups(look)
    rows: list[Row] = []
    left_out: list[str] = []
    room = most
    for word, limit, members in groups:
        shown = members[: limit if room is None else min(limit, max(0, room))]
        rows += [row(look, candidate) for candidate in shown]
        room = room - len(shown) if room is not None else None
        if len(members) > len(shown):
            left_out.append(f"… {len(members) - len(shown):,} more {word}")
    if left_out and most is None:
        left_out.append("`orchestrator list` shows all of them, `orchestrator list --state pending` those of one state.")
    return rows, left_out


def _groups(look: Look) -> list[tuple[str, int, list[Candidate]]]:
    pending = look.of(State.PENDING)
    invalid = [candidate for candidate in pending if candidate.problems]
    others = [candidate for candidate in pending if not candidate.problems]
    return [
        ("running", SHOWN[State.RUNNING], list(look.of(State.RUNNING))),
        ("blocked", SHOWN[State.BLOCKED], list(look.of(State.BLOCKED))),
        ("invalid", SHOWN[State.BLOCKED], invalid),
        ("pending", SHOWN[State.PENDING], others),
        ("converged", SHOWN[State.CONVERGED], list(look.of(State.CONVERGED))),
    ]


def row(look: Look, candidate: Candidate) -> Row:
    """One task as the table shows it."""
    state = candidate.place.state
    word = pending_word(look, candidate) if state is State.PENDING else state.value
    if state is State.RUNNING and lost(look, candidate):
        word = "lost"
    return Row(
        word,
        output.name_text(candidate.name),
        metric_text(candidate),
        tries_text(look, candidate),
        clean(what_text(look, candidate)),
    )


def lost(look: Look, candidate: Candidate) -> bool:
    """Whether a running task's worker on this host has died; a loop takes it over."""
    token, lease = candidate.place.token, candidate.lease
    if token is None:
        return True
    here = lease is None or lease.owner.host == look.queue.me().host
    return here and not look.queue.owner_alive(token)


def pending_word(look: Look, candidate: Candidate) -> str:
    """ready, invalid, draft, parked (goes on by itself at a known time) or waiting."""
    if candidate.problems or candidate.spec is None:
        return "invalid"
    if candidate.spec.draft:
        return "draft"
    kinds = {reason.kind for reason in look.waiting(candidate)}
    if not kinds or kinds == {WaitingKind.CAPACITY}:
        return "ready"
    return "parked" if kinds & {WaitingKind.BACKOFF, WaitingKind.LIMIT, WaitingKind.CHECKOUT} else "waiting"


def metric_text(candidate: Candidate) -> str:
    """The first deciding metric on its way: `failures 12 > 3 (target 0)`."""
    record = view.facts(candidate)
    metric = next((metric for metric in view.metrics(candidate) if not metric.guard), None)
    if metric is None:
        return ""
    target = f" (target {number(metric.target)})" if metric.target is not None else ""
    start = record.baseline.get(metric.name) if record else None
    current = record.best.get(metric.name, record.values.get(metric.name)) if record else None
    way = " > ".join(number(value) for value in dict.fromkeys((start, current)) if value is not None)
    return clean(f"{metric.name}{' ' + way if way else ''}{target}")


def number(value: float | None) -> str:
    """A metric's value without the noise of floating point."""
    if value is None:
        return "-"
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def tries_text(look: Look, candidate: Candidate) -> str:
    """Attempts, and how many of the allowed failures are used: `4 (2/5 failed)`."""
    record = view.facts(candidate)
    if record is None or not record.attempts:
        return ""
    spec = candidate.spec
    most = spec.max_failures if spec and spec.max_failures is not None else look.settings.max_failures
    failed = f" ({record.failures}{f'/{most}' if most else ''} failed)" if record.failures else ""
    return f"{record.attempts}{failed}"


def what_text(look: Look, candidate: Candidate) -> str:
    """What it is doing, or why it isn't, in one line."""
    state, record = candidate.place.state, candidate.record
    if state is State.PENDING:
        return "; ".join(_short(look, candidate))
    if state is State.RUNNING:
        return _running_text(look, candidate)
    if state is State.BLOCKED:
        if record is None or record.reason is None:
            return "moved here by hand"
        return f"{record.reason}: {record.detail}" if record.detail else str(record.reason)
    return landed_text(candidate)


def _short(look: Look, candidate: Candidate) -> Iterator[str]:
    """The reasons, paths of invalid files shortened to what lies below the task's folder."""
    folder = f"{look.queue.path(candidate.place)}/"
    for reason in look.waiting(candidate):
        if reason.kind is not WaitingKind.CAPACITY:
            yield reason.detail.removeprefix(folder)


def _running_text(look: Look, candidate: Candidate) -> str:
    record, lease = candidate.record, candidate.lease
    if lost(look, candidate):
        return (
            "its worker has died; a loop takes it over"
            if look.loops
            else "its worker has died; the next `orchestrator` takes it over"
        )
    if record is None or record.stage is None:
        return "starting"
    parts = [record.stage]
    if record.streak:
        parts.append(
            f"{record.streak}/{(candidate.spec.converge if candidate.spec else None) or look.settings.converge} at target"
        )
    parts.append(f"for {durations.text(max(0.0, look.now - record.updated))}")
    if lease and lease.owner.host != look.queue.me().host:
        parts.append(f"on {lease.owner.host}")
    return ", ".join(parts)


def landed_text(candidate: Candidate) -> str:
    """Where converged work went."""
    landed = candidate.record.landed if candidate.record else None
    if landed is None:
        return "moved here by hand" if candidate.record is None else ""
    commit = (landed.commit or "")[:10]
    if landed.how == "none":
        return (
            f"nothing to land: {landed.base or 'the base'} was at target already"
            if candidate.record and not candidate.record.attempts
            else "left in its worktree"
        )
    return f"merged into {landed.base} as {commit}" if landed.how == "merge" else f"left on its branch at {commit}"


def rows(look: Look, candidates: Iterable[Candidate]) -> list[Row]:
    """Rows of these tasks, all of them."""
    return [row(look, candidate) for candidate in candidates]
