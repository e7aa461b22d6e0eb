"""The front matter through its model: what is wrong, said with its line, column and the form to write instead."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from orchestrator.core import gates
from orchestrator.core.spec import MEANT, RESERVED
from orchestrator.errors import Problem, SpecError
from orchestrator.store.header import MOST, NOTHING, Header, read_header, shorten
from orchestrator.store.model import BudgetModel, FilesModel, FrontMatter, MetricModel
from orchestrator.store.sections import EMPTY, Body, Line, bullet_text, heading_of, words_of

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
# What people, editors and models write for front matter that is none: below the title or a remark, in smart dashes, in TOML's
# marks, in a fence.
MISPLACED = re.compile(
    r"(?P<remark>(?!%).*\n\s*)??(?:%.*\n)?(?:-{3,}|[–—]{1,3}-?|\+{3}|(?P<fence>`{3,})[ \t]*(?:ya?ml|markdown|md))[ \t]*\n"
    r"(?:---[ \t]*\n)?\s*(?P<key>[a-z_]+)[ \t]*[:=]|\{\s*\"(?P<json>[a-z_]+)\"\s*:"
)
# A key as a label, such as people write below a title because `**Model:**` is read there.
LABEL = re.compile(
    r"\s*(?:[-*+]\s+)?\*\*(?P<key>[A-Za-z][\w -]{2,30})(?::\*\*|\*\*\s*:)\s*(?P<value>`?[^\s,`]+(?:, [^\s,`]+)*`?)\s*"
)
COMMAND = re.compile(r"`([a-z][^` ]* [^`]+)`")
MEANT_AS_KEYS = FrontMatter.model_fields.keys() - RESERVED - {"title", "goal", "labels", "benchmark", "setup"}
READ = {"model", "effort", "max_failures", "scope", "off_limits", "metric"}  # as labels, or told elsewhere
AS_LABELS = MEANT_AS_KEYS - READ - {"repo", "skills"}  # in prose, those are what a project and a person have
ORDINARY = frozenset({"branch", "needs", "requires", "after"})  # a task's own branch is no base, and it may need a tool
METRICS = re.compile(r"metrics\..*\.")
# What begins a body as front matter does whose marks were left out, or that goes on behind them.
UNMARKED = re.compile(r"(?P<key>[a-z_]+):(?: +(?:\S+|[\[{].*)[ \t]*$|(?:\n *(?:- |\w+:).*)+)", re.MULTILINE)
BEGINS = "front matter begins in the first line, with three hyphens"
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
        close = difflib.get_close_matches(_folded(key.rpartition(".")[2]), known, n=1)
        meant = CALLED.get(METRICS.sub("metric.", _folded(key)).replace("_", "")) or (known[close[0]] if close else "")
        hint = MEANT.format(meant) if meant else ""
        yield f"The key `{shorten(key)}` is not known and does nothing.{hint}"


def misplaced(front: Header, body: Body) -> Iterator[str]:
    """What the first words of the body ask for in vain: `review: required` below the title lets all work land. Of who knows
    where front matter goes, a block of code is a quotation; and what is said below a title is no remark about the file."""
    lines = body.parts[0].lines
    first = "\n".join(line.text for line in lines).strip()
    begun, titled = front.body_line > 1, bool(lines) and lines[0].number > front.body_line
    if match := MISPLACED.match(first):
        key = match["key"] or match["json"]
        if key in FrontMatter.model_fields and not (match["fence"] and begun) and not (match["remark"] and titled):
            yield f"`{key}` is read as prose: {BEGINS}.{MEANT.format('---')}"
    elif not titled and (match := UNMARKED.match(first)) and match["key"] in MEANT_AS_KEYS and _understood(match[0]):
        line = shorten(match[0].partition("\n")[0])
        meant = f"{MEANT.format(line).rstrip('?')} above its end?" if begun else MEANT.format("---")
        yield f"`{match['key']}` is read as prose: {'the front matter has ended there' if begun else BEGINS}.{meant}"


def labels(front: Header, body: Body) -> Iterator[str]:
    """What a key would have understood and stands as a label before the first section, or as a section: `**Review:** required`
    lets all work land."""
    for line, label, said in islice((*_labels(body), *_sections(body)), MOST):
        key = _key(label)
        written = f"{key}: {f'[{said}]' if ', ' in said else said}"
        if key in AS_LABELS and key not in front.data and said.lower().rstrip(".") not in EMPTY and _understood(written):
            yield f"Line {line.number}: `{shorten(line.text.strip())}` is read as prose.{MEANT.format(shorten(written))}"


def _key(label: str) -> str:
    key = _folded(label.strip().replace(" ", "_"))
    return key if key in ORDINARY else CALLED.get(key.replace("_", ""), key)


def _labels(body: Body) -> Iterator[tuple[Line, str, str]]:
    for line in body.parts[0].lines:
        if not line.code and (match := LABEL.fullmatch(line.text)):
            yield line, match["key"], match["value"].strip("`")


def _sections(body: Body) -> Iterator[tuple[Line, str, str]]:
    """The sections that we don't know and that hold one word, or a list of such; of gates the first command."""
    for part in body.parts:
        said = [bullet_text(line) or line.text.strip() for line in part.lines if line.text.strip()] if not part.name else []
        if part.heading and 0 < len(said) <= MOST:
            label = words_of(heading_of(part.heading.text)[1])
            command = next(filter(None, map(COMMAND.search, said)), None) if label == "gates" else None
            if command:
                yield part.heading, "gates", f"{{test: {command[1]}}}"
            elif not any(word.split()[1:] for word in said):
                yield part.heading, label, ", ".join(word.strip("`") for word in said)


def _understood(written: str) -> bool:
    """Whether front matter of this one line is right."""
    try:
        front = read_header(Path(), f"---\n{written}\n---\n")
        return any(value is not None for value in front.data.values()) and bool(validated(Path(), front))
    except SpecError:
        return False


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
    below = {_folded(name): f"gates.{name}" for name in (*gates.FIRST, *gates.LAST) if name not in gates.TAKEN}
    for key in model.model_extra or ():
        near = {name: inside[name] for name in difflib.get_close_matches(_folded(key), inside, cutoff=CLOSE)}
        near |= {name: below[name] for name in difflib.get_close_matches(_folded(key), below, cutoff=SAME)}
        yield key, near | {known: known for known in FrontMatter.model_fields}
    for prefix, part in _parts(model):
        for key in part.model_extra or ():
            yield f"{prefix}.{key}", {known: known for known in type(part).model_fields}


def _folded(key: str) -> str:
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
