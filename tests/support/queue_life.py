"""Brings a queue to its goal from wherever a crash left it: one program that makes every change the queue knows.

    python -m tests.support.queue_life < LINES

Each line is a JSON list of ROOT and environment variables; it is lived in a forked child, whose exit code is printed.
The goal: `one` converged after one attempt, `two` blocked and later moved by hand with its token, `copy` begun afresh, `old`
removed and remembered. Starting it again after a kill at any point must reach exactly that.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from orchestrator.core.lease import Lease
from orchestrator.core.task import State
from orchestrator.store import control, failpoints, inbox
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue

GOAL = {"pending": [], "running": [], "converged": ["copy", "one"], "blocked": ["two"]}


def main(root: Path) -> None:
    queue = Queue(root)
    queue.ensure()
    loop = control.register_loop(queue)
    recover(queue)
    publish(queue)
    for name in ("one", "old", "copy"):
        if state_of(queue, name) is State.PENDING:
            work(queue, name)
    hand_move(queue)
    forget_old(queue)
    control.log(queue, "done")
    control.request_stop(queue)
    assert control.stop_requested(queue, loop)
    queue.owners.close()
    loop.drop()


def state_of(queue: Queue, name: str) -> State | None:
    found = [place.state for place in queue.places() if place.name == name]
    assert len(found) <= 1, f"{name} is in {found}"
    return found[0] if found else None


def recover(queue: Queue) -> None:
    """What every loop does first."""
    queue.sweep()
    queue.settle_names()
    for place in queue.reclaimable(0.0, {}):
        claim = queue.reclaim(place)
        assert claim is not None
        if place.name != "two":
            finish(queue, claim)
        else:
            claim.begin(Lease(claim.token, queue.me()))
            claim.release(State.PENDING)


def publish(queue: Queue) -> None:
    for name in ("one", "two", "old"):
        if state_of(queue, name) is None and name not in queue.removed.names():
            folder = queue.scratch()
            (folder / "autoresearch.md").write_text(f"# {name}\n")
            (folder / ".orch").mkdir()
            (folder / ".orch" / "ready").touch()
            queue.publish(folder, name)


def work(queue: Queue, name: str) -> None:
    claim = queue.take(name)
    assert claim is not None
    if name == "old":  # its first owner dies
        claim.begin(Lease(claim.token, queue.me()))
        claim.detach()
        recover(queue)
    else:
        finish(queue, claim)


def finish(queue: Queue, claim: Claim) -> None:
    """One attempt, unless the record says that it was made."""
    claim.begin(Lease(claim.token, queue.me()))
    record = claim.record() or claim.fresh_record()
    claim.save(record)
    if not record.attempts:
        claim.attempt_folder(1)
        claim.write("attempts/0001/report.md", b"done")
        inbox.put(claim.folder, "stop")
        assert claim.requests()
        claim.event("measured")
        record = replace(record, attempts=1)
        claim.save(record)
    claim.heartbeat()
    claim.detach()
    claim = Claim.adopt(queue, claim.name, claim.token, None)
    claim.release(State.CONVERGED, record)


def hand_move(queue: Queue) -> None:
    """`two` is claimed and then taken away by a person who leaves the token in the name. `copy` comes of `one`."""
    if state_of(queue, "two") is State.PENDING:
        claim = queue.take("two")
        assert claim is not None
        claim.begin(Lease(claim.token, queue.me()))
        claim.folder.rename(queue.folder(State.BLOCKED) / claim.folder.name)
        queue.settle_names()
    if state_of(queue, "copy") is None:
        folder = queue.scratch()
        shutil.rmtree(folder)
        shutil.copytree(queue.folder(State.CONVERGED) / "one", folder)
        queue.publish(folder, "copy")
    if state_of(queue, "copy") is State.PENDING:
        work(queue, "copy")


def forget_old(queue: Queue) -> None:
    """Remembered first: a task that is neither there nor remembered would be a fact lost."""
    if state_of(queue, "old") is State.CONVERGED:
        queue.removed.add("old")
        queue.discard(queue.find("old"))


def serve() -> None:
    """A life each line. This process has one thread and no state of a queue, so a fork of it is as good as a new program."""
    for line in sys.stdin:
        root, environment = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(live(Path(root), environment))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def live(root: Path, environment: dict[str, str]) -> int:
    os.environ.update(environment)
    failpoints._plan.cache_clear()
    try:
        main(root)
    except BaseException:  # noqa: BLE001 - a forked child must not go on as its parent
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
