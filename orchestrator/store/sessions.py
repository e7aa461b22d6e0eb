"""Session folders of the autoresearch family, in both layouts: taken in as tasks, written from tasks.

Logs are appended to and never rewritten, byte for byte; whatever of a session lies at the destination already stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.evidence import Evidence
from orchestrator.core.task import Place
from orchestrator.core.value import Value
from orchestrator.errors import Misuse, SpecError
from orchestrator.store import durable, layouts, scaffold, specfile
from orchestrator.store.queue import Queue
from orchestrator.store.sessionlog import AUTO, CHECKS, FLAT, IDEAS, LOG, MEASURE, SPEC, bring_up, layout


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Exported(Value):
    """Where a session was written, and how many lines its log got."""

    folder: Path
    lines: int


def take_in(queue: Queue, folder: Path, name: str) -> Place:
    """A new task of the session in `folder`, which may be a whole project: only the session's own files are taken.
    Raises Misuse where there is none, Taken where the name is used. The session itself is not touched."""
    parts = layout(folder)
    if not (folder / parts[SPEC]).is_file() or not (folder / parts[MEASURE]).is_file():
        wanted = " and ".join(parts[part] for part in (SPEC, MEASURE))
        raise Misuse(f"There is no session in {folder}: it needs {wanted}.", hint="Name the folder that holds these.")
    try:
        specfile.read(folder)  # what is wrong with it is wrong there
    except SpecError as error:
        raise SpecError(error.problems, hint="Correct the session, then import it again.") from error
    built = queue.scratch()
    try:
        for path in _existing(folder, parts):
            durable.mkdir((built / path).parent, point="session.folder")
            _copy(folder / path, built / path)
        durable.mkdir(built / ".orch", point="scaffold.control")
        durable.write(built / ".orch" / "ready", b"", point="scaffold.ready", durable=False)
        layouts.evaluator(built, specfile.read(built))
        return queue.publish(built, name)
    except BaseException:
        durable.remove_tree(built, point="scaffold.undo")
        raise


def put_out(task: Path, target: Path, evidence: Evidence) -> Exported:
    """The task as a session in `target`, in the layout that this has, else the task's own. What is there stays; its log is
    brought up to date. Raises Misuse where it can't be written."""
    own = layout(task)
    parts = layout(target) if any(os.path.lexists(target / path) for path in (*AUTO.values(), *FLAT.values())) else own
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in parts.values():
            (target / path).parent.mkdir(exist_ok=True)
        for part in own:
            _new(task / own[part], target / parts[part])
        _runner(task, target, parts)
        for part in (LOG, IDEAS):  # without both of them pi starts a log of the other layout
            (target / parts[part]).touch()
        return Exported(target, bring_up(target / parts[LOG], evidence))
    except OSError as error:
        message = f"The session can't be written to {error.filename or target}: {error.strerror}."
        raise Misuse(message, hint="Name a folder that you may write to.") from error


def _existing(folder: Path, parts: Mapping[str, str]) -> Iterator[str]:
    """The session's files, and the benchmark that a runner of ours runs beside itself: another one there is the project's."""
    runner = folder / parts[MEASURE]
    said = runner.read_text(errors="replace")
    beside = (path for path in runner.parent.glob(f"{layouts.BENCHMARK}*") if scaffold.run_beside(path.name) in said)
    for path in (*parts.values(), *(str(path.relative_to(folder)) for path in beside)):
        if (folder / path).exists() and not (folder / path).is_symlink():
            yield path


def _copy(source: Path, target: Path) -> None:
    """Files and folders as they are; links and all else stay behind."""
    if source.is_symlink():
        return
    if source.is_dir():
        durable.mkdir(target, point="session.folder")
        for path in sorted(source.iterdir()):
            _copy(path, target / path.name)
    elif source.is_file():
        durable.write(target, source.read_bytes(), point="session.file", durable=False)
        target.chmod(source.stat().st_mode & 0o777)


def _new(source: Path, target: Path) -> None:
    if source.exists() and not source.is_symlink() and not os.path.lexists(target):
        _copy(source, target)


def _runner(task: Path, target: Path, parts: Mapping[str, str]) -> None:
    """What measures: the session's own script, else the task's benchmark with a script that runs it."""
    found = layouts.evaluator(task, specfile.read(task))
    if found.path and found.path not in (FLAT[MEASURE], AUTO[MEASURE]):
        _new(task / found.path, (target / parts[MEASURE]).parent / Path(found.path).name)
    if found.checks and found.checks not in (FLAT[CHECKS], AUTO[CHECKS]):
        _new(task / found.checks, target / parts[CHECKS])
    if not os.path.lexists(target / parts[MEASURE]):
        (target / parts[MEASURE]).write_text(scaffold.runner(task))
        scaffold.make_executable(target / parts[MEASURE])
