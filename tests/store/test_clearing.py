from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.store import clearing


@pytest.mark.parametrize("depth", [1500, 5000])  # deeper than Python calls itself; longer than a path may be
def test_no_folder_is_too_deep_to_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    top = tmp_path / "top"
    top.mkdir()
    monkeypatch.chdir(top)
    for _ in range(depth):
        Path("d").mkdir()
        os.chdir("d")
    Path("file").touch()
    os.chdir(tmp_path)
    clearing.remove(top)
    assert not os.path.lexists(top)


def test_what_must_not_be_opened_goes_and_what_links_lead_to_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    far = tmp_path / "top" / ("b" * 250) / ("c" * 250) / "shut"
    far.mkdir(parents=True)
    (far / "file").touch()
    (far / "link").symlink_to(tmp_path / "precious")
    far.chmod(0)
    clearing.remove(tmp_path / "top")
    assert not (tmp_path / "top").exists()
    assert (tmp_path / "precious" / "file").exists()


def test_a_tree_of_another_user_goes_as_far_as_its_group_may_remove_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top, held = tmp_path / "top", tmp_path / "top" / "shut" / "held"
    (top / ("b" * 250) / ("c" * 250)).mkdir(parents=True)
    held.parent.mkdir()
    for file in (top / "file", held.parent / "a", held, held.parent / "z"):
        file.touch()
    unlink = os.unlink

    def refused(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "chmod", refused)  # it is its owner's, whatever a group may do
        patch.setattr(os, "unlink", lambda path: refused() if path == str(held) else unlink(path))
        clearing.remove(top)
    assert sorted(top.rglob("*")) == [held.parent, held]


def test_only_what_is_in_the_tree_itself_is_opened(tmp_path: Path) -> None:
    """A link, and a second name of a file, may lead to what is a person's."""
    top, theirs = tmp_path / "top", tmp_path / "theirs"
    (theirs / "inner").mkdir(parents=True)
    (top / "folder").mkdir(parents=True)
    for file in (theirs / "file", top / "own"):
        file.touch(0o200)
    (top / "link").symlink_to(theirs)
    (top / "same").hardlink_to(theirs / "file")
    for folder in (theirs / "inner", theirs, top / "folder"):
        folder.chmod(0o500)
    assert not clearing.let_in_all(top / "link")
    assert clearing.let_in_all(top)
    assert not clearing.let_in_all(top)
    modes = [
        oct(path.stat().st_mode & 0o777) for path in (top / "folder", top / "own", theirs, theirs / "inner", theirs / "file")
    ]
    assert modes == ["0o700", "0o600", "0o500", "0o500", "0o200"]
    theirs.chmod(0o700)
