"""New tasks: nothing is visible before it is whole, and what is published is ready and right."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.core.spec import Direction, Metric
from orchestrator.core.task import State
from orchestrator.errors import Misuse, StoreError
from orchestrator.store import layouts, scaffold, snapshot, specfile
from orchestrator.store.queue import Queue
from orchestrator.store.scaffold import NewTask


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    queue = Queue(tmp_path / "tasks")
    queue.ensure()
    return queue


def leftovers(queue: Queue) -> list[Path]:
    return [path for path in (queue.control / "tmp").iterdir() if path.name != ".clock"]


def script(tmp_path: Path, name: str = "bench.sh", text: str = "echo METRIC failures=0\n") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_new_task_is_ready_at_once_and_says_what_was_asked(queue: Queue, tmp_path: Path) -> None:
    task = NewTask(
        "fix-auth",
        goal="Fix the login.\n\nAll of it.",
        title="Auth",
        keys={
            "priority": 3,
            "metric": {"name": "failures", "target": 2, "direction": "lower"},
            "scope": ["src/**"],
            "agent": None,
        },
        sections={"acceptance": "- tests pass\n", "constraints": "", "notes": "n"},
        benchmark="bench.sh",
        checks=script(tmp_path, "c.sh"),
    )
    script(tmp_path)
    place, _ = scaffold.create(queue, task, cwd=tmp_path)
    (found,) = snapshot.read_all(queue)
    assert (found.place, found.problems, found.holds) == (place, (), ())
    spec = specfile.read(queue.path(place))
    assert (spec.title, spec.goal, spec.acceptance, spec.notes) == ("Auth", "Fix the login.\n\nAll of it.", "- tests pass", "n")
    assert spec.metrics == (Metric("failures", Direction.LOWER, target=2.0),)
    assert (spec.priority, spec.scope, spec.draft, spec.warnings) == (3, ("src/**",), False, ())
    assert layouts.evaluator(queue.path(place), spec).path == "benchmark.sh"
    assert layouts.evaluator(queue.path(place), spec).checks == "checks.sh"
    assert leftovers(queue) == []


def test_the_runner_measures_by_hand_what_the_orchestrator_measures(queue: Queue, tmp_path: Path) -> None:
    script(tmp_path, "bench.py", "import os\nprint('METRIC x=1', os.environ['ORCH_TASK_DIR'])\n")
    folder = queue.path(scaffold.create(queue, NewTask("it's a task", "g", benchmark="bench.py"), cwd=tmp_path)[0])
    assert not os.access(folder / "benchmark.py", os.X_OK)
    ended = subprocess.run([folder / "autoresearch.sh"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ended.stdout == f"METRIC x=1 {folder}\n"


def test_an_executable_stays_one_and_its_runner_starts_it(queue: Queue, tmp_path: Path) -> None:
    script(tmp_path, "bench", "#!/bin/sh\necho METRIC x=1\n").chmod(0o755)
    folder = queue.path(scaffold.create(queue, NewTask("t", "g", benchmark="bench"), cwd=tmp_path)[0])
    assert os.access(folder / "benchmark", os.X_OK)
    assert subprocess.run([folder / "autoresearch.sh"], capture_output=True, text=True, check=True).stdout == "METRIC x=1\n"


@pytest.mark.parametrize(("umask", "modes"), [(0o002, {0o664, 0o775}), (0o077, {0o600, 0o700})])
def test_who_may_change_a_new_task_is_the_umasks_to_say(queue: Queue, tmp_path: Path, umask: int, modes: set[int]) -> None:
    script(tmp_path, "bench", "#!/bin/sh\necho METRIC x=1\n").chmod(0o755)
    before = os.umask(umask)
    try:
        folder = queue.path(scaffold.create(queue, NewTask("t", "g", benchmark="bench"), cwd=tmp_path)[0])
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == modes


def test_a_command_becomes_the_key_and_its_runner_runs_it(queue: Queue, tmp_path: Path) -> None:
    command = 'n=3; echo "METRIC x=$n" # it\'s $HOME'
    folder = queue.path(scaffold.create(queue, NewTask("t", "g", benchmark=command), cwd=tmp_path)[0])
    assert specfile.read(folder).benchmark == command
    assert subprocess.run([folder / "autoresearch.sh"], capture_output=True, text=True, check=True).stdout == "METRIC x=3\n"


def test_without_a_benchmark_the_task_is_a_draft_with_a_stub(queue: Queue) -> None:
    folder = queue.path(scaffold.create(queue, NewTask("t"))[0])
    spec = specfile.read(folder)
    assert (spec.draft, spec.title) == (True, "t")
    assert subprocess.run([folder / "autoresearch.sh"], capture_output=True, check=False).returncode == 1


def test_pi_finds_the_session_files_it_looks_for(queue: Queue) -> None:
    folder = queue.path(scaffold.create(queue, NewTask("t", "g"))[0])
    assert [(folder / name).read_bytes() for name in ("autoresearch.jsonl", "autoresearch.ideas.md")] == [b"", b""]


GOALS = "$HOME ${x} $$|## Notes\nnot a section|a <!-- b|```\nopen fence|# T|---|käse 日本語|'\"\\|- [ ] a\n- b|x\n\n\n\ny"


@pytest.mark.parametrize("goal", GOALS.split("|"))
def test_a_goal_of_any_kind_arrives_as_it_was_given(queue: Queue, goal: str) -> None:
    folder = queue.path(scaffold.create(queue, NewTask("t", goal, benchmark="true x"))[0])
    assert specfile.read(folder).goal == goal


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (NewTask("../x"), "can't be a task's name"),
        (NewTask("t", benchmark="gone.py"), "no file .*gone.py"),
        (NewTask("t", benchmark="make bench", holdout="gone.py"), "no file .*gone.py"),
        (NewTask("t", keys={"priority": "high"}), "a whole number"),
        (NewTask("t", keys={"metric": {"name": "a", "direction": "up"}}), "lower or higher"),
        (NewTask("t", keys={"timeout": "1:30"}), '"90s"'),
        (NewTask("t", goal="\udcff"), "not valid UTF-8"),
        (NewTask("t", keys={"title": "\udcff"}), "not valid UTF-8"),
        (NewTask("t", checks=Path("gone.sh")), "gone.sh can't be read"),
    ],
)
def test_what_cannot_be_a_task_is_refused_and_leaves_nothing(queue: Queue, tmp_path: Path, task: NewTask, words: str) -> None:
    with pytest.raises(Misuse, match=words):
        scaffold.create(queue, task, cwd=tmp_path)
    assert queue.places() == []
    assert leftovers(queue) == []


def test_a_name_in_use_is_refused_and_nothing_is_touched(queue: Queue) -> None:
    first, _ = scaffold.create(queue, NewTask("t", "first"))
    queue.move(first, State.BLOCKED)
    with pytest.raises(StoreError, match="a task called 't' already"):
        scaffold.create(queue, NewTask("t", "second"))
    assert specfile.read(queue.folder(State.BLOCKED) / "t").goal == "first"
    assert leftovers(queue) == []
