from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from orchestrator.errors import RepositoryError
from orchestrator.git import given, included, pool, reflog, repository, save, stale, submodules, worktree
from orchestrator.git.command import Locked
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree


@pytest.fixture
def root(repo: Repository) -> Path:
    return repo.top / ".worktrees"


def clean(git, path: Path) -> bool:
    return not git(path, "status", "--porcelain", "--ignored")


def test_a_worktree_is_on_its_branch_at_the_commit(repo: Repository, tree: Worktree, base: str, git) -> None:
    assert git(tree.path, "symbolic-ref", "HEAD") == "refs/heads/orchestrator/fix"
    assert tree.head == base
    assert tree.owner == "id-1"
    assert clean(git, tree.path)
    assert (tree.path / "one").read_text() == (repo.top / "one").read_text()


def test_in_a_repository_that_prefers_links_one_is_made_and_its_work_saved(top: Path, git) -> None:
    git(top, "config", "core.preferSymlinkRefs", "true")
    repo = repository.discover(top)
    base = repository.tip(repo, "main")
    tree = pool.prepare(repo, top / ".worktrees" / "fix", owner="id-1", branch="orchestrator/fix", commit=base)
    git(tree.path, "checkout", "-q", "-b", "agents-own")
    (tree.path / "one").write_text("edited")
    assert (tree.admin / "HEAD").is_symlink()
    assert worktree.usable(tree)
    assert worktree.find(repo, tree.path) == tree
    save.commit_all(tree, "x")
    found = save.collect(tree, "orchestrator/fix", base)
    assert git(top, "show", f"{found.tip}:one") == "edited"
    assert repository.branch(tree.admin, repo.common) == "orchestrator/fix"
    git(tree.path, "checkout", "-q", "agents-own")
    assert pool.retire(tree) is None
    assert git(top, "worktree", "list", "--porcelain").split()[-1] == "detached"


def test_only_a_folder_of_ours_that_is_closed_is_opened(repo: Repository, root: Path, tree: Worktree) -> None:
    theirs = root / "theirs"
    for folder in (theirs, tree.path):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o500)
        worktree.find(repo, folder)
    assert [oct(folder.stat().st_mode)[-3:] for folder in (theirs, tree.path)] == ["500", "700"]
    theirs.chmod(0o700)


def test_without_a_branch_it_is_detached(repo: Repository, root: Path, base: str, git) -> None:
    tree = pool.prepare(repo, root / "fix.verify", owner="id-1", branch=None, commit=base)
    assert git(tree.path, "symbolic-ref", "-q", "HEAD", ok=False) == ""
    assert tree.head == base


def test_a_new_branch_follows_no_remote(top: Path, tmp_path: Path, git) -> None:
    git(top, "config", "--global", "branch.autoSetupMerge", "always")
    repo = repository.discover(top)
    pool.prepare(repo, top / ".worktrees" / "x", owner="i", branch="orchestrator/x", commit=repository.tip(repo, "main"))
    assert git(top, "config", "--get-regexp", r"branch\.orchestrator", ok=False) == ""


def test_a_used_worktree_comes_back_clean(repo: Repository, tree: Worktree, base: str, git) -> None:
    (tree.path / "one").write_text("edited")
    (tree.path / "two").unlink()
    (tree.path / "junk.ignored").write_text("x")
    git(tree.path, "init", "-q", "inner")
    again = pool.prepare(repo, tree.path, owner="id-1", branch="orchestrator/fix", commit=base)
    assert again.admin == tree.admin
    assert clean(git, again.path)
    assert not (tree.path / "inner").exists()


def test_a_retired_worktree_waits_in_the_pool_and_is_used_again(
    repo: Repository, tree: Worktree, root: Path, base: str, git
) -> None:
    (tree.path / "left.ignored").write_text("x")
    pool.retire(tree)
    assert not tree.path.exists()
    assert git(repo.top, "branch", "-d", "orchestrator/fix")
    other = pool.prepare(repo, root / "other", owner="id-2", branch="orchestrator/other", commit=base)
    assert other.admin == tree.admin
    assert other.owner == "id-2"
    assert clean(git, other.path)
    assert git(repo.top, "worktree", "list", "--porcelain").count("worktree ") == 2
    git(repo.top, "worktree", "prune")
    assert other.head == base


