"""Who works on a task: from its spec and the settings to an agent with a model and an effort, and to those that may stand in.

What a spec says goes before a setting; an agent that is named goes before one that a model implies. Nothing is imported for a
task that names its agent, so that thousands of them can be routed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from orchestrator.agents import registry
from orchestrator.agents.registry import Tables
from orchestrator.core import accounts
from orchestrator.core.settings import Settings
from orchestrator.core.spec import Spec
from orchestrator.core.value import Value
from orchestrator.errors import AgentError

if TYPE_CHECKING:  # a status routes tasks without loading any agent
    from orchestrator.agents.protocol import Agent, Traits

NO_AGENT = "Set ORCH_AGENT, or `agent:` in the spec; ORCH_AGENT=exec runs ORCH_AGENT_CMD in the worktree."


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Route(Value):
    """One agent with what it is asked for; None leaves that to itself. `notices` tell what was asked for and can't be had."""

    agent: str
    model: str | None = None
    effort: str | None = None
    notices: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        return accounts.account(self.agent, self.model)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Unroutable(Value):
    """What is said of a task and can't be: `key` is the spec's, or None where a setting says it. `known` lists what there is."""

    key: str | None
    value: str
    known: str

    def __str__(self) -> str:
        where = f"`{self.key}: {self.value}`" if self.key else f"the setting {self.value!r}"
        return f"{where} is no agent or model that is known; {self.known}"


