"""What a fresh worktree needs before anybody works in it, and the hooks around an agent.

Hooks come from the configuration: `after_create` and `before_run` must succeed; `after_run` and `before_remove` are reported.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from orchestrator.core.settings import Settings
from orchestrator.core.spec import Spec
from orchestrator.errors import OrchestratorError
from orchestrator.git import given, included, refs
from orchestrator.git.atomicfile import write
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.worker import findings, measure
from orchestrator.worker.work import Work

FURNISHED = "orchestrator.furnished"  # beside our mark, in git's folder for the worktree
SHOWN = 1500  # characters of a failed command's output that the reason carries


class SetupFailed(OrchestratorError):
    """A worktree could not be furnished: the setup command or a hook said no."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, hint="Run the setup command by hand in a fresh checkout.")


def furnish(work: Work, repo: Repository, tree: Worktree) -> str | None:
    """Copy the ignored files that `.worktreeinclude` names, then the hook, then the spec's setup. Why it failed, or None.

    What these leave is given: no commit of an agent's takes it up.
    """
    beyond = given.beyond(tree)
    copied = included.copy_included(repo, tree)
    commands = furnishing(work.spec, work.settings)
    for name, command in commands.items():
        if problem := run(work, name, command, tree.path):
            return problem
    if commands or copied:
        given.note(tree, beyond)
    else:
        given.forget(tree)
    return None


def furnishing(spec: Spec, settings: Settings) -> Mapping[str, str]:
    """The commands that make a fresh worktree ready, in order, by what they are called."""
    commands = {"after_create": settings.hooks.get("after_create"), "setup": spec.setup}
    return {name: command for name, command in commands.items() if command}


def note(work: Work, tree: Worktree) -> None:
    """Write down by what commands the worktree was made ready: whoever goes on there may by then be told of others."""
    path, digest = tree.admin / FURNISHED, _digest(work)
    if refs.content(path) != digest:  # an idle worktree was mostly made ready by the same
        write(path, digest)


def noted(work: Work, tree: Worktree) -> bool:
    """Whether it was made ready by the commands that there are now; of one where nothing is written down nobody knows better."""
    return refs.content(tree.admin / FURNISHED) in (None, _digest(work))


def _digest(work: Work) -> str:
    """Each agent can read it, and a command may hold a secret."""
    return hashlib.sha256(json.dumps(furnishing(work.spec, work.settings)).encode()).hexdigest()


def furnish_or_raise(work: Work, repo: Repository, tree: Worktree) -> None:
    """The same for a worktree of ours beside the agent's. Raises SetupFailed."""
    if problem := furnish(work, repo, tree):
        raise SetupFailed(problem)


def hook(work: Work, name: str, place: Path) -> str | None:
    """Run a configured hook; why it failed, None where it did not or there is none."""
    command = work.settings.hooks.get(name)
    return run(work, name, command, place) if command else None


def run(work: Work, name: str, command: str, place: Path) -> str | None:
    """One shell command in a worktree; why it failed with the end of its output, None where it went well."""
    with findings.guarded(work):
        under = work.conditions(place, work.settings.setup_timeout)
        verdict = measure.check(name, command, under, allowed="setup_timeout")
    work.pulse.check()
    if verdict.ok:
        return None
    return f"{verdict.reason} {verdict.output[-SHOWN:]}".strip()
