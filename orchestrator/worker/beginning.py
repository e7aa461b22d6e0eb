"""Where a task begins: its base, its branch, and the commit that its work is held against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.core.record import Restart
from orchestrator.core.spec import Land
from orchestrator.errors import GitError, RepositoryError
from orchestrator.git import merge, refs, remotes, repository, slugs
from orchestrator.git.repository import Repository
from orchestrator.worker import findings
from orchestrator.worker.work import Work


def begin(work: Work, repo: Repository) -> None:
    """The first claim decides; later ones follow what people did to the base and the branch meanwhile."""
    if work.record.branch is None:
        _decide(work, repo)
    else:
        _follow_name(work, repo)
        _follow_spec(work, repo)
        _follow_base(work, repo)
        _follow_merge(work, repo)


def _decide(work: Work, repo: Repository) -> None:
    """Base, branch and slug, written down before anything is made."""
    record = work.record
    base = repository.base_branch(repo, work.spec.base or work.settings.base)
    slug = slugs.reserve(repo, record.slug, record.id)
    findings.hide_queue(repo, work.claim.queue.root, folder(work, repo))
    work.save(
        repo=str(repo.top),
        base=base,
        base_commit=_base_now(work, repo, base),
        slug=slug,
        branch=f"orchestrator/{slug}",
    )


def _follow_name(work: Work, repo: Repository) -> None:
    """Where the base is gone, the one that spec or settings name by now: it was renamed, or a person wants another. Raises
    RepositoryError where that doesn't exist either."""
    gone, wanted = str(work.record.base), work.spec.base or work.settings.base
    if not wanted or repository.find_branch(repo, gone):
        return
    work.save(base=repository.base_branch(repo, wanted))
    work.event("notice", detail=f"its base is {work.record.base} by now, since {gone} is gone")


def _follow_spec(work: Work, repo: Repository) -> None:
    """A person may name another base in the spec. As long as nothing was measured the task begins there; what was begun on one
    base would bring all of that to the other, so it lands on neither: raises RepositoryError. A kill after the record leaves a
    restart that is still to be made.
    """
    record = work.record
    if not work.spec.base or (name := repository.base_branch(repo, work.spec.base)) == record.base:
        return
    if work.cut or record.baseline or branch_tip(work, repo) != record.base_commit:
        raise RepositoryError(
            f"The task was begun on {record.base}, and its spec names {name} as the base by now.",
            hint=f"Put `base: {record.base}` back, or remove the task's .orch/state.json to have it begun anew on {name}.",
        )
    work.record = replace(record, base_commit=None)  # where it began on the other base says nothing of this one
    base = _base_now(work, repo, name)
    work.save(base=name, base_commit=base, restart=Restart(base, base))
    work.event("notice", detail=f"its base is {name} by now, as the spec says")


def _follow_base(work: Work, repo: Repository) -> None:
    """As long as nothing was measured and nobody has worked, or the base has all of it, a task begins at its base as that is by
    now: what kept it, a benchmark or what a set-up needs, may have been mended there, or what it brought there be lost. A kill
    after this leaves a restart that is still to be made.
    """
    record, tip = work.record, branch_tip(work, repo)
    if work.cut or record.baseline or repository.find_branch(repo, str(record.base)) is None:
        return
    base = _base_now(work, repo, str(record.base))
    begun = tip != record.base_commit
    if base == record.base_commit or (begun and (record.restart or not merge.contains(repo, base, tip))):
        return
    work.save(base_commit=base, restart=Restart(base, base))


def _base_now(work: Work, repo: Repository, base: str) -> str:
    """Where a task begins. One that is to end in a pull request begins at what the remote has, where that is further on: what
    was merged there need not have come here yet."""
    here = _further(work, repo, repository.tip(repo, base))
    if work.spec.land is not Land.PR or (remote := remotes.of(repo, base)) is None:
        return here
    try:
        there = remotes.fetched(repo, remote, base)
    except GitError as error:
        why = work.mask.text(error.stderr.strip())
        work.event("notice", detail=f"it begins at {base} as that is here, since {remote.name} can't be asked: {why}")
        return here
    return there if there and merge.contains(repo, there, here) else here


def _follow_merge(work: Work, repo: Repository) -> None:
    """A person may have merged the base into the task branch, while nobody worked on it: what came that way is none of the
    task's work."""
    began, tip = work.record.base_commit, branch_tip(work, repo)
    base = repository.find_branch(repo, work.record.base or "")
    if work.cut or work.record.restart or began is None or base is None or began in (tip, base):
        return
    met = merge.met(repo, base, tip)
    if met and met not in (began, tip) and merge.contains(repo, met, began):
        work.save(base_commit=met)


def base_tip(work: Work, repo: Repository) -> str:
    """The base as it is now."""
    assert work.record.base is not None
    return _further(work, repo, repository.tip(repo, work.record.base))


def _further(work: Work, repo: Repository, here: str) -> str:
    """What a pull request's task began at, where that is further on than what is `here`: it was fetched."""
    began = work.record.base_commit
    fetched = work.spec.land is Land.PR and began not in (None, here) and merge.contains(repo, str(began), here)
    return str(began) if fetched else here


def branch_tip(work: Work, repo: Repository) -> str:
    """Where the task branch is; where it began if it isn't made yet or was deleted by hand."""
    assert work.record.base_commit is not None
    return refs.read(repo.common, repository.HEADS + str(work.record.branch)) or work.record.base_commit


def folder(work: Work, repo: Repository) -> Path:
    return work.settings.worktrees_of(repo.top)
