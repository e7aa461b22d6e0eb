"""What uses disk and may go: found with its size and reason, removed on request. Whatever is unknown stays and is told.

Each removal stands alone: a worktree's work is kept before it is put aside, refs go in one transaction, logs file by file. A
SIGKILL leaves what it had not come to, which the next prune finds again.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.cli import hold, output, worktrees
from orchestrator.cli.app import App
from orchestrator.core import retention
from orchestrator.core.record import Record
from orchestrator.core.task import Place, State
from orchestrator.core.value import Value
from orchestrator.errors import GitError, OrchestratorError, RepositoryError
from orchestrator.git import kept, merge, pool, repository, slugs, submodules, worktree
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.store import durable

LOGS = ("agent.log*", "agent.jsonl*", "agent.raw*")
BLOCK = 512
STRANGE = "belongs to no task of this queue"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Item(Value):
    """One thing on disk. `remove` None: it stays, because of `why`; else it goes, and returns why it could not. `refs` are what
    goes with it in `repo`, by their full names."""

    kind: str  # worktree | refs | branch | name | logs
    what: str
    size: int
    why: str
    remove: Callable[[], str | None] | None = None
    repo: Repository | None = None
    refs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Known(Value):
    """One task of the queue. `copied`: what lies in its folder came along with a copy, and is another task's."""

    place: Place
    folder: Path
    record: Record | None
    copied: bool = False


def find(app: App, age: float, *, now: float | None = None) -> list[Item]:
    """Everything of ours in the queue's repositories that uses disk. `age`: how long refs and logs of a landed task stay."""
    moment = time.time() if now is None else now
    known = [_known(app, place) for place in app.queue.places()]
    removed = app.queue.removed.records()
    found: list[Item] = []
    repos = list(repositories(app, {each.place: each.record for each in known}))
    for repo in repos:
        gone = [each for each in removed if each.slug and slugs.holder(repo, each.slug) == each.id]
        found += _worktrees(app, repo, known)
        found += refs(repo, known, moment, age, gone)
        found += branches(repo, moment, age, gone)
        found += names(repo, known, moment, age, gone, [ref for item in found for ref in item.refs])
    for folder in sorted({app.settings.worktrees_of(repo.top) for repo in repos}):  # several may share one
        found += _left(folder / worktree.POOL)
    return [*found, *_logs(known, moment, age)]


def _known(app: App, place: Place) -> Known:
    found, copied = app.queue.told(place, running=True)
    return Known(place, app.queue.path(place), None if copied else found, copied)


def refs(repo: Repository, known: list[Known], now: float, age: float, removed: Collection[Record] = ()) -> Iterator[Item]:
    """The refs of this repository by task. Of a task that this queue never had they stay: another may. `removed`: what it
    remembers of tasks whose folders retention took away, and whose names are kept for them here."""
    by_slug: dict[str, list[kept.Kept]] = {}
    for each in kept.attempts(repo):
        by_slug.setdefault(each.slug, []).append(each)
    owners = _owners(repo, known, removed)
    judged = {slug: _judged(owners.get(slug, []), now, age) for slug in sorted(by_slug)}
    arrived = _arrived(repo, [owners[slug][0][1] for slug, why in judged.items() if why is None])
    for slug, why in judged.items():
        missing = why is None and owners[slug][0][1].id not in arrived
        them = {each.ref: each.commit for each in by_slug[slug]}
        told = f"{slug}: commits of {output.count(len(them), 'attempt')}"
        yield _item_of(repo, "refs", told, "the base here doesn't have its merge" if missing else why, them)


def branches(repo: Repository, now: float, age: float, removed: Collection[Record]) -> Iterator[Item]:
    """The branches of tasks whose folders retention took away, where their base has all that is on them. A task that is there may
    be queued again, and goes on on its branch."""
    begun = {record.branch: record for record in removed if record.branch}
    for base in sorted({record.base for record in begun.values() if record.base}):
        for branch, commit in kept.done_with(repo, _by_now(repo, base)).items():
            record = begun.get(branch)
            if record is None or record.base != base:
                continue
            if record.landed and record.landed.how == "branch":  # it is where its work was to go
                continue
            why = retention.why_kept(State.CONVERGED, record, now, age)
            yield _item_of(repo, "branch", branch, why, {repository.HEADS + branch: commit})


