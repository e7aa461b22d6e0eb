"""The landing queue's files: who counts as waiting, in which order, and who may take an answer back."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
from support.processes import until

from orchestrator.git import landingqueue
from orchestrator.git.landingqueue import ANSWER, ASK, Answer, Ask, LandingQueue, Wish

WISH = Wish("x", "main", "1" * 40, "0" * 40, alone=False, title="X", evidence="", trailers={"Task": "x"})
ASKED = Ask("main", "0" * 40, "2" * 40, ("1" * 40,), ("y", "x"))


@pytest.fixture
def queue(tmp_path: Path) -> LandingQueue:
    return LandingQueue(tmp_path / "landing")


def left(queue: LandingQueue) -> list[str]:
    return sorted(path.name for path in queue.folder.iterdir())


def test_nobody_waits_where_nobody_ever_did(queue: LandingQueue) -> None:
    assert (queue.waiting(), queue.first()) == ([], None)


def test_tickets_are_in_the_order_of_arrival_whoever_leaves_between(queue: LandingQueue) -> None:
    with queue.enter(WISH) as first:
        with queue.enter(WISH) as second:
            with queue.enter(WISH) as third:
                assert queue.waiting() == [first.name, second.name, third.name]
                assert [ticket.ahead() for ticket in (first, second, third)] == [0, 1, 2]
            with queue.enter(WISH) as fourth:
                assert queue.waiting() == [first.name, second.name, fourth.name]
                assert queue.first() == first.name
    assert left(queue) == []


def _die(queue: LandingQueue) -> None:
    with queue.enter(WISH) as ticket:
        ticket.say(Answer("key"))
        os._exit(0)


def test_a_ticket_whose_owner_died_is_removed_with_its_answer_and_stands_in_nobody_s_way(queue: LandingQueue) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_die, args=(queue,))
    process.start()
    process.join()
    assert len(left(queue)) == 2
    with queue.enter(WISH) as ticket:
        assert queue.first() == ticket.name
        assert left(queue) == [ticket.name]


def test_a_ticket_that_a_looker_took_for_a_dead_one_s_is_made_anew(queue: LandingQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its making and its lock nobody holds it, and a look in that moment removes it."""
    plain, looked = landingqueue.durable.open_lock, []

    def opened(path: Path, **how: object) -> int:
        descriptor = plain(path, **how)  # type: ignore[arg-type]
        if not looked:
            looked.append(queue.first())
        return descriptor

    monkeypatch.setattr(landingqueue.durable, "open_lock", opened)
    with queue.enter(WISH) as ticket:
        assert looked == [None]
        assert queue.waiting() == [ticket.name] == left(queue)


def test_a_wish_that_is_half_written_or_in_another_version_s_words_is_none(queue: LandingQueue) -> None:
    with queue.enter(WISH) as ticket:
        assert queue.wish(ticket.name) == WISH
        for text in ('{"task": "x', '{"task": "x", "speed": 7}'):
            (queue.folder / ticket.name).write_text(text)
            assert queue.wish(ticket.name) is None


def test_what_is_asked_is_heard_until_it_is_called_off(queue: LandingQueue) -> None:
    with queue.enter(WISH) as ticket:
        with queue.asking([ticket.name], ASKED):
            assert ticket.ask() == ASKED
            ticket.say(Answer(ASKED.key, "no"))
            assert queue.answer(ticket.name, ASKED) == Answer(ASKED.key, "no")
            assert queue.answer(ticket.name, Ask("main", "0" * 40, "2" * 40, (), ())) is None  # it was no answer to that
        assert ticket.ask() is None


def test_of_leader_and_owner_only_one_can_take_an_answer(queue: LandingQueue) -> None:
    with queue.enter(WISH) as ticket:
        ticket.say(Answer(ASKED.key))
        assert queue.take(ticket.name)
        assert not ticket.retract()


def test_what_a_dead_leader_asked_is_called_off_by_the_next_one(queue: LandingQueue) -> None:
    with queue.enter(WISH) as ticket:
        queue.put(ticket.name + ASK, ASKED, "ask")
        (queue.folder / f".000009-aaaaaaaa{ASK}.new.tmp").touch()
        (queue.folder / f"000009-aaaaaaaa{ASK}").touch()
        ticket.say(Answer(ASKED.key))
        queue.call_off()
        assert left(queue) == [ticket.name, ticket.name + ANSWER]


def _come(queue: LandingQueue, number: int, folder: Path) -> None:
    with queue.enter(WISH) as ticket:
        (folder / f"{number}").write_text(ticket.name)
        until((folder / "enough").exists)


def test_many_that_come_at_once_have_a_place_each_and_see_the_same_order(queue: LandingQueue, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.mkdir()
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_come, args=(queue, number, names)) for number in range(4)]
    for process in processes:
        process.start()
    until(lambda: len([path for path in names.iterdir() if path.read_text()]) == 4, "all have a ticket")
    assert queue.waiting() == sorted(path.read_text() for path in names.iterdir())
    (names / "enough").touch()
    for process in processes:
        process.join()
    assert (process.exitcode, left(queue)) == (0, [])
