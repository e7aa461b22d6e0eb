"""Every way around an evaluator is refused with its reason: here, that of a sorting network which must not get worse."""

from __future__ import annotations

import pytest
from support.project import Project

BUBBLE = [(low, low + 1) for last in range(7, 0, -1) for low in range(last)]
OPTIMUM = 19
FRONT = f"metric: {{name: comparators, direction: lower, target: {OPTIMUM}}}\nscope: [network.txt]\nmax_failures: 2"
EVALUATOR = """#!/usr/bin/env python3
import sys
from itertools import product
from pathlib import Path

network = [tuple(map(int, line.split())) for line in Path("network.txt").read_text().splitlines()]
for case in product((0, 1), repeat=8):
    wires = list(case)
    for low, high in network:
        if wires[low] > wires[high]:
            wires[low], wires[high] = wires[high], wires[low]
    if wires != sorted(case):
        sys.exit(f"{case} is not sorted")
print(f"METRIC comparators={len(network)}")
"""
# The same, of a product that is code: what the product prints is on the benchmark's output.
IMPORTING = EVALUATOR.replace(
    'network = [tuple(map(int, line.split())) for line in Path("network.txt").read_text().splitlines()]',
    "sys.path.insert(0, '')\nsys.dont_write_bytecode = True\nfrom network import network",
)


def text(network: list[tuple[int, int]]) -> str:
    return "".join(f"{low} {high}\n" for low, high in network)


def drop(project: Project, *, evaluator: str = EVALUATOR, front: str = FRONT) -> None:
    folder = project.drop("network", front=front, files={"benchmark.py": evaluator})
    (folder / "benchmark.sh").unlink()


def test_a_network_that_is_shorter_and_does_not_sort_is_never_taken(project: Project) -> None:
    before = project.commit({"network.txt": text(BUBBLE)})
    drop(project)
    project.agent("head -n 19 network.txt > shorter; mv shorter network.txt")

    project.run(code=1)

    first = project.record("network")["history"][0]
    assert first["result"] == "benchmark-defect"
    assert "is not sorted" in first["detail"]
    assert project.git("rev-parse", "main") == before


