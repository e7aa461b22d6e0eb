"""Several tasks that wait to land, landed as one tested commit by the one whose turn it is.

Its parents are the base and each task's work, so the base's own history gets one commit that every member's evaluator and
gates have agreed to, each in its own worker, all at the same time. One that says no halves the batch, the leader's half
first, and one that has gone leaves it; who is left out keeps his place in the landing queue. A leader alone lands as if
nobody waited.

What a SIGKILL of the leader leaves: before the base moves, members whose intents the next of them takes back with the
checkouts, once it is his turn (`member.settle`); after it, records whose intents say it, from which each finds itself
landed, be it the same worker or the next. Of a member: before its answer is taken, a batch that is red; after it, an intent.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.gates import JUDGE
from orchestrator.core.value import Value
from orchestrator.git import landingqueue, merge
from orchestrator.git.identity import with_trailers
from orchestrator.git.landingqueue import Ask, LandingQueue, Wish
from orchestrator.git.repository import Repository
from orchestrator.store import locks
from orchestrator.store.locks import LockProof
from orchestrator.worker import landing, merging
from orchestrator.worker.gates.asked import asked
from orchestrator.worker.landing import LandEnd, LandOutcome
from orchestrator.worker.setup import SetupFailed
from orchestrator.worker.work import Work
from orchestrator.worker.workspace import Workspace

LARGEST = 8  # members; each of them runs its benchmark at the same time
SUBJECT = 100  # characters


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Batch(Value):
    """What is to land together: the ask, and the tickets of those asked; the leader has none, and its task is the first."""

    ask: Ask
    tickets: tuple[str, ...]


def land(work: Work, space: Workspace, proof: LockProof) -> LandOutcome | None:
    """Land this task with those that wait behind it; None where it has to be alone."""
    queue = landingqueue.of(space.repo)
    queue.call_off()
    mine, old = wish(work, space), space.base_tip(work)
    waiting = fellows(queue, mine)
    while waiting and fits(space.repo, mine, old):
        batch = build(work, space, old, mine, waiting)
        if batch is None:
            return None
        outcome = attempt(work, space, queue, batch, proof)
        if outcome.end in (LandEnd.LANDED, LandEnd.MOVED):
            return outcome
        work.event("bisect", commit=batch.ask.new, members=list(batch.ask.tasks), detail=outcome.detail)
        waiting = {name: waiting[name] for name in fewer(queue, batch)} if outcome.end is LandEnd.REJECTED else {}
    return None


def fewer(queue: LandingQueue, batch: Batch) -> tuple[str, ...]:
    """Whom to try it with next: those that have not gone, and where nobody has, the first half."""
    there = tuple(name for name in batch.tickets if queue.alive(name))
    return there if len(there) < len(batch.tickets) else there[: len(there) // 2]


def wish(work: Work, space: Workspace) -> Wish:
    """What this task wants to land. A judge costs money, so it is asked about what will land and nothing else."""
    assert work.record.base is not None
    title, evidence, trailers = merging.told(work, space)
    judged = any(gate.name == JUDGE for gate in asked(work))
    return Wish(
        task=work.name,
        base=work.record.base,
        tip=space.tip,
        began=work.record.base_commit or "",
        alone=work.optimizing or work.holding or judged,
        title=title,
        evidence=evidence,
        trailers=trailers,
    )


def fellows(queue: LandingQueue, mine: Wish) -> dict[str, Wish]:
    """Who else waits to land on the same base and may do so in a batch, by ticket, in their order."""
    if mine.alone:
        return {}
    wishes = {name: found for name in queue.waiting() if (found := queue.wish(name)) is not None}
    same = [name for name, found in wishes.items() if found.base == mine.base and not found.alone]
    return {name: wishes[name] for name in same[: LARGEST - 1]}


def fits(repo: Repository, wanted: Wish, old: str) -> bool:
    """Whether it is new to the base, and begun at a commit that the base still has; else it needs a landing of its own."""
    if wanted.began == old:
        return wanted.tip != old
    return merge.contains(repo, old, wanted.began) and not merge.contains(repo, old, wanted.tip)


def build(work: Work, space: Workspace, old: str, mine: Wish, waiting: dict[str, Wish]) -> Batch | None:
    """The commit of all that go together, in their order; None where nobody goes with this task."""
    fitting = {name: found for name, found in waiting.items() if fits(space.repo, found, old)}
    joined = merging.joined(work, space, old, [mine.tip, *(found.tip for found in fitting.values())])
    members = {name: found for name, found in fitting.items() if found.tip in joined.sides}
    if not members or mine.tip not in joined.sides:
        return None
    wishes = (mine, *members.values())
    new = merge.commit(space.repo, joined.tree, (old, *joined.sides), message(wishes))
    return Batch(Ask(mine.base, old, new, joined.sides, tuple(each.task for each in wishes)), tuple(members))


def message(wishes: tuple[Wish, ...]) -> str:
    """What the commit says: every task with its evidence, and one task's trailers after the other's."""
    names = ", ".join(each.task for each in wishes)
    subject = f"{len(wishes)} tasks: {names}"
    parts = [f"{each.task}: {each.title}\n{each.evidence}" for each in wishes]
    shown = subject if len(subject) <= SUBJECT else f"{subject[:SUBJECT]}…"
    return with_trailers("\n\n".join([shown, *parts]), *(each.trailers for each in wishes))


def attempt(work: Work, space: Workspace, queue: LandingQueue, batch: Batch, proof: LockProof) -> LandOutcome:
    """Ask everybody and oneself, then move the base, once all have agreed."""
    ask = batch.ask
    work.event("batch", commit=ask.new, members=list(ask.tasks))
    with queue.asking(batch.tickets, ask):
        refused = refusal(work, space, ask) or objection(work, queue, batch)
        work.pulse.check()
        if refused := refused or counted(queue, batch):
            return LandOutcome(LandEnd.REJECTED, refused, merged=ask.new, base=ask.old)
        return landing.advance(work, space, ask.old, ask.new, proof, side=space.tip)


def refusal(work: Work, space: Workspace, ask: Ask) -> str:
    """Why the batch does not hold for this task, empty where it does. It may be another's fault, so no prompt tells of it."""
    feedback, verdicts = work.feedback, work.verdicts
    try:
        rejected = landing.reject(work, space, merging.compared(work, space, ask), ask.new)
        refused = rejected.detail if rejected else ""
    except SetupFailed as error:
        refused = error.message
    if refused:
        work.feedback, work.verdicts = feedback, verdicts
    return work.mask.text(refused)  # another task's worker will tell it, who doesn't know this one's secrets


def objection(work: Work, queue: LandingQueue, batch: Batch) -> str:
    """The first member that says no, or has gone; empty once all have said yes."""
    members = dict(zip(batch.tickets, batch.ask.tasks[1:], strict=True))
    waits = locks.growing()
    while members:
        answers = {name: queue.answer(name, batch.ask) for name in members}
        for name, answer in answers.items():
            if answer is not None and answer.refused:
                return f"{members[name]}: {answer.refused}"
            if answer is None and not queue.alive(name):
                return f"{members[name]} has gone"
        members = {name: members[name] for name, answer in answers.items() if answer is None}
        if members:
            work.pulse.wait(next(waits))
    return ""


def counted(queue: LandingQueue, batch: Batch) -> str:
    """Hold everybody to his word: from here on nobody can take it back. Says who was quicker, or has died meanwhile."""
    for name, task in zip(batch.tickets, batch.ask.tasks[1:], strict=True):
        if not (queue.alive(name) and queue.take(name)):
            return f"{task} has gone"
    return ""
