"""The prompt of one attempt: what is wanted, where, how it is measured, what was tried. The words are in `templates/prompt.md`.

The template is strict: a variable it doesn't know, or one that is not filled, is an error. A section all of whose variables are
empty is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from orchestrator.agents.log import readable
from orchestrator.core import digits, gates, metrics
from orchestrator.core.record import Attempt, Record
from orchestrator.core.reporting import cell
from orchestrator.core.spec import Direction, Metric, Mode, Spec
from orchestrator.core.value import Value
from orchestrator.errors import OrchestratorError
from orchestrator.store import templates
from orchestrator.store.layouts import Evaluator
from orchestrator.store.sections import Body, bare_list, globs, heading_of, read_body
from orchestrator.store.sections import Part as Prose

SECTION = re.compile(r"(?m)^(?=## )")
PROSE = 12_000  # characters of any one part: the whole prompt has to fit into one argument of a command line (128 KiB)
FEEDBACK = 6_000
DETAIL = 400
METRICS = 100  # rows of their table
TRIED = 10  # attempts listed, the newest
OPTIMIZE = (
    "Make `{name}` as good as you can. This attempt is kept only if it makes that better than what lies in the worktree now, and "
    "no guard worse; else it is taken back, and the next one begins where you began. One idea at a time is judged best."
)
ANSWERING = (
    "Do what is asked for, and make `{name}` no worse than it is in the worktree now, and no guard worse: then this attempt is "
    "kept."
)
# What becomes of changes outside of the scope, or to what is off limits.
OUTSIDE = {
    gates.Mode.BLOCK: "Whatever you change outside of this makes the whole attempt fail, and nothing of it is used.",
    gates.Mode.WARN: "Go beyond this only where the goal can't be reached otherwise: it does not fail the attempt, "
    "and a person is shown it.",
    gates.Mode.OFF: "This is where the work is expected to be. Nothing enforces it; go beyond it where the goal asks for that.",
}
NOISY_TARGET = (
    "A target of a noisy number ({name}) is reached when its median is shown to be there: a single good sample is not enough."
)
INSTRUCTIONS = ("AGENTS.md", "CLAUDE.md", "GEMINI.md", "CONTRIBUTING.md", ".github/copilot-instructions.md", ".cursorrules")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Conflict(Value):
    """Verified work at `tip` that conflicts with `commit` of the branch `base` in `files`; those `marked` hold git's markers by
    now. `brought`: the base's commits that touch them."""

    base: str
    commit: str
    tip: str
    files: tuple[str, ...]
    marked: tuple[str, ...]
    brought: tuple[str, ...]

    def values(self) -> Mapping[str, str]:
        """For the template."""
        kinds = {path: "with markers" if path in self.marked else "without" for path in (*self.files, *self.marked)}
        return {
            "base": _line(self.base),
            "base_commit": self.commit[:12],
            "tip": self.tip[:12],
            "files": "\n".join(f"- `{_line(path)}` ({kind})" for path, kind in kinds.items()),
            "brought": "\n".join(f"- {_line(line)}" for line in self.brought),
        }


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Part(Value):
    """What is particular to one session: its phase, what those before it left, the skills its agent can't find by itself, what is
    left of a budget, that it goes on after an interruption, where the session before it came to its end, or what it said there,
    and the conflict that it is to resolve: then the words are those of `templates/resolve.md`."""

    phase: str = ""
    so_far: str = ""
    skills: str = ""
    budget: str = ""
    resumed: str = ""
    handover: str = ""
    said: str = ""
    conflict: Conflict | None = None


WHOLE = Part()

PLACED = ("goal", "acceptance", "constraints", "notes")  # sections of a spec that are told as they stand
LISTED = ("scope", "off_limits")  # of these the paths are


