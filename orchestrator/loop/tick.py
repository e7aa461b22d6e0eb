"""The loop's daily routine, in order. Nothing here is slow, and nothing relies on an earlier tick."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from itertools import islice

from orchestrator.core import metrics, selection
from orchestrator.core.candidate import Candidate
from orchestrator.core.readiness import ready, waiting_on
from orchestrator.core.record import Record
from orchestrator.core.task import Place, State
from orchestrator.errors import StoreError
from orchestrator.loop import dispatch, pulls, retention, takeover
from orchestrator.loop.mode import Mode
from orchestrator.loop.names import everywhere
from orchestrator.loop.parts import Loop, Moment, Refusal
from orchestrator.loop.voice import ending
from orchestrator.loop.watch import FOLLOWED
from orchestrator.loop.workers import Worker
from orchestrator.store import control, durable, integrations, records

SWEEP = 3600.0  # seconds between removals of what crashes left behind
RESCAN = 30.0  # seconds between looks at everything: events get lost
LET_GO = 5.0  # a worker has so long to notice that its folder has gone
FEW = 100  # pending tasks: so many are looked at whatever is heard of them
OFTEN = 0.2  # seconds between two such looks
LATER = (  # what a loop imports when it first needs it, which may be days after its start
    "orchestrator.agents.described", "orchestrator.agents.dialogue", "orchestrator.agents.generic",
    "orchestrator.git.belonging", "orchestrator.git.files", "orchestrator.git.integrated",
    "orchestrator.store.assemble", "orchestrator.store.editing", "orchestrator.store.model", "orchestrator.store.seal",
)  # fmt: skip
GRACES = 5  # and, asked to stop then, so many times the settings' grace until it is killed


def tick(loop: Loop, moment: Moment, touched: Iterable[str] = ()) -> None:
    """Everything a loop does between two waits. Raises StoreError where the tasks folder can't be read or written."""
    loop.again = False
    look(loop, moment, touched)
    settle_names(loop, moment)
    reap(loop, moment)
    takeover.reclaim(loop, moment)
    takeover.adopt(loop)
    follow_moves(loop, moment)
    fill_slots(loop, moment)
    tell_refused(loop, moment)
    pulls.attend(loop, moment)
    retire(loop, moment)
    if loop.mode is Mode.LOOP and not len(loop.workers) and not loop.again:
        complete()  # while nobody waits


def look(loop: Loop, moment: Moment, touched: Iterable[str] = ()) -> None:
    """Bring the index up to date; once in a while, and at first, by looking at everything."""
    full = loop.looked is None or moment.mono - loop.looked >= RESCAN or not loop.me.named()
    if full:
        prepare(loop, moment)
        loop.looked = moment.mono
    if not loop.index.unread:  # else there would always be some
        touched = {*touched, *unheard(loop, moment)}
    reading = loop.index.unread
    loop.reader.look()
    loop.index.refresh(moment.mono, full=full, touched=touched)
    if loop.index.unread:
        loop.again = True
    elif full or reading:
        loop.reader.save(everywhere(loop.index.names, *State))
    if loop.shown != loop.index.version and not loop.index.unread:
        loop.shown = loop.index.version
        loop.watch.follow({folder: loop.queue.path(place) for folder, place in loop.index.followed.items()})
        if loop.only is None:  # who asked for one task is told of that one
            loop.voice.invalid(loop.index.invalid)


def unheard(loop: Loop, moment: Moment) -> Iterator[str]:
    """Pending folders to look at again whatever is heard: where nothing can be, those that only an edit makes ready; and those
    that look different, of few or where nothing is heard."""
    if not loop.watch.follows:
        yield from islice(loop.index.followed, FOLLOWED)
    if not loop.watch.follows or (len(loop.index.names.places(State.PENDING)) <= FEW and moment.mono - loop.asked >= OFTEN):
        yield from loop.index.changed()
        loop.asked = moment.mono


def prepare(loop: Loop, moment: Moment) -> None:
    """Have ready what a look needs: the folders (somebody may have removed one), a watch on them, no old leavings."""
    if loop.swept is not None and not loop.queue.there():
        raise StoreError(f"{loop.queue.root} is gone.", hint="Put it back, or stop this loop.")
    loop.queue.ensure()
    control.register_again(loop.queue, loop.me)
    if loop.looked is not None:
        complete()
    takeover.end_strays(loop.queue)
    if loop.swept is None or moment.mono - loop.swept >= SWEEP:
        loop.swept = moment.mono
        loop.queue.sweep()
    loop.watch.start()
    loop.shown = -1  # watches inside folders are made again
    loop.idle = None  # the clock may have been set back


