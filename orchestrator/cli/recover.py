"""`orchestrator recover`: every commit an agent ever made for a task, found again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import click

from orchestrator.cli import output, prune, reclaim, worktrees
from orchestrator.cli.app import App
from orchestrator.cli.options import common, completing, pass_app
from orchestrator.core.record import Record
from orchestrator.core.task import Place
from orchestrator.core.value import Value
from orchestrator.errors import Misuse, NoSuchTask, OrchestratorError
from orchestrator.git import kept, repository
from orchestrator.git.kept import Kept
from orchestrator.git.repository import Repository
from orchestrator.store import saved

EPILOG = """\b
Examples:
  orchestrator recover                               everything that is kept of this queue's tasks
  orchestrator recover fix-auth                      what is kept of one task
  orchestrator recover show fix-auth 2               the second attempt, as a patch
  orchestrator recover apply fix-auth 2              put its changes into your working tree, uncommitted
  orchestrator recover fix-auth --branch mine 2      make a branch of it
  orchestrator recover prune --older-than 90d        forget the attempts of tasks that landed so long ago

`list` may be left out, and `recover fix-auth --show 2` says the same as `recover show fix-auth 2`.
A number is an attempt; cut/… is what lay uncommitted when an attempt was interrupted; extra/… what was committed elsewhere,
or while work was measured; conflict/… the work and the base merged with git's markers, for an attempt to resolve.
"""

VERBS = frozenset({"list", "show", "apply", "prune"})
CUT = "cut/"  # the label of what was uncommitted
PLAIN = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv")


@click.command(epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="[list|show|apply|prune] [NAME] [LABEL]", shell_complete=completing(begun=True))
@click.option("--show", "action", flag_value="show", help="Print it as a patch.")
@click.option(
    "--apply", "action", flag_value="apply", help="Apply it to your working tree; nothing is changed if it doesn't fit."
)
@click.option("--branch", metavar="BRANCH", help="Make this new branch point to it.")
@prune.older_than
@prune.dry_run
@common(json=True)
@pass_app
def recover(app: App, words: tuple[str, ...], action: str | None, branch: str | None, age: str, dry_run: bool) -> int:
    """List, show or take back what agents did: every attempt's commits are kept, also of refused and cancelled work."""
    verb, name, label = _parsed(app, words)
    action = verb if verb in ("show", "apply") else action
    if verb == "prune":
        return _prune(app, name and _where(app, name)[1], age, dry_run=dry_run)
    if label is None and (action or branch):
        raise Misuse("Which of them?", hint=f"Give a label of the list: `orchestrator recover {action or 'show'} NAME LABEL`.")
    if label is None:
        _list(app, _everything(app) if name is None else [_of_task(app, name)], _saved(app, name))
        return 0
    repo, slug, record = _where(app, str(name))
    found = kept.attempts(repo, slug)
    chosen = _choose(found, name or "", label)
    if branch is not None:
        _branch(app, repo, chosen, branch)
    elif action == "apply":
        _apply(app, repo, chosen, record)
    elif not app.json:
        output.patch(_patch(repo, chosen, record), color=app.color)
    if app.json:
        told = _item(_found(repo, slug, _known(app)), chosen)
        output.document({"schema": 1, **told, "patch": _patch(repo, chosen, record).decode(errors="replace")})
    return 0


def _parsed(app: App, words: tuple[str, ...]) -> tuple[str | None, str | None, str | None]:
    """Verb, name and label. A task that is called like a verb is meant by the word that stands alone or before a label."""
    verb = words[0] if words and words[0] in VERBS else None
    if verb and len(words) < 3 and any(place.name == verb for place in app.queue.places()):
        verb = None
    rest = words[1:] if verb else words
    if len(rest) > 2:
        raise Misuse(f"Got {rest[2]!r} after the label.", hint="See `orchestrator recover --help`.")
    name, label = (*rest, None, None)[:2]
    return verb, name, label


def _prune(app: App, slug: str | None, age: str, *, dry_run: bool) -> int:
    items = [item for item in reclaim.find(app, prune.seconds(age)) if item.kind == "refs"]
    mine = [item for item in items if slug is None or item.what.startswith(f"{slug}:")]
    return prune.carry_out(app, mine, dry_run=dry_run)


