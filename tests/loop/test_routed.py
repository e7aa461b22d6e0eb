"""What is known of a task's agents before it starts, and of logins."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.agents.protocol import Agent, Traits
from orchestrator.agents.routing import Router
from orchestrator.core.record import Pause
from orchestrator.core.settings import Settings
from orchestrator.loop.routed import without_new_logins


class Known:
    def __init__(self, traits: Traits) -> None:
        self.traits = traits


def test_a_login_that_is_newer_than_its_absence_lets_the_others_go_on(tmp_path: Path) -> None:
    key = tmp_path / "auth.json"
    agent: Agent = Known(Traits(credentials=("X_API_KEY", str(key))))  # type: ignore[assignment]
    router = Router(Settings(), find=lambda _name, _tables: agent, names=lambda _tables: ("x",))
    paused = {"x/openai": Pause(1000.0, None, "no key"), "y": Pause(1000.0, 5000.0)}
    assert without_new_logins(paused, router) == paused
    key.touch()
    os.utime(key, (900.0, 900.0))
    assert without_new_logins(paused, router) == paused
    os.utime(key, (1100.0, 1100.0))
    assert without_new_logins(paused, router) == {"y": paused["y"]}
