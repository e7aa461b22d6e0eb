"""What a power cut must not take is synced before anything names it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.git import checkouts, lasting, merge, refs, save
from orchestrator.git.repository import HEADS, Repository
from orchestrator.git.worktree import Worktree
from orchestrator.store import locks


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that this process made sure of, in order."""
    paths: list[str] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        paths.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return paths


@pytest.fixture
def git_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many files git has synced since the last look."""
    trace = tmp_path / "trace"
    monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace))

    def count() -> int:
        events = [json.loads(line) for line in trace.read_text().splitlines()]
        trace.write_text("")
        return sum(int(event["value"]) for event in events if event.get("category") == "fsync")

    return count


def loose(repo: Repository, git, *range_: str) -> set[str]:
    names = git(repo.top, "rev-list", "--objects", "--no-object-names", *range_).split()
    return {str(repo.common / "objects" / name[:2] / name[2:]) for name in names}


def test_our_own_commits_are_synced_with_all_that_is_in_them(
    repo: Repository, tree: Worktree, git, git_syncs: Callable[[], int]
) -> None:
    (tree.path / "one").write_text("edited")
    (tree.path / "new").write_text("new")
    git(repo.top, "version")
    git_syncs()
    assert save.commit_all(tree, "x").commit
    assert git_syncs() >= 2 + 1 + 1 + 1  # two files, a tree, the commit, the branch


def test_what_an_agents_git_wrote_is_synced_with_its_branch(
    repo: Repository, tree: Worktree, base: str, git, commit, synced
) -> None:
    tip = commit(tree.path, "folder/file", "x\n")
    lasting.secure(repo, (tip,), (base,), (f"{HEADS}orchestrator/fix",))
    made = loose(repo, git, tip, f"^{base}")
    assert len(made) == 4  # a file, two trees, the commit
    assert set(synced) == made | {str(repo.common / HEADS / "orchestrator/fix")}


def test_what_is_kept_in_the_middle_of_a_session_is_synced_before_a_ref_names_it(
    repo: Repository, tree: Worktree, base: str, git, commit, synced: list[str]
) -> None:
    """On an empty object with a ref to it `git rev-list` fails, and with that whatever else is to be kept of the task."""
    tip = commit(tree.path, "folder/file", "x\n")
    (tree.path / "one").write_text("staged\n")
    git(tree.path, "add", "one")
    (label,) = save.keep_everything(tree, "fix", "cut/0001-c7f3a1", base=base)
    kept = str(refs.read(repo.common, f"refs/orchestrator/fix/{label}"))
    named = next(place for place, path in enumerate(synced) if Path(path).name.startswith("ref."))
    assert loose(repo, git, kept, tip, f"^{base}") <= set(synced[:named])


def test_packed_objects_and_refs_are_left_to_git(repo: Repository, tree: Worktree, base: str, git, commit, synced) -> None:
    tip = commit(tree.path, "one", "x\n")
    git(repo.top, "gc", "-q")
    lasting.secure(repo, (tip,), (base,), (f"{HEADS}orchestrator/fix",))
    assert synced == []


def test_a_ref_that_we_make_is_synced_before_it_has_its_name(repo: Repository, base: str, synced: list[str]) -> None:
    assert refs.create(repo.common, "refs/orchestrator/fix/0001", base)
    (made,) = synced
    assert made.startswith(str(repo.common / "orchestrator" / "ref."))


def test_the_base_is_synced_with_its_name_when_it_has_moved(
    repo: Repository, base: str, git, synced: list[str], git_syncs: Callable[[], int]
) -> None:
    git(repo.top, "checkout", "-q", "--detach")
    new = merge.commit(repo, f"{base}^{{tree}}", (base,), "Land\n")
    git_syncs()
    with locks.acquire(repo.landing_lock) as proof:
        assert checkouts.advance(repo, "main", base, new, proof) == checkouts.Advanced()
    assert git_syncs() == 1
    assert synced[-1] == str(repo.common / HEADS)
