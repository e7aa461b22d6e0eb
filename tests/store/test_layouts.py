"""Which file measures a task, and how it is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.core.spec import Spec
from orchestrator.errors import SpecError
from orchestrator.store import layouts
from orchestrator.store.layouts import Evaluator

SAMPLES = Path(__file__).parent / "samples"


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("echo METRIC x=0\n")
    return folder


def file(path: str, checks: str | None = None) -> Evaluator:
    return Evaluator(path=path, checks=checks)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["benchmark.sh"], file("benchmark.sh")),
        (["benchmark.js", "autoresearch.sh", "checks.sh"], file("benchmark.js", "checks.sh")),
        (["autoresearch.sh", "autoresearch.checks.sh"], file("autoresearch.sh", "autoresearch.checks.sh")),
        ([".auto/measure.sh", ".auto/checks.sh"], file(".auto/measure.sh", ".auto/checks.sh")),
        (["autoresearch.sh", ".auto/measure.sh"], file("autoresearch.sh")),
        (
            ["benchmark.py", "benchmark.json", "benchmark.md", "benchmark.bak", "benchmarks.sh"],
            file("benchmark.py"),
        ),
    ],
)
def test_the_evaluator_is_found_in_every_layout(tmp_path: Path, names: list[str], expected: Evaluator) -> None:
    assert layouts.evaluator(make(tmp_path, *names), Spec()) == expected


@pytest.mark.parametrize(
    "left",
    ["benchmark.sh.tmp.1234", "benchmark.sh.K3x9Qa", "benchmark.sh.2718281828", "benchmark.tmp.12", "benchmark.sh___jb_tmp___"],
)
def test_what_a_tool_is_just_writing_is_no_second_benchmark(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_text("#!/bin/sh\necho METR")
    (tmp_path / left).chmod(0o755)
    with pytest.raises(SpecError, match=f"{left}, which is no program by its name, .*, expected benchmark"):
        layouts.evaluator(tmp_path, Spec())
    assert layouts.evaluator(make(tmp_path, "benchmark.sh"), Spec()) == file("benchmark.sh")


def test_a_script_of_two_extensions_is_a_benchmark(tmp_path: Path) -> None:
    assert layouts.evaluator(make(tmp_path, "benchmark.sh.py"), Spec()) == file("benchmark.sh.py")


def test_the_samples_have_their_evaluators() -> None:
    found = {name: layouts.evaluator(SAMPLES / name, Spec()) for name in ("flat", "pi-flat", "pi-auto", "relative")}
    assert found == {
        "flat": file("benchmark.sh", "checks.sh"),
        "pi-flat": file("autoresearch.sh"),
        "pi-auto": file(".auto/measure.sh", ".auto/checks.sh"),
        "relative": file("benchmark.js"),
    }


def test_an_executable_without_extension_is_a_benchmark(tmp_path: Path) -> None:
    make(tmp_path, "benchmark", "benchmark.xyz")
    (tmp_path / "benchmark").chmod(0o755)
    assert layouts.evaluator(tmp_path, Spec()) == file("benchmark")


def test_a_shebang_makes_a_benchmark_of_an_unknown_extension(tmp_path: Path) -> None:
    (tmp_path / "benchmark.xyz").write_text("#!/bin/sh\n")
    assert layouts.evaluator(tmp_path, Spec()) == file("benchmark.xyz")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["benchmark.sh", "benchmark.py"], "benchmark.py and benchmark.sh"),
        (["checks.sh", "autoresearch.checks.sh", "benchmark.sh"], "checks.sh and autoresearch.checks.sh"),
        (["notes.txt"], "no benchmark"),
        (["benchmark.xyz"], "benchmark.xyz, which is no program by its name, type or mode"),
    ],
)
def test_none_or_two_are_an_error_that_names_them(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(SpecError, match=words.replace(".", r"\.")):
        layouts.evaluator(make(tmp_path, *names), Spec())


@pytest.mark.parametrize("name", ["benchmark.sh", "autoresearch.sh", "checks.sh"])
def test_a_linked_script_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/bin/true")
    with pytest.raises(SpecError, match="a symbolic link"):
        layouts.evaluator(tmp_path, Spec())


def test_folders_and_fifos_are_no_benchmarks(tmp_path: Path) -> None:
    (tmp_path / "benchmark.sh").mkdir()
    (tmp_path / "autoresearch.sh").mkdir()
    with pytest.raises(SpecError, match="expected benchmark"):
        layouts.evaluator(tmp_path, Spec())


@pytest.mark.parametrize(
    ("benchmark", "expected"),
    [
        ("bench.py", file("bench.py")),
        ("./sub/bench.sh", file("sub/bench.sh")),
        ("make bench", Evaluator(command="make bench")),
        ("scripts/bench.sh", Evaluator(command="scripts/bench.sh")),
        ("../elsewhere/bench.sh", Evaluator(command="../elsewhere/bench.sh")),
        ("/usr/bin/true", Evaluator(command="/usr/bin/true")),
        ("make", Evaluator(command="make")),
        ("a\nb", Evaluator(command="a\nb")),
    ],
)
def test_the_spec_names_a_file_of_the_folder_or_a_command(tmp_path: Path, benchmark: str, expected: Evaluator) -> None:
    make(tmp_path, "bench.py", "sub/bench.sh", "benchmark.sh", "benchmark.py")
    assert layouts.evaluator(tmp_path, Spec(benchmark=benchmark)) == expected


def test_a_named_file_that_is_missing_or_a_link(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no file gone\.py, expected the benchmark that"):
        layouts.evaluator(tmp_path, Spec(benchmark="gone.py"))
    with pytest.raises(SpecError, match=r"no file gone\.py, expected the holdout that"):
        layouts.holdout(tmp_path, Spec(holdout="gone.py"))
    (tmp_path / "linked.py").symlink_to("/etc/hostname")
    with pytest.raises(SpecError, match="a symbolic link"):
        layouts.evaluator(tmp_path, Spec(benchmark="linked.py"))


@pytest.mark.parametrize(
    ("name", "content", "mode"),
    [
        ("b.py", "#!/bin/sh\necho METRIC x=1\n", 0o644),
        ("b.anything", "#!/usr/bin/env sh\necho METRIC x=1\n", 0o644),
        ("b", "#!/usr/bin/env -S sh -e\necho METRIC x=1\n", 0o644),
        ("b2", "#!/bin/sh -e\necho METRIC x=1\n", 0o644),
        ("b3", "#! /bin/sh\r\necho METRIC x=1\n", 0o644),
        ("b.sh", "echo METRIC x=1\n", 0o644),
        ("b4.sh", "[[ a == a ]] && echo METRIC x=1\n", 0o755),
        ("b4.py", "print('METRIC x=1')\n", 0o644),
        ("b.pl", "print 'METRIC x=1';\n", 0o644),
        ("b5", "echo METRIC x=1\n", 0o755),
    ],
)
def test_a_file_is_run_by_shebang_then_itself_then_extension(tmp_path: Path, name: str, content: str, mode: int) -> None:
    path = tmp_path / name
    path.write_text(content, newline="")
    path.chmod(mode)
    command = layouts.command_for(path)
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout.strip(), ended.stderr) == ("METRIC x=1", "")


def test_a_program_is_run_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "benchmark"
    path.write_bytes(b"\x7fELF" + b"\0" * 60)
    path.chmod(0o755)
    assert layouts.command_for(path) == (str(path),)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("b.jl", "x", "no program julia"),
        ("b.ts", "x", "no program tsx or bun or deno or node"),
        ("b", "#!/nowhere/to/be-found\n", "no program /nowhere/to/be-found"),
        ("b2", "#!/usr/bin/env be-found\n", "no program be-found"),
        ("b.xyz", "x", "not executable and of no known type"),
    ],
)
def test_a_missing_interpreter_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str, words: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    (tmp_path / name).write_text(content)
    with pytest.raises(SpecError, match=words):
        layouts.command_for(tmp_path / name)


def test_a_file_that_has_gone(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        layouts.command_for(tmp_path / "gone.sh")


def test_looking_up_layouts_needs_no_parser() -> None:
    code = "import sys; from orchestrator.store import layouts, specfile, snapshot, cache; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"yaml", "pydantic", "frontmatter", "rich", "click", "tempfile", "shutil", "logging"} & set(loaded)
