"""How things end. Never a bare bool: each outcome has a name and carries its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from orchestrator.core.value import Value

# Seconds after a signal to stop in which another one is the same request: `timeout` signals a program and then its group, a
# service manager tells the loop's workers, whom the loop tells too. A person who means it twice takes longer.
ECHO = 0.2
Number = TypeVar("Number", int, float)
# The fields of Spend that an agent's events report.
COUNTED = ("usd", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")


class Reason(StrEnum):
    """Why a task stopped where it is. `terminal` reasons need a person; the others are parked and resume by themselves."""

    CONVERGED = "converged"
    EXHAUSTED = "exhausted"
    BUDGET = "budget"
    NO_IMPROVEMENT = "no-improvement"
    BENCHMARK_DEFECT = "benchmark-defect"
    FLAKY = "flaky"
    SCOPE_VIOLATION = "scope-violation"
    TAMPERED = "tampered"
    CONFLICT = "conflict"
    QUESTION = "question"
    GATE = "gate"
    CLOSED = "closed"  # its pull request
    AUTH = "auth"
    STOPPED = "stopped"
    CANCELLED = "cancelled"
    SETUP = "setup"
    REPO = "repo"
    FAULT = "fault"  # of ours, again and again
    RATE_LIMITED = "rate-limited"
    AGENT_LOST = "agent-lost"
    BACKOFF = "backoff"
    CHECKOUT = "checkout"
    BASE_MOVED = "base-moved"
    REVIEW = "review"

    @property
    def terminal(self) -> bool:
        return self not in PARKED


PARKED = frozenset({Reason.RATE_LIMITED, Reason.AGENT_LOST, Reason.BACKOFF, Reason.CHECKOUT, Reason.BASE_MOVED, Reason.REVIEW})


# How a person took a task out of the queue, said by its worker, or by the command itself where none lives.
TAKEN_OUT = {Reason.STOPPED: "stopped by a person", Reason.CANCELLED: "cancelled by a person"}


class ProcessEnd(StrEnum):
    """How a child process ended, as its supervisor saw it."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed-out"
    STALLED = "stalled"
    OUTPUT_LIMIT = "output-limit"
    STOPPED = "stopped"
    NOT_STARTED = "not-started"


class AgentEnd(StrEnum):
    """How an agent's session ended; says nothing about whether the metric improved."""

    FINISHED = "finished"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    STALLED = "stalled"
    KILLED = "killed"
    RATE_LIMITED = "rate-limited"
    AUTH = "auth"
    NEEDS_INPUT = "needs-input"
    CONTEXT = "context-full"  # the session holds no more; a fresh one goes on
    NOT_STARTED = "not-started"
    LOST = "lost"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Spend(Value):
    """What a session used. None is unknown, which is not 0.

    `input_tokens` are all that were sent, `cached_tokens` those of them that came from a cache, `cache_write_tokens` those that
    went into one; `output_tokens` are all that came back, `reasoning_tokens` those of them that were thought and not said.
    """

    usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float = 0.0
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    unpriced: int = 0  # sessions whose cost nobody knows: with one of them `usd` is the least it was

    def __add__(self, other: Spend) -> Spend:
        kinds = {kind: _plus(getattr(self, kind), getattr(other, kind)) for kind in COUNTED}
        return Spend(**kinds, seconds=self.seconds + other.seconds, unpriced=self.unpriced + other.unpriced)

    @property
    def tokens(self) -> int | None:
        """All that were sent and received."""
        return _plus(self.input_tokens, self.output_tokens)


def _plus(left: Number | None, right: Number | None) -> Number | None:
    if left is None or right is None:
        return left if right is None else right
    return left + right


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AgentOutcome(Value):
    """How one agent session ended: `detail` is for people, `reset_at` epoch seconds of a limit, `prompt` what it waits for,
    `session` its id, `said` the last it said, `model` the one that answered where the agent told."""

    end: AgentEnd
    detail: str = ""
    exit_code: int | None = None
    reset_at: float | None = None
    prompt: str | None = None
    session: str | None = None
    said: str = ""
    model: str | None = None
    spend: Spend = field(default_factory=Spend)


class StopRequest(StrEnum):
    """Why a worker is asked to stop what it is doing."""

    RELEASE = "release"  # put the task back, nothing counted
    KILL = "kill"  # the same, without waiting for the agent
    BLOCK = "block"  # stopped by a person
    CANCEL = "cancel"  # stopped by a person, worktree not wanted any more
    LOST = "lost"  # the claim's folder has gone; touch it no more
    SETTLED = "settled"  # only within an agent's session: how it ends is decided, though its program goes on
    BUDGET = "budget"  # of one agent only: it has used what it might
    QUESTION = "question"  # of one agent only: it asks at its terminal what a person must answer
