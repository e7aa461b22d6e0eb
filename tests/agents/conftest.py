from __future__ import annotations

from pathlib import Path

import pytest
from support import sessions


@pytest.fixture
def stage(tmp_path: Path) -> sessions.Stage:
    return sessions.stage(tmp_path)
