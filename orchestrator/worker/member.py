"""Waiting for one's turn to land, and being part of what others land meanwhile.

Asked by a leader, a member verifies the batch as it would verify its own merge, writes its intent down, and only then says
yes: whoever is killed after that, the record tells the next claim what to look for. Until its yes is counted it may leave.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.record import Intent, Landed
from orchestrator.git import checkouts, landingqueue, merge, repository
from orchestrator.git.landingqueue import Answer, Ask, Ticket
from orchestrator.store import locks
from orchestrator.store.locks import LockProof, Take
from orchestrator.worker import batch
from orchestrator.worker.pulse import Stopped
from orchestrator.worker.work import Work
from orchestrator.worker.workspace import Workspace


def wait(work: Work, space: Workspace, take: Take) -> LockProof | Landed:
    """The landing lock once it is this task's turn, in the order of arrival; or where it has landed before, in a batch."""
    with landingqueue.of(space.repo).enter(batch.wish(work, space)) as ticket:
        member = Member(work, space, ticket, take)
        work.event("landing_waits", ahead=member.tell(None))
        try:
            return member.turn()
        except Stopped:
            if landed := member.leave():
                return landed
            raise
        finally:
            work.note(detail=None)


@dataclass(slots=True)
class Member:
    """`heard` is the ask that was answered last, `promised` the one that was agreed to: its intent is in the record. `looked`
    is where the base was found without it."""

    work: Work
    space: Workspace
    ticket: Ticket
    take: Take
    heard: Ask | None = None
    promised: Ask | None = None
    looked: tuple[str, ...] = ()

    def turn(self) -> LockProof | Landed:
        """Look again and again: has it landed, is anything asked, is it our turn?"""
        waits = locks.growing()
        while True:
            ask = self.ticket.ask()
            if landed := self.fate(ask):
                return landed
            ahead = self.tell(ask)
            if ask and ask != self.heard:
                self.answer(ask)
            elif not ahead and (proof := self.take()):
                return self.settle() or proof
            else:
                self.work.pulse.wait(next(waits))

    def tell(self, ask: Ask | None) -> int:
        """Show what it waits for, as that is by now; how many came before it and still wait."""
        ahead = self.ticket.ahead()
        turn = f"waits for its turn{f', {ahead} before it' if ahead else ''}"
        told = f"one of {len(ask.tasks)} to land together: {', '.join(ask.tasks)}" if ask else turn
        if told != self.work.record.detail:
            self.work.note(detail=told)
        return ahead

    def answer(self, ask: Ask) -> None:
        """Yes or no; nothing where it was called off meanwhile. A kill before the answer is written leaves an intent that the
        base never has; after it, one that it may get."""
        self.heard = ask
        self.work.event("batch", commit=ask.new, members=list(ask.tasks))
        refused = batch.refusal(self.work, self.space, ask)
        if self.ticket.ask() != ask:
            return
        if not refused:
            self.work.save(intent=Intent(ask.base, ask.old, ask.new, side=self.space.tip))
            self.promised = ask
        self.ticket.say(Answer(ask.key, refused))

    def fate(self, ask: Ask | None) -> Landed | None:
        """What became of the batch that was agreed to: landed, called off, or, while `ask` still asks it, open. The base moves
        before the ask goes, so it is looked at after it."""
        if self.promised is None:
            return None
        if self._there(self.promised):
            return self._landed(self.promised)
        if ask != self.promised:
            self._free()
        return None

    def settle(self) -> Landed | None:
        """We have the landing lock, so the leader is dead: his landing is finished, or taken back from the user's checkouts."""
        if (ask := self.promised) is None:
            return None
        if checkouts.recover(self.space.repo, ask.base, ask.old, ask.new):
            return self._landed(ask)
        self._free()
        return None

    def leave(self) -> Landed | None:
        """Asked to stop. A yes that was counted can't be taken back: it lands now, or its leader dies."""
        waits = locks.growing()
        counted = self.promised is not None and not self.ticket.retract()
        while self.promised is not None:
            if landed := self.fate(self.ticket.ask() if counted else None):
                return landed
            if self.promised is not None and self.take():
                return self.settle()
            self.work.pulse.nap(next(waits))
        return None

    def _there(self, ask: Ask) -> bool:
        tip = repository.find_branch(self.space.repo, ask.base)
        if tip is None or (ask.key, tip) == self.looked or tip == ask.old:
            return False
        if merge.contains(self.space.repo, tip, ask.new):
            return True
        self.looked = (ask.key, tip)
        return False

    def _landed(self, ask: Ask) -> Landed:
        return Landed(ask.new, ask.base, "merge", side=self.space.tip)

    def _free(self) -> None:
        """It was called off: the word is taken back, and the intent."""
        self.ticket.retract()
        self.work.save(intent=None)
        self.promised = None
