"""Refs that keep commits: made as git makes them, create-only, and left to git wherever anything is in the way."""

from __future__ import annotations

import os

import pytest

from orchestrator.git import kept, refs
from orchestrator.git.command import Git
from orchestrator.git.repository import Repository


def test_git_sees_a_ref_that_was_made_without_it(repo: Repository, base: str, git) -> None:
    assert kept.keep(repo, "fix", "0001", base) == "0001"
    assert git(repo.top, "for-each-ref", "--format=%(refname) %(objectname)", "refs/orchestrator") == (
        f"refs/orchestrator/fix/0001 {base}"
    )
    assert git(repo.top, "fsck") == ""
    git(repo.top, "pack-refs", "--all", "--prune")
    assert kept.keep(repo, "fix", "0001", base) == "0001"
    assert kept.keep(repo, "fix", "0002", base) == "0002"
    assert [each.label for each in kept.attempts(repo, "fix")] == ["0001", "0002"]


def test_refs_are_made_without_a_process_that_a_kill_would_leave_locks_of(
    repo: Repository, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Git, "run", lambda *args, **more: pytest.fail(f"git {args} was run"))
    assert kept.keep_all(repo, "fix", {"extra/0001-1": base, "0001": base}) == ("extra/0001-1", "0001")
    assert refs.read(repo.common, "refs/orchestrator/fix/extra/0001-1") == base
    assert refs.read(repo.common, "refs/orchestrator/fix/0001") == base


def test_a_label_that_names_another_commit_is_never_moved(repo: Repository, base: str, git) -> None:
    git(repo.top, "commit", "-q", "--allow-empty", "-m", "another")
    other = git(repo.top, "rev-parse", "HEAD")
    kept.keep(repo, "fix", "0001", base)
    assert kept.keep(repo, "fix", "0001", other) == "0001.2"
    assert not refs.create(repo.common, "refs/orchestrator/fix/0001", other)
    assert refs.read(repo.common, "refs/orchestrator/fix/0001") == base
    assert not list((repo.common / "refs").rglob("*.lock"))


def test_a_lock_that_somebody_left_is_git_s_to_judge(repo: Repository, base: str) -> None:
    lock = repo.common / "refs/orchestrator/fix/0001.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    os.utime(lock, (0, 0))
    assert kept.keep(repo, "fix", "0001", base) == "0001"
    assert refs.read(repo.common, "refs/orchestrator/fix/0001") == base
    assert not lock.exists()


def test_where_refs_are_no_files_git_makes_them(repo: Repository, base: str, monkeypatch: pytest.MonkeyPatch, git) -> None:
    monkeypatch.setattr(refs, "files", lambda common: False)
    kept.keep(repo, "fix", "0001", base)
    assert git(repo.top, "rev-parse", "refs/orchestrator/fix/0001") == base


def test_a_maker_killed_right_after_its_ref_was_made_has_no_other_number_s_ref_overwritten(
    repo: Repository, base: str, monkeypatch: pytest.MonkeyPatch, git
) -> None:
    """Its file is the ref's own by another name then; process numbers come back, in a container at each start."""
    git(repo.top, "commit", "-q", "--allow-empty", "-m", "another")
    other = git(repo.top, "rev-parse", "HEAD")

    def killed(label: str) -> None:
        if label == "git.ref:after":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(refs, "hit", killed)
        with pytest.raises(KeyboardInterrupt):
            refs.create(repo.common, "refs/orchestrator/fix/0001", base)
    kept.keep(repo, "mend", "0001", other)
    assert refs.read(repo.common, "refs/orchestrator/fix/0001") == base
    assert refs.read(repo.common, "refs/orchestrator/mend/0001") == other
    refs.sweep(repo.common)
    assert not list((repo.common / "orchestrator").glob("ref.*"))


def test_what_a_killed_maker_left_is_swept_and_whom_that_befalls_has_git_make_it(
    repo: Repository, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refs, "hit", lambda label: refs.sweep(repo.common) if label == "git.ref:before" else None)
    assert not refs.create(repo.common, "refs/orchestrator/fix/0001", base)
    assert not list((repo.common / "orchestrator").glob("ref.*"))
    kept.keep(repo, "fix", "0001", base)
    assert refs.read(repo.common, "refs/orchestrator/fix/0001") == base
