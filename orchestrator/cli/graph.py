"""`orchestrator --graph`: which task waits for which."""

from __future__ import annotations

from orchestrator.cli import output, view, words
from orchestrator.cli.app import App
from orchestrator.cli.view import Look
from orchestrator.core import graph as graphs
from orchestrator.core.candidate import Candidate
from orchestrator.core.task import State


def graph(app: App) -> int:
    """Show the tasks that have dependencies as a tree, parents first."""
    seen = view.look(app.queue, app.settings)
    depends = {each.name: each.spec.depends_on for each in seen.candidates if each.spec and each.spec.depends_on}
    if app.json:
        output.document(_document(seen, depends))
        return 0
    involved = set(depends) | {parent for parents in depends.values() for parent in parents}
    labels = {each.name: _label(seen, each) for each in seen.candidates if each.name in involved}
    labels |= dict.fromkeys((involved & seen.world.converged_before) - labels.keys(), "converged, removed since")
    for line in graphs.lines(depends, labels):
        output.out(output.clean(line))
    for cycle in sorted(set(seen.world.cycles.values())):
        output.out("")
        output.out(output.clean(f"cycle: {graphs.path_text(cycle)}; none of them can start until one `depends_on` is changed"))
    rest = len({each.name for each in seen.candidates} - involved)
    if not involved:
        app.say(f"{output.count(rest, 'task')}, none with dependencies. `depends_on: [NAME]` in a spec makes one wait.")
    elif rest:
        app.say(f"\n{output.count(rest, 'more task')} without dependencies.")
    return 0


def _label(seen: Look, candidate: Candidate) -> str:
    state = candidate.place.state
    if state is State.PENDING:
        return f"pending, {words.pending_word(seen, candidate)}"
    if (off := seen.world.off_base.get(candidate.name)) is not None:
        return "converged, then undone" if off.undone else "converged, its pull request is not merged"
    reason = candidate.record.reason if candidate.record and state is State.BLOCKED else None
    return f"{state}: {reason}" if reason else state.value


def _document(seen: Look, depends: graphs.Depends) -> dict[str, object]:
    edges = [{"parent": parent, "child": child} for parent, child in graphs.edges(depends)]
    cycles = sorted(set(seen.world.cycles.values()))
    tasks = [{"name": each.name, "state": each.place.state.value} for each in seen.candidates]
    return {
        "schema": 1,
        "root": str(seen.queue.root),
        "tasks": tasks,
        "edges": edges,
        "cycles": [list(cycle) for cycle in cycles],
    }
