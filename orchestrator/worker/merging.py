"""Verified work and the base as it is by now, made one commit: of a task alone, or of several that land together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.core import reporting
from orchestrator.git import merge
from orchestrator.git.identity import with_trailers
from orchestrator.git.landingqueue import Ask
from orchestrator.worker import report
from orchestrator.worker.gates.asked import asked
from orchestrator.worker.work import Work
from orchestrator.worker.workspace import Workspace

GOAL = 2000  # characters of the goal that a commit quotes


def merged(work: Work, space: Workspace, base: str, met: Sequence[str]) -> merge.Merged | merge.Conflict:
    """The task's work and the base, together; `met` are the last commits that both have."""
    began = work.record.base_commit or base
    if began not in met and not merge.contains(space.repo, base, began):
        return merge.replay(space.bare(work, base), began, base, space.tip)
    plain = merge.plain(space.repo, base, space.tip) if len(met) == 1 else None
    return plain or merge.merge(space.bare(work, base), base, space.tip)


def commit(work: Work, space: Workspace, found: merge.Merged, base: str) -> str:
    """The commit that would land: always a merge of the base and the task's work."""
    title, evidence, trailers = told(work, space)
    message = f"{title}\n\n{work.mask.text(work.spec.goal.strip()[:GOAL])}\n\n{evidence}"
    return merge.commit(space.repo, found.tree, (base, found.side), with_trailers(message, trailers), like=space.made)


def told(work: Work, space: Workspace) -> tuple[str, str, dict[str, str]]:
    """What a commit that lands it says of the task: its title, its evidence in short, its trailers. These name the attempt that
    made what lands: the best of an optimized task is seldom the last one's."""
    number, agent = made(work, space)
    trailers = {"Task": work.name, "Attempt": str(number), "Agent": agent}
    evidence = work.mask.text(reporting.short(report.evidence(work)))
    return work.mask.text(work.spec.title or work.name), evidence, trailers


def made(work: Work, space: Workspace) -> tuple[int, str]:
    """The attempt that made what lands, and who worked on it; the last one where none is known to have."""
    found = next((attempt for attempt in work.record.history if attempt.commit == space.tip), None)
    return (found.number, found.agent) if found else (work.record.attempts, work.agent_name)


def joined(work: Work, space: Workspace, base: str, sides: Iterable[str]) -> merge.Joined:
    """The base and the work of several tasks, together."""
    return merge.join(space.bare(work, base), base, sides)


def compared(work: Work, space: Workspace, ask: Ask) -> str:
    """What gates compare a batch with: the batch without this task's work, so that they see no other's. The old base where
    there are none, or the others don't go together by themselves."""
    others = [side for side in ask.sides if side != space.tip]
    found = joined(work, space, ask.old, others) if asked(work) else None
    if found is None or found.files:
        return ask.old
    return merge.commit(space.repo, found.tree, (ask.old, *others), f"A batch without {work.record.slug}\n")
