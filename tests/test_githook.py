"""The pre-commit hook, by real commits in a small project of its own: real git, real ruff, mypy, lint-imports and pytest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOOKS = Path(__file__).resolve().parent.parent / "githooks"
PROJECT = """
[tool.ruff.lint]
select = ["F"]
[tool.mypy]
strict = true
files = ["small"]
[tool.importlinter]
root_package = "small"
[[tool.importlinter.contracts]]
name = "layers"
type = "layers"
layers = ["small.high", "small.low"]
"""
FILES = {
    "pyproject.toml": PROJECT,
    "small/__init__.py": "",
    "small/low.py": "ONE: int = 1\n",
    "small/high.py": "from small.low import ONE\n\nTWO: int = ONE + 1\n",
    # What git tells its hooks about the repository must not reach the tests, which make repositories of their own.
    "tests/core/test_it.py": 'import os\n\n\ndef test_it() -> None:\n    assert "GIT_INDEX_FILE" not in os.environ\n',
    "tests/proc/test_that.py": "def test_that() -> None:\n    assert True\n",
    ".gitignore": ".*_cache\n__pycache__\n",
}


class Clone:
    """A clone that uses the hook. `path` is where its tools are looked for."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        top.mkdir()
        for name, text in FILES.items():
            self.write(name, text)
        shutil.copytree(HOOKS, top / "githooks")
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "start")
        self.git("config", "core.hooksPath", "githooks")

    def write(self, name: str, text: str) -> None:
        (self.top / name).parent.mkdir(parents=True, exist_ok=True)
        (self.top / name).write_text(text)

    def git(self, *args: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": self.path}
        return subprocess.run(["git", *args], cwd=self.top, env=environment, capture_output=True, text=True, check=False)

    def commit(self) -> subprocess.CompletedProcess[str]:
        self.git("add", "-A")
        return self.git("commit", "-m", "a change")

    @property
    def commits(self) -> int:
        return int(self.git("rev-list", "--count", "HEAD").stdout)


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def test_a_clean_commit_passes_and_the_hook_changes_nothing(clone: Clone) -> None:
    clone.write("small/low.py", "ONE: int = 3\n")
    done = clone.commit()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout + done.stderr  # the fast tests did run
    assert (clone.commits, clone.git("status", "--porcelain").stdout) == (2, "")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("small/low.py", "import os\n\nONE: int = 1\n", "F401"),
        ("small/low.py", "ONE: int   =  1\n", "small/low.py"),
        ("small/low.py", 'ONE: int = "one"\n', "Incompatible types"),
        ("small/low.py", "import small.high\n\nONE: int = 1\nprint(small.high)\n", "layers BROKEN"),
        ("tests/proc/test_that.py", "def test_it() -> None:\n    assert False\n", "1 failed"),
    ],
    ids=["lint", "format", "types", "layers", "tests"],
)
def test_a_commit_that_breaks_a_rule_is_refused_and_told_why(clone: Clone, name: str, text: str, told: str) -> None:
    clone.write(name, text)
    done = clone.commit()
    assert done.returncode != 0
    assert told in done.stdout + done.stderr
    assert clone.commits == 1


def test_without_its_tools_it_refuses_and_says_how_to_get_them(clone: Clone, tmp_path: Path) -> None:
    clone.write("small/low.py", "ONE: int = 3\n")
    clone.git("add", "-A")
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "git").symlink_to(shutil.which("git") or "")
    clone.path = str(bare)
    done = clone.commit()
    assert done.returncode != 0
    assert "pre-commit: ruff is not installed; pip install -e '.[test]'" in done.stderr
    assert clone.commits == 1


def test_it_takes_its_tools_from_the_clones_own_environment_first(clone: Clone) -> None:
    own = clone.top / ".venv" / "bin"
    own.mkdir(parents=True)
    (own / "ruff").write_text("#!/bin/sh\necho ruff of this clone >&2\nexit 1\n")
    (own / "ruff").chmod(0o755)
    clone.write(".gitignore", f"{FILES['.gitignore']}.venv\n")
    assert "ruff of this clone" in clone.commit().stderr
