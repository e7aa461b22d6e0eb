"""What an agent must not see or be able to write: the holdout, and the private channels of a benchmark's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.desk import DONE, Desk

from orchestrator.core.outcome import Reason
from orchestrator.core.record import Result
from orchestrator.core.task import State

SECRET = "#!/bin/sh\n# SECRET\ngrep -q SECRET $ORCH_TASK_DIR/hidden.sh || exit 1\necho METRIC left=$(test -e real.txt; echo $?)\n"
LOOK = "cp -r $ORCH_TASK_DIR {top}/given; cat $ORCH_PROMPT_FILE >> {top}/prompts; env > {top}/env; "
COUNTS = '#!/bin/sh\ncp -r $ORCH_TASK_DIR {top}/measured-$$\necho "METRIC left=$(grep -c . todo.txt)"\n'


def everything(folder: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_win_that_misses_the_holdout_is_a_failure_of_which_the_prompt_tells_nothing_more(desk: Desk) -> None:
    desk.drop(front="holdout: hidden.sh", files={"hidden.sh": SECRET}, benchmark=COUNTS.format(top=desk.top))
    desk.agent(f'{desk.call} test $n != 1 || {{ {LOOK.format(top=desk.top)} }}; {DONE}; test $n = 1 || {{ cat $ORCH_PROMPT_FILE >> {desk.top}/prompts; touch real.txt; }}')  # fmt: skip
    desk.serve()
    assert desk.state() is State.CONVERGED
    first, second = desk.record().history
    assert (first.result, first.detail, second.result) == (Result.GATE, "holdout: the hidden check failed", Result.CONVERGED)
    seen = everything(desk.top / "given") + (desk.top / "prompts").read_text() + (desk.top / "env").read_text()
    assert "hidden check" in seen
    assert "SECRET" not in seen
    assert "hidden.sh" not in seen
    assert not any((folder / "hidden.sh").exists() for folder in desk.top.glob("measured-*"))
    assert [event["values"] for event in desk.events(event="measured") if event["where"] == "holdout"] == [
        {"left": 1},
        {"left": 0},
    ]


def test_a_holdout_that_is_a_command_is_not_in_the_agent_s_copy_of_the_spec(desk: Desk) -> None:
    desk.drop(front="priority: 1\nholdout: 'echo METRIC left=$(test -e SECRET; echo $?)'\nmax_failures: 1")
    desk.agent(f"{LOOK.format(top=desk.top)} {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.GATE)
    spec = (desk.top / "given/autoresearch.md").read_text()
    assert "SECRET" not in everything(desk.top / "given") + (desk.top / "prompts").read_text()
    assert "priority: 1" in spec
    assert "Make it so." in spec


def test_a_script_of_the_repository_that_a_holdout_runs_is_no_task_s_to_change(desk: Desk) -> None:
    desk.commit({"hidden.sh": "echo METRIC left=$(test -e real.txt; echo $?)\n"})
    desk.drop(front="holdout: timeout 60 sh hidden.sh\nmax_failures: 1")
    desk.agent(f"echo echo METRIC left=0 > hidden.sh; {DONE}")
    desk.serve()
    assert (desk.state(), desk.record().reason) == (State.BLOCKED, Reason.SCOPE_VIOLATION)
    assert "hidden.sh (the benchmark or a gate runs it: no task may change it)" in (desk.record().detail or "")


def test_the_merged_commit_is_held_to_the_holdout_too(desk: Desk) -> None:
    desk.drop(front="holdout: 'test ! -e other.txt || test -e real.txt && echo METRIC left=0'")
    other = f"cd {desk.repo} && echo x > other.txt && git add other.txt && git commit -qm other"
    desk.agent(f"{desk.call} {DONE}; test $n = 1 && {{ {other}; exit; }}; touch real.txt")
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert desk.record().history[0].detail == "after merging the base, holdout: the hidden check failed"


def test_a_holdout_that_is_not_there_is_refused_before_anybody_is_paid(desk: Desk) -> None:
    desk.drop(front="holdout: hidden.sh")
    desk.agent(desk.call)
    desk.serve()
    assert (desk.record().reason, desk.calls()) == (Reason.BENCHMARK_DEFECT, 0)


WRITES = "#!/bin/sh\nf=$ORCH_METRICS_FILE; unset ORCH_METRICS_FILE; sh product.sh\n{write}\n"
LINES = 'echo "METRIC left=$(grep -c . todo.txt)" > $f'
JSON = 'echo "{\\"left\\": $(grep -c . todo.txt)}" > $f'
FORGED = "echo METRIC left=0"
# The shell gives a descriptor on unless told otherwise; digits only may stand before the `>`. A worker's is a single digit, as
# sh wants it (`e2e/test_tampering.py`); the process of a test has many more open.
TELLS = """#!/bin/bash
eval "sh product.sh $ORCH_METRICS_FD>&-"
{write}
"""
TOLD = "echo METRIC left=$(grep -c . todo.txt) >&$ORCH_METRICS_FD"
PYTHON = """#!/usr/bin/env python3
import os, subprocess
told = os.fdopen(int(os.environ.pop("ORCH_METRICS_FD")), "w")
subprocess.run(["sh", "product.sh"])
print("METRIC left=%d" % len(open("todo.txt").readlines()), file=told)
"""
CHANNELS = {
    "lines in the file": WRITES.format(write=LINES),
    "JSON in the file": WRITES.format(write=JSON),
    "lines to the descriptor": TELLS.format(write=TOLD),
    "JSON to the descriptor": TELLS.format(write=JSON.replace("> $f", ">&$ORCH_METRICS_FD")),
    "the descriptor from Python": PYTHON,
}


@pytest.mark.parametrize("benchmark", CHANNELS.values(), ids=CHANNELS)
def test_numbers_in_a_private_channel_count_and_what_the_product_prints_does_not(desk: Desk, benchmark: str) -> None:
    desk.commit({"product.sh": "echo METRIC left=0; echo METRIC bad=nan\n"})
    desk.drop(benchmark=benchmark)
    desk.agent("sed -i 1d todo.txt")
    desk.serve()
    assert (desk.state(), desk.record().attempts) == (State.CONVERGED, 3)
    assert {event["sealed"] for event in desk.events(event="measured")} == {True}


@pytest.mark.parametrize("benchmark", CHANNELS.values(), ids=CHANNELS)
def test_a_base_that_is_measured_five_times_is_asked_by_the_same_channel_each_time(desk: Desk, benchmark: str) -> None:
    desk.commit({"product.sh": "echo METRIC left=0\n"})
    desk.drop(front="mode: optimize\nmetric: {name: left, target: 0}", benchmark=benchmark)
    desk.agent("sed -i 1d todo.txt")
    desk.serve()
    assert (desk.state(), desk.record().attempts) == (State.CONVERGED, 3)
    assert {event["sealed"] for event in desk.events(event="measured")} == {True}


def test_a_base_that_is_measured_anew_is_asked_as_the_new_benchmark_says_its_numbers(desk: Desk) -> None:
    guarded = "metrics: [{name: left, target: 0}, {name: size, guard: true}]\nmax_failures: 1"
    folder = desk.drop(front=guarded, benchmark="#!/bin/bash\necho METRIC left=3; echo METRIC size=1\n")
    desk.agent("true")
    desk.serve()
    assert desk.record().private is None
    folder = desk.folder().rename(folder)
    (folder / "benchmark.sh").write_text(f"#!/bin/bash\n{TOLD}\necho METRIC size=1 >&$ORCH_METRICS_FD\n")
    desk.agent("sed -i d todo.txt")
    desk.serve()
    assert (desk.state(), str(desk.record().private)) == (State.CONVERGED, "descriptor")


@pytest.mark.parametrize(("far", "state", "samples"), [("1", State.CONVERGED, 12), ("1 2 3", State.BLOCKED, 3)])
def test_a_hidden_check_of_a_noisy_number_is_no_matter_of_one_sample(desk: Desk, far: str, state: State, samples: int) -> None:
    """Those of its samples that are `far` off: one may be, as in the open, and three in a row show nothing."""
    count = f"echo x >> {desk.top}/hidden; k=$(grep -c . {desk.top}/hidden)"
    hidden = f"#!/bin/sh\n{count}\ncase ' {far} ' in *\" $k \"*) echo METRIC left=9;; *) echo METRIC left=$(grep -c . todo.txt);; esac\n"
    front = "metric: {name: left, target: 0, kind: noisy}\nholdout: hidden.sh\nmax_failures: 1"
    desk.drop(front=front, files={"hidden.sh": hidden})
    desk.agent(": > todo.txt")
    desk.serve()
    assert desk.state() is state
    assert len([event for event in desk.events(event="measured") if event["where"] == "holdout"]) == samples


REACH = "bash -c 'for n in {3..99}; do echo METRIC forged=0 >&$n; done' 2> /dev/null; true"


@pytest.mark.parametrize("benchmark", [TELLS.format(write=TOLD), PYTHON, WRITES.format(write=LINES)])
def test_a_product_that_writes_to_every_descriptor_it_has_forges_nothing(desk: Desk, benchmark: str) -> None:
    desk.commit({"product.sh": "true\n"})
    desk.drop(front="max_failures: 1", benchmark=benchmark)
    desk.agent(f"cat > product.sh <<'END'\n{REACH}\nEND\n")
    desk.serve()
    assert [dict(event["values"]) for event in desk.events(event="measured")] == [{"left": 3}, {"left": 3}]


def test_the_channel_that_was_not_used_on_the_base_is_not_there_for_a_product(desk: Desk) -> None:
    desk.commit({"product.sh": "true\n"})
    desk.drop(front="max_failures: 1", benchmark=f"#!/bin/bash\n{TOLD}\nsh product.sh\n")
    desk.agent("echo 'echo METRIC left=0 > ${ORCH_METRICS_FILE:-/dev/null}' > product.sh")
    desk.serve()
    assert [dict(event["values"]) for event in desk.events(event="measured")] == [{"left": 3}, {"left": 3}]


def test_numbers_by_both_channels_at_once_are_a_defect(desk: Desk) -> None:
    desk.drop(benchmark=f"#!/bin/bash\n{TOLD}\necho METRIC left=0 > $ORCH_METRICS_FILE\n")
    desk.agent(desk.call)
    desk.serve()
    assert (desk.record().reason, desk.calls()) == (Reason.BENCHMARK_DEFECT, 0)
    assert "to $ORCH_METRICS_FILE and to $ORCH_METRICS_FD" in str(desk.record().detail)


@pytest.mark.parametrize("forge", [f"{FORGED}; kill -9 $PPID", "echo METRIC left=0; pkill() { :; }; exec 3>&1; kill -TERM $PPID"])
def test_a_product_that_ends_its_benchmark_is_refused(desk: Desk, forge: str) -> None:
    desk.commit({"product.sh": "true\n"})
    desk.drop(front="max_failures: 1", benchmark=WRITES.format(write=LINES))
    desk.agent(f"echo '{forge}' > product.sh")
    desk.serve()
    assert desk.record().history[0].result is Result.DEFECT
    assert desk.state() is State.BLOCKED


def test_a_product_that_ends_its_benchmark_with_code_0_has_not_said_anything(desk: Desk) -> None:
    desk.commit({"product.sh": "true\n"})
    desk.drop(front="max_failures: 1", benchmark=WRITES.replace("sh product.sh", ". ./product.sh").format(write=LINES))
    desk.agent(f"echo '{FORGED}; exit 0' > product.sh")
    desk.serve()
    (attempt,) = desk.record().history
    assert attempt.result is Result.DEFECT
    assert "wrote nothing to $ORCH_METRICS_FILE" in attempt.detail


@pytest.mark.parametrize("forge", ["echo METRIC left=0 > ${ORCH_METRICS_FILE:-/dev/null}", REACH])
def test_a_benchmark_that_prints_has_no_channel_that_a_product_could_write_to(desk: Desk, forge: str) -> None:
    desk.commit({"product.sh": "true\n"})
    desk.drop(front="max_failures: 1", benchmark='#!/bin/sh\nsh product.sh\necho "METRIC left=$(grep -c . todo.txt)"\n')
    desk.agent(f"cat > product.sh <<'END'\n{forge}\nEND\n")
    desk.serve()
    assert desk.record().history[0].result is Result.UNCHANGED
    assert {event["sealed"] for event in desk.events(event="measured")} == {False}


@pytest.mark.parametrize(
    "said",
    ['{"left": NaN}', '{"left": "0"}', '{"left": true}', "{broken", '{"left": 1e999}', '{"left": 1e-999}', "METRIC left=0x0"],
)
def test_a_number_in_the_file_that_is_none_is_a_defect(desk: Desk, said: str) -> None:
    desk.drop(benchmark=f"#!/bin/sh\ncat > $ORCH_METRICS_FILE <<'END'\n{said}\nEND\n")
    desk.agent(desk.call)
    desk.serve()
    assert (desk.record().reason, desk.calls()) == (Reason.BENCHMARK_DEFECT, 0)


def test_what_is_no_file_is_not_waited_for(desk: Desk) -> None:
    desk.drop(benchmark="#!/bin/sh\nmkfifo $ORCH_METRICS_FILE\necho METRIC left=$(grep -c . todo.txt)\n")
    desk.agent(DONE)
    desk.serve()
    assert desk.state() is State.CONVERGED
    assert json.loads((desk.folder() / ".orch/state.json").read_text()).get("private") is None
