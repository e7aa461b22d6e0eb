"""A new task folder: built out of sight in `.orch/tmp`, checked as a whole, then renamed into the queue, ready at once."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

from orchestrator.core.spec import Spec
from orchestrator.core.task import Place, check_name
from orchestrator.core.value import Value
from orchestrator.errors import Misuse, SpecError
from orchestrator.store import durable, layouts, specfile, templates
from orchestrator.store.queue import Queue

RUNNER = "autoresearch.sh"
STUB = "benchmark.sh"
# pi starts a session of the other layout, and ignores the flat files, unless these two exist.
SESSION = ("autoresearch.jsonl", "autoresearch.ideas.md")
SECTIONS = {"acceptance": "Acceptance criteria", "constraints": "Constraints", "notes": "Notes"}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NewTask(Value):
    """What to make. `keys` are front matter keys; `sections` texts by acceptance, constraints, notes.

    `benchmark` and `holdout` are files (copied in) or commands; without a benchmark a stub is written and the task is a draft.
    """

    name: str
    goal: str = ""
    title: str = ""
    keys: Mapping[str, object] = field(default_factory=dict)
    sections: Mapping[str, str] = field(default_factory=dict)
    benchmark: str | None = None
    holdout: str | None = None
    checks: Path | None = None


def create(queue: Queue, task: NewTask, *, cwd: Path | None = None) -> tuple[Place, Spec]:
    """Make `task` and put it into the queue, where a loop may claim it before this returns: hence its spec beside its place.
    Raises Misuse where what it says can't be a task, StoreError, Taken.

    Files are looked for from `cwd`. Nothing is left behind, and nothing was visible, when it fails.
    """
    check_name(task.name)
    files, keys = _measured(task, cwd or Path.cwd())
    files[specfile.SPEC] = (_encoded(_spec(task, keys)), False)
    folder = queue.scratch()
    try:
        _fill(folder, files)
        spec = _check(folder)
        add_runner(folder)
        return queue.publish(folder, task.name), spec
    except BaseException:
        durable.remove_tree(folder, point="scaffold.undo")
        raise


def _measured(task: NewTask, cwd: Path) -> tuple[dict[str, tuple[bytes, bool]], dict[str, object]]:
    """The evaluator's files, each with whether it can be executed, and the keys that go with them."""
    keys = dict(task.keys)
    files = dict.fromkeys(SESSION, (b"", False))
    if task.checks:
        files["checks.sh"] = _copied(cwd / task.checks)
    if task.holdout and (hidden := _file(task.holdout, cwd, "holdout")):
        keys["holdout"] = f"holdout{hidden.suffix}"
        files[f"holdout{hidden.suffix}"] = _copied(hidden)
    elif task.holdout:
        keys["holdout"] = task.holdout
    if task.benchmark is None:
        files[STUB] = (templates.read(STUB).encode(), True)
        return files, {**keys, "draft": True}
    if source := _file(task.benchmark, cwd, "benchmark"):
        files[f"benchmark{source.suffix}"] = _copied(source)
    else:
        keys["benchmark"] = task.benchmark
    return files, keys


def _file(named: str, cwd: Path, what: str) -> Path | None:
    """The file that is meant, None where it is a command. Raises Misuse where it can only be a file, and there is none."""
    if "\n" in named or len(named) >= 4096:
        return None
    path = cwd / Path(named).expanduser()
    if path.is_file():
        return path
    if layouts.only_a_file(named):
        raise Misuse(f"There is no file {cwd / named}.", hint=f"Name the {what}'s file, or a command in quotes.")
    return None


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Misuse(f"{text[error.start : error.end]!r} is not valid UTF-8.", hint="Write it in UTF-8.") from None


def _copied(source: Path) -> tuple[bytes, bool]:
    try:
        return source.read_bytes(), bool(source.stat().st_mode & 0o111)
    except OSError as error:
        raise Misuse(
            f"{source} can't be read: {(error.strerror or 'an error').lower()}.", hint="Name a file that can be."
        ) from error


def _spec(task: NewTask, keys: Mapping[str, object]) -> str:
    from orchestrator.store import yamltext

    front = "".join(yamltext.entry(key, value) + "\n" for key, value in keys.items() if value is not None)
    sections = "".join(f"\n## {SECTIONS[name]}\n\n{text.strip()}\n" for name, text in task.sections.items() if text.strip())
    title = " ".join(task.title.split()) or task.name
    goal = task.goal.strip() or "(to be written)"
    text = Template(templates.read("autoresearch.md")).substitute(front=front, title=title, goal=goal, sections=sections)
    if "goal" not in keys and _goal(text) != goal:  # it holds a heading or a comment, which the section can't
        return _spec(replace(task, goal=title), {**keys, "goal": goal})
    return text


def _goal(text: str) -> str:
    from orchestrator.store import header, sections

    body = sections.read_body(header.read_header(Path(specfile.SPEC), text).body)
    return body.sections["goal"].text if "goal" in body.sections else ""


def _fill(folder: Path, files: Mapping[str, tuple[bytes, bool]]) -> None:
    for name, (data, executable) in files.items():
        durable.write(folder / name, data, point="scaffold.file", durable=False)
        if executable:
            make_executable(folder / name)
    durable.mkdir(folder / ".orch", point="scaffold.control")
    durable.write(folder / ".orch" / "ready", b"", point="scaffold.ready", durable=False)


def _check(folder: Path) -> Spec:
    """Read it back as the queue will. A problem here is in what was asked for, so its place in the file says nothing."""
    try:
        spec = specfile.read(folder)
        layouts.evaluator(folder, spec)
    except SpecError as error:
        reasons = "; ".join(f"found {problem.found}, expected {problem.expected}" for problem in error.problems)
        raise Misuse(f"This can't be a task: {reasons}.", hint="`orchestrator add --help` lists the options.") from error
    return spec


def runner(folder: Path) -> str:
    """The script that measures by hand what the orchestrator measures: the benchmark by its interpreter."""
    evaluator = layouts.evaluator(folder, specfile.read(folder))
    return Template(templates.read(RUNNER)).substitute(run=_run_line(folder, evaluator))


def generated(folder: Path) -> bool:
    """Whether the task's runner is what would be made for its benchmark, so that nobody has written it."""
    try:
        return (folder / RUNNER).read_text() == runner(folder)
    except (OSError, UnicodeDecodeError, SpecError):
        return False


def add_runner(folder: Path) -> None:
    """Make the runner of the task's benchmark, where that is not the runner itself."""
    if layouts.evaluator(folder, specfile.read(folder)).path != RUNNER:
        durable.write(folder / RUNNER, runner(folder).encode(), point="scaffold.file", durable=False)
        make_executable(folder / RUNNER)


def make_executable(path: Path) -> None:
    """Let everybody execute it who may read it: that was the umask's to say."""
    mode = path.stat().st_mode
    path.chmod(mode | (mode & 0o444) >> 2)


def _run_line(folder: Path, evaluator: layouts.Evaluator) -> str:
    if evaluator.path is None:
        return evaluator.command or ""
    try:
        *program, _ = layouts.command_for(folder / evaluator.path)
    except SpecError:  # its interpreter is on another machine
        program = []
    words = [Path(program[0]).name, *program[1:]] if program else []
    return " ".join(["exec", *(shlex.quote(word) for word in words), run_beside(evaluator.path)])


def run_beside(path: str) -> str:
    """How a runner names the file that it runs beside itself, with whatever it was given."""
    return f'"$here/{path}" "$@"'
