"""Which of the files changed keep the work from landing: what is out of the task's scope, and what no task may change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.core.gates import Mode
from orchestrator.core.scope import FORBIDDEN, Scope
from orchestrator.core.spec import Spec
from orchestrator.git import changes, merge, repository
from orchestrator.git.changes import Change
from orchestrator.git.repository import Repository
from orchestrator.store import settingsfiles
from orchestrator.worker.work import Work

SHOWN = 5  # paths named in a finding
RUN = f"the benchmark or a gate runs it: {FORBIDDEN}"


def violations(work: Work, repo: Repository, old: str, new: str) -> str | None:
    """Those of the files changed between the two that the task must not change, in words; None where there are none."""
    refused = strays(work, repo, changes.changed(repo, old, new), new)
    return named(refused) if refused else None


def strays(work: Work, repo: Repository, changed: Iterable[Change], commit: str) -> Mapping[str, str]:
    """Those of the files changed in `commit` that keep the work from landing, each with the reason: what no task may change
    always, what is out of scope where that is enforced."""
    changed = tuple(changed)
    forbids = Scope(forbidden=(*_forbidden(work, repo), *_resettled(work, repo, changed)))
    if work.spec.enforcement is not Mode.BLOCK:
        found = forbids.violations(change.path for change in changed)
    else:
        found = outside(work.spec, repo, changed, forbids.forbidden)
    found = _own(work, repo, changed, found, commit) if found else found
    run = {*work.sealed.scripts, *work.guarded}
    return {path: RUN if path in run and why == FORBIDDEN else why for path, why in found.items()}


def _own(work: Work, repo: Repository, changed: Iterable[Change], found: Mapping[str, str], commit: str) -> Mapping[str, str]:
    """Without what is as the base has it by now, or had it where `commit` last met it: an agent that merged or rebased brought
    that along, and landing it changes nothing."""
    tip = repository.find_branch(repo, work.record.base or "")
    if tip is None or tip == work.record.base_commit:
        return found
    for there in dict.fromkeys(filter(None, (tip, merge.met(repo, tip, commit)))):
        same = _alike(repo, there, [each for each in changed if each.path in found])
        found = {path: why for path, why in found.items() if path not in same}
    return found


def _alike(repo: Repository, commit: str, changed: Sequence[Change]) -> set[str]:
    """Those of the changed files that are in `commit` as they were changed to."""
    if not changed:  # all of it would be listed
        return set()
    there = {entry.path: (entry.mode, entry.new) for entry in changes.entries(repo, commit, [each.path for each in changed])}
    absent = (changes.ABSENT, "")
    return {each.path for each in changed if there.get(each.path, absent) in ((each.mode, each.new), (each.mode, ""))}


def outside(spec: Spec, repo: Repository, changed: Iterable[Change], forbidden: tuple[str, ...] = ()) -> Mapping[str, str]:
    """Those of the changed files that are out of the spec's scope, or links that lead out of it, each with the reason."""
    changed = tuple(changed)
    scope = Scope(spec.scope, spec.off_limits, forbidden)
    found = scope.violations(change.path for change in changed)
    if not (spec.scope or spec.off_limits):
        return found
    links = (change for change in changed if change.mode == changes.SYMLINK and change.path not in found)
    return {**found, **{link.path: why for link in links if (why := _led_astray(scope, repo, link))}}


def _led_astray(scope: Scope, repo: Repository, link: Change) -> str:
    """Why a link may not be where it points to; empty where it may. What is written through it is seen where it lies, but what
    is read through it is no file of the scope."""
    target = changes.leads_to(repo, link)
    if target is None:
        return "a link that leads out of the repository"
    why = scope.violations((target,)).get(target)
    return f"a link to {target}: {why}" if why else ""


def named(refused: Mapping[str, str]) -> str:
    """Such files in words."""
    shown = ", ".join(f"{path} ({why})" for path, why in list(refused.items())[:SHOWN])
    return f"changed {shown}{f' and {len(refused) - SHOWN} more' if len(refused) > SHOWN else ''}"


def ask(work: Work, refused: Mapping[str, str]) -> None:
    """Whether the task may change these is a person's to say, by the spec: until then such an attempt fails. Of what no task may
    change nothing is asked: no spec lets it."""
    files = [path for path, why in refused.items() if not why.endswith(FORBIDDEN)]
    if files:
        told = f"may it change {', '.join(files[:SHOWN])}? Then widen `scope` in the spec, or take it out of `off_limits`"
        work.event("question", kind="scope", files=files, detail=told)


def _forbidden(work: Work, repo: Repository) -> tuple[str, ...]:
    """What no task of this queue may change: the queue itself, and the repository's files that benchmark and gates run."""
    root = work.claim.queue.root
    inside = (str(root.relative_to(repo.top)),) if root.is_relative_to(repo.top) else ()
    return (*inside, *work.sealed.scripts, *work.guarded)


def _resettled(work: Work, repo: Repository, changed: Iterable[Change]) -> tuple[str, ...]:
    """Those of the changed files that would set other settings for this queue than they did."""
    places = frozenset(settingsfiles.looked_at(repo.top, work.claim.queue.root))
    return tuple(each.path for each in changed if each.path in places and _resets(repo, each))


def _resets(repo: Repository, change: Change) -> bool:
    before, after = (settingsfiles.said(change.path, changes.text(repo, blob)) for blob in (change.old, change.new))
    return before != after or change.mode == changes.SYMLINK  # what is behind a link can be changed later, and unseen