def build(
    spec: Spec,
    record: Record,
    *,
    number: int,
    feedback: str,
    worktree: Path,
    evaluator: Evaluator,
    part: Part = WHOLE,
    alpha: float = 0.01,
) -> str:
    """The prompt of attempt `number`. `feedback` is the end of the last failure's output, empty where there was none."""
    conflict, body = part.conflict, read_body(spec.body)
    own = {"phase": _prose(part.phase), "so_far": _prose(part.so_far), "said": _prose(part.said)}
    alone = conflict.values() if conflict else own
    limits = OUTSIDE[spec.enforcement] if spec.scope or spec.off_limits else ""
    return render(
        templates.read("resolve.md" if conflict else "prompt.md"),
        {
            **alone,
            "title": _line(spec.title or record.name),
            "number": str(number),
            "branch": record.branch or "(detached)",
            "goal": _prose(spec.goal or spec.title or f"Bring the measured numbers of `{record.name}` to their targets."),
            "skills": _prose(part.skills),
            "budget": part.budget,
            "resumed": part.resumed,
            "handover": _prose(part.handover),
            "acceptance": _prose(spec.acceptance),
            "scope": "\n\n".join(filter(None, (_paths(spec, body, "scope"), "" if spec.off_limits else limits))),
            "off_limits": "\n\n".join(filter(None, (_paths(spec, body, "off_limits"), limits if spec.off_limits else ""))),
            "constraints": _prose(spec.constraints),
            "benchmark": _benchmark(evaluator),
            "numbers": _numbers(spec.metrics, record) + _kept_if(spec, record, alpha),
            "history": _history(record.history),
            "feedback": fenced(_end(readable(feedback).strip(), FEEDBACK)),
            "notes": _prose(spec.notes),
            "rest": _prose(unsaid(spec, body)),
            "instructions": _instructions(worktree),
        },
    )


def render(template: str, values: Mapping[str, str]) -> str:
    """`template` with every `$variable` filled. Raises OrchestratorError where the two don't name the same variables."""
    wanted = set(Template(template).get_identifiers())
    if not Template(template).is_valid() or wanted != set(values):
        wrong = ", ".join(sorted(wanted ^ set(values))) or "a stray $"
        raise OrchestratorError(
            f"The prompt's template and its values don't agree: {wrong}.", hint="Restore the files in templates/."
        )
    parts = SECTION.split(template)
    return "".join(Template(part).substitute(values) for part in parts if _filled(part, values)).rstrip() + "\n"


def unsaid(spec: Spec, body: Body) -> str:
    """What the spec's body says beyond the parts of it that a prompt has a place for, with its headings."""
    told = [body.preamble] if body.preamble != spec.goal else []
    told += [_part(part) for part in body.parts[1:] if not _placed(spec, body, part)]
    return "\n\n".join(filter(None, told))


def _placed(spec: Spec, body: Body, part: Prose) -> bool:
    """Whether a prompt says it elsewhere. Where a key goes before the section of the same name, that isn't."""
    if part.name in PLACED:
        return bool(getattr(spec, part.name) == body.sections[part.name].text)
    if part.name not in LISTED:
        return False
    listed = bare_list(part)
    return bool(_worded(spec, body, part.name)) or (listed is not None and listed <= set(getattr(spec, part.name)))


def _paths(spec: Spec, body: Body, name: str) -> str:
    """The paths of `scope` or `off_limits`, with what their section says of them."""
    return _worded(spec, body, name) or "\n".join(f"- `{pattern}`" for pattern in getattr(spec, name))


def _worded(spec: Spec, body: Body, name: str) -> str:
    """A section of paths as it stands; empty for one that names others than those that count, or has more in it than a list."""
    section = body.sections.get(name)
    if section is None or len(section.text) > PROSE or any(line.code or heading_of(line.text)[0] for line in section.lines):
        return ""
    named, prose = globs(section)
    counts = bool(named) and {pattern for pattern, _ in named} == set(getattr(spec, name))
    return section.text if counts and not prose else ""


def _part(part: Prose) -> str:
    """Its text below its heading, all headings one level deeper, since a heading of the prompt is above them."""
    lines = (line for line in (part.heading, *part.lines) if line)
    told = (f"#{line.text.lstrip()}" if heading_of(line.text)[0] and not line.code else line.text for line in lines)
    return "\n".join(told).strip()


def _filled(part: str, values: Mapping[str, str]) -> bool:
    names = Template(part).get_identifiers()
    return not names or any(values[name].strip() for name in names)


def _line(text: str) -> str:
    return " ".join(text.split())


def _prose(text: str) -> str:
    text = text.strip()
    return text if len(text) <= PROSE else f"{text[:PROSE]}\n[…] (cut here; all of it is in $ORCH_TASK_DIR)"


