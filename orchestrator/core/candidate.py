"""A task as one scan saw it: what scheduling and the status decide on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.lease import Lease
from orchestrator.core.record import Record
from orchestrator.core.spec import Spec
from orchestrator.core.task import Place
from orchestrator.core.value import Value


class WaitingKind(StrEnum):
    DEPENDENCY = "dependency"
    BACKOFF = "backoff"
    LIMIT = "limit"
    DRAFT = "draft"
    INVALID = "invalid"
    BUDGET = "budget"
    CAPACITY = "capacity"
    CHECKOUT = "checkout"
    SETTLING = "settling"
    EDITOR = "editor"
    STOPPING = "stopping"
    REVIEW = "review"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Waiting(Value):
    """One reason a task isn't running, in words a person can act on."""

    kind: WaitingKind
    detail: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Candidate(Value):
    """`spec` is None while the file is unreadable; `problems` then says why, with file and line. `holds` are reasons only
    the files can tell: settling, an editor, a stopping owner. `arrived` (epoch) orders equals. `heartbeat_age` is seconds.
    `accounts` are those that its agent and the ones that may stand in use (`core.accounts`), as far as that is known. `unread`:
    why the record of a task that lies in blocked or converged can't be read."""

    place: Place
    spec: Spec | None
    record: Record | None = None
    problems: tuple[str, ...] = ()
    holds: tuple[Waiting, ...] = ()
    arrived: float = 0.0
    lease: Lease | None = None
    heartbeat_age: float | None = None
    accounts: tuple[str, ...] = ()
    unread: str | None = None

    @property
    def name(self) -> str:
        return self.place.name
