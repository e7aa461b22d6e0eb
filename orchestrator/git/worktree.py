"""Our own checkouts: made, taken from the pool of idle ones, put back, removed. Never one that somebody else made.

Making one by git takes seconds in a large repository, another branch in an existing one milliseconds; so one that is
not needed any more waits in `.pool/` beside its fellows. A file called `orchestrator` in git's folder of a worktree
tells whose it is, and whether it is finished: files of one that is being made or reset are nobody's work.
What is uncommitted in one is saved (`save.keep_everything`) before anything here is called on it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import GitError, RepositoryError
from orchestrator.git import indexfile, listing, refs, snapshot, submodules
from orchestrator.git.command import Git, Locked
from orchestrator.git.repository import OPERATIONS, Repository, head, write
from orchestrator.store import locks
from orchestrator.store.failpoints import hit
from orchestrator.store.locks import LockProof

MARK = "orchestrator"
IDLE = "idle"
HALF = " unfinished"
POOL = ".pool"
TRASH = "trash-"
POOLED = 4
POINTER = "gitdir: "
UNFINISHED = (
    *OPERATIONS,
    "MERGE_MSG",
    "MERGE_MODE",
    "AUTO_MERGE",
    "SQUASH_MSG",
    "BISECT_LOG",
    "BISECT_NAMES",
    "BISECT_TERMS",
    "sequencer",
)

Pump = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Worktree:
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
    for admin in (_pointed(path), *refs.entries(repo.common / "worktrees")):
        if admin and _ours(repo, admin) and (admin == _pointed(path) or _place(admin) == path):
            worktree = Worktree(repo, path, admin)
            if path.is_dir():
                _correct(worktree)
            elif any(_pointed(idle) == admin for idle in _pooled(path.parent / POOL)):
                continue  # moved to the pool, and then we were killed
            return worktree
    return None


def ours(repo: Repository) -> tuple[Worktree, ...]:
    """Every worktree of ours that this repository knows, idle ones included."""
    found = ((admin, _place(admin)) for admin in refs.entries(repo.common / "worktrees") if _ours(repo, admin))
    return tuple(Worktree(repo, place, admin) for admin, place in found if place)


def prepare(repo: Repository, path: Path, *, owner: str, branch: str | None, commit: str, pump: Pump = time.sleep) -> Worktree:
    """A clean worktree of ours at `path`: on `branch`, which is set to `commit`, or detached at `commit`. The caller furnishes
    it and then calls `finish`.

    One that is there already is used again, whatever state it is in. Raises RepositoryError where something that isn't
    ours is in the way, or another checkout is on the branch."""
    _refuse_shared(repo, path, branch)
    worktree = find(repo, path)
    if worktree and not _broken(worktree):
        write(worktree.admin / MARK, owner + HALF)
        try:
            reset(worktree, branch=branch, commit=commit)
        except Locked:
            raise
        except GitError:
            discard(worktree, pump=pump)
        else:
            return worktree
    elif worktree:
        discard(worktree, pump=pump)
    return _make(repo, path, owner=owner, branch=branch, commit=commit, pump=pump)


def begin(worktree: Worktree) -> None:
    """What lies there is kept, and nobody's work any more: whoever comes next makes it anew, unless `finish` comes first."""
    write(worktree.admin / MARK, f"{worktree.owner or IDLE}{HALF}")


def finish(worktree: Worktree) -> None:
    """From now on what lies there is somebody's work."""
    write(worktree.admin / MARK, worktree.owner or IDLE)


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
        clean(worktree)


def clean(worktree: Worktree, *, keep_ignored: bool = False) -> None:
    """Remove what git doesn't track, repositories of their own included; on request only what it doesn't ignore."""
    worktree.git.run("clean", "-ffdq" if keep_ignored else "-ffdxq")


