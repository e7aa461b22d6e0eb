"""What a task may use, what it has used, and what is left. All count since it was last queued."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from orchestrator.core import durations
from orchestrator.core.outcome import Spend
from orchestrator.core.record import Record
from orchestrator.core.settings import Settings
from orchestrator.core.value import Value

DAY = 86400.0
SOON = 0.8  # of a ceiling, from which on the agent is told


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Budget(Value):
    """Ceilings, or what is left below them. None is no ceiling."""

    usd: float | None = None
    tokens: float | None = None
    minutes: float | None = None
    attempts: float | None = None

    def least(self, other: Budget) -> Budget:
        """The narrower of both, kind by kind."""
        return Budget(*(_least(getattr(self, each.name), getattr(other, each.name)) for each in fields(Budget)))

    def less(self, used: Budget) -> Budget:
        """What is left after `used`, at least nothing."""
        pairs = ((getattr(self, each.name), getattr(used, each.name) or 0) for each in fields(Budget))
        return Budget(*(None if most is None else max(0.0, most - some) for most, some in pairs))

    def against(self, used: Budget) -> Iterator[tuple[str, float, float]]:
        """For each ceiling: its kind, what was used of it, and how much it is."""
        for each in fields(Budget):
            if (most := getattr(self, each.name)) is not None:
                yield each.name, getattr(used, each.name) or 0, most


def amounts(spend: Spend, attempts: int = 0) -> Budget:
    """What was used, in a budget's kinds."""
    return Budget(spend.usd or 0.0, spend.tokens or 0, spend.seconds / 60, attempts)


def of_a_day(settings: Settings) -> Budget:
    """What all tasks of a queue together may use within 24 hours."""
    return Budget(
        settings.budget_usd_day, settings.budget_tokens_day, settings.budget_minutes_day, settings.budget_attempts_day
    )  # fmt: skip


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
    """For each of the task's ceilings: its kind, what was used of it, and how much it is."""
    return budget.against(amounts(spent(record), record.tried))


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
    if kind != "tokens" and value == 1:
        return f"1 {kind.removesuffix('s')}"
    return f"{value:,.0f} {kind}" if kind == "tokens" else f"{value:.3g} {kind}" if value < 999.5 else f"{value:.0f} {kind}"


def money(usd: float) -> str:
    """`4.20 USD`."""
    return f"{dollars(usd)} USD"


def dollars(usd: float) -> str:
    """To the cent; less than a cent is shown as it is."""
    return f"{usd:.2f}" if usd >= 0.01 or usd == 0 else f"{usd:.2g}"


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


def in_a_day(records: Iterable[Record], now: float) -> Budget:
    """What all these tasks used in the last 24 hours, as their histories tell. What is a day or more ahead was written before
    the clock was set back: counted, it would hold the queue until that date; what is nearer is money of today."""
    total, attempts = Spend(), 0
    for record in _latest(records):
        recent = [_of(attempt.spend, attempt.seconds) for attempt in record.history if abs(now - attempt.at) < DAY]
        attempts += len(recent)
        if abs(now - record.updated) < DAY:
            recent.append(record.carried)
        total = sum(recent, total)
    return amounts(total, attempts)


def _latest(records: Iterable[Record]) -> Iterable[Record]:
    """Each task's record once: until it is claimed, a copied folder holds that of its original."""
    found: dict[str, Record] = {}
    for record in records:
        if record.id not in found or found[record.id].serial < record.serial:
            found[record.id] = record
    return found.values()


def overspent(used: Budget, day: Budget) -> str | None:
    """Which of the day's ceilings is reached, in words."""
    for kind, some, most in day.against(used):
        if some >= most:
            return f"the day's budget of {amount(kind, most)} is used up: {amount(kind, some)} in 24 hours"
    return None


def day_notice(used: Budget, day: Budget) -> str:
    """What an agent is told when most of the day's budget is gone; empty before."""
    lines = [
        f"- {amount(kind, some)} of {amount(kind, most)} that all tasks together have for 24 hours are used."
        for kind, some, most in day.against(used)
        if some >= SOON * most
    ]
    return "\n".join(lines)
