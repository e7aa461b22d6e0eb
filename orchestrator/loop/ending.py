"""When a loop is over, with which exit code, and how it stops before that."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from orchestrator.core import budget, drain
from orchestrator.core.candidate import Candidate, Waiting, WaitingKind
from orchestrator.core.outcome import ECHO
from orchestrator.core.readiness import not_before, waiting_on
from orchestrator.core.task import State
from orchestrator.core.value import Value
from orchestrator.errors import DONE, INTERRUPTED, LATER, STUCK, StoreError
from orchestrator.loop import takeover
from orchestrator.loop.mode import Mode
from orchestrator.loop.parts import Loop
from orchestrator.loop.tick import reap
from orchestrator.loop.voice import ending
from orchestrator.store import control, records

PATIENCE = 20.0  # a worker asked to stop has so long before it is told not to wait for its agent
HURRY = 3.0  # and so long after that, or after a person asked twice, before it is killed
DYING = 2.0  # so long is waited for what was killed
SHOWN = 20


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Over(Value):
    """The loop ends with `code`; `stopping`: its workers are to put their tasks back first."""

    code: int
    stopping: bool = False


def asked(loop: Loop) -> Over | None:
    """Whether a signal or `--stop` asks this loop to end."""
    if loop.wakeup.stops:
        polite = loop.mode is Mode.LOOP and loop.wakeup.stops[0] is signal.SIGTERM  # how a service is stopped
        return Over(DONE if polite else INTERRUPTED, stopping=True)
    if control.stop_requested(loop.queue, loop.me):
        return Over(DONE if loop.mode is Mode.LOOP else LATER, stopping=True)
    return None


def finished(loop: Loop) -> Over | None:
    """Whether this loop's mode has reached its end."""
    if loop.mode is Mode.LOOP or len(loop.workers) or loop.again:
        return None
    if loop.quota == 0:
        return Over(_code_of(loop))
    if loop.arriving:
        return None
    return _drained(loop) if loop.mode is Mode.DRAIN else _nothing_to_do(loop)


def stop(loop: Loop) -> bool:
    """Have the own workers put their tasks back; True where all of them did. A second signal, or too long a wait, kills."""
    loop.stopping = True
    signals = len(loop.wakeup.stops)
    if len(loop.workers):
        loop.voice.note("Stopping: the workers save what they have and put their tasks back.", "stopping")
    loop.workers.stop()
    begun = loop.clock().mono
    hurried: float | None = None
    while len(loop.workers):
        loop.wakeup.wait(0.25)
        moment = loop.clock()
        reap(loop, moment)
        more = len(loop.wakeup.stops) - signals
        asked = more > 0 and moment.mono - begun >= ECHO  # sooner, the workers would take it for the first one
        if hurried is None and (asked or moment.mono - begun > PATIENCE):
            hurried = moment.mono
            loop.voice.note("Not stopping politely any longer: the agents are killed.", "stopping")
            loop.workers.stop()
        elif hurried is not None and (more > 1 or moment.mono - hurried > HURRY):
            _kill(loop)
            break
    put_back_lost(loop)
    return hurried is None


def put_back_lost(loop: Loop) -> None:
    """Tasks whose workers died while stopping go back to pending, so that nothing is left in running."""
    try:
        takeover.reclaim(loop, loop.clock())
    except StoreError as error:
        loop.voice.problem(error.told)


def summary(loop: Loop) -> Iterator[str]:
    """What a drain leaves behind, for a person."""
    counts = {state: count for state, count in loop.index.names.counts().items() if count}
    yield ", ".join(f"{count} {state}" for state, count in counts.items()) or "no tasks"
    used = loop.index.used(loop.began)
    if used.usd is not None or used.tokens is not None:
        yield f"  spent: {budget.told(used)}"
    blocked = sorted(loop.index.names.places(State.BLOCKED).values(), key=lambda place: place.name)
    for place in blocked[:SHOWN]:
        yield f"  {place.name} is {ending(State.BLOCKED, loop.queue.record(place), 0.0)}"
    moment = loop.clock()
    world = loop.world(moment)
    told = sorted(loop.index.candidates, key=lambda each: not each.problems)  # what only a person can mend comes first
    waiting = [(each, waiting_on(each, world, moment.now)) for each in told]
    for candidate, reasons in waiting[:SHOWN]:
        yield f"  {candidate.name} {_held(loop, candidate, reasons)}"
    if hidden := max(0, len(blocked) - SHOWN) + max(0, len(waiting) - SHOWN):
        yield f"  … and {hidden} more; `orchestrator --status` shows them"
    if blocked:
        name = quote(blocked[0].name) if len(blocked) == 1 else "NAME"
        yield f"  `orchestrator why {name}` says what to do; once that is done, `orchestrator retry {name}`"


