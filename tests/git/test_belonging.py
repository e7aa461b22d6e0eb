"""Repositories that were moved or copied: whose task it is, and our worktrees in them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.record import Record
from orchestrator.errors import RepositoryError
from orchestrator.git import belonging, following, kept, pool, repository, slugs, worktree
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree


@pytest.fixture
def copy(repo: Repository, tree: Worktree, base: str) -> Repository:
    """A copy with everything, made while one worktree was at work and one idle; `cp -r` it was."""
    worktree.finish(tree)
    idle = pool.prepare(repo, repo.top / ".worktrees" / "other", owner="id-2", branch="orchestrator/other", commit=base)
    pool.retire(idle)
    (tree.path / "unsaved").write_text("unsaved\n")
    return repository.discover(Path(shutil.copytree(repo.top, repo.top.with_name("copy"), symlinks=True)))


def record(top: Path, **more: Any) -> Record:
    facts: dict[str, Any] = {
        "id": "id-1",
        "name": "fix",
        "slug": "fix",
        "inode": 1,
        "repo": str(top),
        "branch": "orchestrator/fix",
        **more,
    }
    return Record(**facts)


def test_a_copy_s_worktrees_are_its_own_once_they_were_followed(repo: Repository, tree: Worktree, copy: Repository, git) -> None:
    for _ in range(2):
        following.follow(copy, repo.top)
        places = {each.path for each in worktree.ours(copy)}
        assert (len(places), all(place.is_relative_to(copy.top) for place in places)) == (2, True)
        found = worktree.find(copy, copy.top / ".worktrees/fix")
        assert found
        assert git(found.path, "rev-parse", "--path-format=absolute", "--git-common-dir") == str(copy.common)
        assert git(found.path, "status", "--porcelain") == "?? unsaved"
        assert pool.prepare(copy, copy.top / ".worktrees/new", owner="id-3", branch=None, commit=str(found.head))
    assert {each.path.parent.parent for each in worktree.ours(repo)} <= {repo.top, repo.top / ".worktrees"}
    assert git(tree.path, "status", "--porcelain") == "?? unsaved"


def test_before_that_it_has_none_of_the_original_s(repo: Repository, copy: Repository) -> None:
    assert worktree.ours(copy) == ()
    assert len(worktree.ours(repo)) == 2
    assert worktree.find(copy, repo.top / ".worktrees/fix") is None
    assert worktree.find(copy, copy.top / ".worktrees/fix") is None


@pytest.mark.parametrize("step", ["write", "correct"])
def test_a_kill_in_between_is_put_right_by_the_next(
    repo: Repository, copy: Repository, step: str, monkeypatch: pytest.MonkeyPatch, git
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(following, step, killed)
        with pytest.raises(KeyboardInterrupt):
            following.follow(copy, repo.top)
    following.follow(copy, repo.top)
    assert len(worktree.ours(copy)) == 2
    assert git(copy.top / ".worktrees/fix", "status", "--porcelain") == "?? unsaved"


def test_a_copy_inside_the_original_is_followed_once(repo: Repository, copy: Repository) -> None:
    inner = repository.discover(copy.top.rename(repo.top / "copy"))
    for _ in range(2):
        following.follow(inner, repo.top)
        assert all(each.path.is_dir() and each.path.is_relative_to(inner.top) for each in worktree.ours(inner))
        assert len(worktree.ours(inner)) == 2
    shutil.rmtree(inner.top / ".worktrees")
    following.follow(inner, repo.top)
    assert {each.path.parents[len(each.path.relative_to(inner.top).parts) - 1] for each in worktree.ours(inner)} == {inner.top}


def test_a_worktree_outside_stays_the_original_s_and_keeps_no_branch_in_the_copy(
    repo: Repository, tmp_path: Path, base: str, git
) -> None:
    pool.prepare(repo, tmp_path / "outside/fix", owner="id-1", branch="orchestrator/fix", commit=base)
    copy = repository.discover(Path(shutil.copytree(repo.top, repo.top.with_name("copy"), symlinks=True)))
    following.follow(copy, repo.top)
    assert worktree.ours(copy) == ()
    assert "branch refs/heads/orchestrator/fix" not in git(copy.top, "worktree", "list", "--porcelain")
    assert "branch refs/heads/orchestrator/fix" in git(repo.top, "worktree", "list", "--porcelain")


def test_a_task_is_known_by_its_reservation_alone_where_there_is_one(repo: Repository, copy: Repository, base: str) -> None:
    assert belonging.knows(copy, record(repo.top))  # by its branch: nobody's name
    slugs.reserve(copy, "third", "id-3")
    third = record(repo.top, id="id-3", slug="third", branch="orchestrator/third")
    assert belonging.of(third, copy.top, copy.top).top == copy.top
    (copy.control / "slugs/third").write_text("id-4")
    with pytest.raises(RepositoryError, match=f"{repo.top} and {copy.top} knows nothing of it"):
        belonging.of(third, copy.top, copy.top)
    kept.keep(copy, "fourth", "0001", base)
    assert belonging.knows(copy, record(repo.top, slug="fourth", branch="orchestrator/fourth"))


def test_another_checkout_of_the_same_repository_changes_nothing(repo: Repository, tmp_path: Path, git) -> None:
    linked = tmp_path / "linked"
    git(repo.top, "worktree", "add", "-q", "--detach", str(linked))
    known = record(repo.top, slug="unknown", branch="orchestrator/unknown")
    assert belonging.of(known, None, linked).top == repo.top
    assert belonging.of(record(linked, slug="unknown", branch="orchestrator/unknown"), None, repo.top).top == linked


def test_a_link_where_the_project_was_leads_to_it(repo: Repository, tree: Worktree, git) -> None:
    worktree.finish(tree)
    former, there = repo.top, repo.top.rename(repo.top.with_name("moved"))
    former.symlink_to(there)
    found = belonging.of(record(former), None, former)
    assert found.top.samefile(there)
    place = worktree.find(found, found.top / ".worktrees/fix")
    assert place
    assert not worktree.broken(place)


def test_below_the_checkout_nothing_is_asked_of_git(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo.top / "below").mkdir()
    monkeypatch.setattr("orchestrator.git.command.capture", None)
    assert belonging.of(record(repo.top), None, repo.top / "below").top == repo.top
