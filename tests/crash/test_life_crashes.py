"""SIGKILL at every step of whole lives, by the real command line on real git: starting it again is all it takes.

A life is lived once with a trace of all its failpoints, then once for each of them with a kill there. By default only kills
that leave something new behind are tried: not one right before a change, where nothing has happened since the last change
that was killed after. ORCH_TEST_EVERY_POINT=1 tries all of them (see `docs/development.md`).
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import aftermath, lives
from support.lives import Life, Run

EVERY = "ORCH_TEST_EVERY_POINT" in os.environ
SILENT = ("undo.", "git.index:")  # points with changes after them that have none of their own


class Lives:
    """Lives one life again and again, each time in a fresh copy of the same repository."""

    def __init__(self, life: Life, top: Path) -> None:
        self.life = life
        self.top = top
        first = self._run("traced")
        first.project.make_repo(lives.FILES)
        shutil.copytree(first.project.repo, top / "template")
        first.prepare()
        first.live()
        assert aftermath.wrongs(first, killed=False) == []
        self.trace = first.trace()

    def killed_at(self, failpoint: str) -> tuple[Run, list[str]]:
        """A life with that kill, and all that is wrong after it."""
        run = self._run(failpoint.replace(":", "-"))
        shutil.copytree(self.top / "template", run.project.repo)
        run.prepare()
        try:
            run.live(failpoint)
        except AssertionError as error:
            return run, [f"{failpoint}: {error}"]
        finally:
            run.project.end()
        return run, [f"{failpoint}: {wrong}" for wrong in aftermath.wrongs(run, killed=True)]

    def forget(self, run: Run) -> None:
        shutil.rmtree(run.top)

    def _run(self, name: str) -> Run:
        top = self.top / name
        top.mkdir()
        return Run(self.life, top)


def points(trace: list[str], since: tuple[str, int]) -> Iterator[str]:
    """The failpoints of `trace` after `since`, as `label#number`, each where a kill leaves something else than the one before."""
    seen: Counter[str] = Counter()
    last = ""
    for label in trace:
        seen[label] += 1
        name, _, when = label.partition(":")
        changed = ":" not in last or last.startswith(SILENT) or last.partition(":")[0] == name or when == "written"
        if when and (EVERY or (seen[since[0]] >= since[1] and changed and last != label)):
            yield f"{label}#{seen[label]}"
        last = label


@pytest.mark.parametrize(("name", "part"), lives.parts())
def test_a_kill_anywhere_loses_nothing_and_counts_nothing_twice(tmp_path: Path, name: str, part: int) -> None:
    life = lives.by_name(name)
    again = Lives(life, tmp_path)
    wrong = []
    for point in list(points(again.trace, life.since))[part :: life.parts]:
        run, wrongs = again.killed_at(point)
        wrong += wrongs
        label, _, number = point.partition("#")
        if run.trace().count(label) < int(number):
            wrong.append(f"{point} was never reached")
        if not wrongs:
            again.forget(run)
    assert wrong == []
