"""What is said of a pull request, and what a look at it asks for. Pure; apart from `core.pull`, which every record imports."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.pull import Pull, PullState, Turn
from orchestrator.core.value import Value

ROUNDS = 10  # how often remarks on one pull request make a new attempt before a person has to look
DEMAND = 6000  # characters of remarks that an attempt is given


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Remark(Value):
    """Something said about a pull request: a review, a comment, a check that failed. `id` tells it from all others; `place` is
    the `file:line` that it stands at."""

    id: str
    who: str
    text: str
    place: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Look(Value):
    """What a tracker says of a pull request now. `commit` is the one that merged it."""

    state: PullState
    head: str
    commit: str | None = None
    remarks: tuple[Remark, ...] = ()


def turn(pull: Pull, look: Look) -> Turn:
    """What comes next."""
    if look.state is not PullState.OPEN:
        return Turn.MERGED if look.state is PullState.MERGED else Turn.CLOSED
    if not fresh(pull, look):
        return Turn.WAIT
    return Turn.ENOUGH if pull.rounds >= ROUNDS else Turn.ANSWER


def fresh(pull: Pull, look: Look) -> tuple[Remark, ...]:
    """The remarks that no attempt was given yet."""
    return tuple(remark for remark in look.remarks if remark.id not in pull.answered)


def demand(remarks: tuple[Remark, ...], url: str) -> str:
    """The remarks as the next attempt is told of them."""
    told = "\n\n".join(f"{_who(remark)}:\n{remark.text.strip()}" for remark in remarks)
    return f"Your work is in the pull request {url}. It is not merged yet, since this was said about it:\n\n{told[:DEMAND]}"


def refused(url: str) -> str:
    """What an attempt is told of a pull request that was closed, where the task was edited since."""
    return (
        f"Your work was in the pull request {url}, which was closed without being merged. The task was edited since: "
        "see what it asks for now."
    )


def _who(remark: Remark) -> str:
    return f"{remark.who}, at {remark.place}" if remark.place else remark.who
