"""The program's only door. A worker is started a hundred times an hour, so it never pays for the command line's imports."""

from __future__ import annotations

import gc
import sys

GARBAGE = 50_000  # objects more than were let go, until some is looked for


def main() -> None:
    """Run the command line of this process and exit with its code.

    Modules and tasks are many small objects and hardly any garbage that isn't gone at once: looking for some every 700 of them
    took a tenth of a worker's time and of a status'.
    """
    gc.set_threshold(GARBAGE)
    if sys.argv[1:2] == ["work"] and len(sys.argv) == 5:
        from orchestrator.worker.main import main as work

        sys.exit(work(*sys.argv[2:5]))
    if sys.argv[1:2] == ["nursery"] and len(sys.argv) == 3:
        from orchestrator.worker.nursery import main as nursery

        sys.exit(nursery(int(sys.argv[2])))
    try:
        from orchestrator.cli.main import main as command_line

        code = command_line()
    except KeyboardInterrupt:  # before there was anything to be told, or after
        from orchestrator.errors import INTERRUPTED

        code = INTERRUPTED
    gc.freeze()  # all of it goes with the process: looking through thousands of tasks for garbage first takes 10 ms
    sys.exit(code)


if __name__ == "__main__":
    main()
