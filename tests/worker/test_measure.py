from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.core.confidence import FEWEST
from orchestrator.core.outcome import ProcessEnd, StopRequest
from orchestrator.core.record import Channel
from orchestrator.core.spec import Kind, Metric, Spec
from orchestrator.errors import StoreError
from orchestrator.proc import watch
from orchestrator.proc.command import Limits, Pump
from orchestrator.store import layouts, locks, seal
from orchestrator.store.layouts import Evaluator
from orchestrator.worker import measure, shellwords
from orchestrator.worker.execution import FULL, TAIL, Conditions, Sample, Verdict

SPEC = Spec(metrics=(Metric("n", target=0.0),))


@dataclass(frozen=True)
class Bench:
    """A task folder with a benchmark, a worktree it is run in, and a place for the private copies."""

    root: Path

    @property
    def task(self) -> Path:
        return self.root / "task"

    @property
    def worktree(self) -> Path:
        return self.root / "worktree"

    def write(self, text: str, name: str = "benchmark.sh", mode: int = 0o644) -> None:
        (self.task / name).write_text(text)
        (self.task / name).chmod(mode)

    def env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "ORCH_TASK": "a task"}

    def conditions(self, limits: Limits | None, pump: Pump = lambda: None) -> Conditions:
        return Conditions(self.worktree, self.env(), limits or Limits(seconds=30, grace=0.1), pump, self.root / "scratch")

    def sample(
        self,
        spec: Spec = SPEC,
        *,
        sealed: seal.Sealed | None = None,
        evaluator: Evaluator | None = None,
        limits: Limits | None = None,
        pump: Pump = lambda: None,
        again: bool = False,
        channels: tuple[Channel, ...] = (),
    ) -> Sample:
        return measure.sample(
            sealed or seal.seal(self.task),
            evaluator or layouts.evaluator(self.task, spec),
            spec,
            self.conditions(limits, pump),
            again=again,
            channels=channels,
        )

    def check(self, command: str, sealed: seal.Sealed | None = None, limits: Limits | None = None) -> Verdict:
        return measure.check("verify", command, self.conditions(limits), sealed)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    for name in ("task", "worktree", "scratch"):
        (tmp_path / name).mkdir()
    return Bench(tmp_path)


def test_a_sample_is_what_the_benchmark_says_of_the_worktree(bench: Bench) -> None:
    bench.write("echo METRIC n=$(ls | wc -l)\necho METRIC other=0.5\necho talk >&2\n")
    (bench.worktree / "one").touch()
    result = bench.sample()
    assert (result.values, result.defect, result.code, result.end) == ({"n": 1.0, "other": 0.5}, None, 0, ProcessEnd.EXITED)
    assert "talk" in result.output
    assert b"METRIC n=1" in result.full
    assert not measure.at_target(SPEC, result)
    (bench.worktree / "one").unlink()
    assert measure.at_target(SPEC, bench.sample())


def test_every_sample_runs_from_a_private_copy_of_its_own_that_is_gone_afterwards(bench: Bench) -> None:
    bench.write('echo "$ORCH_TASK_DIR" >> dirs; cat "$ORCH_TASK_DIR/data"; echo spoiled > "$ORCH_TASK_DIR/data"; echo METRIC n=0')
    bench.write("fresh\n", "data")
    sealed = seal.seal(bench.task)
    bench.write("changed after the seal\n", "data")
    for _ in range(2):
        result = bench.sample(sealed=sealed)
        assert result.defect is None
        assert result.output.startswith("fresh")
    first, second = (bench.worktree / "dirs").read_text().splitlines()
    assert first != second
    assert list((bench.root / "scratch").iterdir()) == []


def test_what_a_product_leaves_for_files_of_one_place_and_time_serves_no_other_sample(bench: Bench) -> None:
    """An interpreter's cache outside the copy, say: it goes by path, time and length."""
    bench.write('echo "$ORCH_TASK_DIR" >> dirs; stat -c %Y.%y "$ORCH_TASK_DIR/data" >> times; echo METRIC n=0')
    bench.write("fresh\n", "data")
    sealed = seal.seal(bench.task)
    for _ in range(3):
        assert bench.sample(sealed=sealed, again=True).defect is None
    for seen in ("dirs", "times"):
        assert len(set((bench.worktree / seen).read_text().splitlines())) == 3


