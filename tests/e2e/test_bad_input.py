"""Whatever is wrong with a spec, a benchmark, a repository or a disk: one clear sentence, nothing lost, nothing left running."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.project import Project

ALL_GONE = ": > todo.txt"


def told(project: Project, *args: str, code: int | None = None, **env: str) -> str:
    """What a command prints, on both streams; never a traceback, never a line that fills the screen."""
    done = project.run(*args, code=code, **env)
    text = done.stdout + done.stderr
    assert "Traceback" not in text
    assert max(map(len, text.splitlines()), default=0) < 2000, text[:3000]
    return text


def never_run(project: Project) -> Path:
    """An agent that leaves a trace."""
    project.agent(f"touch {project.top}/ran")
    return project.top / "ran"


def blocked(project: Project, name: str, reason: str) -> str:
    """The task was blocked for this reason; the detail that is shown."""
    assert project.where(name) == "blocked", project.story()
    record = project.record(name)
    assert record["reason"] == reason, record
    assert record["attempts"] == 0
    shown = told(project, "why", name, code=0)
    assert record["detail"].splitlines()[0][:60] in shown
    return str(record["detail"])


# --- specs ----------------------------------------------------------------------------------------------------------

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(12)
)
SPECS = {
    "10 MB": b"---\ntitle: x\n---\n" + b"# big\n" + b"word " * 2_000_000,
    "YAML bomb": f"---\n{BOMB}---\n# bomb\n".encode(),
    "binary": bytes(range(256)) * 50,
    "NUL": b"---\ntitle: a\0b\n---\n",
    "not UTF-8": "---\ntitle: größe\n---\n".encode("latin-1"),
    "conflict": b"---\n<<<<<<< HEAD\npriority: 1\n=======\npriority: 2\n>>>>>>> other\n---\n# both\n",
    "unclosed": b"---\npriority: 1\n# no end\n",
    "not a mapping": b"---\n- a\n- b\n---\n",
    "deep": b"---\nenv: " + b"[" * 5000 + b"]" * 5000 + b"\n---\n",
    "python object": b"---\ntitle: !!python/object/apply:os.system ['touch evil']\n---\n",
    "sexagesimal": b"---\ntimeout: 1:30\n---\n",
    "direction no": b"---\nmetric: {name: x, direction: no}\n---\n",
}


def test_specs_that_cannot_be_read_stay_put_and_are_named_with_what_to_do(project: Project) -> None:
    ran = never_run(project)
    for kind, spec in SPECS.items():
        (project.drop(kind) / "autoresearch.md").write_bytes(spec)
    started = time.monotonic()

    text = told(project, code=1)

    assert time.monotonic() - started < 30
    for kind, spec in SPECS.items():
        assert f"pending/{kind}/autoresearch.md" in text
        assert (project.tasks / "pending" / kind / "autoresearch.md").read_bytes() == spec
    assert not ran.exists()
    assert not list(project.top.rglob("evil"))
    for words in (["--status"], ["list"], ["--graph"], *([command, kind] for kind in SPECS for command in ("show", "why"))):
        told(project, *words, code=0)
    assert {task["name"]: task["waiting_on"][0]["kind"] for task in project.status()["tasks"]} == dict.fromkeys(SPECS, "invalid")


def test_a_session_log_of_garbage_beside_the_spec_is_no_crash(project: Project) -> None:
    folder = project.drop("garbled")
    (folder / "autoresearch.jsonl").write_bytes(b"\0\xff{not json\n" * 1000)
    project.agent(ALL_GONE)
    told(project, code=0)


def test_a_record_of_garbage_is_set_aside_and_never_converges_by_itself(project: Project) -> None:
    folder = project.drop("record")
    (folder / ".orch").mkdir()
    (folder / ".orch/state.json").write_text('{"streak": 3, "reason": "converged", "base": ')
    project.agent(ALL_GONE)

    told(project, code=0)

    assert project.record("record")["attempts"] == 1
    assert [path.name for path in (project.folder("record") / ".orch").glob("state.json.bad*")]


# --- benchmarks -----------------------------------------------------------------------------------------------------


def test_a_benchmark_that_prints_a_gigabyte_is_cut_off_and_its_disk_use_is_bounded(project: Project) -> None:
    never_run(project)
    project.drop("loud", benchmark="#!/bin/sh\nhead -c 1000000000 /dev/zero | tr '\\0' 'x'\necho METRIC left=0\n")

    told(project, code=1)

    detail = blocked(project, "loud", "benchmark-defect")

    assert "16" in detail
    assert sum(path.stat().st_size for path in project.tasks.rglob("*") if path.is_file()) < 40 << 20


def test_a_benchmark_that_prints_a_gigabyte_of_lines_is_cut_off_too(project: Project) -> None:
    never_run(project)
    project.drop("loud", benchmark="#!/bin/sh\nyes 'METRIC left=0' | head -c 1000000000\n")
    told(project, code=1)
    blocked(project, "loud", "benchmark-defect")


def test_what_a_benchmark_leaves_running_is_ended(project: Project) -> None:
    """It forks, daemonises, and ignores TERM; its pipes stay open in the children."""
    pids = project.top / "pids"
    stray = f"trap '' TERM HUP INT; echo $$ >> {pids}; exec sleep 1000"
    bench = f"#!/bin/bash\n(trap '' TERM; sleep 1000) &\nsetsid -f bash -c '{stray.replace(chr(39), chr(34))}'\n"
    bench += 'echo "METRIC left=$(grep -c . todo.txt)"\n'
    project.drop("forks", benchmark=bench)
    project.agent(ALL_GONE)

    told(project, code=0)

    assert project.where("forks") == "converged"
    assert not any(sleeps(pid) for pid in pids.read_text().split()) if pids.exists() else True


def sleeps(pid: str) -> bool:
    """Whether it is still the one that was started: its number may be another's by now."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\x00"
    except OSError:
        return False


