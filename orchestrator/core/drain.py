"""Whether a drain is over, and what its exit code says (`rulings` 16)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.core.candidate import Candidate, WaitingKind
from orchestrator.core.graph import unsatisfiable
from orchestrator.core.readiness import World, holds, note, until
from orchestrator.core.task import State
from orchestrator.core.value import Value
from orchestrator.errors import DONE, LATER, STUCK

PATIENCE = 60.0  # a wait shorter than this is waited for
LOOK_AGAIN = 1.0

# What ends by itself within seconds, so that a drain waits for it. An editor or a parent waits for a person or another task.
PASSING = frozenset({WaitingKind.SETTLING, WaitingKind.STOPPING})
TIMED = frozenset({WaitingKind.BACKOFF, WaitingKind.LIMIT, WaitingKind.CHECKOUT})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Drain(Value):
    """`exit_code` counts once `done`. `wait_until` (epoch) is the next moment at which a waiting task may become ready."""

    done: bool
    exit_code: int = DONE
    wait_until: float | None = None


def verdict(candidates: Sequence[Candidate], world: World, now: float) -> Drain:
    """Whether anything runs, be it another loop's, can start, or will be able to start within a minute. `candidates` are the
    tasks of all states. Looks at every one: ask when idle."""
    pending = [candidate for candidate in candidates if candidate.place.state is State.PENDING]
    moments = [_soon(candidate, world, now) for candidate in pending]
    wait_until = min((moment for moment in moments if moment is not None), default=None)
    running = any(candidate.place.state is State.RUNNING for candidate in candidates)
    if running or wait_until is not None:
        return Drain(False, wait_until=wait_until)
    return Drain(True, _exit_code(candidates, pending, world))


def _soon(candidate: Candidate, world: World, now: float) -> float | None:
    """When this task may start, if that is within a minute and needs neither a person nor another task; `now` for at once."""
    kinds = {hold.kind for hold in holds(candidate, world, now)}
    moment = until(candidate, world, now)
    if kinds - PASSING - TIMED or (kinds & TIMED and moment is None):
        return None
    if moment is None:
        return now + LOOK_AGAIN if kinds else now
    return moment if moment - now <= PATIENCE else None


def _exit_code(candidates: Sequence[Candidate], pending: Sequence[Candidate], world: World) -> int:
    queued = [candidate for candidate in pending if note(candidate) != "draft"]
    if any(candidate.place.state is State.BLOCKED for candidate in candidates):
        return STUCK
    invalid = {candidate.name for candidate in queued if note(candidate) == "invalid"}
    if invalid or not hopeless(pending, world).isdisjoint(candidate.name for candidate in queued):
        return STUCK
    return LATER if queued else DONE


def hopeless(pending: Iterable[Candidate], world: World) -> frozenset[str]:
    """Those of the pending tasks that wait for what can't come. Drafts are part of the graph, though not counted by a drain."""
    depends = {candidate.name: candidate.spec.depends_on for candidate in pending if candidate.spec is not None}
    undone = {name for name, off in world.off_base.items() if off.undone}
    return frozenset(unsatisfiable(depends, world.states, converged_before=world.converged_before, undone=undone))
