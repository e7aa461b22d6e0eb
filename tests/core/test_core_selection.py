from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator.core.candidate import Candidate
from orchestrator.core.readiness import World
from orchestrator.core.selection import choose, order_key

Make = Callable[..., Candidate]


def test_priority_comes_first_then_arrival_then_name(task: Make) -> None:
    tasks = [
        task("late", arrived=9.0),
        task("urgent", priority=5, arrived=99.0),
        task("b", arrived=1.0),
        task("a", arrived=1.0),
        task("unwanted", priority=-1, arrived=0.0),
        task("broken", spec=None, arrived=5.0),
    ]
    assert [each.name for each in sorted(tasks, key=order_key)] == ["urgent", "a", "b", "broken", "late", "unwanted"]


def test_only_ready_tasks_fill_the_slots(task: Make) -> None:
    tasks = [task("draft", draft=True), task("a"), task("child", depends_on=("a",)), task("b"), task("c")]
    assert [each.name for each in choose(tasks, World(), 0.0, 2)] == ["a", "b"]
    assert [each.name for each in choose(tasks, World(), 0.0, 9)] == ["a", "b", "c"]


def test_without_a_slot_nothing_is_chosen(task: Make) -> None:
    assert list(choose([task("a")], World(), 0.0, 0)) == []
    assert list(choose([task("a")], World(), 0.0, -1)) == []


def test_of_five_thousand_tasks_only_as_many_are_looked_at_as_there_are_slots(task: Make) -> None:
    looked_at = 0

    def queue() -> Iterator[Candidate]:
        nonlocal looked_at
        for number in range(5000):
            looked_at += 1
            yield task(f"t{number}")

    assert len(list(choose(queue(), World(), 0.0, 3))) == 3
    assert looked_at == 3