def _saved(app: App, name: str | None) -> list[tuple[str, Path]]:
    """The copies of ignored files that are kept beside the tasks: name and path."""
    places = [place for place in app.queue.places() if name is None or place.name.startswith(name)]
    return [(place.name, path) for place in places for path in saved.listed(app.queue.path(place))]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Found(Value):
    """What one repository keeps. `names`: what tasks are called, by the name that their refs have."""

    repo: Repository
    kept: list[Kept]
    names: Mapping[str, str]


def _of_task(app: App, name: str) -> Found:
    repo, slug, _ = _where(app, name)
    return _found(repo, slug, _known(app))


def _everything(app: App) -> list[Found]:
    """Of every repository that tasks of this queue were worked on in."""
    known = _known(app)
    return [_found(repo, None, known) for repo in reclaim.repositories(app, known)]


def _known(app: App) -> dict[Place, Record | None]:
    return {place: app.queue.record(place) for place in app.queue.places()}


def _found(repo: Repository, slug: str | None, known: Mapping[Place, Record | None]) -> Found:
    found = _sorted(kept.attempts(repo, slug))
    return Found(repo, _holding(repo, found), _names(repo, {each.slug for each in found}, known))


def _names(repo: Repository, slugs: Iterable[str], known: Mapping[Place, Record | None]) -> dict[str, str]:
    """Another queue of this repository may have a task of a name that one of ours has: it is called by its refs."""
    ours = {record.slug: place.name for place, record in known.items() if record and reclaim.owns(repo, record.slug, record)}
    taken = {place.name for place in known}
    return {slug: ours.get(slug) or (f"{kept.KEEPING}{slug}" if slug in taken else slug) for slug in slugs}


def _sorted(found: Iterable[Kept]) -> list[Kept]:
    return sorted(found, key=lambda each: (each.slug, each.when, each.label))


def _where(app: App, name: str) -> tuple[Repository, str, Record | None]:
    """The repository, the task's name in its refs, and what is known of it. A task that retention removed is still known by
    its refs."""
    try:
        place = app.queue.find(name)
    except NoSuchTask:
        repo = _repository(app)
        if kept.attempts(repo, name):
            removed = (each for each in app.queue.removed.records() if reclaim.owns(repo, name, each))
            return repo, name, next(removed, None)
        raise
    folder = app.queue.path(place)
    record = app.queue.record(place)
    if record is None or record.repo is None:
        raise OrchestratorError(
            f"Nothing has been done for {place.name!r} yet.", hint=f"`orchestrator why {quote(place.name)}` says why."
        )
    return worktrees.repository_of(app, folder, record), record.slug, record


def _repository(app: App) -> Repository:
    settings = app.settings
    return repository.discover(Path(settings.repo) if settings.repo else Path(settings.tasks).parent)


def _holding(repo: Repository, found: list[Kept]) -> list[Kept]:
    """Those that hold something. What lay uncommitted may have been nothing that belongs in a commit (installed packages,
    caches): such a commit changes nothing, and isn't listed where the one before it can be reached another way as well."""
    cuts = [each.commit for each in found if each.label.startswith(CUT)]
    if not cuts:
        return found
    rows = [row.split() for row in repo.git.text("log", "--no-walk=unsorted", "--format=%H %T %P", *cuts).splitlines()]
    before = {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}  # one parent
    trees = repo.git.text("rev-parse", *(f"{parent}^{{tree}}" for _, parent in before.values())).splitlines() if before else []
    empty = {commit: parent for (commit, (tree, parent)), other in zip(before.items(), trees, strict=True) if tree == other}
    others = [each.commit for each in found if each.commit not in empty]
    alone = kept.heads(repo, empty.values(), ("--branches", *others))
    return [each for each in found if each.commit not in empty or empty[each.commit] in alone]


