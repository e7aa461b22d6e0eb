"""The log of a session in either layout of the autoresearch family, and which files a layout has.

Logs are appended to and never rewritten, byte for byte.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from orchestrator.core.evidence import Evidence
from orchestrator.store import durable

SPEC, MEASURE, LOG, IDEAS, CHECKS = "spec", "measure", "log", "ideas", "checks"
FLAT: Mapping[str, str] = MappingProxyType(
    {
        SPEC: "autoresearch.md", MEASURE: "autoresearch.sh", LOG: "autoresearch.jsonl", IDEAS: "autoresearch.ideas.md",
        CHECKS: "autoresearch.checks.sh", "config": "autoresearch.config.json", "hooks": "autoresearch.hooks",
    }
)  # fmt: skip
AUTO: Mapping[str, str] = MappingProxyType(
    {
        SPEC: ".auto/prompt.md", MEASURE: ".auto/measure.sh", LOG: ".auto/log.jsonl", IDEAS: ".auto/ideas.md",
        CHECKS: ".auto/checks.sh", "config": ".auto/config.json", "hooks": ".auto/hooks",
    }
)  # fmt: skip


def layout(folder: Path) -> Mapping[str, str]:
    """The layout of the session in `folder`: if anything of `.auto/` is there, the whole session is; flat by default."""
    return AUTO if any(os.path.lexists(folder / path) for path in AUTO.values()) else FLAT


def bring_up(log: Path, evidence: Evidence, mask: Callable[[str], str] = str) -> int:
    """Add to the session log what it lacks of the task; how many lines. A kill between two leaves those that are there, and
    the next time adds the rest."""
    from orchestrator.core import session  # most tasks have no such log

    new = tuple(session.lines(evidence, session.read(log.read_bytes())))
    for line in new:
        durable.append(log, mask(line).encode(errors="replace"), point="session")
    return len(new)


def continued(folder: Path) -> Path | None:
    """The log in a task's own folder, where a tool of the family has begun one there; None where it is missing or empty."""
    log = folder / layout(folder)[LOG]
    try:
        return log if log.stat().st_size and not log.is_symlink() else None
    except OSError:
        return None
