from __future__ import annotations

import os

import pytest

from orchestrator.errors import GitError
from orchestrator.git import changes, merge, pool, worktree
from orchestrator.git.changes import Status
from orchestrator.git.merge import Conflict, Merged
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree


@pytest.fixture
def verify(repo: Repository, base: str) -> Worktree:
    return pool.prepare(repo, repo.top / ".worktrees" / "fix.verify", owner="id-1", branch=None, commit=base)


class TestChanges:
    def test_every_kind_of_change_is_told(self, repo: Repository, tree: Worktree, base: str, git) -> None:
        (tree.path / "one").write_text("edited\n")
        (tree.path / "two").unlink()
        (tree.path / "three").unlink()
        (tree.path / "three").symlink_to("one")
        (tree.path / "new\nline").write_text("x")
        (tree.path / ".gitignore").chmod(0o755)
        git(tree.path, "add", "-A")
        git(tree.path, "commit", "-qm", "x")
        found = {change.path: change for change in changes.changed(repo, base, tree.head or "")}
        assert {path: change.status for path, change in found.items()} == {
            "one": Status.MODIFIED,
            "two": Status.DELETED,
            "three": Status.TYPE,
            "new\nline": Status.ADDED,
            ".gitignore": Status.MODIFIED,
        }
        assert found["three"].mode == changes.SYMLINK
        assert (found[".gitignore"].old_mode, found[".gitignore"].mode) == ("100644", "100755")
        assert found["new\nline"].old_mode == changes.ABSENT

    def test_a_rename_is_a_deletion_and_an_addition(self, repo: Repository, tree: Worktree, base: str, git) -> None:
        git(tree.path, "config", "diff.renames", "copies")
        git(tree.path, "mv", "one", "moved")
        git(tree.path, "commit", "-qm", "x")
        assert {change.path for change in changes.changed(repo, base, tree.head or "")} == {"one", "moved"}

    def test_a_repository_inside_is_a_submodule(self, repo: Repository, tree: Worktree, base: str, git, commit) -> None:
        (tree.path / "inner").mkdir()
        git(tree.path / "inner", "init", "-q")
        commit(tree.path / "inner", "x", "x")
        git(tree.path, "add", "inner")
        git(tree.path, "commit", "-qm", "x")
        (change,) = changes.changed(repo, base, tree.head or "")
        assert change.mode == changes.SUBMODULE

    def test_paths_and_patch_come_from_one_look(self, repo: Repository, tree: Worktree, base: str, commit) -> None:
        commit(tree.path, "a", "text\n")
        tip = commit(tree.path, "b", "more\n")
        seen = changes.review(repo, base, tip)
        assert [change.path for change in seen.changes] == ["a", "b"]
        assert seen.patch.startswith(b"diff --git a/a b/a\n")
        assert seen.patch == changes.patch(repo, base, tip)
        assert "2 files changed" in changes.stat(repo, base, tip)

    def test_no_difference_is_empty(self, repo: Repository, base: str) -> None:
        assert changes.review(repo, base, base) == changes.Review((), b"")

    def test_a_long_patch_is_cut(self, repo: Repository, tree: Worktree, base: str, commit) -> None:
        tip = commit(tree.path, "a", "text\n" * 1000)
        cut = changes.patch(repo, base, tip, limit=100)
        assert len(cut) < 200
        assert b"cut" in cut

    def test_a_diff_program_of_the_user_is_not_run(self, repo: Repository, tree: Worktree, base: str, git, commit) -> None:
        git(repo.top, "config", "diff.external", "false")
        commit(tree.path, ".gitattributes", "* diff=odd\n")
        git(repo.top, "config", "diff.odd.textconv", "false")
        tip = commit(tree.path, "a", "text\n")
        assert b"+text" in changes.patch(repo, base, tip)


