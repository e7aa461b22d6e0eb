"""`orchestrator --status`: what needs a look first, and numbers for the rest, so that 5 and 5,000 tasks are both readable."""

from __future__ import annotations

from orchestrator.cli import output, view
from orchestrator.cli.app import App
from orchestrator.cli.output import clean
from orchestrator.cli.table import task_table
from orchestrator.cli.view import Look
from orchestrator.cli.words import Row, misspelt, pending_word, row
from orchestrator.core import durations
from orchestrator.core.candidate import Candidate
from orchestrator.core.task import State
from orchestrator.store.owners import Owner

SHOWN = {"running": 100, "blocked": 10, "invalid": 5, "pending": 10, "converged": 5}


def status(app: App, watch: bool) -> int:
    """Show every task's state; 0 where that could be told, whatever it is."""
    if watch:
        from orchestrator.cli.watch import watch as keep_showing

        return keep_showing(app)
    seen = view.look(app.queue, app.settings)
    if app.json:
        output.document(view.document(seen))
    else:
        output.out("\n".join(lines(seen, width=output.width() if app.rich else None, color=app.color)))
    return 0


def lines(look: Look, *, width: int | None, color: bool, most: int | None = None) -> list[str]:
    """The whole status, at most `most` rows of tasks. `width` None: as wide as it gets, for a pipe."""
    rows, left_out = chosen(look, most)
    top = [output.cut(line, width) if width else line for line in header(look)]
    table = ["", *task_table(rows, width=width, color=color)] if rows else []
    vain = [output.cut(line, width) if width else line for line in misspelt(look.candidates)]
    return [*top, *table, *(output.dim(line, color=color) for line in left_out), *vain]


def header(look: Look) -> list[str]:
    """Where this is, who works on it, and how many tasks are where."""
    red = [f"{clean(red.told)}. {clean(red.next)}" for red in look.red]
    full = [f"{clean(told)}. {view.FREE}" for told in (view.no_room(look),) if told]
    return [f"{clean(look.queue.root)}  ·  {loops_text(look)}", counts_text(look), *full, *red]


def loops_text(look: Look) -> str:
    if look.loops:
        loops = [_loop_text(look, each) for each in look.loops]
        return f"loop running ({loops[0]})" if len(loops) == 1 else f"{len(loops)} loops running ({'; '.join(loops[:3])})"
    tokens = [each.place.token for each in look.of(State.RUNNING) if each.place.token]
    alive = sum(1 for token in tokens if look.queue.owner_alive(token))
    left = f", though {output.count(alive, 'worker')} of an ended one still work{'s' if alive == 1 else ''}" if alive else ""
    return f"no loop is running{left}"


def _loop_text(look: Look, owner: Owner) -> str:
    """A pid means nothing where the loop runs on another host, or in a container."""
    host = owner.identity.host
    place = "" if host == look.queue.me().host else f" on {clean(host)}"
    return f"pid {owner.identity.pid}{place}, since {durations.text(max(0.0, look.now - owner.since))}"


def counts_text(look: Look) -> str:
    if not look.candidates:
        return "No tasks. `orchestrator add NAME` makes one; a folder dropped into pending/ is one too."
    found = view.counts(look.candidates)
    parts = [f"{found[state.value]:,} {state.value}" for state in view.SHOWN_FIRST if found[state.value]]
    words: dict[str, int] = {}
    for candidate in look.of(State.PENDING):
        word = pending_word(look, candidate)
        words[word] = words.get(word, 0) + 1
    inside = [f"{number:,} {word}" for word, number in words.items()]
    return " · ".join(parts) + (f"  (pending: {', '.join(inside)})" if inside else "")


def chosen(look: Look, most: int | None = None) -> tuple[list[Row], list[str]]:
    """The rows worth showing, and a line for each kind that was cut short. Invalid tasks come before other pending ones."""
    rows: list[Row] = []
    left_out: list[str] = []
    for word, members in _groups(look).items():
        room = SHOWN[word] if most is None else min(SHOWN[word], max(0, most - len(rows)))
        rows += [row(look, candidate) for candidate in members[:room]]
        if len(members) > room:
            left_out.append(f"{len(members) - room:,} more {word}")
    if not left_out:
        return rows, []
    hint = "" if most is not None else "; `orchestrator list` shows all"
    return rows, [f"… and {', '.join(left_out)}{hint}"]


def _groups(look: Look) -> dict[str, list[Candidate]]:
    groups: dict[str, list[Candidate]] = {word: [] for word in SHOWN}
    for candidate in look.candidates:
        state = candidate.place.state
        word = "invalid" if state is State.PENDING and candidate.problems else state.value
        groups[word].append(candidate)
    return groups
