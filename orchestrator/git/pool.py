"""Where our checkouts come from and where they go: made, taken from the pool of idle ones, put back, removed.

Making one by git takes seconds in a large repository, another branch in an existing one milliseconds; so one that is
not needed any more waits in `.pool/` beside its fellows.
What is uncommitted in one is saved (`save.keep_everything`) before anything here is called on it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.errors import GitError, RepositoryError
from orchestrator.git import listing, refs, submodules
from orchestrator.git.atomicfile import overwrite, write
from orchestrator.git.command import Locked
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import (
    IDLE,
    MARK,
    POOL,
    TRASH,
    Worktree,
    admin_of,
    begin,
    broken,
    checkout,
    clean_unfilled,
    correct,
    find,
    forget,
    initializing,
    inside,
    place_of,
    pooled,
    reset,
)
from orchestrator.store import locks
from orchestrator.store.clearing import let_in, remove
from orchestrator.store.failpoints import hit
from orchestrator.store.locks import LockProof

POOLED = 4
MADE = re.compile(r"-[0-9a-f]{6}$")
BEGINNING = frozenset({"locked", "gitdir"})

Pump = Callable[[float], None]


def prepare(repo: Repository, path: Path, *, owner: str, branch: str | None, commit: str, pump: Pump = time.sleep) -> Worktree:
    """A clean worktree of ours at `path`: on `branch`, which is set to `commit`, or detached at `commit`. The caller furnishes
    it and then calls `finish`.

    One that is there already is used again, whatever state it is in. Raises RepositoryError where something that isn't
    ours is in the way, or another checkout is on the branch."""
    _refuse_shared(repo, path, branch)
    worktree = find(repo, path)
    if worktree and not broken(worktree):
        begin(worktree, owner)
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


def retire(worktree: Worktree, *, most: int = POOLED, pump: Pump = time.sleep) -> str | None:
    """Put a worktree whose work is all saved into the pool, or remove it. Returns why it had to stay, where it had to."""
    if why := submodules.unsaved(worktree):
        return why
    with locks.acquire(worktree.repo.worktree_lock, pump) as proof:
        pool = worktree.path.parent / POOL
        pool.mkdir(exist_ok=True)
        _forget_begun(worktree.repo, pool, proof)
        if not (_poolable(worktree) and len(_idle(worktree.repo, pool)) < most and _rest(worktree, pool, proof)):
            _aside(worktree, proof)
    empty_trash(pool)
    return None


def empty_pool(repo: Repository, folder: Path, *, pump: Pump = time.sleep) -> None:
    """Remove this repository's idle worktrees below `folder`, and the folder where nothing else is in it."""
    pool = folder / POOL
    with locks.acquire(repo.worktree_lock, pump) as proof:
        for worktree in _resting(repo, pool):
            _aside(worktree, proof)
    empty_trash(pool)
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
    empty_trash(_pool(worktree))


def _make(repo: Repository, path: Path, *, owner: str, branch: str | None, commit: str, pump: Pump) -> Worktree:
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.acquire(repo.worktree_lock, pump) as proof:
        _clear(repo, path)
        worktree = _take(repo, path, commit, proof) or _add(repo, path, commit, proof)
        _open_log(worktree)
        begin(worktree, owner)
        fresh = not (worktree.admin / "index").exists()
    try:
        (checkout if fresh else reset)(worktree, branch=branch, commit=commit)
        clean_unfilled(worktree)
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
    admin = admin_of(place)
    if admin is None:
        raise RepositoryError(f"git made no worktree at {place}.", hint="See what `git worktree list` says.")
    overwrite(admin / MARK, IDLE)
    return _move(Worktree(repo, place, admin), path, proof)


def _take(repo: Repository, path: Path, commit: str, proof: LockProof) -> Worktree | None:
    """An idle one, the nearest to what is wanted first."""
    _forget_begun(repo, path.parent / POOL, proof)
    for worktree in sorted(_idle(repo, path.parent / POOL), key=lambda worktree: worktree.head != commit):
        _forget_log(worktree)
        if moved := _moved(worktree, path, proof):
            return moved
        _aside(worktree, proof)
    return None


def _rest(worktree: Worktree, pool: Path, proof: LockProof) -> bool:
    """Put it into the pool. False where it can't be moved."""
    _detach(worktree)
    moved = _moved(worktree, pool / f"{worktree.admin.name}-{os.urandom(3).hex()}", proof)
    if moved:
        overwrite(moved.admin / MARK, IDLE)
    return moved is not None


def _forget_begun(repo: Repository, pool: Path, proof: LockProof) -> None:
    """What a killed `git worktree add` left goes: with an empty file in its folder in git's, hardly anything works in the whole
    repository any more, the user's own commands included. With the lock held, nobody of ours is making one."""
    for admin in refs.entries(repo.common / "worktrees"):
        place = place_of(admin)
        if (place and place.parent == pool and initializing(admin)) or _hardly_begun(admin):
            _aside(Worktree(repo, place or pool / admin.name, admin), proof)


