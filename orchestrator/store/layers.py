"""Where settings come from: command line, environment, `.env`, project file, user file. Each as one layer of raw entries."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.core.settings import args_name
from orchestrator.core.value import Value
from orchestrator.errors import Misuse
from orchestrator.store.options import HOOKS, OPTIONS, OWN_VARIABLES

PROJECT_FILE, DOTENV, PYPROJECT = "orchestrator.toml", ".env", "pyproject.toml"
XDG = sys.platform.startswith("linux")  # where configuration lies as freedesktop.org's base directory specification says
TABLES = ("hooks", "gates", "agents")
CLOSED = "Let this user read it; where it is somebody else's own, set HOME, or ORCH_CONFIG_DIR, to a folder of this user's."
ARGS = re.compile(r"ORCH_(\w+)_ARGS", re.ASCII)
HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Entry(Value):
    """One value as written, where it was written, and the folder a relative path in it starts from."""

    value: object
    source: str
    folder: str
    milliseconds: bool = False
    in_file: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Layer(Value):
    """One source of settings, by field name, and what is odd about it. `path` is its file, where it has one. `agents` are tables
    that describe agents, by name; `args` what is added to an agent's command line, by `args_name`."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    hooks: Mapping[str, Entry] = field(default_factory=dict)
    gates: Mapping[str, Entry] = field(default_factory=dict)
    agents: Mapping[str, Entry] = field(default_factory=dict)
    args: Mapping[str, Entry] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    path: str | None = None


def from_flags(flags: Mapping[str, object], cwd: Path) -> Layer:
    """The command line's values by field name; None and an empty tuple are flags that weren't given."""
    known = {option.field: option for option in OPTIONS}
    entries = {}
    for name, value in flags.items():
        if value is not None and value != ():
            entries[name] = Entry(value, f"flag {known[name].flag}", str(cwd))
    return Layer(entries)


def from_environment(environ: Mapping[str, str], cwd: Path) -> Layer:
    """The ORCH_ variables. An empty one counts as not set, as people mean by `ORCH_MODEL= orchestrator`."""
    return _variables({name: (value, name) for name, value in environ.items()}, str(cwd))


def from_dotenv(folders: Iterable[Path]) -> Layer:
    """The ORCH_ variables of the nearest `.env`. The rest of that file belongs to the project and isn't looked at."""
    path = _nearest(folders, DOTENV)
    if path is None:
        return Layer()
    from dotenv.parser import parse_stream

    warnings, found = [], {}
    try:
        with path.open(encoding="utf-8") as stream:
            for binding in parse_stream(stream):
                source = f"{path}:{binding.original.line}"
                if binding.error and "ORCH_" in binding.original.string:
                    warnings.append(f"{source}: this line can't be read and is left out")
                elif binding.key:
                    found[binding.key] = (binding.value or "", source)
    except (OSError, UnicodeDecodeError) as error:
        return Layer(warnings=(f"{path} can't be read and is left out: {_words(error)}",))
    layer = _variables(found, str(path.parent))
    return replace(layer, warnings=(*warnings, *layer.warnings), path=str(path))


def from_project(folders: Iterable[Path]) -> Layer:
    """`orchestrator.toml`, or `[tool.orchestrator]` of `pyproject.toml`, in the nearest folder that has one."""
    for folder in folders:
        for name, table in ((PROJECT_FILE, ()), (PYPROJECT, ("tool", "orchestrator"))):
            if (layer := _toml(folder / name, table)) is not None:
                return layer
    return Layer()


def from_user(environ: Mapping[str, str]) -> Layer:
    """`config.toml` in the user's configuration folder (ORCH_CONFIG_DIR names another)."""
    return _toml(user_file(environ), ()) or Layer()


def user_file(environ: Mapping[str, str]) -> Path:
    """Where that is, whether or not there is one."""
    return user_folder(environ) / "config.toml"


def user_folder(environ: Mapping[str, str]) -> Path:
    """Where the user's own configuration lies."""
    if own := environ.get("ORCH_CONFIG_DIR"):
        return Path(own)
    if XDG:  # what platformdirs would say, without its 18 ms of import
        xdg = environ.get("XDG_CONFIG_HOME", "")
        return (Path(xdg) if xdg.startswith("/") else Path("~/.config").expanduser()) / "orchestrator"
    from platformdirs import user_config_path

    return user_config_path("orchestrator")


def upward(cwd: Path) -> tuple[Path, ...]:
    """`cwd` and the folders above it up to the repository's top; outside a repository only `cwd`, since /tmp may be anyone's."""
    folders = [cwd]
    for folder in (cwd, *cwd.parents):
        if folder != cwd:
            folders.append(folder)
        if (folder / ".git").exists():
            return tuple(folders)
    return (cwd,)