def checkout(worktree: Worktree, *, branch: str | None, commit: str) -> None:
    """The same, but files that git doesn't track stay."""
    clear_locks(worktree)
    forget_operation(worktree)
    if indexfile.read(worktree.admin / "index", worktree.repo.hash_size).hidden:
        (worktree.admin / "index").unlink()
    where = ("-B", branch) if branch else ("--detach",)
    with _changing(worktree):
        done = worktree.git.run("checkout", "-q", "-f", *where, commit)
    if "could not read" in done.stderr.lower():  # of a damaged repository: git leaves an empty checkout and exits with 0
        raise RepositoryError(
            f"{worktree.repo.top} is damaged: {done.stderr.strip()}.", hint="See what `git fsck` says; fetch what is missing."
        )


def usable(worktree: Worktree) -> bool:
    """Whether git's folder and the files are both there and belong together: an agent, or a person, may have removed either."""
    if not worktree.path.is_dir() or not (worktree.admin / "HEAD").is_file():
        return False
    if _pointed(worktree.path) != worktree.admin:
        _point(worktree)
    return True


def clear_locks(worktree: Worktree) -> None:
    """Remove what a killed git of the agent left, or a killed worker; nobody works in there any more."""
    for name in refs.names(worktree.admin):
        if name.endswith(".lock") or name.startswith(snapshot.PREFIX):
            (worktree.admin / name).unlink(missing_ok=True)


def forget_operation(worktree: Worktree, *, keep: Collection[str] = ()) -> None:
    """End a merge, rebase or the like that was left half-way, without touching a file of the checkout."""
    for name in refs.names(worktree.admin):
        if name in UNFINISHED and name not in keep:
            _remove(worktree.admin / name)


def retire(worktree: Worktree, *, pooled: int = POOLED, pump: Pump = time.sleep) -> str | None:
    """Put a worktree whose work is all saved into the pool, or remove it. Returns why it had to stay, where it had to."""
    if why := submodules.unsaved(worktree.admin):
        return why
    with locks.acquire(worktree.repo.worktree_lock, pump) as proof:
        pool = worktree.path.parent / POOL
        pool.mkdir(exist_ok=True)
        _forget_begun(worktree.repo, pool, proof)
        if _poolable(worktree) and len(_idle(worktree.repo, pool)) < pooled:
            _detach(worktree)
            _forget_log(worktree)
            moved = _move(worktree, pool / f"{worktree.admin.name}-{os.urandom(3).hex()}", proof)
            write(moved.admin / MARK, IDLE)
        else:
            _aside(worktree, proof)
    _empty_trash(pool)
    return None


def empty_pool(repo: Repository, folder: Path, *, pump: Pump = time.sleep) -> None:
    """Remove this repository's idle worktrees below `folder`, and the folder where nothing else is in it."""
    pool = folder / POOL
    with locks.acquire(repo.worktree_lock, pump) as proof:
        for worktree in _resting(repo, pool):
            _aside(worktree, proof)
    _empty_trash(pool)
    leave_no_folder(folder)


def leave_no_folder(folder: Path) -> None:
    """Remove the folder of worktrees, and the pool in it, where nothing is in them."""
    for empty in (folder / POOL, folder):
        with contextlib.suppress(OSError):
            empty.rmdir()


def discard(worktree: Worktree, *, pump: Pump = time.sleep) -> None:
    """Remove a worktree of ours for good, in whatever state it is. The files go after the lock was given back."""
    with locks.acquire(worktree.repo.worktree_lock, pump) as proof:
        _aside(worktree, proof)
    _empty_trash(_pool(worktree))


def _make(repo: Repository, path: Path, *, owner: str, branch: str | None, commit: str, pump: Pump) -> Worktree:
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.acquire(repo.worktree_lock, pump) as proof:
        _clear(repo, path)
        worktree = _take(repo, path, commit, proof) or _add(repo, path, commit, proof)
        write(worktree.admin / MARK, owner + HALF)
        fresh = not (worktree.admin / "index").exists()
    try:
        (checkout if fresh else reset)(worktree, branch=branch, commit=commit)
    except GitError as error:
        if fresh or isinstance(error, Locked):
            raise
        discard(worktree, pump=pump)
        return _make(repo, path, owner=owner, branch=branch, commit=commit, pump=pump)
    return worktree


