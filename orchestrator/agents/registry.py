"""Which agents there are: ours in an explicit table, those that the configuration describes, and other people's through the entry
points `orchestrator.agents`.

Nothing is imported before it is asked for, and entry points are only looked up for a name that the table doesn't have.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from orchestrator.errors import AgentError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from orchestrator.agents.protocol import Agent, Answer

Tables = Mapping[str, Mapping[str, Any]]
NO_TABLES: Tables = MappingProxyType({})
GROUP = "orchestrator.agents"
OURS: Mapping[str, str] = {
    "exec": "orchestrator.agents.exec:Exec",
    "scripted": "orchestrator.agents.scripted:Scripted",
    "claude": "orchestrator.agents.claude:Claude",
    "codex": "orchestrator.agents.codex:Codex",
    "opencode": "orchestrator.agents.opencode:Opencode",
    "pi": "orchestrator.agents.pi:Pi",
    "copilot": "orchestrator.agents.copilot:Copilot",
    "gemini": "orchestrator.agents.gemini:Gemini",
    "qwen": "orchestrator.agents.qwen:Qwen",
    "aider": "orchestrator.agents.aider:Aider",
    "mini": "orchestrator.agents.mini:Mini",
    "openhands": "orchestrator.agents.openhands:OpenHands",
}
EXTRA = {"answers"}  # all that a table may say of an agent that is known already
PARTS = ("check", "command", "events", "outcome")  # and `traits`, which is data


def get(name: str, tables: Tables = NO_TABLES) -> Agent:
    """The agent called `name`. `tables` are those that the configuration describes itself. Raises AgentError where there is none,
    or where its plug-in or its description is broken."""
    if name in tables and set(tables[name]) != EXTRA:
        return _described(name, tables[name])
    if name in OURS:
        module, _, attribute = OURS[name].partition(":")
        agent: Agent = getattr(import_module(module), attribute)()
        return agent
    for entry in _entry_points():
        if entry.name == name:
            return _load(entry)
    raise AgentError(f"There is no agent called {name!r}.", hint=f"There are: {', '.join(names(tables))}.")


def answers(name: str, tables: Tables) -> tuple[Answer, ...]:
    """What `[agents.NAME] answers` allows an agent that is known already, beside its own. Raises AgentError."""
    if set(tables.get(name, ())) != EXTRA:
        return ()
    from orchestrator.agents.described import answers as said

    return said(name, tables[name])


def names(tables: Tables = NO_TABLES) -> tuple[str, ...]:
    """Every agent's name, ours first. Plug-ins are not imported for it, so a broken one is listed too."""
    theirs = sorted({*tables, *(entry.name for entry in _entry_points())} - set(OURS))
    return (*OURS, *theirs)


def load_all(tables: Tables = NO_TABLES) -> tuple[dict[str, Agent], tuple[str, ...]]:
    """Every agent that can be loaded, and one warning for each plug-in that can't."""
    agents: dict[str, Agent] = {}
    warnings: list[str] = []
    for name in names(tables):
        try:
            agents[name] = get(name, tables)
        except AgentError as error:
            warnings.append(error.message)
    return agents, tuple(warnings)


def _described(name: str, table: Mapping[str, Any]) -> Agent:
    from orchestrator.agents.generic import Generic

    if name in OURS:
        raise AgentError(
            f"agents.{name} describes an agent that is known already.",
            hint="Choose another name; `args` and `answers` may stay.",
        )
    return Generic(name, table)


def _load(entry: EntryPoint) -> Agent:
    from orchestrator.agents.protocol import Traits

    where = f"The agent plug-in {entry.name!r} ({entry.value})"
    try:
        agent: Agent = entry.load()()
        missing = [part for part in PARTS if not callable(getattr(agent, part, None))]
        missing += [] if isinstance(getattr(agent, "traits", None), Traits) else ["traits"]
    except Exception as error:
        raise AgentError(f"{where} can't be loaded: {type(error).__name__}: {error}", hint="Update or uninstall it.") from error
    if missing:
        raise AgentError(f"{where} is no agent: it has no {', '.join(missing)}.", hint="Update or uninstall it.")
    return agent


def _entry_points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=GROUP))