class TestMerge:
    def test_two_sides_become_one_tree(self, repo: Repository, tree: Worktree, verify: Worktree, git, commit) -> None:
        tip = commit(tree.path, "a", "a")
        base = commit(repo.top, "b", "b")
        worktree.reset(verify, branch=None, commit=base)
        merged = merge.merge(verify, base, tip)
        assert isinstance(merged, Merged)
        made = merge.commit(repo, merged.tree, (base, tip), "Land it\n\nTask: fix\n")
        assert git(repo.top, "log", "-1", "--format=%P", made) == f"{base} {tip}"
        assert {"a", "b"} <= set(git(repo.top, "ls-tree", "--name-only", made).splitlines())
        assert git(repo.top, "status", "--porcelain") == ""

    def test_a_conflict_names_its_files_once(self, repo: Repository, tree: Worktree, verify: Worktree, git, commit) -> None:
        commit(tree.path, "one", "mine\n")
        tip = commit(tree.path, "new\nline", "mine\n")
        commit(repo.top, "one", "theirs\n")
        base = commit(repo.top, "new\nline", "theirs\n")
        merged = merge.merge(verify, base, tip)
        assert isinstance(merged, Conflict)
        assert merged.files == ("new\nline", "one")
        both = git(repo.top, "show", f"{merged.tree}:one")
        assert both == f"<<<<<<< {base}\ntheirs\n=======\nmine\n>>>>>>> {tip}"

    def test_a_deleted_file_that_was_edited_is_a_conflict(
        self, repo: Repository, tree: Worktree, verify: Worktree, git, commit
    ) -> None:
        tip = commit(tree.path, "one", "mine\n")
        git(repo.top, "rm", "-q", "one")
        git(repo.top, "commit", "-qm", "x")
        merged = merge.merge(verify, git(repo.top, "rev-parse", "main"), tip)
        assert isinstance(merged, Conflict)
        assert merged.files == ("one",)

    def test_attributes_of_the_base_decide_how(self, repo: Repository, tree: Worktree, verify: Worktree, git, commit) -> None:
        commit(repo.top, ".gitattributes", "log merge=union\n")
        start = commit(repo.top, "log", "begin\n")
        worktree.reset(tree, branch="orchestrator/fix", commit=start)
        tip = commit(tree.path, "log", "begin\nmine\n")
        base = commit(repo.top, "log", "begin\ntheirs\n")
        worktree.reset(verify, branch=None, commit=base)
        assert isinstance(merge.merge(verify, base, tip), Merged)

    def test_what_no_file_is_merged_for_needs_no_checkout(self, repo: Repository, tree: Worktree, git, commit) -> None:
        tip = commit(tree.path, "mine", "mine\n")
        base = commit(repo.top, "theirs", "theirs\n")
        merged = merge.plain(repo, base, tip)
        assert merged is not None
        assert merged.side == tip
        assert {"mine", "theirs", "one"} <= set(git(repo.top, "ls-tree", "--name-only", merged.tree).splitlines())

    @pytest.mark.parametrize("theirs", ["1\n2\n3\n4\n5\n6\nseven\n", "one of theirs\n2\n3\n4\n5\n6\n7\n", None])
    def test_a_file_that_both_have_changed_is_merged_where_the_attributes_are(
        self, repo: Repository, tree: Worktree, git, commit, theirs: str | None
    ) -> None:
        start = commit(repo.top, "lines", "1\n2\n3\n4\n5\n6\n7\n")
        worktree.reset(tree, branch="orchestrator/fix", commit=start)
        tip = commit(tree.path, "lines", "one of mine\n2\n3\n4\n5\n6\n7\n")
        if theirs:
            commit(repo.top, "lines", theirs)
        else:
            git(repo.top, "mv", "lines", "elsewhere")
            commit(repo.top, "elsewhere", "1\n2\n3\n4\n5\n6\nseven\n")
        assert merge.plain(repo, git(repo.top, "rev-parse", "main"), tip) is None

    def test_histories_that_cross_have_two_last_commits_in_common(self, repo: Repository, tree: Worktree, git, commit) -> None:
        mine = commit(tree.path, "mine", "mine\n")
        theirs = commit(repo.top, "theirs", "theirs\n")
        git(tree.path, "merge", "-q", "-m", "x", theirs)
        git(repo.top, "merge", "-q", "-m", "y", mine)
        tip, base = tree.head or "", git(repo.top, "rev-parse", "main")
        assert set(merge.bases(repo, base, tip)) == {mine, theirs}
        assert merge.bases(repo, base, mine) == (mine,)
        git(repo.top, "checkout", "-q", "--orphan", "other")
        git(repo.top, "commit", "-qm", "x")
        assert merge.bases(repo, base, git(repo.top, "rev-parse", "other")) == ()

    def test_line_ends_that_a_checkout_would_make_equal_decide_nothing_without_one(
        self, repo: Repository, tree: Worktree, git, commit
    ) -> None:
        start = commit(repo.top, "lines", "1\n2\n")
        worktree.reset(tree, branch="orchestrator/fix", commit=start)
        git(tree.path, "rm", "-q", "lines")
        git(tree.path, "commit", "-qm", "removed")
        base = commit(repo.top, "lines", "1\r\n2\r\n")
        git(repo.top, "config", "merge.renormalize", "true")
        (repo.top / ".gitattributes").write_text("lines text eol=lf\n")
        assert merge.plain(repo, base, tree.head or "") is None

    def test_without_a_move_of_the_base_the_tips_tree_is_the_merged_one(
        self, repo: Repository, tree: Worktree, base: str, git, commit
    ) -> None:
        tip = commit(tree.path, "a", "a")
        assert merge.contains(repo, tip, base)
        assert not merge.contains(repo, base, tip)
        made = merge.commit(repo, f"{tip}^{{tree}}", (base, tip), "x")
        assert git(repo.top, "rev-parse", f"{made}^{{tree}}") == git(repo.top, "rev-parse", f"{tip}^{{tree}}")

    def test_histories_without_a_common_commit_are_an_error(self, repo: Repository, verify: Worktree, base: str, git) -> None:
        git(repo.top, "checkout", "-q", "--orphan", "other")
        git(repo.top, "commit", "-qm", "x")
        with pytest.raises(GitError, match="unrelated"):
            merge.merge(verify, base, git(repo.top, "rev-parse", "other"))

    def test_a_commit_without_an_identity_is_ours(self, repo: Repository, base: str, git, monkeypatch) -> None:
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        made = merge.commit(repo, f"{base}^{{tree}}", (base,), "x")
        assert git(repo.top, "log", "-1", "--format=%an", made) == "orchestrator"
