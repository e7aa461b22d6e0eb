"""What was changed for a task, as two commits."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.record import Record
from orchestrator.core.value import Value
from orchestrator.git import merge, repository
from orchestrator.git.repository import Repository


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Range(Value):
    """From which commit to which."""

    repo: Repository
    old: str
    new: str


def of(repo: Repository, record: Record) -> Range | None:
    """What it landed, of a batch only its own part; else what its branch has by now. None where it has not begun."""
    landed = record.landed
    if landed and landed.side and landed.commit:
        before = f"{landed.commit}^1"
        return Range(repo, merge.met(repo, before, landed.side) or before, landed.side)
    if landed and landed.commit and landed.how == "merge":
        return Range(repo, f"{landed.commit}^1", landed.commit)
    if record.base_commit is None:
        return None
    tip = repository.find_branch(repo, record.branch) if record.branch else None
    return Range(repo, record.base_commit, tip or record.best_commit or record.base_commit)