def test_a_benchmark_that_never_ends_and_ignores_term_is_a_defect_that_names_the_limit(project: Project) -> None:
    never_run(project)
    bench = "#!/bin/bash\ntrap '' TERM INT HUP\n(trap '' TERM; while :; do sleep 0.1; done) &\nwhile :; do sleep 0.1; done\n"
    project.drop("endless", benchmark=bench)

    told(project, code=1, ORCH_BENCHMARK_TIMEOUT="700ms")

    detail = blocked(project, "endless", "benchmark-defect")

    assert "0.7" in detail or "700" in detail


NO_NUMBER = {
    "crashes": ("kill -SEGV $$", "SEGV"), "is killed": ("kill -9 $$", "KILL"), "fails": ("echo METRIC left=0; exit 3", "3"),
    "is silent": ("true", "METRIC"), "nan": ("echo 'METRIC left=nan'", "nan"), "hex": ("echo 'METRIC left=0x0'", "0x0"),
    "infinity": ("echo 'METRIC left=inf'", "inf"), "no name": ("echo 'METRIC __proto__=0'", "__proto__"),
    "underscores": ("echo 'METRIC left=1_000'", "1_000"), "no program": ("exec /no/such/program", "/no/such/program"),
}  # fmt: skip


def test_a_benchmark_that_gives_no_number_is_a_defect_with_the_line_that_tells(project: Project) -> None:
    never_run(project)
    for name, (how, _) in NO_NUMBER.items():
        project.drop(name, benchmark=f"#!/bin/sh\n{how}\n")
    told(project, code=1)
    for name, (_, says) in NO_NUMBER.items():
        assert says in blocked(project, name, "benchmark-defect")


def test_a_benchmark_without_its_interpreter_names_it(project: Project) -> None:
    ran = never_run(project)
    project.drop("alien", benchmark="#!/usr/bin/env no-such-language\n")

    text = told(project, code=1)

    assert "no-such-language" in text
    assert not ran.exists()


