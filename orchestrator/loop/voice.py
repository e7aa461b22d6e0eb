"""What the loop says: one line per happening, none per look. The same goes into `tasks/.orch/daemon.jsonl`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from orchestrator.core.candidate import Candidate
from orchestrator.core.integration import Red
from orchestrator.core.masking import Masker
from orchestrator.core.outcome import Reason
from orchestrator.core.record import Record, whereabouts
from orchestrator.core.task import State
from orchestrator.errors import StoreError
from orchestrator.store import control
from orchestrator.store.queue import Queue

SHOWN = 20  # invalid tasks named one by one; a folder of 5,000 broken ones is one line more
QUIET = "quiet"


class Voice:
    """`say` gets every line; with level `quiet` only what needs a person."""

    def __init__(self, queue: Queue, say: Callable[[str], None], level: str, mask: Masker) -> None:
        self._queue = queue
        self._mask = mask
        self._tell = say
        self._quiet = level == QUIET
        self._problems: set[str] = set()
        self._troubled = False
        self._invalid: dict[str, tuple[str, ...]] = {}
        self._warned: dict[str, tuple[str, ...]] = {}
        self._red: dict[tuple[str, str], Red] = {}

    def _say(self, line: str) -> None:
        self._tell(self._mask.text(line))

    def tell(self, task: str, line: str, event: str, *, urgent: bool = False, **fields: Any) -> None:
        """Something happened to a task."""
        if urgent or not self._quiet:
            self._say(f"{task}: {line}")
        self._log(event, task=task, detail=line, **fields)

    def note(self, line: str, event: str = "note") -> None:
        """Something happened to the loop."""
        if not self._quiet:
            self._say(line)
        self._log(event, detail=line)

    def warn(self, line: str) -> None:
        """The same, of what even a quiet loop should say."""
        self._say(line)
        self._log("warning", detail=line)

    def problem(self, line: str, kind: str = "") -> None:
        """Something a person should mend; said once until it is `mended`. `kind`: what makes two lines the same problem."""
        self._troubled = True
        if (kind or line) not in self._problems:
            self._problems.add(kind or line)
            self._say(line)
            self._log("problem", detail=line)

    @property
    def troubled(self) -> bool:
        """Whether there is a problem that was not mended yet."""
        return bool(self._problems)

    def mended(self) -> None:
        """A tick is over: what was a problem in an earlier one and was none in this one is mended."""
        if self._problems and not self._troubled:
            self._problems.clear()
            self.note("Working again.", "mended")
        self._troubled = False

    def invalid(self, candidates: Iterable[Candidate]) -> None:
        """Show each task that can't be used, once for each version of it."""
        now = {candidate.place.folder: candidate.problems for candidate in candidates}
        news = [(folder, problems) for folder, problems in now.items() if self._invalid.get(folder) != problems]
        self._invalid = now
        for folder, problems in news[:SHOWN]:
            self.tell(folder, f"invalid: {'; '.join(problems)}", "invalid", urgent=True)
        if len(news) > SHOWN:
            self._say(f"{len(news) - SHOWN} more tasks are invalid; `orchestrator list` shows them.")

    def bases(self, found: Iterable[Red]) -> None:
        """Say which bases are red, once for each commit at which they are, and that they are green again."""
        now = {(red.repo, red.base): red for red in found}
        for key, red in now.items():
            if key not in self._red or self._red[key].commit != red.commit:
                self.warn(f"{red.told}. {red.next}")
        for _, base in self._red.keys() - now.keys():
            self.note(f"{base} is green again.", "integration")
        self._red = now

    def warnings(self, task: str, lines: tuple[str, ...]) -> None:
        """What a claimed task's spec leaves open and how that is taken (a metric without a target), once for each version."""
        news = lines if self._warned.get(task, ()) != lines else ()
        if news:
            self._warned[task] = lines
        for line in news:
            self.tell(task, line, "spec_warning")

    def _log(self, event: str, **fields: Any) -> None:
        with suppress(StoreError):  # a full disk must not stop the loop from saying so
            control.log(self._queue, event, **self._mask.deep(fields))


def ending(state: State | None, record: Record | None, now: float) -> str:
    """How a claim ended, in a line."""
    if state is None:
        return "is gone from the queue; what was done of it is kept, and `orchestrator recover` lists it"
    if state is State.CONVERGED and not (record and record.converged):
        return "converged: moved there by hand, nothing was verified or landed"
    if state is State.CONVERGED:
        gained = f" ({record.detail})" if record and record.detail else ""
        return f"converged{_attempts(record)}, {(whereabouts(record) if record else '') or 'nothing to land'}{gained}"
    reason = f" ({record.reason})" if record and record.reason else ""
    detail = f": {record.detail}" if record and record.detail else ""
    if state is State.BLOCKED and not (record and record.ended and not record.converged):
        return "blocked: moved there by hand"
    if state is State.BLOCKED:
        return f"blocked{reason}{detail}"
    return _put_back(record, f"{reason}{detail}", now) if state is State.PENDING else "runs on"


def _put_back(record: Record | None, why: str, now: float) -> str:
    """How it waits in pending. Its time may have come, where a full disk kept it from being put back: why, is told still."""
    if record and record.reason is Reason.REVIEW:
        return f"waits for a person: {record.detail}" if record.detail else "waits for a person"
    if record is None or record.not_before is None:
        return "is pending again"
    if record.not_before > now:
        return f"waits until {_clock(record.not_before, now)}{why}"
    return f"is pending again{why}"


def _clock(moment: float, now: float) -> str:
    """The time on the wall, with its day where that isn't today: a weekly limit is over on another."""
    there, here = time.localtime(moment), time.localtime(now)
    return time.strftime("%H:%M:%S" if there[:3] == here[:3] else "%Y-%m-%d %H:%M:%S", there)


def _attempts(record: Record | None) -> str:
    if record is None or not record.attempts:
        return ""
    return f" after {record.attempts} attempt{'s' if record.attempts > 1 else ''}"
