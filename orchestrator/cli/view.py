"""One look at the queue as people and programs see it: every task in the words of the contract."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orchestrator.agents.routing import Router
from orchestrator.core import accounts, budget, readiness
from orchestrator.core.budget import Budget
from orchestrator.core.candidate import Candidate, Waiting
from orchestrator.core.limits import max_failures
from orchestrator.core.outcome import COUNTED, AgentEnd, Reason, Spend
from orchestrator.core.readiness import World
from orchestrator.core.record import Pause, Record, Result
from orchestrator.core.selection import order_key
from orchestrator.core.settings import Settings
from orchestrator.core.spec import Metric
from orchestrator.core.task import Stage, State
from orchestrator.core.value import Value
from orchestrator.loop.phased import phased
from orchestrator.loop.routed import placed, routed, without_new_logins
from orchestrator.store import room, snapshot
from orchestrator.store.owners import Owner
from orchestrator.store.queue import Queue

if TYPE_CHECKING:
    from orchestrator.core.integration import Red
    from orchestrator.executors.protocol import Executor

SHOWN_FIRST = {State.RUNNING: 0, State.BLOCKED: 1, State.PENDING: 2, State.CONVERGED: 3}
FREE = "Free some space; it all goes on by itself."


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Look(Value):
    """All tasks at one moment, in the order in which people want them: running, blocked, pending by turn, converged."""

    queue: Queue
    settings: Settings
    candidates: tuple[Candidate, ...]
    world: World
    loops: tuple[Owner, ...]
    now: float
    red: tuple[Red, ...] = ()  # bases at which the integration command says no

    def waiting(self, candidate: Candidate) -> tuple[Waiting, ...]:
        """Every reason a pending task isn't running."""
        return readiness.waiting_on(candidate, self.world, self.now)

    def of(self, state: State) -> tuple[Candidate, ...]:
        return tuple(candidate for candidate in self.candidates if candidate.place.state is state)


def look(queue: Queue, settings: Settings) -> Look:
    """Read everything once."""
    router = Router(settings)
    found = snapshot.read_all(queue, settle=settings.settle, accounts=router.accounts)
    now = time.time()
    loops = queue.owners.loops() if (queue.control / "owners").is_dir() else ()
    found = tuple(placed(phased(routed(candidate, router, queue), settings, queue), _executor) for candidate in found)
    world = readiness.world(found, converged_before=queue.removed.names(), capacity=_capacity(found, loops))
    world = replace(world, paused=without_new_logins(_paused(found, now), router), overspent=_overspent(found, settings, now))
    red = _standing(queue)
    return Look(queue, settings, tuple(sorted(found, key=_order)), world, loops, now, red)


def _executor(name: str) -> Executor:
    from orchestrator.executors import registry

    return registry.find(name)


def _standing(queue: Queue) -> tuple[Red, ...]:
    """Mostly there are none, and a status needn't load what reads them and asks git."""
    if not (queue.control / "integration").is_dir():
        return ()
    from orchestrator.store import integrations

    if not (found := integrations.every(queue)):
        return ()
    from orchestrator.git import integrated

    return integrated.standing(found)


def _paused(found: Iterable[Candidate], now: float) -> dict[str, Pause]:
    told = ((each.record, each.place.state) for each in found if each.record and each.record.pauses)
    return accounts.paused(pause for record, state in told for pause in accounts.pauses(record, state, now))


def _overspent(found: Iterable[Candidate], settings: Settings, now: float) -> str | None:
    day = budget.of_a_day(settings)
    if day == Budget():
        return None
    return budget.overspent(budget.in_a_day((each.record for each in found if each.record), now), day)


def _order(candidate: Candidate) -> tuple[int, int, float, str]:
    state = candidate.place.state
    record = candidate.record
    if state is State.PENDING:
        return (SHOWN_FIRST[state], *order_key(candidate))
    return (SHOWN_FIRST[state], 0, -(record.updated if record else candidate.arrived), candidate.name)


