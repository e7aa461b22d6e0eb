"""A child sees what is on the list, and nothing else."""

from __future__ import annotations

import pytest

from orchestrator.proc.environment import allowed, compose, withheld

HOME = {"PATH": "/bin", "LC_CTYPE": "C", "XDG_CACHE_HOME": "/c", "https_proxy": "p", "NO_PROXY": "n", "ORCH_GOAL": "g"}
SECRET = {"AWS_SECRET_ACCESS_KEY": "s", "GITHUB_TOKEN": "t", "ANTHROPIC_API_KEY": "a", "PATHS": "x", "MY_ORCH_X": "y", "PWD": "/"}


def test_only_the_list_passes() -> None:
    assert allowed({**HOME, **SECRET}) == HOME


@pytest.mark.parametrize("extra", [("GITHUB_TOKEN",), ("GITHUB_*",)])
def test_named_ones_pass_too(extra: tuple[str, ...]) -> None:
    assert allowed({**HOME, **SECRET}, extra) == {**HOME, "GITHUB_TOKEN": "t"}


def test_what_is_withheld_is_listed_by_name_only_and_sorted() -> None:
    assert withheld({**HOME, **SECRET}, ["PWD"]) == tuple(sorted(SECRET.keys() - {"PWD"}))


def test_what_the_loop_tells_its_worker_goes_no_further() -> None:
    assert allowed({"ORCH_OWNER_FD": "7", "ORCH_FAILPOINT": "x", "ORCH_TASK": "t"}, ("ORCH_*",)) == {"ORCH_TASK": "t"}


def test_additions_win_and_none_takes_away() -> None:
    assert compose({"A": "1", "B": "2"}, {"B": "3", "A": None, "C": "4", "D": None}) == {"B": "3", "C": "4"}
