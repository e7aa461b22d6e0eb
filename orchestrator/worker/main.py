"""`orchestrator work ROOT NAME TOKEN`: what an executor starts. One process, one claim, then gone."""

from __future__ import annotations

import errno
import os
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from orchestrator.core import convergence
from orchestrator.core.lease import Lease
from orchestrator.core.masking import Masker
from orchestrator.core.outcome import TAKEN_OUT, Reason, StopRequest
from orchestrator.core.record import Record
from orchestrator.core.settings import Settings
from orchestrator.core.task import State, mark
from orchestrator.errors import AgentError, ClaimLost, OrchestratorError, RepositoryError, SpecError, StoreError
from orchestrator.proc import identity, tree
from orchestrator.proc.table import MARK
from orchestrator.store import clearing, config, room, seal, secrets
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue
from orchestrator.worker import life, opening, report, resolution
from orchestrator.worker.pulse import Pulse, Stopped, hold_signals
from orchestrator.worker.setup import SetupFailed
from orchestrator.worker.space import Space
from orchestrator.worker.work import Ending, Leaving, Work, blocked

RETRY = 1.0  # seconds between tries to let go of a task whose destination is taken or whose disk is full
FAULTS = 5  # of ours in a row, after which a task waits for a person: an agent may have been paid before each


def main(root: str, name: str, token: str) -> int:
    """Work on the claimed task until this claim ends. 0 also where the claim was lost or stopped; 3 for a fault of ours."""
    hold_signals()
    descriptor = os.environ.pop("ORCH_OWNER_FD", None)
    tree.become_subreaper()
    try:
        return serve(Claim.adopt(Queue(Path(root)), name, token, None if descriptor is None else int(descriptor)))
    except ClaimLost:
        return 0  # whoever holds the task now goes on from what the record and the refs say
    except StoreError as error:  # the queue itself is gone, or can't be written: there is nowhere to say it but here
        log(f"orchestrator: {error.told}")
        return error.exit_code


def serve(claim: Claim) -> int:
    """Take the task up, live, and leave; whatever goes wrong in between becomes an ending with its reason."""
    lease = claim.lease or Lease(claim.token, identity.here())
    claim.begin(replace(lease, owner=identity.here(), starting_until=None))
    os.environ[MARK] = mark(claim.queue.root, claim.token)  # a git of ours that outlives us must not move the base later
    settings = config.from_json(lease.settings)
    folders = (claim.queue.root.parent, *((Path(settings.repo),) if settings.repo else ()))
    claim.mask = secrets.collect(os.environ, folders, commands=(settings.agent_cmd or "", *settings.hooks.values()))
    pulse = Pulse(claim, lease.ttl)
    pulse.listen()
    record = claim.record()
    if ending := unfinished_release(record, lease):
        return leave(claim, pulse, record, ending)
    scratch = claim.queue.scratch(claim.token)
    try:
        return work_on(claim, pulse, settings, lease, record, scratch)
    finally:
        clearing.remove(scratch)


def work_on(claim: Claim, pulse: Pulse, settings: Settings, lease: Lease, record: Record | None, scratch: Path) -> int:
    """From taking the task up to letting it go. What the agent left is kept whatever happens."""
    work: Work | None = None
    space: Space | None = None
    code = 0
    try:
        work = opening.take_up(claim, pulse, settings, lease, record, scratch)
        space = opening.find_space(work)
        ending = life.live(work, space)
        report.leave(work, ending)
    except Exception as error:  # noqa: BLE001 - the one place that turns every failure into an ending
        keep_work(work, space)
        record = work.record if work else record
        ending, code = ending_of(error, record, settings, claim.mask)
        give_up(work, space, ending)
    return leave(claim, pulse, work.record if work else record, ending) or code


def ending_of(error: Exception, record: Record | None, settings: Settings, mask: Masker) -> tuple[Ending, int]:
    """How a claim ends that could not be worked to its end, and the exit code. Raises ClaimLost where nothing may be written."""
    match error:
        case ClaimLost():
            raise error
        case Stopped() | Leaving():
            return stopped(error.request) if isinstance(error, Stopped) else error.ending, 0
        case SpecError():
            return blocked(Reason.BENCHMARK_DEFECT, str(error)), 0
        case seal.CantSeal():
            return blocked(Reason.BENCHMARK_DEFECT, error.told), 0
        case RepositoryError():
            return blocked(Reason.REPO, error.told), 0
        case AgentError() | SetupFailed():
            return blocked(Reason.SETUP, error.told), 0
        case OrchestratorError():
            return later(record, settings, error.told), 0
        case OSError():  # a full disk, a folder without permissions
            return later(record, settings, system_said(error, record, settings)), 0
    log(mask.text("".join(traceback.format_exception(error))))
    return our_fault(error, record, settings), 3


