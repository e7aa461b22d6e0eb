"""Whether anything below a folder was touched in a while: the kernel tells (inotify), so that nobody has to look at each file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from orchestrator.proc import inotify
from orchestrator.proc.inotify import Inotify

MOST = 1000  # folders; of more, one look at all files costs less than watching each
BARREN = 2  # links of a folder without any inside: its name, and its own `.`
CHANGES = (
    inotify.MODIFY | inotify.ATTRIB | inotify.CLOSE_WRITE | inotify.MOVED_FROM | inotify.MOVED_TO
    | inotify.CREATE | inotify.DELETE | inotify.DELETE_SELF | inotify.MOVE_SELF
)  # fmt: skip


class Stillness:
    """One per worker. Its kernel object is kept: closing one right after its watches takes 20 ms, in which the kernel
    waits for whoever looks at a watch anywhere."""

    def __init__(self) -> None:
        self._inotify: Inotify | None = None

    def __del__(self) -> None:
        if self._inotify is not None:
            self._inotify.close()

    @contextmanager
    def watching(self, *places: Path) -> Iterator[Callable[[], bool]]:
        """For the block, a function: whether it is certain that nothing below `places` was touched since it began.

        False as well where that can't be known: many folders, no inotify, its limits. What it can't see are writes through a
        hard link that lies elsewhere, and those of another host: they count as made by whoever comes next.
        """
        watches: list[int] = []
        known = self._watch(places, watches)
        try:
            yield lambda: known and self._inotify is not None and not self._inotify.read()
        finally:
            self._forget(watches)

    def _watch(self, places: Iterable[Path], watches: list[int]) -> bool:
        try:
            self._inotify = self._inotify or Inotify()
            for folder in islice(_folders(places), MOST):
                watches.append(self._inotify.add(folder, CHANGES | inotify.DONT_FOLLOW))
        except OSError:
            return False
        return len(watches) < MOST

    def _forget(self, watches: Iterable[int]) -> None:
        if self._inotify is not None:
            for watch in watches:
                self._inotify.remove(watch)
            self._inotify.read()


def _folders(places: Iterable[Path]) -> Iterator[str]:
    """Each folder before it is listed: what is made in it meanwhile is either listed or told of.

    Most file systems count a folder's folders in its links, so that one with two needs no listing; whether this one does, the
    first that has any shows.
    """
    waiting = [os.fspath(place) for place in places]
    counts = False
    while waiting:
        folder = waiting.pop()
        yield folder
        links = os.lstat(folder).st_nlink
        if counts and links == BARREN:
            continue
        with os.scandir(folder) as entries:
            inner = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        counts = counts or (bool(inner) and links == BARREN + len(inner))
        waiting += inner
