"""The front matter through its model: what is wrong, said with its line, column and the form to write instead."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.core import gates
from orchestrator.core.spec import MEANT, RESERVED
from orchestrator.errors import Problem, SpecError
from orchestrator.store.header import MOST, NOTHING, Header, shorten
from orchestrator.store.model import BudgetModel, FilesModel, FrontMatter, MetricModel

EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list such as [a, b]",
    "dict_type": "a mapping such as {name: value}",
    "model_type": "a mapping such as {name: value}",
    "model_attributes_type": "a mapping such as {name: value}",
    "finite_number": "a finite number",
}
FORMS = {
    "budget": "a mapping such as {usd: 5, minutes: 60}",
    "files": "a mapping such as {writes: [src/**]}",
    "gates": "a mapping such as {test: pytest -rA}",
    "metric": "a mapping such as {name: failures, target: 0}; several of them as a list below `metrics`",
    "metrics": "a list such as [{name: failures, target: 0}]",
}
LIMITS = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most"), "greater_than": ("gt", "more than")}
WORD = re.compile(r"'([^']*)'")
METRICS = re.compile(r"metrics\..*\.")
REMARK = re.compile(r"#[^\s#]")
DAY = 86400
CLOSE = 0.7  # what belongs below another key has to be closer: `tags` is no `target`
SAME = 0.85  # `check` and `tests` are gates, `text` is none
RESERVED_PARTS = ("samples", "reads")


# What other tools, and people, call a key of ours; nothing in the letters tells it. Without `_`, as `maxAttempts` is written.
CALLED = {
    **dict.fromkeys(("exclude", "excludes", "forbidden", "protected", "outofscope", "readonly", "donottouch"), "off_limits"),
    **dict.fromkeys(("include", "includes", "allowedfiles", "allowedpaths", "filesinscope", "paths"), "scope"),
    **dict.fromkeys(("needs", "requires", "after", "blockedby"), "depends_on"),
    **dict.fromkeys(("branch", "basebranch", "targetbranch"), "base"),
    **dict.fromkeys(("command", "cmd", "run", "script"), "benchmark"),
    **dict.fromkeys(("attempts", "maxattempts", "maxiterations"), "budget.attempts"),
    **dict.fromkeys(("retries", "maxretries", "retrylimit"), "max_failures"),
    **dict.fromkeys(("reasoning", "thinking"), "effort"),
    "environment": "env",
    "optimize": "mode",
    **dict.fromkeys(("metric.goal", "metric.threshold", "metric.limit", "metric.max", "metric.min"), "target"),
    **dict.fromkeys(("metric.better", "metric.optimizefor", "metric.mode"), "direction"),
}


def validated(path: Path, front: Header) -> FrontMatter:
    """The front matter as its model. A key with nothing behind it counts as not written. Raises SpecError."""
    try:
        return FrontMatter.model_validate(_without_none(front.data))
    except ValidationError as error:
        problems = (_problem(path, front, item) for item in error.errors()[:MOST])
        raise SpecError(tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))) from None


def reserved(model: FrontMatter) -> dict[str, object]:
    """Keys that later parts act on, as they stand; those inside metric and budget under a dotted name."""
    kept: dict[str, object] = {key: getattr(model, key) for key in sorted(RESERVED & model.model_fields_set)}
    for prefix, part in _parts(model):
        for key in RESERVED_PARTS:
            if (value := getattr(part, key, None)) is not None:
                kept[f"{prefix}.{key}"] = value
    return kept


def unknown(model: FrontMatter) -> dict[str, object]:
    """Keys nobody knows, as they stand; those inside metric and budget under a dotted name."""
    kept: dict[str, object] = dict(model.model_extra or {})
    for prefix, part in _parts(model):
        kept.update({f"{prefix}.{key}": value for key, value in (part.model_extra or {}).items()})
    return kept


def warnings(model: FrontMatter) -> Iterator[str]:
    """One sentence for each unknown key, with the known key it may stand for."""
    for number, (key, known) in enumerate(_strangers(model)):
        if number == MOST:
            yield "There are more keys that are not known."
            return
        close = difflib.get_close_matches(folded(key.rpartition(".")[2]), known, n=1)
        meant = CALLED.get(METRICS.sub("metric.", folded(key)).replace("_", "")) or (known[close[0]] if close else "")
        hint = MEANT.format(meant) if meant else ""
        yield f"The key `{shorten(key)}` is not known and does nothing.{hint}"


def cut_off(front: Header) -> Iterator[str]:
    """Words that YAML takes for a comment: `issue: #12` is empty, and `title: Fix #12` says `Fix`."""
    for key in ("title", "goal", "issue"):
        remark = front.remark((key,)) if key in front.data else ""
        if REMARK.match(remark):
            said, kept = front.data[key], shorten(remark)
            whole = json.dumps(kept if said is None else f"{said} {kept}", ensure_ascii=False)
            yield f"`{kept}` behind `{key}:` is a comment to YAML and not read.{MEANT.format(f'{key}: {whole}')}"


def milliseconds(front: Header) -> Iterator[str]:
    """Bare numbers that are seconds here and were most likely meant as in the environment: what hangs would stand for days."""
    for key in ("timeout", "benchmark_timeout"):
        said = front.data.get(key)
        if isinstance(said, int | float) and said > DAY:
            meant = MEANT.format(f"{key}: {said / 1000:g}s")
            yield f"`{key}: {said}` is in seconds, {said / DAY:.1f} days.{meant}"


def _strangers(model: FrontMatter) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each unknown key with the keys that are known, and where they belong: a `target` beside `metric` is the metric's, and
    `checks` a gate."""
    inside = {name: f"metric.{name}" for name in sorted(MetricModel.model_fields.keys() - {"name"})}
    below = {folded(name): f"gates.{name}" for name in (*gates.FIRST, *gates.LAST) if name not in gates.TAKEN}
    for key in model.model_extra or ():
        near = {name: inside[name] for name in difflib.get_close_matches(folded(key), inside, cutoff=CLOSE)}
        near |= {name: below[name] for name in difflib.get_close_matches(folded(key), below, cutoff=SAME)}
        yield key, near | {known: known for known in FrontMatter.model_fields}
    for prefix, part in _parts(model):
        for key in part.model_extra or ():
            yield f"{prefix}.{key}", {known: known for known in type(part).model_fields}


