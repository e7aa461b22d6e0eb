"""What is known of a task beside its spec: `.orch/state.json`. Neither the state (the folder) nor the owner (the lease)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from orchestrator.core import pull
from orchestrator.core.outcome import COUNTED, AgentEnd, Reason, Spend
from orchestrator.core.pull import Pull
from orchestrator.core.resolving import Resolving
from orchestrator.core.task import Place, State
from orchestrator.core.value import Value

SCHEMA = 1
HISTORY = 50
UNTRIED = frozenset({AgentEnd.KILLED, AgentEnd.LOST, AgentEnd.NOT_STARTED})
OPTIONAL = (  # written where they say something
    *("agents", "carried", "pauses", "review", "session", "forced", "doubt", "private", "pull", "demand"),
    *("samples", "noisy", "misses", "resolving", "earlier"),
)


class Result(StrEnum):
    """What one attempt brought."""

    CONVERGED = "converged"
    IMPROVED = "improved"
    UNCHANGED = "no-improvement"
    DEFECT = "benchmark-defect"
    FLAKY = "flaky"
    GATE = "gate"
    CONFLICT = "conflict"
    SCOPE_VIOLATION = "scope-violation"
    TAMPERED = "tampered"


# After these an attempt's commits stay on the task branch, unless the task optimizes.
STAYING = frozenset({Result.CONVERGED, Result.IMPROVED, Result.UNCHANGED, Result.DEFECT, Result.GATE, Result.FLAKY})


class Channel(StrEnum):
    """How a benchmark says its numbers where nothing that is printed counts."""

    FILE = "file"  # $ORCH_METRICS_FILE
    DESCRIPTOR = "descriptor"  # $ORCH_METRICS_FD


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Attempt(Value):
    """One finished attempt, as the next prompt and the status tell of it. `values` is the last sample's metrics."""

    number: int
    agent: str
    end: AgentEnd
    result: Result
    detail: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    commit: str | None = None
    seconds: float = 0.0
    model: str | None = None
    at: float = 0.0  # when its last session ended
    spend: Spend = field(default_factory=Spend)  # with the sessions that were not counted on the way to it


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pause(Value):
    """An account that refuses work: found out at `since`, over at `until`, or where that is None when a person has logged in."""

    since: float
    until: float | None
    why: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Session(Value):
    """A session that a usage limit interrupted, and what it had used. It can go on in the same worktree only."""

    agent: str
    id: str
    worktree: str
    spent: Spend = field(default_factory=Spend)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Landed(Value):
    """Where converged work went: `how` is merge, pr, branch or none. `undone` is the commit that took a merge back.
    `merged` is the commit of the base by which somebody else brought it there. `state`: of a pull request. `side`: of a batch,
    the parent that is this task's work."""

    commit: str | None
    base: str | None
    how: str
    url: str | None = None
    undone: str | None = None
    state: str | None = None
    merged: str | None = None
    side: str | None = None

    @property
    def told(self) -> str:
        """The same for people, where there was something to land."""
        commit = (self.commit or "")[:10]
        if self.how == "pr":
            return f"in the pull request {self.url} ({self.state})"
        if self.how != "merge":
            return f"nothing to land: {self.base} has it at {commit}" if self.merged else f"left on its branch at {commit}"
        return f"merged into {self.base} as {commit}" + (f", undone by {self.undone[:10]}" if self.undone else "")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Intent(Value):
    """A landing about to be made true: the base branch goes from `old` to `new`. Finished or taken back on restart.
    `undo`: what goes there reverts the task's landing. `side`: it is a batch's, and this parent of it is the task's work."""

    base: str
    old: str
    new: str
    undo: bool = False
    side: str | None = None


