"""No work is ever lost: what an agent left, in whatever state, becomes commits, and each of these gets a ref."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import GitError
from orchestrator.git import given, lasting, nested, reflog, refs, snapshot, worktree
from orchestrator.git.atomicfile import scratch
from orchestrator.git.command import Git
from orchestrator.git.identity import commit_as, with_trailers
from orchestrator.git.kept import heads, keep_all
from orchestrator.git.reflog import Entry
from orchestrator.git.repository import HEADS, Repository, branch, busy, ignored
from orchestrator.git.untracked import harmless, hollow
from orchestrator.git.worktree import Worktree
from orchestrator.store.failpoints import hit

SPECIAL = ("ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")
REBASING = ("rebase-merge", "rebase-apply")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Before(Value):
    """Where a worktree's history, its index, and the repository's stash and own ignore list stood before an attempt."""

    log: tuple[Entry, ...] = ()
    stashes: tuple[str, ...] = ()
    index: tuple[int, int] | None = None
    ignored: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Made(Value):
    """What became of everything uncommitted: the `commit` it is in, None where there is none; or the one that was put `aside`
    since a conflict's markers are left in the files `unresolved`."""

    commit: str | None = None
    aside: str | None = None
    unresolved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Collected(Value):
    """Where an agent's work is. `extra`: commits it left that the tip does not contain, each in need of a ref. `seen`: every
    commit that was made there: should the base have moved to one of these, the agent moved it. `rewritten`: the tip may not
    continue the history it began from. `rebased`: the commit that a rebase had come to when it was left unfinished. `stashed`:
    entries that it left in the stash, which is the repository's. `hidden`: files that it had git ignore by the repository's own
    list. `beside`: those of `extra` that were committed there, on another branch or in a worktree inside it, or taken back.
    `made`: what became of what was uncommitted, where the caller had that committed."""

    tip: str
    extra: tuple[str, ...] = ()
    seen: frozenset[str] = frozenset()
    rewritten: bool = False
    made: Made = Made()
    rebased: str | None = None
    stashed: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def before(tree: Worktree) -> Before:
    """What to hand to `collect` after the attempt that begins now."""
    log, stashes = tuple(reflog.read(tree)), tuple(reflog.stashes(tree.repo))
    return Before(log, stashes, _written(tree.admin / "index"), frozenset(ignored(tree.repo)))


def staged(tree: Worktree, since: Before | None) -> bool:
    """Whether another git than ours may have written files of a commit that is to be made: git takes those that are there as they
    are. Every `git add` replaces the index."""
    return since is None or since.index != _written(tree.admin / "index")


def commit_all(tree: Worktree, message: str, *, trailers: Mapping[str, str] | None = None) -> Made:
    """Commit everything uncommitted in a worktree of ours, on top of where it is.

    A merge that still has its conflict markers is committed and put aside again: `collect` finds that commit as extra."""
    worktree.clear_locks(tree)
    status = snapshot.UNASKED if not given.entries(tree) and _plain(tree) else snapshot.look(tree.git, tree.repo.hash_size)
    apart = given.unchanged(tree)  # in a closed folder that could not be told before
    if not status.dirty and not status.links:
        return Made()
    if status.unresolved:
        worktree.forget_operation(tree, keep=REBASING)  # `collect` reads there where the rebase began
    if not _commit(tree, status, apart, with_trailers(message, trailers)):
        return Made()
    commit = tree.head
    if status.unresolved and status.head:
        tree.git.reach("reset", "-q", "--hard", status.head)
        return Made(None, commit, status.unresolved)
    return Made(commit)


