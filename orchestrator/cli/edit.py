"""`orchestrator edit NAME`: change a spec, by options or in an editor; a broken one is never put in place."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import Any

import click

from orchestrator.cli import output, specs
from orchestrator.cli.app import App
from orchestrator.cli.keys import changes, refuse_nameless, spec_options
from orchestrator.cli.options import common, files, name_argument, pass_app
from orchestrator.cli.review import outdated
from orchestrator.core.spec import LIVE, Spec
from orchestrator.core.task import Place, State
from orchestrator.errors import Misuse, OrchestratorError, SpecError
from orchestrator.store import durable, records, scaffold, seal, specfile

EPILOG = """\b
Examples:
  orchestrator edit fix-auth                        in $EDITOR
  orchestrator edit fix-auth --priority 10 --model big
  orchestrator edit fix-auth --depends-on ''        an empty value removes a key

A running task takes up words, agent, model, effort, fallback and budget at its next attempt; what is measured counts
from its next claim. Edited while an agent ran it may be the agent's doing: `retry` confirms it then.
"""

KEPT = "The task's own is as it was."
ASKED_ANEW = "; what waits for your word was verified before that: approved, it is measured anew and you are asked again"


@click.command(epilog=EPILOG)
@name_argument()
@click.option("--benchmark", metavar="FILE|CMD", shell_complete=files, help="A file of the task folder, or a command.")
@click.option(
    "--holdout", metavar="FILE|CMD", shell_complete=files, help="The hidden one: a file of the task folder, or a command."
)
@click.option("--draft/--no-draft", default=None, help="Whether it waits to be completed.")
@spec_options
@common(repo=False)
@pass_app
def edit(app: App, /, name: str, **given: Any) -> int:
    """Change a task's spec. Only the touched lines change; a spec that can't be read is refused, with the reason."""
    place = app.queue.find(name)
    wanted = changes(given)
    for key in ("benchmark", "holdout", "draft"):
        if given[key] is not None:
            wanted[key] = given[key] or None
    path = specfile.path_of(app.queue.path(place))
    if path is None:
        raise OrchestratorError(f"{place.name!r} has no {specfile.SPEC}.", hint=f"Write one in {app.queue.path(place)}.")
    seen = specfile.key_of(path)
    if wanted:
        _by_options(app, place, path, seen, wanted)
    else:
        _in_editor(app, place, path, seen)
    return 0


def _by_options(app: App, place: Place, path: Path, seen: specfile.Key, wanted: dict[str, object]) -> None:
    from orchestrator.store import editing

    before = specfile.as_written(path)
    if (old := _old(before)) and not old.metrics and "metric.name" not in wanted:
        refuse_nameless(key.removeprefix("metric.") for key in wanted if key.startswith("metric."))
    after = editing.edit(before, wanted, path)
    try:
        specfile.parse(path, after, log=specfile.log_of(path))
    except SpecError as error:
        raise SpecError(error.problems, hint=KEPT if old else error.hint) from None
    _put(app, place, before, after, seen)


def _in_editor(app: App, place: Place, path: Path, seen: specfile.Key) -> None:
    """Edit a copy until it can be read; it is kept where the person gives up."""
    if not sys.stdin.isatty():
        raise Misuse("There is no terminal to open an editor in.", hint="Change it by options: `orchestrator edit --help`.")
    before = path.read_bytes().decode(errors="surrogateescape")
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-"))
    copy = folder / f"{place.name.replace(os.sep, '-')[:60]}.md"
    copy.write_bytes(before.encode(errors="surrogateescape"))
    try:
        _put(app, place, before, _edited(copy, path), seen)
    except (OrchestratorError, click.ClickException) as error:  # one of click's is the editor's failure
        hint = KEPT if isinstance(error, SpecError | click.ClickException) else error.hint
        raise OrchestratorError(error.message, hint=f"{hint} {_given_up(copy, before)}".strip()) from error
    except click.Abort:
        output.err(f"\n{_given_up(copy, before)}")
        raise
    shutil.rmtree(folder)


def _given_up(copy: Path, before: str) -> str:
    """What a person is told of the copy; one in which nothing was changed is removed without a word."""
    if os.path.lexists(copy) and not _as_given(copy, before):
        return f"Your version is kept at {copy}."
    shutil.rmtree(copy.parent, ignore_errors=True)
    return ""


def _as_given(copy: Path, before: str) -> bool:
    """Whether nothing was changed. An editor may leave anything there, of which only a file is read."""
    try:
        return copy.is_file() and copy.read_bytes() == before.encode(errors="surrogateescape")
    except OSError:
        return False


def _edited(copy: Path, path: Path) -> str:
    while True:
        click.edit(filename=str(copy))
        try:
            after = specfile.as_written(copy)
            specfile.parse(path, after, log=specfile.log_of(path))
        except SpecError as error:
            for problem in error.problems:
                output.err(output.clean(problem))
            if not click.confirm("Edit again?", default=True, err=True):
                raise
        else:
            return after


def _put(app: App, place: Place, before: str, after: str, seen: specfile.Key) -> None:
    if after == before:
        app.say("Nothing changed.")
        return
    old, spec = _old(before), specfile.parse(Path(specfile.SPEC), after)
    ours = old is not None and old.benchmark != spec.benchmark and scaffold.generated(app.queue.path(place))
    specs.put(app.queue, place.name, after, seen=seen)
    now = app.queue.find(place.name)
    if ours:
        _renew_runner(app, now)
    app.say(f"{output.name_text(place.name)} is changed{_when(app, now, old, spec) or _asked_anew(app, now)}.")
    for warning in specs.warnings(app, spec):
        output.err(output.clean(warning))


def _renew_runner(app: App, place: Place) -> None:
    """What measures by hand follows the benchmark. Beside an agent that would be a finding; and where the new benchmark is not
    there yet, nothing can be made."""
    if place.state is not State.RUNNING:
        with suppress(SpecError, durable.Gone, OSError):  # or it was claimed just now
            scaffold.add_runner(app.queue.path(place))


def _asked_anew(app: App, place: Place) -> str:
    """What becomes of a question that a person has yet to answer."""
    folder = app.queue.path(place)
    waits = place.state is State.PENDING and outdated(folder, records.peek(folder))
    return ASKED_ANEW if waits else ""


def _old(text: str) -> Spec | None:
    try:
        return specfile.parse(Path(specfile.SPEC), text)
    except SpecError:
        return None


def _when(app: App, place: Place, old: Spec | None, new: Spec) -> str:
    """From when it counts, where the task is running. What changes beside an agent's work is in doubt (`worker.findings`)."""
    if place.state is not State.RUNNING:
        return ""
    sealed = [
        key
        for key in Spec.__dataclass_fields__
        if key not in {*LIVE, "warnings"} and old is not None and getattr(old, key) != getattr(new, key)
    ]
    if not sealed:
        return "; it counts from the next attempt"
    record = records.peek(app.queue.path(place), running=True)
    told = f"; {', '.join(sealed)} count{'s' if len(sealed) == 1 else ''} from its next claim"
    doubted = [key for key in sealed if key in seal.DECIDES]
    if not doubted or record is None or not (record.attempts or record.baseline):  # no agent has been there
        return told
    again = f"`orchestrator retry {quote(place.name)}`"
    which = "and" if doubted == sealed else ", ".join(doubted)
    why = "since what changes beside an agent may be its doing"
    return f"{told}, {which} only after {again} (`queue` where it has converged), {why}"
