"""One benchmark at a time on this machine, for metrics that are noisy: two at once double the spread (`rulings` 31)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.core.spec import Kind, Spec
from orchestrator.errors import StoreError
from orchestrator.proc.command import Pump
from orchestrator.store import durable, locks


class Asked(Exception):
    """The worker was asked to stop while it waited for its turn."""


@contextmanager
def measuring(spec: Spec, pump: Pump) -> Iterator[None]:
    """Hold this user's measurement lock for the block where a declared metric is noisy. Raises Asked where `pump` asks to stop.

    Skipped inside a benchmark that runs an orchestrator itself: the lock's holder would wait for itself. Also skipped where
    the lock can't be made: a noisier number is better than none.
    """
    path = _path() if any(metric.kind is Kind.NOISY for metric in spec.metrics) and "ORCH_MEASURING" not in os.environ else None
    if path is None:
        yield
        return

    def wait(seconds: float) -> None:
        time.sleep(seconds)
        if pump() is not None:
            raise Asked

    with locks.acquire(path, wait):
        yield


def _path() -> Path | None:
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = (Path(state) if state.startswith("/") else Path.home() / ".local" / "state") / "orchestrator"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.close(durable.open_lock(folder / "measure.lock", point="lock", new=False))
    except (OSError, StoreError, RuntimeError):
        return None
    return folder / "measure.lock"
