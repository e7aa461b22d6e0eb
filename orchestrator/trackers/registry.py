"""The trackers there are: an explicit table, then the entry points of group `orchestrator.trackers`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from orchestrator.trackers.protocol import Tracker, TrackerError

GROUP = "orchestrator.trackers"
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {"github": "orchestrator.trackers.github:GitHub", "gitlab": "orchestrator.trackers.gitlab:GitLab"}
)


def find(name: str) -> Tracker:
    """The tracker of that name. Raises TrackerError that lists what exists, or names the plug-in that is broken."""
    target = BUILT_IN.get(name) or _plugged().get(name)
    if target is None:
        known = ", ".join(sorted({*BUILT_IN, *_plugged()}))
        raise TrackerError(f"There is no tracker called {name!r}.", hint=f"There are: {known}.", lasting=True)
    module, _, attribute = target.partition(":")
    try:
        made: Tracker = getattr(import_module(module), attribute)()
    except Exception as error:
        problem = f"The tracker {name!r} ({target}) can't be loaded: {error}."
        raise TrackerError(problem, hint="Repair or uninstall that plug-in.", lasting=True) from error
    return made


def of(address: str) -> Tracker | None:
    """The tracker that the remote at `address` belongs to, None where nobody claims it. A broken plug-in claims nothing."""
    for name in (*BUILT_IN, *_plugged()):
        try:
            tracker = find(name)
        except TrackerError:
            continue
        if tracker.owns(address):
            return tracker
    return None


def _plugged() -> dict[str, str]:
    from importlib.metadata import entry_points  # only tasks that ask for a pull request pay for it

    return {point.name: point.value for point in entry_points(group=GROUP)}
