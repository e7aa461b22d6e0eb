"""From a verified commit to the base branch, top to bottom, under the repository's landing lock, in the order of arrival.

Merge onto the base as it is now, measure exactly that commit, then let the base point to it if it still is where
it was. The intent is in the record before anything of the user's changes, so that whoever comes after a kill can
finish it or take it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.core.record import Intent, Landed
from orchestrator.core.spec import Land
from orchestrator.core.task import Stage
from orchestrator.core.value import Value
from orchestrator.git import changes, checkouts, merge, refs
from orchestrator.git.changes import Change
from orchestrator.store import locks
from orchestrator.store.locks import LockProof, Take
from orchestrator.worker import merging, verify
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work
from orchestrator.worker.workspace import Workspace

TRIES = 5  # how often the base may move under us before the task waits


class LandEnd(StrEnum):
    LANDED = "landed"
    CONFLICT = "conflict"  # detail names the files
    REJECTED = "rejected"  # the merged commit did not hold what the branch held; `merged` is that commit
    WAITS = "waits"  # a checkout of the base is in the way; detail names it
    MOVED = "moved"  # the base kept moving
    UNSENT = "unsent"  # it could not be pushed, or no pull request opened; detail says why
    REFUSED = "refused"  # the same, and only a person can change that


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LandOutcome(Value):
    end: LandEnd
    detail: str = ""
    landed: Landed | None = None
    merged: str | None = None
    base: str | None = None
    conflict: merge.Conflict | None = None


def land(work: Work, space: Space) -> LandOutcome:
    """Land the verified commit `space.tip`, or keep it on its branch where the spec says so."""
    work.enter(Stage.LAND)
    if not isinstance(space, Workspace):
        return LandOutcome(LandEnd.LANDED, landed=Landed(None, None, "none"))
    space.hold(work)
    if work.spec.land is Land.PR:
        from orchestrator.worker import proposing  # only tasks that ask for it pay for its imports

        return proposing.propose(work, space)
    if work.spec.land is not Land.MERGE:
        how = "branch" if work.spec.land is Land.BRANCH else "none"
        return LandOutcome(LandEnd.LANDED, landed=Landed(space.tip, work.record.base, how))
    with locks.asking(space.repo.landing_lock) as take:
        turn = await_turn(work, space, take)
        return merge_in(work, space, turn) if isinstance(turn, LockProof) else LandOutcome(LandEnd.LANDED, landed=turn)


def await_turn(work: Work, space: Workspace, take: Take) -> LockProof | Landed:
    """The landing lock: at once where nobody has it and nobody waits, else in the order of arrival. Whoever waits may land in
    another's batch before."""
    if not others(space) and (proof := take()):
        return proof
    from orchestrator.worker import member

    return member.wait(work, space, take)


def merge_in(work: Work, space: Workspace, proof: LockProof) -> LandOutcome:
    """Onto the base as it is, again where that moves: together with those that wait, or alone."""
    for _ in range(TRIES):
        outcome = together(work, space, proof) or land_once(work, space, proof)
        if outcome.end is not LandEnd.MOVED:
            return outcome
    return LandOutcome(LandEnd.MOVED, f"{work.record.base} moved {TRIES} times while this was landing")


def together(work: Work, space: Workspace, proof: LockProof) -> LandOutcome | None:
    """In one commit with tasks that wait behind it; None where there are none, or it does not go with them."""
    if not others(space):
        return None
    from orchestrator.worker import batch

    return batch.land(work, space, proof)


def others(space: Workspace) -> bool:
    """Whether anybody waits to land there, or a dead one has left something: a task that lands alone pays for no more than
    this look into a folder."""
    return bool(refs.names(space.repo.landing_queue))


