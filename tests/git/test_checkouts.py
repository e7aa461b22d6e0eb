from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import GitError
from orchestrator.git import changes, checkouts, listing, merge, repository
from orchestrator.git.checkouts import Advanced, Blocked, Moved
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree
from orchestrator.store import locks
from orchestrator.store.locks import LockProof


@pytest.fixture
def proof(repo: Repository) -> Iterator[LockProof]:
    with locks.acquire(repo.landing_lock) as held:
        yield held


@pytest.fixture
def sha256(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every repository that is made from now on has hashes of 32 bytes."""
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")


@pytest.fixture
def landing(repo: Repository, tree: Worktree, base: str, git, commit) -> tuple[str, str]:
    """Old and new commit of a landing that edits, deletes and adds."""
    commit(tree.path, "one", "landed\n")
    git(tree.path, "rm", "-q", "two")
    tip = commit(tree.path, "deep/new", "landed\n")
    return base, merge.commit(repo, f"{tip}^{{tree}}", (base, tip), "Land")


def untouched(git, folder: Path, base: str) -> bool:
    return git(folder, "rev-parse", "main") == base and not git(folder, "diff", "HEAD") and (folder / "two").exists()


def landed(git, folder: Path, new: str) -> bool:
    return (
        git(folder, "rev-parse", "HEAD") == new
        and git(folder, "status", "--porcelain") == ""
        and (folder / "deep" / "new").exists()
    )


class TestAdvance:
    def test_a_clean_checkout_follows(self, repo: Repository, landing, proof: LockProof, git) -> None:
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert landed(git, repo.top, landing[1])
        assert not (repo.top / "two").exists()
        assert git(repo.top, "stash", "list") == ""
        assert "orchestrator: land" in git(repo.top, "reflog", "-1", "HEAD")

    def test_a_linked_checkout_of_the_base_follows(
        self, repo: Repository, landing, proof: LockProof, tmp_path: Path, git
    ) -> None:
        git(repo.top, "checkout", "-q", "-b", "mine")
        git(repo.top, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert landed(git, tmp_path / "linked", landing[1])
        assert git(repo.top, "status", "--porcelain") == ""
        assert (repo.top / "two").exists()

    def test_a_checkout_whose_head_is_a_link_follows(self, repo: Repository, landing, proof: LockProof, git) -> None:
        git(repo.top, "-c", "core.preferSymlinkRefs=true", "symbolic-ref", "HEAD", "refs/heads/main")
        assert (repo.common / "HEAD").is_symlink()
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert landed(git, repo.top, landing[1])

    @pytest.mark.parametrize("base_name", ["main", "master", "other"])
    @pytest.mark.parametrize("on", ["main", "master", "other"])
    def test_a_checkout_on_another_name_of_the_base_follows(
        self, repo: Repository, landing, proof: LockProof, git, base_name: str, on: str
    ) -> None:
        git(repo.top, "branch", "-m", "main", "master")
        git(repo.top, "symbolic-ref", "refs/heads/main", "refs/heads/master")
        git(repo.top, "symbolic-ref", "refs/heads/other", "refs/heads/main")
        git(repo.top, "symbolic-ref", "HEAD", f"refs/heads/{on}")
        assert checkouts.advance(repo, base_name, *landing, proof) == Advanced()
        assert landed(git, repo.top, landing[1])
        assert git(repo.top, "rev-parse", "master") == landing[1]
        assert git(repo.top, "symbolic-ref", "refs/heads/main") == "refs/heads/master"

    def test_a_checkout_on_another_name_of_the_base_is_waited_for(self, repo: Repository, landing, proof: LockProof, git) -> None:
        git(repo.top, "branch", "-m", "main", "master")
        git(repo.top, "symbolic-ref", "refs/heads/main", "refs/heads/master")
        (repo.top / "one").write_text("dirty\n")
        assert isinstance(checkouts.advance(repo, "main", *landing, proof), Blocked)
        assert repository.tip(repo, "main") == landing[0]
        assert (repo.top / "one").read_text() == "dirty\n"

    def test_a_linked_checkout_of_the_base_that_was_moved_is_waited_for(
        self, repo: Repository, landing, proof: LockProof, tmp_path: Path, git
    ) -> None:
        git(repo.top, "checkout", "-q", "-b", "mine")
        git(repo.top, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
        (tmp_path / "linked").rename(tmp_path / "moved")
        outcome = checkouts.advance(repo, "main", *landing, proof)
        assert isinstance(outcome, Blocked)
        assert outcome.blockers == checkouts.blockers(repo, "main", *landing)
        assert str(outcome.blockers[0]).startswith(f"{tmp_path / 'linked'}: ")
        assert all(fix in outcome.blockers[0].reason for fix in ("git worktree repair", "git worktree prune"))
        assert repository.tip(repo, "main") == landing[0]
        git(repo.top, "worktree", "repair", str(tmp_path / "moved"))
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert landed(git, tmp_path / "moved", landing[1])

    def test_a_deleted_checkout_that_git_was_told_to_forget_is_not_waited_for(
        self, repo: Repository, landing, proof: LockProof, tmp_path: Path, git
    ) -> None:
        git(repo.top, "checkout", "-q", "-b", "mine")
        git(repo.top, "worktree", "add", "-q", str(tmp_path / "linked"), "main")
        shutil.rmtree(tmp_path / "linked")
        assert isinstance(checkouts.advance(repo, "main", *landing, proof), Blocked)
        git(repo.top, "worktree", "prune")
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()

    def test_lost_checkouts_of_other_branches_and_of_ours_are_not_waited_for(
        self, repo: Repository, tree: Worktree, landing, proof: LockProof, tmp_path: Path, git
    ) -> None:
        git(repo.top, "checkout", "-q", "-b", "mine")
        for number, place in enumerate(("other", "detached")):
            git(repo.top, "worktree", "add", "-q", *(("--detach",) if number else ("-b", place)), str(tmp_path / place))
            shutil.rmtree(tmp_path / place)
        git(tree.path, "checkout", "-q", "main")
        shutil.rmtree(tree.path)
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()

    def test_a_base_that_is_checked_out_nowhere_just_moves(self, repo: Repository, landing, proof: LockProof, git) -> None:
        git(repo.top, "checkout", "-q", "-b", "mine")
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert repository.tip(repo, "main") == landing[1]

    def test_the_folder_above_a_bare_repository_called_git_is_no_checkout(
        self, repo: Repository, landing, tmp_path: Path, git
    ) -> None:
        place = tmp_path / "place"
        git(tmp_path, "clone", "-q", "--bare", str(repo.top), str(place / ".git"))
        git(place, "fetch", "-q", str(repo.top), landing[1])
        git(place, "worktree", "add", "-q", "main", "main")
        there = repository.discover(place / "main")
        with locks.acquire(there.landing_lock) as proof:
            assert checkouts.advance(there, "main", *landing, proof) == Advanced()
        assert landed(git, place / "main", landing[1])
        assert sorted(path.name for path in place.iterdir()) == [".git", "main"]

    def test_a_submodules_own_checkout_follows_a_landing_of_a_linked_one(
        self, repo: Repository, landing, tmp_path: Path, git
    ) -> None:
        above = tmp_path / "above"
        git(tmp_path, "init", "-q", str(above))
        git(above, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(repo.top), "lib")
        git(above / "lib", "fetch", "-q", str(repo.top), landing[1])
        git(above / "lib", "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
        there = repository.discover(tmp_path / "side")
        with locks.acquire(there.landing_lock) as proof:
            assert checkouts.advance(there, "main", *landing, proof) == Advanced()
        assert landed(git, above / "lib", landing[1])

    def test_a_main_checkout_that_git_does_not_place_makes_the_landing_wait_until_it_is_told(
        self, repo: Repository, landing, tmp_path: Path, git
    ) -> None:
        place = tmp_path / "place"
        git(tmp_path, "clone", "-q", "--separate-git-dir", str(tmp_path / "kept.git"), str(repo.top), str(place))
        git(place, "fetch", "-q", str(repo.top), landing[1])
        git(place, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
        there = repository.discover(tmp_path / "side")
        with locks.acquire(there.landing_lock) as proof:
            blocked = checkouts.advance(there, "main", *landing, proof)
            assert isinstance(blocked, Blocked)
            assert "core.worktree" in str(blocked.blockers[0])
            assert untouched(git, place, landing[0])
            git(place, "config", "core.worktree", str(place))
            assert checkouts.advance(there, "main", *landing, proof) == Advanced()
        assert landed(git, place, landing[1])

    def test_every_checkout_follows_where_there_are_several(
        self, repo: Repository, landing, proof: LockProof, tmp_path: Path, git
    ) -> None:
        git(repo.top, "worktree", "add", "-q", "-f", str(tmp_path / "second"), "main")
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert landed(git, repo.top, landing[1])
        assert landed(git, tmp_path / "second", landing[1])

    def test_none_follows_where_one_of_several_can_not(
        self, repo: Repository, landing, proof: LockProof, tmp_path: Path, git
    ) -> None:
        git(repo.top, "worktree", "add", "-q", "-f", str(tmp_path / "second"), "main")
        (tmp_path / "second" / "one").write_text("dirty")
        outcome = checkouts.advance(repo, "main", *landing, proof)
        assert isinstance(outcome, Blocked)
        assert [blocker.checkout for blocker in outcome.blockers] == [tmp_path / "second"]
        assert untouched(git, repo.top, landing[0])

    def test_edits_elsewhere_in_the_checkout_stay(self, repo: Repository, landing, proof: LockProof, git) -> None:
        (repo.top / "three").write_text("the user's\n")
        (repo.top / "notes").write_text("the user's\n")
        (repo.top / "staged").write_text("the user's\n")
        git(repo.top, "add", "staged")
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert git(repo.top, "status", "--porcelain").split("\n") == ["A  staged", " M three", "?? notes"]
        assert (repo.top / "three").read_text() == "the user's\n"

    def test_files_that_were_only_touched_are_no_obstacle(self, repo: Repository, landing, proof: LockProof, git) -> None:
        os.utime(repo.top / "one", (0, 0))
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()

    @pytest.mark.parametrize("staged", [False, True])
    def test_an_edit_that_would_be_overwritten_makes_it_wait(
        self, repo: Repository, landing, proof: LockProof, git, staged: bool
    ) -> None:
        (repo.top / "one").write_text("the user's\n")
        if staged:
            git(repo.top, "add", "one")
        outcome = checkouts.advance(repo, "main", *landing, proof)
        assert isinstance(outcome, Blocked)
        assert outcome.blockers[0].paths == ("one",)
        assert "would be overwritten: one" in str(outcome.blockers[0])
        assert (repo.top / "one").read_text() == "the user's\n"
        assert repository.tip(repo, "main") == landing[0]
        assert (repo.top / "two").exists()

    def test_a_conflict_that_a_stash_left_elsewhere_makes_it_wait_in_git_s_words(
        self, repo: Repository, tree: Worktree, landing, proof: LockProof, git, commit
    ) -> None:
        (repo.top / "three").write_text("stashed\n")
        git(repo.top, "stash", "-q")
        base = commit(repo.top, "three", "the user's\n")
        git(tree.path, "merge", "-q", "main", "-m", "both")
        git(repo.top, "stash", "pop", "-q", ok=False)
        outcome = checkouts.advance(repo, "main", base, tree.head or "", proof)
        assert isinstance(outcome, Blocked)
        assert "resolve your current index" in outcome.blockers[0].reason
        assert outcome.blockers[0].paths == ()

    @pytest.mark.parametrize("flag", ["assume-unchanged", "skip-worktree"])
    def test_an_edit_that_git_was_told_to_hide_is_named(
        self, repo: Repository, landing, proof: LockProof, git, flag: str
    ) -> None:
        (repo.top / "one").write_text("the user's\n")
        git(repo.top, "update-index", f"--{flag}", "one", "three")
        assert git(repo.top, "status", "--porcelain") == ""
        outcome = checkouts.advance(repo, "main", *landing, proof)
        assert isinstance(outcome, Blocked)
        assert outcome.blockers[0].paths == ("one",)
        assert f"--no-{flag}" in str(outcome.blockers[0])
        assert (repo.top / "one").read_text() == "the user's\n"

    @pytest.mark.parametrize("name", ["new", "x.ignored"])
    def test_an_untracked_or_ignored_file_in_the_way_makes_it_wait(
        self, repo: Repository, tree: Worktree, base: str, proof: LockProof, commit, name: str
    ) -> None:
        new = commit(tree.path, name, "landed\n")
        (repo.top / name).write_text("precious")
        assert checkouts.blockers(repo, "main", base, new)[0].paths == (name,)
        assert isinstance(checkouts.advance(repo, "main", base, new, proof), Blocked)
        assert (repo.top / name).read_text() == "precious"
        assert repository.tip(repo, "main") == base

    def test_an_ignored_file_where_a_folder_comes_makes_it_wait(
        self, repo: Repository, tree: Worktree, base: str, proof: LockProof, commit
    ) -> None:
        new = commit(tree.path, "x.ignored/deep/file", "landed\n")
        (repo.top / "x.ignored").write_text("precious")
        outcome = checkouts.advance(repo, "main", base, new, proof)
        assert isinstance(outcome, Blocked)
        assert outcome.blockers[0].paths == ("x.ignored",)
        assert (repo.top / "x.ignored").read_text() == "precious"

    def test_ignored_files_in_a_folder_where_a_file_comes_make_it_wait(
        self, repo: Repository, tree: Worktree, base: str, proof: LockProof, commit
    ) -> None:
        new = commit(tree.path, "place", "landed\n")
        (repo.top / "place").mkdir()
        (repo.top / "place" / "x.ignored").write_text("precious")
        outcome = checkouts.advance(repo, "main", base, new, proof)
        assert isinstance(outcome, Blocked)
        assert outcome.blockers[0].paths == ("place/x.ignored",)
        assert (repo.top / "place" / "x.ignored").read_text() == "precious"

    def test_a_link_to_a_folder_in_a_folder_where_a_file_comes_makes_it_wait(
        self, repo: Repository, tree: Worktree, base: str, proof: LockProof, tmp_path: Path, commit
    ) -> None:
        new = commit(tree.path, "place", "landed\n")
        (repo.top / "place").mkdir()
        (repo.top / "place" / "x.ignored").symlink_to(tmp_path)
        outcome = checkouts.advance(repo, "main", base, new, proof)
        assert isinstance(outcome, Blocked)
        assert outcome.blockers[0].paths == ("place/x.ignored",)
        assert (repo.top / "place" / "x.ignored").is_symlink()

    def test_a_link_where_a_folder_comes_makes_it_wait(
        self, repo: Repository, tree: Worktree, base: str, proof: LockProof, tmp_path: Path, commit
    ) -> None:
        new = commit(tree.path, "x.ignored/file", "landed\n")
        (repo.top / "x.ignored").symlink_to(tmp_path)
        assert isinstance(checkouts.advance(repo, "main", base, new, proof), Blocked)
        assert not (tmp_path / "file").exists()

    def test_a_tracked_file_that_becomes_a_folder_is_no_obstacle(
        self, repo: Repository, tree: Worktree, base: str, proof: LockProof, git, commit
    ) -> None:
        git(tree.path, "rm", "-q", "one")
        new = commit(tree.path, "one/file", "landed\n")
        assert checkouts.advance(repo, "main", base, new, proof) == Advanced()
        assert (repo.top / "one" / "file").read_text() == "landed\n"

    def test_a_rebase_of_the_base_makes_it_wait(self, repo: Repository, landing, proof: LockProof, git, commit) -> None:
        old, new = landing
        git(repo.top, "checkout", "-q", "-b", "other", old)
        commit(repo.top, "one", "other\n")
        git(repo.top, "checkout", "-q", "main")
        top = commit(repo.top, "one", "main\n")
        git(repo.top, "rebase", "other", ok=False)
        assert git(repo.top, "symbolic-ref", "-q", "HEAD", ok=False) == ""
        outcome = checkouts.advance(repo, "main", top, new, proof)
        assert isinstance(outcome, Blocked)
        assert "a rebase is in progress" in str(outcome.blockers[0])

    def test_a_bisect_of_the_base_makes_it_wait(self, repo: Repository, landing, proof: LockProof, git, commit) -> None:
        commit(repo.top, "three", "a\n")
        top = commit(repo.top, "three", "b\n")
        git(repo.top, "bisect", "start", top, landing[0])
        outcome = checkouts.advance(repo, "main", top, landing[1], proof)
        assert isinstance(outcome, Blocked)
        assert "bisect" in str(outcome.blockers[0])

    def test_a_base_that_moved_changes_nothing(self, repo: Repository, landing, proof: LockProof, git, commit) -> None:
        moved = commit(repo.top, "three", "moved\n")
        assert checkouts.advance(repo, "main", *landing, proof) == Moved()
        assert git(repo.top, "rev-parse", "HEAD") == moved
        assert git(repo.top, "status", "--porcelain") == ""

    def test_a_base_that_moves_at_the_last_moment_is_put_right(
        self, repo: Repository, landing, proof: LockProof, git, monkeypatch
    ) -> None:
        """The user commits between our update of the files and that of the branch."""

        def commit_in_between(label: str) -> None:
            if label == "land.update-ref:before":
                git(repo.top, "checkout", "-q", "HEAD", "--", "three")
                (repo.top / "three").write_text("the user's\n")
                tree = git(repo.top, "rev-parse", f"{landing[0]}^{{tree}}")
                git(repo.top, "update-ref", "refs/heads/main", git(repo.top, "commit-tree", tree, "-p", landing[0], "-m", "x"))

        monkeypatch.setattr(checkouts, "hit", commit_in_between)
        assert checkouts.advance(repo, "main", *landing, proof) == Moved()
        assert git(repo.top, "diff", "--name-only", "HEAD") == "three"
        assert (repo.top / "two").exists()
        assert not (repo.top / "deep").exists()

    @pytest.mark.parametrize("point", ["land.read-tree:before", "land.update-ref:before", "land.update-ref:after"])
    @pytest.mark.parametrize("comes", [True, False])
    def test_a_checkout_that_comes_to_the_base_or_leaves_it_meanwhile_is_as_clean_as_it_was(
        self, repo: Repository, landing, proof: LockProof, tmp_path: Path, git, monkeypatch, point: str, comes: bool
    ) -> None:
        git(repo.top, "branch", "other")
        git(repo.top, "worktree", "add", "-q", "-f", str(tmp_path / "second"), "main")
        git(repo.top, "switch", "-q", "--ignore-other-worktrees", *(("--detach",) if comes else ("main",)))

        def switch(label: str) -> None:
            if label == point:
                git(repo.top, "switch", "-q", "--ignore-other-worktrees", "main" if comes else "other")

        monkeypatch.setattr(checkouts, "hit", switch)
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert git(repo.top, "status", "--porcelain") == ""
        assert git(repo.top, "rev-parse", "HEAD") == (landing[1] if comes else landing[0])
        assert landed(git, tmp_path / "second", landing[1])

    def test_a_checkout_that_leaves_the_base_with_what_has_just_landed_keeps_that(
        self, repo: Repository, landing, proof: LockProof, git, monkeypatch
    ) -> None:
        point = "land.update-ref:after"
        monkeypatch.setattr(checkouts, "hit", lambda label: git(repo.top, "switch", "-qc", "on") if label == point else None)
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert git(repo.top, "status", "--porcelain") == ""
        assert git(repo.top, "rev-parse", "HEAD") == landing[1]

    def test_a_checkout_that_comes_to_the_base_meanwhile_keeps_what_git_does_not_track(
        self, repo: Repository, landing, proof: LockProof, git, monkeypatch
    ) -> None:
        git(repo.top, "switch", "-q", "--detach")
        (repo.common / "info").mkdir(exist_ok=True)
        (repo.common / "info" / "exclude").write_text("/deep/\n")
        (repo.top / "deep").mkdir()
        (repo.top / "deep" / "new").write_text("the user's\n")
        point = "land.update-ref:before"
        monkeypatch.setattr(checkouts, "hit", lambda label: git(repo.top, "switch", "-q", "main") if label == point else None)
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()
        assert (repo.top / "deep" / "new").read_text() == "the user's\n"

    def test_another_git_at_work_in_the_checkout_makes_it_wait(self, repo: Repository, landing, proof: LockProof, git) -> None:
        (repo.common / "index.lock").touch()
        outcome = checkouts.advance(repo, "main", *landing, proof)
        assert isinstance(outcome, Blocked)
        assert outcome.blockers[0].paths == (str(repo.common / "index.lock"),)
        (repo.common / "index.lock").unlink()
        assert untouched(git, repo.top, landing[0])

    def test_a_lock_on_the_branch_makes_it_wait_and_is_undone(self, repo: Repository, landing, proof: LockProof, git) -> None:
        lock = repo.common / "refs" / "heads" / "main.lock"
        lock.touch()
        assert isinstance(checkouts.advance(repo, "main", *landing, proof), Blocked)
        assert untouched(git, repo.top, landing[0])
        os.utime(lock, (0, 0))
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()

    def test_a_git_that_breaks_off_half_way_is_undone(
        self, repo: Repository, tree: Worktree, base: str, proof: LockProof, git, commit
    ) -> None:
        """As it does on a full disk: here by a filter that fails."""
        commit(tree.path, ".gitattributes", "zz filter=broken\n")
        commit(tree.path, "one", "landed\n")
        new = commit(tree.path, "zz", "landed\n")
        git(repo.top, "config", "filter.broken.smudge", "false")
        git(repo.top, "config", "filter.broken.required", "true")
        outcome = checkouts.advance(repo, "main", base, new, proof)
        assert isinstance(outcome, Blocked)
        assert "filter" in outcome.blockers[0].reason
        assert git(repo.top, "status", "--porcelain") == ""
        assert (repo.top / "one").read_text() == "one\n" * 3

    def test_an_edit_of_the_user_that_says_the_same_is_not_taken_back(
        self, repo: Repository, landing, proof: LockProof, git
    ) -> None:
        (repo.top / "one").write_text("landed\n")
        assert isinstance(checkouts.advance(repo, "main", *landing, proof), Blocked)
        assert (repo.top / "one").read_text() == "landed\n"
        assert git(repo.top, "status", "--porcelain") == " M one"[1:]

    def test_failing_hooks_do_not_stop_it(self, repo: Repository, landing, proof: LockProof) -> None:
        for name in ("reference-transaction", "post-merge", "post-checkout", "post-index-change"):
            hook = repo.common / "hooks" / name
            hook.parent.mkdir(exist_ok=True)
            hook.write_text("#!/bin/sh\nexit 1\n")
            hook.chmod(0o755)
        assert checkouts.advance(repo, "main", *landing, proof) == Advanced()

    def test_a_sparse_checkout_stays_sparse(self, repo: Repository, tree: Worktree, proof: LockProof, git, commit) -> None:
        commit(repo.top, "in/file", "x")
        old = commit(repo.top, "out/file", "x")
        git(repo.top, "sparse-checkout", "set", "in")
        git(tree.path, "reset", "-q", "--hard", old)
        commit(tree.path, "in/file", "landed\n")
        new = commit(tree.path, "out/file", "landed\n")
        assert checkouts.advance(repo, "main", old, new, proof) == Advanced()
        assert (repo.top / "in" / "file").read_text() == "landed\n"
        assert not (repo.top / "out").exists()
        assert git(repo.top, "status", "--porcelain") == ""

    def test_a_submodule_in_the_checkout_is_left_as_it_is(
        self, repo: Repository, tree: Worktree, proof: LockProof, tmp_path: Path, git, commit
    ) -> None:
        library = tmp_path / "library"
        library.mkdir()
        git(library, "init", "-q")
        commit(library, "x", "x\n")
        git(repo.top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
        git(repo.top, "commit", "-qm", "lib")
        old = git(repo.top, "rev-parse", "HEAD")
        git(tree.path, "reset", "-q", "--hard", old)
        new = commit(tree.path, "one", "landed\n")
        assert checkouts.advance(repo, "main", old, new, proof) == Advanced()
        assert (repo.top / "lib" / "x").read_text() == "x\n"
        assert git(repo.top, "status", "--porcelain") == ""

    @pytest.mark.parametrize("link", [False, True])
    def test_a_submodule_with_files_where_a_file_or_link_comes_makes_it_wait(
        self, repo: Repository, tree: Worktree, proof: LockProof, tmp_path: Path, git, commit, link: bool
    ) -> None:
        git(tmp_path, "init", "-q", "library")
        commit(tmp_path / "library", "x", "x\n")
        git(repo.top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tmp_path / "library"), "lib")
        git(repo.top, "commit", "-q", "-m", "with it")
        (repo.top / "lib" / "x").write_text("not committed")
        old = git(repo.top, "rev-parse", "HEAD")
        git(tree.path, "reset", "-q", "--hard", old)
        git(tree.path, "rm", "-q", "lib")
        if link:
            (tree.path / "lib").symlink_to("one")
            git(tree.path, "add", "lib")
        new = commit(tree.path, "one" if link else "lib", "landed\n")
        outcome = checkouts.advance(repo, "main", old, new, proof)
        assert isinstance(outcome, Blocked)
        assert set(outcome.blockers[0].paths) == {"lib/.git", "lib/x"}
        assert (repo.top / "lib" / "x").read_text() == "not committed"
        git(repo.top, "submodule", "deinit", "-q", "-f", "lib")
        assert checkouts.advance(repo, "main", old, new, proof) == Advanced()
        assert (repo.top / "lib").is_symlink() == link

    def test_a_submodule_that_a_landing_took_out_is_no_obstacle_to_taking_the_landing_back(
        self, repo: Repository, proof: LockProof, tmp_path: Path, git
    ) -> None:
        git(tmp_path, "init", "-q", "library")
        library = tmp_path / "library"
        git(library, "commit", "-q", "--allow-empty", "-m", "library")
        git(repo.top, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
        git(repo.top, "commit", "-q", "-m", "with it")
        (repo.top / "lib" / "mine").write_text("not committed")
        with_it, tree = git(repo.top, "rev-parse", "HEAD"), git(repo.top, "rev-parse", "HEAD^^{tree}")
        without = merge.commit(repo, tree, (with_it,), "Land")
        back = merge.commit(repo, f"{with_it}^{{tree}}", (without,), "Revert")
        assert checkouts.advance(repo, "main", with_it, without, proof) == Advanced()
        assert checkouts.advance(repo, "main", without, back, proof) == Advanced()
        assert git(repo.top, "status", "--porcelain", "--ignore-submodules=untracked") == ""
        assert (repo.top / "lib" / "mine").read_text() == "not committed"


class TestListing:
    def test_it_says_what_git_says(self, repo: Repository, tree: Worktree, tmp_path: Path, git) -> None:
        git(repo.top, "worktree", "add", "-q", "--detach", str(tmp_path / "odd\nname"))
        git(repo.top, "worktree", "add", "-q", "-b", "deep/er", str(tmp_path / "second"))
        rows = git(repo.top, "worktree", "list", "--porcelain", "-z").split("\0\0")
        theirs = {}
        for row in filter(None, rows):
            facts = dict(line.partition(" ")[::2] for line in row.strip("\0").split("\0"))
            theirs[facts["worktree"]] = facts.get("branch", "").removeprefix("refs/heads/") or None
        ours = {str(checkout.path): checkout.branch for checkout in listing.checkouts(repo)}
        assert ours == theirs

    def test_it_is_the_same_from_a_linked_checkout(self, repo: Repository, tree: Worktree) -> None:
        from_there = repository.discover(tree.path)
        assert {item.path for item in listing.checkouts(from_there)} == {item.path for item in listing.checkouts(repo)}

    def test_a_checkout_that_is_gone_is_not_listed(self, repo: Repository, tree: Worktree) -> None:
        tree.path.rename(tree.path.with_name("elsewhere"))
        assert [checkout.path for checkout in listing.checkouts(repo)] == [repo.top]


PROGRAM = """
import sys
from pathlib import Path
from orchestrator.git import checkouts, repository
from orchestrator.store import locks
repo = repository.discover(Path(sys.argv[1]))
with locks.acquire(repo.landing_lock) as proof:
    print(checkouts.advance(repo, "main", sys.argv[2], sys.argv[3], proof))
"""


class TestRecover:
    def kill_at(self, repo: Repository, landing: tuple[str, str], label: str) -> None:
        import sys

        environment = {**os.environ, "ORCH_FAILPOINT": label}
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(repo.top), *landing], env=environment, capture_output=True, check=False
        )
        assert ended.returncode == -9, ended.stderr

    @pytest.mark.parametrize("label", ["land.read-tree:before", "land.read-tree:after", "land.update-ref:before"])
    def test_a_kill_before_the_branch_moved_is_undone(self, repo: Repository, landing, git, label: str) -> None:
        (repo.top / "three").write_text("the user's\n")
        self.kill_at(repo, landing, label)
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "status", "--porcelain").split() == ["M", "three"]
        assert (repo.top / "two").exists()
        assert not (repo.top / "deep").exists()
        assert repository.tip(repo, "main") == landing[0]

    @pytest.mark.usefixtures("sha256")
    @pytest.mark.parametrize("label", ["land.read-tree:after", "land.update-ref:before"])
    def test_a_repository_with_longer_hashes_is_put_right_too(self, repo: Repository, landing, git, label: str) -> None:
        assert len(landing[0]) == 64
        self.kill_at(repo, landing, label)
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "status", "--porcelain") == ""
        assert (repo.top / "two").exists()
        assert not (repo.top / "deep").exists()

    def test_a_kill_after_it_is_a_landing(self, repo: Repository, landing, git) -> None:
        self.kill_at(repo, landing, "land.update-ref:after")
        assert checkouts.recover(repo, "main", *landing)
        assert landed(git, repo.top, landing[1])

    def test_a_landing_that_the_base_has_left_behind_counts(self, repo: Repository, landing, git, commit) -> None:
        self.kill_at(repo, landing, "land.update-ref:after")
        commit(repo.top, "three", "later\n")
        assert checkouts.recover(repo, "main", *landing)

    def test_a_commit_that_git_has_collected_since_was_no_landing_and_the_next_one_finds_what_it_brought(
        self, repo: Repository, landing, git
    ) -> None:
        old, new = landing
        self.kill_at(repo, landing, "land.read-tree:after")
        side = git(repo.top, "rev-parse", f"{new}^2")
        git(repo.top, "update-ref", "refs/heads/orchestrator/fix", side)
        git(repo.top, "reflog", "expire", "--expire=now", "--all")
        git(repo.top, "gc", "-q", "--prune=now")
        assert not checkouts.recover(repo, "main", old, new)
        again = merge.commit(repo, f"{side}^{{tree}}", (old, side), "Land again")
        with locks.acquire(repo.landing_lock) as proof:
            assert checkouts.advance(repo, "main", old, again, proof) == Advanced()
        assert landed(git, repo.top, again)

    @pytest.mark.parametrize("label", ["undo.file:before", "undo.file:before#2", "undo.index:before"])
    def test_a_second_kill_during_the_undoing_is_undone_too(self, repo: Repository, landing, git, label: str) -> None:
        import sys

        self.kill_at(repo, landing, "land.read-tree:after")
        program = "import sys; from pathlib import Path; from orchestrator.git import checkouts, repository\n"
        program += "checkouts.recover(repository.discover(Path(sys.argv[1])), 'main', *sys.argv[2:])"
        environment = {**os.environ, "ORCH_FAILPOINT": label}
        ended = subprocess.run([sys.executable, "-c", program, str(repo.top), *landing], env=environment, check=False)
        assert ended.returncode == -9
        assert not checkouts.recover(repo, "main", *landing)
        assert untouched(git, repo.top, landing[0])
        assert git(repo.top, "status", "--porcelain") == ""

    def test_done_twice_it_changes_nothing_more(self, repo: Repository, landing, git) -> None:
        self.kill_at(repo, landing, "land.update-ref:before")
        assert not checkouts.recover(repo, "main", *landing)
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "status", "--porcelain") == ""

    @pytest.mark.parametrize("done", range(4))
    def test_files_that_a_killed_git_had_half_brought_forward_go_back(self, repo: Repository, landing, git, done: int) -> None:
        """Git updates file by file and writes the index last; the last file may be cut off."""
        steps = [
            (repo.top / "two").unlink,
            lambda: (repo.top / "one").write_text("lan"),
            lambda: (repo.top / "one").write_text("landed\n"),
            lambda: ((repo.top / "deep").mkdir(), (repo.top / "deep" / "new").write_text("")),
        ]
        for step in steps[: done + 1]:
            step()
        lock = repo.common / "index.lock"
        lock.write_bytes(b"DIRC")
        os.utime(lock, (0, 0))
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "status", "--porcelain") == ""
        assert untouched(git, repo.top, landing[0])
        assert not lock.exists()

    def test_a_git_killed_while_it_writes_is_undone(
        self, repo: Repository, tree: Worktree, base: str, proof: LockProof, git, commit
    ) -> None:
        """A filter that kills the git that runs it, in the middle of the files."""
        commit(tree.path, ".gitattributes", "mm filter=kill\ndeep/new filter=fine\n")
        for name in ("deep/new", "mm", "one", "zz"):
            commit(tree.path, name, "landed\n")
        landing = (base, tree.head or "")
        git(repo.top, "config", "filter.fine.smudge", "cat")
        git(repo.top, "config", "filter.kill.smudge", "kill -9 $PPID")
        with pytest.raises(GitError):
            checkouts.advance(repo, "main", *landing, proof)
        git(repo.top, "config", "--unset", "filter.kill.smudge")
        lock = repo.common / "index.lock"
        os.utime(lock, (0, 0))
        assert (repo.top / "deep" / "new").exists()
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "status", "--porcelain") == ""
        assert not lock.exists()

    def test_what_is_neither_old_nor_new_is_never_touched(self, repo: Repository, landing, git) -> None:
        self.kill_at(repo, landing, "land.update-ref:before")
        (repo.top / "one").write_text("written by the user after the kill\n")
        (repo.top / "deep" / "new").write_text("landed, and more by the user\n")
        assert not checkouts.recover(repo, "main", *landing)
        assert (repo.top / "one").read_text() == "written by the user after the kill\n"
        assert (repo.top / "deep" / "new").read_text() == "landed, and more by the user\n"
        assert (repo.top / "two").exists()
        assert set(git(repo.top, "status", "--porcelain").split("\n")) == {"M one", "?? deep/"}

    def test_an_entry_that_the_user_staged_stays(self, repo: Repository, landing, git) -> None:
        self.kill_at(repo, landing, "land.update-ref:before")
        (repo.top / "one").write_text("staged by the user\n")
        git(repo.top, "add", "one")
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "show", ":one") == "staged by the user"

    def test_a_commit_of_the_user_on_top_keeps_what_it_took_along(self, repo: Repository, landing, git) -> None:
        """Killed before the branch moved, the checkout had NEW staged; then the user committed it all."""
        self.kill_at(repo, landing, "land.update-ref:before")
        git(repo.top, "commit", "-qam", "the user's")
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "status", "--porcelain") == ""
        assert (repo.top / "one").read_text() == "landed\n"

    def test_what_the_base_has_changed_again_since_is_left_to_its_owner(self, repo: Repository, landing, git) -> None:
        """Neither OLD's nor NEW's: nothing of the landing's can be taken back there."""
        self.kill_at(repo, landing, "land.update-ref:before")
        (repo.top / "one").write_text("the user's\n")
        git(repo.top, "commit", "-qm", "the user's", "--", "one")
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "status", "--porcelain") == ""
        assert (repo.top / "one").read_text() == "the user's\n"
        assert (repo.top / "two").exists()
        assert not (repo.top / "deep").exists()

    def test_nothing_is_taken_back_through_a_link_that_the_user_put_in_place_of_a_folder(
        self, repo: Repository, landing, git, tmp_path: Path
    ) -> None:
        self.kill_at(repo, landing, "land.update-ref:before")
        (repo.top / "deep").rename(tmp_path / "elsewhere")
        (repo.top / "deep").symlink_to(tmp_path / "elsewhere")
        assert not checkouts.recover(repo, "main", *landing)
        assert (tmp_path / "elsewhere" / "new").read_text() == "landed\n"
        assert (repo.top / "two").exists()
        assert git(repo.top, "status", "--porcelain") == "?? deep"

    def test_a_living_git_in_the_checkout_is_waited_for(self, repo: Repository, landing) -> None:
        self.kill_at(repo, landing, "land.read-tree:after")
        (repo.common / "index.lock").touch()
        with pytest.raises(Exception, match=r"index\.lock is in the way"):
            checkouts.recover(repo, "main", *landing)

    def test_filters_links_and_modes_are_known_for_what_they_are(
        self, repo: Repository, tree: Worktree, base: str, git, commit
    ) -> None:
        commit(tree.path, ".gitattributes", "*.crlf text eol=crlf\n")
        commit(tree.path, "a.crlf", "line\nline\n")
        (tree.path / "one").chmod(0o755)
        (tree.path / "three").unlink()
        (tree.path / "three").symlink_to("one")
        git(tree.path, "commit", "-qam", "x")
        landing = (base, tree.head or "")
        self.kill_at(repo, landing, "land.read-tree:after")
        assert (repo.top / "three").is_symlink()
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "status", "--porcelain") == ""
        assert not (repo.top / "three").is_symlink()
        assert not (repo.top / "a.crlf").exists()

    def test_a_file_that_became_a_folder_becomes_a_file_again(
        self, repo: Repository, tree: Worktree, base: str, git, commit
    ) -> None:
        git(tree.path, "rm", "-q", "one")
        landing = (base, commit(tree.path, "one/file", "landed\n"))
        self.kill_at(repo, landing, "land.read-tree:after")
        assert not checkouts.recover(repo, "main", *landing)
        assert (repo.top / "one").read_text() == "one\n" * 3
        assert git(repo.top, "status", "--porcelain") == ""

    @pytest.mark.parametrize("becomes", ["file", "link", "folder"])
    def test_what_took_an_empty_submodule_s_place_goes_back_too(
        self, repo: Repository, tree: Worktree, base: str, git, becomes: str
    ) -> None:
        git(repo.top, "update-index", "--add", "--cacheinfo", f"160000,{base},lib")
        git(repo.top, "commit", "-qm", "lib")
        (repo.top / "lib").mkdir()
        git(tree.path, "reset", "-q", "--hard", "main")
        git(tree.path, "rm", "-q", "lib")
        place = tree.path / "lib"
        if becomes == "folder":
            place.mkdir()
        place.symlink_to("one") if becomes == "link" else (place / "x" if becomes == "folder" else place).write_text("landed\n")
        git(tree.path, "add", "lib")
        git(tree.path, "commit", "-qm", "landing")
        landing = (git(repo.top, "rev-parse", "HEAD"), tree.head or "")
        self.kill_at(repo, landing, "land.read-tree:after")
        assert not checkouts.recover(repo, "main", *landing)
        assert git(repo.top, "status", "--porcelain") == ""
        assert list((repo.top / "lib").iterdir()) == []

    @pytest.mark.parametrize("half", ["", "land"])
    def test_an_empty_submodule_s_place_that_was_being_taken_goes_back_too(
        self, repo: Repository, tree: Worktree, base: str, git, commit, half: str
    ) -> None:
        git(repo.top, "update-index", "--add", "--cacheinfo", f"160000,{base},lib")
        git(repo.top, "commit", "-qm", "lib")
        git(tree.path, "reset", "-q", "--hard", "main")
        git(tree.path, "rm", "-q", "lib")
        old, new = git(repo.top, "rev-parse", "HEAD"), commit(tree.path, "lib", "landed\n")
        if half:
            (repo.top / "lib").write_text(half)
        assert not checkouts.recover(repo, "main", old, new)
        assert git(repo.top, "status", "--porcelain") == ""
        assert list((repo.top / "lib").iterdir()) == []

    def test_odd_names_go_back_too(self, repo: Repository, tree: Worktree, base: str, git, commit) -> None:
        names = ("-rf", "new\nline", "späce ü", "a\tb", "*", '"quoted"')
        for name in names:
            commit(tree.path, name, "x")
        landing = (base, tree.head or "")
        self.kill_at(repo, landing, "land.read-tree:after")
        assert not checkouts.recover(repo, "main", *landing)
        assert not any((repo.top / name).exists() for name in names)
        assert git(repo.top, "status", "--porcelain") == ""

    def test_a_sparse_checkout_is_put_back_sparse(self, repo: Repository, tree: Worktree, git, commit) -> None:
        commit(repo.top, "in/file", "x")
        old = commit(repo.top, "out/file", "x")
        git(repo.top, "sparse-checkout", "set", "in")
        git(tree.path, "reset", "-q", "--hard", old)
        commit(tree.path, "in/file", "landed\n")
        landing = (old, commit(tree.path, "out/file", "landed\n"))
        self.kill_at(repo, landing, "land.read-tree:after")
        assert not checkouts.recover(repo, "main", *landing)
        assert (repo.top / "in" / "file").read_text() == "x"
        assert not (repo.top / "out").exists()
        assert git(repo.top, "status", "--porcelain") == ""
        assert changes.changed(repo, old, "main") == ()
