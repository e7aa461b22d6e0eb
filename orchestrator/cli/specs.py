"""Putting a changed spec where its task is now, and what to say of a new one."""

from __future__ import annotations

from orchestrator.cli.app import App
from orchestrator.core.spec import Spec
from orchestrator.errors import OrchestratorError
from orchestrator.store import durable, locks, specfile
from orchestrator.store.queue import Queue

TRIES = 5


def put(queue: Queue, name: str, text: str, *, seen: specfile.Key | None = None) -> None:
    """Replace the spec of the task called `name`, wherever it lies by now.

    Raises OrchestratorError where somebody else changed it since it was `seen`, so that no edit is lost.
    """
    queue.ensure()
    with locks.short(queue.control / "locks" / "edit.lock"):
        for _ in range(TRIES):
            path = specfile.path_of(queue.path(queue.find(name)))
            if path is None:
                continue
            try:
                if seen is not None and specfile.key_of(path) != seen:
                    raise OrchestratorError(
                        f"{path} was changed by somebody else meanwhile.", hint="Look at it, and edit it again."
                    )
                durable.write(path, text.encode(), point="spec", shared=True)
            except (durable.Gone, FileNotFoundError):
                continue  # it moved between the two looks
            return
    raise OrchestratorError(f"The spec of {name!r} kept moving.", hint="Try again.")


def unroutable(app: App, spec: Spec) -> list[str]:
    """An agent, model or phase that nobody knows: the task is shown as invalid until that is mended."""
    from orchestrator.agents.routing import Router
    from orchestrator.loop import phased

    problems = (Router(app.settings).problem(spec), phased.problem(spec, app.settings, app.queue.root.parent))
    return [f"warning: {problem}" for problem in problems if problem]
