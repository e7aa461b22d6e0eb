"""Recording of sessions: a cassette per session in the folder that the setting `record` names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.agents.cassette import Recorder
from orchestrator.worker.phases import Phase
from orchestrator.worker.space import Space
from orchestrator.worker.work import Work

Mask = Callable[[bytes], bytes]


LARGEST = 64 * 1024 * 1024  # of a cassette's patch


@contextmanager
def session(work: Work, space: Space, phase: Phase, mask: Mask) -> Iterator[Recorder | None]:
    """While the block runs, there is a recorder where recording is asked for; what the session changed is added at its end."""
    if work.settings.record is None:
        yield None
        return
    recorder = Recorder(Path(work.settings.record) / name_of(work, phase), mask)
    before = space.state()
    try:
        yield recorder
    finally:
        recorder.close(space.between(before, space.state(), limit=LARGEST))
    work.event("recorded", cassette=str(recorder.path), problem=recorder.problem or None)


def name_of(work: Work, phase: Phase) -> str:
    """The file of one session: its task, its attempt, its phase."""
    return f"{work.record.slug}-{work.number:04d}{f'-{phase.name}' if phase.name else ''}.cassette.jsonl"
