"""The server's own life: it starts, is looked at, and ends, and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.talk import Anthropic, Chat, ask

from orchestrator.modelserver import serve

SCRIPT: dict[str, Any] = {"turns": [{"run": "ls"}, {"finish": "Over."}]}
TOML = 'turns = [{run = "ls"}, {finish = "Over."}]'


def test_it_ends_while_clients_hang_stall_and_keep_their_connection() -> None:
    before = threading.active_count()
    faults = [{"kind": "hang", "count": 1}, {"kind": "stall", "count": 1}]
    with serve({**SCRIPT, "faults": faults}) as server:
        talk, body = Anthropic(server.port, "Do it."), None
        connections = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(3)]
        for at, connection in enumerate(connections):
            body = json.dumps(talk.body())
            connection.request("POST", talk.path, body)
            server.wait_for(at + 1)
        idle = socket.create_connection(("127.0.0.1", server.port))
        kept = connections[2].getresponse()
        assert kept.read()
    assert threading.active_count() == before
    for connection in connections[:2]:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            connection.getresponse().read()
    for connection in connections:
        connection.close()
    idle.close()
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", server.port))


def test_it_ends_when_the_block_is_left_by_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        with serve(SCRIPT) as server:
            raise ZeroDivisionError
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", server.port))


def test_it_listens_on_loopback_only() -> None:
    with serve(SCRIPT) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"]
        assert [address for address in listening if address.endswith(f":{server.port:04X}")] == [f"0100007F:{server.port:04X}"]


def test_a_client_that_goes_away_in_the_middle_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    with serve({**SCRIPT, "faults": [{"kind": "huge", "megabytes": 20, "count": 1}]}) as server:
        talk = Chat(server.port, "Do it.")
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", talk.path, json.dumps(talk.body()))
        assert connection.getresponse().readline()
        connection.close()
        assert talk.next().calls
    assert capfd.readouterr() == ("", "")


def test_a_test_can_wait_for_what_is_asked() -> None:
    with serve(SCRIPT) as server:
        client = threading.Thread(target=lambda: Chat(server.port, "Do it.").play())
        client.start()
        first, second = server.wait_for(2)
        assert (first.play and first.play.place.turn, second.play and second.play.place.turn) == (0, 1)
        with pytest.raises(TimeoutError, match="2 turns were asked for"):
            server.wait_for(3, seconds=0.05)
        client.join()


# As a process of its own.


@contextmanager
def started(*args: str, script: str | None = None) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "orchestrator.modelserver", *args]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin is not None
    if script is not None:
        process.stdin.write(script)
        process.stdin.close()
        process.stdin = None
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert list(told) == ["port"]
    return int(told["port"])


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_process_tells_its_port_serves_and_ends_on_a_signal(ending: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "script.toml").write_text(TOML)
    with started("--script", str(tmp_path / "script.toml")) as process:
        port = port_of(process)
        assert [said.text for said in Chat(port, "Do it.").play()] == ["", "Over."]
        process.send_signal(ending)
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0


def test_the_process_ends_while_a_client_hangs() -> None:
    script = json.dumps({**SCRIPT, "faults": [{"kind": "stall"}]})
    with started("--script", "-", script=script) as process:
        port = port_of(process)
        talk = Chat(port, "Do it.")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("POST", talk.path, json.dumps(talk.body()))
        assert connection.getresponse().readline()
        process.terminate()
        assert process.communicate(timeout=30) == ("", "")
        assert process.returncode == 0
        connection.close()


def test_the_port_may_be_chosen() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with started("--script", "-", "--port", str(port), script=TOML) as process:
        assert port_of(process) == port
        assert ask(port, "/", method="GET").status == 200


def test_what_cannot_be_served_is_told_in_a_sentence(tmp_path: Path) -> None:
    for args, script, words in (
        (("--script", str(tmp_path / "none.toml")), None, "can't be read"),
        (("--script", "-"), "turns = 5", "turns is 5"),
        (("--script", "-"), "[[", "neither TOML nor JSON"),
    ):
        with started(*args, script=script) as process:
            out, err = process.communicate(timeout=30)
            assert (process.returncode, out) == (2, "")
            assert words in err
            assert "Traceback" not in err


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    with serve(SCRIPT) as server, started("--script", "-", "--port", str(server.port), script=TOML) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert str(server.port) in err
    assert "Traceback" not in err


def test_the_server_needs_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; import orchestrator.modelserver.__main__;"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names) - {'__main__', 'orchestrator'}))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "[]\n"
