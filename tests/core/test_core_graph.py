from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import graph
from orchestrator.core.task import State

NAMES = st.sampled_from("abcdefg")
DEPENDS = st.dictionaries(NAMES, st.lists(st.sampled_from("abcdefgh"), max_size=4).map(tuple), max_size=7)


def reaches(depends: graph.Depends, start: str, goal: str) -> bool:
    seen: set[str] = set()
    todo = list(depends.get(start, ()))
    while todo:
        name = todo.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            todo += depends.get(name, ())
    return False


@given(DEPENDS)
def test_exactly_those_that_wait_for_themselves_are_in_a_cycle_and_the_cycle_is_real(depends: graph.Depends) -> None:
    found = graph.cycles(depends)
    assert set(found) == {name for name in depends if reaches(depends, name, name)}
    for name, cycle in found.items():
        assert name in cycle
        assert cycle[0] == cycle[-1]
        assert all(parent in depends[child] for child, parent in pairwise(cycle))
        assert len(set(cycle)) == len(cycle) - 1


def test_a_cycle_is_told_from_its_first_name_on() -> None:
    depends = {"c": ("a",), "a": ("b",), "b": ("c",), "outside": ("a", "missing")}
    assert graph.cycles(depends) == dict.fromkeys("abc", ("a", "b", "c", "a"))
    assert graph.path_text(("a", "b", "a")) == "a -> b -> a"


def test_two_rings_that_share_a_task_are_both_told() -> None:
    found = graph.cycles({"hub": ("x", "y"), "x": ("hub",), "y": ("hub",)})
    assert found == {"hub": ("hub", "x", "hub"), "x": ("hub", "x", "hub"), "y": ("y", "hub", "y")}


def test_a_chain_and_a_ring_of_five_thousand_are_no_trouble() -> None:
    chain = {f"t{number}": (f"t{number + 1}",) for number in range(5000)}
    assert graph.cycles(chain) == {}
    ring = {**chain, "t5000": ("t0",)}
    found = graph.cycles(ring)
    assert len(found) == 5001
    assert graph.path_text(found["t7"]) == "t0 -> t1 -> t2 -> t3 -> t4 -> t5 -> t6 -> ... 4994 more ... -> t0"
    assert len(graph.unsatisfiable(chain, dict.fromkeys(chain, State.PENDING))) == 5000
    assert sum(len(line) for line in graph.lines(chain, dict.fromkeys(chain, "pending"))) < 1_000_000


def test_what_waits_for_the_impossible_is_named_with_the_parent_at_fault() -> None:
    depends = {
        "on-blocked": ("stuck",),
        "on-missing": ("nowhere",),
        "ring-a": ("ring-b",),
        "ring-b": ("ring-a",),
        "behind": ("fine", "on-missing"),
        "far-behind": ("behind", "on-blocked"),
        "fine": ("done", "remembered", "sketch"),
        "done": ("nowhere",),
    }
    states = dict.fromkeys(depends, State.PENDING) | {
        "stuck": State.BLOCKED,
        "sketch": State.PENDING,
        "done": State.CONVERGED,
    }
    found = graph.unsatisfiable(depends, states, converged_before={"remembered"})
    assert found["on-blocked"] == "stuck"
    assert found["on-missing"] == "nowhere"
    assert found["ring-a"] == found["ring-b"] == "ring-a -> ring-b -> ring-a"
    assert found["behind"] == "on-missing"
    assert found["far-behind"] in {"behind", "on-blocked"}
    assert set(found) == {"on-blocked", "on-missing", "ring-a", "ring-b", "behind", "far-behind"}


def test_edges_are_sorted_and_without_doubles() -> None:
    assert graph.edges({"b": ("a", "a"), "c": ("b", "a")}) == (("a", "b"), ("a", "c"), ("b", "c"))


def test_the_tree_shows_parents_above_children_and_unfolds_each_once() -> None:
    depends = {"api": ("core",), "docs": ("api",), "cli": ("core",), "release": ("api", "cli")}
    labels = dict.fromkeys(["core", "api", "docs", "cli", "release", "alone"], "pending") | {"core": "converged"}
    assert list(graph.lines(depends, labels)) == [
        "alone  [pending]",
        "core  [converged]",
        "|-- api  [pending]",
        "|   |-- docs  [pending]",
        "|   `-- release  [pending]",
        "`-- cli  [pending]",
        "    `-- release  [pending]",
    ]


def test_a_missing_parent_a_ring_and_a_shared_branch_are_shown() -> None:
    depends = {"a": ("b",), "b": ("a",), "lost": ("nowhere",), "shared": ("p", "q"), "leaf": ("shared",)}
    labels = dict.fromkeys(["a", "b", "lost", "shared", "leaf", "p", "q"], "pending")
    assert list(graph.lines(depends, labels)) == [
        "nowhere  [no such task]",
        "`-- lost  [pending]",
        "p  [pending]",
        "`-- shared  [pending]",
        "    `-- leaf  [pending]",
        "q  [pending]",
        "`-- shared  [pending] (see above)",
        "a  [pending]",
        "`-- b  [pending]",
        "    `-- a  [pending] (see above)",
    ]


def test_a_very_deep_branch_goes_on_in_a_tree_of_its_own() -> None:
    depends = {f"t{number:02}": (f"t{number - 1:02}",) for number in range(1, 41)}
    drawn = list(graph.lines(depends, dict.fromkeys([*depends, "t00"], "pending")))
    assert any(line.strip() == "`-- t30  [pending] (continued below)" for line in drawn)
    assert "t30  [pending]" in drawn
    assert drawn[-1].endswith("t40  [pending]")


@given(DEPENDS)
def test_the_tree_shows_every_task(depends: graph.Depends) -> None:
    drawn = "\n".join(graph.lines(depends, dict.fromkeys(depends, "pending")))
    assert all(f"{name}  [" in drawn for name in {*depends, *(parent for parents in depends.values() for parent in parents)})