SPOILING = {
    "nothing": "",
    "a file": 'echo spoiled > "$ORCH_TASK_DIR/data"',
    "a file of the same length": 'printf FRESH > "$ORCH_TASK_DIR/data"',
    "a mode": 'chmod a-x "$ORCH_TASK_DIR/tool"',
    "one more": 'touch "$ORCH_TASK_DIR/sub/__pycache__"',
    "one more hidden one": 'touch "$ORCH_TASK_DIR/.data.swp"',
    "one less": 'rm "$ORCH_TASK_DIR/sub/more"',
    "a link elsewhere": 'ln "$ORCH_TASK_DIR/data" held',
    "a file for a link": 'rm "$ORCH_TASK_DIR/link"; printf data > "$ORCH_TASK_DIR/link"',
    "another link": 'ln -sf tool "$ORCH_TASK_DIR/link"',
    "a link for a file": 'mv "$ORCH_TASK_DIR/data" held; ln -s "$PWD/held" "$ORCH_TASK_DIR/data"',
    "a link for a folder": 'mv "$ORCH_TASK_DIR/sub" held; ln -s "$PWD/held" "$ORCH_TASK_DIR/sub"',
    "a link for all": 'mv "$ORCH_TASK_DIR" held; ln -s "$PWD/held" "$ORCH_TASK_DIR"',
    "a folder's mode": 'chmod 755 "$ORCH_TASK_DIR/sub"',
    "all": 'rm -r "$ORCH_TASK_DIR"',
    "a file for all": 'rm -r "$ORCH_TASK_DIR"; touch "$ORCH_TASK_DIR"',
    "a pipe for all": 'rm -r "$ORCH_TASK_DIR"; mkfifo "$ORCH_TASK_DIR"',
    "the next one's place": 'mkdir "${ORCH_TASK_DIR%/*}/sealed"; touch "${ORCH_TASK_DIR%/*}/sealed/file"',
}


@pytest.mark.parametrize("what", SPOILING)
def test_a_copy_that_is_left_for_the_next_sample_is_made_anew_where_anything_in_it_was_changed(bench: Bench, what: str) -> None:
    looks = (
        'cd "$ORCH_TASK_DIR" && find . | sort && cat data sub/more && stat -c "%a %h %F" . data tool link sub && readlink link'
    )
    bench.write(f"({looks})\n[ -e spoiled ] || {{ touch spoiled; {SPOILING[what] or ':'}; }}\necho METRIC n=0")
    bench.write("fresh", "data")
    bench.write("tool", "tool", mode=0o755)
    (bench.task / "sub").mkdir(mode=0o750)
    bench.write("more", "sub/more")
    (bench.task / "link").symlink_to("data")
    sealed = seal.seal(bench.task)
    first = bench.sample(sealed=sealed, again=True)
    left = (bench.root / "scratch/sealed").stat().st_ino if what == "nothing" else None
    second = bench.sample(sealed=sealed, again=True)
    assert ("was changed while" in first.defect) if what.endswith("all") and first.defect else first.defect is None
    assert (second.defect, second.output) == (None, first.output.split("\nbenchmark.sh was changed")[0])
    assert left in (None, (bench.root / "scratch/sealed").stat().st_ino)
    assert bench.check("true", sealed).ok is False  # a path that is not there: its copy is its own
    measure.put_away(bench.root / "scratch")
    if what == "the next one's place":
        return  # it goes with the scratch
    assert what != "a link for all" or (bench.worktree / "held/data").exists()  # what is behind it is not ours
    assert list((bench.root / "scratch").iterdir()) == []


def test_replacing_the_benchmark_on_disk_changes_nothing_once_it_is_sealed(bench: Bench) -> None:
    bench.write("echo METRIC n=7")
    sealed, evaluator = seal.seal(bench.task), layouts.evaluator(bench.task, SPEC)
    bench.write("echo METRIC n=0")
    assert bench.sample(sealed=sealed, evaluator=evaluator).values == {"n": 7.0}


def test_the_benchmark_sees_its_place_and_that_it_measures(bench: Bench) -> None:
    bench.write('echo "$PWD|$ORCH_TASK|$ORCH_MEASURING|$HOME"; echo METRIC n=0')
    assert bench.sample().output.startswith(f"{bench.worktree}|a task|1|\n")