def folded(key: str) -> str:
    """A key as it is compared: in small letters, with `_`."""
    return key[:60].replace("-", "_").lower()


def _without_none(data: dict[str, Any]) -> dict[str, Any]:
    """Without the known keys that stand there with nothing behind them."""
    kept = {key: value for key, value in data.items() if value is not None or key not in FrontMatter.model_fields}
    for key in ("metric", "budget", "files"):
        if isinstance(part := kept.get(key), dict):
            kept[key] = {name: value for name, value in part.items() if value is not None}
    if isinstance(kept.get("metrics"), list):
        kept["metrics"] = [_without_none({"metric": item})["metric"] if item is not None else item for item in kept["metrics"]]
    return kept


def _problem(path: Path, front: Header, item: Any) -> Problem:
    where: tuple[str | int, ...] = item["loc"]
    line, column = front.place(where)
    key = ".".join(str(step) for step in where if isinstance(step, str))
    if item["type"] == "missing":
        return Problem(path, line, column, f"`{shorten(str(where[0]))}` without `{where[-1]}`", f"a `{where[-1]}`")
    source = front.source(where)
    found = f"`{key}: {source}`"
    if isinstance(item["input"], bool) and source.lower() not in ("true", "false"):
        found += f", which YAML reads as {str(item['input']).lower()}"
    expected = _expected(item, where)
    if quoted := _quoted(item, where, source):
        expected += f"; as text it needs quotes: `{quoted}`"
    return Problem(path, line, column, found, expected)


def _expected(item: Any, where: Sequence[str | int]) -> str:
    context = item.get("ctx") or {}
    kind = item["type"]
    if kind in ("enum", "literal_error"):
        words = str(context["expected"])  # 'a', 'b' or 'c'
        return words.replace("'", "") if isinstance(item["input"], str) else WORD.sub(rf'`{where[-1]}: "\1"`', words)
    if kind in LIMITS:
        name, words = LIMITS[kind]
        return f"{words} {context[name]:g}"
    if kind.startswith(("model_", "dict_", "list_")) and where[-1] in FORMS:
        return FORMS[str(where[-1])]
    return EXPECTED.get(kind) or str(context.get("expected") or item["msg"])


def _quoted(item: Any, where: Sequence[str | int], source: str) -> str | None:
    """The line to write where YAML made something else of a word that was meant as text."""
    if item["type"] != "string_type" or isinstance(item["input"], str | list | dict) or source[:1] in ("'", '"'):
        return None
    if source == NOTHING:
        return None
    last = where[-1]
    return f'{last}: "{source}"' if isinstance(last, str) else f'"{source}"'


def _parts(model: FrontMatter) -> Iterator[tuple[str, BaseModel]]:
    if model.metric:
        yield "metric", model.metric
    for metric in model.metrics or ():
        yield f"metrics.{metric.name}", metric
    if isinstance(model.files, FilesModel):
        yield "files", model.files
    if isinstance(model.budget, BudgetModel):
        yield "budget", model.budget
