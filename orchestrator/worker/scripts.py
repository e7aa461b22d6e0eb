"""Scripts of the repository that a benchmark command runs come from the base commit, not from the agent (`rulings` 21).

While a sample runs, the worktree holds the sealed content of those scripts; afterwards it holds again what was there before.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from orchestrator.store.seal import Sealed, SealedFile

Content = tuple[int, bytes] | None  # None: no file there


@contextmanager
def in_place(sealed: Sealed, worktree: Path) -> Iterator[str | None]:
    """For this long the worktree's scripts are the sealed ones; what differs is swapped. Yields why that can't be, or None."""
    if problem := _linked(sealed.scripts, worktree):
        yield problem
        return
    pairs = [(worktree / path, _wanted(file)) for path, file in sealed.scripts.items()]
    swapped = [(path, wanted, found) for path, wanted in pairs if (found := _found(path)) != wanted]
    try:
        for path, wanted, _ in swapped:
            _put(path, wanted)
        yield None
    finally:
        for path, _, found in swapped:
            _put(path, found)


def lying(sealed: Sealed, worktree: Path) -> Mapping[str, Content]:
    """What lies there of them: just placed, the sealed content, with the mode that the disk gives it. Some keep none (NTFS)."""
    return {path: _found(worktree / path) for path in sealed.scripts}


def found(folder: Path, paths: Iterable[str]) -> Mapping[str, tuple[int, bytes]]:
    """Those of `paths` that are scripts in `folder` and can be swapped there, with mode and content. What isn't text was built
    there, and will be again."""
    lying = ((path, _found(folder / path)) for path in paths if not _linked((path,), folder))
    return {path: content for path, content in lying if content and b"\0" not in content[1]}


def edited(sealed: Sealed, folder: Path) -> tuple[str, ...]:
    """Those that are others there than the sealed ones."""
    return tuple(path for path, now in lying(sealed, folder).items() if now != _wanted(sealed.scripts[path]))


def _linked(paths: Iterable[str], worktree: Path) -> str | None:
    """A link or a folder where a script belongs: writing through it could leave the worktree."""
    for path in paths:
        for part in (PurePosixPath(path), *PurePosixPath(path).parents[:-1]):
            if (worktree / part).is_symlink() or ((worktree / path).is_dir()):
                return f"{part}, which the benchmark's command runs, is no longer the file it was."
    return None


def _wanted(file: SealedFile) -> Content:
    return (0o755 if file.mode & 0o111 else 0o644, file.data or b"")


def _found(path: Path) -> Content:
    try:
        mode = path.lstat().st_mode
        return (0o755 if mode & 0o111 else 0o644, path.read_bytes()) if path.is_file() and not path.is_symlink() else None
    except OSError:
        return None


def _put(path: Path, content: Content) -> None:
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(content[1])
    temporary.chmod(content[0])
    temporary.replace(path)
