"""Starting and stopping loops."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from shlex import quote
from typing import TYPE_CHECKING

from orchestrator.cli import hold, output
from orchestrator.cli.app import App
from orchestrator.core.task import Place, State
from orchestrator.errors import OrchestratorError
from orchestrator.loop.mode import Mode
from orchestrator.proc import identity
from orchestrator.store import control, leases
from orchestrator.store.queue import Queue

if TYPE_CHECKING:
    from orchestrator.executors.protocol import Executor

POLL = 0.05
PATIENCE = 2.0  # seconds until a person is told what is being waited for
PUT_BACK = 30.0  # so long are workers without a loop waited for
NONE_RAN = "No loop was running."


def drain(app: App) -> int:
    """Work until nothing more can be done."""
    return _work(app, Mode.DRAIN)


def loop(app: App) -> int:
    """Work until told to stop."""
    return _work(app, Mode.LOOP)


def once(app: App) -> int:
    """One task, one attempt."""
    return _work(app, Mode.ONCE)


def task(app: App, name: str) -> int:
    """One named task, now."""
    return _work(app, Mode.TASK, name)


def _work(app: App, mode: Mode, name: str | None = None) -> int:
    ready = _expected(app.queue)  # before anything else: where there is no queue, none is made
    from orchestrator.loop.run import run

    _warn_without_agent(app)
    return run(app.settings, mode, name=name, say=speaker(app), executors=ready)


def _expected(queue: Queue) -> Mapping[str, Executor]:
    """Where tasks wait, what workers come from is started first: it imports what it needs while we do the same."""
    if not queue.places((State.PENDING, State.RUNNING)):
        return {}
    from orchestrator.executors.local import Local
    from orchestrator.loop.workers import PROGRAM, environment

    local = Local()
    local.expect(PROGRAM, environment())
    return {local.name: local}


def _warn_without_agent(app: App) -> None:
    """Tasks that nobody can work on are blocked one after the other: that is better known before."""
    from orchestrator.cli.agents import absent, agentless

    if problem := absent(app):
        output.error(f"The agent {app.settings.agent} can't work here: {problem.detail}.", f"{problem.fix} (see --check)".strip())
    if without := agentless(app):
        output.error(
            f"No agent is chosen, and {output.count(without, 'task names', 'tasks name')} none.",
            "What its benchmark doesn't find done already is blocked. Choose one: --agent, ORCH_AGENT or `agent:`; see --check.",
        )


def speaker(app: App) -> Callable[[str], None]:
    """Prints one line per happening, with the time. A reader that has gone doesn't end the work."""

    def say(line: str) -> None:
        indent = line[: len(line) - len(line.lstrip(" "))]  # which what is told over several lines would lose
        text = indent + output.clean(line.lstrip(" "))
        clock = time.strftime("%H:%M:%S")
        try:
            sys.stdout.write(f"\x1b[2m{clock}\x1b[0m {text}\n" if app.color else f"{clock} {text}\n")
            sys.stdout.flush()
        except OSError:
            return

    return say


def stop(app: App) -> int:
    """Stop every loop of this queue, and workers that an ended loop left; returns when all have put their tasks back."""
    queue = app.queue
    if not queue.control.is_dir():  # nobody has worked here yet
        app.say(NONE_RAN)
        return 0
    tokens = control.request_stop(queue, f"pid {os.getpid()}")
    count = len(tokens)
    _wait(
        lambda: any(queue.owner_alive(token) for token in tokens),
        lambda: (
            f"waiting for {output.count(count, 'loop')} to put {'its' if count == 1 else 'their'} tasks back …"
            + _deaf(queue, tokens)
        ),
    )
    control.forget_stop(queue, tokens)
    app.say(_stopped(count, _stop_orphans(queue)))
    for line in _end_agents(queue):
        app.say(line)
    return 0