def test_the_history_of_a_former_task_stays_with_it(repo: Repository, tree: Worktree, root: Path, base: str, commit) -> None:
    secret = commit(tree.path, "one", "former\n")
    pool.retire(tree)
    other = pool.prepare(repo, root / "other", owner="id-2", branch="orchestrator/other", commit=base)
    been_at = [line.split()[1] for line in (other.admin / "logs" / "HEAD").read_text().splitlines()]
    assert secret not in been_at


def test_one_that_its_maker_was_killed_over_says_nothing_of_him_to_the_next_task(
    repo: Repository, tree: Worktree, root: Path, base: str, commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a task's worktrees have been is what a base that moves is held against: another's commit there were a false alarm."""
    theirs = commit(tree.path, "one", "theirs\n")
    with monkeypatch.context() as killed:
        killed.setattr(pool, "_move", lambda *_: pytest.exit("killed"))
        with pytest.raises(pytest.exit.Exception):
            pool.prepare(repo, root / "theirs", owner="id-1", branch=None, commit=theirs)
    other = pool.prepare(repo, root / "other", owner="id-2", branch=None, commit=base)
    assert other.path.parent == root
    assert len(list((repo.common / "worktrees").iterdir())) == 2
    assert theirs not in reflog.been(other)


def test_one_in_a_layer_of_an_image_that_cannot_be_moved_is_removed_and_made_anew(
    repo: Repository, tree: Worktree, root: Path, base: str, monkeypatch: pytest.MonkeyPatch, git
) -> None:
    pool.retire(pool.prepare(repo, root / "other", owner="id-2", branch=None, commit=base))
    (idle,) = (root / ".pool").iterdir()
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path in (tree.path, idle):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)  # as an overlayfs does
    assert pool.retire(tree) is None
    assert not tree.path.exists()
    made = pool.prepare(repo, root / "third", owner="id-3", branch="orchestrator/third", commit=base)
    assert (made.path / ".git").is_file()
    assert not list((root / ".pool").iterdir())
    assert git(repo.top, "worktree", "list", "--porcelain").count("worktree ") == 2


def test_the_pool_is_bounded(repo: Repository, root: Path, base: str) -> None:
    trees = [pool.prepare(repo, root / str(n), owner="i", branch=None, commit=base) for n in range(3)]
    for tree in trees:
        pool.retire(tree, most=2)
    assert len(list((root / ".pool").iterdir())) == 2
    assert len(list((repo.common / "worktrees").iterdir())) == 2


def test_the_pool_of_another_repository_is_left_alone(repo: Repository, tree: Worktree, tmp_path: Path, git, commit) -> None:
    pool.retire(tree)
    second = tmp_path / "second"
    second.mkdir()
    git(second, "init", "-q")
    start = commit(second, "x", "x\n")
    made = pool.prepare(repository.discover(second), tree.path, owner="i", branch=None, commit=start)
    assert (made.path / "x").exists()
    assert made.admin.is_relative_to(second)


def test_a_folder_that_is_not_ours_is_never_touched(repo: Repository, root: Path, base: str) -> None:
    (root / "fix").mkdir(parents=True)
    (root / "fix" / "precious").write_text("x")
    with pytest.raises(RepositoryError, match="no worktree of ours"):
        pool.prepare(repo, root / "fix", owner="i", branch=None, commit=base)
    assert (root / "fix" / "precious").read_text() == "x"


def test_a_persons_worktree_is_never_touched(repo: Repository, root: Path, base: str, git) -> None:
    git(repo.top, "worktree", "add", "-q", "--detach", str(root / "fix"))
    assert worktree.find(repo, root / "fix") is None
    with pytest.raises(RepositoryError, match="no worktree of ours"):
        pool.prepare(repo, root / "fix", owner="i", branch=None, commit=base)


def test_an_empty_folder_is_no_obstacle(repo: Repository, root: Path, base: str) -> None:
    (root / "fix").mkdir(parents=True)
    assert pool.prepare(repo, root / "fix", owner="i", branch=None, commit=base).head == base


def test_a_branch_that_a_person_has_checked_out_is_an_error_that_names_the_place(
    repo: Repository, root: Path, base: str, git
) -> None:
    git(repo.top, "checkout", "-q", "-b", "orchestrator/fix")
    with pytest.raises(RepositoryError, match="checked out in") as error:
        pool.prepare(repo, root / "fix", owner="i", branch="orchestrator/fix", commit=base)
    assert str(repo.top) in str(error.value)


@pytest.mark.parametrize("damage", ["index.lock", "initializing", "gone", "no .git", "foreign .git", "no HEAD", "bad index"])
def test_a_broken_worktree_is_built_anew(repo: Repository, tree: Worktree, base: str, git, damage: str) -> None:
    match damage:
        case "index.lock":
            (tree.admin / "index.lock").touch()
        case "initializing":
            (tree.admin / "locked").write_text("initializing\n")
        case "gone":
            tree.path.rename(tree.path.with_name("elsewhere"))
        case "no .git":
            (tree.path / ".git").unlink()
        case "foreign .git":
            (tree.path / ".git").unlink()
            git(tree.path, "init", "-q")
        case "no HEAD":
            (tree.admin / "HEAD").write_text("")
        case "bad index":
            (tree.admin / "index").write_bytes(b"garbage")
    again = pool.prepare(repo, tree.path, owner="id-1", branch="orchestrator/fix", commit=base)
    assert clean(git, again.path)
    assert git(again.path, "rev-parse", "--abbrev-ref", "HEAD") == "orchestrator/fix"
    assert git(repo.top, "status", "--porcelain") == ""


def test_files_whose_git_folder_is_gone_are_moved_aside(repo: Repository, tree: Worktree, root: Path, base: str) -> None:
    (tree.path / "work").write_text("precious")
    shutil.rmtree(tree.admin)
    pool.prepare(repo, tree.path, owner="id-1", branch="orchestrator/fix", commit=base)
    (aside,) = root.glob("fix.aside-*")
    assert (aside / "work").read_text() == "precious"


@pytest.mark.parametrize("name", ["HEAD", "commondir", "gitdir", "index", "HEAD commondir gitdir index logs/HEAD"])
@pytest.mark.parametrize("emptied", [True, False], ids=["emptied", "gone"])
def test_files_of_gits_that_a_power_cut_emptied_keep_no_work_from_being_saved(
    repo: Repository, tree: Worktree, git, name: str, emptied: bool
) -> None:
    (tree.path / "work").write_text("precious")
    for each in name.split():
        (tree.admin / each).write_text("") if emptied else (tree.admin / each).unlink()
    found = worktree.find(repo, tree.path)
    assert found
    (label,) = save.keep_everything(found, "fix", "cut/0001-abcdef")
    assert git(repo.top, "show", f"refs/orchestrator/fix/{label}:work") == "precious"
    assert str(tree.path) in git(repo.top, "worktree", "list")


def test_a_kill_while_one_is_moved_is_put_right(repo: Repository, tree: Worktree, root: Path, base: str, git) -> None:
    tree.path.rename(root / "new")
    found = worktree.find(repo, root / "new")
    assert found is not None
    assert str(root / "new") in git(repo.top, "worktree", "list")


def test_a_kill_between_files_and_git_folder_leaves_nothing_behind(
    repo: Repository, tree: Worktree, root: Path, base: str
) -> None:
    tree.path.rename(root / "trash")
    again = pool.prepare(repo, tree.path, owner="id-1", branch=None, commit=base)
    assert len(list((repo.common / "worktrees").iterdir())) == 1
    assert again.head == base


def test_a_kill_while_git_s_folder_is_removed_leaves_one_that_is_found_and_removed(
    repo: Repository, tree: Worktree, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(label: str) -> None:
        if label == "worktree.forget:half":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(worktree, "hit", killed)
        with pytest.raises(KeyboardInterrupt):
            pool.discard(tree)
    left = worktree.find(repo, tree.path)
    assert left is not None
    assert left.owner == "id-1"
    pool.retire(left)
    assert not list((repo.common / "worktrees").glob("*"))


@pytest.mark.parametrize("form", [("--index-version", "2"), ("--index-version", "4"), ("--split-index",)], ids=" ".join)
@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_an_edit_hidden_from_git_does_not_survive_in_the_pool(
    repo: Repository, tree: Worktree, root: Path, base: str, git, flag: str, form: tuple[str, ...]
) -> None:
    git(tree.path, "update-index", flag, "one")
    git(tree.path, "update-index", *form)
    (tree.path / "one").write_text("tampered")
    pool.retire(tree)
    other = pool.prepare(repo, root / "other", owner="id-2", branch=None, commit=base)
    assert (other.path / "one").read_text() == (repo.top / "one").read_text()


def test_an_edit_that_a_configuration_hides_does_not_survive_in_the_pool(
    repo: Repository, tree: Worktree, root: Path, base: str, git
) -> None:
    """Of the same length, with the old time: all that is left to see it by is what git was told not to look at."""
    for key, value in (("core.trustctime", "false"), ("core.checkStat", "minimal")):
        git(repo.top, "config", key, value)
    old, content = (tree.path / "one").stat(), (tree.path / "one").read_bytes()
    (tree.path / "other").write_bytes(b"x" * len(content))
    (tree.path / "other").rename(tree.path / "one")
    os.utime(tree.path / "one", ns=(old.st_atime_ns, old.st_mtime_ns))
    os.utime(tree.admin / "index", ns=(old.st_atime_ns, old.st_mtime_ns + 10**10))  # git looks closer in the same second only
    pool.retire(tree)
    other = pool.prepare(repo, root / "other", owner="id-2", branch=None, commit=base)
    assert (other.path / "one").read_bytes() == content


def test_a_checkout_holds_what_the_commit_holds_and_nothing_that_replaces_it(
    repo: Repository, root: Path, base: str, git
) -> None:
    content = (repo.top / "one").read_text()
    (repo.top / "fake").write_text("0\n")
    git(repo.top, "replace", git(repo.top, "rev-parse", f"{base}:one"), git(repo.top, "hash-object", "-w", "fake"))
    tree = pool.prepare(repo, root / "fix.verify", owner="id-1", branch=None, commit=base)
    assert (tree.path / "one").read_text() == content


def test_folders_without_permission_are_removed(repo: Repository, tree: Worktree, base: str) -> None:
    (tree.path / "closed").mkdir()
    (tree.path / "closed" / "file").write_text("x")
    (tree.path / "closed").chmod(0o500)
    again = pool.prepare(repo, tree.path, owner="id-1", branch="orchestrator/fix", commit=base)
    assert not (again.path / "closed").exists()
    pool.discard(again)
    assert not list((tree.path.parent / ".pool").iterdir())


def test_a_half_finished_rebase_is_forgotten(repo: Repository, tree: Worktree, base: str, git, commit) -> None:
    commit(tree.path, "one", "ours\n")
    git(tree.path, "checkout", "-q", "-b", "theirs", base)
    commit(tree.path, "one", "theirs\n")
    git(tree.path, "rebase", "orchestrator/fix", ok=False)
    assert repository.busy(tree.admin)
    worktree.reset(tree, branch="orchestrator/fix", commit=base)
    assert repository.busy(tree.admin) is None
    assert clean(git, tree.path)


def test_a_submodules_own_commits_keep_the_worktree(repo: Repository, tree: Worktree, tmp_path: Path, git, commit) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "-q")
    commit(library, "x", "x\n")
    git(tree.path, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
    commit(tree.path / "lib", "x", "only here\n")
    why = pool.retire(tree)
    assert why is not None
    assert "lib" in why
    assert tree.path.exists()
    git(tree.path / "lib", "push", "-q", "origin", "HEAD:kept")
    assert pool.retire(tree) is None
    assert not tree.path.exists()


@pytest.mark.parametrize("name", ["lib", "deep/lib"])
@pytest.mark.parametrize("file", ["x", "other.txt", "new/y"])
def test_uncommitted_edits_in_a_submodule_keep_the_worktree(
    repo: Repository, tree: Worktree, tmp_path: Path, git, commit, name: str, file: str
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "-q")
    commit(library, "x", "x\n")
    git(tree.path, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), name)
    edited = tree.path / name / file
    edited.parent.mkdir(exist_ok=True)
    edited.write_text("only here\n")
    why = pool.retire(tree)
    assert why is not None
    assert ("its submodule lib has uncommitted edits" in why, file in why) == (True, True)
    assert edited.read_text() == "only here\n"
    git(tree.path / name, "clean", "-fdq")
    git(tree.path / name, "checkout", "-q", "-f")
    (tree.path / name / "__pycache__").mkdir()
    (tree.path / name / "__pycache__" / "x.pyc").touch()
    assert pool.retire(tree) is None


@pytest.fixture
def unfilled(repo: Repository, tree: Worktree, git) -> Worktree:
    """A worktree with a submodule that nobody has initialised there."""
    git(repo.top, "update-index", "--add", "--cacheinfo", f"160000,{tree.head},lib")
    git(repo.top, "commit", "-qm", "lib")
    git(tree.path, "reset", "-q", "--hard", "main")
    assert list((tree.path / "lib").iterdir()) == []
    return tree


def test_files_where_a_submodule_would_be_keep_the_worktree(unfilled: Worktree) -> None:
    made = unfilled.path / "lib" / "deep" / "made"
    made.parent.mkdir()
    made.write_text("only here\n")
    (unfilled.path / "lib" / "__pycache__").mkdir()
    (unfilled.path / "lib" / "__pycache__" / "x.pyc").touch()
    why = pool.retire(unfilled)
    assert why == "files lie where a submodule would be that was not initialised (lib/deep/made)"
    worktree.reset(unfilled, branch="orchestrator/fix", commit=unfilled.head or "")
    assert made.read_text() == "only here\n"
    made.unlink()
    assert pool.retire(unfilled) is None


def test_a_folder_too_deep_where_a_submodule_would_be_is_in_nobody_s_way(repo: Repository, unfilled: Worktree) -> None:
    at = os.open(unfilled.path / "lib", os.O_RDONLY)
    for _ in range(30):
        os.mkdir("x" * 200, dir_fd=at)
        deeper = os.open("x" * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = deeper
    os.close(at)
    assert submodules.edited(unfilled) is None
    worktree.reset(unfilled, branch=None, commit=unfilled.head or "")
    assert list((unfilled.path / "lib").iterdir()) == []


def test_a_link_that_stands_for_a_folder_of_submodules_is_not_gone_beyond(
    repo: Repository, tree: Worktree, tmp_path: Path, git
) -> None:
    """Such as a setup makes, so that nobody has to fetch them again: what is behind it is the user's."""
    git(repo.top, "update-index", "--add", "--cacheinfo", f"160000,{tree.head},all/lib")
    git(repo.top, "commit", "-qm", "all/lib")
    git(tree.path, "reset", "-q", "--hard", "main")
    theirs = tmp_path / "all" / "lib" / "precious"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs\n")
    shutil.rmtree(tree.path / "all")
    (tree.path / "all").symlink_to(tmp_path / "all")
    worktree.clean_unfilled(tree)
    assert theirs.read_text() == "theirs\n"
    assert submodules.edited(tree) is None


def test_what_can_t_be_removed_where_a_submodule_would_be_ends_no_making(unfilled: Worktree, monkeypatch) -> None:
    (unfilled.path / "lib" / "another_user_s").touch()
    monkeypatch.setattr(worktree, "remove", lambda path: None)
    worktree.clean_unfilled(unfilled)
    assert (unfilled.path / "lib" / "another_user_s").exists()


def test_what_a_setup_left_where_a_submodule_would_be_keeps_nothing(unfilled: Worktree) -> None:
    (unfilled.path / "lib" / "copied").write_text("given\n")
    given.note(unfilled)
    assert submodules.edited(unfilled) is None
    (unfilled.path / "lib" / "copied").write_text("edited\n")
    assert "lib/copied" in (submodules.edited(unfilled) or "")


def test_noted_again_an_agent_s_work_where_a_submodule_would_be_stays_its_work(unfilled: Worktree) -> None:
    (unfilled.path / "lib" / "copied").write_text("given\n")
    (unfilled.path / "lib" / "taken").write_text("given\n")
    given.note(unfilled)
    (unfilled.path / "lib" / "copied").write_text("edited\n")
    (unfilled.path / "lib" / "made").write_text("work\n")
    given.note(unfilled, given.beyond(unfilled))
    why = submodules.edited(unfilled)
    assert why == "files lie where a submodule would be that was not initialised (lib/copied, lib/made)"


def test_what_a_setup_installed_where_a_submodule_would_be_is_noted(unfilled: Worktree) -> None:
    (unfilled.path / "lib" / ".venv").mkdir()
    (unfilled.path / "lib" / ".venv" / "tool").touch()
    given.note(unfilled)
    assert given.entries(unfilled) == ("lib/",)
    assert submodules.edited(unfilled) is None


@pytest.mark.parametrize("branch", [None, "orchestrator/next"])
def test_the_next_task_finds_nothing_where_a_submodule_would_be(repo: Repository, unfilled: Worktree, branch) -> None:
    (unfilled.path / "lib" / "made").write_text("given\n")
    given.note(unfilled)
    assert pool.retire(unfilled) is None
    (idle,) = worktree.pooled(unfilled.path.parent / worktree.POOL)
    assert (idle / "lib" / "made").exists()
    place = unfilled.path.with_name("next")
    got = pool.prepare(repo, place, owner="next", branch=branch, commit=unfilled.head or "")
    assert not idle.exists()
    assert list((got.path / "lib").iterdir()) == []
    (got.path / "lib" / "litter").touch()
    worktree.reset(got, branch=None, commit=got.head or "")
    assert list((got.path / "lib").iterdir()) == []


def test_a_submodule_without_files_keeps_nothing(repo: Repository, tree: Worktree, tmp_path: Path, git, commit) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "-q")
    commit(library, "x", "x\n")
    git(tree.path, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "lib")
    git(tree.path, "commit", "-qm", "x")
    git(tree.path, "submodule", "deinit", "-f", "lib")
    assert pool.retire(tree) is None


