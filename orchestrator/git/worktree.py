"""One checkout of ours: what it is, whose it is, and how it is put at a commit. Never one that somebody else made.

A file called `orchestrator` in git's folder of a worktree tells whose it is, and whether it is finished: files of one that is
being made or reset are nobody's work. `git.pool` is where they come from and go.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.value import Value
from orchestrator.errors import RepositoryError
from orchestrator.git import indexfile, refs, snapshot, untracked
from orchestrator.git.atomicfile import ROOM, overwrite, write
from orchestrator.git.command import Git
from orchestrator.git.repository import OPERATIONS, Repository, head
from orchestrator.store.clearing import let_in, remove
from orchestrator.store.failpoints import hit

MARK = "orchestrator"
IDLE = "idle"
HALF = " unfinished"
POOL = ".pool"
TRASH = "trash-"
POINTER = "gitdir: "
FOUND_BY = ("HEAD", "commondir", "gitdir", MARK)
UNFINISHED = frozenset(
    {
        *OPERATIONS,
        "MERGE_MSG",
        "MERGE_MODE",
        "AUTO_MERGE",
        "SQUASH_MSG",
        "BISECT_LOG",
        "BISECT_NAMES",
        "BISECT_TERMS",
        "sequencer",
    }
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Worktree(Value):
    """A linked checkout of ours. `admin` is git's folder for it: all git in it is told so, whatever its `.git` says by now."""

    repo: Repository
    path: Path
    admin: Path

    @property
    def git(self) -> Git:
        return Git(self.path, self.admin)

    @property
    def owner(self) -> str | None:
        """The task it was made for."""
        mark = refs.content(self.admin / MARK)
        return mark.removesuffix(HALF) if mark else None

    @property
    def finished(self) -> bool:
        """Whether what lies there counts as work: it was all made ready once, and nothing is resetting it."""
        return self.path.is_dir() and not (refs.content(self.admin / MARK) or HALF).endswith(HALF)

    @property
    def head(self) -> str | None:
        return head(self.admin, self.repo.common)


def find(repo: Repository, path: Path) -> Worktree | None:
    """Our worktree at `path`, be it whole or broken; None where there is none of ours."""
    here = admin_of(path)
    if here and owned(repo, here):
        found = Worktree(repo, path, here)
        correct(found)
        return found
    for admin in refs.entries(repo.common / "worktrees"):
        if place_of(admin) == path and owned(repo, admin) and not elsewhere(admin, path):
            worktree = Worktree(repo, path, admin)
            if path.is_dir():
                correct(worktree)
            elif any(admin_of(idle) == admin for idle in pooled(path.parent / POOL)):
                continue  # moved to the pool, and then we were killed
            return worktree
    return None


def ours(repo: Repository) -> tuple[Worktree, ...]:
    """Every worktree of ours that this repository knows, idle ones included."""
    found = ((admin, place_of(admin)) for admin in refs.entries(repo.common / "worktrees") if owned(repo, admin))
    return tuple(Worktree(repo, place, admin) for admin, place in found if place and not elsewhere(admin, place))


def begin(worktree: Worktree, owner: str | None = None) -> None:
    """What lies there is kept, and nobody's work any more: whoever comes next makes it anew, unless `finish` comes first. It is
    `owner`'s from now on, else whose it was."""
    write(worktree.admin / MARK, f"{owner or worktree.owner or IDLE}{HALF}".ljust(ROOM))


def finish(worktree: Worktree) -> None:
    """From now on what lies there is somebody's work."""
    overwrite(worktree.admin / MARK, worktree.owner or IDLE)


@contextlib.contextmanager
def _changing(worktree: Worktree) -> Iterator[None]:
    """Files in there are neither the old ones nor the new ones now; a worktree that wasn't finished before isn't after."""
    finished = worktree.finished
    if finished:
        begin(worktree)
    yield
    if finished:
        finish(worktree)


def reset(worktree: Worktree, *, branch: str | None, commit: str) -> None:
    """Put a worktree of ours at `commit`, as clean as a fresh one."""
    with _changing(worktree):
        checkout(worktree, branch=branch, commit=commit)
        if not untracked.none(worktree.path, worktree.admin / "index", worktree.repo.hash_size):
            clean(worktree)
            if branch is None:  # else an agent's work may lie in there, which can be kept nowhere else
                clean_unfilled(worktree)


def clean(worktree: Worktree, *, keep_ignored: bool = False) -> None:
    """Remove what git doesn't track, repositories of their own included; on request only what it doesn't ignore."""
    worktree.git.reach("clean", "-ffdq" if keep_ignored else "-ffdxq")


def clean_unfilled(worktree: Worktree) -> None:
    """Remove what lies where submodules would be: git doesn't, and it was somebody else's, or a benchmark left it."""
    for path in unfilled(worktree):
        remove(worktree.path / path)
        (worktree.path / path).mkdir(exist_ok=True)  # what isn't ours to remove stays


def unfilled(worktree: Worktree) -> Iterator[str]:
    """The submodules that git has put no files of into the worktree. Whatever lies in such a folder all the same is nothing that
    git would tell of, commit, or clean away. Where a link leads to one, what is behind it is somebody else's."""
    top = worktree.path.resolve()
    for path in indexfile.links(worktree.admin / "index", worktree.repo.hash_size):
        folder = worktree.path / path
        if folder.is_dir() and folder.resolve() == top / path and not _filled(worktree, folder):
            yield path


def _filled(worktree: Worktree, folder: Path) -> bool:
    """Whether git has initialised the submodule there: its repository lies in git's folder for the worktree."""
    repository = admin_of(folder)
    return repository is not None and (folder / repository).resolve().is_relative_to((worktree.admin / "modules").resolve())