def _stopped(loops: int, left: int) -> str:
    """How many loops were stopped, and workers that an ended one had left."""
    workers = output.count(left, "worker")
    if loops:
        return f"Stopped {output.count(loops, 'loop')}." + (f" {workers} of an ended loop too." if left else "")
    return f"No loop was running; stopped {workers} that an ended one had left." if left else NONE_RAN


def _deaf(queue: Queue, tokens: Iterable[str]) -> str:
    """Which of these loops hear nothing, as a line each: they would be waited for without an end."""
    owners = (queue.owners.read(token) for token in tokens)
    pids = [owner.identity.pid for owner in owners if owner and identity.stopped(owner.identity)]
    return "".join(f"\nThe loop with pid {pid} is stopped (SIGSTOP, Ctrl-Z): `kill -CONT {pid}` lets it go on." for pid in pids)


def _stop_orphans(queue: Queue) -> int:
    """Workers on this host whose loop is dead: each is asked to put its task back; how many did. Who didn't is told."""
    asked = {place: pid for place in queue.places((State.RUNNING,)) if (pid := _ask(queue, place))}
    deadline = time.monotonic() + PUT_BACK
    _wait(
        lambda: time.monotonic() < deadline and any(_alive(queue, place) for place in asked),
        lambda: f"waiting for {output.count(len(asked), 'worker')} …",
    )
    deaf = {place: pid for place, pid in asked.items() if _alive(queue, place)}
    for place, pid in deaf.items():
        output.error(
            f"{place.name} goes on: its worker, pid {pid}, was asked to put it back and has not in {PUT_BACK:g} s.",
            f"`kill -9 {pid}` ends it; the next loop puts its task back.",
        )
    return len(asked) - len(deaf)


def _end_agents(queue: Queue) -> Iterator[str]:
    """Where a worker on this host has died, and its loop with it, an agent may go on, also of a task that a person has moved
    since: it is ended. What was, is told."""
    from orchestrator.loop.takeover import end_orphans, end_strays

    for place in queue.places((State.RUNNING,)):
        if place.token and hold.dead(queue, place) and end_orphans(queue.root, place.token, leases.read(queue.path(place))):
            yield f"{output.name_text(place.name)}: what its dead worker left running is ended; the next loop goes on with it."
    if moved := end_strays(queue):
        whose = "its task was" if moved == 1 else "their tasks were"
        yield f"What {output.count(moved, 'dead worker')} had left running is ended; {whose} moved by hand."


def _ask(queue: Queue, place: Place) -> int | None:
    """Have a worker without a loop put its task back: its pid. None where there is none, or it can't be asked."""
    from orchestrator.executors import registry

    lease = leases.read(queue.path(place))
    if lease is None or not _alive(queue, place) or (lease.loop is not None and queue.owner_alive(lease.loop)):
        return None
    if lease.owner.host != queue.me().host:
        output.error(
            f"{place.name} goes on: its worker is on {lease.owner.host}, and nothing is stopped from here.",
            f"`orchestrator --stop` there, or `orchestrator stop {quote(place.name)}` has it let go of the task.",
        )
        return None
    try:
        executor = registry.find(lease.executor)
        handle = lease.handle or executor.handle_of(lease.owner)
        if handle is None:
            output.error(
                f"{place.name} goes on: this user can't stop its worker, pid {lease.owner.pid}.",
                f"Stop it as the user who started it, or `orchestrator stop {quote(place.name)}` has it let go of the task.",
            )
            return None
        executor.stop(handle, kill=False)
    except OrchestratorError:
        return None
    return lease.owner.pid


def _alive(queue: Queue, place: Place) -> bool:
    return place.token is not None and queue.owner_alive(place.token)


def _wait(busy: Callable[[], bool], told: Callable[[], str]) -> None:
    """Until it isn't busy any more; what is waited for is said when it takes long."""
    begun = time.monotonic()
    said = False
    while busy():
        time.sleep(POLL)
        if not said and time.monotonic() - begun > PATIENCE:
            said = True
            output.err(told())