def guess(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` where something is close enough, else nothing."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"; did you mean '{close[0]}'?" if close else ""


def _variables(found: Mapping[str, tuple[str, str]], folder: str) -> Layer:
    by_name = {option.env: option for option in OPTIONS}
    entries, args, warnings = {}, {}, []
    for name, (value, source) in found.items():
        if not name.startswith("ORCH_") or name in OWN_VARIABLES:
            continue
        if match := ARGS.fullmatch(name):
            args[args_name(match[1])] = Entry(value, source, folder)
        elif name not in by_name:
            told = name if source == name else f"{source}: {name}"
            warnings.append(f"{told} is not a setting{guess(name, by_name)}")
        elif value.strip():
            entries[by_name[name].field] = Entry(value, source, folder, by_name[name].milliseconds, in_file=source != name)
    return Layer(entries, args=args, warnings=tuple(warnings))


def _nearest(folders: Iterable[Path], name: str) -> Path | None:
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


def _toml(path: Path, table: tuple[str, ...]) -> Layer | None:
    """The layer in `table` of a TOML file; None where there is no such file or table."""
    text = _read(path)
    if text is None or (table and table[-1] not in text):
        return None
    import tomllib

    try:
        data: object = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of a number of thousands of digits, and of a list in a list in a list
        raise Misuse(f"{path} is not valid TOML: {error}.", hint="Fix the file; nothing was started.") from error
    for key in table:
        data = data.get(key) if isinstance(data, dict) else None
    if data is None:
        return None
    if not isinstance(data, dict):
        header = f"[{'.'.join(table)}]"
        raise Misuse(f"{path}: {header} must be a table.", hint=f"Write {header} and the settings below it.")
    return _from_table(data, path, table, _lines(text))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        hint = CLOSED if isinstance(error, PermissionError) else "Make it readable UTF-8 text, or remove it."
        raise Misuse(f"{path} can't be read: {_words(error)}.", hint=hint) from error


def _from_table(data: Mapping[str, object], path: Path, table: tuple[str, ...], lines: Mapping[tuple[str, ...], int]) -> Layer:
    fields = {option.field for option in OPTIONS}
    entries, warnings = {}, []
    hooks, hook_warnings = _hooks(data.get("hooks"), path, table, lines)
    agents, args = _agents(data.get("agents"), path, table, lines)
    for key, value in data.items():
        source, name = _source(path, lines, (*table, key)), key.replace("-", "_")
        if name in fields:
            entries[name] = Entry(value, source, str(path.parent), in_file=True)
        elif key not in TABLES:
            warnings.append(f"{source}: '{key}' is not a setting{guess(name, (*fields, *TABLES))}")
    gates = _gates(data.get("gates"), path, table, lines)
    return Layer(entries, hooks, gates, agents, args, (*warnings, *hook_warnings), str(path))


def _hooks(
    data: object, path: Path, table: tuple[str, ...], lines: Mapping[tuple[str, ...], int]
) -> tuple[Mapping[str, Entry], tuple[str, ...]]:
    if data is None:
        return {}, ()
    if not isinstance(data, dict):
        header = f"[{'.'.join((*table, 'hooks'))}]"
        raise Misuse(f"{path}: hooks must be a table.", hint=f"Write {header} and below it any of: {', '.join(HOOKS)}.")
    hooks, warnings = {}, []
    for key, value in data.items():
        source = _source(path, lines, (*table, "hooks", key))
        if key in HOOKS:
            hooks[key] = Entry(value, source, str(path.parent))
        else:
            warnings.append(f"{source}: there is no hook '{key}'{guess(key, HOOKS)}")
    return hooks, tuple(warnings)


def _gates(data: object, path: Path, table: tuple[str, ...], lines: Mapping[tuple[str, ...], int]) -> Mapping[str, Entry]:
    if data is None:
        return {}
    if not isinstance(data, dict):
        header = f"[{'.'.join((*table, 'gates'))}]"
        raise Misuse(f"{path}: gates must be a table.", hint=f'Write {header} and below it lines like: test = "pytest -rA".')
    return {key: Entry(value, _source(path, lines, (*table, "gates", key)), str(path.parent)) for key, value in data.items()}


def _agents(
    data: object, path: Path, table: tuple[str, ...], lines: Mapping[tuple[str, ...], int]
) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """The tables `[agents.NAME]`: what they say of an agent, and apart from that the `args` of any."""
    agents, args = {}, {}
    for name, said in _table_of_tables(data, path, table).items():
        key = (*table, "agents", name)
        if "args" in said:
            args[args_name(name)] = Entry(said["args"], _source(path, lines, (*key, "args")), str(path.parent))
        if rest := {word: value for word, value in said.items() if word != "args"}:
            agents[name] = Entry(rest, _source(path, lines, (*key, next(iter(rest)))), str(path.parent))
    return agents, args


def _table_of_tables(data: object, path: Path, table: tuple[str, ...]) -> Mapping[str, Mapping[str, object]]:
    if data is None:
        return {}
    if isinstance(data, dict) and all(isinstance(said, dict) for said in data.values()):
        return data
    header = f"[{'.'.join((*table, 'agents', 'NAME'))}]"
    raise Misuse(f"{path}: agents must be tables, one for each agent.", hint=f"Write {header} and what is said of it below.")


def _source(path: Path, lines: Mapping[tuple[str, ...], int], key: tuple[str, ...]) -> str:
    return f"{path}:{lines[key]}" if key in lines else str(path)


def _lines(text: str) -> Mapping[tuple[str, ...], int]:
    """The line of each key. tomllib doesn't tell; this is only shown, so what it can't find has no line number."""
    found: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if match := HEADER.fullmatch(line):
            header = _parts(match[1])
        elif match := KEY.match(line):
            found.setdefault((*header, *_parts(match[1])), number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _words(error: OSError | UnicodeDecodeError) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or str(error)
