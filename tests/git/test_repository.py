from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from orchestrator.errors import GitError, RepositoryError
from orchestrator.git import listing, merge, pool, refs, repository, save
from orchestrator.git.command import Git, clean
from orchestrator.git.repository import NotARepository, Repository
from orchestrator.git.worktree import Worktree
from orchestrator.proc import spawn


def test_a_repository_is_found_from_a_folder_inside_it(top: Path) -> None:
    (top / "a" / "b").mkdir(parents=True)
    found = repository.discover(top / "a" / "b")
    assert (found.top, found.common, found.shallow) == (top, top / ".git", False)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE])
def test_a_git_that_can_not_be_started_for_want_of_a_process_is_worth_another_try(
    top: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(argv: tuple[str, ...], **_: object) -> None:
        raise OSError(number, os.strerror(number), argv[0])

    monkeypatch.setattr(spawn.subprocess, "Popen", refuse)
    with pytest.raises(GitError, match="can't be started: ") as caught:
        Git(top).run("status", ok=())
    assert ("of this user or of the container" in str(caught.value)) == (number == errno.EAGAIN)


def test_to_install_git_is_said_only_where_there_is_none(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RepositoryError, match="working directory") as caught:
        Git(top / "gone").run("status")
    assert "Install" not in caught.value.hint
    monkeypatch.setenv("PATH", str(top))
    with pytest.raises(RepositoryError, match="no such program") as caught:
        Git(top).run("status")
    assert "Install git" in caught.value.hint


def test_a_linked_checkout_knows_its_common_folder(top: Path, tmp_path: Path, git) -> None:
    git(top, "worktree", "add", "-q", str(tmp_path / "linked"))
    found = repository.discover(tmp_path / "linked")
    assert found.top == tmp_path / "linked"
    assert found.common == top / ".git"
    assert found.git_dir.parent == top / ".git" / "worktrees"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path, git: None, "does not exist"),
        (lambda path, git: path.mkdir(), "not a git repository"),
        (lambda path, git: git(path.parent, "init", "-q", "--bare", path.name), "bare"),
        (lambda path, git: git(path.parent, "init", "-q", path.name), "no commit yet"),
    ],
)
def test_an_unusable_repository_is_an_error_with_a_hint(tmp_path: Path, git, make, says: str, monkeypatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    make(tmp_path / "there", git)
    with pytest.raises(RepositoryError, match=says) as error:
        repository.discover(tmp_path / "there")
    assert error.value.hint


def test_a_missing_repository_can_be_told_from_an_unusable_one(tmp_path: Path, git) -> None:
    git(tmp_path, "init", "-q", "empty")
    with pytest.raises(RepositoryError) as error:
        repository.discover(tmp_path / "empty")
    assert not isinstance(error.value, NotARepository)


def test_a_git_directory_is_no_repository_to_work_in(top: Path) -> None:
    with pytest.raises(RepositoryError, match="inside a git directory"):
        repository.discover(top / ".git" / "refs")


def test_a_line_break_in_the_path_is_told_as_what_is_in_the_way(top: Path, tmp_path: Path) -> None:
    odd = top.rename(tmp_path / "two\nlines")
    with pytest.raises(RepositoryError, match="a line break in the path") as caught:
        repository.discover(odd)
    assert "Rename" in caught.value.hint


def test_an_old_git_is_refused(top: Path, tmp_path: Path, monkeypatch) -> None:
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nfor a; do [ "$a" = version ] && { echo "git version 2.37.4"; exit; }; done\nexec /usr/bin/git "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RepositoryError, match=r"git 2\.37\.4 is too old"):
        repository.discover(top)


def test_how_another_user_s_repository_is_made_safe_is_told_as_git_tells_it(tmp_path: Path, git, monkeypatch) -> None:
    top, program = tmp_path / "its place", tmp_path / "bin" / "git"
    git(tmp_path, "init", "-q", str(top))
    (top / "part").mkdir()
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec /usr/bin/git "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RepositoryError, match="another user owns it") as caught:
        repository.discover(top / "part")
    assert caught.value.hint == f"git config --global --add safe.directory '{top}'"


def test_a_git_that_is_killed_says_nothing_of_the_repository(top: Path, tmp_path: Path, monkeypatch) -> None:
    """A RepositoryError would block the task until a person comes; this one is tried again."""
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(GitError, match="-9"):
        repository.discover(top)


def test_a_missing_git_is_an_error_and_no_traceback(top: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RepositoryError):
        repository.discover(top)


def test_a_shallow_clone_is_usable(top: Path, tmp_path: Path, git, commit) -> None:
    commit(top, "one", "changed\n")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{top}", "clone")
    found = repository.discover(tmp_path / "clone")
    assert found.shallow
    assert repository.base_branch(found, None) == "main"


def test_the_version_is_asked_once_per_git_program(repo: Repository, monkeypatch) -> None:
    known = repository.version(repo.control)
    monkeypatch.setattr(Git, "text", lambda *_: pytest.fail("git was asked again"))
    assert repository.version(repo.control) == known >= (2, 38)


class TestBase:
    def test_the_wanted_branch_wins(self, repo: Repository, git) -> None:
        git(repo.top, "branch", "release")
        assert repository.base_branch(repo, "release") == "release"

    def test_a_wanted_branch_that_is_missing_is_an_error(self, repo: Repository) -> None:
        with pytest.raises(RepositoryError, match="no branch called 'releas'"):
            repository.base_branch(repo, "releas")

    def test_the_remotes_head_comes_before_main(self, top: Path, tmp_path: Path, git) -> None:
        git(top, "checkout", "-q", "-b", "trunk")
        git(tmp_path, "clone", "-q", str(top), "clone")
        git(tmp_path / "clone", "branch", "main")
        assert repository.base_branch(repository.discover(tmp_path / "clone"), None) == "trunk"

    def test_main_comes_before_the_current_branch(self, repo: Repository, git) -> None:
        git(repo.top, "checkout", "-q", "-b", "feature")
        assert repository.base_branch(repo, None) == "main"

    def test_the_current_branch_is_the_last_resort(self, repo: Repository, git) -> None:
        git(repo.top, "branch", "-m", "develop")
        assert repository.base_branch(repo, None) == "develop"

    def test_no_branch_at_all_is_an_error(self, repo: Repository, git) -> None:
        git(repo.top, "checkout", "-q", "--detach")
        git(repo.top, "branch", "-D", "main")
        with pytest.raises(RepositoryError, match="on no branch"):
            repository.base_branch(repo, None)


@pytest.mark.parametrize("packed", [False, True])
def test_a_ref_is_read_loose_and_packed(repo: Repository, git, packed: bool) -> None:
    git(repo.top, "branch", "deep/er")
    git(repo.top, "tag", "-a", "-m", "x", "v1")
    if packed:
        git(repo.top, "pack-refs", "--all")
    assert repository.tip(repo, "deep/er") == git(repo.top, "rev-parse", "deep/er")
    assert refs.read(repo.common, "refs/tags/v1") == git(repo.top, "rev-parse", "v1")
    assert refs.read(repo.common, "refs/heads/deep") is None
    assert refs.below(repo.common, "refs/heads/deep")
    assert not refs.below(repo.common, "refs/heads/dee")


def test_a_loose_ref_wins_over_an_older_packed_one(repo: Repository, git, commit) -> None:
    git(repo.top, "pack-refs", "--all")
    new = commit(repo.top, "one", "more\n")
    assert repository.tip(repo, "main") == new


@pytest.mark.parametrize("packed", [False, True])
def test_a_head_that_is_a_link_is_on_its_branch(repo: Repository, git, base: str, packed: bool) -> None:
    if packed:
        git(repo.top, "pack-refs", "--all")
    (repo.common / "HEAD").unlink()
    (repo.common / "HEAD").symlink_to("refs/heads/main")
    assert git(repo.top, "symbolic-ref", "HEAD") == "refs/heads/main"
    assert repository.branch(repo.git_dir, repo.common) == "main"
    assert repository.head(repo.git_dir, repo.common) == base
    assert repository.discover(repo.top) == repo


@pytest.mark.parametrize("packed", [False, True])
def test_a_symbolic_ref_that_is_a_link_leads_to_its_branch(repo: Repository, git, base: str, packed: bool) -> None:
    git(repo.top, "-c", "core.preferSymlinkRefs=true", "symbolic-ref", "refs/heads/alias", "refs/heads/main")
    if packed:
        git(repo.top, "pack-refs", "--all")
    assert (repo.common / "refs" / "heads" / "alias").is_symlink()
    assert refs.read(repo.common, "refs/heads/alias") == base
    assert refs.real(repo.common, "refs/heads/alias") == "refs/heads/main"


def test_a_deleted_base_is_an_error(repo: Repository) -> None:
    with pytest.raises(RepositoryError, match="gone"):
        repository.tip(repo, "nothing")


class TestOtherRefs:
    """A repository that keeps its refs in another way than as files is asked through git: the answers are the same."""

    @pytest.fixture(autouse=True)
    def asked(self, monkeypatch) -> None:
        monkeypatch.setattr(refs, "files", lambda _: False)

    def test_every_question_has_its_answer(self, repo: Repository, git, commit) -> None:
        new = commit(repo.top, "one", "more\n")
        git(repo.top, "branch", "deep/er")
        git(repo.top, "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/deep/er")
        assert repository.tip(repo, "main") == new
        assert repository.find_branch(repo, "none") is None
        assert repository.head(repo.git_dir, repo.common) == new
        assert repository.branch(repo.git_dir, repo.common) == "main"
        assert repository.base_branch(repo, None) == "deep/er"
        assert refs.below(repo.common, "refs/heads/deep")
        assert not refs.below(repo.common, "refs/heads/dee")
        git(repo.top, "checkout", "-q", "--detach")
        assert repository.branch(repo.git_dir, repo.common) is None

    def test_a_worktree_lives_and_is_retired(self, repo: Repository, git) -> None:
        start = repository.tip(repo, "main")
        place = repo.top / ".worktrees" / "fix"
        tree = pool.prepare(repo, place, owner="i", branch="orchestrator/fix", commit=start)
        assert [item.branch for item in listing.checkouts(repo)] == ["main", "orchestrator/fix"]
        assert pool.retire(tree) is None
        assert git(repo.top, "branch", "-d", "orchestrator/fix")


def test_excludes_are_added_once_and_keep_what_was_there(repo: Repository, git) -> None:
    (repo.common / "info" / "exclude").write_text("# mine\n*.log")
    repository.exclude(repo, ["/tasks/", "/.worktrees/"])
    repository.exclude(repo, ["/tasks/"])
    assert (repo.common / "info" / "exclude").read_text() == "# mine\n*.log\n/tasks/\n/.worktrees/\n"
    (repo.top / "tasks").mkdir()
    (repo.top / "tasks" / "x").write_text("x")
    assert git(repo.top, "status", "--porcelain") == ""


@pytest.mark.parametrize("there", [True, False])
def test_excludes_that_lie_elsewhere_are_written_there(repo: Repository, tmp_path: Path, there: bool) -> None:
    path, shared = repo.common / "info" / "exclude", tmp_path / "shared"
    path.unlink()
    path.symlink_to(shared)
    if there:
        shared.write_text("*.log\n")
    repository.exclude(repo, ["/tasks/"])
    assert path.is_symlink()
    assert shared.read_text() == ("*.log\n" if there else "") + "/tasks/\n"


def test_tracked_tells_whether_git_knows_anything_below_a_path(repo: Repository) -> None:
    (repo.top / "new").mkdir()
    assert repository.tracked(repo, repo.top / "one")
    assert not repository.tracked(repo, repo.top / "new")
    assert not repository.tracked(repo, Path("/elsewhere"))


def test_a_changed_configuration_and_a_new_hook_show(repo: Repository, git) -> None:
    first = repository.config_digest(repo)
    assert repository.config_digest(repo) == first
    git(repo.top, "config", "user.name", "Mallory")
    second = repository.config_digest(repo)
    assert second != first
    (repo.common / "hooks").mkdir(exist_ok=True)
    (repo.common / "hooks" / "post-merge").write_text("#!/bin/sh\n")
    assert repository.config_digest(repo) != second


def test_a_hook_that_is_installed_again_as_it_was_has_not_changed(top: Path) -> None:
    repo = repository.discover(top)
    hook = repo.common / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    first = repository.config_digest(repo)
    os.utime(hook, (0, 0))
    assert repository.config_digest(repo) == first
    hook.write_text("#!/bin/zh\n")
    os.utime(hook, (0, 0))
    assert repository.config_digest(repo) != first


def test_a_hook_that_is_a_pipe_is_not_waited_for(repo: Repository) -> None:
    first = repository.config_digest(repo)
    (repo.common / "hooks").mkdir(exist_ok=True)
    os.mkfifo(repo.common / "hooks" / "post-commit")
    assert repository.config_digest(repo) != first


def test_what_is_unfinished_has_a_name(repo: Repository, git, commit) -> None:
    assert repository.busy(repo.git_dir) is None
    git(repo.top, "checkout", "-q", "-b", "other")
    commit(repo.top, "one", "theirs\n")
    git(repo.top, "checkout", "-q", "main")
    commit(repo.top, "one", "ours\n")
    git(repo.top, "rebase", "other", ok=False)
    assert repository.busy(repo.git_dir) == "a rebase"


class TestEnvironment:
    def test_a_hooks_variables_do_not_reach_us(self, repo: Repository, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
        monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
        monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'core.bare=true'")
        assert repository.discover(repo.top).common == repo.common

    def test_what_ssh_and_tls_need_stays(self) -> None:
        kept = clean(
            {"GIT_SSH_COMMAND": "ssh -i key", "GIT_SSL_CAINFO": "ca", "GIT_WORK_TREE": "x", "PATH": "p", "LANGUAGE": "de"}
        )
        assert kept["GIT_SSH_COMMAND"] == "ssh -i key"
        assert kept["GIT_SSL_CAINFO"] == "ca"
        assert kept["PATH"] == "p"
        assert not kept.keys() & {"GIT_WORK_TREE", "LANGUAGE"}

    def test_a_message_is_read_as_it_was_written_whatever_the_user_s_own_are_written_in(self, repo: Repository, git) -> None:
        git(repo.top, "config", "i18n.commitEncoding", "latin1")
        git(repo.top, "config", "i18n.logOutputEncoding", "latin1")
        made = merge.commit(repo, "HEAD^{tree}", ("HEAD",), "größer als 5 €\n")
        assert git(repo.top, "log", "-1", "--encoding=UTF-8", "--format=%s", made) == "größer als 5 €"
        git(repo.top, "-c", "i18n.commitEncoding=UTF-8", "commit", "-q", "--allow-empty", "-m", "größer")
        assert repo.git.text("log", "-1", "--format=%s") == "größer"

    def test_signatures_are_not_told_amid_what_we_asked_for(self, repo: Repository, tmp_path: Path, git) -> None:
        program = tmp_path / "gpg"
        program.write_text(
            "#!/bin/sh\ncat > /dev/null\ncase $* in *--verify*) echo good >&2; exit;; esac\n"
            "printf '[GNUPG:] SIG_CREATED \\n' >&2; printf -- '-----BEGIN PGP SIGNATURE-----\\nx\\n-----END PGP SIGNATURE-----\\n'\n"
        )
        program.chmod(0o700)
        git(repo.top, "config", "gpg.program", str(program))
        git(repo.top, "config", "log.showSignature", "true")
        git(repo.top, "commit", "-q", "-S", "--allow-empty", "-m", "signed")
        assert git(repo.top, "log", "-1", "--format=%s") == "good\nsigned"
        assert repo.git.text("log", "-1", "--format=%s") == "signed"

    def test_an_order_file_that_only_the_users_checkout_has_is_not_asked_for(self, repo: Repository, tree: Worktree, git) -> None:
        git(repo.top, "config", "diff.orderFile", ".git/order")
        (repo.common / "order").write_text("three\n")
        assert git(repo.top, "status", "--porcelain") == ""
        (tree.path / "one").write_text("edited\n")
        assert save.commit_all(tree, "x").commit == tree.head

    def test_no_editor_can_hang_us(self, repo: Repository, git, monkeypatch) -> None:
        git(repo.top, "config", "core.editor", "sleep 1000; false")
        (repo.top / "one").write_text("edited\n")
        assert Git(repo.top).run("commit", "-a", "--amend", timeout=20).code == 0


def test_git_is_found_again_where_the_path_has_changed(top: Path, tmp_path: Path, monkeypatch) -> None:
    assert Git(top).run("--version").stdout.startswith(b"git version")
    (tmp_path / "git").write_text("#!/bin/sh\necho another\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Git(top).run("--version").stdout == b"another\n"


def test_a_git_that_has_gone_from_where_it_was_is_looked_for_again(top: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "git").write_text("#!/bin/sh\necho another\n")
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Git(top).run("--version").stdout == b"another\n"
    (tmp_path / "git").unlink()
    assert Git(top).run("--version").stdout.startswith(b"git version")
