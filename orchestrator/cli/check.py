"""`orchestrator --check`: is everything here that is needed, and how to get what is not."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli import agents, output, trackers
from orchestrator.cli.app import App, refuse_inner
from orchestrator.cli.finding import ABSENT, COLORS, MISSING, OK, WARNING, Finding
from orchestrator.core.spec import Spec
from orchestrator.core.task import State
from orchestrator.errors import LACKING, OrchestratorError
from orchestrator.proc import identity

if TYPE_CHECKING:
    from orchestrator.git.repository import Repository

FEW_BYTES = 1 << 30
FILES = 5  # that are named, at most
FEWEST_BYTES = 100 << 20
FEW_WATCHES = 2048
FEW_INSTANCES = 16


def check(app: App) -> int:
    """Look at everything; 1 where something is missing."""
    staff = agents.look(app)
    found = [*(finding for part in PARTS for finding in _safely(part, app)), *agents.findings(app, staff)]
    missing = sum(1 for finding in found if finding.status == MISSING)
    if app.json:
        checks = [{"name": f.name, "status": f.status, "detail": f.detail, "fix": f.fix or None} for f in found]
        output.document(
            {"schema": 1, "ok": not missing, "checks": checks, "agents": [agents.plain(each) for each in staff.agents]}
        )
        return 1 if missing else 0
    for finding in found:
        for line in _lines(app, finding):
            output.out(line)
    for line in agents.table(app, staff):
        app.say(line)
    _sum_up(app, missing, sum(1 for finding in found if finding.status == WARNING))
    return 1 if missing else 0


def _sum_up(app: App, missing: int, warnings: int) -> None:
    app.say("")
    if missing:
        app.say(f"{output.count(missing, 'thing')} missing: tasks can't be worked on until that is mended.")
    elif warnings:
        app.say(f"Nothing is missing; {output.count(warnings, 'warning')}.")
    else:
        app.say("Everything needed is here.")


def _lines(app: App, finding: Finding) -> Iterator[str]:
    if finding.status == ABSENT or (finding.status == OK and (app.quiet or finding.name.startswith(agents.PREFIX))):
        return
    word = f"\x1b[{COLORS[finding.status]}m{finding.status:<8}\x1b[0m" if app.color else f"{finding.status:<8}"
    yield f"{word} {finding.name:<12} {output.clean(finding.detail)}"
    if finding.fix:
        yield f"{'':<21} -> {output.clean(finding.fix)}"


def _safely(part: Callable[[App], Iterator[Finding]], app: App) -> Iterator[Finding]:
    """A check that fails is a finding, so that the others are still told."""
    name = part.__name__.strip("_")
    try:
        yield from part(app)
    except OrchestratorError as error:
        yield Finding(name, MISSING, error.message, error.hint)
    except OSError as error:
        yield Finding(
            name, MISSING, f"{error.filename or name}: {error.strerror or error}", "Look at the path and its permissions."
        )


def _python(_app: App) -> Iterator[Finding]:
    yield Finding("python", OK, f"{sys.version.split()[0]} ({sys.executable})")


def _processes(_app: App) -> Iterator[Finding]:
    """Nothing is started where processes can't be told apart."""
    identity.boot()
    yield from ()


def _settings(app: App) -> Iterator[Finding]:
    files = ", ".join(app.config.files) or "no file, only defaults, environment and flags"
    yield Finding("settings", OK, files)
    for warning in app.config.warnings:
        yield Finding("settings", WARNING, warning)


def _git(_app: App) -> Iterator[Finding]:
    from orchestrator.git import repository

    wanted = ".".join(map(str, repository.OLDEST))
    how = "Install it: apt install git, dnf install git, brew install git, or git-scm.com."
    if shutil.which("git") is None:
        yield Finding("git", MISSING, "git is not installed, or not on PATH", how)
        return
    found = repository.version()
    text = ".".join(map(str, found))
    if found < repository.OLDEST:
        yield Finding("git", MISSING, f"git {text} is too old; {wanted} or newer is needed", how)
    else:
        yield Finding("git", OK, text)


