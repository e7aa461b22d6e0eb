"""The options of `add` and `edit` that say something about a task, and the front matter they come to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

from orchestrator.cli.options import by_commas, completing, folders
from orchestrator.core import gates, scope
from orchestrator.core.spec import INFINITE, Direction, Land, Mode, Review

F = TypeVar("F", bound=Callable[..., Any])


def _failures(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value.lower() in INFINITE:
        return value and "infinite"
    return int(click.IntRange(min=1)(value, _param, _ctx))


YAML = re.compile(r"\{\S")  # in a shell, a brace that groups commands has a space behind it
MODES, REVIEWS = [each.value for each in Mode], [each.value for each in Review]
LIMITS = [each.value for each in gates.Mode]
LANDS = [each.value for each in Land]
OPTIONS = (
    click.option("--goal", metavar="TEXT", help="What to reach, in words for the agent."),
    click.option("--title", metavar="TEXT", help="One line for people."),
    click.option("--metric", metavar="NAME", help="The number that decides, as the benchmark prints it: METRIC NAME=value."),
    click.option("--direction", type=click.Choice([each.value for each in Direction]), help="Which is better (default lower)."),
    click.option("--target", type=float, metavar="N", help="Done when the metric is at least this good (default 0 for lower)."),
    click.option("--tolerance", type=float, metavar="N", help="Widens the target by this much."),
    click.option("--min-effect", type=float, metavar="N", help="What counts as better, relative: 0.01 is 1 %."),
    click.option("--mode", type=click.Choice(MODES), help="Done at the target (converge, the default), or as good as it gets."),
    click.option("--plateau", type=click.IntRange(min=1), metavar="N", help="optimize: attempts in a row without improvement."),
    click.option("--converge", type=click.IntRange(min=1), metavar="N", help="Samples in a row that must be at target."),
    click.option("--scope", multiple=True, metavar="GLOB", help="What may be changed, as in .gitignore; may be repeated."),
    click.option("--off-limits", multiple=True, metavar="GLOB", help="What must not be changed; may be repeated."),
    click.option("--enforcement", type=click.Choice(LIMITS), help="What a change outside of these means (default block)."),
    click.option(
        "--gate", "gates", multiple=True, metavar="NAME=CMD",
        help="What has to say yes before it lands: lint='ruff check', judge=claude, lint=warn; may be repeated.",
    ),
    click.option("--review", type=click.Choice(REVIEWS), help="required: a person approves verified work before it lands."),
    click.option(
        "--repo", metavar="DIR", shell_complete=folders,
        help="The task's repository, relative to the folder that holds tasks/.",
    ),
    click.option("--base", metavar="BRANCH", help="The branch to start from and land on."),
    click.option("--priority", type=int, metavar="N", help="Higher first (default 0)."),
    click.option(
        "--depends-on", multiple=True, metavar="NAME", shell_complete=by_commas(completing()),
        help="Tasks that must converge first; separated by commas, or repeated.",
    ),
    click.option("--label", "labels", multiple=True, metavar="LABEL", help="Words to find it by."),
    click.option("--agent", metavar="NAME", help="Who does it."),
    click.option("--model", metavar="MODEL", help="The agent's model."),
    click.option("--effort", metavar="LEVEL", help="The agent's reasoning effort."),
    click.option("--fallback", multiple=True, metavar="NAME", help="Agents to take at a usage limit."),
    click.option("--phases", multiple=True, metavar="NAME", help="Skills that an attempt goes through: do-task, review-task."),
    click.option("--skills", multiple=True, metavar="NAME", help="More skills for the agent."),
    click.option("--budget", multiple=True, metavar="KIND=N", help="A ceiling: usd, tokens, minutes, attempts; repeatable."),
    click.option(
        "--max-failures", callback=_failures, metavar="N", help="Failures in a row, then blocked; infinite: no limit."
    ),
    click.option("--timeout", metavar="TIME", help="One agent session: 90s, 15m, 2h."),
    click.option("--benchmark-timeout", metavar="TIME", help="One run of the benchmark: 90s, 15m, 2h."),
    click.option("--land", type=click.Choice(LANDS), help="What becomes of the work (default merge)."),
    click.option("--issue", metavar="ISSUE", help="What its pull request closes: 12, owner/name#12 or an address."),
)  # fmt: skip
IN_METRIC = {"direction": "direction", "target": "target", "tolerance": "tolerance", "min_effect": "min_effect"}
LISTS = ("scope", "off_limits", "depends_on", "labels", "fallback", "phases", "skills")
GLOBS = frozenset({"scope", "off_limits"})
BUDGETS: Mapping[str, Callable[[str], float | str]] = {
    "usd": float,
    "tokens": lambda text: text if text[:-1].isdecimal() and text[-1] in "kKmM" else int(text),
    "minutes": float,
    "attempts": int,
}
PLAIN = (
    "repo",
    "base",
    "priority",
    "agent",
    "model",
    "effort",
    "max_failures",
    "timeout",
    "benchmark_timeout",
    "converge",
    "mode",
    "plateau",
    "enforcement",
    "review",
    "land",
    "issue",
)


def spec_options(function: F) -> F:
    """Give a command all options that say something about a task."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def front_matter(given: Mapping[str, Any]) -> dict[str, object]:
    """The front matter of a new task."""
    metric = {"name": given["metric"], **{key: given[key] for key in IN_METRIC}}
    said = {key: value for key, value in metric.items() if value is not None}
    if "name" not in said:
        refuse_nameless(said)
    keys: dict[str, object] = {"metric": said["name"] if list(said) == ["name"] else said} if said else {}
    budget = {key: value for key, value in _budgets(given["budget"]).items() if value is not None}
    asked = {name: said for name, said in _gates(given["gates"]).items() if said}
    return {**keys, **_rest(given), **({"gates": asked} if asked else {}), **({"budget": budget} if budget else {})}


