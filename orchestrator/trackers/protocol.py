"""What a tracker is: whoever can open a pull request and say what became of it. Nothing here pushes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.core.remarks import Look
from orchestrator.core.value import Value
from orchestrator.errors import OrchestratorError


class TrackerError(OrchestratorError):
    """The tracker did not do it. `lasting`: nor will it at the next try; a person has to log in, install, or allow something."""

    def __init__(self, message: str, *, hint: str = "", lasting: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.lasting = lasting


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Where(Value):
    """Which repository: a checkout of it, and the address of the remote that the branch was pushed to."""

    checkout: Path
    address: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Draft(Value):
    """What a pull request shall say. `branch` is pushed already. `known` is the number of the one it had, which a person wants
    again where that was closed with this very `head`."""

    branch: str
    base: str
    head: str
    title: str
    body: str
    known: int | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Opened(Value):
    """A pull request that is there."""

    number: int
    url: str


class Tracker(Protocol):
    """Every method may be called again after a kill: what is there already is found and not made a second time."""

    name: str

    def owns(self, address: str) -> bool:
        """Whether the remote at `address` is one of its own."""
        ...

    def check(self, where: Where) -> None:
        """See, without asking anybody, whether it can be used there. Raises TrackerError where a person has to install something
        or log in."""
        ...

    def publish(self, where: Where, draft: Draft) -> Opened:
        """Open the branch's pull request, or bring the one that is open up to date. Raises TrackerError."""
        ...

    def look(self, where: Where, number: int) -> Look:
        """What became of it. Raises TrackerError."""
        ...
