"""What the loop hears while it sleeps."""

from __future__ import annotations

import os
import signal

import pytest

from orchestrator.loop import wakeup
from orchestrator.loop.wakeup import Wakeup


def test_signals_of_one_moment_are_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """`timeout` signals a program and then its whole group."""
    heard = Wakeup()
    monkeypatch.setattr(wakeup, "ECHO", 3600.0)
    with heard.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert heard.stops == (signal.SIGTERM,)
        monkeypatch.setattr(wakeup, "ECHO", 0.0)
        os.kill(os.getpid(), signal.SIGINT)
    assert heard.stops == (signal.SIGTERM, signal.SIGINT)
    heard.close()
