"""SIGKILL at every step of whole lives, by the real command line on real git: starting it again is all it takes.

A life is lived once with a trace of all its failpoints, then once for each of them with a kill there. By default only kills
that can leave something new behind are tried: none right before a change, where nothing has happened since the kill after
the last one; and of the lives that share their beginning and end with the first, only the facts they have of their own.
ORCH_TEST_EVERY_POINT=1 tries every point of the first life, and every point that another has of its own, in a quarter of an hour.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from support import aftermath, lives
from support.lives import LIVES, Life, Mark, Run
from support.project import Project

EVERY = "ORCH_TEST_EVERY_POINT" in os.environ
UNSEEN = ("undo.", "git.index")  # points followed by changes that have none of their own
FACTS = frozenset(
    {
        *("record", "claim", "reclaim", "release", "move", "attempt.cut", "undo.file", "undo.index", "git.checkout-index"),
        *("git.checkout", "git.commit", "git.read-tree", "git.ref", "git.update-index", "git.update-ref", "worktree.aside"),
        *("git.push", "pull.publish", "record.put", "integration.put"),
    }
)
SHARED = LIVES[0].name  # what all lives have in common is tried in this one
SLICES = 6 if EVERY else 1  # tests that share the points of one part of a life
pytestmark = pytest.mark.timeout(7200 if EVERY else 600)  # dozens of lives each, and the machine may be busy
BEGUN, MOVED = "land.read-tree:after#1", "land.update-ref:after#1"

# Git is killed half-way, together with its worker: which call of it, and what it leaves then. Locks of the user's own are
# older than they are, since recovery would wait for ten seconds.
CUTS = {
    "worktree": ("", '{git} "$@"; for tree in "{repo}"/.git/worktrees/*; do echo initializing > "$tree/locked"; done'),
    "checkout": ("", ': > "$GIT_DIR/index.lock"; printf "one\\ntw" > todo.txt'),
    "add": ("-A", ': > "$GIT_INDEX_FILE.lock"'),
    "commit": ("", ': > "$GIT_DIR/index.lock"; : > "$GIT_DIR/HEAD.lock"'),
    "read-tree": ("", 'touch -d "1 minute ago" "{repo}/.git/index.lock"; : > todo.txt; printf wor > work.txt'),
    "update-ref": ("refs/heads/main", 'touch -d "1 minute ago" "{repo}/.git/refs/heads/main.lock"'),
}
GIT = """#!/bin/sh
# the agent's own git is left alone
case "$GIT_TERMINAL_PROMPT $*" in 0*" {verb} "*"{option}"*)
    mkdir "{top}/once-cut" 2> /dev/null && {{ {cut}; }} ;;
