"""What answers a pull request of an optimum is kept where its noisy number is shown to be as good as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.desk import Desk

from orchestrator.core.convergence import requeued
from orchestrator.core.pull import Pull
from orchestrator.core.task import State
from orchestrator.store import records

NOISY = """#!/bin/sh
echo >> {top}/runs
n=$(($(grep -c '' {top}/runs) % 3))
awk -v size="$(cat size)" -v n=$n 'BEGIN {{ print "METRIC ms=" 100 * size + n }}'
"""


@pytest.mark.parametrize(("answer", "kept"), [("echo because > notes.txt", True), ("echo 1.3 > size", False)])
def test_an_answer_is_kept_where_a_noisy_number_is_shown_to_be_no_worse(desk: Desk, answer: str, kept: bool) -> None:
    desk.commit({"size": "1\n"})
    desk.drop(front="mode: optimize\nplateau: 1\nland: pr\nmetric: {name: ms, kind: noisy}", benchmark=NOISY.format(top=desk.top))
    desk.agent("[ $ORCH_ATTEMPT = 1 ] && echo 0.8 > size")
    desk.serve()
    assert desk.state() is State.CONVERGED
    head = desk.tip("orchestrator/x")
    pull = Pull("github", "origin", 1, "https://forge.test/o/r/pull/1", head)
    records.put(desk.folder(), replace(requeued(desk.record()), demand="More, please.", pull=pull))
    desk.move("x", State.PENDING)
    desk.agent(answer)
    desk.serve()
    assert (desk.tip("orchestrator/x") != head) is kept
    assert desk.state() is (State.CONVERGED if kept else State.BLOCKED)
    told = [event for event in desk.events() if event["event"] in ("kept", "discarded")][-1]
    assert told["detail"] == ("no worse" if kept else "ms is not shown to be as good as it was")