def _tasks(app: App) -> Iterator[Finding]:
    root = refuse_inner(Path(app.settings.tasks))
    if not root.is_dir():
        yield Finding("tasks", MISSING, f"there is no tasks folder at {root}", "`orchestrator init` makes it.")
        return
    lacking = [state.value for state in State if not (root / state.value).is_dir()]
    if refused := _unwritable(root, *(root / state.value for state in State if (root / state.value).is_dir()), *_own(root)):
        yield Finding("tasks", MISSING, *refused)
        return
    detail = str(root) + (f" ({', '.join(lacking)} will be made)" if lacking else "")
    yield Finding("tasks", OK, detail)
    if len({(root / state.value).stat().st_dev for state in State if (root / state.value).is_dir()} | {root.stat().st_dev}) > 1:
        yield Finding(
            "tasks", MISSING, "its state folders lie on different file systems", "A move must be one rename: put them on one."
        )
    if invalid := _invalid(app):
        yield Finding("tasks", WARNING, invalid, "`orchestrator list` names them.")
    yield from _files(root / State.PENDING.value)
    yield from _disk("tasks", root)


def _files(pending: Path) -> Iterator[Finding]:
    """Texts that lie beside the tasks and were most likely dropped as such."""
    texts = (path.name for path in pending.glob("[!.]*.md") if path.is_file() and path.name.lower() != "readme.md")
    for name in sorted(texts)[:FILES]:
        helps = "A task is a folder: put it into one as its autoresearch.md, with a benchmark."
        yield Finding("tasks", WARNING, f"{name} lies in {pending.name} and is no task", helps)


def _own(root: Path) -> Iterator[Path]:
    """The queue's own folders as far as they are there: where another user made one, nothing is started. The cache is none of
    them, without which all is read anew."""
    control = root / ".orch"
    if control.is_dir():
        yield control
        with suppress(OSError):  # not even to be read: told of the folder itself
            yield from (path for path in control.iterdir() if path.is_dir() and path.name != "cache")


def _invalid(app: App) -> str:
    """How many tasks can't be claimed as they are."""
    from orchestrator.cli import view

    looked = view.look(app.queue, app.settings)
    count = sum(1 for candidate in looked.candidates if candidate.problems)
    return f"{output.count(count, 'task')} {'is' if count == 1 else 'are'} invalid" if count else ""


def _unwritable(*folders: Path) -> tuple[str, str] | None:
    """Why one of these can't be written into, found out by doing it, and what helps."""
    for folder in folders:
        probe = folder / f".check-{uuid.uuid4().hex[:8]}"
        try:
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            helps = LACKING.get(error.errno or 0, "Give this user write permission there.")
            return f"{folder} can't be written: {(error.strerror or str(error)).lower()}", helps
    return None


