"""Plays a scenario: the program behind the `scripted` agent. It is run by its path, alone, so it imports nothing of ours.

A scenario is TOML. Attempt n plays the n-th entry of `attempts`, the last one again when there are no more:

    [[attempts]]
    steps = [
      {print = "Looking around."},
      {write = "src/answer.txt", content = "42\\n"},     # `append` the same way; `delete = PATH`; paths expand $VARIABLES
      {run = "make"},                                   # by the shell; a failure ends the session with that code
      {commit = "Find the answer"},                     # commits by itself, as some agents do
    ]

Also: `error = TEXT` (stderr), `sleep = SECONDS`, `hang = true` (or "deaf": ignores TERM), `crash = CODE` or a signal's name,
`lie = TEXT` (claims success and ends), `exit = CODE`, `usage = {usd, input_tokens, output_tokens}`, `limit = SECONDS` until
its reset, `auth = TEXT`, `ask = TEXT`. With `steps` at the top instead of `attempts`, every attempt plays those.

`cassette = FILE` plays a recorded session (see `cassette`; FILE from where the scenario lies): its output byte for byte at its
pace, then its changes, then its end. `speed = 10` beside it, or ORCH_REPLAY_SPEED, is ten times that pace; 0 makes no pauses. A
session that hung hangs. A scenario that is a cassette itself plays that.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MARK = "@scripted "  # a line that begins so is an event as JSON, for the adapter
MISUSE = 64

Step = Mapping[str, Any]


class Ended(Exception):
    """The session is over, with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


def main() -> int:
    """Play the attempt that the environment names; the exit code is the session's."""
    try:
        for step in steps_of(_load(), int(os.environ.get("ORCH_ATTEMPT") or 1)):
            play(step)
    except Ended as ended:
        return ended.code
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"scenario: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return MISUSE
    return 0


def steps_of(scenario: Mapping[str, Any], attempt: int) -> list[Step]:
    """The steps of attempt number `attempt`, counted from 1."""
    unknown = set(scenario) - {"attempts", "steps"}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}; a scenario has `attempts` or `steps`")
    attempts = scenario.get("attempts") or [{"steps": scenario.get("steps", [])}]
    return list(attempts[min(attempt, len(attempts)) - 1].get("steps", []))


def play(step: Step) -> None:
    """Do one step: the one key of it that names an action."""
    actions = [key for key in step if key in ACTIONS]
    if len(actions) != 1:
        raise ValueError(f"a step has exactly one of {', '.join(ACTIONS)}; this one is {dict(step)!r}")
    ACTIONS[actions[0]](step[actions[0]], step)


def load(path: Path) -> Mapping[str, Any]:
    """The scenario in a file, paths of cassettes made absolute; a cassette is a scenario of one step."""
    import tomllib

    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    if text.startswith('{"cassette"'):
        return {"steps": [{"cassette": str(path.absolute())}]}
    scenario = tomllib.loads(text)
    for part in (scenario, *scenario.get("attempts", ())):
        for step in part.get("steps", ()):
            if "cassette" in step:
                step["cassette"] = str(path.absolute().parent / step["cassette"])
    return scenario


def _load() -> Mapping[str, Any]:
    return load(Path(os.environ.get("ORCH_SCENARIO") or Path(os.environ["ORCH_TASK_DIR"]) / "scenario.toml"))


def _path(text: str) -> Path:
    path = Path(os.path.expandvars(text))
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(path: str, step: Step) -> None:
    _path(path).write_text(step.get("content", ""), encoding="utf-8")


def _append(path: str, step: Step) -> None:
    with _path(path).open("a", encoding="utf-8") as file:
        file.write(step.get("content", ""))


def _delete(path: str, _step: Step) -> None:
    Path(os.path.expandvars(path)).unlink(missing_ok=True)


