"""What a task may use, what it has used, and what is left. All count since it was last queued."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from orchestrator.core import durations
from orchestrator.core.outcome import Spend
from orchestrator.core.record import Record

DAY = 86400.0
SOON = 0.8  # of a ceiling, from which on the agent is told


@dataclass(frozen=True, slots=True)
class Budget:
    """Ceilings, or what is left below them. None is no ceiling."""

    usd: float | None = None
    tokens: float | None = None
    minutes: float | None = None
    attempts: float | None = None

    def least(self, other: Budget) -> Budget:
        """The narrower of both, kind by kind."""
        return Budget(*(_least(getattr(self, each.name), getattr(other, each.name)) for each in fields(Budget)))

    def less(self, spend: Spend) -> Budget:
        """What is left after `spend`, at least nothing."""
        used = Budget(spend.usd or 0.0, spend.tokens or 0, spend.seconds / 60, 0)
        pairs = ((getattr(self, each.name), getattr(used, each.name)) for each in fields(Budget))
        return Budget(*(None if most is None else max(0.0, most - some) for most, some in pairs))


def _least(left: float | None, right: float | None) -> float | None:
    return min((value for value in (left, right) if value is not None), default=None)


def spent(record: Record) -> Spend:
    """What the task used since it was last queued; where its history is too short to tell, over its whole life."""
    if record.tried > len(record.history):
        return record.spend
    counted = record.history[len(record.history) - record.tried :]
    return sum((_of(attempt.spend, attempt.seconds) for attempt in counted), record.carried)


def _of(spend: Spend, seconds: float) -> Spend:
    return spend if spend.seconds else spend + Spend(seconds=seconds)  # an older record has only the seconds


def used(record: Record, budget: Budget) -> Iterator[tuple[str, float, float]]:
    """For each ceiling: its kind, what was used of it, and how much it is."""
    total = spent(record)
    amounts = Budget(total.usd or 0.0, total.tokens or 0, total.seconds / 60, record.tried)
    for each in fields(Budget):
        if (most := getattr(budget, each.name)) is not None:
            yield each.name, getattr(amounts, each.name), most


def exceeded(record: Record, budget: Budget) -> str | None:
    """Which ceiling was reached, in words; None while there is room below all of them."""
    for kind, some, most in used(record, budget):
        if some >= most:
            return f"its budget of {amount(kind, most)} is used up{_over(kind, some, most)}"
    return None


def _over(kind: str, some: float, most: float) -> str:
    return f" ({amount(kind, some)})" if kind != "attempts" and some > most * 1.005 else ""


def notice(record: Record, budget: Budget) -> str:
    """What an agent is told when most of a budget is gone; empty before."""
    lines = [
        f"- {amount(kind, some)} of {amount(kind, most)} are used."
        for kind, some, most in used(record, budget)
        if some >= SOON * most
    ]
    return "\n".join(lines)


def amount(kind: str, value: float) -> str:
    """`4.20 USD`, `120,000 tokens`, `30 minutes`, `1 attempt`."""
    if kind == "usd":
        return money(value)
    if kind == "attempts" and value == 1:
        return "1 attempt"
    return f"{value:,.0f} {kind}" if kind == "tokens" else f"{value:.3g} {kind}" if value < 1000 else f"{value:.0f} {kind}"


def money(usd: float) -> str:
    """Dollars to the cent; less than a cent is shown as it is."""
    return f"{usd:.2f} USD" if usd >= 0.01 or usd == 0 else f"{usd:.2g} USD"


def cost(spend: Spend) -> str:
    """What it cost, in words: an unknown part makes the sum a least one, and nothing known is unknown, never 0."""
    if spend.usd is None:
        return "cost unknown" if spend.unpriced else ""
    return f"at least {money(spend.usd)}" if spend.unpriced else money(spend.usd)


def told(spend: Spend) -> str:
    """All of it for people: time, cost, tokens by kind."""
    parts = [durations.text(spend.seconds), cost(spend)]
    if spend.tokens is not None:
        cached = f" ({spend.cached_tokens:,} cached)" if spend.cached_tokens else ""
        thought = f" ({spend.reasoning_tokens:,} thinking)" if spend.reasoning_tokens else ""
        parts.append(f"{spend.input_tokens or 0:,} tokens in{cached}, {spend.output_tokens or 0:,} out{thought}")
    return ", ".join(part for part in parts if part)


def in_a_day(records: Iterable[Record], now: float) -> Spend:
    """What all these tasks used in the last 24 hours, as their histories tell."""
    total = Spend()
    for record in records:
        recent = [attempt.spend for attempt in record.history if attempt.at > now - DAY]
        if record.updated > now - DAY:
            recent.append(record.carried)
        total = sum(recent, total)
    return total


def overspent(total: Spend, day: Budget) -> str | None:
    """Which of the day's ceilings is reached, in words."""
    for kind, some, most in _of_day(total, day):
        if some >= most:
            return f"the day's budget of {amount(kind, most)} is used up: {amount(kind, some)} in 24 hours"
    return None


def day_notice(total: Spend, day: Budget) -> str:
    """What an agent is told when most of the day's budget is gone; empty before."""
    lines = [
        f"- {amount(kind, some)} of {amount(kind, most)} that all tasks together have for 24 hours are used."
        for kind, some, most in _of_day(total, day)
        if some >= SOON * most
    ]
    return "\n".join(lines)


def _of_day(total: Spend, day: Budget) -> Iterator[tuple[str, float, float]]:
    for kind, some, most in (("usd", total.usd, day.usd), ("tokens", total.tokens, day.tokens)):
        if most is not None:
            yield kind, some or 0, most