def test_several_workers_make_worktrees_at_once(repo: Repository, root: Path, base: str) -> None:
    errors: list[BaseException] = []

    def make(number: int) -> None:
        try:
            for turn in range(3):
                tree = pool.prepare(repo, root / f"{number}", owner=f"{number}", branch=f"orchestrator/{number}", commit=base)
                assert tree.owner == str(number), turn
                pool.retire(tree)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert errors == []
    assert len(list((root / ".pool").iterdir())) <= pool.POOLED


def test_failing_hooks_of_the_repository_are_not_run(repo: Repository, root: Path, base: str) -> None:
    for name in ("post-checkout", "pre-commit", "reference-transaction"):
        hook = repo.common / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    assert pool.prepare(repo, root / "fix", owner="i", branch="orchestrator/fix", commit=base).head == base


def test_what_a_killed_removal_left_goes_with_the_next(repo: Repository, tree: Worktree, root: Path) -> None:
    (root / ".pool" / "trash-0000" / "deep").mkdir(parents=True)
    pool.retire(tree, most=0)
    assert list((root / ".pool").iterdir()) == []


def test_a_branch_locked_by_another_git_is_told_and_the_worktree_stays(repo: Repository, tree: Worktree, base: str) -> None:
    (repo.common / "refs" / "heads" / "orchestrator" / "fix.lock").touch()
    with pytest.raises(Locked, match=r"fix\.lock is in the way"):
        pool.prepare(repo, tree.path, owner="id-1", branch="orchestrator/fix", commit=base)
    assert tree.path.exists()


