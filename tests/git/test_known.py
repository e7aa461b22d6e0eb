"""What git said of a repository is said again only while it would say the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.errors import RepositoryError
from orchestrator.git import known, repository


def git(cwd: Path, *args: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *args], cwd=cwd, check=True, capture_output=True)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    top = tmp_path / "repo"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    git(top, "commit", "-q", "--allow-empty", "-m", "start")
    return top


def test_a_second_look_takes_no_process_and_says_the_same(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = repository.discover(made)
    monkeypatch.setattr(repository, "_asked", lambda path: pytest.fail("git was asked again"))
    assert repository.discover(made) == first


def test_a_changed_configuration_is_asked_about_again(made: Path) -> None:
    repository.discover(made)
    git(made, "config", "core.bare", "true")
    with pytest.raises(RepositoryError, match="bare"):
        repository.discover(made)


def test_a_repository_that_became_shallow_is_asked_about_again(made: Path, tmp_path: Path) -> None:
    git(made, "commit", "-q", "--allow-empty", "-m", "more")
    git(tmp_path, "clone", "-q", made.as_uri(), "clone")
    assert not repository.discover(tmp_path / "clone").shallow
    git(tmp_path / "clone", "fetch", "-q", "--depth=1")
    assert repository.discover(tmp_path / "clone").shallow


def test_what_is_no_plain_checkout_is_never_remembered(made: Path, tmp_path: Path) -> None:
    git(made, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    (made / "folder").mkdir()
    lines = ["false", "false", "sha1", "", "", ""]
    assert known.remember(tmp_path / "linked", lines) is None
    assert known.remember(made / "folder", lines) is None
    git(made, "config", "include.path", "/nowhere")
    assert known.remember(made, lines) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": 1}', '{"lines": 3}', "null"])
def test_a_damaged_memory_is_as_good_as_none(made: Path, damage: str) -> None:
    first = repository.discover(made)
    (made / ".git" / known.FILE).write_text(damage)
    assert known.recall(made) is None
    assert repository.discover(made) == first


def test_a_copied_repository_is_asked_about_again(made: Path, tmp_path: Path) -> None:
    repository.discover(made)
    subprocess.run(["cp", "-r", str(made), str(tmp_path / "copy")], check=True)
    assert repository.discover(tmp_path / "copy").top == tmp_path / "copy"
