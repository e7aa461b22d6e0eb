"""What a worker holds while it works on one task: its claim, the record it writes, the sealed spec and evaluator."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.agents.routing import Route
from orchestrator.core.masking import Masker
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Landed, Record, Session
from orchestrator.core.settings import Settings
from orchestrator.core.spec import Kind, Mode, Spec
from orchestrator.core.task import Stage, State, mark
from orchestrator.core.value import Value
from orchestrator.git.repository import Repository
from orchestrator.proc import environment
from orchestrator.proc.command import Limits
from orchestrator.proc.table import MARK
from orchestrator.store.claim import Claim
from orchestrator.store.layouts import Evaluator
from orchestrator.store.seal import Sealed
from orchestrator.worker.execution import Conditions, Verdict
from orchestrator.worker.pulse import Pulse

if TYPE_CHECKING:
    from orchestrator.worker.gates.trial import Ran

# Who comes after a kill judges what lies in the worktree by these: they are written before anything runs there.
TELLING = frozenset({Stage.MEASURE, Stage.AGENT})


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ending(Value):
    """How this claim ends: the folder's next state, why, and for parked tasks not before when (epoch seconds)."""

    state: State
    reason: Reason | None = None
    detail: str = ""
    not_before: float | None = None
    landed: Landed | None = None
    failed: bool = False  # something beside the task went wrong: the next such wait is twice as long


