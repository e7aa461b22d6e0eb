from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A queue, and loops on it as processes of their own; ends every process that is left."""
    made = Stage(tmp_path)
    yield made
    made.end()