@pytest.mark.parametrize(
    ("name", "text", "mode"),
    [
        ("benchmark.py", "print('METRIC n=0')", 0o644),
        ("benchmark.sh", "#!/usr/bin/env python3\nprint('METRIC n=0')", 0o644),
        ("benchmark", "#!/bin/sh\necho METRIC n=0", 0o755),
        ("autoresearch.sh", "echo METRIC n=0", 0o644),
    ],
)
def test_a_benchmark_runs_by_its_shebang_or_its_extension(bench: Bench, name: str, text: str, mode: int) -> None:
    bench.write(text, name, mode)
    assert bench.sample().values == {"n": 0.0}


def test_a_command_is_run_by_the_shell_in_the_worktree(bench: Bench) -> None:
    spec = Spec(benchmark='echo METRIC n=$(ls | wc -l) && test -d "$ORCH_TASK_DIR"', metrics=SPEC.metrics)
    assert bench.sample(spec).values == {"n": 0.0}


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo METRIC n=1; exit 3", "ended with exit code 3."),
        ("echo METRIC n=1; no-such-command-at-all", "exit code 127 (a command was not found)"),
        ("echo METRIC n=1; kill -SEGV $$", "was ended by SIGSEGV"),
        ("echo METRIC n=1; sh -c 'kill -SEGV $$'; exit $?", "ended with exit code 139 (ended by SIGSEGV)."),
        ("echo METRIC n=1; kill -KILL $$", "SIGKILL (out of memory?)"),
        ("echo METRIC n=1; kill -40 $$", "was ended by signal 40."),
        ("true", "printed no METRIC line"),
        ("echo METRIC m=1", "'METRIC n=number'"),
        ("echo METRIC n=nan", "METRIC n=nan"),
        ("echo METRIC n=inf", "METRIC n=inf"),
        ("echo METRIC n=0x10", "METRIC n=0x10"),
        ("echo METRIC n=1_000", "METRIC n=1_000"),
        ("echo METRIC n=0 >&2", "printed 'METRIC n=0' on standard error"),
        ("echo '  METRIC n=0'", "printed '  METRIC n=0', which doesn't begin with METRIC and a blank"),
        ("printf '\\033[32mMETRIC n=0\\033[0m\\n'; echo done", r"printed '\x1b[32mMETRIC n=0\x1b[0m', which"),
        ("echo metric n=0; echo done", "printed 'metric n=0', which doesn't begin"),
        ('n=0\r\necho "METRIC n=$n"\r', "benchmark.sh has Windows line ends, which a shell takes for parts of its words."),
        ("no-such-tool | sed s/x/METRIC/", "on standard output. It printed last: "),
    ],
)
def test_whatever_goes_wrong_is_a_defect_in_words_and_never_a_number(bench: Bench, script: str, says: str) -> None:
    bench.write(script)
    result = bench.sample()
    assert result.defect is not None
    assert says in result.defect
    assert result.values == {}
    assert result.output.endswith(result.defect)
    assert not measure.at_target(SPEC, result)


NODE = "/x.js:1\n^\n\nTypeError: no such thing\n    at Error (x.js:1:7)\n\nNode.js v20.11.1\n"


@pytest.mark.parametrize(
    ("printed", "says"),
    [
        (NODE, "It printed last: TypeError: no such thing"),
        ("what is wrong\nNode.js v20.11.1\n", "It printed last: what is wrong"),
        ("an Error\nthe last\n", "It printed last: the last"),
        ("Node.js v20.11.1\n", "ended with exit code 3."),
    ],
)
def test_the_last_word_of_a_program_is_not_its_interpreter_s_version(bench: Bench, printed: str, says: str) -> None:
    bench.write(f"cat <<'END'\n{printed}END\nexit 3")
    assert str(bench.sample().defect).endswith(says)


def test_a_missing_interpreter_is_named_and_not_by_its_private_path(bench: Bench) -> None:
    bench.write("#!/usr/bin/env no-such-interpreter\n", mode=0o755)
    result = bench.sample()
    assert result.end is ProcessEnd.NOT_STARTED
    assert result.defect is not None
    assert "no-such-interpreter" in result.defect
    assert str(bench.root / "scratch") not in result.defect


