"""Specs nobody can use: a clear problem with its place, at once, and never an exception of another kind."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import Problem, SpecError
from orchestrator.store import specfile


def problems_of(folder: Path, data: bytes | str) -> tuple[Problem, ...]:
    (folder / "autoresearch.md").write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(SpecError) as caught:
        specfile.read(folder)
    assert all(problem.found and problem.expected for problem in caught.value.problems)
    return caught.value.problems


def test_no_quotes_are_proposed_for_an_item_that_says_nothing(tmp_path: Path) -> None:
    """`"nothing"` was, as a pattern of the scope."""
    (problem,) = problems_of(tmp_path, "---\nscope:\n- src\n-\n---\n# T\n")
    assert (problem.found, problem.expected) == ("`scope: nothing`", "text")


def front(yaml: str) -> str:
    return f"---\n{yaml}\n---\n# T\n"


@pytest.mark.parametrize(
    ("yaml", "line", "column", "found", "expected"),
    [
        ("metric: {name: a, direction: no}", 2, 30, "which YAML reads as false", '`direction: "lower"` or `direction: "higher"`'),
        ("review: yes", 2, 9, "which YAML reads as true", '`review: "none"` or `review: "required"`'),
        ("scope: *.py", 2, 9, "scanning an alias", "quotes around a value that begins with"),
        ("scope: [!x.py]", 2, 14, "scanning a tag", "quotes around a value that begins with"),
        ("review: maybe", 2, 9, "review: maybe", "none or required"),
        ("timeout: 1:30", 2, 10, "timeout: 1:30", '"90s"'),
        ("timeout: 1:00:30", 2, 10, "timeout: 1:00:30", '"3630s"'),
        ("timeout: soon", 2, 10, "timeout: soon", "15m"),
        ("timeout: 0", 2, 10, "timeout: 0", "above 0"),
        ("timeout: [1]", 2, 10, "timeout: [1]", "seconds"),
        ("benchmark_timeout: yes", 2, 20, "benchmark_timeout", "seconds"),
        ("title: 1.50", 2, 8, "title: 1.50", 'title: "1.50"'),
        ("title: off", 2, 8, "which YAML reads as false", 'title: "off"'),
        ('priority: "5"', 2, 11, 'priority: "5"', "a whole number"),
        ("priority: 1.5", 2, 11, "1.5", "a whole number"),
        ("priority: 99999999", 2, 11, "99999999", "at most 1e+06"),
        ("draft: maybe", 2, 8, "draft: maybe", "true or false"),
        ("converge: 0", 2, 11, "converge: 0", "at least 1"),
        ("max_failures: -1", 2, 15, "-1", "from 1, or infinite"),
        ("max_failures: 0", 2, 15, "0", "from 1, or infinite"),
        ("max_failures: .inf", 2, 15, "inf", "from 1, or infinite"),
        ("max_failures: never", 2, 15, "never", "from 1, or infinite"),
        ("max_failures: yes", 2, 15, "yes", "from 1, or infinite"),
        ("issue: no", 2, 8, "`issue: no`, which YAML reads as false", 'an issue, such as 12 or "owner/name#12"'),
        ("issue: [12]", 2, 8, "`issue: [12]`", "an issue, such as 12"),
        ('issue: ""', 2, 8, '`issue: ""`', "one line of text"),
        ("labels: {a: 1}", 2, 9, "labels", "a list"),
        ("labels:\n  - a\n  - true", 4, 5, "labels: true", '"true"'),
        ("depends_on: [ok, a/b]", 2, 18, "a/b", "name of a task"),
        ("depends_on: [..]", 2, 14, "..", "name of a task"),
        ("scope: ['']", 2, 9, "''", "pattern"),
        ("gates: {lint: {command: x, mode: wran}}", 2, 15, "lint: {command: x, mode: wran}", "off, warn or block"),
        ("gates:\n  lint: 5", 3, 9, "lint: 5", "a command, a mode"),
        ("gates: {lint: {comand: x}}", 2, 15, "comand", "one of command, mode instead of `comand`"),
        ("gates: {test: {command: 3}}", 2, 15, "test", "text for `command`"),
        ("gates: {verify: x}", 2, 17, "verify: x", "verify_cmd"),
        ("gates: {a b: x}", 2, 14, "a b", "letters"),
        ("gates: [test]", 2, 8, "gates", "mapping"),
        ("gates: {test-validator: {allow: 3}}", 2, 25, "test-validator", "a pattern"),
        ("enforcement: maybe", 2, 14, "enforcement: maybe", "off, warn or block"),
        ("enforcement: yes", 2, 14, "enforcement: yes", "off, warn or block"),
        ("review: never", 2, 9, "review: never", "none or required"),
        ("files: {writes: ['']}", 2, 18, "''", "pattern"),
        ("env: [A]", 2, 6, "env", "mapping"),
        ("env: {DEBUG: yes}", 2, 14, "which YAML reads as true", 'DEBUG: "yes"'),
        ("env: {A=B: x}", 2, 6, "env", "variables"),
        ("metric: {target: 3}", 2, 9, "`metric` without `name`", "a `name`"),
        ("metric: {name: a b, target: 3}", 2, 16, "a b", "one word"),
        ("metric: {name: __proto__, target: 3}", 2, 16, "__proto__", "metric's name"),
        ("metric: {name: a, target: .inf}", 2, 27, ".inf", "a number"),
        ("metric: {name: a, target: 1e999}", 2, 27, "1e999", "finite"),
        ("metric: {name: a, target: '0'}", 2, 27, "'0'", "a number"),
        ("metric: {name: a, target: 0, tolerance: -1}", 2, 41, "-1", "at least 0"),
        ("metric: {name: a, target: 0, kind: loud}", 2, 36, "loud", "deterministic"),
        ("metric: [a]", 2, 9, "metric", "mapping"),
        ("metrics: a", 2, 10, "metrics: a", "a list"),
        ("metrics:\n  - {name: a, target: 1}\n  - {name: a}", 4, 5, "`a` a second time", "once"),
        ("budget: 5", 2, 9, "budget: 5", "a mapping such as {usd: 5, minutes: 60}"),
        ("gates: [pytest]", 2, 8, "gates: [pytest]", "a mapping such as {test: pytest -rA}"),
        ("metric: [{name: a}]", 2, 9, "metric: [{name: a}]", "several of them as a list below `metrics`"),
        ("metrics: {a: {target: 0}}", 2, 10, "metrics: {a: {target: 0}}", "a list such as [{name: failures, target: 0}]"),
        ("budget: {attempts: 0}", 2, 20, "0", "at least 1"),
        ("budget: {usd: 0}", 2, 15, "0", "more than 0"),
        ("budget: {tokens: 1.5}", 2, 18, "1.5", "a whole number"),
        ("fallback: a, b", 2, 11, "a, b", "as a list"),
        ("land: yolo", 2, 7, "land: yolo", "merge, pr, branch or none"),
        ("model: ''", 2, 8, "''", "one line"),
        ("a: 1\nb: 2\na: 3", 4, 1, "`a` a second time", "2 lines above"),
        ("metric: {name: a, name: b}", 2, 19, "`name` a second time", "once"),
        ("1: x", 2, 1, "the key 1", "in quotes"),
        ("yes: x", 2, 1, "the key yes", "in quotes"),
        ("? [a]\n: b", 2, 3, "a list or mapping as a key", "a word"),
        ("x: !!python/object/apply:os.system [ls]", 2, 4, "python/object", "plain text"),
        ("x: !!binary aGk=", 2, 4, "binary", "plain text"),
        ("x: !!int a", 2, 4, "a", "whole number"),
        ("x: !!bool a", 2, 4, "a", "true or false"),
        ("x: !!float a", 2, 4, "a", "finite"),
        ("priority: " + "9" * 5000, 2, 11, "9999", "whole number"),
        ("<<: 3", 2, 5, "merge key", "mapping"),
        ("- a\n- b", 2, 1, "something else than", "mapping"),
        ("just words", 2, 1, "something else than", "mapping"),
        ("goal: fix: this", 2, 10, "mapping values", "quotes"),
        ("a:\n\t- b", 3, 1, "cannot start any token", "spaces instead of tabs"),
        ("goal: 'open", 2, 7, "quoted scalar", "a quote at its end, too"),
        ('goal: "a\nscope: [b]', 2, 7, "quoted scalar", "a quote at its end, too"),
        ('goal: "a\\d"', 2, 9, "escape", "valid YAML"),
        ("metric:\n  name: a\n  target:0", 4, 3, "simple key", "with a blank behind the mark"),
        ("scope:\n- a\n-b", 4, 1, "simple key", "with a blank behind the mark"),
        ("priority:\xa05", 2, 1, "`key: value` lines", "ordinary spaces"),
        ("a: [1, 2", 3, 1, "", "valid YAML"),
        ("a: *nowhere", 2, 4, "undefined alias", "valid YAML"),
        ("a: &x [*x]", 2, 1, "contains itself", "end"),
        ("a: b\x07", 2, 1, "control characters", "printable"),
        ("a: " + "[" * 30000, 2, 33, "too deep", "at most 30"),
        ("a: " + "- " * 20000 + "x", 2, 4, "", ""),
        ("a:\n  " + "- " * 20000 + "x", 3, 61, "too deep", "at most 30"),
        ("x: " + "y" * 70000, 1, 1, "characters", "body"),
    ],
)
def test_a_problem_names_its_place_what_was_found_and_what_is_expected(
    tmp_path: Path, yaml: str, line: int, column: int, found: str, expected: str
) -> None:
    (problem,) = problems_of(tmp_path, front(yaml))
    assert (problem.path, problem.line, problem.column) == (tmp_path / "autoresearch.md", line, column)
    assert found in problem.found
    assert expected in problem.expected
    assert len(str(problem)) < 600


@pytest.mark.parametrize("pattern", ["!", "\\", "a\\", "src/[z-a].py"])
def test_a_pattern_that_git_can_t_read_is_a_problem_of_the_spec(tmp_path: Path, pattern: str) -> None:
    """It was found after the agent's work, as a fault of ours, and tried again and again."""
    (problem,) = problems_of(tmp_path, f"---\nscope: ['{pattern}']\n---\n# T\n")
    assert (problem.line, problem.expected.startswith("a pattern in git's syntax")) == (2, True)
    (problem,) = problems_of(tmp_path, f"# T\n## Off limits\n- `{pattern}`\n")
    assert problem.line == 3


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    problems = problems_of(tmp_path, front("priority: high\ndraft: x\nmetric: {name: a, direction: up}"))
    assert [problem.line for problem in problems] == [2, 3, 4]


