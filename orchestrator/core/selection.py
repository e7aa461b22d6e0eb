"""Which task is next. One order, documented here: priority (higher first), then arrival, then name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from orchestrator.core.candidate import Candidate
from orchestrator.core.readiness import World, ready


def order_key(candidate: Candidate) -> tuple[int, float, str]:
    """Sorts candidates into the order in which they are tried."""
    priority = candidate.spec.priority if candidate.spec is not None else 0
    return (-priority, candidate.arrived, candidate.name)


def choose(candidates_in_order: Iterable[Candidate], world: World, now: float, slots: int) -> Iterator[Candidate]:
    """At most `slots` tasks that may start now, in the order given; `world.capacity` is not looked at.

    Lazy: with 5,000 waiting tasks only as many are looked at as it takes to fill the slots. Whoever loses the claim of one
    to another loop chooses again.
    """
    return islice((candidate for candidate in candidates_in_order if ready(candidate, world, now)), max(0, slots))
