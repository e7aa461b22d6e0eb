"""Workers in the test's own process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.desk import Desk

from orchestrator.proc import tree

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def signals() -> Iterator[None]:
    """This process hears them again as it did, whatever a worker in it made of them."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: None) -> Iterator[Desk]:
    """A repository, a queue; afterwards this process's signals are as they were, and it is nobody's subreaper."""
    desk = Desk(tmp_path)
    desk.make_repo()
    monkeypatch.chdir(tmp_path)
    others = tree.children()
    with tree.subreaper():  # restores what this process was before, whatever a worker made of it
        yield desk
        tree.sweep(exclude=others)