def collect(tree: Worktree, branch_name: str, start: str, since: Before | None = None) -> Collected:
    """Find the work of an attempt that began at `start`, whatever the agent did to HEAD and branches, and put the worktree
    back on our branch at its tip. Everything uncommitted must have been committed before (`commit_all`)."""
    since = since or Before()
    log, cut = reflog.since(tree, since.log)
    on, head = branch(tree.admin, tree.repo.common), tree.head
    ours = refs.read(tree.repo.common, HEADS + branch_name)
    before_rebase = _rebased(tree.admin)
    tip = before_rebase or (head if on == branch_name and head else _last_work(log, ours, start))
    been = {entry.commit for entry in log}
    fresh = [commit for commit in reflog.stashes(tree.repo) if commit not in since.stashes]
    stashes = reflog.stashed_on(tree.repo, fresh, been | {start})
    inner = list(_inner(tree))
    left = [
        *been,
        *stashes,
        *_dropped(tree.repo, since),
        *_operation_commits(tree.admin),
        *filter(None, (ours, head)),
        *(entry.commit for entry in inner),
    ]
    extra = heads(tree.repo, [commit for commit in left if commit not in (tip, start)], (tip, start))
    if on != branch_name or head != tip or busy(tree.admin):
        worktree.checkout(tree, branch=branch_name, commit=tip)
    seen = frozenset((*reflog.made(log), tip) if cut and tip != start else reflog.made(log))
    rewritten = tip != start and not (log and log[-1].commit == tip and all(entry.onward for entry in log))
    rebased = head if before_rebase and head in extra else None
    stashed = tuple(reflog.stashed_at(tree.repo, stashes, branch_name))
    beside = tuple(commit for commit in extra if commit in {*seen, *reflog.made(inner)})
    return Collected(
        tip, extra, seen, rewritten, rebased=rebased, stashed=stashed, hidden=_hidden(tree, since), beside=beside
    )  # fmt: skip


def keep_everything(tree: Worktree, slug: str, label: str, *, base: str | None = None) -> tuple[str, ...]:
    """Give every commit of our worktree, and everything uncommitted in it, a ref. Returns the labels. It changes neither
    files nor branches, so it may be called at any time and any number of times; before any reset or removal it must be.
    `base` is a commit whose history needs no keeping."""
    been = set(reflog.been(tree))
    commits = [*_uncommitted(tree), tree.head, *been, *_operation_commits(tree.admin)]
    commits += [*reflog.stashed_on(tree.repo, reflog.stashes(tree.repo), been)]
    commits += [entry.commit for entry in _inner(tree)]
    return keep_new(tree.repo, slug, label, filter(None, commits), base)


def tidy(tree: Worktree, keep: Collection[str] = ()) -> None:
    """Take away what a benchmark left in a worktree where all work is committed. What `keep` names stays, and so does what
    belongs in no commit (installed packages, caches). So does what git ignores, and folders without a file go like the rest."""
    worktree.clear_locks(tree)
    status = snapshot.look(tree.git, tree.repo.hash_size)
    if status.changed:
        tree.git.reach("checkout", "-q", "-f")
    kept = tuple(path for path in keep if path.endswith("/"))
    left = (*status.untracked, *hollow(tree.git))
    if litter := [path for path in left if path not in keep and not path.startswith(kept)]:
        stays = (*nested.survey(tree.git, litter, ()).unwanted, *keep)
        paths = [*(f":(top,literal){path}" for path in litter), *(f":(top,exclude,literal){path}" for path in stays)]
        tree.git.reach("clean", "-ffdq", "--", *paths)


def untracked(tree: Worktree) -> tuple[str, ...]:
    """What git doesn't track there and doesn't ignore, and folders without a file."""
    return (*snapshot.look(tree.git, tree.repo.hash_size).untracked, *hollow(tree.git))


def pending(tree: Worktree) -> str | None:
    """A commit of everything that lies in a worktree now, which no ref names and nothing there is changed for."""
    return next(_uncommitted(tree), tree.head)


def keep_lost(repo: Repository, path: Path, slug: str, label: str, *, base: str | None = None) -> tuple[str, ...]:
    """The same for a folder that was a worktree of ours, and that git no longer knows since an agent made it forget."""
    if not path.is_dir() or worktree.find(repo, path):
        return ()
    return keep_new(repo, slug, label, [_lost(repo, path, base)], base)


def keep_new(repo: Repository, slug: str, label: str, commits: Iterable[str], base: str | None) -> tuple[str, ...]:
    """Keep those of the `commits` that no ref of the task's and not `base` has. Returns the labels."""
    known = (*filter(None, (base,)), f"--glob=refs/orchestrator/{slug}/")
    new = heads(repo, commits, known)
    if new:  # first: on a ref to what a power cut has emptied most of git's commands fail
        lasting.secure(repo, new, known)
    return keep_all(repo, slug, {f"{label}-{number}" if number else label: commit for number, commit in enumerate(new)})


def _plain(tree: Worktree) -> bool:
    """Whether git can be told to commit whatever it finds, without being asked what that is before."""
    return not worktree.operating(tree) and harmless(tree.path, tree.admin / "index", tree.repo.hash_size)


