"""When a task has had enough: what its spec says, else the settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.core.budget import Budget
from orchestrator.core.settings import Settings
from orchestrator.core.spec import UNLIMITED, Mode, Spec
from orchestrator.core.value import Value

CEILING_FACTOR = 4


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Limits(Value):
    """When a task has had enough. None is no limit; `max_attempts` is the ceiling however often it improves."""

    max_failures: int | None = 5
    max_attempts: int | None = 20
    backoff: float = 5.0
    backoff_max: float = 900.0
    budget: Budget = field(default_factory=Budget)
    optimize: bool = False  # then `max_failures` is the plateau, and a limit is an end like another


def max_failures(spec: Spec | None, settings: Settings) -> int | None:
    """How many failures in a row a task may have, None for any number: what its spec says, else the setting. Where it is
    optimized, that is its plateau."""
    if spec is not None and spec.mode is Mode.OPTIMIZE:
        return spec.plateau or settings.plateau
    if spec is None or spec.max_failures is None:
        return settings.max_failures
    return None if spec.max_failures == UNLIMITED else spec.max_failures


def task_limits(spec: Spec, settings: Settings) -> Limits:
    """The limits of one task: what its spec says, else the settings."""
    failures = max_failures(spec, settings)
    optimize = spec.mode is Mode.OPTIMIZE
    return Limits(
        max_failures=failures,
        max_attempts=None if failures is None or optimize else CEILING_FACTOR * failures,
        backoff=settings.backoff,
        backoff_max=settings.backoff_max,
        budget=Budget(spec.budget_usd, spec.budget_tokens, spec.budget_minutes, spec.budget_attempts),
        optimize=optimize,
    )
