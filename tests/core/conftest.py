"""Tasks as a scan sees them, in a few words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest

from orchestrator.core.candidate import Candidate
from orchestrator.core.record import Record
from orchestrator.core.spec import Spec
from orchestrator.core.task import Place, State

Make = Callable[..., Candidate]
SPEC = {each.name for each in fields(Spec)}
RECORD = {each.name for each in fields(Record)}


@pytest.fixture
def task() -> Make:
    """`task("a", depends_on=("b",), not_before=5.0)`: keys find their place in spec, record or candidate by themselves."""

    def make(name: str, state: State = State.PENDING, **given: object) -> Candidate:
        spec = {key: value for key, value in given.items() if key in SPEC}
        record = {key: value for key, value in given.items() if key in RECORD and key not in SPEC}
        rest = {key: value for key, value in given.items() if key not in SPEC | RECORD}
        place = Place(name=name, state=state, folder=name, token=None, inode=1)
        made = Record(**{"id": name, "name": name, "inode": 1, "slug": name, **record}) if record else None
        return Candidate(**{"place": place, "spec": Spec(**spec), "record": made, **rest})

    return make