def _commit(tree: Worktree, status: snapshot.Status, apart: frozenset[str], message: str) -> bool:
    """One commit of what is staged; then the index it was made from becomes the worktree's own."""
    with snapshot.staged(tree.git, status, whole=False, apart=apart) as staged:
        every = ("-a",) if staged.rest else ()
        command = ("commit", "-q", "--no-verify", "--cleanup=verbatim", *every, "-F", "-")
        output = commit_as(tree.git, *command, message=message, env=staged.env, ok=(0, 1))
        if output.code == 1:
            if "error: " in output.stderr and _differs(tree.git, staged):
                raise GitError(("commit",), output.code, output.stderr)
            return False
        hit("git.index:before")
        staged.path.replace(tree.admin / "index")
    return True


def _differs(git: Git, staged: snapshot.Staged) -> bool:
    """Whether there is something to be committed, which then could not be written. Git tells of other errors, too, in each
    command: a commit-graph that a power cut damaged, an alternate that is gone and not needed."""
    how = ("--quiet", "--no-ext-diff", "--ignore-submodules=dirty", *(() if staged.rest else ("--cached",)))
    return bool(git.run("diff", *how, "HEAD", env=staged.env, ok=(0, 1)).code)


def _uncommitted(tree: Worktree) -> Iterator[str]:
    """A commit of what is uncommitted, on top of where the worktree is, that moves nothing."""
    if not tree.path.is_dir():
        return
    status = snapshot.look(tree.git, tree.repo.hash_size)
    if status.dirty or status.links:
        with snapshot.staged(tree.git, status, apart=given.unchanged(tree)) as staged:
            contents = tree.git.run("write-tree", env=staged.env).stdout.decode().strip()
        yield _commit_tree(tree.git, contents, status.head)


def _inner(tree: Worktree) -> Iterator[Entry]:
    """What lies in worktrees that the agent made inside its own, and where they have been: they go with it."""
    for admin in refs.entries(tree.repo.common / "worktrees"):
        place = Path(refs.content(admin / "gitdir") or "/").parent
        if admin != tree.admin and place.is_relative_to(tree.path):
            inner = Worktree(tree.repo, place, admin)
            yield from (Entry(commit, "commit") for commit in _uncommitted(inner))
            yield from reflog.read(inner)


def _lost(repo: Repository, path: Path, base: str | None) -> str:
    """The same for a worktree that git no longer knows: an agent removed git's folder for it, so every file counts."""
    git = Git(path, repo.common)
    return _commit_tree(git, snapshot.tree_of_all(git, scratch(repo.control / "index"), base), base)


def _commit_tree(git: Git, tree: str, parent: str | None) -> str:
    parents = ("-p", parent) if parent else ()
    output = commit_as(git, "commit-tree", tree, *parents, message="Work found uncommitted\n")
    return output.stdout.decode().strip()


def _last_work(log: list[Entry], ours: str | None, start: str) -> str:
    """Away from our branch: the last commit made, else where our branch is; being elsewhere is no work."""
    made = reflog.made(log)
    return made[-1] if made else ours or start


def _rebased(admin: Path) -> str | None:
    """The commit that an unfinished rebase began at: the work before it was taken apart."""
    return next(filter(None, (refs.content(admin / name / "orig-head") for name in REBASING)), None)


def _operation_commits(admin: Path) -> list[str]:
    files = [*SPECIAL, *(f"{name}/{what}" for name in REBASING for what in ("orig-head", "autostash"))]
    return [text for text in (refs.content(f"{admin}/{name}") for name in files) if text and refs.OBJECT.fullmatch(text)]


def _written(path: Path) -> tuple[int, int] | None:
    """What tells this file from the one that takes its place."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns


def _hidden(tree: Worktree, since: Before) -> tuple[str, ...]:
    """What lies there that lines hide which were added to the repository's own ignore list since then; not what belongs in no
    commit anyway."""
    added = [] if since.ignored is None else [line for line in ignored(tree.repo) if line not in since.ignored]
    if not added:
        return ()
    lines = scratch(tree.admin / "hidden")  # an agent may add more than fits on a command line
    try:
        lines.write_bytes(os.fsencode("".join(f"{line}\n" for line in added)))
        found = tree.git.split("ls-files", "-z", "-o", "-i", "--directory", f"--exclude-from={lines}")
    finally:
        lines.unlink(missing_ok=True)
    return tuple(name for name in found if not any(map(nested.unwanted, name.split("/"))))


def _dropped(repo: Repository, since: Before) -> list[str]:
    """Stash entries of others that are gone since: an agent popped what was not its own."""
    now = set(reflog.stashes(repo))
    return [commit for commit in since.stashes if commit not in now]