@pytest.mark.timeout(20)
def test_a_yaml_bomb_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"b{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 15)]
    assert "billions of values" in problems_of(tmp_path, front("\n".join(lines)))[0].found


@pytest.mark.parametrize("value", ["[" * 30000, "{a: " * 10000, "\n  " + "- " * 20000, "\n  " + "? " * 20000])
def test_deep_nesting_does_not_end_the_process(tmp_path: Path, value: str) -> None:
    (tmp_path / "autoresearch.md").write_text(front(f"a: {value}"))
    code = "import sys, pathlib; from orchestrator.store import specfile; specfile.read(pathlib.Path(sys.argv[1]))"
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "SpecError" in ended.stderr


PIECES = "# |#|- | |\t|<!-- -->|<!--|-->|`|*|**Model:** |- **Primary**: |,|(|target |- a  |1"
STARTS_OF_LINES = "|- |- **Primary**: a (|- **Secondary**: a, |- **Primary**: a target |**Model:** "


def problems_at_most(folder: Path, text: str) -> int:
    try:
        return len(specfile.parse(folder / "autoresearch.md", text).warnings)
    except SpecError as error:
        return len(error.problems)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("piece", PIECES.split("|"))
@pytest.mark.parametrize("start", STARTS_OF_LINES.split("|"))
def test_a_megabyte_of_anything_is_read_in_a_moment(tmp_path: Path, piece: str, start: str) -> None:
    line = start + piece * (100_000 // len(piece)) + "x"
    body = "# T\n## Metrics\n" + f"{line}\n" * 5 + "## Scope\n" + f"{line}\n" * 4
    assert problems_at_most(tmp_path, body) <= 20


@pytest.mark.timeout(30)
@pytest.mark.parametrize("yaml", ["{}: 1\n", "a: {}\n", "metric{}: [\n", "? {}\n", "{}: &a{} x\n", "- {}\n", "? [{}]\n"])
def test_thousands_of_keys_are_answered_in_a_moment_and_in_few_words(tmp_path: Path, yaml: str) -> None:
    lines = "".join(yaml.replace("{}", f"k{number}") for number in range(4000))
    assert 1 <= problems_at_most(tmp_path, f"---\n{lines}---\n# T\n") <= 21


@pytest.mark.timeout(30)
def test_thousands_of_mistakes_are_told_in_few_words(tmp_path: Path) -> None:
    items = ", ".join(["1"] * 9000)
    assert len(problems_of(tmp_path, front(f"labels: [{items}]"))) == 20


def test_a_front_matter_that_is_never_closed(tmp_path: Path) -> None:
    problem = problems_of(tmp_path, "\n---\npriority: 1\n\n# T\n")[0]
    assert (problem.line, problem.expected) == (2, "a line `---` after it")


@pytest.mark.parametrize("text", ["", "\n\n", "---\n---\n", "---\npriority: 1\n---\n", "<!-- only a hint -->\n"])
def test_a_spec_that_says_nothing(tmp_path: Path, text: str) -> None:
    assert problems_of(tmp_path, text)[0].found == "nothing to work towards"


@pytest.mark.parametrize(
    ("data", "found", "line", "column"),
    [
        (b"# T\nabc \xff\xfe\n", "0xff", 2, 5),
        (b"\xff\xfe#\x00 \x00T\x00", "UTF-16", 1, 1),
        (b"# T\n\x00\n", "NUL", 2, 1),
        (bytes(range(256)) * 100, "NUL", 1, 1),
        (b"\x7fELF\x02\x01\x01\x00\x93\x80", "0x93", 1, 9),
        (b"# T\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n", "conflict", 2, 1),
        (b"---\n<<<<<<< HEAD\npriority: 1\n=======\npriority: 2\n>>>>>>> other\n---\n# T\n", "conflict", 2, 1),
    ],
)
def test_what_is_no_text(tmp_path: Path, data: bytes, found: str, line: int, column: int) -> None:
    problem = problems_of(
        tmp_path, data if data[:3] != bytes(range(3)) else data.replace(b"\x80", b"").decode("latin-1").encode()
    )[0]
    assert found in problem.found
    assert (problem.line, problem.column) == (line, column)


def test_conflict_markers_shown_in_code_are_no_conflict(tmp_path: Path) -> None:
    (tmp_path / "autoresearch.md").write_text("# T\n```\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n```\n")
    assert specfile.read(tmp_path).title == "T"


def test_a_spec_of_ten_megabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "autoresearch.md").open("wb") as file:
        file.truncate(10 * 1024 * 1024)
    with pytest.raises(SpecError, match="10485760 bytes"):
        specfile.read(tmp_path)


