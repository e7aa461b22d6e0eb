"""Open pull requests are looked at by a short process of their own: no network is ever waited for here."""

from __future__ import annotations

import sys

from orchestrator.core import attention
from orchestrator.core.task import State
from orchestrator.errors import OrchestratorError
from orchestrator.loop.dispatch import DEFAULT
from orchestrator.loop.mode import Mode
from orchestrator.loop.parts import Loop, Moment
from orchestrator.loop.workers import LOGS, environment
from orchestrator.store import durable, records

LARGEST = 1 << 20  # of the log: a tracker that can't be reached says so every time
PROGRAM = (sys.executable, "-P", "-m", "orchestrator", "pulls", "-q", "--tasks")


def attend(loop: Loop, moment: Moment) -> None:
    """Start a look where one is due. It moves folders, of which this loop hears as it does of a person's moves."""
    if loop.mode is not Mode.LOOP:
        return
    executor = loop.executor(DEFAULT)
    if loop.attendant is not None:
        if executor.alive(loop.attendant):
            return
        loop.attendant, loop.idle, loop.again = None, None, True  # a parent's work may be on its base by now
    if loop.attended is not None and moment.mono - loop.attended < loop.settings.pull_interval:
        return
    loop.attended = moment.mono
    places = loop.index.names.places(State.CONVERGED).values()
    if not any(attention.attended(records.peek(loop.queue.path(place)), place) for place in places):
        return
    log = loop.queue.control / LOGS / "pulls.log"
    try:
        durable.rotate(log, log.with_name("pulls.old"), LARGEST)
        argv = (*PROGRAM, str(loop.queue.root))
        loop.attendant = executor.start(argv, lock_fd=None, log=log, env=environment())
    except OrchestratorError as error:
        loop.voice.problem(error.told)


def end(loop: Loop) -> None:
    """Killed at any point it leaves what the next one goes on from."""
    if loop.attendant is not None:
        loop.executor(DEFAULT).stop(loop.attendant, kill=True)