def names(
    repo: Repository, known: list[Known], now: float, age: float, removed: Collection[Record], going: Collection[str]
) -> Iterator[Item]:
    """The names that are kept for tasks whose folders retention took away, once nothing here but the refs that are `going` is
    called by them: the next task of such a name is then called as it is, and not `NAME-2`. A pull request's stays: its remote may
    still have the branch."""
    used, left = kept.slugs(repo, but=going), functools.cache(lambda: kept.slugs(repo))
    there = {each.record.id for each in known if each.record} | {tree.owner for tree in worktree.ours(repo)}
    gone = (each for each in removed if each.slug not in used and each.id not in there)
    for record in gone:
        proposed = record.landed is not None and record.landed.how == "pr"
        if not proposed and retention.why_kept(State.CONVERGED, record, now, age) is None:
            path = slugs.reservation(repo, record.slug)
            yield Item("name", record.slug, disk(path), "landed", lambda path=path: _release(path, left()))  # type: ignore[misc]


def forget(items: Iterable[Item]) -> set[int]:
    """Remove the refs that go with these, in one transaction for each repository: in each git writes all packed refs anew. The
    `id`s of the items that are done with; where one ref isn't what it was the others are left to each item's `remove`."""
    together: dict[Repository, list[Item]] = {}
    for item in items:
        if item.repo:
            together.setdefault(item.repo, []).append(item)
    done: set[int] = set()
    for repo, each in together.items():
        with suppress(GitError):
            kept.forget(repo, {ref: commit for item in each for ref, commit in item.refs.items()})
            done.update(map(id, each))
    return done


def owns(repo: Repository, slug: str, record: Record) -> bool:
    """Whether these refs are that task's; also in a repository that was moved, or copied, since they were made."""
    return record.slug == slug and (record.repo == str(repo.top) or slugs.holder(repo, slug) == record.id)


def disk(path: Path) -> int:
    """Bytes on disk of a file, or of a folder and all in it; links are not followed."""
    try:
        size = path.lstat().st_blocks * BLOCK
        if path.is_dir() and not path.is_symlink():
            size += sum(disk(Path(entry.path)) for entry in os.scandir(path))
    except OSError:
        return 0
    return size


def repositories(app: App, known: Mapping[Place, Record | None]) -> Iterator[Repository]:
    """The project's own, and those that tasks were worked on in; each once, from whichever folder or checkout it was found."""
    seen: set[Path] = set()
    for place, record in (None, None), *known.items():
        if place and (record is None or record.repo is None or Path(record.repo) in seen):
            continue
        try:
            repo = worktrees.repository_of(app, app.queue.path(place), record) if place and record else _own(app)
        except OrchestratorError:
            continue  # gone, or none: there is nothing of ours to find
        if repo.common not in seen:
            yield repo
        seen |= {repo.top, repo.common}


def _own(app: App) -> Repository:
    return repository.discover(Path(app.settings.repo or Path(app.settings.tasks).parent))


def _worktrees(app: App, repo: Repository, known: list[Known]) -> Iterator[Item]:
    for tree in worktree.ours(repo):
        size = disk(tree.path)
        if tree.path.parent.name == worktree.POOL:
            yield Item("worktree", str(tree.path), size, "idle", lambda tree=tree: _discard(repo, tree))  # type: ignore[misc]
            continue
        owners = [each for each in known if each.record and each.record.id == tree.owner]
        if len(owners) != 1:
            yield Item("worktree", str(tree.path), size, STRANGE)
        elif owners[0].place.state is not State.CONVERGED:
            yield Item("worktree", str(tree.path), size, f"{owners[0].place.name} is {owners[0].place.state}")
        elif why := submodules.unsaved(tree):
            yield Item("worktree", str(tree.path), size, why)
        else:
            yield Item("worktree", str(tree.path), size, "converged", lambda o=owners[0], t=tree: _retire(app, o, t))  # type: ignore[misc]


