"""Dependencies between tasks: what waits for ever, what waits on whom, how to draw it. `depends` maps a name to its parents."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.core.task import State

Depends = Mapping[str, tuple[str, ...]]
PATH_SHOWN = 8
DEPTH_SHOWN = 30


def cycles(depends: Depends) -> Mapping[str, tuple[str, ...]]:
    """Each name that waits for itself, with one cycle it is on: `("a", "b", "a")`. Names that merely wait on one aren't in it.

    Give the tasks that haven't converged: a converged one keeps nobody waiting. Members of one cycle share one tuple.
    """
    found: dict[str, tuple[str, ...]] = {}
    for component in _components(depends):
        for name in sorted(component):
            if name not in found and (cycle := _shortest(name, component, depends)):
                for member in cycle:
                    found.setdefault(member, cycle)
    return found


def path_text(cycle: tuple[str, ...]) -> str:
    """`a -> b -> a`, with the middle of a long one left out."""
    if len(cycle) <= PATH_SHOWN + 1:
        return " -> ".join(cycle)
    return " -> ".join((*cycle[: PATH_SHOWN - 1], f"... {len(cycle) - PATH_SHOWN} more ...", cycle[-1]))


def _components(depends: Depends) -> Iterator[set[str]]:
    """Strongly connected components that hold a cycle (Tarjan, without recursion: a chain may be 5,000 long)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for root in depends:
        if root in index:
            continue
        work = [(root, iter(depends[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            name, parents = work[-1]
            for parent in parents:
                if parent in on_stack:
                    low[name] = min(low[name], index[parent])
                elif parent in depends and parent not in index:
                    index[parent] = low[parent] = len(index)
                    stack.append(parent)
                    on_stack.add(parent)
                    work.append((parent, iter(depends[parent])))
                    break
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    component = set(_until(stack, name))
                    on_stack -= component
                    if len(component) > 1 or name in depends[name]:
                        yield component


def _until(stack: list[str], name: str) -> Iterator[str]:
    while (top := stack.pop()) != name:
        yield top
    yield name


def _shortest(name: str, component: set[str], depends: Depends) -> tuple[str, ...]:
    """A shortest way from `name` back to itself inside its component, found breadth first."""
    came_from: dict[str, str] = {}
    queue = deque([name])
    while queue:
        current = queue.popleft()
        for parent in depends[current]:
            if parent == name:
                return (*_way(current, name, came_from), name)
            if parent in component and parent not in came_from:
                came_from[parent] = current
                queue.append(parent)
    return ()  # pragma: no cover  every member of a component has a way back to itself


def _way(end: str, start: str, came_from: Mapping[str, str]) -> tuple[str, ...]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))


def unsatisfiable(
    depends: Depends,
    states: Mapping[str, State],
    *,
    converged_before: Collection[str] = (),
    undone: Collection[str] = (),
) -> Mapping[str, str]:
    """Names that can't start unless a person does something, each with the parent at fault: blocked, missing, undone, in a
    cycle, or itself unable to start. Only what isn't converged is looked at."""
    waiting = {name: parents for name, parents in depends.items() if states.get(name) is not State.CONVERGED}
    faults = {name: path_text(cycle) for name, cycle in cycles(waiting).items()}
    children: dict[str, list[str]] = {}
    for name, parents in waiting.items():
        for parent in parents:
            children.setdefault(parent, []).append(name)
            if parent in undone or _dead(parent, states, converged_before):
                faults.setdefault(name, parent)
    todo = list(faults)
    while todo:
        parent = todo.pop()
        for child in children.get(parent, ()):
            if child not in faults:
                faults[child] = parent
                todo.append(child)
    return faults


def _dead(parent: str, states: Mapping[str, State], converged_before: Collection[str]) -> bool:
    state = states.get(parent)
    if state is None:
        return parent not in converged_before
    return state is State.BLOCKED


def edges(depends: Depends) -> tuple[tuple[str, str], ...]:
    """Every `(parent, child)`, sorted: the child waits for the parent."""
    return tuple(sorted((parent, child) for child, parents in depends.items() for parent in set(parents)))


@dataclass(slots=True)
class _Drawing:
    labels: Mapping[str, str]
    children: Mapping[str, list[str]]
    drawn: set[str] = field(default_factory=set)
    later: deque[str] = field(default_factory=deque)

    def tree(self, root: str) -> Iterator[str]:
        """Depth first without recursion; a name drawn before isn't unfolded again, one too deep gets a tree of its own."""
        stack = [(root, "", "")]
        while stack:
            name, lead, below = stack.pop()
            mine = self.children.get(name, [])
            again = name in self.drawn and bool(mine)
            deep = len(below) // 4 >= DEPTH_SHOWN and bool(mine) and not again
            yield f"{lead}{name}{self._label(name)}" + (" (see above)" if again else " (continued below)" if deep else "")
            if deep:
                self.later.append(name)
                continue
            if again:
                continue
            self.drawn.add(name)
            for number, child in enumerate(reversed(mine)):
                last = number == 0
                stack.append((child, below + ("`-- " if last else "|-- "), below + ("    " if last else "|   ")))

    def _label(self, name: str) -> str:
        return f"  [{self.labels.get(name, 'no such task')}]"


def lines(depends: Depends, labels: Mapping[str, str]) -> Iterator[str]:
    """The tasks as a text tree, parents above the children that wait for them. `labels` has every task's state in words;
    a parent without one is shown as missing, a ring is shown from its first name on."""
    children: dict[str, list[str]] = {}
    for parent, child in edges(depends):
        children.setdefault(parent, []).append(child)
    drawing = _Drawing(labels, children)
    names = sorted({*labels, *depends, *children})
    roots = [name for name in names if not depends.get(name)]
    for root in (*roots, *names):
        if root in drawing.drawn:
            continue
        drawing.later.append(root)
        while drawing.later:
            yield from drawing.tree(drawing.later.popleft())
