"""Who a task would be worked on by, and where, as part of what is known of it: an agent, model or executor that nobody knows is
told before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.agents.routing import Router, Unroutable
from orchestrator.core import accounts
from orchestrator.core.candidate import Candidate
from orchestrator.core.record import Pause
from orchestrator.core.task import State
from orchestrator.errors import AgentError, Misuse
from orchestrator.store import specfile
from orchestrator.store.queue import Queue

if TYPE_CHECKING:
    from orchestrator.executors.protocol import Executor


def routed(candidate: Candidate, router: Router, queue: Queue) -> Candidate:
    """`candidate` with its accounts; a pending one that can't be worked on has one more problem."""
    spec = candidate.spec
    if spec is None or candidate.place.state not in {State.PENDING, State.RUNNING}:
        return candidate
    found = router.accounts(spec)
    if found == candidate.accounts:
        return candidate
    if isinstance(found, tuple):
        return replace(candidate, accounts=found)
    if candidate.place.state is not State.PENDING:
        return candidate
    return replace(candidate, problems=(*candidate.problems, told(found, queue.path(candidate.place))))


def placed(candidate: Candidate, executor: Callable[[str], Executor]) -> Candidate:
    """`candidate`; a pending one has one more problem where `executor` raises Misuse for what its spec names."""
    spec = candidate.spec
    if spec is None or spec.executor is None or candidate.place.state is not State.PENDING:
        return candidate
    try:
        executor(spec.executor)
    except Misuse as error:
        return replace(candidate, problems=(*candidate.problems, error.told))
    return candidate


def without_new_logins(paused: Mapping[str, Pause], router: Router) -> Mapping[str, Pause]:
    """Accounts that need a person to log in, but for those where somebody has: a file of its agent's login is newer than that."""
    return {name: pause for name, pause in paused.items() if pause.until is not None or not _logged_in(name, pause, router)}


def _logged_in(account: str, pause: Pause, router: Router) -> bool:
    try:
        credentials = router.traits(accounts.agent_of(account)).credentials
    except AgentError:
        return False
    files = (Path(each).expanduser() for each in credentials if each.startswith(("~", "/")))
    return any(path.exists() and path.stat().st_mtime > pause.since for path in files)


def told(problem: Unroutable, folder: Path) -> str:
    """The problem with its place: the spec's line, where the spec says it."""
    if problem.key is None:
        return str(problem)
    path, line = specfile.line_of(folder, problem.key)
    return f"{path}:{line}: {problem}" if line else f"{path}: {problem}"