@dataclass(slots=True)
class Router:
    """For one set of settings. `find` gives an agent by name and raises AgentError; `names` are all there are. Both are handed
    those that the configuration describes."""

    settings: Settings
    find: Callable[[str, Tables], Agent] = registry.get
    names: Callable[[Tables], tuple[str, ...]] = registry.names
    _known: dict[str, bool] = field(default_factory=dict)
    _models: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _accounts: dict[tuple[object, ...], tuple[str, ...] | Unroutable] = field(default_factory=dict)
    _chains: dict[tuple[object, ...], tuple[Route, ...]] = field(default_factory=dict)

    def chain(self, spec: Spec) -> tuple[Route, ...]:
        """The agent of this task and those that may stand in for it, in order; empty where nobody is chosen.

        Raises AgentError where an agent or a model is not known; `problem` says the same with its place.
        """
        if problem := self.problem(spec):
            raise AgentError(f"This task can't be worked on: {problem}.", hint="Correct it there; nothing was started.")
        key = (spec.agent, spec.model, spec.effort, spec.fallback)
        if key not in self._chains:
            self._chains[key] = self._chain(spec)
        return self._chains[key]

    def accounts(self, spec: Spec) -> tuple[str, ...] | Unroutable:
        """The accounts of the chain, or why there is none. Of thousands of tasks most say the same: each is looked at once."""
        key = (spec.agent, spec.model, spec.fallback)
        if key not in self._accounts:
            problem = self.problem(spec)
            self._accounts[key] = problem or tuple(dict.fromkeys(route.account for route in self.chain(spec)))
        return self._accounts[key]

    def problem(self, spec: Spec) -> Unroutable | None:
        """The first thing said of this task that nobody knows."""
        if spec.agent is not None and not self.knows(spec.agent):
            return Unroutable("agent", spec.agent, self._agents())
        if spec.agent is None and spec.model is not None and self._owner(spec.model) is None:
            return Unroutable("model", spec.model, self._patterns())
        for name in spec.fallback:
            if not self.knows(name) and self._claims(name) is None:
                return Unroutable("fallback", name, self._agents())
        return self.setting_problem() if spec.agent is None and spec.model is None else None

    def setting_problem(self) -> Unroutable | None:
        """The same of the settings alone."""
        agent, model = self._default(), self.settings.model
        if agent is not None and not self.knows(agent):
            return Unroutable(None, agent, self._agents())
        if agent is None and model is not None and self._claims(model) is None:
            return Unroutable(None, model, self._patterns())
        unknown = (name for name in self.settings.fallback if not self.knows(name) and self._claims(name) is None)
        return next((Unroutable(None, name, self._agents()) for name in unknown), None)

    def knows(self, name: str) -> bool:
        """Whether there is an agent of this name."""
        if name not in self._known:
            self._known[name] = name in registry.OURS or name in self.names(self.settings.agents)
        return self._known[name]

    def traits(self, name: str) -> Traits:
        """What this agent can do. Raises AgentError where it can't be loaded."""
        return self.find(name, self.settings.agents).traits

    def fitted(self, route: Route) -> Route:
        """`route` as the agent's program can take it: `provider/model:high` is an effort, one it doesn't have is left out."""
        traits = self.traits(route.agent)
        model, effort = route.model, route.effort
        name, colon, variant = (model or "").rpartition(":")
        if colon and variant in traits.efforts and "/" in name:
            model, effort = name, variant
        if effort is None or effort in traits.efforts or not traits.program:
            return replace(route, model=model, effort=effort)
        has = f"has only {', '.join(traits.efforts)}" if traits.efforts else "has no such setting"
        return replace(route, model=model, effort=None, notices=(f"effort {effort} is left out: {route.agent} {has}",))

    def _chain(self, spec: Spec) -> tuple[Route, ...]:
        first = self._first(spec)
        if first is None:
            return ()
        effort = spec.effort or self.settings.effort
        others = (self._stand_in(name, first, effort) for name in spec.fallback or self.settings.fallback)
        routes = {route.account: route for route in reversed((first, *others))}
        return (first, *(route for account, route in reversed(routes.items()) if account != first.account))

    def _first(self, spec: Spec) -> Route | None:
        settings = self.settings
        effort = spec.effort or settings.effort
        if spec.agent is not None:
            return Route(spec.agent, spec.model or self._default_model(spec.agent), effort)
        if spec.model is not None:
            return Route(self._owner(spec.model) or "", spec.model, effort)
        agent = self._default() or (self._claims(settings.model) if settings.model else None)
        return Route(agent, settings.model, effort) if agent else None

    def _default(self) -> str | None:
        """The agent of a task that says nothing; a command for the agent `exec` chooses that one."""
        return self.settings.agent or ("exec" if self.settings.agent_cmd else None)

    def _stand_in(self, name: str, first: Route, effort: str | None) -> Route:
        """An agent of its own, with the model only where that is one of its models; or a model, whose agent is taken."""
        if not self.knows(name):
            return Route(self._claims(name) or "", name, effort)
        model = first.model if first.model and self._matches(name, first.model) else None
        return Route(name, model, effort)

    def _default_model(self, agent: str) -> str | None:
        """The setting's model, where it is meant for this agent."""
        model = self.settings.model
        if model is None or self._default() == agent or self._matches(agent, model):
            return model
        return model if self._default() is None and self._claims(model) is None else None

    def _owner(self, model: str) -> str | None:
        """Whose model it is where a spec names no agent: the default agent's where it has it, another's that claims it, else the
        default agent's if that takes whatever it is given."""
        default = self._default()
        if default is not None and self.knows(default):
            if self._matches(default, model):
                return default
            claimed = self._claims(model)
            return claimed or (None if self._patterns_of(default) else default)
        return self._claims(model)

    def _claims(self, model: str) -> str | None:
        return next((name for name in self.names(self.settings.agents) if self._matches(name, model)), None)

    def _matches(self, agent: str, model: str) -> bool:
        return any(fnmatchcase(model, pattern) for pattern in self._patterns_of(agent))

    def _patterns_of(self, agent: str) -> tuple[str, ...]:
        if agent not in self._models:
            try:
                self._models[agent] = self.traits(agent).models
            except AgentError:  # a broken plug-in: `--check` tells
                self._models[agent] = ()
        return self._models[agent]

    def _agents(self) -> str:
        return f"there are: {', '.join(self.names(self.settings.agents))}"

    def _patterns(self) -> str:
        """What models are known, by agent."""
        known: Mapping[str, str] = {name: ", ".join(self._patterns_of(name)) for name in self.names(self.settings.agents)}
        listed = "; ".join(f"{name}: {patterns}" for name, patterns in known.items() if patterns)
        return f"known are {listed}. Any other needs `agent:` beside it" if listed else "no agent says which models it has"