@pytest.mark.parametrize(("name", "text"), [("benchmark.sh", "#!/no/such/program\n"), ("bench.txt", "echo METRIC n=1\n")])
def test_what_can_not_be_run_is_told_in_one_sentence_that_promises_no_other_look(bench: Bench, name: str, text: str) -> None:
    bench.write(text, name)
    defect = str(bench.sample(Spec(metrics=SPEC.metrics, benchmark=name)).defect)
    assert (defect.startswith(f"{name}: found "), defect.endswith("."), "again" in defect) == (True, True, False)


def test_a_benchmark_that_sleeps_past_its_time_with_a_grandchild_is_ended_with_it(bench: Bench) -> None:
    bench.write(
        "(setsid sh -c 'trap \"\" TERM; echo $$ > grandchild; sleep 60' &); while ! test -s grandchild; do :; done; sleep 60"
    )
    started = time.monotonic()
    result = bench.sample(limits=Limits(seconds=5, grace=0.1))
    assert (result.end, result.defect) == (ProcessEnd.TIMED_OUT, "The benchmark did not end within 5 s (`benchmark_timeout`).")
    assert time.monotonic() - started < 40
    assert not _sleeps(int((bench.worktree / "grandchild").read_text()))


def _sleeps(pid: int) -> bool:
    """Whether it is still the one that was started: on a small machine the number is soon another's."""
    try:
        return b"sleep 60" in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return False


@pytest.mark.parametrize("said", ["n=3", "\\n[1, 2]\\nx", "METRIC: n=3"])
def test_a_metrics_file_without_a_number_is_a_defect_that_shows_what_stands_there(bench: Bench, said: str) -> None:
    bench.write(f"echo METRIC n=0; printf '{said}' > $ORCH_METRICS_FILE")
    result = bench.sample(channels=tuple(Channel))
    shown = said.replace("\\n", "\n").strip().splitlines()[0]
    assert (
        result.defect
        == f"The benchmark printed {shown!r}, which is no METRIC line; expected 'METRIC name=number', finite and decimal."
    )


def test_a_metrics_file_that_is_too_large_to_be_read_whole_is_a_defect_that_says_so(bench: Bench) -> None:
    bench.write("(echo METRIC n=0; head -c 17000000 /dev/zero | tr '\\0' '\\n'; echo METRIC n=5) > $ORCH_METRICS_FILE")
    result = bench.sample(channels=tuple(Channel))
    assert (result.defect, result.values) == ("The benchmark wrote more than 16 MiB to $ORCH_METRICS_FILE.", {})


def test_silence_ends_a_sample_where_that_was_asked_for(bench: Bench) -> None:
    bench.write("sleep 60")
    assert bench.sample(limits=Limits(idle=0.3, grace=0.1)).defect == "The benchmark printed nothing for 0.3 s."


def test_a_benchmark_that_prints_without_end_is_ended_and_little_of_it_is_kept(bench: Bench) -> None:
    bench.write("echo METRIC n=0; exec yes and more")
    result = bench.sample()
    assert (result.end, result.defect) == (ProcessEnd.OUTPUT_LIMIT, "The benchmark printed more than 16 MiB and was ended.")
    assert len(result.full) <= FULL
    assert len(result.output) < 2 * TAIL


def test_metrics_count_wherever_in_a_long_output_they_stand(bench: Bench) -> None:
    bench.write("echo METRIC n=5; i=0; while [ $i -lt 20000 ]; do echo noise-$i; i=$((i+1)); done")
    result = bench.sample()
    assert result.values == {"n": 5.0}
    assert result.output.startswith("[…]\nnoise-")
    assert result.output.endswith("noise-19999")


def test_what_people_are_shown_has_no_terminal_escapes_and_survives_garbage(bench: Bench) -> None:
    bench.write(r"printf '\033[31mred\033[0m \377\000\n'; echo METRIC n=0")
    assert bench.sample().output == "red �\nMETRIC n=0"


def test_a_sample_that_is_stopped_is_no_defect_and_says_nothing(bench: Bench) -> None:
    bench.write("echo METRIC n=0; touch started; sleep 60")

    def pump() -> StopRequest | None:
        return StopRequest.RELEASE if (bench.worktree / "started").exists() else None

    result = bench.sample(pump=pump)
    assert (result.end, result.defect, result.values) == (ProcessEnd.STOPPED, None, {})
    assert not measure.at_target(SPEC, result)
    assert not measure.at_target(Spec(), result)


