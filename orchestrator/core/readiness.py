"""Why a pending task isn't running. Computed from files and `now`, never stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.core import accounts, attention, durations, review
from orchestrator.core.attention import OffBase
from orchestrator.core.candidate import Candidate, Waiting, WaitingKind
from orchestrator.core.graph import cycles as find_cycles
from orchestrator.core.graph import path_text
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Pause, Record
from orchestrator.core.task import State
from orchestrator.core.value import Value

WAITS = {Reason.RATE_LIMITED: WaitingKind.LIMIT, Reason.CHECKOUT: WaitingKind.CHECKOUT}

# What `--task NAME` sets aside. Nobody can force a parent, a spec that can't be read or an owner that hasn't gone.
FORCED = frozenset(
    {WaitingKind.BACKOFF, WaitingKind.LIMIT, WaitingKind.CHECKOUT, WaitingKind.CAPACITY, WaitingKind.PAUSED, WaitingKind.SETTLING}
)
# A name in two states counts as the least finished of them, so that a left-over copy never releases a child.
LEAST_FINISHED = (State.RUNNING, State.PENDING, State.BLOCKED, State.CONVERGED)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class World(Value):
    """What a task's readiness depends on outside its own folder.

    `notes` says in a word why a parent is where it is (`exhausted`, `draft`, `invalid`). `capacity` is the number of free
    slots, None where it doesn't matter. `paused` are the accounts that refuse work. `overspent` says why nothing may
    be spent now. `off_base` are converged tasks whose work isn't on the base, with the reason.
    """

    states: Mapping[str, State] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    converged_before: frozenset[str] = frozenset()
    cycles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    capacity: int | None = None
    paused: Mapping[str, Pause] = field(default_factory=dict)
    overspent: str | None = None
    off_base: Mapping[str, OffBase] = field(default_factory=dict)

    def satisfied(self, parent: str) -> bool:
        """Whether a task that depends on `parent` may start. A name in use again is its new task's, not the remembered one's."""
        state = self.states.get(parent)
        return (state is State.CONVERGED and parent not in self.off_base) or (state is None and parent in self.converged_before)


def world(
    candidates: Iterable[Candidate], *, converged_before: frozenset[str] = frozenset(), capacity: int | None = None
) -> World:
    """The world of one scan. Convenient, not fast: a loop keeps its own mappings up to date between scans."""
    states: dict[str, State] = {}
    notes: dict[str, str] = {}
    depends: dict[str, tuple[str, ...]] = {}
    off_base: dict[str, OffBase] = {}
    for candidate in sorted(candidates, key=lambda each: LEAST_FINISHED.index(each.place.state)):
        if candidate.name in states:
            continue
        states[candidate.name] = candidate.place.state
        if word := note(candidate):
            notes[candidate.name] = word
        if candidate.place.state is State.CONVERGED and (why := attention.off_base(candidate.record, candidate.place)):
            off_base[candidate.name] = why
        if candidate.spec is not None and candidate.spec.depends_on and candidate.place.state is not State.CONVERGED:
            depends[candidate.name] = candidate.spec.depends_on
    return World(
        states=states, notes=notes, converged_before=converged_before, cycles=find_cycles(depends), capacity=capacity,
        off_base=off_base,
    )  # fmt: skip


def note(candidate: Candidate) -> str:
    """The word behind a state: a blocked task's reason, or that a pending one is a draft or invalid; else empty."""
    if candidate.place.state is State.BLOCKED:
        return str(candidate.record.reason or "") if candidate.record else ""
    if candidate.place.state is State.PENDING and (candidate.problems or candidate.spec is None):
        return "invalid"
    return "draft" if candidate.place.state is State.PENDING and candidate.spec and candidate.spec.draft else ""


def waiting_on(candidate: Candidate, world: World, now: float, *, force: bool = False) -> tuple[Waiting, ...]:
    """Every reason a pending task isn't running, the ones a person can mend first; none for a task that isn't pending.

    With `force`, only what even `--task NAME` can't set aside.
    """
    if candidate.place.state is not State.PENDING:
        return ()
    reasons = tuple(holds(candidate, world, now))
    if not reasons and world.capacity is not None and world.capacity < 1:
        reasons = (Waiting(WaitingKind.CAPACITY, "every slot is taken by another task"),)
    return tuple(reason for reason in reasons if not (force and reason.kind in FORCED))