def _held(loop: Loop, candidate: Candidate, reasons: Sequence[Waiting]) -> str:
    if candidate.problems:
        return f"is invalid: {'; '.join(candidate.problems)}"
    if refusal := loop.refused.get(candidate.place.folder):
        return f"can't be claimed: {refusal.error.told}"
    dirty = any(reason.kind is WaitingKind.CHECKOUT for reason in reasons)
    then = f"; commit or move that away, then `orchestrator retry {quote(candidate.name)}`" if dirty else ""
    lasting = [reason for reason in reasons if reason.kind not in drain.PASSING] or reasons  # a drain ends for these only
    return f"waits: {'; '.join(reason.detail for reason in lasting) or 'ready'}{then}"


def _drained(loop: Loop) -> Over | None:
    """Judged by all as it is at this moment: what was edited since, or came by no event, may well be ready. All is read at once
    for that: of very many, the last ones would wait for the next tick, whose judgement would begin with the first ones again."""
    if not _judged(loop).done:
        return None
    loop.index.refresh(loop.clock().mono, full=True)
    while loop.index.unread and not loop.wakeup.stops:
        loop.index.refresh(loop.clock().mono)
    verdict = _judged(loop)
    loop.again = not verdict.done or bool(loop.index.unread)  # no event will tell of what was just found
    return None if loop.again else Over(verdict.exit_code)


def _judged(loop: Loop) -> drain.Drain:
    moment = loop.clock()
    return drain.verdict(tuple(loop.index.everything), loop.world(moment), moment.now)


def _code_of(loop: Loop) -> int:
    """The exit code of `--once` and `--task` after their one claim."""
    place = loop.index.names.where(loop.claimed) if loop.claimed else None
    if place is None or place.state is State.CONVERGED:
        return DONE
    if place.state is State.BLOCKED:
        return STUCK
    record = records.peek(loop.queue.path(place))
    parked = loop.mode is Mode.TASK or not_before(record, loop.clock().now) is not None
    return LATER if parked else DONE


def _nothing_to_do(loop: Loop) -> Over | None:
    """`--once` and `--task` that could claim nothing. A folder that is still being copied is waited for."""
    if loop.only is not None:
        return _not_this_one(loop, loop.only)
    verdict = _judged(loop)
    if loop.index.restless and verdict.wait_until is not None:
        return None
    if verdict.done:
        loop.voice.note("Nothing to do.")
        return Over(verdict.exit_code)
    loop.voice.note("Nothing can be claimed now.")
    return Over(LATER)


def _not_this_one(loop: Loop, name: str) -> Over | None:
    place = loop.index.names.where(name)
    if place is None:
        loop.voice.problem(f"{name} is gone from the queue.")
        return Over(STUCK)
    if place.state is State.CONVERGED:
        loop.voice.note(f"{name} has converged already; `orchestrator queue {quote(name)}` runs it once more.")
        return Over(DONE)
    if place.state is State.BLOCKED:
        loop.voice.problem(f"{name} is blocked; `orchestrator retry {quote(name)}` starts it again.")
        return Over(STUCK)
    if place.state is State.RUNNING:
        loop.voice.note(f"{name} runs already; `orchestrator logs -f {quote(name)}` follows it.")
        return Over(LATER)
    return _held_back(loop, name)


def _held_back(loop: Loop, name: str) -> Over | None:
    moment = loop.clock()
    world = loop.world(moment)
    candidate = next((each for each in loop.index.candidates if each.name == name), None)
    if candidate is None:
        return None
    reasons = waiting_on(candidate, world, moment.now, force=True)
    if not reasons or all(reason.kind in drain.PASSING for reason in reasons):
        return None
    loop.voice.problem(f"{name} can't start: {'; '.join(reason.detail for reason in reasons)}")
    unusable = candidate.problems or candidate.spec is None or candidate.spec.draft
    return Over(STUCK if unusable or name in drain.hopeless(loop.index.candidates, world) else LATER)


def _kill(loop: Loop) -> None:
    loop.workers.stop(kill=True)
    for worker in loop.workers:
        takeover.end_orphans(loop.queue.root, worker.token, None)
    until = loop.clock().mono + DYING
    while len(loop.workers) and loop.clock().mono < until:  # the kernel takes a moment, and only then are their locks free
        loop.wakeup.wait(0.05)
        reap(loop, loop.clock())