class Answer(StrEnum):
    """A person's word on verified work."""

    APPROVED = "approved"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reviewing(Value):
    """A commit that has passed everything but a person, measured by the evaluator `seal`. `answer` None: nobody has answered."""

    commit: str
    seal: str
    asked: float
    answer: Answer | None = None
    note: str = ""
    own: str = ""  # the evaluator without files of the repository: what an edit of the task changes


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Restart(Value):
    """The task branch is to go to `commit`, and `base` is what its work begins at from then on."""

    commit: str
    base: str


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Record(Value):
    """The facts of one task. Times are epoch seconds of the claiming host; `values` are metric values by name."""

    id: str
    name: str
    inode: int
    slug: str
    repo: str | None = None
    base: str | None = None
    base_commit: str | None = None  # where the task branch began
    branch: str | None = None
    attempts: int = 0  # finished ones, over the task's whole life
    failures: int = 0  # in a row, since the last improvement
    tried: int = 0  # finished ones since the last (re-)queue; the ceiling counts these
    conflicts: int = 0
    flaky: int = 0
    streak: int = 0  # samples at target in a row, at `streak_commit`
    streak_commit: str | None = None
    misses: int = 0  # samples taken with those of the streak that were not at target, as a few of a noisy number may be
    baseline: Mapping[str, float] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    best_commit: str | None = None
    private: Channel | None = None  # how the baseline's numbers came, as all must since; None: they were printed
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)  # of the baseline, by metric, where it was asked for
    noisy: tuple[str, ...] = ()  # metrics found to vary by themselves
    seal: str | None = None  # digest of the evaluator last sealed
    doubt: str | None = None  # what decides on the task changed while an agent, or its work, ran; until a person queues it again
    stage: str | None = None
    not_before: float | None = None
    backoffs: int = 0  # waits in a row; doubles the next one
    reason: Reason | None = None
    detail: str | None = None
    landed: Landed | None = None
    earlier: Landed | None = None  # what it had merged before a person queued it again
    intent: Intent | None = None
    restart: Restart | None = None
    resolving: Resolving | None = None
    pull: Pull | None = None  # the pull request of its branch; stays when the task is queued again
    demand: str | None = None  # what is asked for there, until an attempt has answered it
    review: Reviewing | None = None
    spend: Spend = field(default_factory=Spend)
    agents: Mapping[str, Spend] = field(default_factory=dict)  # the same by agent
    carried: Spend = field(default_factory=Spend)  # of sessions since the last finished attempt
    pauses: Mapping[str, Pause] = field(default_factory=dict)  # by account (`core.accounts`), as this task found them
    session: Session | None = None
    forced: float | None = None  # when a person last said that it need not wait
    history: tuple[Attempt, ...] = ()
    serial: int = 0  # grows with each save: of two files the newer one is known whatever the clock does
    token: str | None = None  # the claim that wrote this last: tells an unfinished release from a task queued again
    created: float = 0.0
    updated: float = 0.0
    extra: Mapping[str, Any] = field(default_factory=dict)  # keys of a newer version, kept

    @property
    def tries(self) -> int:
        """How many attempts were made to resolve the conflict, if any; not those whose agent was killed, or never began."""
        made = (attempt.number for attempt in self.history if attempt.end not in UNTRIED)
        return self.resolving.tries(made) if self.resolving else 0

    @property
    def ended(self) -> bool:
        """Whether the record ends in a reason that needs a person; found in pending, the task was queued again."""
        return self.reason is not None and self.reason.terminal

    @property
    def converged(self) -> bool:
        """Whether a worker brought it there. In converged without that it was moved by hand, and nobody has verified anything."""
        return self.reason is Reason.CONVERGED

    @property
    def destination(self) -> State:
        """Where the reason that it ends in puts the task's folder."""
        if not self.ended:
            return State.PENDING
        return State.CONVERGED if self.converged else State.BLOCKED

    def last_word_of(self, token: str | None) -> bool:
        """Whether the holder of `token` had done with the task: found in running, the folder only wasn't moved yet."""
        return self.reason is not None and self.token == token


