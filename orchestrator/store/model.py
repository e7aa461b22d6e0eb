"""The front matter of `autoresearch.md` as a pydantic model: what is allowed, and the words that explain each key.

Imports pydantic, so import it only where a spec is really parsed or the JSON schema is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from orchestrator.core import durations, gates, scope
from orchestrator.core.spec import INFINITE, LEAST_ALPHA, MOST_ALPHA, UNLIMITED, Direction, Kind, Land, Mode, Review
from orchestrator.core.task import name_problem

REFUSED_NAMES = frozenset({"__proto__", "constructor", "prototype"})
MANY = 1_000_000
MOST_TOKENS = 10**12
TOKENS = re.compile(r"(\d{1,9})\s*([kKmM])", re.ASCII)
LONGEST = 10**9
THOUSANDS = {"k": 1000, "m": 1_000_000}


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _duration(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _wrong('seconds, or a duration such as "90s", "15m", "2h"')
    try:
        seconds = durations.seconds(value)
    except ValueError:
        raise _wrong(_sixty(value) or f"a duration such as {durations.FORMS}") from None
    if not 0 < seconds < LONGEST:
        raise _wrong("a duration above 0")
    return seconds


def _sixty(value: object) -> str | None:
    """What to write instead of `1:30`, which YAML 1.1 reads as a number in base 60."""
    parts = str(value).split(":")
    if not 2 <= len(parts) <= 3 or not all(part.isdecimal() for part in parts):
        return None
    total = 0
    for part in parts:
        total = total * 60 + int(part)
    return f'a duration in quotes, such as "{total}s"'


def _metric_name(value: str) -> str:
    if value in REFUSED_NAMES or not value or any(character.isspace() or character == "=" for character in value):
        raise _wrong("a metric's name as the benchmark prints it: one word without `=`")
    return value


def _task_name(value: str) -> str:
    if problem := name_problem(value):
        raise _wrong(f"the name of a task ({problem})")
    return value


def _glob(value: str) -> str:
    if not value.strip() or "\x00" in value or "\n" in value:
        raise _wrong("a path or pattern such as `src/**`")
    if scope.problem((value,)):
        raise _wrong("a pattern in git's syntax, such as `src/**`; `!`, `\\` and `[` have a meaning there")
    return value


def _one_line(value: str) -> str:
    if not value.strip() or any(ord(character) < 32 for character in value):
        raise _wrong("one line of text")
    return value.strip()


def _issue(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _wrong('an issue, such as 12 or "owner/name#12"')
    return _one_line(str(value))


def _tokens(value: object) -> object:
    """`2M` and `500k` beside plain numbers."""
    match = TOKENS.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(match[1]) * THOUSANDS[match[2].lower()] if match else value


def _word(value: str) -> str:
    if not value or any(character.isspace() or character == "," for character in value):
        raise _wrong("one word; several of them as a list such as [a, b]")
    return value


def _environment(value: object) -> object:
    """Whole numbers are taken as they are written; yes, no and the like stay errors, since YAML changed them."""
    if not isinstance(value, dict):
        return value
    return {key: str(item) if isinstance(item, int) and not isinstance(item, bool) else item for key, item in value.items()}


def _variables(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not name or "=" in name or "\x00" in name + text:
            raise _wrong("variables such as `PORT: 3000`")
    return value


def _samples(value: object) -> object:
    if value == "inline" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MANY):
        return value
    raise _wrong("a whole number from 1, or inline")


def _failures(value: object) -> int:
    if isinstance(value, str) and value.strip().lower() in INFINITE:
        return UNLIMITED
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MANY:
        return value
    raise _wrong("a whole number from 1, or infinite")


def _mode(value: object) -> gates.Mode:
    try:
        return gates.mode(value)
    except ValueError as error:
        raise _wrong(str(error)) from None


def _wrong(expected: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", "{expected}", {"expected": expected})


def _any_case(words: Iterable[str]) -> str:
    """A pattern of these words, however they are written."""
    return rf"^\s*(?:{'|'.join(''.join(f'[{c}{c.upper()}]' for c in word) for word in sorted(words))})\s*$"


Text = Annotated[str, Field(strict=True)]
OneLine = Annotated[str, AfterValidator(_one_line), WithJsonSchema({"type": "string", "pattern": r"^(?=.*\S)[^\x00-\x1f]*$"})]
Issue = Annotated[
    str,
    BeforeValidator(_issue),
    WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^(?=.*\S)[^\x00-\x1f]*$"}]}),
]
Duration = Annotated[
    float,
    BeforeValidator(_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": LONGEST},
                {"type": "string", "pattern": durations.PATTERN},
            ]
        }
    ),
]
Count = Annotated[int, Field(ge=1, le=MANY)]
Failures = Annotated[
    int,
    BeforeValidator(_failures),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MANY},
                {"type": "string", "pattern": _any_case(INFINITE), "examples": ["infinite"]},
            ]
        }
    ),
]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _one_or_more(pattern: str) -> WithJsonSchema:
    text = {"type": "string", "pattern": pattern}
    return WithJsonSchema({"anyOf": [text, {"type": "array", "items": text}]})


Texts = Annotated[list[OneLine], BeforeValidator(_listed), _one_or_more(r"^(?=.*\S)[^\x00-\x1f]*$")]
Globs = Annotated[list[Annotated[str, AfterValidator(_glob)]], BeforeValidator(_listed), _one_or_more(r"^(?=.*\S)[^\x00\n]*$")]
Words = Annotated[list[Annotated[str, AfterValidator(_word)]], BeforeValidator(_listed), _one_or_more(r"^[^\s,]+$")]
Environment = Annotated[
    dict[str, str],
    BeforeValidator(_environment),
    AfterValidator(_variables),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": "^[^=]+$"},
            "additionalProperties": {"type": ["string", "integer"]},
        }
    ),
]
AMode = Annotated[gates.Mode, BeforeValidator(_mode), WithJsonSchema({"enum": [*gates.Mode, False]})]
TEXT = {"type": "string", "pattern": r"\S"}


def _gate(**more: object) -> dict[str, object]:
    """A gate's shape; `more` are the keys that only this one has."""
    mapping = {"command": TEXT, "mode": {"enum": [*gates.Mode, False]}, **more}
    return {"anyOf": [TEXT, {"const": False}, {"type": "object", "additionalProperties": False, "properties": mapping}]}


