"""What a setup command left in a worktree belongs in no commit for as long as it is what it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.git import given, save
from orchestrator.git.worktree import Worktree
from tests.git.conftest import Run

ODD = (b"new\nline", b"\xff", b"-dash", "ünï".encode(), b"with space", b"star*", b"a:b")


def committed(git: Run, tree: Worktree) -> set[bytes]:
    assert save.commit_all(tree, "work").commit
    return set(os.fsencode(git(tree.path, "diff", "-z", "--name-only", "HEAD~", "HEAD")).rstrip(b"\0").split(b"\0"))


def touch(tree: Worktree, *names: bytes) -> None:
    for name in names:
        path = os.fsencode(tree.path) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - names that are no text
        Path(os.fsdecode(path)).touch()


def test_odd_names_and_links_are_given_as_any_other(tree: Worktree, git: Run) -> None:
    touch(tree, *ODD, *(b"deep/er/" + name for name in ODD))
    (tree.path / "link").symlink_to("nowhere")
    given.note(tree)
    assert save.commit_all(tree, "work").commit is None
    touch(tree, b"mine", b"deep/mine")
    assert committed(git, tree) == {b"mine", b"deep/mine"}


def test_what_was_changed_in_whatever_way_is_not_given_any_more(tree: Worktree, git: Run) -> None:
    names = (b"longer", b"as-long", b"mode", b"replaced", b"touched", b"same")
    touch(tree, *names)
    (tree.path / "link").symlink_to("nowhere")
    given.note(tree)
    (tree.path / "longer").write_text("x")
    (tree.path / "mode").chmod(0o755)
    (tree.path / "new").touch()
    (tree.path / "new").rename(tree.path / "replaced")
    os.utime(tree.path / "touched")
    (tree.path / "link").unlink()
    (tree.path / "link").symlink_to("elsewhere")
    before = (tree.path / "as-long").stat()
    (tree.path / "as-long").write_text("y")
    (tree.path / "as-long").write_text("")
    os.utime(tree.path / "as-long", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert committed(git, tree) == {b"longer", b"mode", b"replaced", b"touched", b"link", b"as-long"}


def test_installed_packages_are_left_out_as_they_are_without_it(tree: Worktree) -> None:
    touch(tree, b"node_modules/a/b", b"own/node_modules/c", b"own/d")
    given.note(tree)
    assert (given.entries(tree), given.unchanged(tree)) == (("node_modules/", "own/"), frozenset({"own/d"}))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"entries": 1}', '{"entries": [], "files": 7}'])
def test_notes_that_can_not_be_read_give_nothing(tree: Worktree, git: Run, text: str) -> None:
    touch(tree, b"tool")
    (tree.admin / given.FILE).write_text(text)
    assert committed(git, tree) == {b"tool"}


def test_nothing_is_given_where_nothing_lies_or_after_it_was_forgotten(tree: Worktree, git: Run) -> None:
    given.note(tree)
    assert not (tree.admin / given.FILE).exists()
    touch(tree, b"tool")
    given.note(tree)
    given.forget(tree)
    assert committed(git, tree) == {b"tool"}
