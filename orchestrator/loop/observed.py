"""Watching where there is no inotify (macOS, the BSDs): watchdog's own observer, which only wakes the loop."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path


class Observed:
    """Calls `wake`, from watchdog's thread, when a folder comes or goes in `folders`, or one of `names` in `control`."""

    def __init__(self, folders: Iterable[Path], control: Path, names: frozenset[str], wake: Callable[[], None]) -> None:
        from watchdog.events import (  # 57 ms and a thread per folder that Linux never pays
            DirCreatedEvent,
            DirDeletedEvent,
            DirMovedEvent,
            FileCreatedEvent,
            FileMovedEvent,
            FileSystemEvent,
            FileSystemEventHandler,
        )
        from watchdog.observers import Observer

        class Waker(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                wake()

        class Listener(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                if Path(os.fsdecode(event.dest_path or event.src_path)).name in names:
                    wake()

        self._observer = Observer()
        for folder in folders:
            self._observer.schedule(Waker(), str(folder), event_filter=[DirCreatedEvent, DirMovedEvent, DirDeletedEvent])
        self._observer.schedule(Listener(), str(control), event_filter=[FileCreatedEvent, FileMovedEvent])
        self._observer.start()

    def alive(self) -> bool:
        """Whether all of its threads still run; one that died hears nothing any more."""
        return self._observer.is_alive() and all(emitter.is_alive() for emitter in self._observer.emitters)

    def close(self) -> None:
        """Stop the threads and wait for them."""
        self._observer.stop()
        self._observer.join(5.0)