def _left(place: Path) -> Iterator[Item]:
    """What lies there of worktrees that are gone, for a moment or, as files that a container made as root, for good."""
    if left := pool.trash(place):
        told = f"{place / worktree.TRASH}*"
        yield Item("worktree", told, sum(map(disk, left)), "removed, and left over", lambda: pool.empty_trash(place))


def _discard(repo: Repository, tree: Worktree) -> str | None:
    if tree.path.parent.name == worktree.POOL and tree.path.is_dir():  # else it was taken out to be used
        pool.empty_pool(repo, tree.path.parent.parent)
    return None


def _retire(app: App, owner: Known, tree: Worktree) -> str | None:
    if owner.record is None or app.queue.find(owner.place.name) != owner.place:
        return "its task has moved on"
    if worker := hold.still_at_work(app.queue, owner.folder):  # a person moved it to converged
        return worker
    return worktrees.retire(owner.folder, owner.record, tree, "prune", pooled=0)


def _release(reservation: Path, used: Collection[str]) -> str | None:
    """`used`: what is so called when all refs that can go are gone. What is, is known by the name alone: it is kept for that."""
    if reservation.name in used:
        return "refs or a branch that is called so could not go"
    reservation.unlink(missing_ok=True)
    return None


def _item_of(repo: Repository, kind: str, what: str, why: str | None, them: Mapping[str, str]) -> Item:
    if why:
        return Item(kind, what, 0, why)
    return Item(kind, what, 0, "landed", lambda: kept.forget(repo, them), repo, them)


def _logs(known: list[Known], now: float, age: float) -> Iterator[Item]:
    for each in known:
        files = [path for pattern in LOGS for path in each.folder.glob(f".orch/attempts/*/{pattern}")]
        if files:
            why = _why(each, now, age)
            size = sum(map(disk, files))
            remove = None if why else lambda files=files: _unlink(files)
            yield Item("logs", f"{each.place.name}: {output.count(len(files), 'log')} of agents", size, why or "landed", remove)


def _unlink(files: list[Path]) -> str | None:
    for path in files:
        durable.unlink(path, point="prune")
    return None


def _why(each: Known, now: float, age: float) -> str | None:
    return "a copy brought it along" if each.copied else retention.why_kept(each.place.state, each.record, now, age)


def _owners(repo: Repository, known: list[Known], removed: Collection[Record]) -> dict[str, list[tuple[State, Record]]]:
    """Whose the refs of this repository are, by the name that these have: tasks' that are there, else one's that was removed."""
    found: dict[str, list[tuple[State, Record]]] = {}
    for each in known:
        if each.record and owns(repo, each.record.slug, each.record):
            found.setdefault(each.record.slug, []).append((each.place.state, each.record))
    for record in removed:
        found.setdefault(record.slug, [(State.CONVERGED, record)])
    return found


def _judged(tasks: list[tuple[State, Record]], now: float, age: float) -> str | None:
    return "no task of this queue is known by it" if len(tasks) != 1 else retention.why_kept(*tasks[0], now, age)


def _by_now(repo: Repository, branch: str) -> str:
    """That branch; where it is gone the one that is the base here by now: people rename theirs."""
    if repository.find_branch(repo, branch):
        return branch
    try:
        return repository.base_branch(repo, None)
    except RepositoryError:
        return branch


def _arrived(repo: Repository, records: Iterable[Record]) -> set[str]:
    """The ids of those whose work is still reachable from the branch it landed on. Git is asked once for each branch: after some
    years there are thousands of them."""
    wanted: dict[str, dict[str, str]] = {}
    for record in records:
        landed = record.landed
        commit = (landed.merged or landed.commit) if landed else None  # a pull request may have been squashed
        branch = record.branch if landed and landed.how == "branch" else landed and landed.base
        if branch and commit:
            wanted.setdefault(branch, {})[record.id] = commit
    tips = {branch: repository.find_branch(repo, _by_now(repo, branch)) for branch in wanted}
    held = {branch: merge.contained(repo, tip, wanted[branch].values()) for branch, tip in tips.items() if tip}
    return {task for branch, there in held.items() for task, commit in wanted[branch].items() if commit in there}