def test_a_link_that_leads_out_of_the_task_is_not_run(bench: Bench) -> None:
    (bench.root / "outside.sh").write_text("echo METRIC n=0")
    (bench.task / "benchmark.sh").symlink_to("../outside.sh")
    result = bench.sample(evaluator=Evaluator(path="benchmark.sh"))
    assert result.defect is not None
    assert "leads out of the task folder" in result.defect


def test_a_private_copy_that_cannot_be_written_is_an_error_with_its_place(bench: Bench) -> None:
    bench.write("echo METRIC n=0")
    (bench.root / "scratch").rmdir()
    with pytest.raises(StoreError, match="private copy can't be written"):
        bench.sample()


def test_without_declared_metrics_every_printed_one_has_to_reach_0(bench: Bench) -> None:
    bench.write("echo METRIC a=0; echo METRIC b=0")
    assert measure.at_target(Spec(), bench.sample(Spec()))
    bench.write("echo METRIC a=0; echo METRIC b=1")
    assert not measure.at_target(Spec(), bench.sample(Spec()))


@pytest.mark.parametrize(
    ("kind", "seen", "expected"),
    [
        (Kind.DETERMINISTIC, [1.0, 2.0], 3),
        (Kind.AUTO, [], 3),
        (Kind.AUTO, [1.0, 1.0], 3),
        (Kind.AUTO, [1.0, 1.5], FEWEST),
        (Kind.NOISY, [], FEWEST),
        (Kind.NOISY, [1.0, 1.0], FEWEST),
    ],
)
def test_a_noisy_metric_needs_enough_samples_for_its_median(kind: Kind, seen: list[float], expected: int) -> None:
    spec = Spec(metrics=(Metric("n", target=9.0, kind=kind), Metric("shown", kind=Kind.NOISY)))
    assert measure.needed(spec, 3, [{"n": value, "shown": index} for index, value in enumerate(seen)]) == expected
    assert measure.needed(spec, 8, [{"n": value} for value in seen]) == 8


def test_a_gate_says_yes_by_exit_code_0_and_why_not_otherwise(bench: Bench) -> None:
    yes = bench.check('echo fine; test -z "$ORCH_TASK_DIR"')
    assert (yes.ok, yes.name, yes.output) == (True, "verify", "fine")
    no = bench.check("echo 2 tests failed; exit 1")
    assert (no.ok, no.reason, no.output) == (False, "The verify command ended with exit code 1.", "2 tests failed")
    late = bench.check("sleep 60", limits=Limits(seconds=0.2, grace=0.1))
    assert (late.ok, late.end, late.reason) == (
        False,
        ProcessEnd.TIMED_OUT,
        "The verify command did not end within 0.2 s (`timeout`).",
    )


def test_a_gate_of_the_task_runs_sealed_in_the_worktree(bench: Bench) -> None:
    bench.write('test "$(cat "$ORCH_TASK_DIR/expected")" = "$(cat actual)"', "checks.sh")
    bench.write("right", "expected")
    sealed = seal.seal(bench.task)
    bench.write("exit 0", "checks.sh")
    (bench.worktree / "actual").write_text("wrong")
    assert bench.check("checks.sh", sealed).reason == "checks.sh ended with exit code 1."
    (bench.worktree / "actual").write_text("right")
    assert bench.check("checks.sh", sealed).ok
    assert list((bench.root / "scratch").iterdir()) == []


def test_a_gate_whose_own_files_were_written_on_while_it_ran_says_no(bench: Bench) -> None:
    bench.write("echo exit 0 >> $ORCH_TASK_DIR/checks.sh\nfalse\n", "checks.sh")
    verdict = bench.check("checks.sh", seal.seal(bench.task))
    assert not verdict.ok
    assert verdict.reason.startswith("checks.sh was changed while the gate verify ran")


def test_a_benchmark_may_write_beside_itself(bench: Bench) -> None:
    bench.write("chmod +x $ORCH_TASK_DIR/benchmark.sh; echo 2 | tee $ORCH_TASK_DIR/new > $ORCH_TASK_DIR/data; echo METRIC n=0")
    bench.write("1", "data")
    assert bench.sample().values == {"n": 0}


