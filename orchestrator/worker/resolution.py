"""A conflict resolved by an agent: verified work and the base merged with git's markers, in the task's own worktree, for as many
attempts as `core.resolving` allows. What is resolved goes through everything that any other work goes through.

What a SIGKILL leaves: the commit with the markers is made first, under a ref; then one save says that the attempt conflicts,
what is resolved and where the branch goes on (`Record.restart`); then the worktree goes there, and every claim that finds that
unfinished does it. Giving up is one such save too. A resolution is committed as the merge of both sides when it is taken in, so a
branch either holds markers, or no commit that ever did.
"""

from __future__ import annotations

from dataclasses import replace

from orchestrator.agents.log import readable
from orchestrator.core import convergence
from orchestrator.core.record import Restart
from orchestrator.core.resolving import Resolving
from orchestrator.core.task import State
from orchestrator.git import conflicts, kept, merge
from orchestrator.worker.landing import LandOutcome
from orchestrator.worker.prompt import Conflict
from orchestrator.worker.space import Space
from orchestrator.worker.work import Ending, Work
from orchestrator.worker.workspace import Workspace

BROUGHT = 20  # commits of the base that a prompt lists
SUBJECT = 200
FILES = 200  # that a record names


def plan(work: Work, space: Space, outcome: LandOutcome) -> bool:
    """Let the next attempt resolve the conflict. False where the work is to be done again on the fresh base: it is optimized, so
    its numbers were compared with another base's, or the base was rewritten, or no worktree can hold the markers. The caller
    saves, and restarts there."""
    found, base, began = outcome.conflict, outcome.base, work.record.base_commit
    if work.optimizing or not isinstance(space, Workspace) or found is None or not (found.tree and base and began):
        return False
    files = found.files[:FILES]
    if not conflicts.fillable(space.tree, found.tree, space.tip, files):
        return False
    commit = hold(work, space, found.tree, base)
    resolving = Resolving(commit, base, space.tip, began, files, work.record.attempts)
    work.record = replace(work.record, resolving=resolving, restart=Restart(commit, base))
    work.feedback = ""
    return True


def hold(work: Work, space: Workspace, tree: str, base: str) -> str:
    """The commit that the conflict is resolved on: `tree` holds both sides with git's markers. It has a ref, and never lands."""
    record = work.record
    commit = merge.commit(space.repo, tree, (base, space.tip), f"{record.branch} and {record.base}, to be resolved\n")
    kept.keep(space.repo, record.slug, f"conflict/{record.attempts:04d}", commit)
    return commit


def unfinished(work: Work, space: Space) -> str | None:
    """Why what is on the task branch is no resolution yet, in words; None where it is one, or there is nothing to resolve."""
    if work.record.resolving is None or not isinstance(space, Workspace):
        return None
    if left := space.marked(work):
        return f"a conflict's markers are left in {replace(work.record.resolving, files=left).named}"
    return "nobody has decided on the conflict yet" if space.tip == work.record.resolving.commit else None


def merged_by_hand(work: Work, space: Space) -> bool:
    """Whether a person has brought the work onto the base meanwhile: then it is looked at there, and nothing is resolved."""
    found = work.record.resolving
    if found is None or not isinstance(space, Workspace) or not merge.contains(space.repo, space.base_tip(work), found.tip):
        return False
    give_up(work, space)
    return True


def blocked(work: Work, space: Space, ending: Ending) -> None:
    """A person's turn: the task branch holds the verified work, which can be merged by hand, and no markers."""
    if ending.state is State.BLOCKED and work.record.resolving:
        give_up(work, space)


def give_up(work: Work, space: Space) -> None:
    """Back to the verified work."""
    work.record = convergence.given_up(work.record)
    work.save()
    space.restart(work)


def told(work: Work, space: Space) -> Conflict | None:
    """What the prompt says of the conflict, None where there is none to resolve."""
    found = work.record.resolving
    if found is None or not isinstance(space, Workspace):
        return None
    brought = conflicts.brought(space.repo, found.base, found.tip, found.files, BROUGHT)
    return Conflict(
        base=work.record.base or "",
        files=tuple(map(readable, found.files)),
        marked=tuple(map(readable, space.marked(work))),
        brought=tuple(readable(line)[:SUBJECT] for line in brought),
        tip=found.tip,
        commit=found.base,
    )
