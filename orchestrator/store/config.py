"""Settings from outside, each with where it came from.

Flag > environment > `.env` > project file > user file > default. The nearest value wins, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from orchestrator.core import gates
from orchestrator.core.settings import Settings
from orchestrator.core.value import Value
from orchestrator.errors import Misuse
from orchestrator.store import layers
from orchestrator.store.layers import Entry, Layer
from orchestrator.store.options import OPTIONS, Given, Option, args, hook

SHOWN = 80
WRITE = 'Write {} = "a shell command"'
LISTS = ("fallback", "phases", "env_pass")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Config(Value):
    """The effective settings. `sources` has an entry per field, per hook as `hooks.NAME`, per gate as `gates.NAME`, per agent's
    table as `agents.NAME` and per agent's arguments as `agents.NAME.args`; `files` were read."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Row(Value):
    """One line of `orchestrator --config`."""

    name: str
    value: object
    source: str
    env: str | None
    help: str


def load(flags: Mapping[str, object], environ: Mapping[str, str], cwd: Path) -> Config:
    """The settings for a program started in `cwd`. Raises Misuse for a value or a file that can't be used.

    `flags` are by field name; None means not given.
    """
    cwd = cwd.absolute()
    folders = layers.upward(cwd)
    stack = (
        layers.from_flags(flags, cwd),
        layers.from_environment(environ, cwd),
        layers.from_dotenv(folders),
        layers.from_project(folders),
        layers.from_user(environ),
    )
    values: dict[str, Any] = {"tasks": str(cwd / Settings().tasks)}
    sources = {option.field: "default" for option in OPTIONS}
    warnings = [warning for layer in stack for warning in layer.warnings]
    for option in OPTIONS:
        if (entry := _nearest(stack, option.field)) is not None:
            values[option.field] = _parsed(option, entry, environ)
            sources[option.field] = entry.source
            warnings += _doubts(option, entry)
    if values.get("agent") is None and values.get("agent_cmd"):  # a command for the agent `exec` chooses it
        values["agent"], sources["agent"] = "exec", sources["agent_cmd"]
    tables, table_sources = _tables(stack, environ)
    files = tuple(layer.path for layer in stack if layer.path is not None)
    return Config(Settings(**values, **tables), {**sources, **table_sources}, tuple(warnings), files)


def _tables(stack: Sequence[Layer], environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings that are tables of names, and where each of their values is from."""
    hooks, asked = _merged(layer.hooks for layer in stack), _merged(layer.gates for layer in stack)
    agents, more = _merged(layer.agents for layer in stack), _merged(layer.args for layer in stack)

    def given(entry: Entry) -> Given:
        return Given(entry.value, entry.folder, environ)

    tables = {
        "hooks": _each(hooks, "the hook", f"{WRITE}.", lambda _, entry: hook(given(entry))),
        "gates": _each(asked, "the gate", f"{WRITE}, or a mode.", _gate),
        "agents": {name: entry.value for name, entry in agents.items() if isinstance(entry.value, dict)},
        "agent_args": _each(more, "the arguments of", "Correct it there.", lambda _, entry: args(given(entry))),
    }
    places = ("gates.{}", asked), ("agents.{}", agents), ("agents.{}.args", more), ("hooks.{}", hooks)
    return tables, {place.format(name): entry.source for place, merged in places for name, entry in merged.items()}


def rows(config: Config) -> tuple[Row, ...]:
    """Every setting with its value and source, in the order in which they are documented."""
    plain = to_json(config.settings)
    settings = [Row(each.field, plain[each.field], config.sources[each.field], each.env, each.help) for each in OPTIONS]
    hooks = [
        Row(f"hooks.{name}", command, config.sources.get(f"hooks.{name}", "default"), None, "run around a task's attempts")
        for name, command in config.settings.hooks.items()
    ]
    checked = [
        Row(f"gates.{name}", gate, config.sources.get(f"gates.{name}", "default"), None, "what must hold before work lands")
        for name, gate in plain["gates"].items()
    ]
    tables = [("", config.settings.agents, "what this agent is"), (".args", plain["agent_args"], "added to its command line")]
    agents = [
        Row(f"agents.{name}{part}", value, config.sources.get(f"agents.{name}{part}", "default"), None, words)
        for part, table, words in tables
        for name, value in table.items()
    ]
    return (*settings, *hooks, *checked, *agents)


def to_json(settings: Settings) -> dict[str, Any]:
    """`settings` as JSON-ready data, for the lease."""
    data = {each.name: getattr(settings, each.name) for each in fields(Settings)}
    lists = {name: list(data[name]) for name in LISTS}
    args = {name: list(words) for name, words in settings.agent_args.items()}
    tables = {"hooks": dict(settings.hooks), "gates": dict(settings.gates)}
    return {**data, **lists, **tables, "agents": dict(settings.agents), "agent_args": args}


def from_json(data: Mapping[str, Any]) -> Settings:
    """The settings that `to_json` wrote. What a newer version added is left out, what an older one lacks is the default."""
    known = {each.name for each in fields(Settings)}
    values = {key: value for key, value in data.items() if key in known}
    values |= {name: tuple(values[name]) for name in LISTS if name in values}
    if "agent_args" in values:
        values["agent_args"] = {name: tuple(words) for name, words in values["agent_args"].items()}
    return Settings(**values)


def _nearest(stack: Sequence[Layer], name: str) -> Entry | None:
    return next((layer.entries[name] for layer in stack if name in layer.entries), None)


def _parsed(option: Option, entry: Entry, environ: Mapping[str, str]) -> object:
    try:
        return option.parse(Given(entry.value, entry.folder, environ, entry.milliseconds, entry.in_file))
    except ValueError as error:
        raise Misuse(
            f"{_shown(entry.value)} can't be used for {option.field} (from {entry.source}): expected {error}.",
            hint=f"Correct it there, or override it with {option.names}.",
        ) from error


def _doubts(option: Option, entry: Entry) -> list[str]:
    """A bare `120` where milliseconds are meant is nearly always meant as seconds."""
    text = str(entry.value).strip()
    if not entry.milliseconds or not text.isdecimal() or int(text) >= 1000:
        return []
    return [f"{option.env}={text} (from {entry.source}) is {text} milliseconds; for seconds write {text}s"]


def _gate(name: str, entry: Entry) -> dict[str, Any]:
    return gates.to_plain(gates.parse(name, entry.value))


def _each(merged: Mapping[str, Entry], what: str, hint: str, read: Callable[[str, Entry], Any]) -> dict[str, Any]:
    """Each of a table's values as `read` takes it. Raises Misuse for one that it refuses."""
    found = {}
    for name, entry in merged.items():
        try:
            found[name] = read(name, entry)
        except ValueError as error:
            told = f"{_shown(entry.value)} can't be used for {what} {name} (from {entry.source}): expected {error}."
            raise Misuse(told, hint=hint.format(name)) from error
    return found


def _merged(nearest_first: Iterable[Mapping[str, Entry]]) -> dict[str, Entry]:
    """One by one, the nearest layer wins."""
    merged: dict[str, Entry] = {}
    for entries in reversed(tuple(nearest_first)):
        merged.update(entries)
    return merged


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