def test_two_benchmarks_in_one_folder_are_both_named(project: Project) -> None:
    never_run(project)
    project.drop("two", files={"benchmark.py": "print('METRIC left=0')\n"})
    text = told(project, code=1)
    assert "benchmark.sh" in text
    assert "benchmark.py" in text
    assert project.where("two") == "pending"


def test_a_task_folder_with_a_pipe_inside_does_not_hang(project: Project) -> None:
    never_run(project)
    folder = project.drop("pipe")
    os.mkfifo(folder / "data")

    text = told(project, code=1)

    assert "data" in text


# --- repositories ---------------------------------------------------------------------------------------------------


def refused(project: Project, *, code: int, says: str) -> None:
    """The task is kept and the sentence names the repository and the fix; nothing was run."""
    text = told(project, code=code)
    assert says in text, text
    assert not (project.top / "ran").exists()
    assert project.where("task") in ("blocked", "pending")
    assert says in told(project, "why", "task", code=0)


def test_a_missing_repository_is_named(project: Project) -> None:
    never_run(project)
    project.drop("task", front="repo: not/there")
    refused(project, code=1, says="not/there")
    assert not (project.top / "not").exists()


def test_a_bare_repository_is_named(project: Project) -> None:
    never_run(project)
    project.git("clone", "-q", "--bare", str(project.repo), str(project.top / "bare.git"))
    project.drop("task", front="repo: bare.git")
    refused(project, code=1, says="bare")


def test_a_repository_without_a_commit_says_to_make_one(project: Project) -> None:
    never_run(project)
    (project.top / "empty").mkdir()
    project.git("init", "-q", cwd=project.top / "empty")
    project.drop("task", front="repo: empty")
    refused(project, code=1, says="commit")


def test_a_base_that_does_not_exist_is_named(project: Project) -> None:
    never_run(project)
    project.drop("task", front="base: relaese")
    refused(project, code=1, says="relaese")


def test_a_repository_that_is_put_right_goes_on_by_retry(project: Project) -> None:
    project.drop("task", front="repo: later")
    project.agent(ALL_GONE)
    told(project, code=1)
    project.make_repo({"todo.txt": "x\n"}, project.top / "later")

    project.run("retry", "task", code=0)
    told(project, code=0)

    assert project.git("show", "main:todo.txt", cwd=project.top / "later") == ""


def test_a_shallow_clone_is_worked_on(project: Project) -> None:
    for number in range(3):
        project.commit({"n.txt": str(number)})
    project.git("clone", "-q", "--depth", "1", f"file://{project.repo}", str(project.top / "shallow"))
    project.drop("task", front="repo: shallow")
    project.agent(ALL_GONE)

    told(project, code=0)

    assert project.git("show", "main:todo.txt", cwd=project.top / "shallow") == ""
    assert project.git("rev-parse", "--is-shallow-repository", cwd=project.top / "shallow") == "true"


def test_a_checkout_in_the_middle_of_a_rebase_is_left_exactly_as_it_is(project: Project) -> None:
    project.git("checkout", "-q", "-b", "feature")
    project.commit({"README": "feature\n"})
    project.git("checkout", "-q", "main")
    project.commit({"README": "main\n"})
    project.git("checkout", "-q", "feature")
    project.git("rebase", "main", check=False)
    before = project.git("status")
    assert "rebas" in before
    project.drop("task")
    project.agent(ALL_GONE)

    told(project, code=0)

    assert project.git("status") == before
    assert project.git("show", "main:todo.txt") == ""
    project.git("rebase", "--abort")


def test_a_repository_with_a_submodule_is_worked_on_and_the_submodule_stays(project: Project) -> None:
    library = project.make_repo({"lib.txt": "library\n"}, project.top / "library")
    project.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "vendor")
    project.commit({})
    before = project.git("rev-parse", "main:vendor")
    project.drop("task")
    project.agent(ALL_GONE)

    told(project, code=0)

    assert project.git("show", "main:todo.txt") == ""
    assert project.git("rev-parse", "main:vendor") == before
    assert (project.repo / "vendor/lib.txt").read_text() == "library\n"
    assert project.git("status", "--porcelain") == ""


