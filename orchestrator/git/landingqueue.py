"""The landing queue of a repository: who waits to land, in the order they came, and what a leader asks of them.

Files in git's own folder, and none of them a fact. Of a ticket `000003-c7f3a1d2` the number is the order and the rest the
identity; it counts while its owner holds its flock, so after any kill, or a power cut, whoever looks next removes it.
`.ask` is written beside it by the leader, who holds the landing lock, and removed by him or the next one; `.answer` by the
ticket's owner. A good answer is a promise until one of two removes it: its owner, who is free then, or the leader, who
counts on it from then on.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.value import Value
from orchestrator.git import refs
from orchestrator.git.repository import Repository
from orchestrator.store import durable, locks

ASK, ANSWER = ".ask", ".answer"
NEW = ".new.tmp"  # how a file that is being written ends, after a dot and its name


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Wish(Value):
    """What a task wants to land: the commit `tip`, whose work began at `began`, on the branch `base`; and what a commit that
    lands it with others says of it. `alone`: it may be no part of a batch."""

    task: str
    base: str
    tip: str
    began: str
    alone: bool
    title: str
    evidence: str
    trailers: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ask(Value):
    """A leader's question: does `new`, the `sides` of these `tasks` merged into `old`, hold for yours? No two have one `key`."""

    base: str
    old: str
    new: str
    sides: tuple[str, ...]
    tasks: tuple[str, ...]
    key: str = field(default_factory=lambda: os.urandom(8).hex())


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Answer(Value):
    """What a member says to the ask with this key: why not, or where `refused` is empty, yes."""

    key: str
    refused: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Ticket(Value):
    """A place in the queue that is ours, for as long as the block runs that made it."""

    queue: LandingQueue
    name: str

    def ahead(self) -> int:
        """How many came before and still wait."""
        return self.queue.waiting().index(self.name)

    def ask(self) -> Ask | None:
        return self.queue.asked(self.name)

    def say(self, answer: Answer) -> None:
        self.queue.put(self.name + ANSWER, answer, "answer")

    def retract(self) -> bool:
        """Take the answer back; False where there is none (any more): then a leader counts on it."""
        return self.queue.take(self.name)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LandingQueue(Value):
    """The queue in `folder`, which exists once somebody had to wait."""

    folder: Path

    # --- whoever looks ----------------------------------------------------------------------------------------------

    def waiting(self) -> list[str]:
        """The tickets of the living, in their order."""
        return [name for name in self._tickets() if self.alive(name)]

    def first(self) -> str | None:
        """The one whose turn is next."""
        return next((name for name in self._tickets() if self.alive(name)), None)

    def alive(self, name: str) -> bool:
        """Whether the ticket's owner waits. What a dead one left is removed."""
        try:
            descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if not locks.try_shared(descriptor):
                return True
            if locks.try_exclusive(descriptor):  # else another one looks too, and removes it
                self._remove(name)
            return False
        finally:
            os.close(descriptor)

    def _tickets(self) -> list[str]:
        return sorted(name for name in refs.names(self.folder) if "." not in name)

    # --- whoever waits ----------------------------------------------------------------------------------------------

    @contextmanager
    def enter(self, wish: Wish) -> Iterator[Ticket]:
        """Wait behind all who wait already. A kill leaves a ticket that nobody holds."""
        durable.mkdir(self.folder, point="landing")
        name, descriptor = self._make()
        try:
            os.pwrite(descriptor, json.dumps(asdict(wish)).encode(), 0)
            yield Ticket(self, name)
        finally:
            self._remove(name)
            os.close(descriptor)

    def _make(self) -> tuple[str, int]:
        while True:
            number = max((int(name.partition("-")[0]) for name in self._tickets()), default=0) + 1
            name = f"{number:06d}-{os.urandom(4).hex()}"
            descriptor = durable.open_lock(self.folder / name, point="ticket", new=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # a looker may have it for a microsecond
            if os.fstat(descriptor).st_nlink:
                return name, descriptor
            os.close(descriptor)  # taken for a dead one's between the two lines above

    def _remove(self, name: str) -> None:
        """The answer first: without its ticket nobody would find it."""
        for left in (f".{name}{ANSWER}{NEW}", f"{name}{ANSWER}", name):
            durable.unlink(self.folder / left, point="ticket.drop")

    # --- the leader, under the landing lock -------------------------------------------------------------------------

    def wish(self, name: str) -> Wish | None:
        """What the ticket's owner wants; None where he has not written it yet, or in another version's words."""
        with suppress(TypeError):
            return Wish(**(self._read(name) or {}))
        return None

    @contextmanager
    def asking(self, names: Iterable[str], ask: Ask) -> Iterator[None]:
        """Ask these, and call it off afterwards: what has landed by then they see at the base. A kill leaves asks, which nobody
        heeds once the lock is free, and the next leader removes."""
        try:
            for name in names:
                self.put(name + ASK, ask, "ask")
            yield
        finally:
            self.call_off()

    def call_off(self) -> None:
        """Whatever was asked, be it by a dead leader, is not asked any more."""
        for name in refs.names(self.folder):
            if name.endswith((ASK, ASK + NEW)):
                durable.unlink(self.folder / name, point="ask.call-off")

    def answer(self, name: str, ask: Ask) -> Answer | None:
        """What the ticket's owner says to this ask, None so far."""
        data = self._read(name + ANSWER)
        return Answer(**data) if data and data["key"] == ask.key else None

    def take(self, name: str) -> bool:
        """Remove the ticket's answer: of leader and owner only one can."""
        return durable.unlink(self.folder / (name + ANSWER), point="answer.take")

    # --- files ------------------------------------------------------------------------------------------------------

    def asked(self, name: str) -> Ask | None:
        data = self._read(name + ASK)
        return Ask(**{**data, "sides": tuple(data["sides"]), "tasks": tuple(data["tasks"])}) if data else None

    def put(self, name: str, what: Ask | Answer, point: str) -> None:
        durable.write(self.folder / name, json.dumps(asdict(what)).encode(), point=point, durable=False)

    def _read(self, name: str) -> dict[str, Any] | None:
        with suppress(FileNotFoundError, ValueError):
            found: dict[str, Any] = json.loads((self.folder / name).read_bytes())
            return found
        return None


def of(repo: Repository) -> LandingQueue:
    return LandingQueue(repo.landing_queue)
