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


def warnings(app: App, spec: Spec) -> list[str]:
    """What its author should see of it: what its file warns of, then `doubts`."""
    return [*(f"warning: {each}" for each in spec.warnings), *doubts(app, spec)]


def doubts(app: App, spec: Spec) -> list[str]:
    """What keeps it from starting, as things are: an agent, model or phase that nobody knows, a parent that isn't there."""
    from orchestrator.agents.routing import Router
    from orchestrator.loop import phased

    problems = [Router(app.settings).problem(spec), phased.problem(spec, app.settings, app.queue.root.parent)]
    if missing := _missing(app.queue, spec):
        which = " or ".join(missing)
        problems.append(f"no task is called {which}, as `depends_on` has it: this one starts when all named there have converged")
    return [f"warning: {problem}" for problem in problems if problem]


def _missing(queue: Queue, spec: Spec) -> list[str]:
    """The parents that nobody has heard of: mistyped, or yet to come."""
    known = {place.name for place in queue.places()} | queue.removed.names() if spec.depends_on else set()
    return [parent for parent in spec.depends_on if parent not in known]
