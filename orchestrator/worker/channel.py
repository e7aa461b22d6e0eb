"""Files that a child is told to write its answer to. What it leaves there may be anything: a pipe, a link, far too much."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from orchestrator.store.specfile import careful


def read(path: Path, most: int) -> bytes:
    """The beginning of a regular file, `most` bytes and one more, so that too much can be told; nothing where it is none."""
    try:
        with open(path, "rb", opener=careful) as file:  # Path.open takes no opener
            return file.read(most + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""
