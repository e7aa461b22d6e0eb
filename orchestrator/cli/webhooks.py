"""`orchestrator webhooks`: a knock of GitHub's or GitLab's is a reason to look at the open pull requests now.

Nothing of a request is believed but that it came: what became of a pull request, its tracker is asked. So a forged, lost or
repeated request can do no more than one look too many, or too late.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import click

from orchestrator.cli import output
from orchestrator.cli.app import App
from orchestrator.cli.options import common, pass_app
from orchestrator.cli.pulls import tell
from orchestrator.core.hooks import GITHUB, GITLAB, Answer, Door
from orchestrator.errors import Misuse

LARGEST = 26 * 1024 * 1024  # GitHub sends at most 25 MB
PATIENCE = 10.0  # seconds that a client may be silent
VARIABLES = {GITHUB: "GITHUB_WEBHOOK_SECRET", GITLAB: "GITLAB_WEBHOOK_TOKEN"}  # not ORCH_: agents are given those


@click.command(epilog="\b\nExample: GITHUB_WEBHOOK_SECRET=… orchestrator webhooks --port 8787")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; put a TLS proxy in front of any other.")
@click.option("--port", default=8787, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@common(json=False)
@pass_app
def webhooks(app: App, host: str, port: int) -> int:
    """Listen for POST /webhooks/github (signed with GITHUB_WEBHOOK_SECRET) and /webhooks/gitlab (GITLAB_WEBHOOK_TOKEN)."""
    from orchestrator.worker import attending

    secrets = {path: os.environ.get(name, "") for path, name in VARIABLES.items()}
    if not any(secrets.values()):
        raise Misuse("No webhook has a secret.", hint=f"Set {' or '.join(VARIABLES.values())}, as it is set over there.")
    queue, news = app.new_queue, threading.Event()
    with listening(host, port, Door(secrets), news.set) as server:
        app.say(f"Listening on http://{host}:{server.server_port}; Ctrl-C ends it.")
        while True:
            news.wait()
            news.clear()
            for seen in attending.attend(queue, app.settings.repo):
                tell(app, seen)


class listening:  # noqa: N801 - reads as what it does
    """The server, in a thread of its own for as long as the block runs."""

    def __init__(self, host: str, port: int, door: Door, taken: Callable[[], None]) -> None:
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(door, taken))
        except OSError as error:
            raise Misuse(f"Can't listen on {host}:{port}: {error.strerror}.", hint="Choose another --port or --host.") from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="webhooks", daemon=True)

    def __enter__(self) -> ThreadingHTTPServer:
        self._thread.start()
        return self._server

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(door: Door, taken: Callable[[], None]) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal() or int(length) > LARGEST:
                self._say(413 if length.isdecimal() else 411)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(length))
            with lock:
                answer = door.knock(self.path.partition("?")[0], headers, body)
            self._say(answer.value)
            if answer is Answer.TAKEN:
                taken()

        def _say(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base class calls it so
            output.err(f"webhooks: {output.clean(format % args)}")

    return Handler
