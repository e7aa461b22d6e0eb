"""The server of `orchestrator webhooks`, asked over a real socket."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import Project, wait
from support.trackers import Forge

SECRET = "it's a secret"


@pytest.fixture
def forge(project: Project, tmp_path: Path) -> Forge:
    remote = tmp_path / "remote.git"
    project.git("init", "-q", "--bare", "-b", "main", str(remote))
    project.git("remote", "add", "origin", str(remote))
    project.git("push", "-q", "origin", "main")
    made = Forge(tmp_path / "forge", remote)
    made.install()
    project.env |= {**made.env(), "ORCH_TRACKER": "github"}
    return made


@pytest.fixture
def port(project: Project) -> Iterator[int]:
    process = project.start("webhooks", "--port", "0", GITHUB_WEBHOOK_SECRET=SECRET, PYTHONUNBUFFERED="1")
    assert process.stdout is not None
    try:
        found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found
        yield int(found[1])
    finally:
        process.kill()
        process.communicate()


def post(port: int, path: str, body: bytes, secret: str = SECRET) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    connection.request("POST", path, body, {"X-Hub-Signature-256": signature, "X-Gitlab-Token": secret})
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_knock_has_the_pull_request_looked_at(project: Project, forge: Forge, port: int) -> None:
    project.drop("x", "land: pr\nmetric: {name: left, target: 0}")
    project.agent(": > todo.txt")
    project.run()
    forge.change(1, state="merged", mergeCommit={"oid": "c0ffee"})
    assert post(port, "/webhooks/github", b'{"action": "closed"}') == 202
    record = project.tasks / "converged/x/.orch/state.json"
    wait(lambda: json.loads(record.read_text())["landed"]["state"] == "merged", "that it is merged")


def test_who_does_not_know_the_secret_is_refused(forge: Forge, port: int) -> None:
    assert post(port, "/webhooks/github", b"{}", "guessed") == 401
    assert post(port, "/webhooks/gitlab", b"{}") == 401  # no token is set for it
    assert post(port, "/webhooks/github", b"{}") == 202
    assert post(port, "/webhooks/github", b"{}") == 200
    assert post(port, "/", b"{}") == 404
    assert forge.calls() == []


def test_a_body_without_a_length_or_too_long_is_not_read(forge: Forge, port: int) -> None:
    for header, status in (("", b"411"), ("Content-Length: 99999999999\r\n", b"413"), ("Content-Length: -1\r\n", b"411")):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(f"POST /webhooks/github HTTP/1.0\r\n{header}\r\n".encode())
            assert status in connection.recv(100)


def test_without_a_secret_nothing_listens(project: Project) -> None:
    assert "GITHUB_WEBHOOK_SECRET" in project.refused("webhooks")
