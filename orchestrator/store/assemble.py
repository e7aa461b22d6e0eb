"""From the parts of a spec file (front matter, sections, session log) to one `Spec`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator.core import digits, gates
from orchestrator.core import scope as globbing
from orchestrator.core.gates import Gate
from orchestrator.core.spec import INFINITE, MEANT, UNLIMITED, Direction, Metric, Mode, Spec
from orchestrator.errors import Problem, SpecError
from orchestrator.store import metricsources, misplaced, validation
from orchestrator.store.header import MOST, Header, shorten
from orchestrator.store.lookalikes import fenced, lookalikes, own, spans
from orchestrator.store.metricsources import Said
from orchestrator.store.model import FrontMatter, MetricModel
from orchestrator.store.sections import Body, globs

LABELS = {"model": "model", "reasoning": "effort", "retry limit": "max_failures"}


@dataclass(slots=True)
class Draft:
    """The parts of one spec while they are put together, with what was noticed on the way."""

    path: Path
    front: Header
    body: Body
    model: FrontMatter
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def section(self, name: str) -> str:
        section = self.body.sections.get(name)
        return section.text if section else ""


def spec(path: Path, front: Header, body: Body, log: Path | None) -> Spec:
    """The spec these parts make. Raises SpecError with all problems found, in the order of the file."""
    model = validation.validated(path, front)
    warned = [*validation.warnings(model), *misplaced.header(front, body), *validation.cut_off(front), *fenced(body)]
    warned += misplaced.labels(front, body)
    draft = Draft(path, front, body, model, warnings=[*warned, *validation.milliseconds(front)])
    metrics = _metrics(draft, log)
    labelled = _labelled(draft)
    goal, title = _goal(draft)
    scope = _globs(draft, "scope", _writes(model))
    off_limits = _globs(draft, "off_limits", model.off_limits, scope)
    said = {"scope": _writes(model), "off_limits": model.off_limits}
    draft.warnings += lookalikes(
        body, (name for name, value in said.items() if value is not None), () if draft.problems else scope
    )
    draft.warnings += [*_idle(model), *_shares(metrics), *_foreign("scope", scope), *_foreign("off_limits", off_limits)]
    asked = tuple(_gates(draft))
    if draft.problems:
        ordered = sorted(draft.problems, key=lambda problem: (problem.path != path, problem.line, problem.column))
        raise SpecError(tuple(ordered[:MOST]))
    return Spec(
        title=title,
        goal=goal,
        body=front.body.strip(),
        labels=tuple(model.labels or ()),
        draft=model.draft,
        priority=model.priority,
        repo=model.repo,
        base=model.base,
        setup=model.setup,
        env=dict(model.env or {}),
        metrics=metrics,
        benchmark=(model.benchmark or "").strip() or None,
        converge=model.converge,
        mode=model.mode,
        alpha=model.alpha,
        plateau=model.plateau,
        scope=scope,
        off_limits=off_limits,
        enforcement=model.enforcement,
        holdout=(model.holdout or "").strip() or None,
        gates=asked,
        review=model.review,
        acceptance=draft.section("acceptance"),
        constraints=draft.section("constraints"),
        notes=draft.section("notes"),
        depends_on=tuple(dict.fromkeys(model.depends_on or ())),
        agent=model.agent,
        model=labelled["model"],
        effort=labelled["effort"],
        fallback=tuple(dict.fromkeys(model.fallback or ())),
        tty=model.tty,
        phases=tuple(model.phases or ()),
        skills=tuple(dict.fromkeys(model.skills or ())),
        max_failures=labelled["max_failures"],
        timeout=model.timeout,
        benchmark_timeout=model.benchmark_timeout,
        budget_attempts=model.budget.attempts if model.budget else None,
        budget_minutes=model.budget.minutes if model.budget else None,
        budget_usd=model.budget.usd if model.budget else None,
        budget_tokens=model.budget.tokens if model.budget else None,
        land=model.land,
        issue=model.issue,
        executor=model.executor,
        reserved=validation.reserved(model),
        unknown=validation.unknown(model),
        warnings=tuple(draft.warnings),
    )


def _gates(draft: Draft) -> Iterator[Gate]:
    for name, said in (draft.model.gates or {}).items():
        try:
            yield gates.parse(name, said)
        except ValueError as error:
            where = ("gates", name)
            found = f"`{shorten(name)}: {draft.front.source(where)}`"
            draft.problems.append(Problem(draft.path, *draft.front.place(where), found, str(error)))


def _writes(model: FrontMatter) -> Sequence[str] | None:
    """`scope`, and what `files.writes` adds to it."""
    said = [globs for globs in (model.scope, model.files.writes if model.files else None) if globs is not None]
    return list(dict.fromkeys(glob for globs in said for glob in globs)) if said else None


def _idle(model: FrontMatter) -> Iterator[str]:
    """Keys that do nothing in this task's mode."""
    if model.mode is Mode.OPTIMIZE and model.max_failures is not None:
        yield "max_failures does nothing in mode: optimize; `plateau` says when it ends."
    for key in ("alpha", "plateau"):
        if model.mode is Mode.CONVERGE and getattr(model, key) is not None:
            yield f"{key} does nothing without `mode: optimize`."


