"""Who a task would be worked on by, as part of what is known of it: an agent or model that nobody knows is told before anything
starts, with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.agents.routing import Router, Unroutable
from orchestrator.core.candidate import Candidate
from orchestrator.core.task import State
from orchestrator.store import specfile


def routed(candidate: Candidate, router: Router, folder: Path) -> Candidate:
    """`candidate` with its accounts; a pending one that can't be worked on has one more problem."""
    spec = candidate.spec
    if spec is None or candidate.place.state not in {State.PENDING, State.RUNNING}:
        return candidate
    problem = router.problem(spec)
    if problem is None:
        return replace(candidate, accounts=router.accounts(spec))
    if candidate.place.state is not State.PENDING:
        return candidate
    return replace(candidate, problems=(*candidate.problems, told(problem, folder)))


def told(problem: Unroutable, folder: Path) -> str:
    """The problem with its place: the spec's line, where the spec says it."""
    if problem.key is None:
        return str(problem)
    path, line = specfile.line_of(folder, problem.key)
    return f"{path}:{line}: {problem}" if line else f"{path}: {problem}"
