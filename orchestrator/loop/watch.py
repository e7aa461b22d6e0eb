"""Hearing of changes at once. It may fail, and events get lost: the loop rescans by a timer whatever is heard here."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Container, Mapping
from pathlib import Path

from orchestrator.core.task import State, split_token
from orchestrator.loop.observed import Observed
from orchestrator.loop.wakeup import Wakeup
from orchestrator.proc import inotify
from orchestrator.proc.inotify import Inotify

FOLLOWED = 1000  # watches inside single folders; the timer serves those beyond
STOP = frozenset({"stop"})  # the only file of tasks/.orch that wakes a loop

# Departures from pending are claims: they give nobody work. What leaves running arrives somewhere else.
ARRIVALS = inotify.MOVED_TO | inotify.CREATE | inotify.DELETE | inotify.MOVE_SELF
ASKED = inotify.MOVED_TO | inotify.CREATE | inotify.CLOSE_WRITE | inotify.MOVE_SELF
INSIDE = inotify.CLOSE_WRITE | inotify.MOVED_TO | inotify.MOVED_FROM | inotify.CREATE | inotify.DELETE | inotify.ATTRIB
GONE = inotify.IGNORED | inotify.UNMOUNT | inotify.MOVE_SELF  # what lies at its path then is another folder

HINTS = {
    errno.ENOSPC: "raise fs.inotify.max_user_watches",
    errno.EMFILE: "raise fs.inotify.max_user_instances",
    errno.ENOSYS: "this system has no inotify",
}


class Watch:
    """Wakes the loop when a folder arrives in a state folder, `stop` is asked for or a followed folder changes inside.

    `polling` is true while nothing can be heard; the loop then looks once a second. `say` gets one line for each way to fail.
    """

    def __init__(
        self,
        folders: Mapping[State, Path],
        control: Path,
        wakeup: Wakeup,
        say: Callable[[str], None],
        *,
        portable: bool = not sys.platform.startswith("linux"),
    ) -> None:
        self._folders = folders
        self._control = control
        self._wakeup = wakeup
        self._say = say
        self._portable = portable
        self._said: set[str] = set()
        self._inotify: Inotify | None = None
        self._observed: Observed | None = None
        self._states: dict[int, State | None] = {}  # watch -> state folder; None: tasks/.orch
        self._inside: dict[int, str] = {}  # watch -> followed folder
        self._followed: dict[str, int] = {}

    @property
    def follows(self) -> bool:
        """Whether `follow` does anything: without it, drafts and invalid tasks have to be looked at again and again."""
        return self._inotify is not None

    @property
    def polling(self) -> bool:
        return self._inotify is None and self._observed is None

    def start(self) -> None:
        """Begin to watch, or begin again; where that fails the loop polls."""
        if not self.polling:
            return
        try:
            self._begin()
        except (OSError, RuntimeError, ImportError) as error:  # RuntimeError: no more threads
            self._fail(_reason(error))
            return
        self._wakeup.wake()  # what came before the watch (`--stop` in a loop's first moments) is seen by one more look
        if self._said:
            self._said.clear()
            self._say(f"Watching {self._control.parent} again.")

    def follow(self, folders: Mapping[str, Path]) -> None:
        """Watch inside exactly these folders (name -> path), of drafts and of tasks that are invalid; beyond a limit none."""
        if self._inotify is None:
            return
        for folder in [folder for folder in self._followed if folder not in folders]:
            watch = self._followed.pop(folder)
            self._inside.pop(watch, None)
            self._inotify.remove(watch)
        for folder, path in folders.items():
            if folder in self._followed or len(self._followed) < FOLLOWED:
                self._follow(folder, path)  # again where it is: another folder may be in its place

    def heard(self, own: Container[str] = ()) -> tuple[bool, frozenset[str]]:
        """Whether anything happened, and which pending folders to read again: those followed in which it happened, and those that
        arrived; one that was taken and put back between two looks seems never to have left. Arrivals in running under a token
        of `own` don't count.

        Only inotify can tell what: elsewhere the observer's thread wakes the loop, and nothing is named.
        """
        if self._observed is not None and not self._observed.alive():
            self._fail("its thread has ended")
        if self._inotify is None:
            return False, frozenset()
        touched: set[str] = set()
        news = False
        for event in self._inotify.read():
            if event.mask & inotify.OVERFLOW:
                self._fail("so much happened at once that events were dropped")
                return True, frozenset()
            if event.watch in self._inside:
                touched.add(self._inside[event.watch])
                if event.mask & inotify.IGNORED:
                    self._followed.pop(self._inside.pop(event.watch), None)
            elif event.watch in self._states:
                if event.mask & GONE:
                    self._fail(f"{self._path(event.watch)} was moved or removed")
                    return True, frozenset()
                if self._states[event.watch] is State.PENDING and event.mask & inotify.MOVED_TO:
                    touched.add(event.name)
                news = news or self._matters(event, own)
        return news or bool(touched), frozenset(touched)

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._wakeup.unwatch(self._inotify.fd)
            self._inotify.close()
        if self._observed is not None:
            self._observed.close()
        self._inotify = self._observed = None
        self._states.clear()
        self._inside.clear()
        self._followed.clear()

    def _begin(self) -> None:
        if self._portable:
            self._observed = Observed(self._folders.values(), self._control, STOP, self._wakeup.wake)
        else:
            self._open()

    def _open(self) -> None:
        opened = Inotify()
        try:
            for state, folder in self._folders.items():
                self._states[opened.add(folder, ARRIVALS)] = state
            self._states[opened.add(self._control, ASKED)] = None
        except OSError:
            opened.close()
            self._states.clear()
            raise
        self._inotify = opened
        self._wakeup.watch(opened.fd)

    def _follow(self, folder: str, path: Path) -> None:
        if self._inotify is None:
            return
        try:
            watch = self._inotify.add(path, INSIDE | inotify.DONT_FOLLOW)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return  # moved on since the scan, or not ours to read: the timer will tell
        except OSError as error:
            self._fail(_reason(error))
            return
        if (before := self._followed.get(folder)) not in (None, watch):
            self._inside.pop(before, None)
            self._inotify.remove(before)
        self._followed[folder] = watch
        self._inside[watch] = folder

    def _matters(self, event: inotify.Event, own: Container[str]) -> bool:
        state = self._states[event.watch]
        if state is None:
            return event.name in STOP
        return not (state is State.RUNNING and split_token(event.name)[1] in own)

    def _path(self, watch: int) -> Path:
        state = self._states[watch]
        return self._control if state is None else self._folders[state]

    def _fail(self, reason: str) -> None:
        self.close()
        if reason not in self._said:
            self._said.add(reason)
            self._say(f"Can't watch {self._control.parent} ({reason}): looking every second instead.")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        told = error.strerror or str(error)
        hint = HINTS.get(error.errno or 0)
        return f"{told}: {hint}" if hint else told
    return str(error)
