"""Which agent works on the next attempt: the first of the task's chain that is here and whose account takes work.

Another one stands in on a limit or where one isn't installed, never after a failure.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.agents import registry
from orchestrator.agents.protocol import Agent, Traits
from orchestrator.agents.routing import NO_AGENT, Route, Router
from orchestrator.core import accounts
from orchestrator.core.record import Pause
from orchestrator.core.task import State
from orchestrator.errors import AgentError
from orchestrator.store import ledger
from orchestrator.store.ledger import Ledger
from orchestrator.worker.work import Work

TELLING = (State.PENDING, State.RUNNING, State.BLOCKED)


def choose(work: Work) -> Route:
    """The agent of this attempt, with its model and effort; from here on it is the one that worked.

    Raises AgentError where nobody is chosen, known or installed, with what to do.
    """
    router = Router(work.settings)
    chain = router.chain(work.spec)
    if not chain:
        raise AgentError("No agent is configured.", hint=NO_AGENT)
    paused = known_pauses(work) if len(chain) > 1 else {}
    route = router.fitted(_free(work, chain, paused) or chain[0])
    if route.agent != chain[0].agent or route.account != chain[0].account:
        pause = paused.get(chain[0].account)
        why = f"{chain[0].account} is at a limit: {pause.why}" if pause else f"{chain[0].agent} is not installed"
        work.event("fallback", agent=route.agent, instead_of=chain[0].agent, detail=why)
    for notice in route.notices:
        work.event("notice", detail=notice)
    work.route = route
    return route


def stands_in(work: Work) -> bool:
    """Whether, as things are now, another agent of the chain could go on at once."""
    chain = Router(work.settings).chain(work.spec)
    return len(chain) > 1 and _free(work, chain, known_pauses(work)) is not None


def earliest(work: Work) -> float:
    """When the first account of the chain takes work again (epoch)."""
    paused = known_pauses(work)
    ends = (paused[route.account].until for route in Router(work.settings).chain(work.spec) if route.account in paused)
    return min((end for end in ends if end is not None), default=work.now())


def known_pauses(work: Work) -> Mapping[str, Pause]:
    """The accounts that refuse work, as the records of all tasks tell; but for what a person sent this task on in spite of."""
    queue, now = work.claim.queue, work.now()
    others = (place for place in queue.places(TELLING) if place.name != work.name)
    told = [*Ledger(queue).records(others), (State.RUNNING, work.record)]
    found = ledger.paused(told, now)
    mine = work.record.pauses  # its own were found since
    return {name: pause for name, pause in found.items() if name in mine or not accounts.ignored(work.record, pause)}


def traits(work: Work) -> Traits:
    """What the agent that was chosen can do."""
    assert work.route is not None
    return agent(work, work.route.agent).traits


def agent(work: Work, name: str) -> Agent:
    """The agent of this name: ours, a plug-in's, or one that the configuration describes. Raises AgentError."""
    return registry.get(name, work.settings.agents)


def _free(work: Work, chain: tuple[Route, ...], paused: Mapping[str, Pause]) -> Route | None:
    """The first that is here and not at a limit. Raises AgentError where none of them is here at all."""
    here = []
    missing: AgentError | None = None
    for route in chain:
        if lack := lacking(work, route.agent, work.settings.agent_cmd):
            missing = missing or lack
        else:
            here.append(route)
    if not here and missing:
        raise missing
    return next((route for route in here if route.account not in paused), None)


def lacking(work: Work, name: str, cmd: str | None) -> AgentError | None:
    """Why the agent of this name can't work here, with what to do; None where it can."""
    candidate = agent(work, name)
    found = candidate.check(cmd=cmd)
    if found.installed or (cmd and not candidate.traits.program):  # a command may lie in the worktree only
        return None
    lack = "is not installed" if candidate.traits.program else "can't work"
    return AgentError(f"{name} {lack}: {found.detail}.", hint=found.fix)
