"""What was used, what is left, and how that is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import budget
from orchestrator.core.budget import DAY, Budget
from orchestrator.core.convergence import requeued
from orchestrator.core.outcome import AgentEnd, Spend
from orchestrator.core.record import Attempt, Record, Result

NOW = 10_000_000.0


def attempt(number: int, spend: Spend, *, at: float = NOW, seconds: float = 0.0) -> Attempt:
    return Attempt(number, "x", AgentEnd.FINISHED, Result.UNCHANGED, spend=spend, at=at, seconds=seconds)


def record(*spends: Spend, carried: Spend | None = None) -> Record:
    history = tuple(attempt(number, spend) for number, spend in enumerate(spends, 1))
    made = Record("1", "a", 1, "a", tried=len(spends), attempts=len(spends), history=history, updated=NOW)
    return replace(made, carried=carried or Spend())


def test_a_sum_of_what_is_known_tells_how_much_of_it_is_not() -> None:
    total = Spend(usd=0.5, input_tokens=10, seconds=1.0) + Spend(output_tokens=5, seconds=2.0, unpriced=1)
    assert total == Spend(usd=0.5, input_tokens=10, output_tokens=5, seconds=3.0, unpriced=1)
    assert total.tokens == 15
    assert Spend().tokens is None


@pytest.mark.parametrize(
    ("spend", "told"),
    [
        (Spend(usd=0.5), "0.50 USD"),
        (Spend(usd=0.5, unpriced=2), "at least 0.50 USD"),
        (Spend(unpriced=1), "cost unknown"),
        (Spend(), ""),
        (Spend(usd=0.0), "0.00 USD"),
        (Spend(usd=0.0042), "0.0042 USD"),
    ],
)
def test_an_unknown_cost_is_never_nothing(spend: Spend, told: str) -> None:
    assert budget.cost(spend) == told


def test_all_of_it_is_told_by_kind() -> None:
    spend = Spend(usd=1.5, input_tokens=12_000, cached_tokens=9_000, output_tokens=300, reasoning_tokens=100, seconds=61.0)
    assert budget.told(spend) == "1 min 1 s, 1.50 USD, 12,000 tokens in (9,000 cached), 300 out (100 thinking)"


def test_what_counts_is_what_was_used_since_the_task_was_queued() -> None:
    before = record(Spend(usd=4.0), Spend(usd=4.0))
    again = replace(requeued(before), tried=1, history=(*before.history, attempt(3, Spend(usd=1.0))), carried=Spend(usd=0.5))
    assert budget.spent(again).usd == 1.5
    assert budget.exceeded(again, Budget(usd=1.5)) == "its budget of 1.50 USD is used up"
    assert budget.exceeded(again, Budget(usd=1.51)) is None


def test_an_amount_is_told_in_plain_digits_up_to_its_next_one() -> None:
    amounts = [budget.amount("minutes", value) for value in (0.5, 1, 999.4, 999.6, 1500.2)]
    assert amounts == ["0.5 minutes", "1 minute", "999 minutes", "1000 minutes", "1500 minutes"]


def test_an_older_record_tells_its_minutes_all_the_same() -> None:
    old = replace(record(Spend()), history=(attempt(1, Spend(), seconds=120.0),))
    assert budget.exceeded(old, Budget(minutes=2)) == "its budget of 2 minutes is used up"


def test_the_agent_is_told_from_four_fifths_on() -> None:
    assert budget.notice(record(Spend(usd=0.79)), Budget(usd=1.0)) == ""
    assert budget.notice(record(Spend(usd=0.8)), Budget(usd=1.0, tokens=100)) == "- 0.80 USD of 1.00 USD are used."


def test_what_is_left_is_the_narrower_of_both_and_at_least_nothing() -> None:
    task = Budget(usd=5.0, tokens=100).less(budget.amounts(Spend(usd=2.0, input_tokens=300)))
    assert task == Budget(usd=3.0, tokens=0.0)
    assert task.least(Budget(usd=1.0)) == Budget(usd=1.0, tokens=0.0)
    assert Budget().less(Budget(usd=9.0)) == Budget()


def test_a_day_counts_what_ended_in_it_and_what_is_not_counted_yet() -> None:
    before, within = attempt(1, Spend(usd=8.0, seconds=600), at=NOW - DAY - 1), attempt(2, Spend(usd=1.0, seconds=90))
    records = (
        replace(record(Spend(usd=1.0)), history=(before, within)),
        replace(record(carried=Spend(usd=0.5, input_tokens=7)), id="second"),
        replace(record(carried=Spend(usd=9.0)), id="third", updated=NOW - DAY - 1),
    )
    total = budget.in_a_day(records, NOW)
    assert total == Budget(usd=1.5, tokens=7, minutes=1.5, attempts=1)
    assert budget.overspent(total, Budget(usd=1.5)) == "the day's budget of 1.50 USD is used up: 1.50 USD in 24 hours"
    assert budget.overspent(total, Budget(usd=2.0, tokens=7)) == "the day's budget of 7 tokens is used up: 7 tokens in 24 hours"
    assert budget.overspent(total, Budget(minutes=1)) == "the day's budget of 1 minute is used up: 1.5 minutes in 24 hours"
    assert budget.overspent(total, Budget(attempts=1)) == "the day's budget of 1 attempt is used up: 1 attempt in 24 hours"
    assert budget.overspent(total, Budget(usd=2.0, minutes=2, attempts=2)) is None


def test_what_a_clock_told_that_was_a_year_ahead_is_not_of_every_day_until_then() -> None:
    """Money of today it is where the clock was less than a day ahead."""
    ahead = replace(record(carried=Spend(usd=4.0)), updated=NOW + 365 * DAY, history=(attempt(1, Spend(usd=8.0), at=NOW + DAY),))
    near = replace(record(), id="second", history=(attempt(1, Spend(usd=1.0), at=NOW + DAY - 1),))
    assert budget.in_a_day((ahead, near), NOW) == Budget(usd=1.0, tokens=0, minutes=0.0, attempts=1)


def test_a_copied_folder_uses_nothing_of_the_day_a_second_time() -> None:
    """Until its claim it holds the record of its original, as that was when it was copied."""
    first, second = (attempt(number, Spend(usd=1.0), at=NOW - 60) for number in (1, 2))
    original = replace(record(), history=(first, second), serial=9)
    copied = replace(record(carried=Spend(usd=5.0)), history=(first,), serial=4)
    for records in ((original, copied), (copied, original)):
        assert budget.in_a_day(records, NOW) == budget.in_a_day((original,), NOW)


def test_the_agent_is_told_of_the_day_from_four_fifths_on_too() -> None:
    assert budget.day_notice(Budget(usd=3.1), Budget(usd=4.0, tokens=100)) == ""
    told = budget.day_notice(Budget(usd=3.2, tokens=90), Budget(usd=4.0, tokens=100))
    assert told.splitlines() == [
        "- 3.20 USD of 4.00 USD that all tasks together have for 24 hours are used.",
        "- 90 tokens of 100 tokens that all tasks together have for 24 hours are used.",
    ]