def test_a_gate_that_cannot_be_started_is_a_no_with_its_reason(bench: Bench) -> None:
    bench.write("#!/no/such/interpreter-anywhere\n", "checks.sh", 0o755)
    verdict = bench.check("checks.sh", seal.seal(bench.task))
    assert (verdict.ok, verdict.end) == (False, ProcessEnd.NOT_STARTED)
    assert "interpreter-anywhere" in verdict.reason


def test_a_repository_script_the_command_runs_is_measured_as_the_base_has_it(bench: Bench) -> None:
    (bench.worktree / "bench").mkdir()
    script = bench.worktree / "bench" / "run.py"
    script.write_text("print('METRIC n=0')  # the agent's")
    spec = Spec(benchmark="python3 bench/run.py", metrics=SPEC.metrics)
    evaluator = layouts.evaluator(bench.task, spec)
    base = {
        "bench/run.py": seal.SealedFile("bench/run.py", 0o644, data=b"import os; print('METRIC n=%d' % len(os.listdir('bench')))")
    }
    sealed = seal.seal(bench.task).with_scripts(base)
    assert bench.sample(spec, sealed=sealed, evaluator=evaluator).values == {"n": 1.0}
    assert script.read_text() == "print('METRIC n=0')  # the agent's"
    script.unlink()
    assert bench.sample(spec, sealed=sealed, evaluator=evaluator).values == {"n": 1.0}
    assert not script.exists()


def test_a_script_turned_into_a_link_or_below_one_is_a_defect_and_nothing_outside_is_written(bench: Bench) -> None:
    outside = bench.root / "outside"
    outside.mkdir()
    (bench.worktree / "bench").symlink_to(outside)
    spec = Spec(benchmark="sh bench/run.sh", metrics=SPEC.metrics)
    evaluator = layouts.evaluator(bench.task, spec)
    file = seal.SealedFile("bench/run.sh", 0o755, data=b"echo METRIC n=0")
    sealed = seal.seal(bench.task).with_scripts({"bench/run.sh": file})
    result = bench.sample(spec, sealed=sealed, evaluator=evaluator)
    assert result.defect == "bench, which the benchmark's command runs, is no longer the file it was."
    assert list(outside.iterdir()) == []
    (bench.worktree / "bench").unlink()
    (bench.worktree / "bench" / "run.sh").mkdir(parents=True)
    assert "bench/run.sh" in (bench.sample(spec, sealed=sealed, evaluator=evaluator).defect or "")


