"""Runs a command and then prints, as one line of JSON, the file in which it says how it ended: `afterword.py FILE COMMAND …`.

For agents that tell on their output neither how they ended nor what they used. It is run by its path, alone, so it imports
nothing of ours. FILE may be a pattern: of those that match and were written since the start, the newest that names the working
folder is meant.
"""

from __future__ import annotations

import glob
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

CUT = 400  # characters kept of each text in it: a line that is too long is no JSON any more when it is read
DROPPED = frozenset({"traceback", "config", "tools", "agent_context", "raw_output"})  # and what nobody asks for
NOT_FOUND = 127  # its exit code where there is no such program


def main(pattern: str, *command: str) -> int:
    """Run the command; its exit code."""
    began = time.time()
    code = os.spawnvp(os.P_WAIT, command[0], list(command))  # noqa: S606
    if (told := _newest(pattern, began)) is not None:
        print(f"\n{json.dumps(brief(told))}", flush=True)
    return code if code >= 0 else 128 - code


def brief(value: Any) -> Any:
    """`value` with its long texts cut."""
    if isinstance(value, str):
        return value[:CUT]
    if isinstance(value, dict):
        return {key: brief(item) for key, item in value.items() if key not in DROPPED}
    return [brief(item) for item in value] if isinstance(value, list) else value


def _newest(pattern: str, began: float) -> Any:
    """What the file holds; None where there is none, or a broken one."""
    found = [path for path in map(Path, glob.glob(pattern)) if path.stat().st_mtime >= began - 2]  # noqa: PTH207 - any depth, any root
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True):
        text = path.read_text(encoding="utf-8", errors="replace")
        if str(path) == pattern or os.getcwd() in text:  # noqa: PTH109 - as the program that wrote it calls it
            try:
                return json.loads(text)
            except ValueError:
                continue
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
