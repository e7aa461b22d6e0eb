"""A landed task taken back: its merge reverted by a new commit, tested by the queue's gates, then landed.

What a SIGKILL leaves: before the intent is written, nothing but objects and a worktree of ours, which the next try takes
over; after it, checkouts of the base that are half way, which the next `undo` of the task (or its next claim, if a person
queued it again) takes back path by path; after the base moved, a record that says so only in its intent, from which the
same two finish it. Done a second time it finds the record and changes nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.core.integration import GATE
from orchestrator.core.masking import Masker
from orchestrator.core.record import Intent, Landed, Record
from orchestrator.core.settings import Settings
from orchestrator.core.spec import Spec
from orchestrator.core.task import UNDO
from orchestrator.core.value import Value
from orchestrator.errors import StoreError
from orchestrator.git import checkouts, included, merge, pool, repository, worktree
from orchestrator.git.checkouts import Advanced, Moved
from orchestrator.git.identity import with_trailers
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.proc import environment
from orchestrator.proc.command import Limits
from orchestrator.store import events, locks, records
from orchestrator.store.durable import Gone
from orchestrator.store.locks import LockProof
from orchestrator.store.queue import Queue
from orchestrator.worker import integration, measure, report, setup
from orchestrator.worker.execution import Conditions, Verdict
from orchestrator.worker.gates import reverted
from orchestrator.worker.gates.reverted import Reverted
from orchestrator.worker.gates.trial import KEEP
from orchestrator.worker.integration import Doctor


class UndoEnd(StrEnum):
    UNDONE = "undone"
    ALREADY = "already"  # an earlier undo did it
    NOTHING = "nothing"  # there is nothing of it on the base (any more)
    CONFLICT = "conflict"  # newer commits build on it; detail names the files
    REJECTED = "rejected"  # the reverted commit did not pass; detail says what
    WAITS = "waits"  # a checkout of the base is in the way; detail names it
    MOVED = "moved"  # the base moved meanwhile


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class UndoOutcome(Value):
    """`commit` is the one that took it back. Unless that is there, nothing was changed."""

    end: UndoEnd
    detail: str = ""
    commit: str | None = None
    tested: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Undo(Value):
    """What is to be undone: the task in `folder`, in a worktree below `root`, tested as `settings` say."""

    folder: Path
    root: Path
    repo: Repository
    spec: Spec
    settings: Settings
    mask: Masker
    scratch: Path

    def record(self) -> Record:
        if found := records.read(self.folder):
            return found
        raise Gone(f"{self.folder} went away meanwhile.", hint="`orchestrator list` shows what there is.")


def undo(what: Undo) -> UndoOutcome:
    """Take the task's landing back, under the repository's landing lock. Raises Gone where the task moved meanwhile."""
    with locks.acquire(what.repo.landing_lock) as proof:
        record = follow(what, finish(what, what.record()))
        clear(what, record)
        landed = record.landed
        if landed is None or landed.how != "merge" or landed.commit is None or landed.base is None:
            where = f"it is {landed.told}" if landed and landed.how == "pr" else "it brought nothing onto its base branch"
            return UndoOutcome(UndoEnd.NOTHING, where)
        if landed.undone:
            return UndoOutcome(UndoEnd.ALREADY, commit=landed.undone)
        old = repository.tip(what.repo, landed.base)
        if not merge.contains(what.repo, old, landed.commit):
            return UndoOutcome(UndoEnd.NOTHING, f"{landed.base} no longer has {landed.commit[:10]}")
        with standing(what, record, old) as tree:
            return revert(what, record, tree, old, proof)


def finish(what: Undo, record: Record) -> Record:
    """An undo that was killed is finished where the base has its commit, taken back where it has not."""
    intent = record.intent
    if intent is None or not intent.undo:
        return record
    if checkouts.recover(what.repo, intent.base, intent.old, intent.new):
        return told(what, record, intent.new)
    return put(what, replace(record, intent=None))


def follow(what: Undo, record: Record) -> Record:
    """Where the base that it landed on is gone, it is the one that spec or settings name by now: it was renamed."""
    landed, wanted = record.landed, what.spec.base or what.settings.base
    if landed is None or landed.base is None or not wanted or repository.find_branch(what.repo, landed.base):
        return record
    return replace(record, landed=replace(landed, base=repository.base_branch(what.repo, wanted)))


def revert(what: Undo, record: Record, tree: Worktree, old: str, proof: LockProof) -> UndoOutcome:
    """Make the commit, test exactly it, and let the base go to it."""
    landed = record.landed
    assert landed is not None
    assert landed.commit is not None
    merged = merge.revert(tree, landed.commit, old, landed.side)
    if isinstance(merged, merge.Conflict):
        return UndoOutcome(UndoEnd.CONFLICT, ", ".join(merged.files))
    if merged.tree == what.repo.git.text("rev-parse", f"{old}^{{tree}}"):
        return UndoOutcome(UndoEnd.NOTHING, f"newer commits on {landed.base} have taken it back already")
    new = merge.commit(what.repo, merged.tree, (old,), message(what, record, landed.commit))
    run = partial(ask, what, record, tree)
    trial = Reverted(run, new, old, tree.path, what.scratch)
    if rejected := reverted.refusal(trial, reverted.asked(what.settings)):
        return UndoOutcome(UndoEnd.REJECTED, f"{rejected.name}: {rejected.reason}\n{rejected.output}".strip())
    return advance(what, record, landed, Intent(str(landed.base), old, new, undo=True), proof)


def advance(what: Undo, record: Record, landed: Landed, intent: Intent, proof: LockProof) -> UndoOutcome:
    """Intent, checkouts of the base, the base itself, the record: in this order."""
    intended = put(what, replace(record, intent=intent))
    result = checkouts.advance(what.repo, intent.base, intent.old, intent.new, proof)
    if isinstance(result, Advanced):
        told(what, intended, intent.new)
        return UndoOutcome(UndoEnd.UNDONE, commit=intent.new, tested=bool(reverted.asked(what.settings)))
    put(what, replace(intended, intent=None))
    if isinstance(result, Moved):
        return UndoOutcome(UndoEnd.MOVED, f"{landed.base} moved while it was tested")
    return UndoOutcome(UndoEnd.WAITS, "; ".join(str(blocker) for blocker in result.blockers))


def told(what: Undo, record: Record, commit: str) -> Record:
    """The base has it: the record says so, then the event."""
    assert record.landed is not None
    record = put(what, replace(record, intent=None, landed=replace(record.landed, undone=commit)))
    with suppress(StoreError):  # the record says it all
        base = record.landed.base if record.landed else None
        events.append(what.folder, "undone", task=record.name, attempt=record.attempts, commit=commit, base=base)
    report.renew(what.folder, replace(record, repo=str(what.repo.top)), what.mask)
    return record


def put(what: Undo, record: Record) -> Record:
    records.put(what.folder, replace(record, updated=time.time()))
    return what.record()


def look(what: Undo, queue: Queue, base: str) -> None:
    """The base has changed: see whether it is green now, if the settings say how (`worker.integration`)."""
    command, record = what.settings.integration_cmd, what.record()
    if command is None:
        return

    def run(commit: str) -> Verdict:
        with standing(what, record, commit) as tree:
            return ask(what, record, tree, GATE, command, commit, {})

    def tell(event: str, **fields: Any) -> None:
        with suppress(StoreError):
            events.append(what.folder, event, task=record.name, attempt=record.attempts, **fields)

    integration.look(Doctor(what.repo, base, queue, record.name, what.mask, time.time, run, tell))


def ask(what: Undo, record: Record, tree: Worktree, name: str, command: str, commit: str, env: Mapping[str, str]) -> Verdict:
    """What `command` says in a clean checkout of `commit`; the no of that which furnishes it, where that fails."""
    worktree.reset(tree, branch=None, commit=commit)
    included.copy_included(what.repo, tree)
    furnishing = setup.furnishing(what.spec, what.settings)
    verdicts = (run(what, record, tree, each, line, {}) for each, line in furnishing.items())
    failed = next((verdict for verdict in verdicts if not verdict.ok), None)
    return failed or run(what, record, tree, name, command, env)


def run(what: Undo, record: Record, tree: Worktree, name: str, command: str, more: Mapping[str, str]) -> Verdict:
    seen = environment.allowed(os.environ, what.settings.env_pass)
    names = {"ORCH_TASK": record.name, "ORCH_WORKTREE": str(tree.path), "ORCH_REPO": str(what.repo.top)}
    limits = Limits(seconds=what.spec.timeout or what.settings.timeout, grace=what.settings.stop_grace)
    env = environment.compose({**seen, **what.spec.env}, {**names, "ORCH_GOAL": what.spec.goal, **more})
    under = Conditions(tree.path, env, limits, pump=lambda: None, scratch=what.scratch)
    verdict = measure.check(name, command, under, keep=KEEP)
    return replace(verdict, output=what.mask.text(verdict.output))


def message(what: Undo, record: Record, commit: str) -> str:
    title = what.mask.text(what.spec.title or record.name)
    text = f'Revert "{title}"\n\nThis takes back {commit}, which landed it.'
    return with_trailers(text, {"Task": record.name, "Undoes": commit})


@contextmanager
def standing(what: Undo, record: Record, commit: str) -> Iterator[Worktree]:
    """A worktree of ours at `commit`, gone afterwards; none of the task's own, should a person queue it meanwhile."""
    try:
        yield pool.prepare(what.repo, place(what, record), owner=record.id, branch=None, commit=commit)
    finally:
        clear(what, record)


def clear(what: Undo, record: Record) -> None:
    """No worktree of an undo is left, not of one that was killed either."""
    if tree := worktree.find(what.repo, place(what, record)):
        pool.discard(tree)
        pool.leave_no_folder(what.root)


def place(what: Undo, record: Record) -> Path:
    return what.root / f"{record.slug}{UNDO}"
