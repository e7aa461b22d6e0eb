"""What sessions use: counted once each, priced where their agent doesn't say, held against what the task and the day may use."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from orchestrator.agents import prices
from orchestrator.core import budget
from orchestrator.core.budget import Budget
from orchestrator.core.limits import task_limits
from orchestrator.core.outcome import AgentEnd, AgentOutcome, Spend
from orchestrator.core.task import State
from orchestrator.proc.command import Limits
from orchestrator.store import ledger
from orchestrator.store.ledger import Ledger
from orchestrator.worker.work import Work

NOTHING = frozenset({AgentEnd.NOT_STARTED})


def counted(work: Work, outcome: AgentOutcome) -> AgentOutcome:
    """`outcome` with its cost, added to what the task used; a cost that nobody knows stays unknown, and is counted as such."""
    assert work.route is not None
    spend = outcome.spend
    if spend.usd is None and outcome.end not in NOTHING:
        usd = prices.cost(outcome.model or work.route.model, spend)
        spend = replace(spend, usd=usd, unpriced=int(usd is None))
    record, agent = work.record, work.route.agent
    agents = {**record.agents, agent: record.agents.get(agent, Spend()) + spend}
    work.save(durable=False, spend=record.spend + spend, carried=record.carried + spend, agents=agents)
    if spend.unpriced and _ceilings(work).usd is not None:
        work.event("notice", detail=f"what {agent} cost is not known, so a budget in dollars can't be kept")
    return replace(outcome, spend=spend)


def left(work: Work) -> Budget:
    """What the next session may use at most: the narrower of the task's budget and the day's."""
    task = task_limits(work.spec, work.settings).budget.less(budget.amounts(budget.spent(work.record)))
    day = _day(work)
    return task if day == Budget() else task.least(day.less(_used_today(work)))


def limits(work: Work, room: Budget) -> Limits:
    """How long a session may last and be silent, with `room` left to it: no minutes left is no time, and not no limit."""
    minutes = math.inf if room.minutes is None else 60 * room.minutes
    return Limits(
        seconds=min(work.spec.timeout or work.settings.timeout, minutes),
        idle=work.settings.progress_timeout,
        grace=work.settings.stop_grace,
    )


def over_the_day(work: Work) -> str | None:
    """Which of the day's ceilings is reached, in words. All tasks' records tell."""
    day = _day(work)
    return None if day == Budget() else budget.overspent(_used_today(work), day)


def notice(work: Work) -> str:
    """What the next prompt says of budgets that are nearly gone: the task's, and the day's."""
    day = _day(work)
    told = (
        budget.notice(work.record, task_limits(work.spec, work.settings).budget),
        "" if day == Budget() else budget.day_notice(_used_today(work), day),
    )
    return "\n".join(filter(None, told))


@dataclass(slots=True)
class Meter:
    """Watches one session: `over` is why it was ended, None while it is within what is `left`."""

    left: Budget
    model: str | None
    over: str | None = None
    _seen: Spend = field(default_factory=Spend)

    def __call__(self, spend: Spend, model: str | None) -> bool:
        """Whether a session that has used `spend` so far has to be ended."""
        if spend != self._seen:
            self._seen = spend
            self.over = self._judge(spend, model or self.model)
        return self.over is not None

    def _judge(self, spend: Spend, model: str | None) -> str | None:
        if self.left.tokens is not None and (spend.tokens or 0) > self.left.tokens:
            return f"ended: with {budget.amount('tokens', spend.tokens or 0)} it passed what was left of its budget"
        if self.left.usd is None:
            return None
        usd = spend.usd if spend.usd is not None else prices.cost(model, spend)
        if usd is not None and usd > self.left.usd:
            return f"ended: with {budget.money(usd)} it passed what was left of its budget"
        return None


def _ceilings(work: Work) -> Budget:
    return task_limits(work.spec, work.settings).budget.least(_day(work))


def _day(work: Work) -> Budget:
    return budget.of_a_day(work.settings)


def _used_today(work: Work) -> Budget:
    queue, now = work.claim.queue, work.now()
    others = (place for place in queue.places() if place.name != work.name)
    return ledger.used_today([*Ledger(queue).records(others), (State.RUNNING, work.record)], now)