def _foreign(key: str, patterns: Sequence[str]) -> Iterator[str]:
    """Patterns in another tool's syntax: as `off_limits` they would keep nobody from anything."""
    for pattern in patterns:
        if better := globbing.meant(pattern):
            yield f"`{shorten(pattern)}` in {key} matches no such files in git's syntax.{MEANT.format(shorten(better))}"


def _shares(metrics: Sequence[Metric]) -> Iterator[str]:
    """Effects that were most likely meant in percent, or in the metric's own unit: no number gets lower by all of itself."""
    for metric in metrics:
        if metric.min_effect > 1 or (metric.min_effect == 1 and metric.direction is Direction.LOWER):
            told, meant = digits.text(100 * metric.min_effect), digits.text(metric.min_effect / 100)
            yield f"The min_effect of {metric.name} is relative: it asks for {told} %.{MEANT.format(f'min_effect: {meant}')}"


def _goal(draft: Draft) -> tuple[str, str]:
    """Goal and title: the key, else the section, else the text below the heading, else the heading itself."""
    title = " ".join((draft.model.title or draft.body.title).split())
    goal = (draft.model.goal or draft.section("goal") or draft.body.preamble or title).strip()
    if not goal and not any(section.text for section in draft.body.sections.values()):
        draft.problems.append(Problem(draft.path, 0, 0, "nothing to work towards", "a `# Title` or a `## Goal`"))
    return goal, title


def _metrics(draft: Draft, log: Path | None) -> tuple[Metric, ...]:
    section = draft.body.sections.get("metrics")
    declared = list(_declared(draft))
    told = list(metricsources.from_section(draft.path, section)) if section else []
    logged = metricsources.from_log(log) if log else None
    if not (declared or told or logged) and (unread := metricsources.unread(draft.body)):
        meant = MEANT.format("- **Primary**: NAME (lower is better, target 0)" if section else "## Metrics")
        draft.warnings.append(f"Line {unread.number}: no metric is read here, so every printed number must reach 0.{meant}")
    draft.warnings += _strictly(told)
    merged, disagreements = metricsources.merge((declared, told, [logged] if logged else []))
    draft.problems += disagreements
    draft.warnings += [
        f"The metric {said.name} has no direction; lower is better then.{MEANT.format('direction: higher')}"
        for said in merged
        if metricsources.upside_down(said)
    ]
    metrics = tuple(Metric(name=said.name, **said.values) for said in merged)
    if disagreements:
        return metrics
    if draft.model.mode is Mode.OPTIMIZE:
        _something_to_optimize(draft, metrics)
    if not metrics or draft.model.mode is Mode.OPTIMIZE or any(metric.target is not None for metric in metrics):
        return metrics
    return _with_target(draft, metrics, merged)


def _strictly(told: Sequence[Said]) -> Iterator[str]:
    """Targets that are not to be reached themselves, where that is another thing: one failure, or no test that passed."""
    for said in told:
        if said.strict and said.values.get("target") in (0, 1):
            target = digits.text(said.values["target"])
            yield f"Line {said.line}: {target} itself is at the target of {said.name}, though `{said.strict}` is said."


def _something_to_optimize(draft: Draft, metrics: Sequence[Metric]) -> None:
    if all(metric.guard for metric in metrics):
        line, column = draft.front.place(("mode",))
        draft.problems.append(
            Problem(draft.path, line, column, "`mode: optimize` without a metric that is no guard", "the `metric` to make better")
        )


def _declared(draft: Draft) -> Iterator[Said]:
    """The metrics of the front matter; the first one that is no guard is the primary."""
    model = draft.model
    entries: list[tuple[MetricModel, tuple[str | int, ...]]] = [(model.metric, ("metric",))] if model.metric else []
    entries += [(metric, ("metrics", index)) for index, metric in enumerate(model.metrics or ())]
    primary = next((metric.name for metric, _ in entries if not metric.guard), None)
    seen: set[str] = set()
    for metric, where in entries:
        line, column = draft.front.place(where)
        if metric.name in seen:
            draft.problems.append(
                Problem(draft.path, line, column, f"the metric `{metric.name}` a second time", "each metric once")
            )
            continue
        seen.add(metric.name)
        values = metric.model_dump(exclude_unset=True, exclude={"name", "samples", *(metric.model_extra or {})})
        yield Said(metric.name, draft.path, line, metric.name == primary, values)