class TestIncluded:
    def test_ignored_files_that_are_named_are_copied(self, repo: Repository, tree: Worktree) -> None:
        (repo.top / ".worktreeinclude").write_text("*.ignored\nnew\n!no.ignored\n")
        for name in ("a.ignored", "deep/b.ignored", "no.ignored", "new"):
            (repo.top / name).parent.mkdir(exist_ok=True)
            (repo.top / name).write_text(name)
        (repo.top / "a.ignored").chmod(0o700)
        included.copy_included(repo, tree)
        assert not (tree.path / "no.ignored").exists()
        assert (tree.path / "deep" / "b.ignored").read_text() == "deep/b.ignored"
        assert os.access(tree.path / "a.ignored", os.X_OK)
        assert not (tree.path / "new").exists()

    def test_what_is_there_stays_and_an_edit_is_told(self, repo: Repository, tree: Worktree) -> None:
        (repo.top / ".worktreeinclude").write_text("*.ignored\n")
        (repo.top / "a.ignored").write_text("source")
        (repo.top / "b.ignored").write_text("source")
        (tree.path / "a.ignored").write_text("edited")
        included.copy_included(repo, tree)
        assert [(tree.path / name).read_text() for name in ("a.ignored", "b.ignored")] == ["edited", "source"]
        assert included.edited(repo, tree) == ("a.ignored",)

    def test_a_link_that_leads_out_of_the_worktree_is_not_followed(
        self, repo: Repository, tree: Worktree, tmp_path: Path
    ) -> None:
        (repo.top / ".worktreeinclude").write_text("*.ignored\n")
        (repo.top / "deep").mkdir()
        (repo.top / "deep" / "a.ignored").write_text("x")
        (tmp_path / "outside").mkdir()
        (tree.path / "deep").symlink_to(tmp_path / "outside")
        included.copy_included(repo, tree)
        assert list((tmp_path / "outside").iterdir()) == []

    def test_without_the_file_nothing_is_asked(self, repo: Repository, tree: Worktree) -> None:
        (repo.top / "a.ignored").write_text("x")
        included.copy_included(repo, tree)
        assert not (tree.path / "a.ignored").exists()

    def test_what_the_worktree_s_branch_tracks_or_does_not_ignore_is_not_renewed_there(
        self, repo: Repository, tree: Worktree
    ) -> None:
        """The next commit would take it up, and it tends to be a secret."""
        (repo.top / ".worktreeinclude").write_text("*.ignored\n.env\n")
        (repo.common / "info" / "exclude").write_text("")
        (repo.top / ".gitignore").write_text("*.ignored\n.env\n")  # the second not committed
        for name in ("a.ignored", "b.ignored", ".env"):
            (repo.top / name).write_text("secret")
        (tree.path / "a.ignored").write_text("template")
        tree.git.run("add", "-f", "a.ignored")
        os.utime(tree.path / "a.ignored", ns=(0, 0))
        assert included.outdated(repo, tree) == ("b.ignored",)

    def test_what_lies_beyond_a_link_or_in_another_repository_is_not_renewed(self, repo: Repository, tree: Worktree) -> None:
        """Git says of neither whether it is ignored, and of the latter its own rules count."""
        (repo.top / ".worktreeinclude").write_text("*.ignored\n")
        for folder in ("linked", "nested", "plain"):
            (repo.top / folder).mkdir()
            (repo.top / folder / "a.ignored").write_text("x")
        (tree.path / "settings").mkdir()
        (tree.path / "linked").symlink_to("settings")
        (tree.path / "nested" / ".git").mkdir(parents=True)
        assert included.outdated(repo, tree) == ("plain/a.ignored",)
        tree.git.run("update-index", "--add", "--cacheinfo", f"160000,{tree.head},plain")
        assert included.outdated(repo, tree) == ()

    def test_what_stands_in_the_way_of_a_copy_stays(self, repo: Repository, tree: Worktree) -> None:
        (repo.top / ".worktreeinclude").write_text("*.ignored\n")
        (repo.top / "deep").mkdir()
        (repo.top / "deep" / "a.ignored").write_text("x")
        (repo.top / "b.ignored").write_text("x")
        (tree.path / "deep").write_text("a file")
        included.copy_included(repo, tree)
        assert ((tree.path / "deep").read_text(), (tree.path / "b.ignored").read_text()) == ("a file", "x")