def test_in_a_sparse_checkout_an_edit_of_a_file_outside_of_it_lands(project: Project) -> None:
    project.commit({"d/x": "before\n"})
    project.git("sparse-checkout", "set", "nothing")
    project.drop("task")
    project.agent(f"{ALL_GONE}; mkdir -p d; echo WORK > d/x")

    told(project, code=0)

    assert project.git("show", "main:d/x") == "WORK"
    assert project.git("show", "main:todo.txt") == ""
    assert project.git("status", "--porcelain") == ""
    assert not (project.repo / "d").exists()


def test_a_branch_below_the_task_s_name_is_in_nobody_s_way(project: Project) -> None:
    project.git("branch", "orchestrator/task/mine")
    project.drop("task")
    project.agent(ALL_GONE)

    told(project, code=0)

    assert project.git("show", "main:todo.txt") == ""
    assert project.record("task")["branch"] == "orchestrator/task-2"


def test_edits_inside_a_submodule_are_told_and_keep_the_worktree(project: Project) -> None:
    library = project.make_repo({"lib.txt": "library\n"}, project.top / "library")
    project.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
    project.commit({})
    project.drop("task", front="setup: git -c protocol.file.allow=always submodule --quiet update --init")
    project.agent(f"{ALL_GONE}; echo only here > lib/other.txt")

    told(project, code=0)

    assert project.git("show", "main:todo.txt") == ""
    assert (project.repo / ".worktrees/task/lib/other.txt").read_text() == "only here\n"
    told_of = [event for event in project.events("task") if "other.txt" in str(event.get("detail"))]
    assert [event["event"] for event in told_of] == ["notice", "worktree_kept"]
    stays = f"{project.repo / '.worktrees/task'} stays: its submodule lib has uncommitted edits (other.txt)"
    assert stays in told(project, "why", "task", code=0)
    project.git("worktree", "remove", "--force", ".worktrees/task")
    assert "stays" not in told(project, "why", "task", code=0)


def test_a_config_that_git_cannot_read_is_a_sentence(project: Project) -> None:
    never_run(project)
    project.drop("task")
    (project.repo / ".git/config").write_text("[core\nnonsense")
    text = told(project, code=None)
    assert "config" in text
    assert project.where("task") in ("blocked", "pending")


def test_an_object_that_is_missing_blocks_nothing_else_and_is_told(project: Project) -> None:
    """A damaged repository beside a good one."""
    damaged = project.make_repo({"todo.txt": "x\n"}, project.top / "damaged")
    tree = project.git("rev-parse", "main^{tree}", cwd=damaged)
    (damaged / ".git/objects" / tree[:2] / tree[2:]).unlink()
    project.drop("task", front="repo: damaged")
    project.drop("fine")
    project.agent(ALL_GONE)

    text = told(project, code=None, ORCH_BACKOFF="100s")

    assert project.where("fine") == "converged"
    assert project.where("task") in ("blocked", "pending")
    assert tree[:10] in text or "damaged" in text


# --- disks ----------------------------------------------------------------------------------------------------------


