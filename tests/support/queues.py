"""Queues for tests: a root in a temporary folder, tasks as a person drops them, owners that die or live elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.lease import Lease
from orchestrator.core.task import State
from orchestrator.store.claim import Claim
from orchestrator.store.queue import Queue

ODD_NAMES = ("with space", "ünï-ço∂é", "dots.in.it", "x.abcdef", "$(touch x)", "quote'\"", "-", "a\\b", "x" * 193, "é" * 100)


def new_queue(tmp_path: Path) -> Queue:
    queue = Queue(tmp_path / "tasks")
    queue.ensure()
    return queue


def drop(queue: Queue, name: str, state: State = State.PENDING) -> Path:
    """A task folder, put there by hand."""
    folder = queue.folder(state) / name
    folder.mkdir()
    (folder / "autoresearch.md").write_text(f"# {name}\n")
    return folder


def claimed(queue: Queue, name: str) -> Claim:
    """A claim that has begun."""
    claim = queue.take(name)
    assert claim is not None
    claim.begin(Lease(claim.token, queue.me()))
    return claim


def die(claim: Claim) -> None:
    """What the kernel does for a process that is killed: its descriptors are closed, and nothing else happens."""
    assert claim.lock is not None
    claim.lock.close()
    claim.lock = None


def other_host(queue: Queue, monkeypatch: pytest.MonkeyPatch, host: str = "elsewhere") -> Queue:
    """The same root as another machine sees it."""
    with monkeypatch.context() as patch:
        patch.setenv("ORCH_HOST", host)
        other = Queue(queue.root)
        assert other.me().host == host
    return other


def names(folder: Path) -> list[str]:
    """What lies in `folder`."""
    return sorted(path.name for path in folder.iterdir())


def where(queue: Queue) -> dict[str, list[str]]:
    """The folder names of each state, as `ls` shows them."""
    return {state.value: names(queue.folder(state)) for state in State}


def only(state: State, *names: str) -> dict[str, list[str]]:
    """`where` of a queue that holds nothing else."""
    return {other.value: sorted(names) if other is state else [] for other in State}
