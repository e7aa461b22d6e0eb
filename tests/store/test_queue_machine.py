"""The queue against a model: claimers, zombies, people who move and copy folders, hosts that can't see each other's locks.

Whatever happens in whatever order, every task is in exactly one place, nobody holds one that another holds, a living
owner loses nothing to a reclaim, a dead one loses its task at once, and who was fenced off writes nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, precondition, rule

from orchestrator.core.lease import Lease
from orchestrator.core.record import Record
from orchestrator.core.task import Place, State
from orchestrator.errors import ClaimLost
from orchestrator.store import leases
from orchestrator.store.claim import Claim
from orchestrator.store.durable import Taken
from orchestrator.store.queue import Seen
from tests.support.queues import die, new_queue, other_host

NAMES = ("a", "ü b", "x.abcdef")
TTL = 60.0
MARK = "me"
PICK = st.integers(0, 11)


@dataclass
class Holder:
    """One claim as the model knows it: `alive` is the process, `inode` the folder it was given."""

    claim: Claim
    inode: int
    foreign: bool
    record: Record
    alive: bool = True
    begun: bool = False
    done: bool = False
    renewed: float = 0.0


class QueueMachine(RuleBasedStateMachine):
    holders = Bundle("holders")

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="queue-machine-"))
        with pytest.MonkeyPatch.context() as patch:
            self.queue = new_queue(self.base)
            self.elsewhere = other_host(self.queue, patch)
        self.queue.me()
        self.marks: dict[str, int] = {}  # every task ever made: its mark and its folder's inode
        self.all: list[Holder] = []
        self.now = 0.0
        self.seen: Seen = {}

    def teardown(self) -> None:
        for holder in self.all:
            if holder.claim.lock:
                holder.claim.lock.close()
        for queue in (self.queue, self.elsewhere):
            queue.owners.close()
        shutil.rmtree(self.base)

    @initialize()
    def three_tasks(self) -> None:
        for name in NAMES:
            self.drop(name, State.PENDING)

    # What people do

    @rule(name=st.sampled_from(NAMES), state=st.sampled_from([State.PENDING, State.PENDING, State.RUNNING, State.BLOCKED]))
    def drop(self, name: str, state: State) -> None:
        folder = self.queue.folder(state) / name
        if not folder.exists():
            folder.mkdir()
            self.mark(folder)

    @rule(name=st.sampled_from(NAMES))
    def publish(self, name: str) -> None:
        folder = self.queue.scratch()
        used = any(place.name == name for place in self.queue.places())
        try:
            place = self.queue.publish(folder, name)
        except Taken:
            assert used
            folder.rmdir()
        else:
            assert not used
            self.mark(self.queue.path(place))

    @rule(pick=PICK, state=st.sampled_from(list(State)), keep=st.booleans(), name=st.sampled_from((None, *NAMES)))
    def move_by_hand(self, pick: int, state: State, keep: bool, name: str | None) -> None:
        """`mv`, with the token left in the name or not, to the same name or another."""
        if place := self.some_place(pick):
            source = self.queue.path(place)
            target = self.queue.folder(state) / (place.folder if keep else name or place.name)
            if not target.exists():
                source.rename(target)

    @rule(pick=PICK, name=st.sampled_from(NAMES))
    def copy_by_hand(self, pick: int, name: str) -> None:
        place, target = self.some_place(pick), self.queue.folder(State.PENDING) / name
        if place and not target.exists():
            shutil.copytree(self.queue.path(place), target)
            self.mark(target)

    @rule(pick=PICK, state=st.sampled_from([State.PENDING, State.CONVERGED, State.BLOCKED]))
    def move_by_command(self, pick: int, state: State) -> None:
        if place := self.some_place(pick):
            taken = self.queue.path(place) != (target := self.queue.folder(state) / place.name) and target.exists()
            try:
                after = self.queue.move(place, state)
            except Taken:
                assert taken
            else:
                assert not taken
                assert self.queue.path(after).stat().st_ino == place.inode

    @rule(holder=holders, state=st.sampled_from([State.PENDING, State.PENDING, State.BLOCKED]), keep=st.booleans())
    def take_away_by_hand(self, holder: Holder, state: State, keep: bool) -> None:
        if holder.claim.held():
            target = self.queue.folder(state) / (holder.claim.folder.name if keep else holder.claim.name)
            if not target.exists():
                holder.claim.folder.rename(target)

    # What claimers do

    @rule(target=holders, name=st.sampled_from(NAMES), foreign=st.booleans(), begin=st.booleans())
    def take(self, name: str, foreign: bool, begin: bool) -> Any:
        queue = self.elsewhere if foreign else self.queue
        folder = self.queue.folder(State.PENDING) / name
        there = folder.is_dir()
        copied = there and self.queue.copied(folder, name, folder.stat().st_ino)  # the lease in it is the original's
        stopping = there and not copied and (last := leases.last(folder)) is not None and self.queue.owner_alive(last.token)
        claim = queue.take(name)
        assert (claim is not None) == (there and not stopping)
        if claim is None:
            assert folder.is_dir() == there
            return multiple()
        holder = self.hold(claim, foreign)
        if begin:
            self.begin(holder)
        return holder

    @rule(holder=holders)
    def work(self, holder: Holder) -> None:
        """Whoever holds a claim, or thinks so: a zombie finds out at its next step."""
        if holder.alive and not holder.begun:
            self.begin(holder)
        if not holder.done and holder.begun:
            held = holder.claim.held()
            if held and (record := holder.claim.record()):
                assert (record.name, record.inode) == (holder.claim.name, holder.inode)
            assert self.act(holder, lambda: holder.claim.save(holder.record)) == held
            assert self.act(holder, lambda: holder.claim.event("measured")) == held
            assert self.act(holder, holder.claim.heartbeat) == held
            assert self.act(holder, lambda: holder.claim.attempt_folder(1)) == held
            holder.renewed = self.now

    @rule(holder=holders, state=st.sampled_from([State.PENDING, State.CONVERGED, State.BLOCKED]))
    def release(self, holder: Holder, state: State) -> None:
        if holder.done or not holder.alive:
            return
        held, taken = holder.claim.held(), (self.queue.folder(state) / holder.claim.name).exists()
        inode = holder.claim.folder.stat().st_ino if held else 0
        try:
            holder.claim.release(state, holder.record)
        except ClaimLost:
            assert not held
        except Taken:
            assert held
            assert taken
            assert holder.claim.held()
            return
        else:
            assert held
            assert not taken
            assert (self.queue.folder(state) / holder.claim.name).stat().st_ino == inode
        self.end(holder)

    @rule(holder=consumes(holders))
    def kill(self, holder: Holder) -> None:
        if holder.alive and not holder.done:
            if holder.claim.lock:
                die(holder.claim)
            holder.alive = False

    # What loops do

    @rule(target=holders, seconds=st.sampled_from([0.0, 1.0, 29.0, 61.0]))
    def reclaim(self, seconds: float) -> Any:
        self.now += seconds
        before = {place.folder: place for place in self.queue.places((State.RUNNING,)) if place.token}
        found = {place.folder for place in self.queue.reclaimable(self.now, self.seen)}
        for folder, place in before.items():
            holder = self.holder_of(place)
            if holder and holder.alive and not holder.foreign:
                assert folder not in found, "a living owner's task was given away"
            if holder and holder.alive and holder.begun and self.now - holder.renewed < TTL:
                assert folder not in found, "a task was taken from a host that renewed its lease"
            if holder and not holder.alive and not holder.foreign and holder.begun and self.lease_of(place) == place.token:
                assert folder in found, "a dead owner's task was not found at once"
        if not found:
            return multiple()
        place = min((before[folder] for folder in found), key=self.by_age)
        claim = self.queue.reclaim(place)
        assert claim is not None
        assert not self.queue.path(place).exists()
        return self.hold(claim, foreign=False)

    @rule()
    def tidy(self) -> None:
        self.queue.sweep()
        for before, after in self.queue.settle_names():
            assert not self.queue.path(before).exists()
            assert after.folder == before.name
        for place in self.queue.places():
            if place.state is State.RUNNING:
                assert place.token or (self.queue.folder(State.PENDING) / place.name).exists()
            elif place.folder != place.name:
                assert (self.queue.folder(place.state) / place.name).exists()

    @precondition(lambda self: len(self.all) > 3)
    @rule()
    def everybody_dies(self) -> None:
        """A reboot: all locks are free, and every task that is here can be claimed again."""
        for holder in self.all:
            if holder.claim.lock:
                die(holder.claim)
            holder.alive = False
        self.queue.settle_names()

    # What always holds

    @invariant()
    def every_task_is_in_exactly_one_place(self) -> None:
        found = [(path / MARK).read_text() for state in State for path in self.queue.folder(state).iterdir()]
        assert sorted(found) == sorted(self.marks)

    @invariant()
    def every_folder_is_still_itself(self) -> None:
        for place in self.queue.places():
            assert self.marks[(self.queue.path(place) / MARK).read_text()] == place.inode

    @invariant()
    def nobody_holds_what_another_holds(self) -> None:
        held = [holder.claim.folder.stat().st_ino for holder in self.all if not holder.done and holder.claim.held()]
        assert len(held) == len(set(held))

    @invariant()
    def a_lock_belongs_to_somebody_who_lives(self) -> None:
        living = {holder.claim.token for holder in self.all if holder.claim.lock and not holder.done}
        for token in self.queue.owners.tokens():
            if self.queue.owner_alive(token):
                assert token in living or token in self.spares()

    # Inside

    def mark(self, folder: Path) -> None:
        mark = f"task {len(self.marks)}"
        (folder / MARK).write_text(mark)
        self.marks[mark] = folder.stat().st_ino

    def by_age(self, place: Place) -> int:
        """An order that is the same in every run: tokens and inodes are not."""
        return list(self.marks).index((self.queue.path(place) / MARK).read_text())

    def some_place(self, pick: int) -> Place | None:
        places = sorted(self.queue.places(), key=self.by_age)
        return places[pick % len(places)] if places else None

    def hold(self, claim: Claim, foreign: bool) -> Holder:
        holder = Holder(claim, claim.folder.stat().st_ino, foreign, claim.fresh_record())
        if foreign and claim.lock:
            die(claim)  # it lives on, but nobody here sees its lock
        self.all.append(holder)
        return holder

    def begin(self, holder: Holder) -> None:
        self.act(holder, lambda: holder.claim.begin(Lease(holder.claim.token, holder.claim.queue.me(), ttl=TTL)))
        holder.begun = True
        holder.renewed = self.now

    def act(self, holder: Holder, act: Any) -> bool:
        """Do it; whether the claim still held. A lost claim must leave no trace, which the invariants see."""
        held = holder.claim.held()
        try:
            act()
        except ClaimLost:
            assert not held
            return False
        assert held
        return True

    def end(self, holder: Holder) -> None:
        holder.done = True
        assert holder.claim.lock is None

    def holder_of(self, place: Place) -> Holder | None:
        return next((holder for holder in self.all if holder.claim.token == place.token and not holder.done), None)

    def lease_of(self, place: Place) -> str | None:
        lease = leases.last(self.queue.path(place))
        return lease.token if lease else None

    def spares(self) -> set[str]:
        return {lock.token for queue in (self.queue, self.elsewhere) for _, lock in queue.owners._spares}


QueueMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
TestQueueMachine = QueueMachine.TestCase
