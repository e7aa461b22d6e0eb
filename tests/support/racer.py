"""One of many processes that race for the same tasks. Prints the names it claimed, one a line.

    python -m tests.support.racer ROOT START take|reclaim

Waits until the file START exists, so that all begin together. `take` claims what is pending and releases it as converged;
`reclaim` takes over what dead owners left, and keeps it.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from orchestrator.core.lease import Lease
from orchestrator.core.task import State
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue


def main(root: str, start: str, what: str) -> None:
    queue = Queue(Path(root))
    names = sorted(place.name for place in queue.places())
    print("ready", flush=True)
    while not Path(start).exists():
        time.sleep(0.001)
    won = take(queue, names) if what == "take" else reclaim(queue)
    queue.owners.close()
    print("\n".join(won))


def take(queue: Queue, names: list[str]) -> list[str]:
    won = []
    for name in names:
        claim = queue.take(name)
        if claim:
            begin(queue, claim)
            claim.release(State.CONVERGED, claim.fresh_record())
            won.append(name)
    return won


def reclaim(queue: Queue) -> list[str]:
    """Two looks at the queue: what was seen in the first is a living owner's in the second."""
    won = []
    kept = []
    for _ in range(2):
        for place in queue.reclaimable(0.0, {}):
            if claim := queue.reclaim(place):
                begin(queue, claim)
                won.append(place.name)
                kept.append(claim)
    return won


def begin(queue: Queue, claim: Claim) -> None:
    claim.begin(Lease(claim.token, queue.me()))


if __name__ == "__main__":
    main(*sys.argv[1:])
