"""The base looked at after a set of landings: each was tested by itself, and together they may still be wrong.

Whoever lands while nobody else waits to land runs the command on the base's tip, in a clean checkout, one worker per repository
at a time; others may land meanwhile, and what they bring is looked at next. Red: the first red commit since the last green one is
found by bisection and named. Nothing is reverted.

What a SIGKILL leaves: up to where the base is green is a ref that moves last, in one step, and a red tip is one file; without
either the tip is looked at again by this task's next claim, or after the next landing. The landing itself is not touched by any
of this, and neither is its task.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orchestrator.core.integration import GATE, Red, first_red
from orchestrator.core.masking import Masker
from orchestrator.core.outcome import ProcessEnd
from orchestrator.core.value import Value
from orchestrator.errors import OrchestratorError, StoreError
from orchestrator.git import integrated, landingqueue, repository
from orchestrator.git.repository import Repository
from orchestrator.store import events, integrations, locks
from orchestrator.store.queue import Queue
from orchestrator.worker.execution import Verdict
from orchestrator.worker.gates.trial import NO_PROGRAM, execute
from orchestrator.worker.pulse import Stopped
from orchestrator.worker.setup import SetupFailed
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work
from orchestrator.worker.workspace import Workspace

LOOKS = 3  # in a row, where others land meanwhile; then it is the turn of one of them
SHOWN = 2000  # characters of the output that an event and the file carry


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Doctor(Value):
    """Who looks at `base`. `run` is the command in a clean, furnished checkout of a commit, `tell` adds an event to the task
    that has landed, or was taken back, just now: `name`."""

    repo: Repository
    base: str
    queue: Queue
    name: str
    mask: Masker
    now: Callable[[], float]
    run: Callable[[str], Verdict]
    tell: Callable[..., None]

    @property
    def common(self) -> str:
        return str(self.repo.common)

    @property
    def green(self) -> str | None:
        return integrated.green(self.repo.common, self.base)

    def red(self, commit: str) -> bool:
        return not self.run(commit).ok


def after_landing(work: Work, space: Space) -> None:
    """See whether the base is green, if the settings say how. A stop ends the look, and not the task: that has landed."""
    command, base = work.settings.integration_cmd, work.record.base
    if command is None or base is None or not isinstance(space, Workspace):
        return

    def run(commit: str) -> Verdict:
        try:
            return execute(work, GATE, command, space.checkout(work, commit), None, {})
        except SetupFailed as error:
            return Verdict(GATE, False, f"the setup fails: {error.message}", error.message)

    with suppress(Stopped):
        look(Doctor(space.repo, base, work.claim.queue, work.name, work.mask, work.now, run, work.event))


def look(doctor: Doctor) -> None:
    """Look at the base's tip until nothing new is on it. Trouble of ours is said, and harms nobody."""
    try:
        for _ in range(LOOKS):
            if somebody_waits(doctor.repo) or not look_once(doctor):
                return
    except (OrchestratorError, OSError) as error:
        doctor.tell("notice", detail=f"{doctor.base} could not be looked at: {error}")


def somebody_waits(repo: Repository) -> bool:
    """Whether anybody is about to land in this repository: then the set is not complete."""
    return locks.held(repo.landing_lock) or landingqueue.of(repo).first() is not None


def look_once(doctor: Doctor) -> bool:
    """Look at the base's tip, unless somebody does or has. Whether there may be a newer one by now."""
    with locks.attempt(doctor.repo.integration_lock) as proof:
        tip = unseen(doctor)
        if proof is None or tip is None:
            return False
        verdict = doctor.run(tip)
        if verdict.ok:
            integrated.seen_green(doctor.repo, doctor.base, tip)
            doctor.tell(GATE, ok=True, commit=tip, base=doctor.base, detail=f"{doctor.base} is green at {tip[:10]}")
        else:
            found_red(doctor, tip, verdict)
    return True


def unseen(doctor: Doctor) -> str | None:
    """The base's tip, where nobody has looked at it yet."""
    tip, green = repository.tip(doctor.repo, doctor.base), doctor.green
    red = integrations.get(doctor.queue, doctor.common, doctor.base)
    return None if tip == green or (red and (red.commit, red.green) == (tip, green)) else tip


def found_red(doctor: Doctor, tip: str, verdict: Verdict) -> None:
    """Find out who it was, write it down, then tell."""
    culprit, doubt = known(doctor, tip) or blame(doctor, tip, verdict)
    red = Red(
        repo=str(doctor.repo.top),
        common=doctor.common,
        base=doctor.base,
        commit=tip,
        green=doctor.green,
        reason=doctor.mask.text(verdict.reason),
        output=doctor.mask.text(verdict.output[-SHOWN:]),
        culprit=culprit,
        tasks=integrated.tasks_of(doctor.repo, culprit) if culprit else (),
        doubt=doubt,
        at=round(doctor.now(), 3),
    )
    integrations.put(doctor.queue, red)
    tell(doctor, red)


def known(doctor: Doctor, tip: str) -> tuple[str, str] | None:
    """Who has made the base red, where that was found out when it was looked at last, and nobody has taken it back since."""
    red = integrations.get(doctor.queue, doctor.common, doctor.base)
    if red is None or red.culprit is None or red.green != doctor.green:
        return None
    there = red.culprit in integrated.since(doctor.repo, red.green, tip)
    return (red.culprit, "") if there and not integrated.taken_back(doctor.repo, red.culprit, tip) else None


def blame(doctor: Doctor, tip: str, verdict: Verdict) -> tuple[str | None, str]:
    """The commit that made the base red; or nobody, and why nobody can be named."""
    if verdict.end is not ProcessEnd.EXITED or verdict.code in NO_PROGRAM:
        return None, "where the command did not come to its own end"
    green = doctor.green
    if green is None or not integrated.since(doctor.repo, green, tip):
        return None, "and was not seen green before"
    if doctor.red(green):
        return None, f"and by now also at {green[:10]}, where it was green: it is flaky, or what it depends on has changed"
    return search(doctor, green, tip)


def search(doctor: Doctor, green: str, tip: str) -> tuple[str | None, str]:
    """The first red commit since `green`. One that was taken back is not it, and what came after that is looked through."""
    commits = integrated.since(doctor.repo, green, tip)
    found = commits[first_red(len(commits), lambda number: doctor.red(commits[number]))]
    back = integrated.taken_back(doctor.repo, found, tip)
    if back is None:
        return found, ""
    if back == tip or doctor.red(back):
        return None, f"though {found[:10]}, the first red commit, was taken back"
    return search(doctor, back, tip)


def tell(doctor: Doctor, red: Red) -> None:
    """The tasks it is about, and the one that has landed last, have it among their events."""
    told: dict[str, Any] = {
        "ok": False, "commit": red.commit, "base": red.base, "culprit": red.culprit, "tasks": list(red.tasks),
        "detail": red.told, "output": red.output,
    }  # fmt: skip
    doctor.tell(GATE, **told)
    for name in red.tasks:
        if name != doctor.name:
            with suppress(StoreError):  # it may have been removed since
                events.append(doctor.queue.path(doctor.queue.find(name)), GATE, task=name, **told)
