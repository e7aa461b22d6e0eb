"""What a task's gates are, as data: a name, a command, and whether a no blocks, warns, or isn't asked for at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from orchestrator.core.value import Value

JUDGE = "judge"
VALIDATOR = "test-validator"
CHECKS = "checks"
VERIFY = "verify"
SCOPE = "scope"
# What costs least is asked first, what costs money last. A name that isn't here is a command of the user's own.
FIRST = (SCOPE, "test", "lint", "doctor", CHECKS, VERIFY)
LAST = (VALIDATOR, JUDGE)
TAKEN = {VERIFY: "`verify` is the command of the setting verify_cmd", SCOPE: "what `scope` means is said by `enforcement`"}
OWN_COMMAND = frozenset({SCOPE, CHECKS, VALIDATOR, JUDGE})  # those that can do without one
FORM = "a command, a mode (off, warn, block), or {command: …, mode: …}"


class Mode(StrEnum):
    """What a no means: nothing (it isn't even asked for), a word in the report, or that the work doesn't land."""

    OFF = "off"
    WARN = "warn"
    BLOCK = "block"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Gate(Value):
    """One gate. `mode` None: not said, so it blocks. `agent`, `model`, `effort` and `ask` are the judge's, `allow` are the tests
    (patterns) that the validator lets go."""

    name: str
    mode: Mode | None = None
    command: str | None = None
    agent: str | None = None
    model: str | None = None
    effort: str | None = None
    ask: str = ""
    allow: tuple[str, ...] = ()

    @property
    def means(self) -> Mode:
        return self.mode or Mode.BLOCK

    @property
    def asked(self) -> bool:
        return self.means is not Mode.OFF


def parse(name: str, said: object) -> Gate:
    """The gate that somebody wrote down. Raises ValueError with what is allowed, as the end of 'expected …'."""
    if not name.strip() or not name.replace("-", "").replace("_", "").isalnum():
        raise ValueError("a gate's name of letters, digits, `-` and `_`")
    if name in TAKEN:
        raise ValueError(f"another name; {TAKEN[name]}")
    if said is False or (isinstance(said, str) and said.strip() in set(Mode)):
        return Gate(name, mode=mode(said))
    if isinstance(said, str) and said.strip():
        return Gate(name, agent=said.strip()) if name == JUDGE else Gate(name, command=said.strip())
    if not isinstance(said, Mapping):
        raise ValueError(FORM)  # noqa: TRY004  all parsers tell of a bad value in one way
    return _from_mapping(name, said)


def mode(said: object) -> Mode:
    """`off`, which YAML reads as false, `warn` or `block`. Raises ValueError."""
    if said is False:
        return Mode.OFF
    if not isinstance(said, str) or said.strip() not in set(Mode):
        raise ValueError("off, warn or block")
    return Mode(said.strip())


def _from_mapping(name: str, said: Mapping[str, Any]) -> Gate:
    known: dict[str, Any] = {"command": str, "mode": mode}
    known |= {"allow": _patterns} if name == VALIDATOR else {}
    known |= dict.fromkeys(("agent", "model", "effort", "ask"), str) if name == JUDGE else {}
    if strange := [key for key in said if key not in known]:
        raise ValueError(f"one of {', '.join(known)} instead of `{strange[0]}`")
    for key, value in said.items():
        if known[key] is str and not (isinstance(value, str) and value.strip()):
            raise ValueError(f"text for `{key}`")
    read = {key: value.strip() if known[key] is str else known[key](value) for key, value in said.items()}
    return Gate(name, **read)


def _patterns(said: object) -> tuple[str, ...]:
    patterns = [said] if isinstance(said, str) else said
    if not isinstance(patterns, list | tuple) or not all(isinstance(each, str) and each.strip() for each in patterns):
        raise ValueError("a pattern, or a list of them, for `allow`")
    return tuple(patterns)


def with_mode(name: str, said: object, mode: str) -> object:
    """What is to be written down of a gate that gets this mode: a command that stands alone there, or a judge's agent, stays."""
    if not isinstance(said, str) or not said.strip() or said.strip() in set(Mode):
        return mode
    return {"agent" if name == JUDGE else "command": said, "mode": mode}


def to_plain(gate: Gate) -> dict[str, Any]:
    """`gate` as JSON-ready data; what says nothing is left out."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(gate).items() if value}


def from_plain(data: Mapping[str, Any]) -> Gate:
    """The gate that `to_plain` wrote."""
    values = dict(data)
    if values.get("mode") is not None:
        values["mode"] = Mode(values["mode"])
    return Gate(**{**values, "allow": tuple(values.get("allow") or ())})


def merged(defaults: Iterable[Gate], own: Iterable[Gate]) -> dict[str, Gate]:
    """A task's gates by name: its own, with the defaults behind them. One of which only the mode is said keeps the rest."""
    found = {gate.name: gate for gate in defaults}
    for gate in own:
        before = found.get(gate.name)
        only_mode = before is not None and gate == Gate(gate.name, mode=gate.mode)
        found[gate.name] = replace(before, mode=gate.mode) if before and only_mode else gate
    return found


def ordered(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    """In the order in which they are asked; those of the user's own as they were written."""
    places = {name: place for place, name in enumerate((*FIRST, "", *LAST))}
    return tuple(sorted(gates, key=lambda gate: places.get(gate.name, len(FIRST))))


def without_command(gates: Iterable[Gate]) -> tuple[str, ...]:
    """The names of those that are asked for and can't be, since nobody says what to run."""
    found = {gate.name: gate for gate in gates if gate.asked}
    test = found.get("test")
    lacking = [name for name, gate in found.items() if gate.command is None and name not in OWN_COMMAND]
    validator = found.get(VALIDATOR)
    unable = validator is not None and validator.command is None and (test is None or test.command is None)
    return (*lacking, *([VALIDATOR] if unable else []))