def test_an_unchanged_script_is_not_touched(bench: Bench) -> None:
    script = bench.worktree / "run.sh"
    script.write_text("echo METRIC n=0")
    script.chmod(0o644)
    before = script.stat()
    spec = Spec(benchmark="sh run.sh", metrics=SPEC.metrics)
    evaluator = layouts.evaluator(bench.task, spec)
    file = seal.SealedFile("run.sh", 0o644, data=b"echo METRIC n=0")
    sealed = seal.seal(bench.task).with_scripts({"run.sh": file})
    assert bench.sample(spec, sealed=sealed, evaluator=evaluator).values == {"n": 0.0}
    assert (script.stat().st_ino, script.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_disk_that_keeps_no_modes_is_not_taken_for_a_benchmark_that_changes_its_script(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.worktree / "run.sh").write_text("echo METRIC n=0")
    spec = Spec(benchmark="sh run.sh", metrics=SPEC.metrics)
    evaluator = layouts.evaluator(bench.task, spec)
    file = seal.SealedFile("run.sh", 0o755, data=b"echo METRIC n=0")
    sealed = seal.seal(bench.task).with_scripts({"run.sh": file})
    monkeypatch.setattr(Path, "chmod", lambda _path, _mode: None)  # as NTFS takes it
    assert bench.sample(spec, sealed=sealed, evaluator=evaluator).values == {"n": 0.0}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("./bench.sh -n 5", ("bench.sh",)),
        ("python bench/run.py --input data.csv", ("bench/run.py",)),
        ("A=1 python3.11 -u bench/run.py", ("bench/run.py",)),
        ("cd x && sh ./a.sh < in.txt | python fmt.py > out.txt", ("x/a.sh", "x/fmt.py")),
        ("if ./a; then sh b; fi\nbash c.sh", ("a", "b", "c.sh")),
        ("uv run bench.py && bun run b.ts", ("bench.py", "b.ts")),
        ("sh a.sh; sh ./a.sh", ("a.sh",)),
        ("wc -l todo.txt", ()),
        ("echo METRIC left=$(grep -c . todo.txt)", ()),
        ("python -m bench data.py", ()),
        ("bash -c 'sh x.sh'", ("x.sh",)),
        ("bash -ec 'cd bench && python3 run.py'", ("bench/run.py",)),
        ("timeout 60 python3 bench.py", ("bench.py",)),
        ("timeout -k 5 --signal=KILL 60s env -u A B=1 nice -n 5 ./bench.sh", ("bench.sh",)),
        ("/usr/bin/time -f %e taskset -c 0 setsid python3 -W ignore -X dev -O bench.py arg.py", ("bench.py",)),
        ("bash -e a.sh; sh -o pipefail b.sh; bash -m c.sh", ("a.sh", "b.sh", "c.sh")),
        ("bash -euo pipefail a.sh; bash -euxo pipefail -c 'sh b.sh'; sh +o x c.sh", ("a.sh", "b.sh", "c.sh")),
        ("python3 -Bm bench x.py; python3 -mpytest y.py; node -e 'x' y.js; python3 - < in.py", ()),
        ("node --require ./hook.js bench.js", ("bench.js",)),
        ("uv run --with numpy python bench.py; npx tsx b.ts; conda run -n env python c.py", ("bench.py", "b.ts", "c.py")),
        ('echo "METRIC n=$(python3 count.py "a b")"', ("count.py",)),
        ("echo METRIC n=`./count.sh`; diff <(sh a.sh) b.sh", ("count.sh", "a.sh")),
        ("case x in y) ./z.sh;; esac; f() { ./x.sh; }; f > out/y.txt", ("z.sh", "x.sh")),
        ("(cd bench; ./a.sh); ./b.sh", ("bench/a.sh", "b.sh")),
        ("cd bench && cd .. && sh c.sh; cd /opt && ./d.sh", ("c.sh",)),
        ('cd "$(dirname "$0")" && python3 "$ORCH_WORKTREE/bench.py" && ${PWD}/x.sh', ("bench.py", "x.sh")),
        ("cd bench && ../tools/x.py", ("tools/x.py",)),
        ("awk -v x=1 -f a.awk in.txt; make -s -f b.mk bench; sed -f", ("a.awk", "b.mk")),
        ("timeout 60 wc -l todo.txt; nice grep -c x lib/a.py", ()),
        ('echo "n=$(grep -c x a/b.py) a/c.py `wc -l a/d.py` a/e.py"; wc $(cat x) a/f.py', ()),
        ("A=$(nproc) python bench.py; x=$(cd bench && ./a.sh) && ./b.sh", ("bench.py", "bench/a.sh", "b.sh")),
        ("sh a.sh <(./b.sh) a/c.py; sh $(cat x) a/d.py", ("a.sh", "b.sh")),
        ("sh a.sh \\\n a/b.py\n# don't\nwc -l a/c.py \\\n  a/d.py\n./e.sh", ("a.sh", "e.sh")),
        ("python3 - a/b.py <<'EOF'\nprint(open('a/c.py'))\nEOF\nsh d.sh; sh -s <<E\n./e.sh\nE", ("d.sh", "e.sh")),
        ("php -r 'echo 1;' a/b.php; php -d x=1 c.php", ("c.php",)),
        ("../up.sh; /abs/x.sh; $HOME/y.sh; ~/z.sh; ./*.sh", ()),
        ("make test", ()),
        ("sh 'unclosed", ()),
        ("", ()),
    ],
)
def test_a_command_names_the_scripts_it_runs_and_not_its_data(command: str, expected: tuple[str, ...]) -> None:
    assert shellwords.named(command) == expected


NOISE = Spec(metrics=(Metric("n", target=0.0, kind=Kind.NOISY),))


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "state" / "orchestrator").mkdir(parents=True)
    return tmp_path / "state" / "orchestrator" / "measure.lock"