def to_dict(record: Record) -> dict[str, Any]:
    """`record` as JSON-ready data, with the keys of a newer version put back."""
    data = _plain(record)
    extra = data.pop("extra")
    history = [_short({**_plain(attempt), "spend": _used(attempt.spend)}, "model", "at", "spend") for attempt in record.history]
    nested: dict[str, Any] = {
        name: data[name] and _plain(data[name])
        for name in ("landed", "earlier", "intent", "restart", "resolving", "pull", "review", "session")
    }
    told = ("undone", "state", "merged", "side")
    for name, *optional in (("landed", *told), ("earlier", *told), ("intent", "undo", "side")):
        nested[name] = nested[name] and _short(nested[name], *optional)
    nested |= {"spend": _used(record.spend), "carried": _used(record.carried)}
    if record.session is not None:
        nested["session"] |= {"spent": _used(record.session.spent)}
    nested["agents"] = {name: _used(spend) for name, spend in record.agents.items()}
    nested["pauses"] = {account: _plain(pause) for account, pause in record.pauses.items()}
    known = _short({**data, **nested, "history": history}, *OPTIONAL)
    return {"schema": SCHEMA, **extra, **known}


def from_dict(data: Mapping[str, Any]) -> Record:
    """The record in `data`. Raises KeyError, TypeError or ValueError where it is none; unknown keys are kept in `extra`."""
    known = {f.name for f in fields(Record)} - {"extra"}
    values = {key: value for key, value in data.items() if key in known}
    extra = {key: value for key, value in data.items() if key not in known and key != "schema"}
    if values.get("reason") is not None:
        values["reason"] = Reason(values["reason"])
    for name in ("landed", "earlier"):
        if values.get(name) is not None:
            values[name] = Landed(**values[name])
    if values.get("intent") is not None:
        values["intent"] = Intent(**values["intent"])
    if values.get("restart") is not None:
        values["restart"] = Restart(**values["restart"])
    if (resolving := values.get("resolving")) is not None:
        values["resolving"] = Resolving(**{**resolving, "files": tuple(resolving["files"])})
    if values.get("pull") is not None:
        values["pull"] = pull.from_dict(values["pull"])
    if private := values.get("private"):
        values["private"] = Channel.FILE if private is True else Channel(private)  # true: before there was another one
    if (review := values.get("review")) is not None:
        values["review"] = Reviewing(**{**review, "answer": Answer(review["answer"]) if review.get("answer") else None})
    if values.get("session") is not None:
        values["session"] = Session(**{**values["session"], "spent": Spend(**values["session"].get("spent") or {})})
    for name in ("spend", "carried"):
        values[name] = Spend(**values.get(name) or {})
    values["agents"] = {name: Spend(**spend) for name, spend in (values.get("agents") or {}).items()}
    values["pauses"] = {account: Pause(**pause) for account, pause in (values.get("pauses") or {}).items()}
    values["noisy"] = tuple(values.get("noisy") or ())
    values["history"] = tuple(_attempt(item) for item in values.get("history") or ())
    return Record(**values, extra=extra)


def foreign(record: Record, place: Place) -> bool:
    """Whether the record tells of another task than the one at `place`: that is a copy. One that was renamed is still the
    folder, and one from a backup still has the name (`rulings` 4)."""
    return record.name != place.name and record.inode != place.inode


def whereabouts(record: Record) -> str:
    """Where converged work went, in words; empty where nobody landed it."""
    landed = record.landed
    if landed is None:
        return ""
    if landed.how == "none" and (not record.attempts or (landed.commit and landed.commit == record.base_commit)):
        return f"nothing to land: {landed.base or 'the folder'} was at target already"
    return landed.told if landed.commit or landed.how == "pr" else "changed in place, in a folder without git"


def _plain(item: Any) -> dict[str, Any]:
    """Its fields as they are: what `asdict` copies deeply, field by field, on every save."""
    return {name: getattr(item, name) for name in item.__slots__}


def _attempt(data: Mapping[str, Any]) -> Attempt:
    spend = Spend(**data.get("spend") or {})
    return Attempt(**{**data, "end": AgentEnd(data["end"]), "result": Result(data["result"]), "spend": spend})


def _short(data: dict[str, Any], *optional: str) -> dict[str, Any]:
    """`data` without those of the optional keys that say nothing: a record is written often."""
    return {key: value for key, value in data.items() if value or key not in optional}


def _used(spend: Spend) -> dict[str, Any]:
    """What is known of it: a record holds many, most of them of few kinds."""
    used = {name: value for name, value in _plain(spend).items() if value is not None}
    return {name: value for name, value in used.items() if value or name in COUNTED}