@contextmanager
def mounted(where: Path, *options: str) -> Iterator[Path]:
    """A mount for the block; skips where this user may not mount."""
    where.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(where)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def fill(where: Path) -> Path:
    """Take all that is left of a file system."""
    ballast = where / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def test_a_full_disk_is_told_in_one_line_and_everything_goes_on_when_there_is_space(project: Project) -> None:
    built = project.drop("task").rename(project.top / "built")
    with mounted(project.tasks, "-t", "tmpfs", "-o", "size=2m", "none"):
        for state in ("pending", "running", "converged", "blocked"):
            (project.tasks / state).mkdir()
        shutil.copytree(built, project.tasks / "staged")
        project.agent(ALL_GONE)
        loop = project.start("--loop")
        project.wait(lambda: project.status()["loop"]["running"], why="loop runs")
        ballast = fill(project.tasks / "pending")  # a folder that is watched: else the next look is in half a minute
        (project.tasks / "staged").rename(project.tasks / "pending/task")
        lines = project.wait(lambda: [line for line in output(project).splitlines() if "space" in line], why="says it")
        time.sleep(2.5)  # several more looks, each of which must not say it again
        lines = [line for line in output(project).splitlines() if "space" in line]
        assert len(lines) <= 2, output(project)
        assert "Traceback" not in output(project)
        assert project.where("task") == "pending"

        ballast.unlink()

        project.wait(lambda: project.where("task") == "converged", why="goes on")
        project.run("--stop", code=0)
        assert loop.wait(60) == 0
        assert project.git("show", "main:todo.txt") == ""


def test_that_an_agent_filled_the_queue_s_disk_is_told_while_its_worker_waits_for_room(project: Project) -> None:
    """It read "agent, for 7 h" all night, of an agent that was through."""
    built = project.drop("task").rename(project.top / "built")
    with mounted(project.tasks, "-t", "tmpfs", "-o", "size=4m", "none"):
        for state in ("pending", "running", "converged", "blocked"):
            (project.tasks / state).mkdir()
        shutil.copytree(built, project.tasks / "pending/task")
        ballast = project.tasks / "ballast"
        project.agent(f"{ALL_GONE}; cat /dev/zero > {ballast} 2> {project.top}/full; true")
        loop = project.start("--loop")
        project.wait((project.top / "full").exists, why="the agent fills it")
        full = f"No space is left at {project.tasks}: nothing can be written down there"
        project.wait(lambda: f"disk: {full}" in project.run("why", "task").stdout, why="says so")
        assert full in project.run("--status").stdout

        ballast.unlink()

        project.wait(lambda: project.where("task") == "converged", why="goes on")
        assert full not in project.run("--status").stdout
        project.run("--stop", code=0)
        assert loop.wait(60) == 0


def test_a_folder_that_can_t_be_moved_keeps_no_other_task_waiting(project: Project) -> None:
    """A mount point here; it may as well be a layer of an image, or another's below a sticky bit."""
    built = project.drop("stuck", front="priority: 9").rename(project.top / "built")
    stuck = project.tasks / "pending/stuck"
    project.agent(ALL_GONE)
    with mounted(stuck, "-t", "tmpfs", "none"):
        shutil.copytree(built, stuck, dirs_exist_ok=True)
        project.drop("task")
        loop = project.start("--loop")
        project.wait(lambda: project.where("task") == "converged", why="the other one runs")
        project.wait(lambda: "pending/stuck: Device or resource busy" in output(project), why="says why the first one doesn't")
        (stuck / "autoresearch.md").write_text("---\ndraft: true\n---\n# stuck\n")
        project.wait(lambda: "Working again." in output(project), why="a draft is not to be claimed")
    project.run("--stop", code=0)
    assert loop.wait(60) == 0


def test_a_disk_that_fills_up_while_an_agent_works_loses_nothing(project: Project) -> None:
    """The repository's disk is full when the agent's work is to be committed."""
    shutil.rmtree(project.repo)
    with mounted(project.repo, "-t", "tmpfs", "-o", "size=4m", "none"):
        shutil.copytree(make_elsewhere(project), project.repo, dirs_exist_ok=True)
        project.drop("task", front="max_failures: 3")
        project.agent(
            f"{ALL_GONE}; echo work > work.txt; head -c 9000000 /dev/zero > {project.repo}/.git/ballast 2>/dev/null; true"
        )

        text = told(project, ORCH_BACKOFF="100s")
        assert "space" in text, text
        assert project.where("task") in ("pending", "blocked")
        assert project.git("show", "main:todo.txt") != ""
        assert project.git("--no-optional-locks", "status", "--porcelain") == ""
        (project.repo / ".git/ballast").unlink()
        project.agent(ALL_GONE)
        if project.where("task") == "blocked":
            project.run("retry", "task", code=0)
        project.run("--task", "task", code=0)

        assert project.git("show", "main:work.txt") == "work"


