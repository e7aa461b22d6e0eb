import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.git import atomicfile, pool, refs
from orchestrator.git.repository import Repository


def test_what_a_killed_writer_left_goes_with_the_next_write_and_a_living_one_s_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (tmp_path / f"file.{dead.pid}.tmp").write_text("half")
    (tmp_path / "file.1.tmp").write_text("still being written")
    (tmp_path / "other.tmp").write_text("not ours")
    atomicfile.write(tmp_path / "file", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "file.1.tmp", "other.tmp"]
    assert (tmp_path / "file").read_text() == "whole"


def test_a_line_that_changes_often_is_replaced_where_it_lies(tmp_path: Path) -> None:
    file = tmp_path / "mark"
    atomicfile.overwrite(file, "short")
    first = file.stat()
    for line in ("another", "short again"):
        atomicfile.overwrite(file, line)
        assert refs.content(file) == line
    assert (file.stat().st_ino, file.stat().st_size) == (first.st_ino, first.st_size)
    atomicfile.overwrite(file, "long " * 100)
    assert refs.content(file) == ("long " * 100).strip()


@pytest.mark.parametrize("made", ["a link", "a hard link", "a pipe", "read-only"])
def test_whatever_an_agent_made_of_such_a_file_another_one_is_put_in_its_place(tmp_path: Path, made: str) -> None:
    file, elsewhere = tmp_path / "mark", tmp_path / "elsewhere"
    elsewhere.write_text("a person's own\n" * 10)
    if made == "a pipe":
        os.mkfifo(file)
    elif made == "a link":
        file.symlink_to(elsewhere)
    elif made == "a hard link":
        file.hardlink_to(elsewhere)
    else:
        file.touch(0o444)
    atomicfile.overwrite(file, "ours")
    assert refs.content(file) == "ours"
    assert elsewhere.read_text() == "a person's own\n" * 10


def test_git_reads_where_a_worktree_is_though_the_line_was_replaced_where_it_lies(repo: Repository, git, base: str) -> None:
    place = repo.top / ".worktrees" / "fix"
    for name in ("fix", "another-with-a-longer-name", "fix"):
        tree = pool.prepare(repo, repo.top / ".worktrees" / name, owner="id-1", branch=None, commit=base)
        assert str(tree.path) in git(repo.top, "worktree", "list", "--porcelain").splitlines()[-3]
        pool.retire(tree)
    git(repo.top, "worktree", "prune", "--expire=now")
    assert len(git(repo.top, "worktree", "list").splitlines()) == 2
    assert not place.exists()
