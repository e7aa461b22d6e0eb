"""The log of one agent session: readable, time-stamped, capped; and the same as normalised events, one JSON object a line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from orchestrator.agents.protocol import AgentEvent
from orchestrator.agents.telling import OURS, Teller
from orchestrator.core.masking import Masker
from orchestrator.core.outcome import StopRequest
from orchestrator.core.terminal import BREAKS, ESCAPE, TURNS, obeyed

TEXT = 64 * 1024  # of one event's text in the logs
BUFFER = 256 * 1024  # written out earlier than the next pulse when this much has come
CONTROL = re.compile(f"{ESCAPE}|{obeyed(BREAKS, TURNS)}")


def readable(text: str) -> str:
    """`text` without terminal escapes and control characters."""
    return CONTROL.sub("", text)


class SessionLog:
    """Writes `agent.log` (for people) and `agent.jsonl` (the normalised events), and `agent.raw` where that is asked for.

    Collects lines and appends them by path, never through an open file: once the task's folder has moved away, the next
    write finds nothing, `lost` is set and nothing is written any more. Of each file at most `max_bytes` stay, in two halves."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        raw: bool,
        root: str = "",
        mask: Masker | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self.mask = mask or Masker()
        self._teller = Teller(root)
        self._half = max(max_bytes // 2, 1)
        self._keep_raw = raw
        self._clock = clock
        self._pending: dict[str, list[bytes]] = {}
        self._size = 0
        self._sizes: dict[str, int] = {}
        self.lost = False

    def event(self, event: AgentEvent) -> None:
        """Log one event to both files."""
        now = self._clock()
        at, text = stamp(now), event.text[:TEXT]
        self._add("agent.jsonl", json.dumps({"at": at, "kind": event.kind, "text": text, **event.data}, default=str))
        for line in self._teller.lines(replace(event, text=text), now):
            self._add("agent.log", f"{at} {readable(self.mask.text(line))}".rstrip())  # pieces may make up a secret

    def note(self, text: str) -> None:
        """Log a line of ours."""
        now = self._clock()
        for line in (*self._teller.rest(), f"{OURS}{' '.join(text.split())}"):
            self._add("agent.log", f"{stamp(now)} {readable(self.mask.text(line))}")

    def raw(self, data: bytes) -> None:
        """Keep output as it came, where that was asked for."""
        if self._keep_raw:
            self._append("agent.raw", data)

    def pumping(self, pump: Callable[[], StopRequest | None]) -> Callable[[], StopRequest | None]:
        """`pump`, which also writes out what has been collected, and asks to stop where the folder has gone."""

        def flushing() -> StopRequest | None:
            self.flush()
            return pump() or (StopRequest.LOST if self.lost else None)

        return flushing

    def flush(self) -> None:
        """Append what has been collected."""
        pending, self._pending, self._size = self._pending, {}, 0
        for name, parts in pending.items():
            if not self.lost:
                self._write(self._folder / name, b"".join(parts))

    def _add(self, name: str, line: str) -> None:
        self._append(name, line.encode(errors="replace") + b"\n")

    def _append(self, name: str, data: bytes) -> None:
        self._pending.setdefault(name, []).append(data)
        self._size += len(data)
        if self._size >= BUFFER:
            self.flush()

    def _write(self, path: Path, data: bytes) -> None:
        try:
            if self._sizes.get(path.name, 0) + len(data) > self._half and path.exists():
                path.replace(path.with_name(path.name + ".1"))
                self._sizes[path.name] = 0
            with path.open("ab") as file:
                file.write(data[-self._half :])
                self._sizes[path.name] = file.tell()
        except FileNotFoundError:
            self.lost = True
        except OSError:
            # A full disk must not end the agent's work; its log has a hole then.
            self._sizes.pop(path.name, None)


def stamp(now: float) -> str:
    """`now` (epoch seconds) as UTC in ISO form with milliseconds."""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
