"""The loop: look, act, wait; until its mode is over or it is asked to stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from orchestrator.agents.routing import Router
from orchestrator.core.settings import Settings
from orchestrator.core.task import State
from orchestrator.errors import INTERRUPTED, Misuse, StoreError
from orchestrator.executors import registry
from orchestrator.executors.protocol import Executor
from orchestrator.loop import ending, pulls
from orchestrator.loop.ending import Over
from orchestrator.loop.index import Index
from orchestrator.loop.mode import ERRANDS, Mode
from orchestrator.loop.names import everywhere
from orchestrator.loop.parts import Loop, Moment
from orchestrator.loop.reading import Reader
from orchestrator.loop.tick import RESCAN, tick
from orchestrator.loop.voice import Voice
from orchestrator.loop.wakeup import Wakeup
from orchestrator.loop.watch import Watch
from orchestrator.loop.workers import PROGRAM, Workers
from orchestrator.store import control, secrets
from orchestrator.store.owners import Kind, OwnerLock
from orchestrator.store.queue import Queue

BUSY = 1.0  # seconds between looks while something runs, or settles for longer
PATIENCE = 10  # ticks in a row, a second apart, that may fail before anything but a `--loop` gives up
BREATH = 0.05  # between two ticks at most when events never cease, and at least while something settles


def run(
    settings: Settings,
    mode: Mode,
    *,
    name: str | None = None,
    say: Callable[[str], None],
    program: tuple[str, ...] = PROGRAM,
    executors: Mapping[str, Executor] = MappingProxyType({}),
) -> int:
    """Work on the queue of `settings.tasks` as `mode` says (`name` with Mode.TASK, exact or a unique prefix); the exit code.

    `say` gets one line per happening. `program` is what a worker is started with, before ROOT NAME TOKEN; `executors` are those
    that are there already. Raises NoSuchTask, and StoreError where the tasks folder can't be used.
    """
    queue = Queue(Path(settings.tasks))
    queue.ensure()
    only = queue.find(name or "").name if mode is Mode.TASK else None
    wakeup = Wakeup()
    try:
        with wakeup.listening(), registered(queue, mode) as me:
            voice = Voice(queue, say, settings.log_level, secrets.collect(os.environ, (queue.root.parent,)))
            if mode is Mode.LOOP:
                voice.note(f"Watching {queue.folder(State.PENDING)}. Ctrl-C ends it; running tasks are put back.", "loop_started")
                if blocked := len(queue.places((State.BLOCKED,))):  # who has just mended why may wait for them in vain
                    voice.note(f"{blocked} blocked already: `orchestrator why NAME` says what to do, `retry` starts one again.")
            loop = build(
                queue, settings, mode=mode, only=only, me=me, wakeup=wakeup, voice=voice, program=program, executors=executors
            )
            return live(loop)
    finally:
        wakeup.close()


def build(
    queue: Queue,
    settings: Settings,
    *,
    mode: Mode,
    only: str | None,
    me: OwnerLock,
    wakeup: Wakeup,
    voice: Voice,
    program: tuple[str, ...],
    executors: Mapping[str, Executor],
) -> Loop:
    """The parts of one loop, put together."""
    found = dict(executors)

    def executor(name: str) -> Executor:
        if name not in found:
            found[name] = registry.find(name)
        return found[name]

    workers = Workers(queue, program)
    workers.prepare()
    folders = {state: queue.folder(state) for state in State}
    reader = Reader(queue, settings.settle, executor, router(settings))
    return Loop(
        queue=queue,
        settings=settings,
        mode=mode,
        me=me,
        index=Index(queue, reader, first=only, settle=settings.settle),
        reader=reader,
        workers=workers,
        voice=voice,
        wakeup=wakeup,
        watch=Watch(folders, queue.control, wakeup, voice.warn),
        clock=now,
        executor=executor,
        only=only,
        began=time.time(),
        quota=1 if mode in ERRANDS else None,
    )


def now() -> Moment:
    """By the clocks of this machine."""
    return Moment(time.time(), time.monotonic())


def router(settings: Settings) -> Router:
    """Who works on what. Raises Misuse where the settings name an agent or a model that nobody knows: nothing is started then."""
    made = Router(settings)
    if problem := made.setting_problem():
        raise Misuse(f"Nothing was started: {problem}.", hint="`orchestrator --config` shows where it is set.")
    return made


def live(loop: Loop) -> int:
    """Everything between start and exit code."""
    try:
        over = until_over(loop)
        if over.stopping:
            stopped = ending.stop(loop)
            return over.code if stopped or not loop.wakeup.stops else INTERRUPTED
        if loop.mode is Mode.DRAIN:
            sum_up(loop)
        return over.code
    finally:
        pulls.end(loop)
        loop.watch.close()
        loop.reader.save(everywhere(loop.index.names, *State))
        loop.queue.owners.close()


def sum_up(loop: Loop) -> None:
    """Say what a drain leaves behind."""
    for line in ending.summary(loop):
        loop.voice.note(line, "summary")


def until_over(loop: Loop) -> Over:
    """Tick and wait. A tasks folder that can't be used now (a full disk) is tried again; workers go on meanwhile."""
    failed = 0
    touched: frozenset[str] = frozenset()
    while True:
        if over := ending.asked(loop):
            return over
        moment = loop.clock()
        try:
            tick(loop, moment, touched)
            touched = frozenset()
            over = ending.finished(loop)
            failed = 0
        except StoreError as error:
            failed += 1
            if failed >= PATIENCE and loop.mode is not Mode.LOOP:
                ending.stop(loop)
                if loop.mode is Mode.DRAIN and loop.refused:  # all else is done, and none of it is in the error
                    sum_up(loop)
                raise
            loop.voice.problem(error.told, error.hint)
        loop.voice.mended()
        if over:
            return over
        touched |= pause(loop, moment)


def pause(loop: Loop, moment: Moment) -> frozenset[str]:
    """Sleep until something happens or it is time to look again; the followed folders in which something happened. `moment`: the
    last look's. A wait that has ended since then counts as one still, or nobody would wake up for it."""
    if loop.again and not loop.voice.troubled:
        loop.wakeup.wait(BREATH / 10)
        return loop.watch.heard(loop.workers)[1]
    until = moment.mono + seconds(loop, moment)
    while (left := until - loop.clock().mono) > 0:
        told = loop.wakeup.wait(left)
        news, touched = loop.watch.heard(loop.workers)
        if told or news:
            return touched
    return frozenset()


def seconds(loop: Loop, moment: Moment) -> float:
    """How long nothing can change without being heard of. That a disk has space again, nobody tells."""
    if loop.voice.troubled:
        return BUSY
    if loop.index.settling:
        return max(BREATH, min(BUSY, loop.settings.settle))
    if loop.watch.polling or loop.arriving or loop.index.restless or len(loop.workers) or loop.index.names.places(State.RUNNING):
        return BUSY
    due = loop.index.next_due(moment.now)
    rescan = RESCAN if loop.looked is None else max(0.0, loop.looked + RESCAN - moment.mono)
    return rescan if due is None else max(0.01, min(rescan, due - moment.now))


@contextmanager
def registered(queue: Queue, mode: Mode) -> Iterator[OwnerLock]:
    """Be one of the loops of this queue."""
    lock = control.register_loop(queue, Kind.ERRAND if mode in ERRANDS else Kind.LOOP)
    try:
        yield lock
    finally:
        lock.drop()