def _capacity(candidates: Iterable[Candidate], loops: tuple[Owner, ...]) -> int | None:
    """Free slots of all living loops, as their workers' leases tell; None where no loop lives or one hasn't said."""
    leases = [candidate.lease for candidate in candidates if candidate.lease]
    slots = {lease.loop: lease.settings.get("parallel", 1) for lease in leases}
    if not loops or any(loop.token not in slots for loop in loops):
        return None
    return max(0, sum(int(slots[loop.token]) for loop in loops) - len(leases))


def facts(candidate: Candidate) -> Record | None:
    """The record as it counts now: a task that a person queued again begins its counts anew, one that a person moved to
    blocked was stopped, and one moved to converged has no reason to be there."""
    record = candidate.record
    if record is not None and candidate.place.state is State.BLOCKED and (record.converged or not record.ended):
        return replace(record, reason=Reason.STOPPED, detail="moved to blocked by a person")
    if record is not None and candidate.place.state is State.CONVERGED and not record.converged:
        return replace(record, reason=None, detail=None)
    if record is not None and candidate.place.state is State.PENDING and record.ended:
        from orchestrator.core.convergence import requeued

        return requeued(record)
    return record


def held_back(look: Look, candidate: Candidate) -> str | None:
    """Of a running task whose worker has said its last word: what keeps its folder from where that belongs."""
    place, record = candidate.place, candidate.record
    if place.state is not State.RUNNING or record is None or not record.last_word_of(place.token):
        return None
    there = look.queue.folder(record.destination) / candidate.name
    in_the_way = f"{there} is in the way: move or rename that" if os.path.lexists(there) else f"it moves to {record.destination}/"
    return f"it has ended ({record.reason}), and {in_the_way}"


def no_room(look: Look) -> str | None:
    """That the queue's disk is full: a worker that can't write down its last word holds its task until then, and can't tell."""
    root = str(look.queue.root)
    return f"No space is left at {root}: nothing can be written down there" if room.is_full(root) else None


def stamp(moment: float | None) -> str | None:
    """UTC as the contract writes it."""
    return None if moment is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def document(look: Look) -> dict[str, Any]:
    """What `--status --json` prints."""
    loops = [
        {"running": True, "pid": o.identity.pid, "host": o.identity.host, "started": stamp(o.since), "paused": False}
        for o in look.loops
    ]
    return {
        "schema": 1,
        "root": str(look.queue.root),
        "loop": loops[0] if loops else {"running": False, "pid": None, "host": None, "started": None, "paused": False},
        "loops": loops,
        "counts": counts(look.candidates),
        "integration": [_red(red) for red in look.red],
        "tasks": [task(look, candidate) for candidate in look.candidates],
    }


def _red(red: Red) -> dict[str, Any]:
    named = {name: getattr(red, name) for name in ("repo", "base", "commit", "green", "culprit", "reason", "output")}
    return {"ok": False, **named, "tasks": list(red.tasks), "detail": red.told, "next": red.next, "at": stamp(red.at)}


def counts(candidates: Iterable[Candidate]) -> dict[str, int]:
    """How many tasks lie in each state."""
    found = dict.fromkeys((state.value for state in State), 0)
    for candidate in candidates:
        found[candidate.place.state.value] += 1
    return found


def task(look: Look, candidate: Candidate) -> dict[str, Any]:
    """One task of the contract's list."""
    spec, record, settings, state = candidate.spec, facts(candidate), look.settings, candidate.place.state
    waiting = look.waiting(candidate)
    return {
        "name": candidate.name,
        "state": state.value,
        "stage": record.stage if record and state is State.RUNNING else None,
        "reason": record.reason.value if record and record.reason and state is not State.RUNNING else None,
        "detail": held_back(look, candidate)
        or candidate.unread
        or (record.detail if record and (state is not State.RUNNING or record.stage == Stage.LAND) else None),
        "title": spec.title if spec else None,
        "labels": list(spec.labels) if spec else [],
        "repo": (record.repo if record else None) or (spec.repo if spec else None) or settings.repo,
        "base": (record.base if record else None) or (spec.base if spec else None) or settings.base,
        "branch": record.branch if record else None,
        "agent": agent_of(candidate, settings),
        "model": (spec.model if spec else None) or settings.model,
        "priority": spec.priority if spec else 0,
        "depends_on": list(spec.depends_on) if spec else [],
        "phase": spec.reserved.get("phase") if spec else None,
        "metrics": [_metric(metric, record) for metric in metrics(candidate)],
        "streak": record.streak if record else 0,
        "converge": (spec.converge if spec else None) or settings.converge,
        "attempts": record.attempts if record else 0,
        "failures": record.failures if record else 0,
        "max_failures": max_failures(spec, settings),
        "ready": state is State.PENDING and not waiting,
        "waiting_on": [{"kind": reason.kind.value, "detail": reason.detail} for reason in waiting],
        "not_before": stamp(readiness.not_before(record, look.now)) if state is State.PENDING else None,
        "spend": _spend(record),
        "owner": _owner(candidate),
        "landed": _landed(record),
        "resolving": _resolving(record),
        "problems": list(candidate.problems),
        "warnings": list(spec.warnings) if spec else [],
        "path": str(look.queue.path(candidate.place)),
        "created": stamp(record.created) if record and record.created else None,
        "updated": stamp(record.updated if record and record.updated else candidate.arrived),
    }


