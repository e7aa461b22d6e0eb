"""One thing that `orchestrator --check` looked at."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.value import Value

OK, WARNING, MISSING, ABSENT = "ok", "warning", "missing", "absent"  # absent: not here, and nobody asked for it
COLORS = {OK: "32", WARNING: "33", MISSING: "31"}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Finding(Value):
    """One thing that was looked at; `fix` says how to get it where it isn't fine."""

    name: str
    status: str
    detail: str
    fix: str = ""