def refuse_nameless(said: Iterable[str]) -> None:
    """What these options say of a metric is said of none, where neither they nor the spec name one."""
    for key in said:
        raise click.UsageError(f"--{key.replace('_', '-')} says something about a metric; --metric NAME says which.")


def changes(given: Mapping[str, Any]) -> dict[str, object]:
    """What `edit` changes: only what was given, an empty text removes a key."""
    found: dict[str, object] = {}
    for key in ("goal", "title"):
        if given[key] is not None:
            found[key] = given[key]
    if given["metric"] is not None:
        found["metric.name"] = given["metric"]
    found |= {f"metric.{key}": given[key] for key in IN_METRIC if given[key] is not None}
    found |= {f"gates.{name}": said for name, said in _gates(given["gates"]).items()}
    found |= {f"budget.{key}": value for key, value in _budgets(given["budget"]).items()}
    return {key: value if value not in ("", []) else None for key, value in {**found, **_rest(given)}.items()}


def _rest(given: Mapping[str, Any]) -> dict[str, object]:
    plain = {key: given[key] for key in PLAIN if given[key] is not None}
    return {**plain, **{key: values for key in LISTS if (values := _flat(given[key], globs=key in GLOBS)) is not None}}


def _budgets(said: tuple[str, ...]) -> dict[str, float | str | None]:
    """`usd=5 tokens=1000000`; nothing behind the sign removes that ceiling."""
    found: dict[str, float | str | None] = {}
    for part in _flat(said) or ():
        kind, sign, text = (word.strip() for word in part.partition("="))
        if kind not in BUDGETS or not sign:
            raise click.UsageError(f"--budget {part}: write KIND=N, KIND one of {', '.join(BUDGETS)}.")
        try:
            found[kind] = BUDGETS[kind](text) if text else None
        except ValueError:
            raise click.UsageError(f"--budget {part}: {text!r} is no number of {kind}.") from None
    return found


def _gates(said: tuple[str, ...]) -> dict[str, object]:
    """`lint=ruff check`, and `lint=warn` beside it its mode; nothing behind the sign takes the gate out of the spec."""
    commands: dict[str, str] = {}
    modes: dict[str, str] = {}
    for part in said:
        name, sign, text = (word.strip() for word in part.partition("="))
        if not sign or not name or "." in name or " " in name:
            raise click.UsageError(f"--gate {part}: write NAME=COMMAND, or NAME=off, NAME=warn, NAME=block.")
        if YAML.match(text):
            raise click.UsageError(f"--gate {part}: write the command alone, and its mode as another --gate {name}=warn.")
        (modes if text in set(gates.Mode) else commands)[name] = text
    return commands | {name: gates.with_mode(name, commands.get(name), mode) for name, mode in modes.items()}


def _flat(values: tuple[str, ...], *, globs: bool = False) -> list[str] | None:
    """`--label a,b --label c`; one empty value says: none. Nothing given is None. Of patterns `a, b` is two, `a,b` one."""
    if not values:
        return None
    parts = [part for value in values for part in (scope.listed(value) if globs else value.split(","))]
    return [part.strip() for part in parts if part.strip()]