def _with_target(draft: Draft, metrics: tuple[Metric, ...], merged: Sequence[Said]) -> tuple[Metric, ...]:
    """Some metric must have a target, or the task could never end. Unsaid, lower means 0, as in folders that declare none."""
    index = next((number for number, said in enumerate(merged) if said.primary), None)
    if index is None:
        found = "only guards and secondary metrics"
        draft.problems.append(Problem(merged[0].path, merged[0].line, 1, found, "one metric with a target"))
        return metrics
    metric, said = metrics[index], merged[index]
    if metric.direction is Direction.HIGHER:
        found = f"`{metric.name}` with direction higher and no target"
        draft.problems.append(Problem(said.path, said.line, 1, found, "the `target` at which the task is done"))
        return metrics
    hint = MEANT.format(said.meant) if said.meant else " Say `target:` to be done earlier."
    draft.warnings.append(f"The metric {metric.name} has no target; 0 is taken.{hint}")
    return (*metrics[:index], replace(metric, target=0.0), *metrics[index + 1 :])


def _labelled(draft: Draft) -> dict[str, Any]:
    """model, effort and max_failures, from the front matter or from lines such as `**Model:** name`."""
    values: dict[str, Any] = {key: getattr(draft.model, key) for key in LABELS.values()}
    told = {key: f"{draft.path.name}:{draft.front.place((key,))[0]}" for key, value in values.items() if value is not None}
    for line in draft.body.labelled:
        key = LABELS[line.label]
        value = _label_value(key, line.value)
        if value is None:
            shown = f"**{line.label.capitalize()}:** {shorten(line.value)}"
            draft.warnings.append(f"Line {line.number}: `{shown}` is not understood and not used.")
        elif key not in told:
            values[key], told[key] = value, f"{draft.path.name}:{line.number}"
        elif values[key] != value:
            expected = f"{values[key]}, as {told[key]} says (or change it there)"
            draft.problems.append(Problem(draft.path, line.number, 1, f"{line.label} {shorten(str(value))}", expected))
    return values


def _label_value(key: str, text: str) -> str | int | None:
    """One word; for the retry limit a number from 1 or "infinite". Anything longer is a remark and not a value."""
    if key == "max_failures" and text.lower() in INFINITE:
        return UNLIMITED
    if key == "max_failures":
        return int(text) if text.isdecimal() and len(text) < 7 and int(text) else None
    return text if len(text.split()) == 1 else None


def _globs(draft: Draft, name: str, said: Sequence[str] | None, scope: Sequence[str] = ()) -> tuple[str, ...]:
    """The patterns of a key, else of its section: a key with an empty list says nothing. Scope is enforced only where every item
    of its section is a path. What is in `scope` isn't proposed as off limits: "all but what `src/a.py` needs"."""
    if said or (section := draft.body.sections.get(name)) is None:
        return tuple(said or ())
    patterns, prose = globs(own(section, name))
    if not patterns and not prose and (paths := spans(section.lines)[:1]):
        hint = _as_key(name, paths)
        draft.warnings.append(f"Line {section.number}: {shorten(f'`{paths[0]}`')} is only prose here, not enforced.{hint}")
    draft.problems += [
        Problem(draft.path, line, 1, problem, "a pattern such as `src/**`")
        for pattern, line in patterns
        if (problem := globbing.problem((pattern,)))
    ]
    if prose and name == "scope":
        hint = _as_key(name, [pattern for pattern, _ in patterns] or spans(prose))
        draft.warnings.append(
            f"Line {prose[0].number}: the scope names no path here, so none is enforced; write `scope:` as a key.{hint}"
        )
        return ()
    if prose:
        hint = _as_key(name, [path for path in spans(prose) if path not in scope])
        draft.warnings.append(
            f"Line {prose[0].number}: no path is named here, so only the agent is told; write `{name}:` to enforce it.{hint}"
        )
    return tuple(dict.fromkeys(pattern for pattern, _ in patterns))


def _as_key(name: str, paths: Sequence[str]) -> str:
    """What most likely was meant, where paths are named."""
    return MEANT.format(shorten(f"{name}: [{', '.join(dict.fromkeys(paths))}]")) if paths else ""
