"""A worktree comes back as clean as git would make it, and git is only asked to where something lies there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.git import given, save, untracked, worktree
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


def undecided(tree: Worktree, git: Callable[..., str]) -> None:
    """A stash that does not go with what was committed since: nothing but the index tells of that merge."""
    (tree.path / "one").write_text("mine")
    git(tree.path, "stash", "-q")
    (tree.path / "one").write_text("theirs")
    git(tree.path, "commit", "-qam", "theirs")
    git(tree.path, "stash", "pop", ok=False)


HARMFUL: dict[str, Callable[[Worktree, Callable[..., str]], object]] = {
    "another repository": lambda tree, git: nested(tree.path),
    "packages": lambda tree, git: ((tree.path / "a/node_modules").mkdir(parents=True), (tree.path / "a/node_modules/x").touch()),
    "a virtual environment": lambda tree, git: ((tree.path / "env").mkdir(), (tree.path / "env/pyvenv.cfg").touch()),
    "byte code": lambda tree, git: (tree.path / "one.pyc").touch(),
    "a hidden edit": lambda tree, git: git(tree.path, "update-index", "--assume-unchanged", "one"),
    "a merge to be decided": undecided,
    "a merge": lambda tree, git: (tree.admin / "MERGE_MSG").touch(),
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_before_a_commit_git_is_asked_where_it_must_not_be_left_alone(
    tree: Worktree, asked: list[str], git: Callable[..., str], kind: str
) -> None:
    HARMFUL[kind](tree, git)
    asked.clear()
    save.commit_all(tree, "all of it")
    assert "status" in asked


def test_of_few_files_git_commits_whatever_it_finds(tree: Worktree, asked: list[str], git: Callable[..., str]) -> None:
    (tree.path / "new/deep").mkdir(parents=True)
    (tree.path / "new/deep/file").write_text("new")
    (tree.path / "new.ignored").write_text("new")
    (tree.path / "one").write_text("changed")
    (tree.path / "two").unlink()
    commit = save.commit_all(tree, "all of it").commit
    assert asked == ["add", "-c"]
    assert commit == git(tree.path, "rev-parse", "HEAD")
    told = git(tree.path, "show", "--name-status", "--format=", "HEAD").split()
    assert told == ["A", "new/deep/file", "M", "one", "D", "two"]
    assert git(tree.path, "status", "--porcelain") == ""
    assert save.commit_all(tree, "nothing").commit is None
    assert git(tree.path, "rev-parse", "HEAD") == commit


@pytest.mark.parametrize("few", [untracked.FEW, 0])
def test_folders_without_a_file_are_litter_like_any_other(tree: Worktree, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(untracked, "FEW", few)
    for name in ("left", "deep/er", "kept/made", "kept/more", "folder.ignored/in", "inner/own", "node_modules", "made/empty"):
        (tree.path / name).mkdir(parents=True)
    (tree.path / "made/file").touch()
    (tree.path / "link").symlink_to("left")
    Git(tree.path / "inner").run("init", "-q")
    (tree.path / "shut").mkdir(mode=0o000)
    save.tidy(tree, ("kept/", "inner/"))
    left = sorted(str(path.relative_to(tree.path)) for path in tree.path.glob("**/*/") if "/.git" not in str(path))
    kept = ["folder.ignored", "folder.ignored/in", "inner", "inner/own", "kept", "kept/made", "kept/more", "node_modules"]
    assert [path for path in left if path not in (".git", "shut")] == kept


def test_what_is_given_includes_folders_without_a_file(tree: Worktree) -> None:
    (tree.path / "out/deep").mkdir(parents=True)
    given.note(tree)
    (tree.path / "out/result").touch()
    (tree.path / "more").mkdir()
    save.tidy(tree, given.entries(tree))
    assert ((tree.path / "out/deep").is_dir(), (tree.path / "more").exists()) == (True, False)


def test_where_nothing_is_left_a_look_costs_one_git(tree: Worktree, asked: list[str]) -> None:
    save.tidy(tree)
    assert asked == ["status"]
