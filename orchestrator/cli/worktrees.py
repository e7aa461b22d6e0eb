"""The worktrees of a cancelled task: everything in them gets a ref, then they go."""

from __future__ import annotations

from pathlib import Path

from orchestrator.cli.options import App
from orchestrator.core.record import Record
from orchestrator.errors import OrchestratorError
from orchestrator.git import repository, save, worktree
from orchestrator.store import leases, records


def remove(app: App, name: str) -> str:
    """Remove what is left of a task's worktrees; how that went, as the end of a sentence. Refs and branch stay."""
    folder = app.queue.path(app.queue.find(name))
    record = records.peek(folder)
    if record is None or record.repo is None or record.branch is None:
        return ""
    lease = leases.last(folder)
    root = app.settings.worktrees or (lease.settings.get("worktrees") if lease else None) or f"{record.repo}/.worktrees"
    try:
        paths = (Path(root, f"{record.slug}{suffix}") for suffix in ("", ".verify", ".rival"))
        kept = [why for path in paths if (why := _remove(record, path))]
    except OrchestratorError as error:
        return f"; its worktree stays: {error.message}"
    return f"; its worktree stays: {kept[0]}" if kept else "; its worktree is removed, its commits are kept"


def _remove(record: Record, path: Path) -> str | None:
    repo = repository.discover(Path(record.repo or ""))
    found = worktree.find(repo, path)
    if found is None or found.owner != record.id:
        return None
    save.keep_everything(found, record.slug, f"cut/{record.attempts + 1:04d}-cancel", base=record.base_commit)
    return worktree.retire(found)