def _end(text: str, most: int) -> str:
    return text if len(text) <= most else f"[…]\n{text[-most:]}"


def fenced(text: str, kind: str = "text") -> str:
    """`text` as a block that its own backticks don't end; empty for an empty one."""
    if not text:
        return ""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{kind}\n{text}\n{fence}"


def _benchmark(evaluator: Evaluator) -> str:
    if evaluator.command:
        what = f"The command `{evaluator.command}`"
    else:
        what = f"The benchmark `$ORCH_TASK_DIR/{evaluator.path}` (a copy of the task's files for you to read and run)"
    checks = f" Then `$ORCH_TASK_DIR/{evaluator.checks}` must end with exit code 0." if evaluator.checks else ""
    return f"{what} is run in the worktree's top folder and prints `METRIC name=value` lines.{checks}"


def _numbers(declared: Iterable[Metric], record: Record) -> str:
    """A table: every declared metric, or every printed one, with where it began, where it is and where it has to be. Of
    thousands that a benchmark prints, those that are not there yet; each session would pay for all."""
    known = tuple(declared) or metrics.deciding((), {**record.baseline, **record.values})
    if not known:
        return ""
    rows = ["| metric | better | baseline | best | last | target |", "| --- | --- | --- | --- | --- | --- |"]
    for metric in metrics.foremost(known, record.values, METRICS)[:METRICS]:
        numbers = [values.get(metric.name) for values in (record.baseline, record.best, record.values)]
        cells = ("-" if value is None else digits.beside(value, *numbers, metric.target) for value in numbers)
        better = "higher" if metric.direction is Direction.HIGHER else "lower"
        rows.append(f"| {cell(metric.name + _unit(metric))} | {better} | {' | '.join(cells)} | {_target(metric, numbers)} |")
    more = f"\n\nThe benchmark prints {len(known) - METRICS:,} more." if len(known) > METRICS else ""
    return "\n".join(rows) + more


def _kept_if(spec: Spec, record: Record, alpha: float) -> str:
    """How a task that is optimized decides, and what a noisy number can show at all."""
    if spec.mode is Mode.CONVERGE and not record.noisy:
        return ""
    from orchestrator.core import trial

    words = ANSWERING if record.demand else OPTIMIZE
    optimize = words.format(name=metrics.primary(spec.metrics, record.best).name) if spec.mode is Mode.OPTIMIZE else ""
    noisy = [metric.name for metric in metrics.deciding(spec.metrics, ()) if metric.name in record.noisy]
    shown = NOISY_TARGET.format(name=", ".join(noisy)) if noisy else ""
    seen = trial.detectable(record.samples, record.noisy, alpha)
    return "".join(f"\n\n{part}" for part in (optimize, seen, shown) if part)


def _unit(metric: Metric) -> str:
    return f" ({metric.told_unit})" if metric.told_unit else ""


def _target(metric: Metric, numbers: Sequence[float | None]) -> str:
    if metric.target is None:
        return metrics.bound(metric) if metric.guard else "-"
    sign = ">=" if metric.direction is Direction.HIGHER else "<="
    tolerance = f" (tolerance {digits.text(metric.tolerance)})" if metric.tolerance else ""
    return f"{sign} {digits.beside(metric.target, *numbers)}{tolerance}"


def _history(history: tuple[Attempt, ...]) -> str:
    lines = list(_told(history[-TRIED:]))
    if len(history) > TRIED:
        lines.insert(0, f"- ({len(history) - TRIED} earlier ones are not listed)")
    return "\n".join(lines)


def _told(attempts: tuple[Attempt, ...]) -> Iterator[str]:
    for attempt in attempts:
        commit = f" (commit {attempt.commit[:12]})" if attempt.commit else ""
        values = ", ".join(f"{name} {digits.text(value)}" for name, value in attempt.values.items())
        detail = _line(readable(attempt.detail))[:DETAIL]
        parts = [part for part in (f"the agent {attempt.end.value}", attempt.result.value, values, detail) if part]
        yield f"- Attempt {attempt.number}{commit}: {'; '.join(parts)}"


def _instructions(worktree: Path) -> str:
    found = [f"`{name}`" for name in INSTRUCTIONS if (worktree / name).is_file()]
    return f"Read and follow {', '.join(found)} in the worktree." if found else ""
