"""What a push takes along."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import GitError
from orchestrator.git import remotes
from orchestrator.git.remotes import Remote
from orchestrator.git.repository import Repository


@pytest.fixture
def remote(tmp_path: Path, git) -> Remote:
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    return Remote("origin", str(tmp_path / "remote.git"))


@pytest.fixture
def lfs(tmp_path: Path, git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a git-lfs of ours is told; it fails while there is a file called `fail` beside it."""
    told, program = tmp_path / "bin" / "told", tmp_path / "bin" / "git-lfs"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ntest ! -e {tmp_path}/bin/fail || exit 2\necho "$@" >> {told}\ncat >> {told}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return told


@pytest.mark.parametrize("place", [".gitattributes", "deep/er/.gitattributes"])
def test_what_git_lfs_keeps_beside_git_goes_before_the_branch(
    repo: Repository, remote: Remote, lfs: Path, git, commit, place: str
) -> None:
    git(repo.top, "config", "filter.lfs.clean", "cat")
    tip = commit(repo.top, place, "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (lfs.parent / "fail").touch()
    with pytest.raises(GitError):
        remotes.push(repo, remote, "work", tip, None)
    assert remotes.tip(repo, remote, "work") is None
    (lfs.parent / "fail").unlink()
    remotes.push(repo, remote, "work", tip, None)
    remotes.push(repo, remote, "work", (further := commit(repo.top, "one", "further\n")), tip)
    line = "refs/heads/work {} refs/heads/work {}\n"
    one, two = line.format(tip, "0" * 40), line.format(further, tip)
    assert lfs.read_text() == f"pre-push origin {remote.address}\n{one}pre-push origin {remote.address}\n{two}"


@pytest.mark.parametrize(("configured", "used"), [(True, False), (False, True)])
def test_where_git_lfs_is_not_used_it_is_not_asked(
    repo: Repository, remote: Remote, lfs: Path, git, commit, configured: bool, used: bool
) -> None:
    if configured:
        git(repo.top, "config", "filter.lfs.clean", "cat")
    tip = commit(repo.top, ".gitattributes" if used else "notes", "*.bin filter=lfs\n")
    remotes.push(repo, remote, "work", tip, None)
    assert (remotes.tip(repo, remote, "work"), lfs.exists()) == (tip, False)