def _list(app: App, found: list[Found], copies: list[tuple[str, Path]]) -> None:
    listed = [(source, each) for source in found for each in source.kept]
    if app.json:
        items = [_item(source, each) for source, each in listed]
        saved_files = [{"task": name, "path": str(path)} for name, path in copies]
        repo = str(found[0].repo.top) if found else None
        output.document({"schema": 1, "repo": repo, "kept": items, "saved": saved_files})
    elif listed or copies:
        for name, path in copies:
            app.say(f"{output.name_text(name)}: a file that git ignores, as an agent left it: {path}")
        rows = [_cells(source, each) for source, each in listed]
        for line in output.table(("TASK", "LABEL", "COMMIT", "WHEN", "SUBJECT"), rows, most=(40, None, None, None, 100)):
            output.out(line)
    elif not app.quiet:
        output.err("Nothing is kept yet.")


def _item(source: Found, each: Kept) -> dict[str, object]:
    told = {"task": source.names[each.slug], "label": each.label, "commit": each.commit, "ref": each.ref}
    return {**told, "repo": str(source.repo.top), "subject": each.subject, "when": each.when}


def _cells(source: Found, each: Kept) -> tuple[str, ...]:
    name = output.name_text(source.names[each.slug])
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.when))
    return (name, each.label, each.commit[:10], when, output.clean(each.subject))


def _choose(found: Sequence[Kept], name: str, label: str) -> Kept:
    wanted = f"{int(label):04d}" if label.isdecimal() else label
    exact = [each for each in found if each.label == wanted] or [each for each in found if each.label.startswith(wanted)]
    if len(exact) == 1:
        return exact[0]
    labels = ", ".join(each.label for each in exact or found) or "nothing"
    problem = f"More than one is called {label}…" if exact else f"Nothing of {name!r} is kept as {label!r}."
    raise OrchestratorError(problem, hint=f"There are: {labels}.")


def _patch(repo: Repository, chosen: Kept, record: Record | None) -> bytes:
    """What it changed since the base it began on: everything between the fork and it. By plumbing, since `git diff` makes of it
    what the user has set for reading (`diff.noprefix`), and it is to be applied."""
    base = record.base if record else repository.base_branch(repo, None)
    old = kept.began(repo, chosen.commit, base, record.base_commit if record else None)
    return repo.git.run("diff-tree", "-r", "-p", "-M", *PLAIN, old, chosen.commit).stdout + _stashed(repo, chosen.commit)


def _stashed(repo: Repository, commit: str) -> bytes:
    """The untracked files of a stash: its third parent, which has none of its own, holds these alone."""
    if not (third := repo.git.text("rev-parse", f"{commit}^@").split()[2:3]) or repo.git.text("rev-parse", f"{third[0]}^@"):
        return b""
    return repo.git.run("diff-tree", "--root", "--no-commit-id", "-p", *PLAIN, third[0]).stdout


def _apply(app: App, repo: Repository, chosen: Kept, record: Record | None) -> None:
    patch = _patch(repo, chosen, record)
    if not patch:
        app.say("It has no changes.")
        return
    hint = f"Make a branch of it and merge that: orchestrator recover {chosen.slug} --branch NEW {chosen.label}"
    if (fits := repo.git.run("apply", "--check", "--whitespace=nowarn", "-", input=patch, ok=())).code:
        raise OrchestratorError(
            f"It doesn't fit onto what is in {repo.top}: {fits.stderr.strip()}. Nothing was changed.", hint=hint
        )
    done = repo.git.run("apply", "--whitespace=nowarn", "-", input=patch, ok=())
    if done.code:  # git had begun to write: other files lie where one was to be, or the disk is full
        raise OrchestratorError(
            f"Only a part of it may be in {repo.top} now: {done.stderr.strip()}. `git status` there shows what.", hint=hint
        )
    app.say(f"Applied to {repo.top}, uncommitted: see `git status`.")


def _branch(app: App, repo: Repository, chosen: Kept, branch: str) -> None:
    done = repo.git.run("branch", "--no-track", "--", branch, chosen.commit, ok=())
    if done.code:
        raise OrchestratorError(f"Can't make the branch {branch!r}: {done.stderr.strip()}.", hint="Choose another name.")
    app.say(f"The branch {branch} is at {chosen.commit[:10]}: {output.clean(chosen.subject)}")