def complete() -> None:
    """Import the rest of us, once a loop lives on or has nothing to do: a module that an upgrade has put there doesn't go with
    those that were loaded before, and the loop would end by it."""
    for name in LATER:
        with suppress(ImportError):  # upgraded already
            import_module(name)


def settle_names(loop: Loop, moment: Moment) -> None:
    """Finish the moves that people made by hand. Who still copies would lose the rest of it."""
    loop.arriving = frozenset(place.folder for place in loop.index.names.odd if not loop.reader.rests(place))
    if not loop.index.names.odd:
        return
    try:
        moved = loop.queue.settle_names(loop.arriving)
    except StoreError as error:
        loop.voice.problem(error.told)
        return
    for before, after in moved:
        loop.voice.tell(
            after.name, f"moved by hand: {before.state}/{before.folder} is {after.state}/{after.folder} now", "settled"
        )
    if moved:
        takeover.end_strays(loop.queue)  # by its token a folder told of a worker until now
        loop.index.refresh(moment.mono)


def reap(loop: Loop, moment: Moment) -> None:
    """Take leave of the workers that have ended, and tell how."""
    ended = loop.workers.reap()
    if ended:
        loop.index.refresh(moment.mono)
    for worker, code in ended:
        tell_end(loop, worker, code, moment)
    if ended and (found := integrations.every(loop.queue)):
        from orchestrator.git import integrated

        loop.voice.bases(integrated.standing(found))


def tell_end(loop: Loop, worker: Worker, code: int | None, moment: Moment) -> None:
    """One line for one claim that is over. A task still in running lost its worker: that is told when it is taken over."""
    words = loop.workers.last_words(worker)
    if code and not (loop.stopping and code == -signal.SIGTERM):  # asked to stop before it could listen
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        printed = f", and printed: {words.splitlines()[-1]} (log: {worker.log})" if words else ""  # an empty log goes with it
        line = f"its worker {how}{printed}"
        loop.voice.tell(worker.name, line, "worker_failed", urgent=True, token=worker.token)
    place = loop.index.names.where(worker.name)
    if place is not None and place.state is State.RUNNING:
        return
    if code:
        takeover.end_orphans(loop.queue.root, worker.token, None)
        loop.queue.bury(worker.token)
    else:
        loop.losses.pop(worker.name, None)
    if not worker.told:
        tell_ending(loop, worker, place, moment)


def tell_ending(loop: Loop, worker: Worker, place: Place | None, moment: Moment) -> None:
    """Where the task went from this worker, and why."""
    worker.told = True
    record = records.peek(loop.queue.path(place)) if place else None
    state = place.state if place else None
    line = ending(state, record, moment.now) + (numbers(loop, place, record) if loop.mode is Mode.ONCE else "")
    loop.voice.tell(worker.name, line, "ended", urgent=state is State.BLOCKED, to=state.value if state else None)


def numbers(loop: Loop, place: Place | None, record: Record | None) -> str:
    """How far the task has come, as the end of a line: who asks for one attempt wants to know what it brought."""
    spec = loop.reader(place).spec if place else None
    way = metrics.way(spec.metrics, record.baseline, record.values) if spec and record else ""
    return f" ({way})" if way else ""


def follow_moves(loop: Loop, moment: Moment) -> None:
    """A task that left its worker is told of at once: what waited for it may start before that worker has ended. A worker
    whose folder was taken away stops by itself; one that doesn't is asked to, then killed."""
    running = loop.index.names.places(State.RUNNING)
    for worker in loop.workers:
        if worker.folder in running:
            worker.left = None
            continue
        worker.left = moment.mono if worker.left is None else worker.left
        place = loop.index.names.where(worker.name)
        worker.done = place is not None and place.state is State.CONVERGED
        if not worker.told and place is not None and place.state is not State.RUNNING:
            tell_ending(loop, worker, place, moment)
        gone = moment.mono - worker.left
        if gone >= LET_GO + GRACES * loop.settings.stop_grace:
            worker.executor.stop(worker.handle, kill=True)
            takeover.end_orphans(loop.queue.root, worker.token, None)
        elif gone >= LET_GO and not worker.asked:
            worker.asked = True
            worker.executor.stop(worker.handle, kill=False)