def _add(repo: Repository, path: Path, commit: str, proof: LockProof) -> Worktree:
    """A new one without files: those come after the lock was given back. Made in the pool: one that nobody could say he had
    made, because he was killed, is an idle one."""
    pool = path.parent / POOL
    pool.mkdir(exist_ok=True)
    place = pool / f"{path.name}-{os.urandom(3).hex()}"
    repo.git.run("worktree", "add", "-q", "--no-checkout", "--detach", str(place), commit)
    admin = _pointed(place)
    if admin is None:
        raise RepositoryError(f"git made no worktree at {place}.", hint="See what `git worktree list` says.")
    write(admin / MARK, IDLE)
    return _move(Worktree(repo, place, admin), path, proof)


def _take(repo: Repository, path: Path, commit: str, proof: LockProof) -> Worktree | None:
    """An idle one, the nearest to what is wanted first."""
    _forget_begun(repo, path.parent / POOL, proof)
    idle = sorted(_idle(repo, path.parent / POOL), key=lambda worktree: worktree.head != commit)
    return _move(idle[0], path, proof) if idle else None


def _forget_begun(repo: Repository, pool: Path, proof: LockProof) -> None:
    """What a killed `git worktree add` left goes: with an empty file in its folder in git's, hardly anything works in the whole
    repository any more, the user's own commands included. With the lock held, nobody of ours is making one."""
    for admin in refs.entries(repo.common / "worktrees"):
        place = _place(admin)
        if place and place.parent == pool and _initializing(admin):
            _aside(Worktree(repo, place, admin), proof)


def _move(worktree: Worktree, path: Path, _: LockProof) -> Worktree:
    """What `git worktree move` does: the files, then git's note of where they are. A kill in between is found by `find`."""
    hit("worktree.move:before")
    worktree.path.rename(path)
    hit("worktree.move:after")
    write(worktree.admin / "gitdir", f"{path / '.git'}\n")
    return Worktree(worktree.repo, path, worktree.admin)


def _idle(repo: Repository, pool: Path) -> list[Worktree]:
    """What can be used again."""
    return [worktree for worktree in _resting(repo, pool) if not _broken(worktree)]


def _resting(repo: Repository, pool: Path) -> list[Worktree]:
    """Everything of this repository in the pool; it is in there, so it is nobody's, whatever its mark says yet."""
    admins = ((path, _pointed(path)) for path in _pooled(pool))
    found = [Worktree(repo, path, admin) for path, admin in admins if admin and _inside(repo, admin)]
    for worktree in found:
        _correct(worktree)
    return found


def _pooled(pool: Path) -> list[Path]:
    """What lies in the pool but for what is only to be deleted."""
    return [path for path in refs.entries(pool) if not path.name.startswith(TRASH)]


def _aside(worktree: Worktree, _: LockProof) -> None:
    """Take the files out of the way and make git forget them. Files first: git's folder without files is found and removed."""
    pool = _pool(worktree)
    pool.mkdir(parents=True, exist_ok=True)
    trash = pool / f"{TRASH}{os.urandom(4).hex()}"
    if os.path.lexists(worktree.path):
        hit("worktree.aside:before")
        worktree.path.rename(trash)
        hit("worktree.aside:after")
    _remove(worktree.admin)
    hit("worktree.forget:after")


def _pool(worktree: Worktree) -> Path:
    """The pool that it goes to, or lies in."""
    folder = worktree.path.parent
    return folder if folder.name == POOL else folder / POOL


def _empty_trash(pool: Path) -> None:
    """Delete what was put aside, also by someone who was killed before it was deleted."""
    for trash in refs.entries(pool):
        if trash.name.startswith(TRASH):
            _remove(trash)


def _clear(repo: Repository, path: Path) -> None:
    """Nothing may be at `path`. A former worktree of this repository that git no longer knows is kept under another name."""
    if not os.path.lexists(path):
        return
    admin = _pointed(path)
    if admin and admin.parent == repo.common / "worktrees" and not admin.exists():
        path.rename(path.with_name(f"{path.name}.aside-{os.urandom(3).hex()}"))
        return
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        path.rmdir()
        return
    raise RepositoryError(
        f"{path} exists and is no worktree of ours.", hint="Move it away, or set ORCH_WORKTREES to another folder."
    )


