"""What a task asks for, as plain data. `store.specfile` reads it from a file; nothing here knows files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from orchestrator.core.gates import Gate
from orchestrator.core.gates import Mode as GateMode
from orchestrator.core.value import Value


class Direction(StrEnum):
    LOWER = "lower"
    HIGHER = "higher"


class Kind(StrEnum):
    """Whether a metric repeats exactly. `auto` is decided on the baseline."""

    DETERMINISTIC = "deterministic"
    NOISY = "noisy"
    AUTO = "auto"


class Review(StrEnum):
    """Whether a person has to approve verified work before it lands."""

    NONE = "none"
    REQUIRED = "required"


class Mode(StrEnum):
    """When a task is done: its numbers are at their targets, or nothing makes the first one any better."""

    CONVERGE = "converge"
    OPTIMIZE = "optimize"


class Land(StrEnum):
    """What becomes of converged work: merged into the base, pushed as a pull request, or left on its branch, be that where it was
    to go (`branch`) or because nothing was to land (`none`)."""

    MERGE = "merge"
    PR = "pr"
    BRANCH = "branch"
    NONE = "none"


SUFFIX = re.compile(r"_(ms|s|kb|mb)$|([µμ]s)$")  # the micro sign, and the Greek letter that looks like it


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Metric(Value):
    """One number a benchmark prints. `target` None: no task converges by it, though one that optimizes may go by it. `tolerance`
    widens the target, or what a guard may lose, by that much; `min_effect` is relative (0.01 = 1 %)."""

    name: str
    direction: Direction = Direction.LOWER
    target: float | None = None
    tolerance: float = 0.0
    min_effect: float = 0.0
    kind: Kind = Kind.AUTO
    guard: bool = False
    unit: str | None = None

    @property
    def told_unit(self) -> str | None:
        """The unit that people are told: the spec's, else the one its name ends with, as `total_ms`."""
        if self.unit is not None:
            return self.unit
        suffix = SUFFIX.search(self.name)
        return suffix and (suffix[1] or suffix[2])


MEANT = " Did you mean `{}`?"  # ends a warning of what does nothing and looks like a known key
UNLIMITED = 0
LEAST_ALPHA = 0.0001  # the best that 16 pairs can say is 2^-16, of which the last look has three tenths: less would keep nothing
MOST_ALPHA = 0.5
INFINITE = frozenset({"infinite", "infinity", "inf", "unlimited"})  # how people write that there is no limit


# Keys of the contract that later parts act on: kept, and no warning is given.
RESERVED = frozenset({"worktree", "phase", "locks", "resources", "kind"})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Spec(Value):
    """A parsed `autoresearch.md`. None means: not said, the setting of the same name applies. Durations are seconds."""

    title: str = ""
    goal: str = ""
    body: str = ""
    labels: tuple[str, ...] = ()
    draft: bool = False
    priority: int = 0
    repo: str | None = None
    base: str | None = None
    setup: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    benchmark: str | None = None
    converge: int | None = None
    mode: Mode = Mode.CONVERGE
    alpha: float | None = None  # mode optimize: how often a change that does nothing may be kept
    plateau: int | None = None  # mode optimize: attempts in a row without improvement, then the best lands
    scope: tuple[str, ...] = ()
    off_limits: tuple[str, ...] = ()
    enforcement: GateMode = GateMode.BLOCK  # what a change outside of these two means
    holdout: str | None = None  # a benchmark that no agent sees
    gates: tuple[Gate, ...] = ()
    review: Review = Review.NONE
    acceptance: str = ""
    constraints: str = ""
    notes: str = ""
    depends_on: tuple[str, ...] = ()
    agent: str | None = None
    model: str | None = None
    effort: str | None = None
    fallback: tuple[str, ...] = ()  # agents to take where the one named is at a limit or not installed
    tty: bool = False
    phases: tuple[str, ...] = ()  # skills, each of which has a session of its own in an attempt
    skills: tuple[str, ...] = ()  # more of them, put where the agent finds them
    max_failures: int | None = None  # UNLIMITED: no limit
    timeout: float | None = None
    benchmark_timeout: float | None = None
    budget_attempts: int | None = None
    budget_minutes: float | None = None
    budget_usd: float | None = None
    budget_tokens: int | None = None
    land: Land = Land.MERGE
    issue: str | None = None  # what a pull request closes
    executor: str | None = None
    reserved: Mapping[str, object] = field(default_factory=dict)
    unknown: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def misspelt(self) -> tuple[str, ...]:
        """The warnings of keys that were most likely meant to do something."""
        return tuple(warning for warning in self.warnings if MEANT.partition("{")[0] in warning)


# What a live edit of a running task may change; all else is sealed at the claim and counts from the next one.
LIVE = (
    *("title", "goal", "body", "labels", "acceptance", "constraints", "notes"),
    *("agent", "model", "effort", "fallback", "budget_attempts", "budget_minutes", "budget_usd", "budget_tokens"),
)


def live_edit(sealed: Spec, edited: Spec) -> Spec:
    """The spec to go on with after an edit of a running task: what may change live from `edited`, the rest as it was sealed."""
    return replace(sealed, **{name: getattr(edited, name) for name in LIVE})
