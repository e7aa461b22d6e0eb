"""A commit written without git is the one that git would have made, or is left to git."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import time
import zlib
from pathlib import Path

import pytest

from orchestrator.git import merge, objects, save
from orchestrator.git.repository import Repository, discover
from orchestrator.git.worktree import Worktree
from tests.git.conftest import Run

MESSAGE = "Faster\n\nWhat it was for: größer.\n\nTask: x\n"


@pytest.fixture
def like(tree: Worktree) -> str:
    (tree.path / "work").write_text("done\n")
    made = save.commit_all(tree, "the work").commit
    assert made
    return made


def as_git_does(git: Run, repo: Repository, made: str, *args: str) -> str:
    """The commit that git makes with these arguments at the moment `made` says."""
    moment = re.search(r"^committer .*> (\d+ [+-]\d{4})$", git(repo.top, "cat-file", "commit", made), re.MULTILINE)
    assert moment
    command = ("git", "commit-tree", *args)
    env = {**os.environ, "GIT_AUTHOR_DATE": moment[1], "GIT_COMMITTER_DATE": moment[1]}
    return (
        subprocess.run(command, cwd=repo.top, env=env, input=MESSAGE.encode(), capture_output=True, check=True)
        .stdout.decode()
        .strip()
    )


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_it_is_the_commit_that_git_makes(
    repo: Repository, base: str, like: str, git: Run, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    before = int(time.time())
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", zone)
        time.tzset()
        made = objects.commit(repo, f"{like}^{{tree}}", (base, like), MESSAGE, like)
    time.tzset()
    assert made
    told = git(repo.top, "show", "-s", "--format=%an %ae %cn %ce %ct", made).rsplit(" ", 1)
    assert told[0] == git(repo.top, "show", "-s", "--format=%an %ae %cn %ce", like)
    assert before <= int(told[1]) <= time.time()
    assert as_git_does(git, repo, made, f"{like}^{{tree}}", "-p", base, "-p", like) == made
    git(repo.top, "update-ref", "refs/heads/made", made)
    git(repo.top, "fsck", "--strict")


def test_any_tree_may_be_given_and_made_twice_it_is_one(repo: Repository, base: str, like: str, git: Run) -> None:
    tree = git(repo.top, "rev-parse", f"{base}^{{tree}}")
    made = {objects.commit(repo, tree, (base,), MESSAGE, like) for _ in range(20)}
    assert {git(repo.top, "rev-parse", f"{each}^{{tree}}") for each in made} == {tree}
    assert not list((repo.common / "objects").glob("*/tmp_obj_*"))


def test_who_shares_a_repository_may_read_and_write_it(tmp_path: Path, git: Run) -> None:
    top = tmp_path / "shared"
    git(tmp_path, "init", "-q", "-b", "main", "--shared=0660", str(top))
    git(top, "commit", "-q", "--allow-empty", "-m", "x")
    like, objects_ = git(top, "rev-parse", "HEAD"), top / ".git/objects"
    before = set(objects_.iterdir())
    for number in range(5):
        made = objects.commit(discover(top), f"{like}^{{tree}}", (like,), f"{number}\n", like)
        assert made
        assert (objects_ / made[:2] / made[2:]).stat().st_mode & 0o777 == 0o440
    anew = set(objects_.iterdir()) - before
    assert anew
    assert {folder.stat().st_mode for folder in anew} == {(objects_ / like[:2]).stat().st_mode}


def packed(repo: Repository, like: str, git: Run) -> str:
    git(repo.top, "gc", "-q")
    return like


def encoded(repo: Repository, like: str, git: Run) -> str:
    git(repo.top, "-c", "i18n.commitEncoding=latin1", "commit", "-q", "--allow-empty", "-m", "x")
    return git(repo.top, "rev-parse", "HEAD")


def replaced(repo: Repository, like: str, git: Run) -> str:
    path = repo.common / "objects" / like[:2] / like[2:]
    content = zlib.decompress(path.read_bytes()).replace(b"the work", b"THE WORK")
    path.unlink()
    path.write_bytes(zlib.compress(content))
    return like


def torn(repo: Repository, like: str, git: Run) -> str:
    path = repo.common / "objects" / like[:2] / like[2:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:20] + b"?" * 20)
    return like


def no_commit(repo: Repository, like: str, git: Run) -> str:
    return git(repo.top, "rev-parse", f"{like}^{{tree}}")


@pytest.mark.parametrize("made_odd", [packed, encoded, replaced, torn, no_commit])
def test_what_is_not_the_plain_case_is_left_to_git(repo: Repository, base: str, like: str, git: Run, made_odd) -> None:
    odd = made_odd(repo, like, git)
    assert objects.commit(repo, git(repo.top, "rev-parse", f"{base}^{{tree}}"), (base,), MESSAGE, odd) is None


def test_a_tree_by_another_name_is_left_to_git(repo: Repository, base: str, like: str) -> None:
    assert objects.commit(repo, f"{base}^{{tree}}", (base,), MESSAGE, like) is None


def test_on_a_full_disk_nothing_is_left(repo: Repository, base: str, like: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("orchestrator.git.objects.os.fsync", full)
    assert objects.commit(repo, f"{like}^{{tree}}", (base,), MESSAGE, like) is None
    assert not list((repo.common / "objects").glob("*/tmp_obj_*"))


def test_a_message_that_git_refuses_is_refused_by_git(repo: Repository, base: str, like: str) -> None:
    assert objects.commit(repo, f"{like}^{{tree}}", (base,), "a\0b", like) is None


def test_a_repository_of_longer_names_is_left_to_git(tmp_path: Path, git: Run) -> None:
    top = tmp_path / "longer"
    git(tmp_path, "init", "-q", "-b", "main", "--object-format=sha256", str(top))
    git(top, "commit", "-q", "--allow-empty", "-m", "x")
    like = git(top, "rev-parse", "HEAD")
    assert objects.commit(discover(top), f"{like}^{{tree}}", (like,), MESSAGE, like) is None
    assert git(top, "cat-file", "-t", merge.commit(discover(top), f"{like}^{{tree}}", (like,), MESSAGE, like=like)) == "commit"
