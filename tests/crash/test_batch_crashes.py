"""SIGKILL at every step of a batch, of its leader and of a member: the others go on by themselves, and taking the dead one's
task up again is all that it takes. By default at what is new here, with ORCH_TEST_EVERY_POINT=1 at all steps in between.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.landers import Landers

EVERY = "ORCH_TEST_EVERY_POINT" in os.environ
FACTS = ("landing", "ticket", "ask", "answer", "record", "land.", "git.update-ref", "git.read-tree")
SINCE = {"a": "ask:before", "b": "ticket:before"}  # a leads, b and c are its members
UNTIL = {"a": "ask.call-off:after", "b": "ticket.drop:after"}
PARTS = 3
pytestmark = pytest.mark.timeout(7200 if EVERY else 600)


def live(landers: Landers, dies: str, **env: str) -> None:
    """Three tasks land together; of one, `dies`, the worker has this environment."""
    for name in "abc":
        landers.send(name, **(env if name == dies else {}))
    landers.go()


def begin(top: Path) -> Landers:
    top.mkdir()
    landers = Landers(top)
    landers.make_repo()
    landers.hold()
    return landers


def traced(top: Path, dies: str) -> list[str]:
    """The failpoints of this task's worker, when nothing is killed."""
    landers = begin(top)
    live(landers, dies, ORCH_FAILPOINT_TRACE=str(landers.top / "trace"))
    landers.ends()
    assert landers.wrongs("abc") == []
    assert landers.brought() == [["a", "b", "c"]]
    return (landers.top / "trace").read_text().split()


def points(trace: list[str], dies: str) -> Iterator[str]:
    """What of the trace belongs to the batch, as `label#number`."""
    seen: Counter[str] = Counter()
    last = len(trace) - trace[::-1].index(UNTIL[dies])
    for label in trace[:last]:
        seen[label] += 1
        if seen[SINCE[dies]] and (EVERY or label.startswith(FACTS)):
            yield f"{label}#{seen[label]}"


def killed_at(top: Path, dies: str, point: str, unreached: list[str]) -> list[str]:
    """What is wrong after a kill there. A worker's steps may come in another order than in the trace, so that it is never there."""
    landers = begin(top)
    try:
        live(landers, dies, ORCH_FAILPOINT=point)
        codes = dict(zip("abc", landers.ends(*"abc"), strict=True))
        if codes == dict.fromkeys("abc", 0):
            unreached.append(point)
            return []
        wrong = [] if codes == {**dict.fromkeys("abc", 0), dies: -signal.SIGKILL} else [f"ended with {codes}"]
        landers.send(dies)
        landers.ends(dies)
        wrong += landers.wrongs("abc")
    except AssertionError as error:
        wrong = [str(error)]
    finally:
        landers.end()
    if not wrong:
        shutil.rmtree(top)
    return [f"{dies} killed at {point}: {each}" for each in wrong]


@pytest.mark.parametrize(("dies", "part"), [(dies, part) for dies in SINCE for part in range(PARTS)])
def test_a_kill_anywhere_in_a_batch_leaves_every_task_landed_once(tmp_path: Path, dies: str, part: int) -> None:
    chosen = list(points(traced(tmp_path / "traced", dies), dies))[part::PARTS]
    assert chosen
    unreached: list[str] = []
    assert [wrong for point in chosen for wrong in killed_at(tmp_path / point.replace(":", "-"), dies, point, unreached)] == []
    assert len(unreached) <= len(chosen) // 10 + 1, unreached


def test_a_second_kill_while_a_member_takes_back_what_its_leader_began_loses_nothing_either(tmp_path: Path) -> None:
    landers = begin(tmp_path / "twice")
    landers.send("a", ORCH_FAILPOINT="land.read-tree:after")
    landers.send("b", ORCH_FAILPOINT="undo.file:before")
    landers.send("c")
    landers.go()
    assert landers.ends() == [-signal.SIGKILL, -signal.SIGKILL, 0]
    assert landers.git("status", "--porcelain") == ""
    landers.send("a", "b")
    landers.ends()
    assert landers.wrongs("abc") == []