def checkout(worktree: Worktree, *, branch: str | None, commit: str) -> None:
    """The same, but files that git doesn't track stay."""
    clear_locks(worktree)
    forget_operation(worktree)
    if indexfile.read(worktree.admin / "index", worktree.repo.hash_size).hidden:
        (worktree.admin / "index").unlink()
    where = ("-B", branch) if branch else ("--detach",)
    with _changing(worktree):
        done = worktree.git.reach("checkout", "-q", "-f", *where, commit)
    if "could not read" in done.stderr.lower():  # of a damaged repository: git leaves an empty checkout and exits with 0
        raise RepositoryError(
            f"{worktree.repo.top} is damaged: {done.stderr.strip()}.", hint="See what `git fsck` says; fetch what is missing."
        )


def usable(worktree: Worktree) -> bool:
    """Whether git's folder and the files are both there and belong together: an agent, or a person, may have removed either."""
    let_in(worktree.path)
    head_file = worktree.admin / "HEAD"
    if not worktree.path.is_dir() or not (head_file.is_file() or head_file.is_symlink()):
        return False
    if admin_of(worktree.path) != worktree.admin:
        _point(worktree)
    return True


def clear_locks(worktree: Worktree) -> None:
    """Remove what a killed git of the agent left, or a killed worker; nobody works in there any more."""
    for name in refs.names(worktree.admin):
        if name.endswith(".lock") or name.startswith(snapshot.PREFIX):
            (worktree.admin / name).unlink(missing_ok=True)


def operating(worktree: Worktree) -> bool:
    """Whether a merge, rebase or the like was left half-way there."""
    return not UNFINISHED.isdisjoint(refs.names(worktree.admin))


def forget_operation(worktree: Worktree, *, keep: Collection[str] = ()) -> None:
    """End a merge, rebase or the like that was left half-way, without touching a file of the checkout."""
    for name in refs.names(worktree.admin):
        if name in UNFINISHED and name not in keep:
            remove(worktree.admin / name)


def pooled(pool: Path) -> list[Path]:
    """What lies in the pool but for what is only to be deleted."""
    return [path for path in refs.entries(pool) if not path.name.startswith(TRASH)]


def broken(worktree: Worktree) -> bool:
    """Whether whoever worked here was killed half-way, or the agent took it apart."""
    whole = admin_of(worktree.path) == worktree.admin and worktree.head is not None
    return not whole or (worktree.admin / "index.lock").exists() or initializing(worktree.admin)


def initializing(admin: Path) -> bool:
    """Whether git has begun to make it and not come to the end."""
    return (refs.content(admin / "locked") or "").startswith("initializing")


def admin_of(path: Path) -> Path | None:
    """The folder that the `.git` file in `path` names, None where it names none or may not be read."""
    text = None
    with contextlib.suppress(PermissionError):
        text = refs.content(f"{path}/.git") if not os.path.islink(path) else None  # noqa: PTH114 - asked twenty times a task
    return Path(text.removeprefix(POINTER)) if text and text.startswith(POINTER) else None


def _point(worktree: Worktree) -> None:
    """Without its `.git` file every git in there would climb up to the user's own checkout. A repository in its place is kept."""
    pointer = worktree.path / ".git"
    if os.path.lexists(pointer):
        pointer.rename(worktree.path.with_name(f"{worktree.path.name}.git.aside-{os.urandom(3).hex()}"))
    write(pointer, f"{POINTER}{worktree.admin}\n")


def place_of(admin: Path) -> Path | None:
    text = refs.content(f"{admin}/gitdir")
    return Path(text).parent if text else None


def elsewhere(admin: Path, place: Path) -> bool:
    """Whether the folder that git's `admin` calls its own is another repository's, of which this one is a copy."""
    other = admin_of(place)
    return other not in (None, admin) and place_of(place / other) == place and not (place / other).samefile(admin)


def owned(repo: Repository, admin: Path) -> bool:
    """Whether this folder of git's is this repository's, of a worktree that we made."""
    return inside(repo, admin) and (admin / MARK).is_file()


def inside(repo: Repository, admin: Path) -> bool:
    return admin.parent == repo.common / "worktrees" and admin.is_dir()


def correct(worktree: Worktree) -> None:
    """Put right what git notes of a worktree: where it is, should we have been killed after we moved it; where the repository is
    and what is checked out, should these be gone, or empty files since a power cut. Without them no git works in there any more,
    not even to save what an agent left."""
    admin = worktree.admin
    let_in(worktree.path)
    if place_of(admin) != worktree.path:
        overwrite(admin / "gitdir", f"{worktree.path / '.git'}\n")
    if not refs.content(admin / "commondir"):
        write(admin / "commondir", "../..\n")
    named = refs.content(admin / "HEAD") or refs.symbolic(f"{admin}/HEAD")
    if not named and (commit := _last(admin) or head(worktree.repo.git_dir, worktree.repo.common)):
        write(admin / "HEAD", f"{commit}\n")


def _last(admin: Path) -> str | None:
    """The commit that its HEAD went to last, by git's log of that."""
    fields = (refs.content(admin / "logs" / "HEAD") or "").rpartition("\n")[2].split(" ")
    return fields[1] if len(fields) > 1 and refs.OBJECT.fullmatch(fields[1]) else None


def forget(admin: Path) -> None:
    """Delete git's folder for a worktree of ours. What it is found by goes last: whoever comes after a kill must see that it is
    ours, and of which place."""
    with contextlib.suppress(OSError):  # then all of it goes as it comes
        for name in set(refs.names(admin)).difference(FOUND_BY):
            remove(admin / name)
        hit("worktree.forget:half")
        for name in FOUND_BY:
            (admin / name).unlink(missing_ok=True)
    remove(admin)
