"""From a claim to a `Work` and the space it is done in: the spec, the seal, the record, the repository."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.core import convergence, remarks
from orchestrator.core.lease import Lease
from orchestrator.core.masking import secrets_of
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Record
from orchestrator.core.settings import Settings
from orchestrator.core.spec import Mode, Spec
from orchestrator.git import belonging, repository
from orchestrator.git.repository import NotARepository, Repository
from orchestrator.store import layouts, seal, specfile
from orchestrator.store.claim import Claim
from orchestrator.worker.folder import PlainFolder
from orchestrator.worker.gates import asked
from orchestrator.worker.pulse import Pulse
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work
from orchestrator.worker.workspace import Workspace


def take_up(claim: Claim, pulse: Pulse, settings: Settings, lease: Lease, record: Record | None, scratch: Path) -> Work:
    """Read the spec, seal the evaluator, open the record. A task that a person queued again starts its counts anew.

    Raises SpecError where the spec or the benchmark can't be used.
    """
    spec, key = read_spec(claim.folder, lease)
    over = record is not None and record.reason is not None
    if record is None:
        record = claim.fresh_record()
    elif record.ended:
        record = queued_again(record, spec_file=specfile.path_of(claim.folder))
    if spec.mode is Mode.OPTIMIZE:  # by now: what is optimized begins anew on a fresh base
        record = convergence.given_up(record)
    claim.mask = claim.mask.with_more(secrets_of(spec.env))
    sealed = seal.seal(claim.folder, spec)
    work = Work(
        claim=claim,
        settings=settings,
        pulse=pulse,
        spec=spec,
        spec_key=key,
        record=record,
        sealed=sealed,
        evaluator=layouts.evaluator(claim.folder, spec),
        hidden=layouts.holdout(claim.folder, spec),
        scratch=scratch,
        once=lease.once,
        cut=record.stage,
        feedback=last_feedback(claim, record),
    )
    asked.refuse_unable(work)
    # At once: names in the repository are reserved for this record's id, and whoever comes after a kill must know it. Why it
    # ended before is no reason any more, also where a person moves the folder on: then only the facts tell.
    work.save(durable=over, reason=None, detail=None, not_before=None)
    sealed.keep(claim)
    return work


def queued_again(record: Record, spec_file: Path | None) -> Record:
    """The record of a task that a person queued again. A pull request that was closed is wanted after all, and is opened again
    with the work as it is; unless the task was edited since, which an attempt has to answer."""
    fresh = convergence.requeued(record)
    if record.reason is not Reason.CLOSED or record.pull is None or spec_file is None:
        return fresh
    edited = spec_file.stat().st_mtime > record.updated
    return replace(fresh, demand=remarks.refused(record.pull.url)) if edited else fresh


def read_spec(folder: Path, lease: Lease) -> tuple[Spec, tuple[int, ...]]:
    """The spec with its file's key: as the claimer parsed it where the file is still the same, else parsed here."""
    path = specfile.path_of(folder)
    key = tuple(specfile.key_of(path)) if path else ()
    if lease.spec is not None and lease.spec_key is not None and key == tuple(lease.spec_key):
        return specfile.from_json(lease.spec), key
    return specfile.read(folder), key


def last_feedback(claim: Claim, record: Record) -> str:
    """The end of the last failure, as the claim that saw it left it; what a pull request's readers ask for goes before that."""
    if record.demand:
        return record.demand
    try:
        return (claim.control / f"attempts/{record.attempts:04d}/feedback.txt").read_text(errors="replace")
    except OSError:
        return ""


def find_space(work: Work) -> Space:
    """Where the task is worked on. Raises RepositoryError where that can't be told or used."""
    project = work.claim.queue.root.parent
    path = belonging.named(work.spec, work.settings.repo, project)
    if work.record.repo and work.record.branch:
        return Workspace(where_it_began(work, path, project))
    if path:
        try:
            return Workspace(repository.discover(path))
        except NotARepository:
            if path.is_dir():
                return PlainFolder(path.resolve())
            raise
    try:
        return Workspace(repository.discover(project))
    except NotARepository:
        return Workspace(repository.discover(Path.cwd()))


def where_it_began(work: Work, named: Path | None, project: Path) -> Repository:
    """The task's repository, wherever that is by now; the record follows. A kill before that leaves it to be found again."""
    repo = belonging.of(work.record, named, project)
    if str(repo.top) != work.record.repo:
        work.event("notice", detail=f"{work.record.repo}, where it was begun, is {repo.top} here")
        work.save(durable=False, repo=str(repo.top))
    return repo