def test_noisy_benchmarks_run_one_at_a_time_and_hear_a_stop_while_they_wait(bench: Bench, lock: Path) -> None:
    bench.write("echo METRIC n=0")
    asked: list[StopRequest | None] = [None, None, StopRequest.RELEASE]
    with locks.acquire(lock):
        result = bench.sample(NOISE, pump=lambda: asked.pop(0))
        assert (result.end, result.defect, asked) == (ProcessEnd.STOPPED, None, [])
        assert bench.sample(SPEC).values == {"n": 0.0}  # one that isn't noisy waits for nobody
    assert bench.sample(NOISE).values == {"n": 0.0}


def test_a_benchmark_that_measures_inside_a_benchmark_does_not_wait_for_itself(
    bench: Bench, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("echo METRIC n=0")
    monkeypatch.setenv("ORCH_MEASURING", "1")
    with locks.acquire(lock):
        assert bench.sample(NOISE).values == {"n": 0.0}


def test_where_the_measurement_lock_cannot_be_made_the_sample_is_taken_without(bench: Bench, lock: Path) -> None:
    bench.write("echo METRIC n=0")
    lock.symlink_to("elsewhere")
    assert bench.sample(NOISE).values == {"n": 0.0}


def test_without_a_state_folder_the_lock_lies_in_the_home(bench: Bench, bare_environment: Path) -> None:
    bench.write("echo METRIC n=0")
    assert bench.sample(NOISE).values == {"n": 0.0}
    assert (bare_environment / ".local/state/orchestrator/measure.lock").exists()


# What is said after the benchmark's end

AFTER = "(until grep -q '^State:.Z' /proc/$$/status; do :; done; sleep 0.05; {late}) &\n{said}\n"


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still to be said is waited for, however long a busy machine takes to start a `sleep`: all of it, till the pipes close."""
    monkeypatch.setattr(watch, "LINGER", 20.0)
    monkeypatch.setattr(watch, "LINGER_MOST", 30.0)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("said", "late"),
    [
        ("echo METRIC n=3", "echo METRIC n=0"),
        ("printf 'METRIC n=3'", "echo e-9"),
        ("echo METRIC n=3 >&$ORCH_METRICS_FD", "echo METRIC n=0 >&$ORCH_METRICS_FD"),
        ("echo METRIC n=3 > $ORCH_METRICS_FILE", "echo METRIC n=0 >> $ORCH_METRICS_FILE"),
        ("""echo '{"n": 3}' > $ORCH_METRICS_FILE""", """echo '{"n": 0}' > $ORCH_METRICS_FILE"""),
    ],
)
def test_a_value_that_is_replaced_after_the_benchmark_has_ended_is_a_defect(bench: Bench, said: str, late: str) -> None:
    bench.write(AFTER.format(said=said, late=late))
    sample = bench.sample(channels=tuple(Channel))
    assert sample.defect == (
        "The metric n was printed again, with another value, after the benchmark had ended: something it started still writes."
    )
    assert sample.values == {}


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("said", "late"),
    [
        ("echo METRIC n=3", "echo METRIC n=3"),
        ("echo METRIC n=3", "echo METRIC m=0"),
        (":", "echo METRIC n=3"),
        ("printf METR", "echo 'IC n=3'"),
        ("echo METRIC n=3 > $ORCH_METRICS_FILE", "rm $ORCH_METRICS_FILE"),
        ("printf '{' > $ORCH_METRICS_FILE", """echo '"n": 3}' >> $ORCH_METRICS_FILE"""),
        ("echo METRIC n=3 >&$ORCH_METRICS_FD", "echo METRIC n=3 >&$ORCH_METRICS_FD"),
    ],
)
def test_what_is_said_first_or_again_after_the_end_is_as_good_as_before(bench: Bench, said: str, late: str) -> None:
    bench.write(AFTER.format(said=said, late=late))
    sample = bench.sample(channels=tuple(Channel))
    assert (sample.defect, sample.values["n"]) == (None, 3.0)


def test_what_lay_in_the_pipe_when_the_benchmark_ended_is_its_own_word(bench: Bench) -> None:
    bench.write("for i in $(seq 3000); do echo METRIC n=$i; done; echo METRIC n=0")
    assert bench.sample().values == {"n": 0.0}
