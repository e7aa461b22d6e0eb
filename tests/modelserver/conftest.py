"""Each protocol, streamed and not: what every conversation is tested over."""

from __future__ import annotations

import pytest
from support.talk import TALKS, Talk


@pytest.fixture(params=TALKS, ids=lambda talk: talk.__name__.lower())
def protocol(request: pytest.FixtureRequest) -> type[Talk]:
    return request.param


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
def streaming(request: pytest.FixtureRequest) -> bool:
    return request.param
