"""`python -m support.stageloop JSON`: a loop of a `Stage`, whose workers are any program."""

from __future__ import annotations

import json
import os
import sys

from orchestrator.core.settings import Settings
from orchestrator.loop.mode import Mode
from orchestrator.loop.run import run
from support.forks import MEASURE


def main() -> None:
    """Run it as asked, to its exit code. Stand-ins are not measured: that takes longer than all they do."""
    os.environ.pop(MEASURE, None)
    settings, mode, name, program = json.loads(sys.argv[1])
    sys.exit(run(Settings(**settings), Mode(mode), name=name, say=lambda line: print(line, flush=True), program=tuple(program)))


if __name__ == "__main__":
    main()
