"""A worktree comes back as clean as git would make it, and git is only asked to where something lies there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.git import untracked, worktree
from orchestrator.git.command import Git, Output
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree


def swap(top: Path) -> None:
    """As many files as before: one that git tracks has gone, another one is there."""
    (top / "one").rename(top / "another")


def nested(top: Path) -> None:
    (top / "inner").mkdir()
    Git(top / "inner").run("init", "-q")


LEFT: dict[str, Callable[[Path], object]] = {
    "a file": lambda top: (top / "new").write_text("new"),
    "an ignored file": lambda top: (top / "new.ignored").write_text("new"),
    "a file in a folder": lambda top: ((top / "a/b").mkdir(parents=True), (top / "a/b/new").touch()),
    "an empty folder": lambda top: (top / "empty").mkdir(),
    "empty folders in each other": lambda top: (top / "empty/more").mkdir(parents=True),
    "a link": lambda top: (top / "link").symlink_to("one"),
    "a link to a folder": lambda top: (top / "link").symlink_to("/"),
    "another repository": nested,
    "a file for a file": swap,
    "a folder for a file": lambda top: ((top / "one").unlink(), (top / "one").mkdir(), (top / "one/in").touch()),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The git commands that were run, by their verbs."""
    verbs: list[str] = []

    def run(self: Git, *args: str, real: Callable[..., Output] = Git.run, **more: object) -> Output:
        verbs.append(args[0])
        return real(self, *args, **more)

    monkeypatch.setattr(Git, "run", run)
    return verbs


@pytest.mark.parametrize("kind", LEFT)
def test_whatever_was_left_goes(tree: Worktree, base: str, git: Callable[..., str], kind: str) -> None:
    LEFT[kind](tree.path)
    worktree.reset(tree, branch=None, commit=base)
    assert git(tree.path, "status", "--porcelain", "--ignored") == ""
    assert sorted(path.name for path in tree.path.iterdir()) == [".git", ".gitignore", "one", "three", "two"]


def test_where_nothing_was_left_git_is_not_asked_to_clean(tree: Worktree, base: str, asked: list[str]) -> None:
    worktree.reset(tree, branch=None, commit=base)
    assert "clean" not in asked
    (tree.path / "new").touch()
    worktree.reset(tree, branch=None, commit=base)
    assert "clean" in asked


def test_of_many_files_git_is_asked(tree: Worktree, base: str, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untracked, "FEW", 3)
    worktree.reset(tree, branch=None, commit=base)
    assert "clean" in asked


def test_where_another_repository_is_tracked_git_is_asked(
    repo: Repository, tree: Worktree, asked: list[str], git: Callable[..., str]
) -> None:
    nested(repo.top)
    git(repo.top / "inner", "commit", "-qm", "within", "--allow-empty")
    git(repo.top, "add", "inner")
    git(repo.top, "commit", "-qm", "with another")
    worktree.reset(tree, branch=None, commit=git(repo.top, "rev-parse", "HEAD"))
    assert "clean" in asked


def test_without_gits_own_file_one_more_is_not_taken_for_it(tree: Worktree) -> None:
    (tree.path / ".git").rename(tree.path / "git")
    assert not untracked.none(tree.path, tree.admin / "index", tree.repo.hash_size)


def test_a_folder_that_cannot_be_read_is_gits_affair(tree: Worktree, tmp_path: Path) -> None:
    assert not untracked.none(tmp_path / "gone", tree.admin / "index", tree.repo.hash_size)
    assert not untracked.none(tree.path, tree.admin / "no-index", tree.repo.hash_size)
