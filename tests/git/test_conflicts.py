from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.git import conflicts, merge, pool, worktree
from orchestrator.git.merge import Conflict
from orchestrator.git.repository import Repository
from orchestrator.git.worktree import Worktree

ODD = 'odd "näme"\n.txt'


@pytest.fixture
def hold(repo: Repository, tree: Worktree, base: str, git) -> Callable[[], tuple[str, str, str]]:
    """Merge what lies on both branches by now, and put the agent's worktree at the commit with the markers: it, base, tip."""

    verify = pool.prepare(repo, repo.top / ".worktrees" / "fix.verify", owner="id-1", branch=None, commit=base)

    def held() -> tuple[str, str, str]:
        tip, base = git(tree.path, "rev-parse", "HEAD"), git(repo.top, "rev-parse", "main")
        worktree.reset(verify, branch=None, commit=base)
        merged = merge.merge(verify, base, tip)
        assert isinstance(merged, Conflict)
        assert merged.tree is not None
        commit = merge.commit(repo, merged.tree, (base, tip), "Both\n")
        worktree.reset(tree, branch="orchestrator/fix", commit=commit)
        return commit, base, tip

    return held


def test_every_file_with_markers_is_named_and_no_other(repo: Repository, tree: Worktree, hold, commit) -> None:
    for name in ("one", ODD):
        commit(tree.path, name, "mine\n")
        commit(repo.top, name, "theirs\n")
    commit(tree.path, "two", "mine\ntwo\ntwo\ntwo\n")
    commit(repo.top, "two", "two\ntwo\ntwo\ntheirs\n")  # both changed it, and it merges
    held, base, tip = hold()
    assert set(conflicts.marked(repo, held, base, tip)) == {"one", ODD}
    commit(tree.path, "one", "mine and theirs\n")
    assert conflicts.marked(repo, commit(tree.path, "note", "x"), base, tip) == (ODD,)
    assert conflicts.marked(repo, commit(tree.path, ODD, "theirs\n"), base, tip) == ()


def test_whether_a_worktree_can_hold_the_markers_is_what_its_filters_say(
    repo: Repository, tree: Worktree, hold, git, commit
) -> None:
    git(repo.top, "config", "filter.kept.clean", "sed 's/^/kept /'")
    git(repo.top, "config", "filter.kept.smudge", "awk '!/^kept/ { exit 1 }'")
    for place, text in ((tree.path, "mine\n"), (repo.top, "theirs\n")):
        commit(place, ".gitattributes", "odd* filter=kept\n")
        for name in ("one", ODD):
            commit(place, name, text)
    held, _, tip = hold()
    assert conflicts.fillable(tree, held, tip, ("one", ODD, "elsewhere"))
    git(repo.top, "config", "filter.kept.required", "true")
    assert conflicts.fillable(tree, held, tip, ("one", "elsewhere"))
    assert not conflicts.fillable(tree, held, tip, ("one", ODD))


def test_a_filter_that_reads_nothing_at_the_moment_tells_nothing_of_the_markers(
    repo: Repository, tree: Worktree, hold, git, commit
) -> None:
    for place, text in ((tree.path, "mine\n"), (repo.top, "theirs\n")):
        commit(place, ".gitattributes", "one filter=kept\n")
        commit(place, "one", text)
    held, _, tip = hold()
    git(repo.top, "config", "filter.kept.smudge", "exit 1  # as without its key")
    git(repo.top, "config", "filter.kept.required", "true")
    assert conflicts.fillable(tree, held, tip, ("one",))


def test_markers_that_moved_with_their_file_are_found(repo: Repository, tree: Worktree, hold, git, commit) -> None:
    commit(tree.path, "one", "mine\n")
    commit(repo.top, "one", "theirs\n")
    _, base, tip = hold()
    git(tree.path, "mv", "one", "elsewhere")
    git(tree.path, "commit", "-qm", "moved")
    assert conflicts.marked(repo, git(tree.path, "rev-parse", "HEAD"), base, tip) == ("elsewhere",)


def test_what_git_can_t_show_with_markers_has_none(repo: Repository, tree: Worktree, hold, git, commit) -> None:
    for place, name in ((tree.path, "mine"), (repo.top, "theirs")):
        (place / "picture").write_bytes(b"\0<<<<<<< x\n" + name.encode())
        (place / "link").symlink_to(name)
        git(place, "add", "-A")
        git(place, "commit", "-qm", name)
    git(repo.top, "rm", "-q", "one")
    git(repo.top, "commit", "-qm", "gone")
    commit(tree.path, "one", "mine\n")
    assert conflicts.marked(repo, *hold()) == ()


def test_what_the_base_brought_into_these_files_is_told_the_newest_first(repo: Repository, tree: Worktree, git, commit) -> None:
    tip = commit(tree.path, "one", "mine\n")
    for name, text in (("one", "a\n"), ("two", "b\n"), ("one", "c\n"), (ODD, "d\n")):
        base = commit(repo.top, name, text)
    found = conflicts.brought(repo, base, tip, ("one", ODD), 5)
    assert [line.split(" ", 1)[0] for line in found] == [
        git(repo.top, "rev-parse", "--short", f"main~{back}") for back in (0, 1, 3)
    ]
    assert len(conflicts.brought(repo, base, tip, ("one", ODD), 2)) == 2
