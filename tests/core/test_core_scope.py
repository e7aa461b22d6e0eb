from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.core.scope import Scope, problem

FILES = (
    "README.md",
    "src/app.py",
    "src/gen/out.py",
    "src/app.js",
    "tests/test_app.py",
    "docs/src/x.py",
    "tasks/pending/a/benchmark.sh",
)


def test_without_a_scope_everything_may_change_but_what_is_forbidden() -> None:
    assert Scope().violations(FILES) == {}
    assert tuple(Scope(forbidden=("tasks",)).violations(FILES)) == ("tasks/pending/a/benchmark.sh",)
    below = Scope(forbidden=("/tasks/", "src/app.py"))
    assert list(below.violations(("tasks", "tasks2/x", "src/app.py", "src/app.pyc"))) == ["tasks", "src/app.py"]


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (("*.py",), {"src/app.py", "src/gen/out.py", "tests/test_app.py", "docs/src/x.py"}),
        (("/src/",), {"src/app.py", "src/gen/out.py", "src/app.js"}),
        (("src",), {"src/app.py", "src/gen/out.py", "src/app.js", "docs/src/x.py"}),
        (("./src",), {"src/app.py", "src/gen/out.py", "src/app.js"}),
        (("src/*.py",), {"src/app.py"}),
        (("src/**/*.py", "README.md"), {"README.md", "src/app.py", "src/gen/out.py"}),
        (("/src/*", "!/src/gen"), {"src/app.py", "src/app.js"}),
        ((".",), set(FILES)),
        (("./", "!./src"), set(FILES) - {"src/app.py", "src/gen/out.py", "src/app.js"}),
        (("nothing",), set()),
    ],
)
def test_a_scope_is_read_in_gits_own_syntax(scope: tuple[str, ...], allowed: set[str]) -> None:
    assert set(FILES) - set(Scope(scope=scope).violations(FILES)) == allowed


def test_off_limits_wins_over_scope_and_each_violation_has_its_reason() -> None:
    scope = Scope(scope=("src",), off_limits=("src/gen/",), forbidden=("tasks",))
    assert scope.violations(("src/app.py", "src/gen/out.py", "README.md", "tasks/x")) == {
        "src/gen/out.py": "off limits",
        "README.md": "outside the scope",
        "tasks/x": "no task may change it",
    }


def test_a_path_is_told_once_in_the_order_given() -> None:
    assert list(Scope(scope=("a",)).violations(("z", "b", "z"))) == ["z", "b"]


@pytest.mark.parametrize("odd", ["src/a.py\n", "-a.py\n"])
def test_a_newline_in_a_name_does_not_slip_through(odd: str) -> None:
    assert list(Scope(scope=("*.py",)).violations((odd,))) == [odd]


def test_odd_names_are_matched_like_any_other() -> None:
    names = ("src/a\nb.py", "src/ü b.py", "src/-x.py", "src/\udcff.py", "src/[x].py")
    assert Scope(scope=("src/**",)).violations(names) == {}
    assert Scope(scope=("src/*.py",)).violations(names) == {}


def test_globs_that_git_would_refuse_are_named() -> None:
    assert problem(("src/", "*.py", "!x", "# note", "")) is None
    assert "'!'" in (problem(("src", "!")) or "")


@pytest.mark.parametrize(
    "glob",
    ["*.py", "/src/", "src", "src/*.py", "src/**", "**/gen", "docs/**/x.py", "*.[jp]s", "s?c/app.py", "/README.md", "[!s]*"],
)
def test_a_glob_means_what_git_means_by_it(glob: str, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".git" / "info" / "exclude").write_text(glob + "\n")
    asked = subprocess.run(
        ["git", "check-ignore", "--no-index", "-z", "--stdin"],
        cwd=tmp_path,
        input="\0".join(FILES),
        capture_output=True,
        text=True,
        check=False,
    )
    ignored = set(asked.stdout.split("\0")) - {""}
    assert set(FILES) - set(Scope(scope=(glob,)).violations(FILES)) == ignored