def _refuse_shared(repo: Repository, path: Path, branch: str | None) -> None:
    others = [item.path for item in listing.holding(repo, branch) if item.path != path] if branch else []
    if others:
        hint = f"Leave the branch there: git -C {others[0]} checkout --detach."
        raise RepositoryError(f"The branch {branch} is checked out in {others[0]}.", hint=hint)


def _broken(worktree: Worktree) -> bool:
    """Whether whoever worked here was killed half-way, or the agent took it apart."""
    whole = _pointed(worktree.path) == worktree.admin and worktree.head is not None
    return not whole or (worktree.admin / "index.lock").exists() or _initializing(worktree.admin)


def _initializing(admin: Path) -> bool:
    """Whether git has begun to make it and not come to the end."""
    return (refs.content(admin / "locked") or "").startswith("initializing")


def _poolable(worktree: Worktree) -> bool:
    special = ("modules", "config.worktree", "info/sparse-checkout")
    return not _broken(worktree) and not any((worktree.admin / name).exists() for name in special)


def _detach(worktree: Worktree) -> None:
    """Let go of the branch, so that it can be removed or checked out elsewhere."""
    if not (refs.content(worktree.admin / "HEAD") or "").startswith(refs.SYMBOLIC):
        return
    if refs.files(worktree.repo.common) and worktree.head:
        write(worktree.admin / "HEAD", f"{worktree.head}\n")
    else:
        worktree.git.run("checkout", "-q", "-f", "--detach")


def _forget_log(worktree: Worktree) -> None:
    """The history of HEAD begins anew with the next task; what it names has refs by now."""
    with contextlib.suppress(FileNotFoundError):
        os.truncate(worktree.admin / "logs" / "HEAD", 0)


def _pointed(path: Path) -> Path | None:
    """The folder that the `.git` file in `path` names."""
    text = refs.content(f"{path}/.git") if not path.is_symlink() else None
    return Path(text.removeprefix(POINTER)) if text and text.startswith(POINTER) else None


def _point(worktree: Worktree) -> None:
    """Without its `.git` file every git in there would climb up to the user's own checkout. A repository in its place is kept."""
    pointer = worktree.path / ".git"
    if os.path.lexists(pointer):
        pointer.rename(worktree.path.with_name(f"{worktree.path.name}.git.aside-{os.urandom(3).hex()}"))
    write(pointer, f"{POINTER}{worktree.admin}\n")


def _place(admin: Path) -> Path | None:
    text = refs.content(f"{admin}/gitdir")
    return Path(text).parent if text else None


def _ours(repo: Repository, admin: Path) -> bool:
    return _inside(repo, admin) and (admin / MARK).is_file()


def _inside(repo: Repository, admin: Path) -> bool:
    return admin.parent == repo.common / "worktrees" and admin.is_dir()


def _correct(worktree: Worktree) -> None:
    """Put right what git notes of a worktree: where it is, should we have been killed after we moved it; where the repository is
    and what is checked out, should these be gone, or empty files since a power cut. Without them no git works in there any more,
    not even to save what an agent left."""
    admin = worktree.admin
    if _place(admin) != worktree.path:
        write(admin / "gitdir", f"{worktree.path / '.git'}\n")
    if not refs.content(admin / "commondir"):
        write(admin / "commondir", "../..\n")
    if not refs.content(admin / "HEAD") and (commit := _last(admin) or head(worktree.repo.git_dir, worktree.repo.common)):
        write(admin / "HEAD", f"{commit}\n")


def _last(admin: Path) -> str | None:
    """The commit that its HEAD went to last, by git's log of that."""
    fields = (refs.content(admin / "logs" / "HEAD") or "").rpartition("\n")[2].split(" ")
    return fields[1] if len(fields) > 1 and refs.OBJECT.fullmatch(fields[1]) else None


def _remove(path: Path) -> None:
    """Delete a file or tree of ours, folders without permissions included."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    import shutil

    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        for folder, _, _ in os.walk(path):
            os.chmod(folder, 0o700)  # noqa: PTH101
        shutil.rmtree(path, ignore_errors=True)
