"""What `orchestrator --check` says of the agents: which are here, in what version, logged in or not, and what mends it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from orchestrator.agents import registry
from orchestrator.agents.protocol import Availability, Traits
from orchestrator.cli import installed, output
from orchestrator.cli.app import App
from orchestrator.cli.finding import ABSENT, MISSING, OK, WARNING, Finding
from orchestrator.cli.installed import Login
from orchestrator.core.task import State
from orchestrator.core.value import Value
from orchestrator.errors import AgentError

PREFIX = "agent "
HEAD = ("AGENT", "VERSION", "LOGIN", "TO DO")
GAP = 2


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Seen(Value):
    """One agent as it is on this machine. `chosen`: the settings name it. `wanted`: so does their fallback, or a pending task."""

    name: str
    traits: Traits
    found: Availability
    version: str | None
    login: Login
    chosen: bool
    wanted: bool

    @property
    def status(self) -> str:
        if not self.found.installed:
            return MISSING if self.chosen else WARNING if self.wanted else ABSENT
        return WARNING if (self.broken or self.login.missing) and (self.chosen or self.wanted) else OK

    @property
    def broken(self) -> bool:
        """Whether its program is here and does not start. Of programs that are not ours nobody knows what they understand."""
        return self.name in registry.OURS and self.found.installed and self.version == ""

    @property
    def fix(self) -> str:
        if not self.found.installed:
            return self.found.fix or self.traits.install
        if self.broken:
            needs = f"It needs {self.traits.needs}; else: " if self.traits.needs else ""
            return f"`{self.traits.program} --version` fails. {needs}{self.traits.install}"
        return self.traits.login if self.login.missing else ""

    @property
    def words(self) -> str:
        """What there is to say of it, for people."""
        version = "does not start" if self.broken else self.version or self.found.version or ""
        login = "not logged in" if self.login.missing else f"logged in ({self.login.by})" if self.login.by else ""
        parts = (version, self.found.detail, login if self.found.installed else "", "(chosen)" if self.chosen else "")
        return ", ".join(part for part in parts[:3] if part) + (f" {parts[3]}" if parts[3] else "")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Staff(Value):
    """Every agent that there is, and what is wrong with plug-ins that can't be loaded."""

    agents: tuple[Seen, ...]
    warnings: tuple[str, ...]


def look(app: App) -> Staff:
    """Look for every agent, ask for versions, see who is logged in."""
    agents, warnings = registry.load_all(app.settings.agents)
    named = wanted(app)
    found = {name: agent.check(cmd=app.settings.agent_cmd) for name, agent in agents.items()}
    programs = {name: agent.traits.program for name, agent in agents.items() if found[name].installed}
    versions = installed.versions(programs.values(), installed.cache_file(os.environ))
    seen = (
        Seen(
            name=name,
            traits=agent.traits,
            found=found[name],
            version=versions.get(agent.traits.program),
            login=installed.login(agent.traits, os.environ),
            chosen=name == app.settings.agent,
            wanted=name in named,
        )
        for name, agent in agents.items()
    )
    return Staff(tuple(seen), warnings)


def findings(app: App, staff: Staff) -> Iterator[Finding]:
    """The agent in use must be there; the others are told, so that one can be chosen."""
    names = [each.name for each in staff.agents]
    for warning in staff.warnings:
        yield Finding("agents", WARNING, warning)
    chosen = app.settings.agent
    if chosen is None:
        count = agentless(app)
        waits = f", and {output.count(count, 'pending task names', 'pending tasks name')} none" if count else ""
        how = f"Set ORCH_AGENT, `agent` in orchestrator.toml, or `agent:` in each spec: one of {', '.join(names)}."
        yield Finding("agent", MISSING if count else WARNING, f"none is chosen{waits}", how)
    elif chosen not in names:
        yield Finding("agent", MISSING, f"there is no agent called {chosen!r}", f"There are: {', '.join(names)}.")
    yield from _unroutable(app)
    for each in staff.agents:
        yield Finding(f"{PREFIX}{each.name}", each.status, each.words, each.fix)


def _unroutable(app: App) -> Iterator[Finding]:
    """What settings and pending tasks say of agents and models that nobody knows."""
    from orchestrator.agents.routing import Router

    router = Router(app.settings)
    if (problem := router.setting_problem()) and problem.value != app.settings.agent:
        yield Finding("settings", MISSING, str(problem), "`orchestrator --config` shows where it is set.")
    for each in _pending(app):
        if each.spec and not each.spec.draft and (problem := router.problem(each.spec)) and problem.key:
            yield Finding("task", WARNING, f"{each.name}: {problem}", f"orchestrator edit {quote(each.name)}")


def table(app: App, staff: Staff) -> Iterator[str]:
    """Who is here, logged in or not, and the one command that changes it."""
    rows = [HEAD, *(_row(each) for each in staff.agents)]
    widths = [max(output.columns(row[index]) for row in rows) for index in range(len(HEAD) - 1)]
    yield ""
    for number, row in enumerate(rows):
        cells = (f"{cell}{' ' * (size - output.columns(cell) + GAP)}" for cell, size in zip(row, widths, strict=False))
        line = "".join((*cells, row[-1])).rstrip()
        yield output.dim(line, color=True) if app.color and not number else line


def plain(each: Seen) -> dict[str, Any]:
    """The same for a program to read. `logged_in` is null where there is nothing to log in to, or nothing installed."""
    known = each.login.known and each.found.installed
    return {
        "name": each.name,
        "installed": each.found.installed,
        "version": each.version or each.found.version,
        "logged_in": not each.login.missing if known else None,
        "login": each.login.by if known else None,
        "chosen": each.chosen,
        "fix": each.fix or None,
    }


def wanted(app: App) -> frozenset[str]:
    """The agents that the fallback of the settings or a pending task names."""
    tasks = (each.spec for each in _pending(app) if each.spec)
    return frozenset({*app.settings.fallback, *(name for spec in tasks for name in (spec.agent, *spec.fallback) if name)})


def agentless(app: App) -> int:
    """How many pending tasks have nobody to work on them: neither they nor a setting name an agent."""
    if app.settings.agent is not None:
        return 0
    return sum(1 for each in _pending(app) if each.spec and not each.spec.agent and not each.spec.model and not each.spec.draft)


def absent(app: App) -> Availability | None:
    """Why the agent that the settings choose can't be used, None where it can, another stands in, or no task that waits would
    have it. Nothing is loaded where its name is a program on PATH, as most are called: a loop starts with this."""
    name = app.settings.agent
    if name is None or app.settings.fallback or shutil.which(name):
        return None
    waiting = [each.spec for each in _pending(app) if each.spec and not each.spec.draft]
    if waiting and not any(spec.agent in (None, name) for spec in waiting):
        return None
    try:
        found = registry.get(name, app.settings.agents).check(cmd=app.settings.agent_cmd)
    except AgentError:  # told with every task that it makes invalid
        return None
    return None if found.installed else found


def _pending(app: App) -> tuple[Any, ...]:
    from orchestrator.store import snapshot

    if not Path(app.settings.tasks).is_dir():
        return ()
    return tuple(snapshot.read_all(app.queue, states=(State.PENDING,), settle=app.settings.settle))


def _row(each: Seen) -> tuple[str, str, str, str]:
    name = f"{each.name} (chosen)" if each.chosen else each.name
    if not each.found.installed:
        return name, "not installed" if each.traits.program else "-", "", output.clean(each.fix)
    login = each.login.by or ("none found" if each.login.missing else "not needed")
    version = "fails" if each.broken else each.version or each.found.version or "-"
    return name, version, login, output.clean(each.fix)