def system_said(error: OSError, record: Record | None, settings: Settings) -> str:
    """What the system refused, and where: a write to an open file names none, so the places that may be full are looked at."""
    problem = error.strerror or str(error)
    if error.filename is not None:
        told = f"{problem}: {os.fsdecode(error.filename)}"
        return f"{told}. See whose that is: this user needs permission there." if isinstance(error, PermissionError) else told
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return problem
    import tempfile

    places = dict.fromkeys(filter(None, (settings.tasks, record.repo if record else settings.repo, tempfile.gettempdir())))
    full = [place for place in places if room.is_full(place)]
    return f"{problem}: {' and '.join(full)}" if full else f"{problem}: one of {', '.join(places)}"


def our_fault(error: Exception, record: Record | None, settings: Settings) -> Ending:
    """It may pass by itself; after so many in a row it won't."""
    detail = f"a fault of the orchestrator itself ({type(error).__name__}: {error}); the worker's log tells more"
    if record and record.backoffs >= FAULTS:
        return blocked(Reason.FAULT, f"{detail}. It has ended {record.backoffs} claims in a row before")
    return later(record, settings, detail)


def stopped(request: StopRequest) -> Ending:
    """Asked to stop: the task goes where the request says."""
    match request:
        case StopRequest.LOST:
            raise ClaimLost("The task's folder was moved.")
        case StopRequest.BLOCK:
            return blocked(Reason.STOPPED, TAKEN_OUT[Reason.STOPPED])
        case StopRequest.CANCEL:
            return blocked(Reason.CANCELLED, TAKEN_OUT[Reason.CANCELLED])
    return Ending(State.PENDING)


def keep_work(work: Work | None, space: Space | None) -> None:
    """Save what lies in the worktree. Where even that fails it stays there, and the next claim saves it."""
    if work is None or space is None:
        return
    try:
        space.save_cut(work)
    except Stopped:
        return  # all is saved; only furnishing the worktree again was cut short, and the next claim does that
    except (OrchestratorError, OSError) as error:
        log(f"what the agent left could not be saved yet: {error}")


def give_up(work: Work | None, space: Space | None, ending: Ending) -> None:
    """What a person finds on the branch is verified work and no conflict's markers. Where that can't be had now, whoever queues
    the task again has it done (`convergence.requeued`)."""
    if work is None or space is None:
        return
    with suppress(Stopped, OrchestratorError, OSError):
        resolution.blocked(work, space, ending)


def log(text: str) -> None:
    """Into the worker's log, which may lie on the full disk that this tells of: that must not cost the claim."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def unfinished_release(record: Record | None, lease: Lease) -> Ending | None:
    """The dead owner had written its last word and not yet moved the folder: that word stands."""
    if record is None or lease.previous is None or not record.last_word_of(lease.previous):
        return None
    wait = None if record.ended else record.not_before
    return Ending(record.destination, record.reason, record.detail or "", wait, record.landed)


def words_of(ending: Ending, record: Record) -> str:
    """How it ends, in words. Whoever reads why a task is blocked is the one who may queue it again, and `retry` takes for a
    person's own what changed while an agent ran: that is said there, too."""
    doubt = record.doubt or ""
    if ending.state is not State.BLOCKED or not doubt or doubt in ending.detail:
        return ending.detail
    return f"{ending.detail}; and {doubt}: `retry` takes that for yours, so put it right before if it isn't"


def later(record: Record | None, settings: Settings, detail: str) -> Ending:
    """Something that may pass by itself: wait, twice as long each time."""
    wait = convergence.backoff(record.backoffs if record else 0, settings.backoff, settings.backoff_max)
    return Ending(State.PENDING, Reason.BACKOFF, detail, time.time() + wait, failed=True)


def leave(claim: Claim, pulse: Pulse, record: Record | None, ending: Ending) -> int:
    """Last word into the record, then the rename that makes it true. Where that can't be now, keep trying: the claim is held.

    Asked to stop meanwhile, let go: the word is in the record, and whoever finds the owner dead makes it true.
    """
    record = record or claim.fresh_record()
    final = replace(
        record,
        reason=ending.reason,
        detail=words_of(ending, record) or None,
        not_before=ending.not_before,
        backoffs=record.backoffs + ending.failed,
        stage=None,
    )
    told = False
    while True:
        try:
            claim.release(ending.state, final)
        except StoreError as error:
            if not told:
                log(error.told)
                claim.event("notice", detail=f"it can't be let go of yet: {error.told}")
                told = True
            if pulse.beat():
                return 0
            time.sleep(RETRY)
        else:
            return 0