def begun(admin: Path) -> None:
    """As a `git worktree add` leaves it that is killed at its worst moment."""
    (admin / "locked").write_text("initializing")
    (admin / "commondir").write_text("")


@pytest.mark.parametrize("far", ["before its HEAD", "at its commondir"])
def test_what_a_killed_git_had_only_begun_to_make_is_in_nobody_s_way(
    repo: Repository, tree: Worktree, root: Path, base: str, far: str, git
) -> None:
    other = pool.prepare(repo, root / "other", owner="id-2", branch=None, commit=base)
    pool.retire(tree)
    begun(tree.admin)
    if far == "before its HEAD":
        for path in (tree.admin / "HEAD", tree.admin / "commondir", *root.glob(".pool/*/.git")):
            path.unlink()

    pool.retire(other)
    git(repo.top, "fsck")
    fresh = pool.prepare(repo, root / "third", owner="id-3", branch=None, commit=base)

    assert clean(git, fresh.path)
    assert "main" in git(repo.top, "branch")
    assert not tree.admin.exists()
    assert list(root.glob(".pool/*")) == []


@pytest.mark.parametrize("left", [(), ("locked",), ("locked", "gitdir")])
def test_what_git_was_killed_over_before_it_had_said_where_goes_with_its_folder(
    repo: Repository, tree: Worktree, root: Path, base: str, left: tuple[str, ...]
) -> None:
    admin, theirs = (repo.common / "worktrees" / name for name in ("other-c7f3a1", "theirs"))
    for folder in (admin, theirs, root / ".pool" / admin.name):
        folder.mkdir(parents=True)
    for name in left:
        (admin / name).touch()
    pool.retire(tree)
    pool.prepare(repo, root / "third", owner="id-3", branch=None, commit=base)
    assert not admin.exists()
    assert theirs.exists()
    assert list(root.glob(".pool/*")) == []


