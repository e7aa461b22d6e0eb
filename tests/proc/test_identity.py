"""A process is known by host, boot, pid and start time; one of them different is another process."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest
from support.processes import gone, until

from orchestrator.proc import identity


def test_this_process_is_alive_and_itself() -> None:
    me = identity.here()
    assert me.pid == os.getpid()
    assert me == identity.here() == identity.of(os.getpid())
    assert identity.alive(me)


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"boot": "another"}, {"start": 1.0}, {"pid": 2**22 + 1}])
def test_any_difference_is_another_process(change: dict[str, object]) -> None:
    assert not identity.alive(replace(identity.here(), **change))  # type: ignore[arg-type]


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(["true"]) as child:
        until(lambda: gone(child.pid), "the child's end")
        assert identity.of(child.pid) is None


def test_orch_host_makes_this_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    here = identity.here()
    monkeypatch.setenv("ORCH_HOST", "other-host")
    assert identity.here() == replace(here, host="other-host")
    assert not identity.alive(here)


def test_a_cut_line_of_the_process_table_is_no_process() -> None:
    with pytest.raises(ValueError, match="cut"):
        identity.stat_fields(b"1 (a) S 1 2 3")
