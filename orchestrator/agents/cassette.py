"""A cassette: one session of any agent as it was, for the scripted agent to play again byte for byte and pace for pace.

JSON, one object a line. The first tells what was started, each further one a piece of output with its moment, the last one how it
ended and what it had changed by then, as a patch:

    {"cassette": 1, "agent": "claude", "argv": ["claude", "-p", "$PROMPT", …], "environment": ["HOME", …], "attempt": 1, …}
    {"at": 0.512, "out": "{\"type\":\"system\", …}\n"}            # or err; out64, err64: base64 of what is no UTF-8
    {"end": "exited", "code": 0, "signal": null, "seconds": 2.31, "patch": "diff --git …"}
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from orchestrator.agents.protocol import Request, Stream
from orchestrator.proc.command import Command, Finished

VERSION = 1
PART = ".part"  # behind the name of one that is still being recorded
LINE = 1024 * 1024  # a longer one is kept in pieces


class Recorder:
    """Records one session into `path`, which appears when it is complete. `mask` takes secrets out of a text.

    A full disk or a folder that can't be written ends the recording, never the session: `problem` then says why."""

    def __init__(self, path: Path, mask: Callable[[bytes], bytes], *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.problem = ""
        self._part = path.with_name(path.name + PART)
        self._mask = mask
        self._clock = clock
        self._began = clock()
        self._file: IO[str] | None = None
        self._lines: dict[Stream, bytearray] = {Stream.OUT: bytearray(), Stream.ERR: bytearray()}
        self._end: dict[str, Any] = {}

    def begin(self, agent: str, request: Request, command: Command) -> None:
        """The session starts now, by `command`."""
        self._began = self._clock()
        argv = [self._text(word.replace(request.prompt, "$PROMPT") if request.prompt else word) for word in command.argv]
        told = {"attempt": request.attempt, "phase": request.phase, "model": request.model, "tty": command.tty}
        with self._safely():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("w", encoding="utf-8")
        self._write({"cassette": VERSION, "agent": agent, "argv": argv, "environment": sorted(command.env), **told})

    def take(self, data: bytes, stream: Stream) -> None:
        """Output as it comes. It is kept line by line, so that no secret is cut in two."""
        *lines, rest = (bytes(self._lines[stream]) + data).split(b"\n")
        for line in lines:
            self._say(line + b"\n", stream)
        if len(rest) > LINE:
            self._say(rest, stream)
            rest = b""
        self._lines[stream] = bytearray(rest)

    def end(self, finished: Finished) -> None:
        """The session has ended."""
        for stream, rest in self._lines.items():
            if rest:
                self._say(bytes(rest), stream)
        self._end = {"end": finished.end.value, "code": finished.code, "signal": finished.signal}
        self._end["seconds"] = round(finished.seconds, 4)

    def close(self, patch: bytes) -> None:
        """Put the cassette where it belongs, with what the session changed. Without `end` before there is none."""
        if self._file is None:
            return
        if self._end:
            self._write({**self._end, **_said("patch", self._mask(patch))})
        with self._safely():
            self._file.close()
            if self._end:
                self._part.rename(self.path)
        with suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _say(self, line: bytes, stream: Stream) -> None:
        self._write({"at": round(self._clock() - self._began, 4), **_said(stream.value, self._mask(line))})

    def _text(self, text: str) -> str:
        return self._mask(text.encode(errors="replace")).decode(errors="replace")

    def _write(self, row: Mapping[str, Any]) -> None:
        if self._file is not None and not self.problem:
            with self._safely():
                self._file.write(json.dumps(row) + "\n")

    @contextmanager
    def _safely(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.problem = f"{self.path} can't be written: {error.strerror or error}"
            self._end = {}


def agent_of(path: Path) -> str | None:
    """Whose session the file at `path` holds; None where it is no cassette."""
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline(LINE))
    except (OSError, ValueError):
        return None
    return str(head.get("agent", "")) if isinstance(head, dict) and "cassette" in head else None


def _said(key: str, data: bytes) -> Mapping[str, str]:
    try:
        return {key: data.decode()}
    except UnicodeDecodeError:
        import base64

        return {f"{key}64": base64.b64encode(data).decode()}
