"""What is added to a task's log while somebody looks: over rotations and attempts, wherever the task's folder moves."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.cli import session_log
from orchestrator.cli.why import event_lines
from orchestrator.core.task import Place
from orchestrator.errors import NoSuchTask
from orchestrator.store import events
from orchestrator.store.queue import Queue

POLL = 0.25
HEAD = 64  # bytes by which a file is told from the next one of its name
Known = tuple[int, bytes, int]  # its inode, which may be given to the next file; how it begins; its size


class File:
    """One file that grows, and is moved aside to `<name>.1` when it is large: its lines, each once."""

    def __init__(self) -> None:
        self._known: Known | None = None
        self._offset = 0
        self._rest = b""

    def lines(self, path: Path) -> Iterator[str]:
        """What has been added since the last call; the first time, all there is. Only whole lines."""
        older = path.with_name(f"{path.name}.1")
        now = _known(path)  # looked at once: the folder may move at any moment
        if self._known and now is None:  # between being moved aside and begun anew, or its folder is on its way
            return
        if not self._same(now):
            if self._known is None or self._same(_known(older)):  # what was added before it was moved aside
                yield from self._read(older)
            self._known, self._offset = now, 0
        yield from self._read(path)

    def _same(self, found: Known | None) -> bool:
        if found is None or self._known is None or not self._offset:
            return False
        length = min(len(found[1]), len(self._known[1]))
        return found[0] == self._known[0] and found[1][:length] == self._known[1][:length] and found[2] >= self._offset

    def _read(self, path: Path) -> Iterator[str]:
        try:
            with path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        self._offset += len(data)
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            yield from whole.decode(errors="replace").split("\n")


class Follower:
    """A task's log, or its events, from the beginning of the attempt that is the last one now."""

    def __init__(self, queue: Queue, name: str, *, only_events: bool) -> None:
        self._queue = queue
        self._name = name
        self._only_events = only_events
        self._file = File()
        self._attempt = ""

    def where(self) -> Place | None:
        """Where the task is now; looked for again, since a folder that moves during the scan is seen in neither state."""
        for _ in range(3):
            try:
                place = self._queue.find(self._name)
            except NoSuchTask:
                time.sleep(POLL / 10)
                continue
            if place.name == self._name:
                return place
        return None

    def news(self, place: Place | None) -> Iterator[str]:
        """The lines since the last call. A new attempt begins with a line that says so."""
        if place is None or self._queue.tells_of_another(place):
            return
        folder = self._queue.path(place)
        if self._only_events:
            yield from (told for event in events.parsed(self._file.lines(folder / events.FILE)) for told in event_lines(event))
            return
        found = [path for path in session_log.attempts(folder) if (path / session_log.FILE).exists()]
        if not self._attempt and found:
            self._attempt = found[-1].name
            yield from (line for part in session_log.interrupted(found[-1]) for line in session_log.read(part))
        for path in found:
            if path.name > self._attempt:
                self._attempt, self._file = path.name, File()
                yield f"{session_log.RULE} attempt {int(path.name)}"
            if path.name == self._attempt:
                yield from map(session_log.readable, self._file.lines(path / session_log.FILE))


def _known(path: Path) -> Known | None:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            return status.st_ino, file.read(HEAD), status.st_size
    except OSError:
        return None