def retire(loop: Loop, moment: Moment) -> None:
    """Remove the oldest converged tasks beyond the number to keep; not looked for again until something changes."""
    if loop.pruned == loop.index.version or loop.index.unread:  # what is not read may depend on any of them
        return
    loop.pruned = loop.index.version
    try:
        for name in retention.prune(loop.queue, loop.index, loop.settings, moment.now):
            loop.voice.note(f"{name}: converged, removed (keep_converged is {loop.settings.keep_converged})", "removed")
    except StoreError as error:
        loop.pruned = -1
        loop.voice.problem(error.told, error.hint)


def fill_slots(loop: Loop, moment: Moment) -> None:
    """Claim as many ready tasks as there are free slots, and start their workers."""
    if loop.free < 1 or _known_idle(loop, moment):
        return
    version = loop.index.version
    claimed = looked_at = 0
    for candidate in tuple(choose(loop, moment)):
        looked_at += 1
        claimed += try_claim(loop, candidate, moment)
    # Lost to another loop, or changed since it was listed: there may be others.
    loop.again |= claimed < looked_at
    if not looked_at:
        loop.idle = (version, loop.index.next_due(moment.now) or float("inf"))


def choose(loop: Loop, moment: Moment) -> Iterable[Candidate]:
    """The tasks to claim now, best first. One that could not be had a moment ago comes after all others."""
    world = loop.world(moment)
    if loop.only is None:
        refused = {folder for folder, refusal in loop.refused.items() if moment.mono - refusal.at < RESCAN}
        others = (each for each in loop.index.hopeful(world) if each.place.folder not in refused)
        chosen = tuple(selection.choose(others, world, moment.now, loop.free))
        return chosen or selection.choose(loop.index.hopeful(world), world, moment.now, loop.free)
    mine = (candidate for candidate in loop.index.candidates if candidate.name == loop.only)
    return (candidate for candidate in mine if not waiting_on(candidate, world, moment.now, force=True))


def try_claim(loop: Loop, candidate: Candidate, moment: Moment) -> bool:
    """The same as `claim`, which one folder that can't be moved (a mount point, one of another's below a sticky bit, a layer of
    an image) may refuse while all others can be had."""
    folder = candidate.place.folder
    try:
        claimed = claim(loop, candidate, moment)
    except StoreError as error:
        if not durable.is_folder(loop.queue.path(candidate.place)):
            raise  # it was claimed, and what came after that failed
        loop.refused[folder] = Refusal(error, moment.mono)
        return False
    loop.refused.pop(folder, None)
    return claimed


def tell_refused(loop: Loop, moment: Moment) -> None:
    """Say what could not be claimed while it is ready. Raises it where nothing else goes on and a claim is still wanted: a full
    disk refuses all. What is unread may well go on, and would be read a slice in a second: so rarely a loop in trouble looks."""
    if not loop.refused or loop.index.unread:
        return
    world = loop.world(moment)
    there = (each for each in loop.index.candidates if each.place.folder in loop.refused and ready(each, world, moment.now))
    loop.refused = {each.place.folder: loop.refused[each.place.folder] for each in there}
    for refusal in loop.refused.values():
        if not len(loop.workers) and loop.quota != 0:
            raise refusal.error
        loop.voice.problem(refusal.error.told, refusal.error.hint)


def claim(loop: Loop, candidate: Candidate, moment: Moment) -> bool:
    """Look at the files once more, claim the task and start its worker. False where it can't be had."""
    fresh = loop.index.reread(candidate.place)
    if fresh is None or fresh.spec is None or not _still_ready(loop, fresh, moment):
        return False
    taken = loop.queue.take(fresh.name)
    if taken is None:
        return False
    takeover.end_left(loop.queue, taken.previous)
    started = dispatch.start(loop, taken, fresh.spec.executor, moment)
    if started:
        loop.voice.tell(fresh.name, "started", "claimed", token=taken.token)
        loop.voice.warnings(fresh.name, fresh.spec.warnings)
    return started


def _still_ready(loop: Loop, fresh: Candidate, moment: Moment) -> bool:
    world = loop.world(moment)
    if loop.only is not None:
        return not waiting_on(fresh, world, moment.now, force=True)
    return ready(fresh, world, moment.now)


def _known_idle(loop: Loop, moment: Moment) -> bool:
    """Whether nothing has changed since nothing could be chosen: with 5,000 waiting tasks a look costs milliseconds."""
    return loop.idle is not None and loop.idle[0] == loop.index.version and moment.now < loop.idle[1]