def make_elsewhere(project: Project) -> Path:
    return project.make_repo({"todo.txt": "one\n"}, project.top / "elsewhere")


def test_a_read_only_tasks_folder_is_a_sentence_for_every_command(project: Project) -> None:
    project.drop("task")
    ran = never_run(project)
    project.run("--status", code=0)
    with mounted(project.tasks, "--bind", str(project.tasks)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(project.tasks)], check=True)
        for words in ([], ["--once"], ["--task", "task"], ["block", "task"], ["add", "other", "--benchmark", "true"]):
            text = told(project, *words, code=1)
            assert "read-only" in text.lower(), (words, text)
            assert str(project.tasks) in text
        for words in (["--status"], ["list"], ["show", "task"], ["why", "task"], ["--graph"]):
            told(project, *words, code=0)
    assert not ran.exists()
    assert project.where("task") == "pending"


def test_a_read_only_repository_loses_nothing_and_says_so(project: Project) -> None:
    project.drop("task")
    ran = never_run(project)
    with mounted(project.repo, "--bind", str(project.repo)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(project.repo)], check=True)
        text = told(project, ORCH_BACKOFF="100s")
        assert "read-only" in text.lower(), text
    assert not ran.exists()
    if project.where("task") == "blocked":
        project.run("retry", "task", code=0)
    project.agent(ALL_GONE)
    project.run("--task", "task", code=0)


# --- clocks ---------------------------------------------------------------------------------------------------------


def test_a_back_off_written_by_a_clock_that_was_far_ahead_does_not_hold_a_task_for_years(project: Project) -> None:
    project.drop("parked")
    project.agent("kill -9 $$")
    project.run("--task", "parked", code=75, ORCH_BACKOFF="100s")
    path = project.folder("parked") / ".orch/state.json"
    record = json.loads(path.read_text())
    record |= {"not_before": time.time() + 1e9, "updated": time.time() + 1e9, "created": time.time() + 1e9}
    path.write_text(json.dumps(record))
    project.agent(ALL_GONE)

    told(project, "--status", code=0)
    told(project, code=0)

    assert project.where("parked") == "converged"


@pytest.mark.parametrize("shift", [-1e9, 1e9])
def test_files_stamped_by_another_clock_are_claimed_all_the_same(project: Project, shift: float) -> None:
    folder = project.drop("stamped")
    for path in (folder, *folder.iterdir()):
        os.utime(path, (time.time() + shift,) * 2)
    project.agent(ALL_GONE)
    told(project, code=0)
    assert project.where("stamped") == "converged"


@pytest.mark.parametrize("shift", [-1e8, 1e8])
def test_a_living_worker_keeps_its_task_when_the_clock_jumps(project: Project, shift: float) -> None:
    go = project.top / "go"
    project.agent(f"echo x >> {project.top}/ran; while [ ! -e {go} ]; do sleep 0.05; done; {ALL_GONE}")
    project.drop("held")
    project.start("--loop")
    project.wait((project.top / "ran").exists, why="agent runs")
    lease = project.folder("held") / ".orch/lease.json"
    os.utime(lease, (time.time() + shift,) * 2)

    project.start("--loop")  # a second loop, which sees only what the files say
    project.wait(lambda: len(list((project.tasks / ".orch/owners").iterdir())) >= 3, why="second loop runs")
    told(project, "--status", code=0)
    told(project, "--once")
    go.touch()
    project.wait(lambda: project.where("held") == "converged", why="converges")

    assert (project.top / "ran").read_text().split() == ["x"]
    project.run("--stop", code=0)


def output(project: Project) -> str:
    return (project.top / "out-0.txt").read_text()