def _shell(*argv: str) -> None:
    code = os.spawnvp(os.P_WAIT, argv[0], list(argv))  # noqa: S606
    if code:
        raise Ended(128 - code if code < 0 else code)


def _run(command: str, _step: Step) -> None:
    _shell("sh", "-c", command)


def _commit(message: str, _step: Step) -> None:
    _shell("git", "add", "-A")
    identity = ("-c", "user.name=scripted", "-c", "user.email=scripted@localhost", "-c", "commit.gpgSign=false")
    _shell("git", *identity, "commit", "-q", "--no-verify", "--allow-empty", "-m", message)


def _print(text: str, _step: Step) -> None:
    print(text, flush=True)


def _error(text: str, _step: Step) -> None:
    print(text, file=sys.stderr, flush=True)


def _sleep(seconds: float, _step: Step) -> None:
    time.sleep(seconds)


def _hang(how: bool | str, _step: Step) -> None:
    if how == "deaf":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    print("hanging", flush=True)
    while how:
        signal.pause()


def _crash(how: int | str, _step: Step) -> None:
    if isinstance(how, int):
        raise Ended(how)
    os.kill(os.getpid(), signal.Signals[how])


def _lie(text: str, _step: Step) -> None:
    print(text, flush=True)
    raise Ended(0)


def _exit(code: int, _step: Step) -> None:
    raise Ended(code)


def _event(kind: str, **data: object) -> None:
    import json

    print(MARK + json.dumps({"kind": kind, **data}), flush=True)


def _usage(used: Mapping[str, float], _step: Step) -> None:
    _event("usage", data=dict(used))


def _limit(seconds: float, _step: Step) -> None:
    _event("limit", text=f"limit reached, try again in {seconds} s", data={"reset_at": time.time() + seconds})
    raise Ended(1)


def _auth(text: str, _step: Step) -> None:
    _event("auth", text=text)
    raise Ended(1)


def _ask(text: str, _step: Step) -> None:
    _event("question", text=text)
    raise Ended(0)


def _cassette(path: str, step: Step) -> None:
    import json

    speed = float(step.get("speed", os.environ.get("ORCH_REPLAY_SPEED") or 1))
    began = time.monotonic()
    with Path(path).open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            if "end" in row:
                _changes(_bytes(row, "patch"))
                _end_as(row)
            elif "at" in row:
                time.sleep(max(0.0, began + row["at"] / speed - time.monotonic()) if speed else 0)
                for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
                    stream.buffer.write(_bytes(row, name))
                    stream.flush()


def _bytes(row: Mapping[str, Any], name: str) -> bytes:
    import base64

    return base64.b64decode(row.get(f"{name}64", "")) or str(row.get(name, "")).encode()


def _changes(patch: bytes) -> None:
    """Make the changes of a recorded session, in the worktree it is played in."""
    import tempfile

    if patch:
        with tempfile.NamedTemporaryFile(suffix=".patch") as file:
            file.write(patch)
            file.flush()
            _shell("git", "apply", "--whitespace=nowarn", file.name)


def _end_as(row: Mapping[str, Any]) -> None:
    """End as the recorded session did; one that was ended for its silence or its time goes on as it would have."""
    if row["end"] in ("stalled", "timed-out"):
        while True:
            signal.pause()
    if row.get("signal"):
        os.kill(os.getpid(), row["signal"])
    raise Ended(row.get("code") or 0)


ACTIONS: Mapping[str, Callable[[Any, Step], None]] = {
    "write": _write,
    "append": _append,
    "delete": _delete,
    "run": _run,
    "commit": _commit,
    "print": _print,
    "error": _error,
    "sleep": _sleep,
    "hang": _hang,
    "crash": _crash,
    "lie": _lie,
    "exit": _exit,
    "usage": _usage,
    "limit": _limit,
    "auth": _auth,
    "ask": _ask,
    "cassette": _cassette,
}


if __name__ == "__main__":
    sys.exit(main())
