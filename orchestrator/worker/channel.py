"""What a child is told to write its answer to: files, where anything may be left (a pipe, a link, far too much), and a descriptor
that it inherits."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.core.record import Channel
from orchestrator.proc.command import Aside
from orchestrator.store.specfile import careful

VARIABLES: Mapping[Channel, str] = {Channel.FILE: "ORCH_METRICS_FILE", Channel.DESCRIPTOR: "ORCH_METRICS_FD"}


class Private:
    """The private channels of one sample, new for each: a file and a pipe. `most` bytes of either are taken."""

    def __init__(self, channels: Collection[Channel], scratch: Path, most: int) -> None:
        self._file = scratch / f"metrics-{os.urandom(8).hex()}" if Channel.FILE in channels else None
        self._piped = bytearray()
        self._most = most
        self.own: Mapping[Channel, bytes] = {}  # what was there when the benchmark had ended
        self.env = {VARIABLES[Channel.FILE]: str(self._file)} if self._file else {}
        self.aside = Aside(VARIABLES[Channel.DESCRIPTOR], self._take) if Channel.DESCRIPTOR in channels else None

    def ended(self) -> None:
        """The benchmark itself has ended: what is there by now is its own word."""
        self.own = self._said()

    def told(self) -> Mapping[Channel, bytes]:
        """What was written to which of them, where it was anything at any time. The file is gone afterwards."""
        told = self._said()
        if self._file:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)
        return {channel: data for channel, data in told.items() if data.strip() or self.own.get(channel, b"").strip()}

    def _said(self) -> Mapping[Channel, bytes]:
        return {Channel.FILE: read(self._file, self._most) if self._file else b"", Channel.DESCRIPTOR: bytes(self._piped)}

    def _take(self, data: bytes) -> None:
        self._piped += data[: self._most - len(self._piped)]


def read(path: Path, most: int) -> bytes:
    """The beginning of a regular file, `most` bytes and one more, so that too much can be told; nothing where it is none."""
    try:
        with open(path, "rb", opener=careful) as file:  # Path.open takes no opener
            return file.read(most + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""
