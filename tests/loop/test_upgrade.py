"""A loop lives for days, and is upgraded beneath: what it has not imported by then doesn't go with what it has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grimp
import pytest
from support.processes import until

from orchestrator.loop.tick import RESCAN
from orchestrator.store import control
from orchestrator.store.queue import Queue

LIVES_ON = """
import pathlib, sys
from orchestrator.core.settings import Settings
from orchestrator.loop import run, tick
from orchestrator.loop.mode import Mode
from orchestrator.loop.workers import Workers
complete, number = tick.complete, Workers.__len__
if sys.argv[3] == "busy":
    tick.RESCAN = run.RESCAN = 0.2
    Workers.__len__ = lambda workers: 1
def told():
    complete()
    Workers.__len__ = number
    pathlib.Path(sys.argv[2]).touch()
tick.complete = told
run.run(Settings(tasks=sys.argv[1]), Mode.LOOP, say=lambda line: None)
print(*sys.modules)
"""


@pytest.mark.parametrize("kind", ["idle", "busy"])
def test_a_loop_that_lives_on_has_imported_all_of_us_that_it_may_ever_need(tmp_path: Path, kind: str) -> None:
    """An idle one at once; one that never is, with its second look at everything."""
    graph = grimp.build_graph("orchestrator", exclude_type_checking_imports=True, cache_dir=None)
    queue = Queue(tmp_path / "tasks")
    queue.ensure()
    completed = tmp_path / "completed"
    argv = [sys.executable, "-c", LIVES_ON, str(queue.root), str(completed), kind]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as loop:
        try:
            until(completed.exists, "all to be imported", within=RESCAN - 2)
            control.request_stop(queue, "a test")
            imported, _ = loop.communicate(timeout=60)
        finally:
            loop.kill()
    assert graph.find_upstream_modules("orchestrator.loop.run") - set(imported.split()) == set()
