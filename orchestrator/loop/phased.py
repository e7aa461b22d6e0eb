"""Phases that no skill is there for, as part of what is known of a task: told before anything starts, as far as that can be known
without a worktree. What only a set-up command, a hook or the task's own branch can bring is left to the claim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from orchestrator.core.candidate import Candidate
from orchestrator.core.settings import Settings
from orchestrator.core.spec import Spec
from orchestrator.core.task import State
from orchestrator.errors import RepositoryError
from orchestrator.store import skills, specfile
from orchestrator.store.queue import Queue


def phased(candidate: Candidate, settings: Settings, queue: Queue) -> Candidate:
    """`candidate`; a pending one that nobody has begun has one more problem where a phase of its spec is no skill."""
    spec, record = candidate.spec, candidate.record
    if spec is None or not spec.phases or candidate.place.state is not State.PENDING or (record and record.branch):
        return candidate
    if (found := problem(spec, settings, queue.root.parent)) is None:
        return candidate
    path, line = specfile.line_of(queue.path(candidate.place), "phases")
    return replace(candidate, problems=(*candidate.problems, f"{path}:{line}: {found}"))


def problem(spec: Spec, settings: Settings, project: Path) -> str | None:
    """The first phase that is a skill of nobody's, with those that there are; None where all are known, or may be."""
    known = {*skills.ours(), *(Path(name).name for name in spec.skills)} if spec.phases else set()
    strange = [name for name in spec.phases if name not in known]
    if not strange or spec.setup or settings.hooks:
        return None
    from orchestrator.git import belonging  # hardly any task has phases that aren't ours

    place = belonging.named(spec, settings.repo, project) or project
    known |= set(_lying(place))
    unknown = next((name for name in strange if name not in known and _on_no_branch(place, name)), None)
    there = ", ".join(sorted(known))
    return unknown and f"found the phase `{unknown}`, expected a skill; there are: {there}"


def _lying(place: Path) -> Iterator[str]:
    """The skills in the checkout that `place` is in; git may know nothing of them, where they are copied into each worktree."""
    for folder in (place.absolute(), *place.absolute().parents):
        for own in skills.OWN:
            yield from skills.below(folder / own)
        if (folder / ".git").exists():
            return


def _on_no_branch(place: Path, name: str) -> bool:
    """Whether git says so: the base need not be what is checked out. A folder without git is looked at by the claim."""
    from orchestrator.git import files
    from orchestrator.git.command import Git

    try:
        return place.is_dir() and not files.on_a_branch(Git(place), [f"{own}/{name}/{skills.FILE}" for own in skills.OWN])
    except RepositoryError:
        return False
