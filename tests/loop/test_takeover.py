"""What dead owners left running is ended, and nothing of those that live."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from support.stage import STANDIN, Stage

from orchestrator.core.lease import Lease
from orchestrator.core.settings import Settings
from orchestrator.core.task import State, mark
from orchestrator.loop import takeover
from orchestrator.loop.mode import Mode
from orchestrator.loop.run import run
from orchestrator.proc import identity, tree
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue

Agent = subprocess.Popen[bytes]


@pytest.fixture
def agent(stage: Stage) -> Iterator[Callable[[str], Agent]]:
    """Starts a program that carries the mark of an owner."""
    started: list[Agent] = []

    def start(token: str) -> Agent:
        environ = {**os.environ, "ORCH_MARK": mark(stage.queue.root, token)}
        started.append(subprocess.Popen(["sleep", "600"], env=environ, start_new_session=True))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


def claimed(stage: Stage) -> Claim:
    claim = stage.queue.take("t")
    assert claim is not None
    return claim


def test_an_owner_that_was_only_being_made_when_it_was_looked_for_is_not_taken_for_a_dead_one(
    stage: Stage, agent: Callable[[str], Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.task("t")
    claim = claimed(stage)
    works = agent(claim.token)
    monkeypatch.setattr(Queue, "left", lambda _queue: [claim.token])  # as before it was locked, and a folder named after it
    takeover.end_strays(stage.queue)
    assert works.poll() is None
    assert claim.lock is not None
    assert claim.lock.named()
    claim.lock.close()
    takeover.end_strays(stage.queue)
    assert works.wait(10) < 0


def test_what_a_dead_worker_left_is_ended_also_where_who_claimed_its_task_next_died_before_it_could(
    stage: Stage, agent: Callable[[str], Agent]
) -> None:
    stage.task("t")
    claim = claimed(stage)
    claim.begin(Lease(claim.token, replace(stage.queue.me(), start=0.0)))
    works = agent(claim.token)
    claim.release(State.PENDING)
    claimed(stage).abandon()
    run(Settings(tasks=str(stage.queue.root)), Mode.ONCE, say=lambda _line: None, program=STANDIN)
    assert works.poll() is not None
    assert stage.state("t") is State.CONVERGED


def test_an_agent_that_this_user_can_not_end_is_not_told_as_ended(
    stage: Stage, agent: Callable[[str], Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = replace(stage.queue.me(), start=0.0)
    works = agent("another user's")
    monkeypatch.setattr(tree, "end_process", lambda *_args, **_named: False)
    assert not takeover.end_orphans(stage.queue.root, "abcdef", Lease("abcdef", dead, agent=identity.of(works.pid)))