def _hardly_begun(admin: Path) -> bool:
    """Whether git was killed before it had noted where this was to be, and it is called as only those that we make."""
    return bool(MADE.search(admin.name)) and not refs.content(admin / "gitdir") and BEGINNING.issuperset(refs.names(admin))


def _move(worktree: Worktree, path: Path, _: LockProof) -> Worktree:
    """What `git worktree move` does: the files, then git's note of where they are. A kill in between is found by `find`."""
    hit("worktree.move:before")
    let_in(worktree.path)
    worktree.path.rename(path)
    hit("worktree.move:after")
    overwrite(worktree.admin / "gitdir", f"{path / '.git'}\n")
    return Worktree(worktree.repo, path, worktree.admin)


def _moved(worktree: Worktree, path: Path, proof: LockProof) -> Worktree | None:
    """The same, None where it can't be moved."""
    try:
        return _move(worktree, path, proof)
    except OSError as error:
        _fixed(error)
        return None


def _fixed(error: OSError) -> None:
    """Let pass that a folder of a lower layer of an overlayfs, a container's image, can't be moved. Raises any other error."""
    if error.errno != errno.EXDEV:
        raise error


def _idle(repo: Repository, pool: Path) -> list[Worktree]:
    """What can be used again."""
    return [worktree for worktree in _resting(repo, pool) if not broken(worktree)]


def _resting(repo: Repository, pool: Path) -> list[Worktree]:
    """Everything of this repository in the pool; it is in there, so it is nobody's, whatever its mark says yet."""
    admins = ((path, admin_of(path)) for path in pooled(pool))
    found = [Worktree(repo, path, admin) for path, admin in admins if admin and inside(repo, admin)]
    for worktree in found:
        correct(worktree)
    return found


def _aside(worktree: Worktree, _: LockProof) -> None:
    """Take the files out of the way and make git forget them. Files first: git's folder without files is found and removed."""
    pool = _pool(worktree)
    pool.mkdir(parents=True, exist_ok=True)
    aside = pool / f"{TRASH}{os.urandom(4).hex()}"
    if os.path.lexists(worktree.path):
        hit("worktree.aside:before")
        let_in(worktree.path)
        try:
            worktree.path.rename(aside)
        except OSError as error:
            _fixed(error)
            remove(worktree.path)
        hit("worktree.aside:after")
    forget(worktree.admin)
    hit("worktree.forget:after")


def _pool(worktree: Worktree) -> Path:
    """The pool that it goes to, or lies in."""
    folder = worktree.path.parent
    return folder if folder.name == POOL else folder / POOL


def trash(pool: Path) -> list[Path]:
    """What was put aside there to be deleted, and is not yet."""
    return [path for path in refs.entries(pool) if path.name.startswith(TRASH)]


def empty_trash(pool: Path) -> str | None:
    """Delete what was put aside, also by someone who was killed before it was deleted. Returns why some of it is still there."""
    for aside in trash(pool):
        remove(aside)
    return "this user can't delete all of it: see whose it is" if trash(pool) else None


def _clear(repo: Repository, path: Path) -> None:
    """Nothing may be at `path`. A former worktree of this repository that git no longer knows is kept under another name."""
    if not os.path.lexists(path):
        return
    admin = admin_of(path)
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


def _poolable(worktree: Worktree) -> bool:
    special = ("modules", "config.worktree", "info/sparse-checkout")
    return not broken(worktree) and not any((worktree.admin / name).exists() for name in special)


def _detach(worktree: Worktree) -> None:
    """Let go of the branch, so that it can be removed or checked out elsewhere."""
    if refs.symbolic(f"{worktree.admin}/HEAD") is None:
        return
    if refs.files(worktree.repo.common) and worktree.head:
        write(worktree.admin / "HEAD", f"{worktree.head}\n")
    else:
        worktree.git.run("checkout", "-q", "-f", "--detach")


def _open_log(worktree: Worktree) -> None:
    """Git notes where HEAD goes in a log that is there, and makes one only where `core.logAllRefUpdates` says so. Without it what
    an agent commits aside, or brings to the base, is not seen to be its work."""
    log = worktree.admin / "logs" / "HEAD"
    log.parent.mkdir(exist_ok=True)
    log.touch()


def _forget_log(worktree: Worktree) -> None:
    """The history of HEAD begins anew with the next task: where it was with one that has let go of it, or was killed while making
    it, is nothing of the next one's. What it names has refs by now."""
    with contextlib.suppress(FileNotFoundError):
        os.truncate(worktree.admin / "logs" / "HEAD", 0)
