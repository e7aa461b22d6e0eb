"""Workers without a loop, and tasks without a living worker."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from orchestrator.core.lease import Lease
from orchestrator.core.task import Place, State, mark
from orchestrator.errors import ClaimLost, OrchestratorError, StoreError
from orchestrator.loop import dispatch
from orchestrator.loop.mode import ERRANDS
from orchestrator.loop.parts import Loop, Moment
from orchestrator.loop.voice import ending
from orchestrator.proc import identity, tree
from orchestrator.store import durable, leases, records
from orchestrator.store.owners import Kind
from orchestrator.store.queue import Queue


def reclaim(loop: Loop, moment: Moment) -> None:
    """Go on with every running task whose owner is dead: with a new worker, or from pending where no slot is free."""
    for place in loop.queue.reclaimable(moment.mono, loop.seen):
        if loop.only in (None, place.name):
            try:
                _take_over(loop, place, moment)
            except ClaimLost:
                continue  # moved away just now
            except StoreError as error:
                loop.voice.problem(error.told, error.hint)


def adopt(loop: Loop) -> None:
    """Answer for living workers whose loop is dead: they take slots here and are stopped with this loop.

    Of several loops that may, the oldest adopts. A worker that hasn't written its lease yet is adopted in a later tick.
    """
    if loop.mode in ERRANDS:
        return
    alive: dict[str, bool] = {loop.me.token: True}
    for place in loop.index.names.places(State.RUNNING).values():
        if place.token is None or place.token in loop.workers:
            continue
        lease = leases.read(loop.queue.path(place))
        if lease is None or lease.loop is None or lease.owner.host != loop.queue.me().host:
            continue
        if lease.loop not in alive:
            alive[lease.loop] = loop.queue.owner_alive(lease.loop)
        if not alive[lease.loop] and _oldest(loop):
            _adopt(loop, place, lease)


def end_orphans(root: Path, token: str, lease: Lease | None) -> bool:
    """End what a dead owner left running, before anybody else works on its task: by its mark, and the agent it named. An owner
    that lives, and holds nothing here, holds the original of a queue that was copied. Whether there was anything to end."""
    ended = bool(tree.end_marked(mark(root, token)))
    agent = lease.agent if lease is not None and not identity.alive(lease.owner) else None
    if agent is None or not identity.alive(agent):
        return ended
    return tree.end_process(agent, grace=0.0) or ended  # another user's goes on


def end_left(queue: Queue, previous: Lease | None) -> None:
    """The same for a pending task: a person may have moved it there after its worker died, while its agent went on. An owner
    that lives has another folder: this one is a copy of it."""
    if previous is None or queue.owner_alive(previous.token):
        return
    if previous.agent is None or identity.alive(previous.agent):  # None: it may have died before it could name the agent
        end_orphans(queue.root, previous.token, previous)
        queue.bury(previous.token)


def end_strays(queue: Queue) -> int:
    """The same for dead workers whose task a person has moved out of running since: nobody reclaims it, and its agent would go
    on without an end. An owner that was only being made when it was looked for is asked for again: by now it may be at work.
    Returns of how many there was something to end."""
    ended = 0
    for token in queue.left():
        owner = queue.owners.read(token)
        local = owner is not None and owner.kind is Kind.WORKER and owner.identity.host == queue.me().host
        if local and not queue.owner_alive(token):
            ended += end_orphans(queue.root, token, None)
            queue.bury(token)
    return ended


def _take_over(loop: Loop, place: Place, moment: Moment) -> None:
    assert place.token is not None
    lease = leases.read(loop.queue.path(place))
    _refuse_company(place, lease)
    # Before any rename: whoever dies between the two leaves the old token in the folder's name for the next one.
    end_orphans(loop.queue.root, place.token, lease)
    if _finished_release(loop, place, moment):
        return
    claim = loop.queue.reclaim(place)
    if claim is None:
        return
    if claim.previous and claim.previous.token != place.token:  # who claimed it since died before that one's were ended
        end_left(loop.queue, claim.previous)
    with suppress(ClaimLost):
        claim.event("reclaimed", attempt=dispatch.attempts(claim), token=claim.token, previous=place.token)
    at_once = dispatch.lost(loop, claim, moment)
    if dispatch.hopeless(loop, claim):
        dispatch.give_up(loop, claim, moment)
        return
    if at_once and not loop.stopping and loop.free > 0:
        if dispatch.start(loop, claim, lease.executor if lease else None, moment, previous=place.token):
            loop.voice.tell(place.name, "its worker died; a new one goes on", "reclaimed", token=claim.token)
        return
    dispatch.put_back(loop, claim, moment, reason=None if at_once else f"its worker died {loop.losses[place.name].count} times")
    loop.voice.tell(place.name, "its worker died; the task is back in pending", "reclaimed", urgent=not at_once)


def _refuse_company(place: Place, lease: Lease | None) -> None:
    """Two agents must not work in one worktree. Raises StoreError where the dead owner's is another user's, and lives."""
    agent = lease.agent if lease else None
    if agent is not None and identity.alive(agent) and not identity.may_signal(agent.pid):
        raise StoreError(
            f"{place.name} waits: its worker died, its agent goes on, and this user can't end that (pid {agent.pid}).",
            hint=f"End it as the user who started it: `kill {agent.pid}`, or `orchestrator`, which takes the task over.",
        )


def _finished_release(loop: Loop, place: Place, moment: Moment) -> bool:
    """The dead owner had written its last word and not yet moved the folder: that word is made true, by the one rename."""
    record = records.peek(loop.queue.path(place))
    if place.token is None or record is None or not record.last_word_of(place.token):
        return False
    state = record.destination
    with suppress(durable.Gone):  # another loop was faster
        loop.queue.move(place, state)
        loop.queue.bury(place.token)
        loop.voice.tell(place.name, ending(state, record, moment.now), "moved", to=state.value, urgent=state is State.BLOCKED)
    return True


def _oldest(loop: Loop) -> bool:
    here = loop.queue.me().host
    loops = [owner for owner in loop.queue.owners.loops() if owner.kind is Kind.LOOP and owner.identity.host == here]
    return not loops or loops[0].token == loop.me.token


def _adopt(loop: Loop, place: Place, lease: Lease) -> None:
    try:
        executor = loop.executor(lease.executor)
    except OrchestratorError as error:
        loop.voice.problem(error.told)
        return
    handle = lease.handle or executor.handle_of(lease.owner)
    if handle and place.token and executor.alive(handle):
        loop.workers.adopt(executor, place.name, place.token, handle)
        loop.voice.tell(place.name, "its loop is gone; this one answers for its worker now", "adopted", token=place.token)
