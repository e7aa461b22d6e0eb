"""Everything uncommitted in a worktree, gathered in an index of its own, so that a kill leaves the real one whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import GitError
from orchestrator.git import indexfile, nested
from orchestrator.git.command import Git, join, split

FEW = 1000  # paths that are handed to git one by one
PREFIX = "orchestrator-index."
MARKERS = (b"<<<<<<< ", b">>>>>>> ")
UNWRITTEN = "failed to insert into database"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Status(Value):
    """What one `git status` told. `unresolved` are paths of a merge whose conflict markers are still in the file. Not `asked`, it
    tells nothing, and there may be anything but what `git add -A` must not be left alone with."""

    head: str | None
    changed: tuple[str, ...]
    untracked: tuple[str, ...]
    unresolved: tuple[str, ...]
    links: tuple[str, ...]
    asked: bool = True

    @property
    def dirty(self) -> bool:
        return bool(self.changed or self.untracked or not self.asked)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Staged(Value):
    """A filled index: `env` makes git use it, `path` is its file. `rest`: changes of tracked files are still to be added."""

    path: Path
    env: Mapping[str, str]
    rest: bool


UNASKED = Status(None, (), (), (), (), asked=False)


def look(git: Git, hash_size: int) -> Status:
    """Whether anything is uncommitted in the worktree of `git`. Edits hidden from git come to light."""
    found = indexfile.read(_index(git), hash_size)
    if found.hidden:
        _unhide(git)
    try:
        output = _status(git)
    except GitError:
        _index(git).unlink(missing_ok=True)  # whatever it held, the files are what counts
        git.run("read-tree", "HEAD")
        output = _status(git)
    return _parse(git, split(output), found.links)


@contextlib.contextmanager
def staged(git: Git, status: Status, *, whole: bool = True, apart: frozenset[str] = frozenset()) -> Iterator[Staged]:
    """Everything uncommitted that belongs in a commit, in an index of its own, which is gone after the block. The files named
    `apart` don't.

    Without `whole`, changes to tracked files are left to `git commit -a` where there is nothing else: unless the checkout is
    sparse, of which it would leave out what lies outside."""
    path = _index(git).with_name(f"{PREFIX}{os.getpid()}")
    env = {"GIT_INDEX_FILE": str(path)}
    try:
        if _index(git).exists():
            _copy(_index(git), path)
        rest = not whole and status.asked and not status.untracked and not status.links and not _sparse(git)
        if not rest:
            paths = (*status.changed, *status.untracked)
            survey = nested.survey(git, status.untracked, status.links).without(nested.folded(git.cwd, status.untracked, apart))
            _add(git, survey, env, paths if len(paths) <= FEW else (), apart)
        yield Staged(path, env, rest)
    finally:
        path.unlink(missing_ok=True)


def _copy(index: Path, path: Path) -> None:
    """With its time: git looks closer at files that changed in the second the index was written in."""
    facts = index.stat()
    path.write_bytes(index.read_bytes())
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def tree_of_all(git: Git, index: Path, base: str | None) -> str:
    """The tree of every file at `git.cwd`, for a worktree that git no longer knows. `index` is a scratch file; `base`, where
    known, tells which files were tracked."""
    env = {"GIT_INDEX_FILE": str(index)}
    entries = [item.name for item in git.cwd.iterdir() if item.name != ".git"]
    try:
        if base:
            git.run("read-tree", base, env=env)
        _add(git, nested.survey(git, entries, ()), env)
        return git.run("write-tree", env=env).stdout.decode().strip()
    finally:
        index.unlink(missing_ok=True)


def _add(
    git: Git, survey: nested.Survey, env: Mapping[str, str], paths: Sequence[str] = (), apart: frozenset[str] = frozenset()
) -> None:
    """Exit code 1 says that a file could not be read: everything else was added all the same. Or that what was read could not be
    written, on a full disk: that is an error, since without it the work would be lost. Where the `paths` are known git need not
    look through the whole worktree again."""
    if survey.repositories or survey.unwanted or not paths:
        given = survey.pathspecs
    else:
        given = join([f":(top,literal){path}" for path in paths])
    chosen = ("--pathspec-from-file=-", "--pathspec-file-nul")
    try:
        done = git.reach("add", "-A", "--sparse", "--ignore-errors", *chosen, input=given, env=env, ok=(0, 1))
    except GitError:
        if given == survey.pathspecs:
            raise
        _add(git, survey, env, (), apart)  # a path went away since the status was taken
        return
    if UNWRITTEN in done.stderr:
        raise GitError(("add", "-A"), done.code, done.stderr)
    for repository in survey.repositories:
        git.run("update-index", "--force-remove", "-z", "--stdin", input=join([repository]), env=env)
        names = [name for name in nested.files(git, repository) if name not in apart]
        git.run("update-index", "--add", "--replace", "-z", "--stdin", input=join(names), env=env)


def _status(git: Git) -> bytes:
    return git.reach("status", "--porcelain=v2", "-z", "--branch", "--no-renames", "-unormal", "--ignore-submodules=dirty").stdout


def _parse(git: Git, entries: list[str], links: tuple[str, ...]) -> Status:
    head = next((entry.removeprefix("# branch.oid ") for entry in entries if entry.startswith("# branch.oid ")), "")
    unmerged = tuple(entry.split(" ", 10)[10] for entry in entries if entry.startswith("u "))
    changed = tuple(entry.split(" ", 8)[8] for entry in entries if entry.startswith("1 "))
    embedded = tuple(path for path in links if (git.cwd / path / ".git").is_dir())
    return Status(
        head=None if head.startswith("(") else head,
        changed=(*changed, *unmerged),
        untracked=tuple(entry[2:] for entry in entries if entry.startswith("? ")),
        unresolved=tuple(path for path in unmerged if _marked(git.cwd / path)),
        links=embedded,
    )


def _marked(path: Path) -> bool:
    """Whether conflict markers stand in the file: an agent that resolved it by hand may not have told git."""
    if not path.is_file() or path.is_symlink():
        return False
    with path.open("rb") as lines:
        found = {marker for line in lines for marker in MARKERS if line.startswith(marker)}
    return len(found) == len(MARKERS)


def _unhide(git: Git) -> None:
    """Take the flags back; those of a sparse checkout are git's own and stay."""
    rows = git.split("ls-files", "-v", "-z")
    sparse = _sparse(git)
    trusted = [row[2:] for row in rows if row[0].islower()]
    skipped = [row[2:] for row in rows if row[0] in "Ss" and not sparse]
    if trusted:
        git.run("update-index", "--no-assume-unchanged", "-z", "--stdin", input=join(trusted))
    if skipped:
        git.run("update-index", "--no-skip-worktree", "-z", "--stdin", input=join(skipped))


def _sparse(git: Git) -> bool:
    return (_index(git).parent / "info" / "sparse-checkout").exists()


def _index(git: Git) -> Path:
    return (git.git_dir or git.cwd / ".git") / "index"