Gates = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": r"^[^\x00-,./:-@\[-^`{-\x7f]+$", "not": {"enum": sorted(gates.TAKEN)}},
            "properties": {
                gates.VALIDATOR: _gate(allow={"anyOf": [TEXT, {"type": "array", "items": TEXT}]}),
                gates.JUDGE: _gate(agent=TEXT, model=TEXT, effort=TEXT, ask=TEXT),
            },
            "additionalProperties": _gate(),
        }
    ),
]
Names = Annotated[
    list[Annotated[str, AfterValidator(_task_name)]], BeforeValidator(_listed), _one_or_more(r"^(?![.-])[^/\x00-\x1f\x7f]+$")
]


Tokens = Annotated[
    int,
    Field(ge=1, le=MOST_TOKENS),
    BeforeValidator(_tokens),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_TOKENS},
                {"type": "string", "pattern": r"^\s*(?=.*[1-9])(?:[0-9]{1,9}\s*[kK]|(?:[0-9]{1,6}|1000000)\s*[mM])\s*$"},
            ]
        }
    ),
]


METRIC_NAME = {"type": "string", "pattern": r"^[^\s=]+$", "not": {"enum": sorted(REFUSED_NAMES)}}
SAMPLES = WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1, "maximum": MANY}, {"const": "inline"}]})


class MetricModel(BaseModel):
    """One number the benchmark prints as `METRIC name=value`."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    name: Annotated[str, AfterValidator(_metric_name), WithJsonSchema(METRIC_NAME)] = Field(
        description="As the benchmark prints it."
    )
    direction: Annotated[Direction, Field(strict=False)] | None = Field(
        None, description="Which way is better: lower (default) or higher."
    )
    target: Finite | None = Field(
        None, description="The task is done when the value is at least this good. Default for lower: 0."
    )
    tolerance: NotNegative | None = Field(None, description="Widens the target by this much.")
    min_effect: NotNegative | None = Field(None, description="What counts as better, relative: 0.01 is 1 %.")
    kind: Annotated[Kind, Field(strict=False)] | None = Field(
        None, description="deterministic, noisy, or auto (found out on the baseline)."
    )
    guard: bool = Field(False, description="This number must not get worse, and decides nothing else.")
    unit: OneLine | None = Field(None, description="For people; else taken from a suffix such as _ms.")
    samples: Annotated[int | str, BeforeValidator(_samples), SAMPLES] | None = Field(
        None, description="Reserved: samples per measurement, or inline."
    )


MetricField = Annotated[MetricModel, BeforeValidator(_named)]


class BudgetModel(BaseModel):
    """Ceilings for the whole task."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    attempts: Count | None = Field(None, description="Attempts at most.")
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="Minutes at most, over all attempts."
    )
    usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(None, description="US dollars at most.")
    tokens: Tokens | None = Field(None, description="Tokens at most, sent and received: 500000, 500k or 2M.")


class FilesModel(BaseModel):
    """Which files a task writes, and which it reads."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    reads: Globs | None = Field(None, description="Reserved.")
    writes: Globs | None = Field(None, description="The same as scope.")


class FrontMatter(BaseModel):
    """The front matter of a task's `autoresearch.md`. Every key is optional."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, title="autoresearch.md front matter")

    title: Text | None = Field(None, description="One line for people; else the `# Heading`.")
    goal: Text | None = Field(None, description="What to reach, for the agent; else the `## Goal` section.")
    labels: Texts | None = Field(None, description="Words to find it by.")
    draft: bool = Field(False, description="true: not to be worked on yet.")
    priority: Annotated[int, Field(ge=-MANY, le=MANY)] = Field(0, description="Higher first.")
    repo: OneLine | None = Field(None, description="The repository, relative to the folder that holds the tasks root.")
    base: OneLine | None = Field(None, description="The branch to start from and to land on.")
    setup: Text | None = Field(None, description="A command to run once the worktree is made.")
    env: Environment | None = Field(None, description="Extra variables for agent and benchmark.")
    metric: MetricField | None = Field(None, description="The number that decides: a name, or a mapping.")
    metrics: list[MetricField] | None = Field(None, description="Several numbers; the first one that is no guard is the primary.")
    benchmark: Text | None = Field(None, description="A file of the task folder, or a command for the shell in the worktree.")
    holdout: Text | None = Field(None, description="A hidden benchmark, file or command: run after a win, shown to no agent.")
    converge: Annotated[int, Field(ge=1, le=10_000)] | None = Field(None, description="Samples in a row that must be at target.")
    mode: Annotated[Mode, Field(strict=False)] = Field(
        Mode.CONVERGE, description="converge: done at the target. optimize: as good as it gets, then done."
    )
    alpha: Annotated[float, Field(ge=LEAST_ALPHA, le=MOST_ALPHA, allow_inf_nan=False)] | None = Field(
        None, description="mode optimize: how often a change that does nothing may be kept; 0.01 is 1 %."
    )
    plateau: Count | None = Field(None, description="mode optimize: attempts in a row without improvement, then the best lands.")
    scope: Globs | None = Field(None, description="What may be changed, as git patterns; a change elsewhere fails the attempt.")
    off_limits: Globs | None = Field(None, description="What must not be changed; wins over scope.")
    files: FilesModel | None = Field(None, description="{reads, writes}: writes adds to scope.")
    enforcement: AMode = Field(
        gates.Mode.BLOCK, description="What a change outside of these means: off (as no and false are read, too), warn or block."
    )
    gates: Gates | None = Field(
        None,
        description="What must hold before work lands: test, lint, doctor, checks, test-validator, judge or any other name, "
        "each a command, a mode (off, warn, block) or {command, mode}.",
    )
    review: Annotated[Review, Field(strict=False)] = Field(
        Review.NONE, description="required: verified work waits for `orchestrator approve`."
    )
    depends_on: Names | None = Field(None, description="Tasks that must have converged before.")
    agent: OneLine | None = Field(None, description="Who does it, by the agent's name.")
    model: OneLine | None = Field(None, description="The agent's model; else a `**Model:**` line.")
    effort: OneLine | None = Field(None, description="The agent's reasoning effort; else a `**Reasoning:**` line.")
    fallback: Words | None = Field(None, description="Agents to take where the one named is at a limit or not installed.")
    tty: bool = Field(False, description="Run the agent in a terminal.")
    phases: Words | None = Field(
        None, description="Skills, each of which has its own session in an attempt: do-task, review-task."
    )
    skills: Words | None = Field(None, description="More skills that the agent finds in its worktree.")
    max_failures: Failures | None = Field(
        None, description="Attempts in a row without improvement, then blocked; infinite: no limit."
    )
    timeout: Duration | None = Field(None, description="For one agent session: seconds, or 90s, 15m, 2h.")
    benchmark_timeout: Duration | None = Field(None, description="For one run of the benchmark: seconds, or 90s, 15m, 2h.")
    budget: BudgetModel | None = Field(None, description="Ceilings: usd, tokens, minutes, attempts.")
    land: Annotated[Land, Field(strict=False)] = Field(Land.MERGE, description="What becomes of converged work.")
    executor: OneLine | None = Field(None, description="Where it runs, by the executor's name.")

    worktree: Any = Field(None, description="Reserved.")
    phase: Any = Field(None, description="Reserved.")
    locks: Any = Field(None, description="Reserved: {reads, writes}.")
    resources: Any = Field(None, description="Reserved.")
    kind: Any = Field(None, description="Reserved: code, test, fix or review.")
    issue: Issue | None = Field(None, description="The issue that its pull request closes: 12, owner/name#12 or an address.")