def agent_of(candidate: Candidate, settings: Settings) -> str | None:
    """Who works on a task, or worked on it last; for a pending one, who will."""
    spec, record, lease = candidate.spec, candidate.record, candidate.lease
    wanted = spec.agent if spec else None
    if candidate.place.state is State.RUNNING and lease:
        return wanted or lease.settings.get("agent") or settings.agent
    if candidate.place.state is not State.PENDING and record and record.history:
        return record.history[-1].agent
    if wanted is None and candidate.accounts:  # the model says whose it is
        return accounts.agent_of(candidate.accounts[0])
    return wanted or settings.agent


def metrics(candidate: Candidate) -> tuple[Metric, ...]:
    """The metrics of the spec (of a running task, whose spec is broken by now, as its worker read it); where it names none,
    those the benchmark printed, which must reach 0."""
    spec = candidate.spec
    if spec is None and candidate.lease and candidate.lease.spec and candidate.place.state is State.RUNNING:
        from orchestrator.store import specfile

        spec = specfile.from_json(candidate.lease.spec)
    if spec and spec.metrics:
        return spec.metrics
    record = candidate.record
    printed: Mapping[str, float] = {**record.baseline, **record.values} if record else {}
    return tuple(Metric(name, target=0.0) for name in printed)


def _metric(metric: Metric, record: Record | None) -> dict[str, Any]:
    return {
        "name": metric.name,
        "direction": metric.direction.value,
        "target": metric.target,
        "value": record.values.get(metric.name) if record else None,
        "baseline": record.baseline.get(metric.name) if record else None,
        "best": record.best.get(metric.name) if record else None,
        "unit": metric.told_unit,
        "guard": metric.guard,
    }


def _spend(record: Record | None) -> dict[str, Any]:
    """What it used, all agents together and each. A cost that nobody knows is null; `at_least`: some sessions' isn't in it."""
    agents = record.agents if record else {}
    return {**_used(record.spend if record else Spend()), "agents": {name: _used(spend) for name, spend in agents.items()}}


def _used(spend: Spend) -> dict[str, Any]:
    return {**{kind: getattr(spend, kind) for kind in COUNTED}, "seconds": spend.seconds, "at_least": spend.unpriced > 0}


def _owner(candidate: Candidate) -> dict[str, Any] | None:
    lease = candidate.lease
    if lease is None or candidate.place.state is not State.RUNNING:
        return None
    return {"host": lease.owner.host, "pid": lease.owner.pid, "heartbeat_age": candidate.heartbeat_age}


def _landed(record: Record | None) -> dict[str, Any] | None:
    if record is None or record.landed is None:
        return None
    landed = record.landed
    told = {"commit": landed.commit, "base": landed.base, "how": landed.how, "url": landed.url}
    return {**told, "undone": landed.undone, "state": landed.state, "merged": landed.merged}


def _resolving(record: Record | None) -> dict[str, Any] | None:
    if record is None or record.resolving is None:
        return None
    found = record.resolving
    return {"files": list(found.files), "with": found.base, "tries": record.tries}


