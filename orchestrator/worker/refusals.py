"""Ends of a session that say nothing about the task: a limit waits for its reset, a login or a question needs a person.

No attempt is counted for any of them. What was found out about an account is in the record, where other tasks see it.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.core.convergence import backoff
from orchestrator.core.outcome import AgentEnd, AgentOutcome, Reason, Spend
from orchestrator.core.record import Pause, Session
from orchestrator.core.task import State
from orchestrator.worker import routes
from orchestrator.worker.space import Space
from orchestrator.worker.work import Ending, Work, blocked

UNJUDGED = frozenset({AgentEnd.RATE_LIMITED, AgentEnd.AUTH, AgentEnd.NEEDS_INPUT})


def settled(work: Work, outcome: AgentOutcome) -> AgentOutcome:
    """`outcome` as it is to be taken: where nobody wants to wait for limits, one is a failure like any other."""
    if outcome.end is not AgentEnd.RATE_LIMITED or work.settings.limit_wait > 0:
        return outcome
    return replace(outcome, end=AgentEnd.FAILED, detail=f"its provider refuses, and limit_wait is 0: {outcome.detail}")


def refused(work: Work, space: Space, outcome: AgentOutcome) -> Ending | None:
    """How the claim ends for such an end; None for all others, and where another agent goes on (`goes_on`)."""
    if outcome.end not in UNJUDGED:
        return None
    space.save_cut(work)
    match outcome.end:
        case AgentEnd.RATE_LIMITED:
            return limited(work, space, outcome)
        case AgentEnd.AUTH:
            return unauthorised(work, outcome)
    return blocked(Reason.QUESTION, outcome.prompt or outcome.detail)


def goes_on(work: Work, outcome: AgentOutcome) -> bool:
    """Whether another agent of the chain takes up the attempt at once."""
    return outcome.end is AgentEnd.RATE_LIMITED and routes.stands_in(work)


def limited(work: Work, space: Space, outcome: AgentOutcome) -> Ending | None:
    """Park until the first account of the chain takes work again, with what is needed to go on in the same session."""
    assert work.route is not None
    now = work.now()
    ahead = (outcome.reset_at or 0.0) - now
    if ahead <= 0:  # nobody knows when, or a clock disagrees
        ahead = backoff(work.record.backoffs, work.settings.backoff, work.settings.backoff_max)
    until = now + min(ahead, work.settings.limit_wait)
    known = {name: pause for name, pause in work.record.pauses.items() if (pause.until or 0.0) > now}
    pauses = {**known, work.route.account: Pause(now, until, outcome.detail)}
    work.save(pauses=pauses, session=interrupted(work, space, outcome), backoffs=work.record.backoffs + 1)
    work.event("limit", agent=work.route.agent, account=work.route.account, until=round(until, 3), detail=outcome.detail)
    if goes_on(work, outcome):
        return None
    return Ending(State.PENDING, Reason.RATE_LIMITED, outcome.detail, routes.earliest(work))


def interrupted(work: Work, space: Space, outcome: AgentOutcome) -> Session | None:
    """The session to go on with, where its agent can and there is only one in an attempt."""
    assert work.route is not None
    several = len(work.spec.phases or work.settings.phases) > 1
    if outcome.session is None or several or not routes.traits(work).resume:
        return None
    before = work.resumed.spent if work.resumed and work.resumed.id == outcome.session else Spend()
    return Session(work.route.agent, outcome.session, str(space.path), before + outcome.spend)


def resumable(work: Work, space: Space) -> Session | None:
    """The session that was interrupted here, if it is this agent's, in this worktree. It is used once."""
    session = work.record.session
    if session is None or work.route is None:
        return None
    work.save(durable=False, session=None)
    mine = session.agent == work.route.agent and session.worktree == str(space.path)
    return session if mine else None


def unauthorised(work: Work, outcome: AgentOutcome) -> Ending:
    """A person has to log in: this task says so, and the others of that account aren't started meanwhile."""
    assert work.route is not None
    agent, login = work.route.agent, routes.traits(work).login
    detail = f"{agent} is not logged in: {outcome.detail}" if outcome.detail else f"{agent} is not logged in"
    if login:
        detail += f" (to log in: {login})"
    work.save(pauses={**work.record.pauses, work.route.account: Pause(work.now(), None, f"{detail}; see {work.name}")})
    return blocked(Reason.AUTH, detail)
