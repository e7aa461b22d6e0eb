"""The running model: a script, what was asked of it, and its end."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from orchestrator.modelserver.connection import Asked, Listener
from orchestrator.modelserver.conversation import Ask
from orchestrator.modelserver.play import Counts, Play, play
from orchestrator.modelserver.script import Script, parse


class Server:
    """A running model. `requests` is what was asked so far, in order; it grows while clients ask."""

    def __init__(self, script: Script, *, port: int = 0) -> None:
        self.script = script
        self.requests: list[Asked] = []
        self._counts = Counts()
        self._news = threading.Condition()
        self._http = Listener(self, port)
        self.port: int = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="model server")

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End every answer that is under way, and with it the server. No thread and no socket is left."""
        self._http.shutdown()
        self._thread.join()
        self._http.cut_off()
        self._http.server_close()

    @property
    def turns(self) -> list[Asked]:
        """The requests that were turns of a conversation."""
        return [asked for asked in list(self.requests) if asked.main]

    def wait_for(self, count: int, seconds: float = 30) -> list[Asked]:
        """The first `count` turns, as soon as they were asked for. TimeoutError where that takes longer than `seconds`."""
        with self._news:
            if not self._news.wait_for(lambda: len(self.turns) >= count, seconds):
                raise TimeoutError(f"{len(self.turns)} turns were asked for in {seconds} s, not {count}")
            return self.turns[:count]

    def answer(self, ask: Ask) -> Play:
        return play(ask, self.script, self._counts)

    def note(self, asked: Asked) -> None:
        with self._news:
            self.requests.append(asked)
            self._news.notify_all()


@contextmanager
def serve(script: Script | Mapping[str, Any], *, port: int = 0) -> Iterator[Server]:
    """A model that says what `script` says, on loopback, until the block ends."""
    server = Server(script if isinstance(script, Script) else parse(script), port=port)
    server.start()
    try:
        yield server
    finally:
        server.close()
