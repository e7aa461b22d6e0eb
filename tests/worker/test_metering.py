"""How long a session may last, whoever's it is: an attempt's or a judge's."""

from __future__ import annotations

import pytest
from support.desk import Desk

from orchestrator.core.budget import Budget
from orchestrator.worker import metering


@pytest.mark.parametrize(("minutes", "seconds"), [(None, 90), (2.0, 90), (1.0, 60), (0.0, 0)])
def test_the_minutes_left_bound_a_session_and_none_left_is_no_time_at_all(
    desk: Desk, minutes: float | None, seconds: float
) -> None:
    desk.drop(front="timeout: 90")
    work, _ = desk.start()
    assert metering.limits(work, Budget(minutes=minutes)).seconds == seconds
