"""The demo by a real agent: the scripted agent's scenarios as the words of a scripted model, and the agent pointed at it."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.agents import registry
from orchestrator.errors import AgentError, Misuse
from orchestrator.modelserver import clients, serve
from orchestrator.modelserver.clients import Client

PASSED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL")
TITLE = re.compile(r"^# (.+)$", re.MULTILINE)


def must_be_here(agent: str) -> None:
    """Raises where the demo can't be done by the agent called `agent`: it isn't installed, or not known."""
    if agent not in clients.names():
        raise Misuse(
            f"The demo knows no way to give {agent!r} a scripted model.", hint=f"It can be done by: {', '.join(clients.names())}."
        )
    found = registry.get(agent).check()
    if not found.installed:
        raise AgentError(f"{agent} is not installed here: {found.detail}.", hint=f"Install it: {found.fix}")


@contextmanager
def model(agent: str, home: Path, tasks: Path, project: Path) -> Iterator[Client]:
    """While the block runs, a model on loopback says what the tasks' scenarios do, and this process's environment is one in which
    `agent` knows nothing but that: no key, no login, no setting of the user."""
    scenes = [scene for task in sorted(tasks.iterdir()) for scene in scenes_of(task, project)]
    with serve({"scenes": scenes, "usage": {"input": 900, "cached": 300, "output": 60}}) as server:
        client = clients.client(agent, server.url)
        assert client is not None
        for name, text in client.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        with _environment(home, client):
            yield client


def scenes_of(task: Path, project: Path) -> Iterator[dict[str, Any]]:
    """A scene for each attempt of a task, known by the title and number in its prompt; the last one serves all that follow."""
    title = TITLE.search((task / "autoresearch.md").read_text(encoding="utf-8"))
    scenario = tomllib.loads((task / "scenario.toml").read_text(encoding="utf-8"))
    attempts = scenario.get("attempts") or [scenario]
    files: dict[str, str] = {}
    for number, attempt in enumerate(attempts, 1):
        which = rf"{number}\b" if number < len(attempts) else r"\d+"
        when = rf"(?s)# {re.escape(title[1] if title else task.name)}\n.*This is\s+attempt {which}"
        yield {"when": when, "turns": list(_turns(attempt["steps"], files, project))}


def _turns(steps: list[Mapping[str, Any]], files: dict[str, str], project: Path) -> Iterator[dict[str, Any]]:
    """What a model says to have the same done. `files` are those written so far: a file is always written as a whole."""
    say, finish = "", "Done."
    for step in steps:
        if "print" in step:
            say = step["print"]
        elif "lie" in step:
            finish = step["lie"]
        elif "run" in step:
            yield {"say": say, "run": step["run"]}
        elif path := step.get("write") or step.get("append"):
            before = files.get(path) or (project / path).read_text(encoding="utf-8") if "append" in step else ""
            files[path] = before + step["content"]
            yield {"say": say, "write": {"path": path, "content": files[path]}}
        else:
            raise Misuse(f"A scripted model can't be made to do {shlex.quote(str(dict(step)))}.")
    yield {"finish": finish}


@contextmanager
def _environment(home: Path, client: Client) -> Iterator[None]:
    before = dict(os.environ)
    kept = {name: before[name] for name in PASSED if name in before}
    cache = before.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")  # some unpack hundreds of megabytes there, once
    try:
        os.environ.clear()
        os.environ.update({**kept, "HOME": str(home), "XDG_CACHE_HOME": cache, **client.env})
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