CHEATS = {
    "METRIC from the product": (f"print('METRIC comparators={OPTIMUM}')", "no-improvement"),
    "NaN": ("print('METRIC comparators=nan')", "benchmark-defect"),
    "hex": ("print('METRIC comparators=0x13')", "benchmark-defect"),
    "infinity": ("print('METRIC comparators=-inf')", "benchmark-defect"),
    "an edit of the benchmark that runs": (
        "import os; open(os.environ['ORCH_TASK_DIR'] + '/benchmark.py', 'a').write('print(19)')",
        "benchmark-defect",
    ),
    "ending early": (f"print('METRIC comparators={OPTIMUM}', flush=True); import os; os._exit(1)", "benchmark-defect"),
    "out of time": ("import time; time.sleep(1000)", "benchmark-defect"),
    "a grandchild that goes on": (
        "import subprocess, time; subprocess.Popen(['sleep', '1000'], start_new_session=True); time.sleep(1000)",
        "benchmark-defect",
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_number_that_the_product_makes_up_is_refused(project: Project, cheat: str) -> None:
    line, result = CHEATS[cheat]
    before = project.commit({"network.py": f"network = {BUBBLE}\n"})
    drop(project, evaluator=IMPORTING, front=FRONT.replace("network.txt", "network.py"))
    project.agent(f"cat >> network.py <<'END'\n{line}\nEND")

    project.run(code=1, ORCH_BENCHMARK_TIMEOUT="8s" if "sleep" in line else "60s")  # in that time it has to measure the base, too

    record = project.record("network")
    assert record["reason"] == "exhausted"
    assert record["history"][0]["result"] == result
    assert record["best"] == {"comparators": 28}
    assert project.git("rev-parse", "main") == before


@pytest.mark.parametrize(("script", "result"), [
    ("sed -i s/len.network./19/ $ORCH_TASK_DIR/benchmark.py {tasks}/running/*/benchmark.py", "tampered"),
    ("echo x > helper.txt; sed -i 1d network.txt", "scope-violation"),
    ("echo staged > staged.txt; git add staged.txt", "scope-violation"),
    ("echo own > own.txt; git add own.txt; git commit -qm own", "scope-violation"),
    ("git commit -q --allow-empty -m cheat; git update-ref refs/heads/main HEAD", "tampered"),
    ("echo cache > out.pyc; echo '*.pyc' > .gitignore; git add -f out.pyc", "scope-violation"),
    ("rm network.txt; seq 19 | sed 's/.*/0 1/' > $HOME/elsewhere; ln -s $HOME/elsewhere network.txt", "scope-violation"),
    ("git rm -q test_network.py", "scope-violation"),
    ("sed -i 's/assert/pass #/' test_network.py", "scope-violation"),
    ("echo 'import time; time.time = lambda: 0' > sitecustomize.py; git add sitecustomize.py", "scope-violation"),
    ("git stash -q --include-untracked; echo x > other.txt; git commit -q --allow-empty -m a; git checkout -q -b own", "scope-violation"),
])  # fmt: skip
def test_every_way_around_the_evaluator_is_refused_with_its_reason(project: Project, script: str, result: str) -> None:
    project.commit({"network.txt": text(BUBBLE), "test_network.py": "assert True\n"})
    drop(project)
    project.agent(script.replace("{tasks}", str(project.tasks)))

    project.run(code=1)

    record = project.record("network")
    assert project.where("network") == "blocked"
    assert record["history"][0]["result"] == result
    assert project.git("show", "main:network.txt") + "\n" == text(BUBBLE)


@pytest.mark.parametrize(("steps", "result"), [
    ('{write = "${ORCH_TASK_DIR}/benchmark.py", content = "print(1)"}', "tampered"),
    ('{write = "helper.txt", content = "x"}, {commit = "mine"}', "scope-violation"),
    ('{write = "network.txt", content = "0 1\\n"}, {lie = "All done, 19 comparators."}', "benchmark-defect"),
    ('{lie = "All done, 19 comparators."}', "no-improvement"),
])  # fmt: skip
def test_a_scripted_agent_is_refused_for_the_same(project: Project, steps: str, result: str) -> None:
    before = project.commit({"network.txt": text(BUBBLE)})
    drop(project)
    (project.folder("network") / "scenario.toml").write_text(f"steps = [{steps}]\n")
    project.env["ORCH_AGENT"] = "scripted"
    project.run(code=1)
    assert project.record("network")["history"][0]["result"] == result
    assert project.git("rev-parse", "main") == before


def test_what_the_product_prints_and_ends_with_code_0_is_refused_where_the_numbers_have_their_own_file(project: Project) -> None:
    before = project.commit({"network.py": f"network = {BUBBLE}\n"})
    private = IMPORTING.replace("import sys\n", "import os, sys\nwhere = os.environ.pop('ORCH_METRICS_FILE')\n", 1)
    private = private.replace(
        'print(f"METRIC comparators={len(network)}")', 'Path(where).write_text(f"METRIC comparators={len(network)}")'
    )
    drop(project, evaluator=private, front=FRONT.replace("network.txt", "network.py"))
    project.agent(f"echo \"print('METRIC comparators={OPTIMUM}', flush=True); import os; os._exit(0)\" >> network.py")
    project.run(code=1)
    assert project.record("network")["history"][0]["result"] == "benchmark-defect"
    assert project.git("rev-parse", "main") == before


def test_a_shell_s_benchmark_says_its_numbers_to_a_descriptor_that_its_product_has_not(project: Project) -> None:
    project.commit({"product.sh": "true\n"})
    told = 'echo "METRIC left=$(grep -c . todo.txt)" >&$ORCH_METRICS_FD'
    project.drop("told", benchmark=f'#!/bin/sh\neval "sh product.sh $ORCH_METRICS_FD>&-"\n{told}\n', front="max_failures: 2")
    forge = 'for n in 1 3 4 5 6 7 8 9; do (eval "echo METRIC forged=0 >&$n") 2> /dev/null; done; true'
    project.agent(f"cat > product.sh <<'END'\n{forge}\nEND\n[ $ORCH_ATTEMPT = 1 ] || : > todo.txt")
    project.run(code=0)
    measured = [event for event in project.events("told") if event["event"] == "measured"]
    assert [event["values"] for event in measured] == [{"left": 3}, {"left": 3}, *([{"left": 0}] * (len(measured) - 2))]
    assert all(event["sealed"] for event in measured)


def test_nothing_of_a_sample_that_ran_out_of_time_is_left(project: Project) -> None:
    project.commit({"network.py": f"network = {BUBBLE}\n"})
    drop(project, evaluator=IMPORTING, front=FRONT.replace("network.txt", "network.py").replace("2", "1"))
    line, _ = CHEATS["a grandchild that goes on"]
    project.agent(f"cat >> network.py <<'END'\n{line}\nEND")
    project.run(code=1, ORCH_BENCHMARK_TIMEOUT="8s")
    assert not project.survivors()


def test_an_agent_that_lowers_its_target_in_the_real_spec_gets_it_only_if_a_person_confirms_it(project: Project) -> None:
    spec = f"{project.tasks}/running/eased.*/autoresearch.md"
    project.agent(f"sed -i 's/target: 0/target: 3/' {spec}; exit 3")  # a crash: the task is parked, and claimed again
    project.drop("eased", front="metric: {name: left, target: 0}")
    project.run(code=1)
    task = project.task("eased")
    assert (task["state"], task["reason"]) == ("blocked", "tampered")
    assert "metrics in the spec changed while an agent ran" in task["detail"]
    assert "`orchestrator retry eased` confirms it" in project.run("why", "eased", code=0).stdout
    project.run("retry", "eased", code=0)
    project.run(code=0)
    assert project.where("eased") == "converged"


@pytest.mark.parametrize("front", ["", "benchmark: sh bench.sh"], ids=["the-task-folder-s", "the-repository-s"])
def test_a_script_that_the_product_writes_on_while_a_shell_still_reads_it_gives_no_number(project: Project, front: str) -> None:
    script = "sh product.sh\necho METRIC left=$(grep -c . todo.txt)\n"
    before = project.commit({"product.sh": "true\n", "bench.sh": script})
    folder = project.drop("t", benchmark=script, front=f"max_failures: 1\n{front}")
    if front:
        (folder / "benchmark.sh").unlink()
    path = "bench.sh" if front else "$ORCH_TASK_DIR/benchmark.sh"
    project.agent(f"cat > product.sh <<'END'\necho 'echo METRIC left=0' >> {path}\nEND")
    project.run(code=1)
    first = project.record("t")["history"][0]
    assert first["result"] == "benchmark-defect"
    assert f"{path.rsplit('/', maxsplit=1)[-1]} was changed while the benchmark ran" in first["detail"]
    assert project.git("rev-parse", "main") == before


def test_a_folder_that_an_agent_moves_to_converged_is_not_said_to_be_verified(project: Project) -> None:
    before = project.git("rev-parse", "main")
    project.drop("t")
    project.agent(f"mv {project.tasks}/running/t.* {project.tasks}/converged/t; sleep 60")
    told = "moved there by hand, nothing was verified or landed"
    assert f"t: converged: {told}" in project.run(code=0).stdout
    assert told.replace("there", "here") in project.run("why", "t", code=0).stdout
    assert project.git("rev-parse", "main") == before


def test_an_agent_that_kills_its_worker_each_time_is_not_paid_for_ever_and_its_work_is_kept(project: Project) -> None:
    project.drop("t")
    project.agent(f"echo x >> {project.top}/sessions; echo kept > kept.txt; kill -9 $PPID; sleep 60")
    project.run(code=1)
    task = project.task("t")
    assert (task["state"], task["reason"], task["attempts"]) == ("blocked", "fault", 0)
    assert "its worker was killed in 6 sessions in a row" in task["detail"]
    assert (project.top / "sessions").read_text() == "x\n" * 6
    assert project.git("show", "orchestrator/t:kept.txt") == "kept"
    assert not project.survivors()
    project.agent(": > todo.txt")
    project.run("retry", "t", code=0)
    project.run(code=0)


EDITS = {
    "gates": ("sed -i /gates/d {spec}", "gates in the spec changed while an agent ran"),
    "target": ("sed -i 's/target: 0/target: 2/' {spec}", "metrics in the spec changed while an agent ran"),
    "benchmark": (
        "echo 'echo METRIC left=0' >> {spec}/../benchmark.sh",
        "benchmark.sh in the task folder changed while the agent ran",
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_an_agent_edited_is_told_where_a_person_decides_on_a_retry(project: Project, edit: str) -> None:
    script, told = EDITS[edit]
    front = "metric: {name: left, target: 0}\ngates: {mine: 'test ! -e evil'}\nmax_failures: 2"
    project.drop("x", front=front)
    project.agent(
        "touch evil; "
        + script.format(
            spec=f"$(echo {project.tasks}/running/x.*/autoresearch.md | sed 's,/autoresearch.md,,')/autoresearch.md"
        ).replace("autoresearch.md/../", "")
    )

    assert told in project.run(code=1).stdout
    assert told in project.run("why", "x", code=0).stdout
    assert f"Taken for yours from now on: {told}" in project.run("retry", "x", code=0).stdout


MOVERS = {
    "by what is measured": ("printf 'git update-ref refs/heads/main HEAD\n' > product.sh", "while the task's work was measured"),
    "by a merge in the user's checkout": (
        "echo junk > junk; git add -A; git commit -qm half; git -C {repo} merge -q --no-ff -m m orchestrator/x", "while the agent ran"),
}  # fmt: skip


@pytest.mark.parametrize("mover", MOVERS)
def test_a_base_that_has_come_to_hold_the_task_s_unlanded_work_blocks_it(project: Project, mover: str) -> None:
    script, told = MOVERS[mover]
    before = project.commit({"product.sh": "true\n"})
    project.drop("x", benchmark="#!/bin/sh\nsh product.sh\necho METRIC left=$(grep -c . todo.txt)\n")
    project.agent(script.format(repo=project.repo))

    project.run(code=1)

    record = project.record("x")
    assert record["reason"] == "tampered"
    assert told in record["detail"]
    assert before in record["detail"]


def test_what_puts_a_moved_base_back_takes_nothing_of_others_away(project: Project) -> None:
    """Something landed before the task's work came there, and then something on top of it."""
    project.drop("x")
    other = f"(cd {project.repo}; echo {{0}} > {{0}}; git add {{0}}; git commit -qm {{0}})"
    mine = f"echo junk > junk; git add -A; git commit -qm half; git -C {project.repo} merge -q --no-ff -m m orchestrator/x"

    project.agent(f"{other.format('before')}; {mine}")
    project.run(code=1)
    before, moved = project.git("rev-parse", "main^1", "main").split()
    assert f"`git update-ref refs/heads/main {before} {moved}` puts it back" in project.record("x")["detail"]

    project.git("reset", "-q", "--hard", before)
    project.run("retry", "x", code=0)
    project.agent(f"{mine}; {other.format('after')}")
    project.run(code=1)
    assert f"it was at {before[:10]}: others' commits came on top" in project.record("x")["detail"]


LOOKS = {
    "a merge": "git merge -q main",
    "a rebase": "git rebase -q main",
    "a reset": "git reset -q --hard main",
    "a pull": "echo x > x; git add x; git commit -qm x; git pull -q --rebase . main",
}


@pytest.mark.parametrize("look", LOOKS)
def test_an_agent_that_takes_up_what_came_to_the_base_meanwhile_has_not_moved_it(project: Project, look: str) -> None:
    project.drop("x", front="metric: {name: left, target: 0}\nmax_failures: 1")
    project.agent(f"cd {project.repo}; : > todo.txt; git commit -qam theirs; cd $OLDPWD; {LOOKS[look]}")
    project.run(code=0)
    assert project.where("x") == "converged"


WAITING = """#!/bin/sh
left=$(grep -c . todo.txt)
if [ $left = 0 ]; then touch {top}/measured; while [ ! -e {top}/go ]; do sleep 0.02; done; fi
echo METRIC left=$left
"""
MOVES = {
    "forward to what the agent looked at": "git merge -q feature",
    "back to what the agent looked at": "git reset -q --hard HEAD~1",
}


@pytest.mark.parametrize("move", MOVES)
def test_a_person_may_move_the_base_while_the_work_is_measured(project: Project, move: str) -> None:
    project.git("branch", "old")
    project.commit({"user.txt": "one\n"})
    project.git("checkout", "-q", "-b", "feature")
    project.commit({"user.txt": "two\n"})
    project.git("checkout", "-q", "main")
    project.drop("x", benchmark=WAITING.format(top=project.top), front="metric: {name: left, target: 0}\nmax_failures: 1")
    looked = "git checkout -q --detach old; git checkout -q feature; git checkout -q orchestrator/x"
    project.agent(f"{looked}; : > todo.txt; git commit -qam done")

    loop = project.start()
    project.wait((project.top / "measured").exists)
    project.git(*MOVES[move].split()[1:])
    (project.top / "go").touch()

    assert loop.wait(60) == 0, project.story()
    assert project.git("show", "main:todo.txt") == ""


def test_an_agent_that_changes_how_git_fills_a_checkout_is_refused(project: Project) -> None:
    project.drop("x")
    project.agent(
        "git config filter.z.smudge ': |'; git config filter.z.clean 'cat'; echo 'todo.txt filter=z' > .gitattributes;"
        " git add .gitattributes; rm todo.txt; git checkout -q todo.txt; git commit -qm x"
    )
    project.run(code=1)
    assert project.record("x")["reason"] == "tampered"
    assert "filter.z.clean, filter.z.smudge" in project.record("x")["detail"]


def test_an_agent_that_has_links_checked_out_as_files_is_refused(project: Project) -> None:
    """The commit holds a link to nowhere, every checkout here a file with its text."""
    project.drop("x", benchmark="echo METRIC left=$(grep -vc 0 todo.txt)")
    project.agent(
        "git config core.symlinks false; blob=$(printf 0 | git hash-object -w --stdin); printf 0 > todo.txt;"
        " git update-index --cacheinfo 120000,$blob,todo.txt; git commit -qm x"
    )
    project.run(code=1)
    assert project.record("x")["reason"] == "tampered"
    assert "core.symlinks" in project.record("x")["detail"]


FILTER = (
    "{} filter.z.smudge ': |'; {} filter.z.clean 'git cat-file blob main:todo.txt'; echo 'todo.txt filter=z' > {};"
    " touch more.txt; git add .; git commit -qm x; rm todo.txt; git checkout -q todo.txt"
)


@pytest.mark.parametrize(
    "cheat",
    {
        "a filter for all repositories": FILTER.format(*["git config --global"] * 2, ".gitattributes"),
        "the user's attributes": FILTER.format(*["git config --global"] * 2, "~/.config/git/attributes"),
        "in a file that is included": FILTER.format(*["git config -f ~/.gitmore"] * 2, ".gitattributes"),
    }.items(),
    ids=lambda cheat: cheat[0],
)
def test_an_agent_that_changes_how_the_users_git_fills_checkouts_is_refused(project: Project, cheat: tuple[str, str]) -> None:
    """The commit holds what the base held; every checkout, and so every sample, something else."""
    project.env["HOME"] = str(project.top)
    (project.top / ".config" / "git").mkdir(parents=True)
    project.git("config", "--global", "include.path", ".gitmore")
    project.drop("x")
    project.agent(cheat[1])
    project.run(code=1)
    assert project.record("x")["reason"] == "tampered"
    assert "how git fills a checkout" in project.record("x")["detail"]


def test_work_that_changes_how_git_fills_checkouts_as_it_is_measured_is_refused(project: Project) -> None:
    """What the agent left runs in the benchmark, after the agent."""
    project.commit({"work.sh": "true"})
    project.drop("x", benchmark="sh work.sh\necho METRIC left=$(grep -c . todo.txt)")
    project.agent("echo 'git config filter.z.smudge \": |\"' > work.sh; echo 'todo.txt filter=z' > .gitattributes; : > todo.txt")
    project.run(code=1)
    assert project.record("x")["reason"] == "tampered"
    assert "filter.z.smudge" in project.record("x")["detail"]


def test_how_git_fills_checkouts_is_looked_at_also_after_a_session_that_is_not_judged(project: Project) -> None:
    """A usage limit, here: the next session would begin with what this one has set."""
    limit = 'git config filter.z.smudge : ; printf \'@scripted {"kind": "limit", "text": "wait", "data": {}}\\n\'; exit 1'
    (project.top / "limited.sh").write_text(limit)
    steps = f'steps = [{{run = "sh {project.top}/limited.sh"}}]'
    project.drop("x", front="agent: scripted", files={"scenario.toml": steps})
    project.run(code=1)
    assert project.record("x")["reason"] == "tampered"


def test_an_agent_that_installs_git_lfs_is_no_cheat(project: Project) -> None:
    project.env["HOME"] = str(project.top)
    project.drop("x")
    settings = {"clean": "git-lfs clean -- %f", "smudge": "git-lfs smudge -- %f", "process": "git-lfs filter-process"}
    install = [f"git config --global filter.lfs.{name} '{value}'" for name, value in {**settings, "required": "true"}.items()]
    project.agent("; ".join([*install, ": > todo.txt"]))
    project.run(code=0)


@pytest.mark.parametrize(
    "setting",
    [
        "git config --global core.autocrlf false",
        "printf '# notebooks\\n*.ipynb diff=jupyternotebook merge=jupyternotebook\\n' > ~/.config/git/attributes",
    ],
    ids=["git's own default", "how a file is shown"],
)
def test_a_setting_by_which_checkouts_are_filled_as_before_is_no_cheat(project: Project, setting: str) -> None:
    """It may be the user's, too, and then each task that runs would be held for it."""
    project.env["HOME"] = str(project.top)
    (project.top / ".config" / "git").mkdir(parents=True)
    project.drop("x")
    project.agent(f"{setting}; : > todo.txt")
    project.run(code=0)


def test_an_agent_that_sets_for_the_repository_what_the_user_has_set_for_all_changes_nothing(project: Project) -> None:
    """`git lfs install --local`, where the user has Git LFS."""
    settings = {
        "filter.lfs.clean": "git-lfs clean -- %f",
        "filter.lfs.smudge": "git-lfs smudge -- %f",
        "filter.lfs.required": "true",
    }
    project.env["HOME"] = str(project.top)
    for name, value in settings.items():
        project.git("config", "--global", name, value)
    project.drop("x")
    project.agent("; ".join([": > todo.txt", *(f"git config {name} '{value}'" for name, value in settings.items())]))
    project.run(code=0)
    assert project.git("show", "main:todo.txt") == ""


def test_a_set_up_that_sets_what_is_set_already_has_changed_nothing(project: Project) -> None:
    """As husky does at each `npm install`."""
    project.drop("x", front="metric: {name: left, target: 0}\nsetup: git config core.hooksPath .husky")
    project.agent(": > todo.txt")
    project.run(code=0)
    assert "finding" not in [event["event"] for event in project.events("x")]


def test_any_other_setting_that_an_agent_or_the_product_makes_is_told_in_the_report(project: Project) -> None:
    project.commit({"product.sh": "true\n"})
    project.drop("x", benchmark="#!/bin/sh\nsh product.sh\necho METRIC left=$(grep -c . todo.txt)\n")
    project.agent(": > todo.txt; git config user.nickname me; echo 'git config user.nickname you' > product.sh")
    project.run(code=0)
    report = project.run("report", "x", code=0).stdout
    assert "git configuration or hooks changed while the agent ran" in report
    assert "git configuration or hooks changed while the task's work was measured" in report


def test_what_an_agent_merged_or_rebased_from_the_base_is_not_held_against_it(project: Project) -> None:
    project.drop("x", front="metric: {name: left, target: 0}\nscope: [todo.txt]\nmax_failures: 1")
    theirs = "echo theirs > user.txt; git add user.txt; git commit -qm theirs; git rm -q --cached notes.txt 2> /dev/null; true"
    project.agent(f"(cd {project.repo}; {theirs}); git merge -q --no-edit main; : > todo.txt")
    project.run(code=0)
    assert project.git("show", "main:user.txt") == "theirs"
    assert project.git("show", "main:todo.txt") == ""


@pytest.mark.parametrize("brought", ["merge -q --no-edit", "rebase -q"], ids=["merged", "rebased"])
def test_what_it_brought_along_from_the_base_is_not_its_own_either_once_the_base_has_changed_it_again(
    project: Project, brought: str
) -> None:
    project.commit({"user.txt": "one\n"})
    project.drop("x", front="metric: {name: left, target: 0}\nscope: [todo.txt]\nmax_failures: 1")
    edit = f"(cd {project.repo}; echo {{0}} > user.txt; git commit -qam {{0}})"
    project.agent(f": > todo.txt; git commit -qam done; {edit.format('two')}; git {brought} main; {edit.format('three')}")
    project.run(code=0)
    assert project.git("show", "main:user.txt") == "three"
    assert project.git("show", "main:todo.txt") == ""


def test_a_tree_too_deep_for_anybody_keeps_neither_its_task_nor_the_next_from_landing(project: Project) -> None:
    deep = "import os\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\nopen('file', 'w')"
    project.commit({"deep.py": deep, ".gitignore": "/d/\n"})
    project.agent("python3 deep.py; : > todo.txt")
    for name in ("x", "y"):
        project.drop(name)
        project.run(code=0)
    assert project.git("show", "main:todo.txt") == ""
    assert list(project.repo.glob(".worktrees/.pool/trash-*")) == []


@pytest.mark.parametrize("put", ["mkfifo", "ln -s /dev/zero"])
def test_a_copy_of_the_benchmark_that_never_ends_is_an_edit_and_waited_for_by_nobody(project: Project, put: str) -> None:
    project.drop("x", front="metric: {name: left, target: 0}\nmax_failures: 1")
    project.agent(f': > todo.txt; rm "$ORCH_TASK_DIR"/benchmark.sh; {put} "$ORCH_TASK_DIR"/benchmark.sh')
    project.run(code=1)
    assert project.record("x")["reason"] == "tampered"


def test_a_history_that_an_agent_cut_off_is_told_with_what_brings_it_back(project: Project) -> None:
    for number in range(3):
        project.commit({"more.txt": str(number)})
    project.git("clone", "-q", "--bare", str(project.repo), str(project.top / "up.git"))
    project.git("remote", "add", "origin", f"file://{project.top}/up.git")
    project.drop("x")
    project.agent("git fetch -q --depth=1 origin main; : > todo.txt")
    project.run(code=0)
    assert "`git fetch --unshallow` brings them back" in project.run("report", "x", code=0).stdout


def test_more_of_a_history_of_which_only_a_part_was_here_is_nothing_to_look_at(project: Project) -> None:
    for number in range(3):
        project.commit({"more.txt": str(number)})
    up = project.repo.rename(project.top / "up")
    project.git("clone", "-q", "--depth=1", f"file://{up}", str(project.repo), cwd=project.top)
    project.drop("x")
    project.agent("git fetch -q --deepen=1; : > todo.txt")
    project.run(code=0)
    assert project.git("rev-list", "--count", "main^1") == "2"
    assert "history was cut off" not in project.run("report", "x", code=0).stdout
