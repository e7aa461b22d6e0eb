"""A claim's time to live, as data: who holds it, where it runs, with which settings. `store.leases` keeps it in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.value import Value


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Identity(Value):
    """One process, for good: a pid alone is reused. `start` is the kernel's start time (clock ticks since boot on Linux)."""

    host: str
    pid: int
    start: float
    boot: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Lease(Value):
    """`.orch/lease.json`. The heartbeat is the file's mtime.

    `starting_until` is the deadline of a worker whose executor can't pass it the owner's lock.
    """

    token: str
    owner: Identity
    executor: str = "local"
    handle: str = ""
    ttl: float = 300.0
    starting_until: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] | None = None  # as the claimer parsed it; good while the file's key is `spec_key`
    spec_key: tuple[int, ...] | None = None
    once: bool = False  # one attempt, then release (`--once`)
    previous: str | None = None  # the dead owner's token, where this claim took a running task over
    agent: Identity | None = None  # the agent's process while one runs, for whoever reclaims
    loop: str | None = None  # the token of the loop that started it; once that loop is dead, another one adopts the worker
