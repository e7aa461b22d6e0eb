"""The executors there are: an explicit table, then the entry points of group `orchestrator.executors`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType

from orchestrator.errors import Misuse
from orchestrator.executors.protocol import Executor

GROUP = "orchestrator.executors"
BUILT_IN: Mapping[str, str] = MappingProxyType({"local": "orchestrator.executors.local:Local"})


def find(name: str) -> Executor:
    """A fresh executor of that name. Raises Misuse that lists what exists, or names the plug-in that is broken."""
    target = BUILT_IN.get(name) or _plugged().get(name)
    if target is None:
        known = ", ".join(sorted({*BUILT_IN, *_plugged()}))
        raise Misuse(f"There is no executor called {name!r}.", hint=f"Known executors: {known}.")
    module, _, attribute = target.partition(":")
    try:
        made: Executor = getattr(import_module(module), attribute)()
    except Exception as error:
        raise Misuse(
            f"The executor {name!r} ({target}) can't be loaded: {error}.", hint="Repair or uninstall that plug-in."
        ) from error
    return made


@cache
def _plugged() -> dict[str, str]:
    from importlib.metadata import entry_points  # 20 ms that only a foreign executor pays, once for all tasks that name one

    return {point.name: point.value for point in entry_points(group=GROUP)}
