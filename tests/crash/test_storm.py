"""Whatever is killed, and however often: main stays green, no work is lost, nothing is done twice, nothing is left.

By default a small storm; ORCH_TEST_STORM=500 is the number of kills of a whole one, with 50 tasks, which takes minutes.
ORCH_TEST_STORM_SEED is another order of the kills.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.storm import Storm

from orchestrator.store.queue import Queue

KILLS = int(os.environ.get("ORCH_TEST_STORM", "60"))
TASKS = 50 if KILLS >= 500 else 12
SEED = int(os.environ.get("ORCH_TEST_STORM_SEED", "1"))
SCRATCH = ("*.tmp", "orchestrator-index*", "orchestrator-undo*")
KEPT = {"slugs", "git-version", "discovered.json"}  # what is known of a repository, and stays known


@pytest.fixture
def storm(tmp_path: Path) -> Iterator[Storm]:
    made = Storm(tmp_path, tasks=TASKS, kills=KILLS, seed=SEED)
    made.prepare()
    yield made
    made.project.end()


@pytest.mark.timeout(300 + 8 * KILLS)
def test_no_storm_of_kills_breaks_main_loses_work_or_leaves_anything(storm: Storm) -> None:
    storm.rage()
    storm.finish()
    print(storm)
    assert wrongs(storm) == []


def wrongs(storm: Storm) -> list[str]:
    """Everything that is not as it should be once the storm is over."""
    return [*_tasks(storm), *_main(storm), *_work(storm), *_repository(storm), *_left(storm)]


def _tasks(storm: Storm) -> Iterator[str]:
    """Each task has converged, once, and counted its attempts one by one."""
    tasks = storm.project.tasks
    places = sorted(
        f"{path.parent.name}/{path.name}"
        for state in ("pending", "running", "converged", "blocked")
        for path in (tasks / state).iterdir()
    )
    if places != sorted(f"converged/{name}" for name in storm.names):
        yield f"not every task has converged once: {places}"
        return
    if (storm.top / "overlaps").exists():
        yield f"two agents at once: {(storm.top / 'overlaps').read_text().split()}"
    for name in storm.names:
        record = storm.project.record(name)
        if record["reason"] != "converged" or record["intent"] or not record["landed"]:
            yield f"{name}: {record['reason']}, intent {record['intent']}, landed {record['landed']}"
        numbers = [attempt["number"] for attempt in record["history"]]
        if numbers != sorted(set(numbers)):
            yield f"{name}: attempts {numbers}"


def _main(storm: Storm) -> Iterator[str]:
    """Green at every commit, and each task came onto it once."""
    git = storm.project.git
    for commit in git("rev-list", "--first-parent", "--reverse", "main").split():
        if said := _red(storm, commit):
            yield f"main was red at {commit}: {said}"
    for name in storm.names:
        number = int(name.removeprefix("task-"))
        came = git("log", "--first-parent", "-m", "--format=%H", "main", "--", f"seats/{number // 4}/{name}").split()
        if len(came) != 1:
            yield f"{name} came onto main {len(came)} times: {came}"
        landed = storm.project.record(name)["landed"]
        if landed and landed["commit"] not in git("rev-list", "main").split():
            yield f"{name} is not on main as it says: {landed}"


def _red(storm: Storm, commit: str) -> str:
    """What is wrong with what main was at `commit`, nothing where it was green."""
    place = storm.top / "looked-at" / commit
    place.mkdir(parents=True)
    files = subprocess.run(["git", "archive", commit], cwd=storm.project.repo, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=place, input=files, check=True)
    done = subprocess.run(["sh", "check.sh"], cwd=place, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def _work(storm: Storm) -> Iterator[str]:
    """Every commit and every draft of an agent is reachable."""
    kept = set(storm.project.git("rev-list", "--all", "--objects", "--no-object-names").split())
    for what in ("commits", "drafts"):
        lost = [each for each in (storm.top / what).read_text().split() if each not in kept]
        if lost:
            yield f"{what} that are lost: {lost}"
    for name in storm.names:
        if lost := [each for each in storm.project.record(name)["history"] if each["commit"] and each["commit"] not in kept]:
            yield f"{name}: attempts whose commits are lost: {lost}"


def _repository(storm: Storm) -> Iterator[str]:
    """Whole, clean, unlocked, and without a worktree of a task that is done."""
    git, common = storm.project.git, storm.project.repo / ".git"
    if said := git("status", "--porcelain") or git("stash", "list"):
        yield f"the checkout is not clean: {said}"
    if said := git("fsck", "--strict", "--no-dangling"):
        yield f"git fsck: {said}"
    if git("symbolic-ref", "HEAD") != "refs/heads/main":
        yield "the checkout is on another branch"
    left = [path for pattern in (*SCRATCH, "*.lock") for path in common.rglob(pattern) if path.parent != common / "orchestrator"]
    if left:
        yield f"left in .git: {left}"
    listed = re.findall(r"^worktree (.*)$", git("worktree", "list", "--porcelain"), re.MULTILINE)[1:]
    if busy := [path for path in listed if "/.pool/" not in path]:
        yield f"worktrees of tasks that are done: {busy}"
    if entries := [path.name for path in storm.project.repo.glob(".worktrees/*") if path.name != ".pool"]:
        yield f"left in .worktrees: {entries}"


def _left(storm: Storm) -> Iterator[str]:
    """No process, no lock that anybody holds, nothing written about a landing, no file of an owner (after a sweep, as loops do)."""
    if targets := list(storm.targets()):
        yield f"still running: {targets}"
    ours = storm.project.repo / ".git/orchestrator"
    if held := [
        path for path in (*ours.rglob("*"), *(storm.project.tasks / ".orch").rglob("*lock*")) if path.is_file() and _held(path)
    ]:
        yield f"locks that are held: {held}"
    if full := [
        path for path in ours.rglob("*") if path.is_file() and not {path.name, path.parent.name} & KEPT and path.stat().st_size
    ]:
        yield f"left of landings: {full}"
    queue = Queue(storm.project.tasks)
    queue.sweep()
    if owners := queue.owners.tokens():
        yield f"owners' files left: {owners}"


def _held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
