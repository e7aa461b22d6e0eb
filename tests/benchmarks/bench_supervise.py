"""What watching a program costs: `supervise.run` and `capture` of a trivial one, beside a bare spawn and wait.

python tests/benchmarks/bench_supervise.py [runs]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.proc import tree
from orchestrator.proc.capture import capture
from orchestrator.proc.command import Command, Limits
from orchestrator.proc.supervise import run

LIMIT_MS = 2.0


def main(runs: int) -> int:
    tree.become_subreaper()
    env, here = dict(os.environ), Path.cwd()
    command = Command(("true",), here, env)
    out = bytearray()
    ways: dict[str, Callable[[], object]] = {
        "bare spawn and wait": lambda: subprocess.Popen(["true"], cwd=here, env=env, start_new_session=True).wait(),
        "proc.capture": lambda: capture(["true"], cwd=here, env=env),
        "proc.supervise.run": lambda: run(command, Limits(seconds=60, idle=60), sink=out.extend, pump=lambda: None),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):  # in turns, so that a noisy machine is noisy for all
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - began) * 1000)
    middle = {name: statistics.median(taken) for name, taken in times.items()}
    bare = middle["bare spawn and wait"]
    for name, taken in middle.items():
        print(f"{name:22} {taken:6.2f} ms   +{taken - bare:.2f} ms")
    return 0 if middle["proc.supervise.run"] - bare < LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
