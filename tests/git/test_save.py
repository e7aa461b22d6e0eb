from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import GitError
from orchestrator.git import kept, nested, pool, refs, repository, save, snapshot
from orchestrator.git.repository import Repository
from orchestrator.git.save import Before, Made
from orchestrator.git.worktree import Worktree
from orchestrator.store import clearing

BRANCH = "orchestrator/fix"
REF = "refs/orchestrator/fix/"


@pytest.fixture
def start(tree: Worktree) -> Before:
    return save.before(tree)


def collect(tree: Worktree, start: str, since: Before) -> save.Collected:
    save.commit_all(tree, "Attempt")
    return save.collect(tree, BRANCH, start, since)


def listed(git, repo: Repository, commit: str) -> set[str]:
    return set(git(repo.top, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")) - {""}


def reachable(git, repo: Repository, commit: str) -> bool:
    """Whether a kept ref leads to the commit."""
    return bool(git(repo.top, "for-each-ref", "--contains", commit, REF))


class TestCommitAll:
    def test_everything_uncommitted_becomes_one_commit(self, repo: Repository, tree: Worktree, base: str, git) -> None:
        (tree.path / "one").write_text("edited")
        (tree.path / "two").unlink()
        (tree.path / "three").rename(tree.path / "moved")
        (tree.path / "deep").mkdir()
        (tree.path / "deep" / "new").write_text("new")
        (tree.path / "staged").write_text("staged")
        git(tree.path, "add", "staged")
        (tree.path / "noise.ignored").write_text("x")
        made = save.commit_all(tree, "Attempt 2", trailers={"Task": "fix", "Attempt": "2"}).commit
        assert made == tree.head == repository.tip(repo, BRANCH)
        assert listed(git, repo, made) == {".gitignore", "one", "moved", "deep/new", "staged"}
        assert git(tree.path, "status", "--porcelain") == ""
        assert git(repo.top, "log", "-1", "--format=%P %B", made) == f"{base} Attempt 2\n\nTask: fix\nAttempt: 2"
        assert repository.tip(repo, "main") == base
        assert git(repo.top, "status", "--porcelain") == ""

    def test_nothing_uncommitted_is_no_commit(self, tree: Worktree, base: str) -> None:
        assert save.commit_all(tree, "x").commit is None
        assert tree.head == base

    @pytest.mark.parametrize(
        "name", ["-rf", "new\nline", "späce ü", "a\tb", "*", ":(exclude)x", '"quoted"', "\udcff\udcfe", "c" * 250]
    )
    def test_odd_names_are_saved(self, repo: Repository, tree: Worktree, git, name: str) -> None:
        (tree.path / name).write_text("x")
        (tree.path / "dir" / name).parent.mkdir()
        (tree.path / "dir" / name).write_text("x")
        made = save.commit_all(tree, "x").commit
        assert {name, f"dir/{name}"} <= listed(git, repo, made or "")

    def test_names_that_differ_in_case_are_files_of_their_own_whatever_was_so_where_the_repository_comes_from(
        self, repo: Repository, tree: Worktree, git
    ) -> None:
        git(repo.top, "config", "core.ignoreCase", "true")
        (tree.path / "one").rename(tree.path / "ONE")
        for name in ("Two", "new", "New"):
            (tree.path / name).write_text(name)
        made = save.commit_all(tree, "x").commit
        assert {"ONE", "two", "Two", "new", "New"} <= listed(git, repo, made or "")
        assert "one" not in listed(git, repo, made or "")

    def test_links_and_modes_are_saved_as_such(self, tree: Worktree, git) -> None:
        (tree.path / "link").symlink_to("/etc/passwd")
        (tree.path / "one").chmod(0o755)
        made = save.commit_all(tree, "x").commit
        modes = {line.split()[3]: line.split()[0] for line in git(tree.path, "ls-tree", made or "").splitlines()}
        assert modes["link"] == "120000"
        assert modes["one"] == "100755"

    def test_installed_packages_and_caches_are_never_committed(self, repo: Repository, tree: Worktree, git) -> None:
        for name in (
            "node_modules/a/index.js",
            "pkg/__pycache__/x.pyc",
            "pkg/code.py",
            ".venv/bin/python",
            "env/pyvenv.cfg",
            "env/x",
        ):
            (tree.path / name).parent.mkdir(parents=True, exist_ok=True)
            (tree.path / name).write_text("x")
        made = save.commit_all(tree, "x").commit
        assert listed(git, repo, made or "") == {".gitignore", "one", "two", "three", "pkg/code.py"}
        assert save.commit_all(tree, "again").commit is None

    def test_a_repository_of_its_own_is_saved_as_plain_files(self, repo: Repository, tree: Worktree, git, commit) -> None:
        for name in ("inner", "deep/er/inner"):
            (tree.path / name).mkdir(parents=True)
            git(tree.path / name, "init", "-q")
            commit(tree.path / name, "committed\nname", "x")
            (tree.path / name / "loose").write_text("x")
        (tree.path / "beside").write_text("x")
        made = save.commit_all(tree, "x").commit
        assert listed(git, repo, made or "") >= {"inner/committed\nname", "inner/loose", "deep/er/inner/loose", "beside"}
        assert "160000" not in git(tree.path, "ls-tree", "-r", made or "")

    def test_one_without_a_commit_does_not_stop_the_rest(self, repo: Repository, tree: Worktree, git) -> None:
        (tree.path / "inner").mkdir()
        git(tree.path / "inner", "init", "-q")
        (tree.path / "inner" / "file").write_text("x")
        (tree.path / "beside").write_text("x")
        made = save.commit_all(tree, "x").commit
        assert listed(git, repo, made or "") >= {"inner/file", "beside"}

    def test_a_broken_one_is_saved_as_plain_files_too(self, repo: Repository, tree: Worktree, git) -> None:
        for name in ("inner/.git/garbage", "inner/deep/file", "inner/node_modules/x"):
            (tree.path / name).parent.mkdir(parents=True, exist_ok=True)
            (tree.path / name).write_text("x")
        (tree.path / "inner" / "link").symlink_to("deep/file")
        made = save.commit_all(tree, "x").commit
        assert listed(git, repo, made or "") == {".gitignore", "one", "two", "three", "inner/deep/file", "inner/link"}

    def test_a_declared_submodule_stays_a_pointer(self, repo: Repository, tree: Worktree, tmp_path: Path, git, commit) -> None:
        library = tmp_path / "library"
        library.mkdir()
        git(library, "init", "-q")
        commit(library, "x", "x\n")
        git(tree.path, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
        commit(tree.path / "lib", "x", "changed\n")
        made = save.commit_all(tree, "x").commit
        assert "160000" in git(tree.path, "ls-tree", made or "", "lib")
        assert save.commit_all(tree, "x").commit is None

    def test_a_pointer_that_the_agent_made_of_it_becomes_files_too(self, repo: Repository, tree: Worktree, git, commit) -> None:
        (tree.path / "inner").mkdir()
        git(tree.path / "inner", "init", "-q")
        commit(tree.path / "inner", "file", "x")
        git(tree.path, "add", "inner")
        git(tree.path, "commit", "-qm", "embedded")
        made = save.commit_all(tree, "x").commit
        assert "inner/file" in listed(git, repo, made or "")

    def test_an_ignored_one_is_left_alone(self, repo: Repository, tree: Worktree, git) -> None:
        (tree.path / "new").mkdir()
        (tree.path / "new" / "file").write_text("x")
        git(tree.path, "init", "-q", "new/inner.ignored")
        (tree.path / "new" / "inner.ignored" / "secret").write_text("x")
        made = save.commit_all(tree, "x").commit
        assert "new/file" in listed(git, repo, made or "")
        assert "new/inner.ignored/secret" not in listed(git, repo, made or "")

    def test_an_unreadable_file_does_not_stop_the_rest(self, repo: Repository, tree: Worktree, git) -> None:
        if os.geteuid() == 0:
            os.mkfifo(tree.path / "odd")  # root reads everything, so use what git can't
        else:
            (tree.path / "odd").write_text("x")
            (tree.path / "odd").chmod(0)
        (tree.path / "beside").write_text("x")
        made = save.commit_all(tree, "x").commit
        assert "beside" in listed(git, repo, made or "")

    @pytest.mark.parametrize("what", ["file", "tree"])
    @pytest.mark.parametrize("edited", ["one", "new"])
    def test_what_git_can_not_write_is_no_work_that_is_not_there(
        self, repo: Repository, tree: Worktree, base: str, tmp_path: Path, git, what: str, edited: str
    ) -> None:
        git(tmp_path, "clone", "-q", str(repo.top), "beside")
        for number in range(1000):  # until git has no folder for it yet
            (tmp_path / "beside" / edited).write_text(f"work {number}\n")
            git(tmp_path / "beside", "add", edited)
            file, folder = git(tmp_path / "beside", "rev-parse", f":{edited}"), git(tmp_path / "beside", "write-tree")
            places = [repo.common / "objects" / name[:2] for name in (file, folder)]
            if places[0] != places[1] and not any(place.exists() for place in places):
                break
        (tree.path / edited).write_text(f"work {number}\n")
        place = places[what == "tree"]
        place.write_text("as a full disk, or a store that is read-only")
        with pytest.raises(GitError):
            save.commit_all(tree, "x")
        with pytest.raises(GitError):
            save.keep_everything(tree, "fix", "cut/1")
        assert tree.head == base
        place.unlink()
        made = save.commit_all(tree, "x").commit
        assert git(tree.path, "show", f"{made}:{edited}") == f"work {number}"

    def test_what_git_tells_of_its_own_is_no_work_that_could_not_be_written(self, repo: Repository, tree: Worktree, git) -> None:
        """After a power cut, or with the repository gone that it once borrowed from: each command says so and works."""
        git(repo.top, "repack", "-adq")
        git(repo.top, "commit-graph", "write", "--reachable")
        (repo.common / "objects" / "info" / "alternates").write_text("/nowhere/objects\n")
        graph = repo.common / "objects" / "info" / "commit-graph"
        graph.unlink()
        graph.write_text("garbage")
        assert save.commit_all(tree, "x") == Made()
        (tree.path / "one").write_text("work\n")
        made = save.commit_all(tree, "x").commit
        assert git(tree.path, "show", f"{made}:one") == "work"
        assert save.commit_all(tree, "x") == Made()

    @pytest.mark.parametrize("work", ["edit", "new", "submodule", "merged"])
    def test_work_that_can_t_be_written_is_an_error(self, repo: Repository, tree: Worktree, git, commit, work: str) -> None:
        """A pointer counts also where the user's git is told not to show how a submodule has changed."""
        other = commit(repo.top, "elsewhere", "x\n")
        git(tree.path, "update-index", "--add", "--cacheinfo", f"160000,{tree.head},lib")
        commit(tree.path, ".gitmodules", '[submodule "lib"]\n\tpath = lib\n\turl = nowhere\n\tignore = all\n')
        if work == "submodule":
            git(tree.path, "update-index", "--cacheinfo", f"160000,{other},lib")
        elif work == "merged":
            git(tree.path, "merge", "-q", "--no-commit", "main")
        else:
            (tree.path / ("one" if work == "edit" else work)).write_text("work\n")
            git(tree.path, "hash-object", "-w", "one" if work == "edit" else work)
        git(repo.top, "repack", "-adq")
        git(repo.top, "prune-packed")
        for number in range(256):
            if not (fan := repo.common / "objects" / f"{number:02x}").exists():
                fan.touch()
        with pytest.raises(GitError):
            save.commit_all(tree, "x")

    @pytest.mark.parametrize("form", [("--index-version", "2"), ("--index-version", "4"), ("--split-index",)], ids=" ".join)
    @pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
    def test_an_edit_hidden_from_git_is_saved(self, tree: Worktree, git, flag: str, form: tuple[str, ...]) -> None:
        git(tree.path, "update-index", flag, "one")
        git(tree.path, "update-index", *form)
        (tree.path / "one").write_text("hidden")
        made = save.commit_all(tree, "x").commit
        assert git(tree.path, "show", f"{made}:one") == "hidden"

    def test_failing_hooks_and_signing_do_not_stop_it(self, repo: Repository, tree: Worktree, git) -> None:
        git(repo.top, "config", "commit.gpgSign", "true")
        git(repo.top, "config", "gpg.program", "false")
        git(repo.top, "config", "core.safecrlf", "true")
        git(repo.top, "config", "core.autocrlf", "input")
        for name in ("pre-commit", "commit-msg", "prepare-commit-msg", "post-commit"):
            hook = repo.common / "hooks" / name
            hook.parent.mkdir(exist_ok=True)
            hook.write_text("#!/bin/sh\nexit 1\n")
            hook.chmod(0o755)
        (tree.path / "new").write_bytes(b"a\r\nb\n")
        assert save.commit_all(tree, "x").commit

    def test_without_an_identity_it_is_ours_and_no_configuration_is_written(
        self, repo: Repository, tree: Worktree, git, monkeypatch
    ) -> None:
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        config = (repo.common / "config").read_bytes()
        (tree.path / "new").write_text("x")
        made = save.commit_all(tree, "x").commit
        assert (
            git(repo.top, "log", "-1", "--format=%an <%ae> %cn", made or "")
            == "orchestrator <orchestrator@localhost> orchestrator"
        )
        assert (repo.common / "config").read_bytes() == config

    def test_a_git_that_was_killed_in_there_is_no_obstacle(self, tree: Worktree) -> None:
        (tree.admin / "index.lock").touch()
        (tree.path / "new").write_text("x")
        assert save.commit_all(tree, "x").commit

    def test_a_broken_index_is_no_obstacle(self, tree: Worktree) -> None:
        (tree.admin / "index").write_bytes(b"garbage")
        (tree.path / "new").write_text("x")
        assert save.commit_all(tree, "x").commit

    def test_with_its_git_file_gone_the_users_repository_is_not_touched(
        self, repo: Repository, tree: Worktree, base: str, git
    ) -> None:
        (tree.path / ".git").unlink()
        (tree.path / "new").write_text("x")
        (repo.top / "users").write_text("uncommitted")
        made = save.commit_all(tree, "x").commit
        assert repository.tip(repo, BRANCH) == made
        assert repository.tip(repo, "main") == base
        assert git(repo.top, "status", "--porcelain") == "?? users"

    def test_a_file_changed_in_the_second_of_the_checkout_is_seen(self, tree: Worktree, git) -> None:
        before = (tree.path / "one").stat()
        (tree.path / "one").write_text("eno\n" * 3)
        (tree.path / "new").write_text("x")
        os.utime(tree.path / "one", ns=(before.st_atime_ns, before.st_mtime_ns))
        made = save.commit_all(tree, "x").commit
        assert git(tree.path, "show", f"{made}:one") == "eno\neno\neno"

    @pytest.mark.parametrize("beside", [(), ("new",)], ids=["alone", "with a new file"])
    def test_an_edit_outside_of_the_user_s_sparse_checkout_is_saved(
        self, repo: Repository, git, commit, beside: tuple[str, ...]
    ) -> None:
        base = commit(repo.top, "out/there", "before\n")
        git(repo.top, "sparse-checkout", "set", "nothing")
        tree = pool.prepare(repo, repo.top / ".worktrees" / "fix", owner="id-1", branch=BRANCH, commit=base)
        assert not (tree.path / "out").exists()
        (tree.path / "out").mkdir()
        for name in ("out/there", "one", *beside):
            (tree.path / name).write_text("edited\n")
        made = save.commit_all(tree, "x").commit or ""
        assert git(tree.path, "show", f"{made}:out/there") == "edited"
        assert git(tree.path, "diff", "--name-only", base, made).split() == sorted(("out/there", "one", *beside))
        assert git(tree.path, "status", "--porcelain") == ""

    def test_a_sparse_checkout_saves_what_lies_outside_of_it(self, repo: Repository, tree: Worktree, git, commit) -> None:
        commit(tree.path, "in/file", "x")
        commit(tree.path, "out/file", "x")
        git(tree.path, "sparse-checkout", "set", "in")
        (tree.path / "out").mkdir()
        (tree.path / "out" / "new").write_text("x")
        made = save.commit_all(tree, "x").commit
        assert listed(git, repo, made or "") >= {"in/file", "out/file", "out/new"}

    def test_very_many_new_files_are_saved_too(self, repo: Repository, tree: Worktree, git) -> None:
        for number in range(1100):
            (tree.path / f"n{number}").write_text("x")
        (tree.path / "one").unlink()
        made = save.commit_all(tree, "x").commit
        assert len(listed(git, repo, made or "")) == 1103

    def test_a_file_that_goes_away_meanwhile_does_not_stop_the_rest(self, repo: Repository, tree: Worktree, git) -> None:
        (tree.path / "new").write_text("x")
        status = replace(snapshot.look(tree.git, 20), untracked=("gone", "new"))
        with snapshot.staged(tree.git, status) as staged:
            made = tree.git.run("write-tree", env=staged.env).stdout.decode().strip()
        assert listed(git, repo, made) == {".gitignore", "one", "two", "three", "new"}

    def test_a_finished_merge_is_committed_as_one(self, tree: Worktree, base: str, git, commit) -> None:
        git(tree.path, "checkout", "-q", "-b", "other")
        other = commit(tree.path, "new", "x")
        git(tree.path, "checkout", "-q", BRANCH)
        git(tree.path, "merge", "-q", "--no-ff", "--no-commit", "other")
        made = save.commit_all(tree, "x").commit
        assert git(tree.path, "log", "-1", "--format=%P", made or "") == f"{base} {other}"


class TestCollect:
    def test_plain_edits_are_the_tip(self, tree: Worktree, base: str, start: Before, git) -> None:
        (tree.path / "one").write_text("edited")
        found = collect(tree, base, start)
        assert (found.tip, found.extra) == (tree.head, ())
        assert git(tree.path, "rev-parse", "HEAD~") == base

    def test_nothing_done_is_the_start(self, tree: Worktree, base: str, start: Before) -> None:
        assert collect(tree, base, start) == save.Collected(base)

    def test_the_agents_own_commits_are_the_tip(self, tree: Worktree, base: str, start: Before, commit) -> None:
        first = commit(tree.path, "a", "a")
        second = commit(tree.path, "b", "b")
        found = collect(tree, base, start)
        assert found.tip == second
        assert found.extra == ()
        assert found.seen == {first, second}

    def test_work_on_another_branch_comes_to_ours(
        self, repo: Repository, tree: Worktree, base: str, start: Before, git, commit
    ) -> None:
        git(tree.path, "checkout", "-q", "-b", "feature")
        commit(tree.path, "a", "a")
        (tree.path / "b").write_text("b")
        found = collect(tree, base, start)
        assert listed(git, repo, found.tip) >= {"a", "b"}
        assert git(tree.path, "symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"
        assert repository.tip(repo, BRANCH) == found.tip == tree.head

    def test_detached_work_comes_to_our_branch(
        self, repo: Repository, tree: Worktree, base: str, start: Before, git, commit
    ) -> None:
        git(tree.path, "checkout", "-q", "--detach")
        made = commit(tree.path, "a", "a")
        found = collect(tree, base, start)
        assert found.tip == made
        assert repository.tip(repo, BRANCH) == made

    def test_looking_at_another_branch_is_no_work(
        self, repo: Repository, tree: Worktree, base: str, start: Before, git, commit
    ) -> None:
        other = commit(repo.top, "users", "x")
        git(tree.path, "checkout", "-q", "--detach", other)
        found = collect(tree, base, start)
        assert found.tip == base == tree.head

    def test_work_left_on_our_branch_is_found_from_elsewhere(self, tree: Worktree, base: str, start: Before, git, commit) -> None:
        made = commit(tree.path, "a", "a")
        git(tree.path, "checkout", "-q", "--detach", base)
        assert collect(tree, base, start).tip == made

    def test_commits_that_were_reset_away_are_told(self, tree: Worktree, base: str, start: Before, git, commit) -> None:
        lost = commit(tree.path, "a", "a")
        git(tree.path, "reset", "-q", "--hard", base)
        found = collect(tree, base, start)
        assert (found.tip, found.extra) == (base, (lost,))

    def test_commits_are_told_where_the_user_has_git_note_none_of_them(self, repo: Repository, base: str, git, commit) -> None:
        git(repo.top, "config", "core.logAllRefUpdates", "false")
        tree = pool.prepare(repo, repo.top / ".worktrees/fix", owner="id-1", branch=BRANCH, commit=base)
        since = save.before(tree)
        lost = commit(tree.path, "a", "a")
        git(tree.path, "checkout", "-q", "--detach", base)
        made = commit(tree.path, "b", "b")
        git(tree.path, "branch", "-f", BRANCH, base)
        found = collect(tree, base, since)
        assert (found.tip, found.extra, found.seen) == (made, (lost,), {lost, made})

    @pytest.mark.parametrize("when", ["before it worked", "at the end"])
    def test_work_is_the_agents_though_it_had_git_forget_where_it_was(
        self, tree: Worktree, base: str, start: Before, git, commit, when: str
    ) -> None:
        git(tree.path, "checkout", "-q", "--detach")
        if when == "before it worked":
            git(tree.path, "reflog", "expire", "--expire=now", "--all")
        else:
            git(tree.path, "checkout", "-q", BRANCH)
        made = commit(tree.path, "a", "a")
        if when == "at the end":
            git(tree.path, "reflog", "expire", "--expire=now", "--all")
        found = collect(tree, base, start)
        assert (found.tip, found.seen) == (made, {made})

    def test_a_log_that_git_has_only_tidied_is_read_on(self, tree: Worktree, base: str, git, commit) -> None:
        commit(tree.path, "a", "a")
        git(tree.path, "reset", "-q", "--hard", base)
        since = save.before(tree)
        git(tree.path, "gc", "-q")
        made = commit(tree.path, "b", "b")
        found = collect(tree, base, since)
        assert (found.tip, found.seen) == (made, {made})

    def test_of_a_lost_line_only_its_end_is_told(self, tree: Worktree, base: str, start: Before, git, commit) -> None:
        commit(tree.path, "a", "a")
        end = commit(tree.path, "b", "b")
        git(tree.path, "reset", "-q", "--hard", base)
        assert collect(tree, base, start).extra == (end,)

    def test_a_stash_is_told_and_that_of_others_is_not(self, repo: Repository, tree: Worktree, base: str, git, commit) -> None:
        commit(repo.top, "users", "x")
        (repo.top / "users").write_text("stashed by its owner")
        git(repo.top, "stash")
        since = save.before(tree)
        (tree.path / "one").write_text("stashed by the agent")
        git(tree.path, "stash")
        mine = git(repo.top, "rev-parse", "stash@{0}")
        (repo.top / "users").write_text("meanwhile")
        git(repo.top, "stash")
        found = collect(tree, base, since)
        assert (found.extra, found.stashed) == ((mine,), (mine,))

    def test_a_stash_of_the_user_that_an_agent_popped_is_told(self, repo: Repository, tree: Worktree, base: str, git) -> None:
        (repo.top / "one").write_text("the user's")
        git(repo.top, "stash")
        users = git(repo.top, "rev-parse", "stash@{0}")
        since = save.before(tree)
        git(tree.path, "stash", "drop", "-q")
        assert users in collect(tree, base, since).extra

    def test_a_rebase_left_half_way_gives_the_work_before_it(self, tree: Worktree, base: str, start: Before, git, commit) -> None:
        git(tree.path, "checkout", "-q", "-b", "theirs")
        commit(tree.path, "one", "theirs\n")
        git(tree.path, "checkout", "-q", BRANCH)
        commit(tree.path, "two", "mine\n")
        mine = commit(tree.path, "one", "mine\n")
        git(tree.path, "rebase", "theirs", ok=False)
        found = collect(tree, base, start)
        assert found.tip == mine == tree.head
        assert repository.busy(tree.admin) is None
        assert git(tree.path, "status", "--porcelain") == ""

    def test_conflict_markers_do_not_become_work(
        self, repo: Repository, tree: Worktree, base: str, start: Before, git, commit
    ) -> None:
        git(tree.path, "checkout", "-q", "-b", "theirs")
        commit(tree.path, "one", "theirs\n")
        git(tree.path, "checkout", "-q", BRANCH)
        mine = commit(tree.path, "one", "mine\n")
        git(tree.path, "merge", "theirs", ok=False)
        (tree.path / "new").write_text("beside")
        found = collect(tree, base, start)
        assert found.tip == mine
        kept = [commit for commit in found.extra if "new" in listed(git, repo, commit)]
        assert "<<<<<<<" in git(tree.path, "show", f"{kept[0]}:one")

    def test_a_conflict_resolved_by_hand_is_work(self, tree: Worktree, base: str, start: Before, git, commit) -> None:
        git(tree.path, "checkout", "-q", "-b", "theirs")
        commit(tree.path, "one", "theirs\n")
        git(tree.path, "checkout", "-q", BRANCH)
        commit(tree.path, "one", "mine\n")
        git(tree.path, "merge", "theirs", ok=False)
        (tree.path / "one").write_text("both\n")
        found = collect(tree, base, start)
        assert git(tree.path, "show", f"{found.tip}:one") == "both"

    def test_an_orphan_branch_comes_to_ours(self, repo: Repository, tree: Worktree, base: str, start: Before, git) -> None:
        git(tree.path, "checkout", "-q", "--orphan", "new-world")
        (tree.path / "a").write_text("a")
        found = collect(tree, base, start)
        assert "a" in listed(git, repo, found.tip)
        assert repository.tip(repo, BRANCH) == found.tip

    def test_a_branch_that_was_deleted_is_made_again(
        self, repo: Repository, tree: Worktree, base: str, start: Before, git, commit
    ) -> None:
        git(tree.path, "checkout", "-q", "--detach")
        git(tree.path, "branch", "-D", BRANCH)
        made = commit(tree.path, "a", "a")
        assert collect(tree, base, start).tip == made
        assert repository.tip(repo, BRANCH) == made

    def test_a_base_that_was_moved_in_here_shows_in_what_was_seen(
        self, repo: Repository, tree: Worktree, base: str, start: Before, git, commit
    ) -> None:
        git(repo.top, "checkout", "-q", "-b", "elsewhere")
        git(tree.path, "checkout", "-q", "main")
        moved = commit(tree.path, "a", "a")
        found = collect(tree, base, start)
        assert repository.tip(repo, "main") == moved
        assert moved in found.seen

    def test_a_base_that_the_user_moved_is_not_taken_for_the_agents(
        self, repo: Repository, tree: Worktree, base: str, start: Before, git, commit
    ) -> None:
        moved = commit(repo.top, "users", "x")
        git(tree.path, "merge", "-q", "main")
        git(tree.path, "checkout", "-q", "--detach", "main")
        git(tree.path, "checkout", "-q", BRANCH)
        found = collect(tree, base, start)
        assert (found.tip, found.seen) == (moved, frozenset())

    def test_of_a_pull_that_rebases_only_what_it_made_anew_was_made_here(
        self, repo: Repository, tree: Worktree, base: str, start: Before, git, commit
    ) -> None:
        moved = commit(repo.top, "users", "x")
        mine = commit(tree.path, "a", "a")
        git(tree.path, "pull", "-q", "--rebase", ".", "main")
        found = collect(tree, base, start)
        assert git(tree.path, "rev-parse", "HEAD~") == moved
        assert found.seen == {mine, found.tip}

    def test_what_lies_in_a_worktree_inside_is_told_and_not_committed_as_files(
        self, repo: Repository, tree: Worktree, base: str, start: Before, git, commit
    ) -> None:
        git(tree.path, "worktree", "add", "-q", "--detach", "inner")
        made = commit(tree.path / "inner", "a", "a")
        (tree.path / "new").write_text("x")
        found = collect(tree, base, start)
        assert listed(git, repo, found.tip) == {".gitignore", "one", "two", "three", "new"}
        assert found.extra == (made,)


class TestKeeping:
    def test_a_kept_commit_survives_everything(self, repo: Repository, tree: Worktree, base: str, git, commit) -> None:
        made = commit(tree.path, "a", "a")
        assert kept.keep(repo, "fix", "0001", made) == "0001"
        pool.discard(tree)
        git(repo.top, "branch", "-D", BRANCH)
        git(repo.top, "reflog", "expire", "--expire=now", "--all")
        git(repo.top, "gc", "-q", "--prune=now")
        assert refs.read(repo.common, REF + "0001") == made
        assert [(each.label, each.commit, each.subject) for each in kept.attempts(repo, "fix")] == [("0001", made, "Write a")]

    def test_a_label_is_never_moved(self, repo: Repository, tree: Worktree, base: str, commit) -> None:
        made = commit(tree.path, "a", "a")
        assert kept.keep(repo, "fix", "0001", base) == "0001"
        assert kept.keep(repo, "fix", "0001", base) == "0001"
        assert kept.keep(repo, "fix", "0001", made) == "0001.2"
        assert refs.read(repo.common, REF + "0001") == base

    def test_every_task_has_its_own_listing(self, repo: Repository, base: str) -> None:
        kept.keep(repo, "fix", "0001", base)
        kept.keep(repo, "fix-2", "extra/0001-0", base)
        assert [each.slug for each in kept.attempts(repo, "fix")] == ["fix"]
        assert {(each.slug, each.label) for each in kept.attempts(repo)} == {("fix", "0001"), ("fix-2", "extra/0001-0")}
        assert kept.attempts(repo, "none") == ()

    def test_everything_in_a_worktree_is_kept_and_nothing_changed(
        self, repo: Repository, tree: Worktree, base: str, git, commit
    ) -> None:
        lost = commit(tree.path, "a", "a")
        git(tree.path, "reset", "-q", "--hard", base)
        (tree.path / "two").write_text("stashed")
        git(tree.path, "stash")
        stash = git(tree.path, "rev-parse", "stash")
        (tree.path / "one").write_text("uncommitted")
        status = git(tree.path, "status", "--porcelain")
        labels = save.keep_everything(tree, "fix", "cut-c0ffee", base=base)
        assert git(tree.path, "show", f"{REF}{labels[0]}:one") == "uncommitted"
        assert reachable(git, repo, lost)
        assert reachable(git, repo, stash)
        assert (git(tree.path, "status", "--porcelain"), tree.head) == (status, base)

    def test_done_twice_it_keeps_no_commit_twice(self, repo: Repository, tree: Worktree, base: str, commit) -> None:
        commit(tree.path, "a", "a")
        assert save.keep_everything(tree, "fix", "cut", base=base) == ("cut",)
        assert save.keep_everything(tree, "fix", "again", base=base) == ()

    def test_an_untouched_worktree_needs_no_ref(self, tree: Worktree, base: str) -> None:
        assert save.keep_everything(tree, "fix", "cut", base=base) == ()

    def test_the_commits_of_an_interrupted_rebase_are_kept(
        self, repo: Repository, tree: Worktree, base: str, git, commit
    ) -> None:
        git(tree.path, "checkout", "-q", "-b", "theirs")
        commit(tree.path, "one", "theirs\n")
        git(tree.path, "checkout", "-q", BRANCH)
        mine = commit(tree.path, "one", "mine\n")
        (tree.path / "two").write_text("stashed away by the rebase\n")
        git(tree.path, "rebase", "--autostash", "theirs", ok=False)
        autostash = refs.content(tree.admin / "rebase-merge" / "autostash") or ""
        save.keep_everything(tree, "fix", "cut", base=base)
        assert reachable(git, repo, mine)
        assert reachable(git, repo, autostash)

    def test_a_worktree_without_its_files_still_has_its_commits(
        self, repo: Repository, tree: Worktree, base: str, git, commit
    ) -> None:
        made = commit(tree.path, "a", "a")
        shutil.rmtree(tree.path)
        save.keep_everything(tree, "fix", "cut", base=base)
        assert reachable(git, repo, made)

    def test_files_that_git_no_longer_knows_are_kept(self, repo: Repository, tree: Worktree, base: str, git) -> None:
        shutil.rmtree(tree.admin)
        (tree.path / "one").write_text("uncommitted")
        (tree.path / "x.ignored").write_text("x")
        users_index = (repo.common / "index").read_bytes()
        (label,) = save.keep_lost(repo, tree.path, "fix", "cut", base=base)
        assert git(repo.top, "show", f"{REF}{label}:one") == "uncommitted"
        assert listed(git, repo, REF + label) == {".gitignore", "one", "two", "three"}
        assert (repo.common / "index").read_bytes() == users_index

    @pytest.mark.parametrize("point", ["git.read-tree:after", "git.add:after"])
    def test_a_kill_while_these_are_kept_leaves_nothing_once_they_are(
        self, repo: Repository, tree: Worktree, base: str, point: str
    ) -> None:
        shutil.rmtree(tree.admin)
        (tree.path / "new").write_text("uncommitted")
        before = set(repo.control.iterdir())
        code = f"""from pathlib import Path; from orchestrator.git import repository, save
save.keep_lost(repository.discover(Path({str(repo.top)!r})), Path({str(tree.path)!r}), "fix", "cut", base={base!r})"""
        ended = subprocess.run([sys.executable, "-c", code], env={**os.environ, "ORCH_FAILPOINT": point}, check=False)
        assert ended.returncode == -signal.SIGKILL
        assert len(set(repo.control.iterdir()) - before) == 1
        assert save.keep_lost(repo, tree.path, "fix", "cut", base=base) == ("cut",)
        assert set(repo.control.iterdir()) == before

    def test_an_old_lock_of_a_ref_is_removed_and_a_young_one_is_named(self, repo: Repository, base: str) -> None:
        lock = repo.common / (REF + "0001.lock")
        lock.parent.mkdir(parents=True)
        lock.touch()
        with pytest.raises(Exception, match=r"0001\.lock is in the way"):
            kept.keep(repo, "fix", "0001", base)
        os.utime(lock, (0, 0))
        assert kept.keep(repo, "fix", "0001", base) == "0001"

    def test_an_old_lock_that_a_process_has_open_stays(self, repo: Repository, base: str) -> None:
        lock = Path(repo.common / (REF + "0001.lock"))
        lock.parent.mkdir(parents=True)
        lock.touch()
        holder = subprocess.Popen(
            ["sh", "-c", f"exec 9<'{lock}'; echo ready; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout
        assert holder.stdin
        holder.stdout.readline()
        os.utime(lock, (0, 0))
        with pytest.raises(Exception, match="in the way"):
            kept.keep(repo, "fix", "0001", base)
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
        assert kept.keep(repo, "fix", "0001", base) == "0001"


def test_no_folder_is_too_deep_to_be_looked_through(tree: Worktree, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of itself in itself, say: deeper than Python calls itself."""
    monkeypatch.chdir(tree.path)
    for _ in range(1100):
        Path("d").mkdir()
        os.chdir("d")
    Path("node_modules").mkdir()
    try:
        assert nested.survey(tree.git, ["d/"], ()).unwanted == ("d/" * 1100 + "node_modules",)
    finally:
        clearing.remove(tree.path)