def test_links_are_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "autoresearch.md").write_text("# T\n")
    (tmp_path / "linked").symlink_to(real)
    task = tmp_path / "task"
    task.mkdir()
    (task / "autoresearch.md").symlink_to(real / "autoresearch.md")
    auto = tmp_path / "auto"
    auto.mkdir()
    (real / "prompt.md").write_text("# T\n")
    (auto / ".auto").symlink_to(real)
    dangling = tmp_path / "dangling"
    dangling.mkdir()
    (dangling / "autoresearch.md").symlink_to(tmp_path / "nowhere")
    for folder in (tmp_path / "linked", task, auto, dangling):
        with pytest.raises(SpecError, match="a symbolic link"):
            specfile.read(folder)


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    for name, make in {"fifo": os.mkfifo, "folder": os.mkdir, "socket": _socket}.items():
        folder = tmp_path / name
        folder.mkdir()
        make(folder / "autoresearch.md")
        with pytest.raises(SpecError, match="no regular file"):
            specfile.read(folder)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket is short
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)


def test_no_spec_at_all(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no autoresearch\.md"):
        specfile.read(tmp_path)
    with pytest.raises(SpecError, match=r"no autoresearch\.md"):
        specfile.read(tmp_path / "gone")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_spec_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "autoresearch.md"
    path.write_text("# T\n")
    path.chmod(0)
    with pytest.raises(SpecError, match="may not read"):
        specfile.read(tmp_path)


STARTS = "a: |metric:\n  |name: x\n|- |[|]|{|}|&a |*a |<<: |!!|'|\"|>\n|? |: |#|\t|metrics: |priority: |scope: |env: |---\n|\n"
YAML_PIECES = st.sampled_from(STARTS.split("|")) | st.sampled_from(
    ["|", "é", "\u2028", "\x85", "null", "1e5", "0x1f", ".nan", "1:30"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(pieces=st.lists(YAML_PIECES, max_size=25), body=st.text(max_size=40))
def test_whatever_is_written_the_answer_is_a_spec_or_problems(tmp_path: Path, pieces: list[str], body: str) -> None:
    text = "---\n" + "".join(pieces) + "\n---\n# T\n" + body.replace("\x00", "")
    try:
        spec = specfile.parse(tmp_path / "autoresearch.md", text)
    except SpecError:
        return
    assert specfile.from_json(specfile.to_json(spec)) == spec


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "# T\n## " + " ()" * 60_000 + "x\n",
        "# T\n## Scope\n- `{" + "," * 200_000 + "`\n",
        "# T\n## Scope\n- " + "*" * 300_000 + "x",
        "# T\n## Scope\n- all of `" + "/" * 300_000,
        "# T\n" + "a\n===\n\n" * 30_000,
    ],
)
def test_remarks_braces_and_stars_without_an_end_are_read_in_a_moment(tmp_path: Path, text: str) -> None:
    assert problems_at_most(tmp_path, text) <= 1
