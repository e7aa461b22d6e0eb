"""A worker for tests of the loop: it holds its claim as a real one does and ends as the task's file `act` says.

`converge` · `block` · `hold` (until asked to stop) · `deaf` (holds, ignores TERM, notices nothing) · `late` (holds; asked
to stop, waits for a second TERM) · `crash` · `agent` (holds with a marked child that ignores TERM) · `park SECONDS`
· `linger` (converges, and ends when another worker has started)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Record
from orchestrator.core.task import State, mark
from orchestrator.proc import identity
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue


def main(root: str, name: str, token: str) -> None:
    stops: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stops.append(number))
    claim = Claim.adopt(Queue(Path(root)), name, token, int(os.environ.pop("ORCH_OWNER_FD")))
    assert claim.lease is not None
    claim.begin(replace(claim.lease, owner=identity.here()))
    record = claim.record() or claim.fresh_record()
    act, _, argument = (claim.folder / "act").read_text().strip().partition(" ")
    with (Path(root).parent / "started").open("a") as started:
        started.write(f"{name} {token} {os.getpid()}\n")
    if act == "crash":
        print("the stand-in falls over", file=sys.stderr, flush=True)
        os._exit(9)
    if act == "agent":
        child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
        environ = {**os.environ, "ORCH_MARK": mark(root, token)}
        agent = subprocess.Popen([sys.executable, "-c", child], env=environ, start_new_session=True, stdout=subprocess.PIPE)
        assert agent.stdout is not None
        agent.stdout.readline()
        (Path(root).parent / f"agent-{name}").write_text(f"{agent.pid}\n")
    if act in ("hold", "late", "agent", "deaf"):
        hold(claim, act, stops)
    end(claim, record, act, argument)


def hold(claim: Claim, act: str, stops: list[int]) -> None:
    enough = {"late": 2, "deaf": 1 << 30}.get(act, 1)
    while len(stops) < enough:
        time.sleep(0.02)
        if act != "deaf" and not claim.held():
            sys.exit(0)


def end(claim: Claim, record: Record, act: str, argument: str) -> None:
    if act in ("converge", "linger"):
        claim.release(State.CONVERGED, replace(record, reason=Reason.CONVERGED))
        if act == "linger":
            linger(claim)
    elif act == "block":
        claim.release(State.BLOCKED, replace(record, reason=Reason.EXHAUSTED, detail="five failures"))
    elif act == "park":
        until = time.time() + float(argument)
        claim.release(State.PENDING, replace(record, reason=Reason.BACKOFF, not_before=until, updated=time.time()))
    else:
        claim.release(State.PENDING, record)


def linger(claim: Claim) -> None:
    started = claim.queue.root.parent / "started"
    deadline = time.monotonic() + 60
    while started.read_text().splitlines()[-1].split()[0] == claim.name:
        if time.monotonic() > deadline:
            sys.exit("no other worker has started")
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:4])