@pytest.mark.parametrize("lost", ["gitdir", "orchestrator"])
def test_one_that_was_made_goes_not_where_a_power_cut_emptied_a_file(
    repo: Repository, tree: Worktree, root: Path, base: str, lost: str
) -> None:
    (tree.path / "one").write_text("edited\n")
    (tree.admin / lost).write_text("")
    pool.prepare(repo, root / "other", owner="id-2", branch=None, commit=base)
    assert tree.head == base
    assert (tree.path / "one").read_text() == "edited\n"


@pytest.mark.parametrize("age", [0.0, 60.0])
def test_one_that_a_person_s_git_had_begun_is_waited_for_then_mended(
    repo: Repository, root: Path, base: str, age: float, git
) -> None:
    git(repo.top, "worktree", "add", "-q", "--detach", "../theirs")
    admin = repo.common / "worktrees/theirs"
    begun(admin)
    os.utime(admin / "commondir", (time.time() - age,) * 2)

    if age < stale.OLD_ENOUGH:
        with pytest.raises(Locked, match="commondir is in the way"):
            pool.prepare(repo, root / "fix", owner="id-1", branch=None, commit=base)
    else:
        pool.prepare(repo, root / "fix", owner="id-1", branch=None, commit=base)
        assert "theirs" in git(repo.top, "worktree", "list")