def land_once(work: Work, space: Workspace, proof: LockProof) -> LandOutcome:
    """One try onto the base as it is now."""
    old = space.base_tip(work)
    moved = old != work.record.base_commit
    met = merge.bases(space.repo, old, space.tip) if moved else ()
    if space.tip in (old, *met):
        return nothing_new(work, space, old)
    merged = merging.merged(work, space, old, met) if moved else merge.Merged(f"{space.tip}^{{tree}}", space.tip)
    if isinstance(merged, merge.Conflict):
        return LandOutcome(LandEnd.CONFLICT, ", ".join(merged.files), base=old, conflict=merged)
    known = None if moved else space.changed_since(old)  # onto an unmoved base, the merge holds what the task branch holds
    changed = changes.changed(space.repo, old, merged.tree) if known is None else known
    if not changed:
        return nothing_new(work, space, old)
    new = merging.commit(work, space, merged, old)
    if moved and (rejected := reject(work, space, old, new)):
        return rejected
    work.pulse.check()
    return advance(work, space, old, new, proof, changed=changed)


def nothing_new(work: Work, space: Workspace, old: str) -> LandOutcome:
    """The base holds all of it already: a person merged it, be it squashed or picked, or the agent found nothing left to do. It
    has to hold there, too."""
    there = LandOutcome(LandEnd.LANDED, landed=Landed(old, work.record.base, "none", merged=old))
    return there if space.tip == old else reject(work, space, old, old) or there


def standing(work: Work, space: Space, result: Landed) -> Landed:
    """`result`; or where nothing was to be landed, what the task had merged before it was queued again, if the base has it still:
    that is where its work is, and can be undone. After a kill it is found again: the record has it until the result is there."""
    earlier = work.record.earlier
    if result.how != "none" or earlier is None or earlier.commit is None or not isinstance(space, Workspace):
        return result
    return earlier if merge.contains(space.repo, space.base_tip(work), earlier.commit) else result


def reject(work: Work, space: Workspace, old: str, new: str) -> LandOutcome | None:
    """Why the merged commit does not hold, None where it does: the same evaluator and gates, on exactly that commit."""
    if short := falls_short(work, space, old, new):
        return LandOutcome(LandEnd.REJECTED, f"after merging the base: {short}", merged=new, base=old)
    if refused := verify.refusal(work, space, new, old if new != old else None):
        return LandOutcome(LandEnd.REJECTED, f"after merging the base, {refused.name}: {refused.reason}", merged=new, base=old)
    if not verify.hidden(work, space, new):
        return LandOutcome(LandEnd.REJECTED, f"after merging the base, holdout: {verify.MISSED}", merged=new, base=old)
    return None


def falls_short(work: Work, space: Workspace, old: str, new: str) -> str | None:
    """What the merged commit lacks: its target, or where it had none, that it is better than the base it lands on."""
    if work.holding:
        from orchestrator.worker import comparing

        return comparing.still_better(work, space, old, new) if new != old else None
    before = verify.guards_at(work, space, old) if new != old else work.record.baseline
    streak = verify.merged(work, space, new, before)
    if streak.passed:
        return None
    work.feedback = streak.missed.output if streak.missed else work.feedback
    return streak.detail


def advance(
    work: Work,
    space: Workspace,
    old: str,
    new: str,
    proof: LockProof,
    *,
    changed: Sequence[Change] | None = None,
    side: str | None = None,
) -> LandOutcome:
    """Intent, checkouts of the base, the base itself: in this order, each undone by recovery if the next never came. `changed`:
    between the two, where it is known; `side`: what of a batch is this task's."""
    assert work.record.base is not None
    work.save(intent=Intent(work.record.base, old, new, side=side))
    result = checkouts.advance(space.repo, work.record.base, old, new, proof, changed=changed)
    if isinstance(result, checkouts.Advanced):
        return LandOutcome(LandEnd.LANDED, landed=Landed(new, work.record.base, "merge", side=side))
    work.save(intent=None)
    if isinstance(result, checkouts.Moved):
        return LandOutcome(LandEnd.MOVED)
    return LandOutcome(LandEnd.WAITS, "; ".join(str(blocker) for blocker in result.blockers))
