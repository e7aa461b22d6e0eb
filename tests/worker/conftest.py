"""Workers in the test's own process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.desk import Desk

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A repository, a queue, and this process's signals as they were, afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    desk = Desk(tmp_path)
    desk.make_repo()
    monkeypatch.chdir(tmp_path)
    yield desk
    for number, handler in before.items():
        signal.signal(number, handler)
