"""`python -m orchestrator.modelserver --script FILE|- [--port N]`: prints `{"port": N}` and serves until TERM or Ctrl-C."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from orchestrator.errors import Misuse, OrchestratorError
from orchestrator.modelserver.script import Script, load
from orchestrator.modelserver.server import serve

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.modelserver", description=__doc__)
    parser.add_argument("--script", required=True, help="TOML or JSON; - reads it from standard input")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    options = parser.parse_args()
    # Blocked before any thread starts, a signal waits for sigwait, so that none interrupts an answer.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        with serve(_script(options.script), port=options.port) as server:
            print(json.dumps({"port": server.port}), flush=True)
            signal.sigwait(ENDING)
    except OrchestratorError as error:
        print(error.told, file=sys.stderr)
        return error.exit_code
    return 0


def _script(name: str) -> Script:
    if name == "-":
        return load(sys.stdin.read())
    try:
        return load(Path(name).read_text(encoding="utf-8"))
    except OSError as wrong:
        raise Misuse(f"The script {name} can't be read: {wrong.strerror}.", hint="Name a file that exists, or -.") from wrong


if __name__ == "__main__":
    sys.exit(main())
