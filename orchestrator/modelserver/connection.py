"""The HTTP side: which path speaks which protocol, and the faults that are a matter of the connection.

Answered are POST /v1/messages and /v1/messages/count_tokens, /v1/chat/completions, /v1/responses, and
/v1beta/models/M:generateContent, :streamGenerateContent and :countTokens, whatever stands before these; GET and HEAD of `/`
and of any list of models; anything else is a 404, which clients take well for telemetry.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, ModuleType
from typing import Any, Protocol

from orchestrator.errors import OrchestratorError
from orchestrator.modelserver.conversation import Ask, Sent
from orchestrator.modelserver.dialects import anthropic, chat, gemini, responses
from orchestrator.modelserver.faults import refuses
from orchestrator.modelserver.play import Play
from orchestrator.modelserver.script import Fault, Kind
from orchestrator.modelserver.wire import as_json

ROUTES: Mapping[re.Pattern[str], ModuleType] = MappingProxyType(
    {
        re.compile(r"/messages$"): anthropic,
        re.compile(r"/chat/completions$"): chat,
        re.compile(r"/responses$"): responses,
        re.compile(r"/models/[^/]+:(stream)?[gG]enerateContent$"): gemini,
    }
)
COUNTS: Mapping[re.Pattern[str], ModuleType] = MappingProxyType(
    {re.compile(r"/messages/count_tokens$"): anthropic, re.compile(r"/models/[^/]+:countTokens$"): gemini}
)
NOISE = b"\x00\xff\xfe{not json" + bytes(range(256)) * 8 + b"\n\n"
CLOSED = (ConnectionError, TimeoutError, ValueError)  # ValueError: a write to what the other side made us close


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came. `ask` and `play` are None where it was none for an answer of the model."""

    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)
    dialect: str = ""
    ask: Ask | None = field(default=None, repr=False)
    play: Play | None = field(default=None, repr=False)

    @property
    def main(self) -> bool:
        """Was it a turn of the conversation, neither a side request nor a call for something else?"""
        return self.play is not None and not self.play.side

    @property
    def fault(self) -> Kind | None:
        return self.play.fault.kind if self.play and self.play.fault else None


class Model(Protocol):
    """What a connection asks: the answer to a request, and a place to write down that it came."""

    def answer(self, ask: Ask) -> Play: ...

    def note(self, asked: Asked) -> None: ...


class Listener(ThreadingHTTPServer):
    """Knows its connections, so that none outlives it: `server_close` waits for their threads."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, model: Model, port: int) -> None:
        self.model = model
        self.connections: set[socket.socket] = set()
        self.closing = False
        self.lock = threading.Lock()
        try:
            super().__init__(("127.0.0.1", port), _Connection)
        except OSError as wrong:
            hint = "Leave the port out to get a free one."
            raise OrchestratorError(f"Port {port} can't be served on: {wrong.strerror}.", hint=hint) from wrong

    def server_bind(self) -> None:
        """Without the name look-up that the standard library does here."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def cut_off(self) -> None:
        with self.lock:
            self.closing = True
            for connection in self.connections:
                _hang_up(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else is told as usual."""
        if not isinstance(sys.exc_info()[1], CLOSED):
            super().handle_error(request, client_address)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the client was first


class _Connection(BaseHTTPRequestHandler):
    """One client's connection, and the requests that come over it."""

    protocol_version = "HTTP/1.1"
    server: Listener

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.connections.add(self.connection)
            if self.server.closing:
                _hang_up(self.connection)

    def finish(self) -> None:
        with self.server.lock:
            self.server.connections.discard(self.connection)
        super().finish()

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self._note(self._bare, {})
        if self._bare == "/":
            self._whole(200, {"ok": True})
        elif self._bare.endswith("/models"):
            self._whole(200, {"object": "list", "data": [], "models": []})
        else:
            self._whole(404, {"error": {"message": f"There is no {self._bare} here."}})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        body = _decoded(raw)
        if dialect := _found(ROUTES, self._bare):
            self._answer(dialect, body, len(raw))
        elif counting := _found(COUNTS, self._bare):
            self._note(self._bare, body)
            self._whole(200, counting.counted(len(raw)))
        else:
            self._note(self._bare, body)
            self._whole(404, {"error": {"message": f"There is no {self._bare} here."}})

    def _answer(self, dialect: ModuleType, body: dict[str, Any], size: int) -> None:
        ask: Ask = dialect.read(Sent(self._bare, body, size))
        played = self.server.model.answer(ask)
        self._note(self._bare, body, dialect.__name__.rpartition(".")[2], ask, played)
        if played.fault and refuses(played.fault):
            refusal = dialect.refuse(played.fault, time.time())
            self._whole(refusal.status, refusal.body, refusal.headers)
        elif played.fault and played.fault.kind is Kind.HANG:
            self._wait()
        elif ask.streaming:
            self._stream(dialect.stream(played.answer, ask), played.fault)
        else:
            self._at_once(as_json(dialect.whole(played.answer, ask)), played.fault)

    def _stream(self, events: Iterator[bytes], fault: Fault | None) -> None:
        """The answer as it comes. A broken one stops after half of its events."""
        self._head(200, {"content-type": "text/event-stream", "cache-control": "no-cache", "transfer-encoding": "chunked"})
        if fault and fault.kind in (Kind.CUT, Kind.STALL, Kind.GARBAGE):
            told = list(events)
            for data in told[: len(told) // 2]:
                self._chunk(data)
            self._break(fault)
            return
        for data in events:
            self._chunk(data)
        self.wfile.write(b"0\r\n\r\n")

    def _at_once(self, data: bytes, fault: Fault | None) -> None:
        self._head(200, {"content-type": "application/json", "content-length": str(len(data))})
        if fault and fault.kind in (Kind.CUT, Kind.STALL):
            self.wfile.write(data[: len(data) // 2])
            self._break(fault)
            return
        self.wfile.write((NOISE * (len(data) // len(NOISE) + 1))[: len(data)] if fault and fault.kind is Kind.GARBAGE else data)

    def _break(self, fault: Fault) -> None:
        """What comes instead of an answer's second half."""
        if fault.kind is Kind.STALL:
            self._wait()
        elif fault.kind is Kind.GARBAGE:
            self._chunk(NOISE)
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.close_connection = True
            _hang_up(self.connection)

    def _wait(self) -> None:
        """Say nothing until the client gives up or the server ends: both end the reading."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.recv(1)

    def _whole(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        data = as_json(body)
        self._head(status, {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(data)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _note(
        self, path: str, body: dict[str, Any], dialect: str = "", ask: Ask | None = None, played: Play | None = None
    ) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.model.note(Asked(path, headers, body, dialect, ask, played))

    @property
    def _bare(self) -> str:
        return self.path.partition("?")[0]

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the standard library's
        """Nothing: `requests` is the log."""


def _found(routes: Mapping[re.Pattern[str], ModuleType], path: str) -> ModuleType | None:
    return next((dialect for pattern, dialect in routes.items() if pattern.search(path)), None)


def _decoded(raw: bytes) -> dict[str, Any]:
    """A body that is no JSON is as good as an empty one: telemetry sends such."""
    try:
        body = json.loads(raw)
    except (ValueError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}