def _disk(name: str, path: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(path).free
    text = f"{free / (1 << 30):.1f} GB free at {path}"
    if free < FEWEST_BYTES:
        yield Finding("disk", MISSING, text, "Free some space: worktrees and logs need it.")
    elif free < FEW_BYTES:
        yield Finding("disk", WARNING, text, "Each running task needs a checkout of its repository.")
    else:
        yield Finding("disk", OK, f"{text} ({name})")


def _repository(app: App) -> Iterator[Finding]:
    from orchestrator.git import repository

    if shutil.which("git") is None or repository.version() < repository.OLDEST:
        return  # told already
    told: set[Path] = set()
    for (named, base), task in _places(app).items():
        try:
            repo = repository.discover(named) if named else _default_repository(Path(app.settings.tasks))
            yield Finding("repository", OK, f"{repo.top}, work lands on {repository.base_branch(repo, base)}")
        except (OrchestratorError, OSError) as error:  # the others are still told
            yield _unusable(error, named, task)
        else:
            if repo.common not in told:
                yield from _one_repository(app, repo)
            told.add(repo.common)


def _places(app: App) -> dict[tuple[Path | None, str | None], str]:
    """The folders that the tasks in pending and running are worked on in, and the bases, each None where neither says; with the
    task that names it, if not the settings do. Where there is no such task, what the next one would find."""
    from orchestrator.git import belonging
    from orchestrator.store import snapshot

    root, settings = Path(app.settings.tasks), app.settings
    states = (State.PENDING, State.RUNNING)
    found: dict[tuple[Path | None, str | None], str] = {}
    for each in snapshot.read_all(app.queue, states=states, settle=settings.settle) if root.is_dir() else ():
        if (spec := each.spec) and not spec.draft:
            place = belonging.named(spec, settings.repo, root.parent), spec.base or settings.base
            found[place] = found.get(place, each.name) if spec.repo or spec.base else ""
    return found or {(belonging.named(Spec(), settings.repo, root.parent), settings.base): ""}


def _unusable(error: OrchestratorError | OSError, named: Path | None, task: str) -> Finding:
    """What one task has named keeps no other from being worked on."""
    from orchestrator.git.repository import NotARepository

    told, fix = (error.message, error.hint) if isinstance(error, OrchestratorError) else (str(error), "")
    if isinstance(error, NotARepository) and named and os.path.isdir(named):  # noqa: PTH112 - it raises nothing
        return Finding("repository", OK, f"{told.rstrip('.')}: it is worked on in place, and nothing lands")
    return Finding("repository", WARNING, f"{task}: {told}", fix) if task else Finding("repository", MISSING, told, fix)


def _one_repository(app: App, repo: Repository) -> Iterator[Finding]:
    from orchestrator.git import repository

    if refused := _others(repo):
        problem = f"{refused} can't be written: permission denied"
        yield Finding("repository", MISSING, problem, "Make the repository writable for this user.")
    if repo.shallow:
        yield Finding(
            "repository", WARNING, "it is a shallow clone", "git fetch --unshallow, if merges fail for want of history."
        )
    if busy := repository.busy(repo.git_dir):
        yield Finding("repository", WARNING, f"{busy} is unfinished in {repo.top}", "Finish it: landing on that checkout waits.")
    root = Path(app.settings.tasks)
    if root.is_relative_to(repo.top) and repository.tracked(repo, root):
        yield Finding(
            "repository", WARNING, f"git tracks files in {root}", "Keep the queue out of commits: git rm -r --cached it."
        )
    yield from _worktrees(app, repo)


def _others(repo: Repository) -> Path | None:
    """The first that this user may not write of what git and we write in: one command by root there leaves much of root's."""
    from orchestrator.git import worktree

    folders = (repo.common, repo.common / "worktrees", *(tree.admin for tree in worktree.ours(repo)))  # others' are theirs
    places = [folder for folder in folders if folder.is_dir()]
    for name in ("objects", "refs", "logs", "orchestrator"):
        for folder, _, files in os.walk(repo.common / name):
            written = files if name in ("logs", "orchestrator") else ()  # others are replaced, and objects are read-only
            places += [Path(folder), *(Path(folder, file) for file in written)]
    return next((place for place in places if not os.access(place, os.W_OK) and place.exists()), None)  # a loop may be at work


def _default_repository(root: Path) -> Repository:
    """That of the folder which holds the queue, else of the current one."""
    from orchestrator.git import repository

    try:
        return repository.discover(root.parent if root.parent.is_dir() else Path.cwd())
    except repository.NotARepository:
        with suppress(repository.NotARepository):
            return repository.discover(Path.cwd())
        raise


def _worktrees(app: App, repo: Repository) -> Iterator[Finding]:
    folder = app.settings.worktrees_of(repo.top)
    existing = next(path for path in (folder, *folder.parents) if path.is_dir())
    if refused := _unwritable(existing):
        problem, helps = refused
        yield Finding("worktrees", MISSING, problem, f"{helps} Or set ORCH_WORKTREES.")
        return
    yield Finding("worktrees", OK, str(folder))
    tasks = Path(app.settings.tasks)
    if tasks.is_dir() and existing.stat().st_dev != tasks.stat().st_dev:
        yield from _disk("worktrees", existing)


def _watching(_app: App) -> Iterator[Finding]:
    """inotify's limits: beyond them the loop still works, by looking every second."""
    folder = Path("/proc/sys/fs/inotify")
    if not folder.is_dir():
        return
    for name, few in (("max_user_watches", FEW_WATCHES), ("max_user_instances", FEW_INSTANCES)):
        limit = int((folder / name).read_text())
        fix = f"sudo sysctl fs.inotify.{name}={few * 16}; until then tasks may be noticed a second late." if limit < few else ""
        yield Finding("inotify", WARNING if fix else OK, f"{name} = {limit:,}", fix)


PARTS = (_python, _processes, _git, _settings, _tasks, _repository, trackers.tracker, _watching)
