"""The worktrees of a task that wants them no more: everything in them is kept, then they go."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from orchestrator.cli import hold
from orchestrator.cli.app import App
from orchestrator.core.record import Record
from orchestrator.core.task import RIVAL, VERIFY
from orchestrator.errors import OrchestratorError
from orchestrator.git import belonging, following, included, pool, save, worktree
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.store import leases, records, saved


def remove(app: App, name: str) -> str:
    """Remove what is left of a task's worktrees; how that went, as the end of a sentence. Refs and branch stay."""
    folder = app.queue.path(app.queue.find(name))
    record = records.peek(folder)
    if record is None or record.repo is None or record.branch is None:
        return ""
    if worker := hold.still_at_work(app.queue, folder):
        return f"; its worktree stays, as {worker}: `orchestrator cancel {quote(name)}` once more removes it"
    try:
        repo = repository_of(app, folder, record)
        root = root_of(app, folder, record, repo)
        places = (root / f"{record.slug}{suffix}" for suffix in ("", VERIFY, RIVAL))
        kept = [why for path in places if (why := _remove(folder, record, repo, path))]
    except OrchestratorError as error:
        return f"; its worktree stays: {error.message}"
    return f"; its worktree stays: {kept[0]}" if kept else "; its worktree is removed, its commits are kept"


def repository_of(app: App, folder: Path, record: Record) -> Repository:
    """Where the task in `folder` was worked on, wherever that is by now. Raises RepositoryError where that can't be told."""
    return belonging.of_task(folder, record, app.settings.repo, app.queue.root.parent)


def root_of(app: App, folder: Path, record: Record, repo: Repository) -> Path:
    """Where this task's worktrees are: as it is set now, else as its last worker was told."""
    lease = leases.last(folder)
    told = lease.settings.get("worktrees") if lease else None
    if told and not app.settings.worktrees:
        return following.moved(Path(told), Path(record.repo or ""), repo.top)
    return app.settings.worktrees_of(repo.top)


def retire(folder: Path, record: Record, tree: Worktree, label: str, *, pooled: int = pool.POOLED) -> str | None:
    """Keep everything that lies in this worktree of the task in `folder`, then put it away. Why it had to stay, where it had
    to. A kill in between leaves the worktree with its work kept; keeping it again adds nothing."""
    save.keep_everything(tree, record.slug, f"cut/{record.attempts + 1:04d}-{label}", base=record.base_commit)
    for path in included.edited(tree.repo, tree):
        saved.keep(folder, path, (tree.path / path).read_bytes())
    return pool.retire(tree, most=pooled)


def _remove(folder: Path, record: Record, repo: Repository, path: Path) -> str | None:
    found = worktree.find(repo, path)
    if found is None or found.owner != record.id:
        return None
    return retire(folder, record, found, "cancel")