ADVICE: Mapping[Reason | None, str] = {
    Reason.EXHAUSTED: "Read `orchestrator logs {name}`; make the goal clearer or smaller, then `orchestrator retry {name}`.",
    Reason.BUDGET: "Is it worth more? Raise `budget` (`orchestrator edit {name} --budget …`), then `orchestrator retry {name}`,"
    " which allows that much again.",
    Reason.NO_IMPROVEMENT: "Read `orchestrator logs {name}`, change the task, then `orchestrator retry {name}`.",
    Reason.BENCHMARK_DEFECT: "Mend what is named: the spec, or the benchmark in the task folder or on the base branch, of which"
    " only what is committed is there, what `setup` makes and what `.worktreeinclude` names (try it by hand;"
    " `orchestrator logs --events {name}` shows what it printed), then `orchestrator retry {name}`.",
    Reason.FLAKY: "Make the benchmark give one answer for one state of the code (in a clean checkout is only what is committed"
    " and what `setup` makes), then `orchestrator retry {name}`.",
    Reason.SCOPE_VIOLATION: "If the change was right, allow it (`orchestrator edit {name} --scope …` or `--off-limits …`; of a"
    " script that `benchmark:` names: let a `benchmark.sh` in the task folder run it instead), then `orchestrator retry {name}`.",
    Reason.TAMPERED: "Look at what it did (`orchestrator recover {name}`) before `orchestrator retry {name}`.",
    Reason.CONFLICT: "Merge the base into the task's branch yourself (its worktree is on it; commit there), then"
    " `orchestrator retry {name}` lands that; without a merge of yours agents try once more.",
    Reason.QUESTION: "Answer in the spec (`orchestrator edit {name}`), then `orchestrator retry {name}`.",
    Reason.GATE: "See the verdict in `orchestrator show {name}` (of a hidden check: what it measured, in"
    " `orchestrator logs --events {name}`); mend the gate (a script of the repository on the base, which"
    " you then merge into the task's branch, in its worktree) or the goal, then `orchestrator retry {name}`.",
    Reason.CLOSED: "Say in the spec what was wrong (`orchestrator edit {name}`), then `orchestrator retry {name}`: an attempt"
    " answers it. Without an edit `retry` opens the same pull request again.",
    Reason.AUTH: "Log the agent in (`orchestrator --check` says how), then `orchestrator retry {name}`.",
    Reason.STOPPED: "`orchestrator retry {name}` sets it going again.",
    Reason.CANCELLED: "`orchestrator retry {name}` sets it going again; commits, if there are any, are in"
    " `orchestrator recover {name}`.",
    Reason.SETUP: "Put that right, then `orchestrator retry {name}`.",
    Reason.REPO: "Put the repository right, then `orchestrator retry {name}`.",
    Reason.FAULT: "`tasks/.orch/log` tells more; please report what is ours. `orchestrator retry {name}` tries again.",
    None: "`orchestrator retry {name}` sets it going again.",
}
IDLE = (
    "See that its agent works (`orchestrator --check`) and what it said (`orchestrator logs {name}`),"
    " then `orchestrator retry {name}`."
)
SHORT = "Give it more time (`orchestrator edit {name} --timeout …`) or less to do, then `orchestrator retry {name}`."
UNABLE: Mapping[AgentEnd, str] = {AgentEnd.NOT_STARTED: IDLE, AgentEnd.FAILED: IDLE, AgentEnd.TIMED_OUT: SHORT}


def advice(candidate: Candidate) -> str:
    """What a person can do about a blocked task."""
    from shlex import quote

    record = facts(candidate)
    reason = record.reason if record else None
    told = _exhausted(record) if record and reason is Reason.EXHAUSTED else ADVICE.get(reason, ADVICE[None])
    return told.format(name=quote(candidate.name))


def _exhausted(record: Record) -> str:
    """Where its agent didn't get to work, or a gate refused what it did, the goal isn't to blame."""
    failed = record.history[-record.failures :] if record.failures else ()
    if any(attempt.result is Result.GATE for attempt in failed):
        return ADVICE[Reason.GATE]
    end = failed[-1].end if failed else None
    return UNABLE.get(end, ADVICE[Reason.EXHAUSTED]) if end else ADVICE[Reason.EXHAUSTED]