def ready(candidate: Candidate, world: World, now: float) -> bool:
    """Whether a pending task could start if a slot is free."""
    return candidate.place.state is State.PENDING and next(holds(candidate, world, now), None) is None


def holds(candidate: Candidate, world: World, now: float) -> Iterator[Waiting]:
    """The reasons, capacity aside, one by one: whoever only needs to know whether there is any asks for the first."""
    spec = candidate.spec
    for problem in candidate.problems:
        yield Waiting(WaitingKind.INVALID, problem)
    if spec is None:
        if not candidate.problems:
            yield Waiting(WaitingKind.INVALID, "its autoresearch.md can't be read")
    elif spec.draft:
        yield Waiting(WaitingKind.DRAFT, "it is a draft; queue it when it is complete")
    yield from candidate.holds
    if commit := review.waits(spec, candidate.record):
        yield Waiting(WaitingKind.REVIEW, f"commit {commit[:10]} is verified and waits for a person")
    if spec is not None:
        yield from _parents(candidate.name, spec.depends_on, world)
    if candidate.record is not None:
        yield from _time(candidate.record, now)
    if not_before(candidate.record, now) is None:
        yield from _account(candidate, world, now)
    if world.overspent:
        yield Waiting(WaitingKind.BUDGET, world.overspent)


def not_before(record: Record | None, now: float) -> float | None:
    """When a parked task may go on; None for at once.

    A terminal reason in pending means that a person queued it again, which ends any wait. A clock that was set back since
    the record was written would make the wait longer than anybody meant: then it is over.
    """
    if record is None or record.not_before is None or record.ended or record.not_before <= now:
        return None
    return None if record.updated - now > accounts.CLOCK_JUMP else record.not_before


def until(candidate: Candidate, world: World, now: float) -> float | None:
    """When a wait for time alone is over: its own, else that for its account. None where there is none, or no end is known."""
    own = not_before(candidate.record, now)
    if own is not None:
        return own
    held = accounts.holding(candidate.accounts, world.paused, candidate.record, now)
    return held[1].until if held else None


def _account(candidate: Candidate, world: World, now: float) -> Iterator[Waiting]:
    held = accounts.holding(candidate.accounts, world.paused, candidate.record, now)
    if held is None:
        return
    name, pause = held
    why = f": {pause.why}" if pause.why else ""
    if pause.until is None:
        yield Waiting(WaitingKind.PAUSED, f"{name} needs a person{why}")
    else:
        yield Waiting(
            WaitingKind.LIMIT, f"{name} is held up by its provider, next try in {durations.text(pause.until - now)}{why}"
        )


def _parents(name: str, parents: tuple[str, ...], world: World) -> Iterator[Waiting]:
    if name in world.cycles:
        yield Waiting(WaitingKind.DEPENDENCY, f"cycle: {path_text(world.cycles[name])}")
        return
    for parent in parents:
        if not world.satisfied(parent):
            yield Waiting(WaitingKind.DEPENDENCY, parent_text(parent, world))


def parent_text(parent: str, world: World) -> str:
    """Why `parent` doesn't release its children: `api is blocked (exhausted)`, `no task is called api`."""
    state = world.states.get(parent)
    if state is None:
        return f"no task is called {parent}"
    if parent in world.cycles:
        return f"{parent} is in a cycle: {path_text(world.cycles[parent])}"
    if parent in world.off_base:
        return f"{parent} {world.off_base[parent].why}"
    word = world.notes.get(parent)
    return f"{parent} is {state}" + (f" ({word})" if word else "")


def _time(record: Record, now: float) -> Iterator[Waiting]:
    until = not_before(record, now)
    if until is None:
        return
    kind = WAITS.get(record.reason, WaitingKind.BACKOFF) if record.reason else WaitingKind.BACKOFF
    why = f": {record.detail}" if record.detail else ""
    yield Waiting(kind, f"next try in {durations.text(until - now)}{why}")