esac
exec {git} "$@"
"""


class Lives:
    """Lives one life again and again, each time in a fresh copy of the same repository."""

    def __init__(self, life: Life, top: Path) -> None:
        self.life = life
        self.top = top
        self.unreached: list[str] = []
        Project(top).make_repo(lives.FILES, top / "template")

    @functools.cached_property
    def trace(self) -> list[str]:
        """What happens in this life when nothing is killed."""
        run = self.begin("traced")
        run.live()
        assert aftermath.wrongs(run, killed=False) == []
        return run.trace()

    def begin(self, name: str) -> Run:
        """A project in which nothing was started yet."""
        run = self._run(name)
        shutil.copytree(self.top / "template", run.project.repo)
        run.prepare()
        return run

    def killed_at(self, *points: str) -> tuple[list[str], list[str]]:
        """A life with a kill at each of the `points` (`label#number`): its trace, and all that is wrong after it."""
        run = self.begin("-then-".join(points).replace(":", "-"))
        try:
            run.live(",".join(points))
        except AssertionError as error:
            wrongs = [str(error)]
        else:
            wrongs = aftermath.wrongs(run, killed=True)
        finally:
            run.project.end()
        trace = run.trace()
        self.unreached += [point for point in points if not _passed(trace, point)]
        if not wrongs:
            shutil.rmtree(run.top)
        return trace, [f"{' then '.join(points)}: {wrong}" for wrong in wrongs]

    def check(self, chosen: list[str], *first: str) -> None:
        """Kill at each of the `chosen` points. Steps of two processes may come in another order than in the trace, so that a
        point is never reached; that must stay rare."""
        assert chosen
        assert [wrong for point in chosen for wrong in self.killed_at(*first, point)[1]] == []
        assert len(self.unreached) <= len(chosen) // 10, self.unreached

    def _run(self, name: str) -> Run:
        top = self.top / name
        top.mkdir()
        return Run(self.life, top)


def points(life: Life, trace: Iterable[str]) -> Iterator[str]:
    """The failpoints of `trace`, as `label#number`, each where a kill leaves something that the one before did not."""
    seen: Counter[str] = Counter()
    last = ""
    for label in trace:
        seen[label] += 1
        if ":" in label and _own(life, seen) and (EVERY or (_new(label, last) and _worth_it(life, label, seen))):
            yield f"{label}#{seen[label]}"
        last = label


def _own(life: Life, seen: Counter[str]) -> bool:
    """Whether this is within what the life has of its own."""
    return _reached(seen, life.since) and not _reached(seen, life.until)


def _reached(seen: Counter[str], mark: Mark) -> bool:
    label, number = mark
    return seen[label] >= number


def _new(label: str, last: str) -> bool:
    """Whether anything has changed since `last`: a program ran, or this is the other end of the same change."""
    name, _, when = label.partition(":")
    if when == "before":
        return ":" not in last or last.startswith(UNSEEN)
    return when == "written" or last in (f"{name}:before", f"{name}:written")


def _worth_it(life: Life, label: str, seen: Counter[str]) -> bool:
    """In the life for everything, all but the making of folders, and temporary files once; else only facts."""
    name, _, when = label.partition(":")
    if life.name == SHARED or life.every:
        return name != "ensure" and (when != "written" or seen[label] == 1)
    return when != "written" and name in FACTS


def _passed(trace: list[str], point: str) -> bool:
    label, _, number = point.partition("#")
    return trace.count(label) >= int(number)


def recovery(trace: list[str], point: str) -> list[str]:
    """The points that come after `point`, until the benchmark runs again."""
    label, _, number = point.partition("#")
    begin = [place for place, line in enumerate(trace) if line == label][int(number) - 1] + 1
    end = next((place for place, line in enumerate(trace) if place > begin and line == "benchmark"), len(trace))
    found = points(lives.by_name(SHARED), trace[:end])
    return [each for each in found if not _passed(trace[:begin], each) and each.partition(":")[0] in FACTS]


@pytest.mark.parametrize(("name", "part"), [(life.name, part) for life in LIVES for part in range(life.parts * SLICES)])
def test_a_kill_anywhere_loses_nothing_and_counts_nothing_twice(tmp_path: Path, name: str, part: int) -> None:
    again = Lives(lives.by_name(name), tmp_path)
    again.check(list(points(again.life, again.trace))[part :: again.life.parts * SLICES])


@pytest.mark.parametrize("first", [BEGUN, MOVED], ids=["taken-back", "finished"])
def test_a_second_kill_while_a_landing_is_recovered_loses_nothing_either(tmp_path: Path, first: str) -> None:
    again = Lives(lives.by_name(SHARED), tmp_path)
    trace, wrongs = again.killed_at(first)
    assert wrongs == []
    again.check(recovery(trace, first), first)


@pytest.mark.parametrize("verb", CUTS)
def test_a_git_that_was_killed_half_way_with_its_worker_leaves_nobody_s_work(tmp_path: Path, verb: str) -> None:
    option, cut = CUTS[verb]
    run = with_git(Lives(lives.by_name(SHARED), tmp_path), verb, option, f"{cut}; kill -9 $PPID; exit 1")
    assert aftermath.wrongs(run, killed=True) == []


@pytest.mark.parametrize("verb", ["read-tree", "update-ref"])
def test_a_git_that_outlives_its_worker_moves_nothing_once_another_one_goes_on(tmp_path: Path, verb: str) -> None:
    again = "tries=0; until grep -qs '\"intent\": null' {tasks}/running/*/.orch/state.json || [ $tries = 200 ]; do sleep 0.02; tries=$((tries + 1)); done"
    run = with_git(Lives(lives.by_name(SHARED), tmp_path), verb, CUTS[verb][0], f"kill -9 $PPID; {again}")
    assert aftermath.wrongs(run, killed=True) == []


def with_git(again: Lives, verb: str, option: str, cut: str) -> Run:
    """A life in which git does `cut` before the first call of ours that has `verb` and `option`, or instead of it."""
    run = again.begin(verb)
    names = {"repo": run.project.repo, "tasks": run.project.tasks, "git": shutil.which("git"), "top": run.top}
    (run.top / "bin").mkdir()
    (run.top / "bin/git").write_text(GIT.format(**names, verb=verb, option=option, cut=cut.format(**names)))
    (run.top / "bin/git").chmod(0o755)
    run.project.env["PATH"] = f"{run.top}/bin:{run.project.env['PATH']}"
    run.live()
    assert (run.top / "once-cut").exists()
    return run