class Leaving(Exception):
    """From deep inside the flow: this claim ends now, so."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.detail)
        self.ending = ending


def blocked(reason: Reason, detail: str) -> Ending:
    """The task needs a person."""
    return Ending(State.BLOCKED, reason, detail)


@dataclass(slots=True)
class Work:
    """The one mutable thing of a worker. `record` is what state.json says, or will say with the next `save`, or beat (`note`)."""

    claim: Claim
    settings: Settings
    pulse: Pulse
    spec: Spec
    spec_key: tuple[int, ...]
    record: Record
    sealed: Sealed
    evaluator: Evaluator
    hidden: Evaluator | None  # the holdout
    scratch: Path  # private to this worker, outside the task folder; gone with it
    once: bool = False
    repo: Repository | None = None  # from the moment its space is opened, where that is in one
    verdicts: tuple[Verdict, ...] = ()  # the gates' last answers, for the report
    asked: Mapping[str, str] | None = None  # what decides on work in the spec as it lies there; None: as it was sealed
    compared: dict[tuple[str, str], Ran] = field(default_factory=dict)  # what gates' commands said of other commits
    guarded: tuple[str, ...] = ()  # the repository's files that gates run: no task may change them
    doubts: tuple[str, ...] = ()  # what a person should look at in the attempt's change, for the report
    aside: str = ""  # what of the attempt's work is in no commit that counts, in words
    number: int = 0  # the attempt that is being made, 0 before the first of this claim
    resumed: Session | None = None  # the session that this attempt goes on with
    measured: str = ""  # the commit that the last sample in the agent's worktree was taken of
    cut: str | None = None  # the stage in which the claim before this one was cut short
    holding: bool = False  # what is verified need not be at target: it is to be as good as it was when it was kept
    merged: Mapping[str, float] = field(default_factory=dict)  # what the last sample of a merged commit said
    refused: str = ""  # why what was at target, or the best, did not land when that was tried last
    feedback: str = ""  # the end of the last failure, for the next prompt
    route: Route | None = None  # the agent that was chosen last, with its model and effort

    @property
    def name(self) -> str:
        return self.claim.name

    @property
    def shown(self) -> Sealed:
        """The sealed evaluator for whatever runs beside an agent's work: without the holdout."""
        return self.sealed.without(self.spec.holdout)

    @property
    def converge(self) -> int:
        return self.spec.converge or self.settings.converge

    @property
    def optimizing(self) -> bool:
        return self.spec.mode is Mode.OPTIMIZE

    @property
    def alpha(self) -> float:
        return self.spec.alpha or self.settings.alpha

    @property
    def judged(self) -> Spec:
        """The spec with what was found out about its metrics, and the setting's least effect where it is optimized."""
        least = self.settings.min_effect if self.optimizing else 0.0
        if not (self.record.noisy or least):
            return self.spec
        known = tuple(
            replace(
                metric,
                kind=Kind.NOISY if metric.name in self.record.noisy else metric.kind,
                min_effect=metric.min_effect or (0.0 if metric.guard else least),
            )
            for metric in self.spec.metrics
        )
        return replace(self.spec, metrics=known)

    def save(self, *, durable: bool = True, **changes: Any) -> None:
        """Evolve the record and write it. Facts are durable; what else is written at once may be lost in a power cut."""
        self.record = replace(self.record, **changes)
        self.claim.save(self.record, durable=durable)
        self.pulse.owe(None)

    def note(self, **changes: Any) -> None:
        """Evolve the record by what is found again should this worker die now; written with the next save, or the next beat."""
        self.record = replace(self.record, **changes)
        self.pulse.owe(lambda: self.claim.save(self.record, durable=False))

    def enter(self, stage: Stage) -> None:
        """Show which part of the flow this is. Raises Stopped where the worker was asked to stop meanwhile."""
        self.pulse.check()
        if stage in TELLING:
            self.save(durable=False, stage=stage.value)
        else:
            self.note(stage=stage.value)

    def event(self, event: str, **fields: Any) -> None:
        """Tell what happened, for the audit and whoever follows live. The attempt's number is added."""
        self.claim.event(event, **{"attempt": max(self.number, self.record.attempts), **fields})

    @property
    def mask(self) -> Masker:
        """What takes secrets out of everything that is written down or sent to an agent."""
        return self.claim.mask

    def evidence(self, file: str, **facts: Any) -> None:
        """Add a line to a file of the attempt that is being made, or of the last one that was counted, where that has a folder:
        of each attempt its events tell the same."""
        number = max(self.number, self.record.attempts)
        if self._has_folder(number):
            self.claim.append(f"attempts/{number:04d}/{file}", {"schema": 1, "at": round(self.now(), 3), **facts})

    def beside(self, number: int, file: str, text: str) -> None:
        """Put a file beside an attempt's logs, where that attempt has a folder."""
        if self._has_folder(number):
            self.claim.write(f"attempts/{number:04d}/{file}", text.encode(errors="replace"))

    def _has_folder(self, number: int) -> bool:
        return number > 0 and (self.claim.control / "attempts" / f"{number:04d}").is_dir()

    def now(self) -> float:
        return time.time()

    @property
    def agent_name(self) -> str:
        """For trailers: who really worked; before anybody did the agent that is configured, or `none`."""
        if self.route is not None:
            return self.route.agent
        if self.record.history:
            return self.record.history[-1].agent
        return self.spec.agent or self.settings.agent or ("exec" if self.settings.agent_cmd else "none")

    def environment(self, place: Path, attempt: int | None = None, variables: tuple[str, ...] = ()) -> dict[str, str]:
        """What a child in `place` sees: the allow-list with `variables`, the spec's own, and the names of the contract."""
        said = {
            "ORCH_TASK": self.name,
            "ORCH_WORKTREE": str(place),
            "ORCH_REPO": self.record.repo,
            "ORCH_GOAL": self.spec.goal,
            "ORCH_ATTEMPT": str(attempt or self.number or max(self.record.attempts, 1)),
            MARK: mark(self.claim.queue.root, self.claim.token),
        }
        passed = environment.allowed(os.environ, (*self.settings.env_pass, *variables))
        return environment.compose({**passed, **self.spec.env}, said)

    def conditions(self, place: Path, seconds: float, more: Mapping[str, str] | None = None) -> Conditions:
        """What the benchmark, a gate or a hook runs under in `place`, for at most so long; `more` goes into its environment."""
        env = {**self.environment(place), **(more or {})}
        limits = Limits(seconds=seconds, grace=self.settings.stop_grace)
        return Conditions(place, env, limits, self.pulse.beat, self.scratch)
